/** Deferred procedure calls: queued once at a time, run in order of insertion after every service routine. */
import type { TraceContext } from '#sel4/api'
import type { DRIVER_OBJECT, KDPC } from './api.ts'
import type { DriverHost } from './host.ts'
import { hostOf } from './objects.ts'
import { caused } from './watching.ts'

type DeferredRoutine = (Dpc: KDPC, Context: unknown) => void | Promise<void>

class Dpc implements KDPC {
  readonly kind = 'dpc'
  readonly host: DriverHost
  readonly routine: DeferredRoutine
  readonly context: unknown
  queued = false

  constructor(host: DriverHost, routine: DeferredRoutine, context: unknown) {
    this.host = host
    this.routine = routine
    this.context = context
  }
}

export function KeInitializeDpc(
  DriverObject: DRIVER_OBJECT,
  DeferredRoutine: DeferredRoutine,
  DeferredContext: unknown,
): KDPC {
  return new Dpc(hostOf(DriverObject), DeferredRoutine, DeferredContext)
}
/** False when it is queued already; from the moment its routine starts it may be queued again. */
export function KeInsertQueueDpc(Dpc: KDPC): boolean {
  return insertDpc(Dpc, (Dpc as Dpc).host.env.sel4.trace?.current())
}
/** `by`: what a trace shows as its cause; a timer's expiry has none, whoever set it. */
export function insertDpc(Dpc: KDPC, by: TraceContext | undefined): boolean {
  const dpc = Dpc as Dpc
  if (dpc.queued) return false
  dpc.queued = true
  dpc.host.scheduler.dpc(() => {
    dpc.queued = false
    return caused(dpc.host, 'DPC', by, () => dpc.routine(dpc, dpc.context))
  })
  return true
}
