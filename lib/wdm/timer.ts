/** Timers: each expiry queues a DPC; a period counts from the time it was due, so that it does not drift. */
import type { DRIVER_OBJECT, KDPC, KTIMER } from './api.ts'
import { insertDpc } from './dpc.ts'
import type { DriverHost } from './host.ts'
import { hostOf } from './objects.ts'

class Timer implements KTIMER {
  readonly kind = 'timer'
  readonly host: DriverHost
  alarm?: { cancel(): void } = undefined

  constructor(host: DriverHost) {
    this.host = host
  }
}

export const KeInitializeTimer = (DriverObject: DRIVER_OBJECT): KTIMER => new Timer(hostOf(DriverObject))

export function KeSetTimer(Timer: KTIMER, dueMs: number, Dpc: KDPC, periodMs?: number): void {
  KeCancelTimer(Timer)
  const timer = Timer as Timer
  arm(timer, timer.host.env.clock.now() + dueMs, Dpc, periodMs)
}
function arm(timer: Timer, dueAt: number, dpc: KDPC, periodMs: number | undefined): void {
  const { clock } = timer.host.env
  timer.alarm = clock.alarm(Math.max(0, dueAt - clock.now()), () => {
    timer.alarm = undefined
    if (periodMs) arm(timer, dueAt + periodMs, dpc, periodMs)
    insertDpc(dpc, undefined)
  })
}
/** True when it was set. A DPC that it has queued already still runs. */
export function KeCancelTimer(Timer: KTIMER): boolean {
  const timer = Timer as Timer
  const { alarm } = timer
  timer.alarm = undefined
  alarm?.cancel()
  return alarm !== undefined
}
