/** Waiting for one object, with NT's timeouts: 100 ns units, negative relative, absent for ever. */
import type { Clock } from '#sel4/api'
import { NT_STATUS, type NTSTATUS } from '#rtl'
import type { Waitable } from '../ob/object.ts'

const UNITS_PER_MS = 10_000

export function milliseconds(clock: Clock, interval: number): number {
  return interval < 0 ? -interval / UNITS_PER_MS : Math.max(0, (interval - clock.systemTime()) / UNITS_PER_MS)
}

export function waitFor(clock: Clock, object: Waitable, timeout: number | undefined): Promise<NTSTATUS> {
  if (object.signalled) {
    object.consume()
    return Promise.resolve(NT_STATUS.STATUS_SUCCESS)
  }
  if (timeout === 0) return Promise.resolve(NT_STATUS.STATUS_TIMEOUT)
  return new Promise((resolve) => {
    const alarm = timeout === undefined ? undefined : clock.alarm(milliseconds(clock, timeout), () => {
      registration.cancel()
      resolve(NT_STATUS.STATUS_TIMEOUT)
    })
    const registration = object.onSignal(() => {
      alarm?.cancel()
      object.consume()
      resolve(NT_STATUS.STATUS_SUCCESS)
    })
  })
}
