/** Events: notification (stays signalled) and synchronization (wakes one waiter and clears). */
import { NtObject, type Waitable } from '../ob/object.ts'

export class WaitList {
  private readonly waiters = new Set<() => void>()

  add(wake: () => void): { cancel(): void } {
    this.waiters.add(wake)
    return { cancel: () => this.waiters.delete(wake) }
  }
  /** Wakes in order of arrival while `more()` holds; a woken waiter removes itself. */
  wake(more: () => boolean): void {
    for (const waiter of [...this.waiters]) {
      if (!more()) return
      this.waiters.delete(waiter)
      waiter()
    }
  }
}

export class Event extends NtObject implements Waitable {
  readonly typeName = 'Event'
  private readonly list = new WaitList()
  private readonly synchronization: boolean
  signalled: boolean

  constructor(synchronization: boolean, signalled: boolean) {
    super()
    this.synchronization = synchronization
    this.signalled = signalled
  }
  set(): boolean {
    const before = this.signalled
    this.signalled = true
    this.list.wake(() => this.signalled)
    return before
  }
  reset(): boolean {
    const before = this.signalled
    this.signalled = false
    return before
  }
  consume(): void {
    if (this.synchronization) this.signalled = false
  }
  onSignal(wake: () => void): { cancel(): void } {
    return this.list.add(wake)
  }
  override waitable(): Waitable {
    return this
  }
}
