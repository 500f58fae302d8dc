/** Waiting for one object, with NT's timeouts: 100 ns units, negative relative, absent for ever. */
import type { Clock } from '#sel4/api'
import { NT_STATUS, type NTSTATUS } from '#rtl'
import type { Waitable } from '../ob/object.ts'
import type { Process } from '../ps/process.ts'

const UNITS_PER_MS = 10_000

export function milliseconds(clock: Clock, interval: number): number {
  return interval < 0 ? -interval / UNITS_PER_MS : Math.max(0, (interval - clock.systemTime()) / UNITS_PER_MS)
}

/** Ends with `owner`, the process that waits: a dead waiter must take no signal from a living one. */
export function waitFor(
  clock: Clock,
  object: Waitable,
  timeout: number | undefined,
  owner?: Process,
): Promise<NTSTATUS> {
  if (object.signalled) {
    object.consume()
    return Promise.resolve(NT_STATUS.STATUS_SUCCESS)
  }
  if (timeout === 0) return Promise.resolve(NT_STATUS.STATUS_TIMEOUT)
  return new Promise((resolve) => {
    const cancels: { cancel(): void }[] = []
    const end = (status: NTSTATUS): void => {
      for (const registration of cancels) registration.cancel()
      resolve(status)
    }
    if (timeout !== undefined)
      cancels.push(clock.alarm(milliseconds(clock, timeout), () => end(NT_STATUS.STATUS_TIMEOUT)))
    if (owner) cancels.push(owner.onLeave(() => end(NT_STATUS.STATUS_THREAD_IS_TERMINATING)))
    cancels.push(
      object.onSignal(() => {
        object.consume()
        end(NT_STATUS.STATUS_SUCCESS)
      }),
    )
  })
}
