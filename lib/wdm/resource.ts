/**
 * Executive resources: shared/exclusive locks for the tasks of one driver, first come first served. Not recursive: a task has no
 * identity that could be recognised.
 */
import type { DRIVER_OBJECT, ERESOURCE } from './api.ts'
import type { DriverHost } from './host.ts'
import { hostOf } from './objects.ts'

interface Waiter {
  readonly exclusive: boolean
  readonly grant: () => void
}
class Resource implements ERESOURCE {
  readonly kind = 'resource'
  readonly host: DriverHost
  readonly waiters: Waiter[] = []
  /** -1: one exclusive owner; otherwise the number of shared ones. */
  owners = 0

  constructor(host: DriverHost) {
    this.host = host
  }
}

export const ExInitializeResource = (DriverObject: DRIVER_OBJECT): ERESOURCE => new Resource(hostOf(DriverObject))
export const ExAcquireResourceExclusive = (Resource: ERESOURCE): Promise<void> => acquire(Resource as Resource, true)
export const ExAcquireResourceShared = (Resource: ERESOURCE): Promise<void> => acquire(Resource as Resource, false)

async function acquire(resource: Resource, exclusive: boolean): Promise<void> {
  resource.host.scheduler.requirePassive('ExAcquireResource')
  await new Promise<void>((grant) => {
    resource.waiters.push({ exclusive, grant })
    admit(resource)
  })
}
function admit(resource: Resource): void {
  for (let first = resource.waiters[0]; first; first = resource.waiters[0]) {
    if (resource.owners !== 0 && (first.exclusive || resource.owners < 0)) return
    resource.waiters.shift()
    resource.owners = first.exclusive ? -1 : resource.owners + 1
    first.grant()
  }
}

export function ExReleaseResource(Resource: ERESOURCE): void {
  const resource = Resource as Resource
  if (resource.owners === 0) throw new Error('ExReleaseResource of a resource nobody owns')
  resource.owners = resource.owners < 0 ? 0 : resource.owners - 1
  admit(resource)
}
