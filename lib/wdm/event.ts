/** Events, and waiting for them: PASSIVE_LEVEL only, because everything below waits for a DPC or service routine that waits. */
import { NT_STATUS, type NTSTATUS } from '#rtl'
import type { DRIVER_OBJECT, KEVENT } from './api.ts'
import type { DriverHost } from './host.ts'
import { hostOf } from './objects.ts'

class Event implements KEVENT {
  readonly kind = 'event'
  readonly host: DriverHost
  /** Synchronization events let one waiter go and clear themselves. */
  readonly single: boolean
  state: boolean
  readonly waiters: (() => void)[] = []

  constructor(host: DriverHost, single: boolean, state: boolean) {
    this.host = host
    this.single = single
    this.state = state
  }
}

export function KeInitializeEvent(
  DriverObject: DRIVER_OBJECT,
  type: 'NotificationEvent' | 'SynchronizationEvent',
  state: boolean,
): KEVENT {
  return new Event(hostOf(DriverObject), type === 'SynchronizationEvent', state)
}
/** Answers the state before. */
export function KeSetEvent(Event: KEVENT): boolean {
  const event = Event as Event
  const before = event.state
  event.state = true
  const woken = event.waiters.splice(0, event.single ? 1 : event.waiters.length)
  if (event.single && woken.length > 0) event.state = false
  for (const wake of woken) wake()
  return before
}
export function KeClearEvent(Event: KEVENT): void {
  ;(Event as Event).state = false
}

export async function KeWaitForSingleObject(Event: KEVENT, timeoutMs?: number): Promise<NTSTATUS> {
  const event = Event as Event
  event.host.scheduler.requirePassive('KeWaitForSingleObject')
  if (event.state) {
    if (event.single) event.state = false
    return NT_STATUS.STATUS_SUCCESS
  }
  return timeoutMs === 0 ? NT_STATUS.STATUS_TIMEOUT : waitFor(event, timeoutMs)
}

function waitFor(event: Event, timeoutMs: number | undefined): Promise<NTSTATUS> {
  return new Promise((resolve) => {
    const wake = () => {
      alarm?.cancel()
      resolve(NT_STATUS.STATUS_SUCCESS)
    }
    const expired = () => {
      event.waiters.splice(event.waiters.indexOf(wake), 1)
      resolve(NT_STATUS.STATUS_TIMEOUT)
    }
    const alarm = timeoutMs === undefined ? undefined : event.host.env.clock.alarm(timeoutMs, expired)
    event.waiters.push(wake)
  })
}

export function KeDelayExecutionThread(DriverObject: DRIVER_OBJECT, milliseconds: number): Promise<void> {
  const host = hostOf(DriverObject)
  host.scheduler.requirePassive('KeDelayExecutionThread')
  return host.env.clock.sleep(milliseconds)
}
