/**
 * Which drivers a device gets: what the registry says (Enum\<instance>, Control\Class\<class>, Services\<name>), else what the
 * images say of themselves in the manifest's `nt` sections:
 *
 *   hardwareIds     ids the driver is the function driver of, hardware ids before compatible ids
 *   class           the setup class its devices belong to
 *   upperFilterOf / lowerFilterOf   services, classes or ids it filters
 *   start           'boot': its process starts with the system, before a device asks for it
 *   restart         { max, perMs }: deaths within that time after which it is not started again
 */
import { StatusError } from '#rtl'
import type { Key } from '../cm/index.ts'
import type { Executive } from '../executive.ts'
import type { DeviceNode } from './pnp-node.ts'

const CONTROL_SET = '\\Registry\\Machine\\System\\CurrentControlSet'
/** A driver that needs more is not cured by one more. */
const RESTART_DEFAULT = { max: 10, perMs: 10_000 }

export interface Services {
  readonly lower: readonly string[]
  readonly service: string | undefined
  readonly upper: readonly string[]
}
export interface RestartPolicy {
  readonly max: number
  readonly perMs: number
}
type NtSection = Readonly<Record<string, unknown>>

export class ServiceDatabase {
  private readonly ex: Executive
  constructor(ex: Executive) {
    this.ex = ex
  }

  /** ImagePath's last component without extension; a service without a key is an image of its own name. */
  imageOf(service: string): string {
    const path = this.key(`Services\\${service}`)?.text('ImagePath') ?? service
    const image = path.slice(path.lastIndexOf('\\') + 1).replace(/\.(sys|exe)$/i, '')
    if (image === '' || !this.ex.root.manifest.images[image])
      throw new StatusError('STATUS_OBJECT_NAME_NOT_FOUND', service)
    return image
  }
  restartOf(image: string): RestartPolicy {
    const given = this.ex.root.manifest.images[image]?.nt?.restart as Partial<RestartPolicy> | undefined
    return { max: numberOr(given?.max, RESTART_DEFAULT.max), perMs: numberOr(given?.perMs, RESTART_DEFAULT.perMs) }
  }
  /** In the manifest's order. */
  bootDrivers(): string[] {
    const images = Object.entries(this.ex.root.manifest.images)
    return images.filter(([, { nt }]) => nt?.start === 'boot').map(([name]) => name)
  }
  /** The drivers of a node. */
  servicesOf(node: DeviceNode): Services {
    const enumKey = this.key(`Enum\\${node.instancePath}`)
    const service = enumKey?.text('Service') ?? this.byIds([...node.hardwareIds, ...node.compatibleIds])
    const setupClass = enumKey?.text('Class') ?? (service && this.classOf(service))
    const classKey = setupClass ? this.key(`Control\\Class\\${setupClass}`) : undefined
    const subjects = [service, setupClass, ...node.hardwareIds, ...node.compatibleIds].filter(
      (name) => name !== undefined,
    )
    return {
      service,
      lower: union(
        enumKey?.texts('LowerFilters'),
        classKey?.texts('LowerFilters'),
        this.filters('lowerFilterOf', subjects, service),
      ),
      upper: union(
        enumKey?.texts('UpperFilters'),
        classKey?.texts('UpperFilters'),
        this.filters('upperFilterOf', subjects, service),
      ),
    }
  }
  private byIds(ids: readonly string[]): string | undefined {
    for (const id of ids) {
      const found = this.images().find(([, nt]) => stringsOf(nt.hardwareIds).some((own) => same(own, id)))
      if (found) return found[0]
    }
    return undefined
  }
  private classOf(service: string): string | undefined {
    const value = this.ex.root.manifest.images[service]?.nt?.class
    return typeof value === 'string' ? value : undefined
  }
  private filters(side: string, subjects: readonly string[], service: string | undefined): string[] {
    return this.images()
      .filter(
        ([name, nt]) =>
          name !== service && stringsOf(nt[side]).some((of) => subjects.some((subject) => same(of, subject))),
      )
      .map(([name]) => name)
  }
  private images(): [string, NtSection][] {
    return Object.entries(this.ex.root.manifest.images).flatMap(([name, { nt }]) =>
      nt ? [[name, nt] as [string, NtSection]] : [],
    )
  }
  private key(path: string): Key | undefined {
    return this.ex.cm?.find(`${CONTROL_SET}\\${path}`)
  }
}

const same = (a: string, b: string): boolean => a.toUpperCase() === b.toUpperCase()
const stringsOf = (value: unknown): string[] =>
  typeof value === 'string' ? [value] : Array.isArray(value) ? value.filter((one) => typeof one === 'string') : []
const numberOr = (value: unknown, otherwise: number): number =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : otherwise
function union(...lists: (readonly string[] | undefined)[]): string[] {
  const names = new Map<string, string>()
  for (const name of lists.flatMap((list) => list ?? []))
    if (!names.has(name.toUpperCase())) names.set(name.toUpperCase(), name)
  return [...names.values()]
}
