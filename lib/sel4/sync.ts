/**
 * Locks for threads of one process, as libsel4sync has them: the state is in their shared memory, who must wait does so on
 * a notification or endpoint.
 *
 *   BinarySemaphore   a lock: at most one holder; over a notification
 *   Semaphore         a count; over an endpoint, where post and wait meet
 *   Monitor           a lock with a condition: wait, signal, broadcast
 */
import type { CPtr } from './api.ts'
import type { SystemCalls } from './threads.ts'

export class BinarySemaphore {
  private readonly notification: CPtr
  private value: number
  constructor(notification: CPtr, value = 1) {
    this.notification = notification
    this.value = value
  }
  async wait(sel4: SystemCalls): Promise<void> {
    if (--this.value < 0) await sel4.Wait(this.notification)
  }
  async post(sel4: SystemCalls): Promise<void> {
    if (++this.value <= 0) await sel4.Signal(this.notification)
  }
}
export class Semaphore {
  private readonly endpoint: CPtr
  private value: number
  constructor(endpoint: CPtr, value: number) {
    this.endpoint = endpoint
    this.value = value
  }
  async wait(sel4: SystemCalls): Promise<void> {
    if (--this.value < 0) await sel4.Recv(this.endpoint)
  }
  async post(sel4: SystemCalls): Promise<void> {
    if (++this.value <= 0) await sel4.Send(this.endpoint, { label: 0 })
  }
}
export class Monitor {
  readonly lock: BinarySemaphore
  private readonly condition: CPtr
  private waiters = 0
  private broadcasting = false
  constructor(lock: CPtr, condition: CPtr) {
    this.lock = new BinarySemaphore(lock)
    this.condition = condition
  }
  /** With the lock held; holds it again when it returns. Look at the condition again then. */
  async wait(sel4: SystemCalls): Promise<void> {
    this.waiters++
    await this.lock.post(sel4)
    await sel4.Wait(this.condition)
    await this.lock.wait(sel4)
    this.waiters--
    if (this.broadcasting && this.waiters > 0) await sel4.Signal(this.condition)
    else this.broadcasting = false
  }
  async signal(sel4: SystemCalls): Promise<void> {
    if (this.waiters > 0) await sel4.Signal(this.condition)
  }
  async broadcast(sel4: SystemCalls): Promise<void> {
    this.broadcasting = this.waiters > 0
    await this.signal(sel4)
  }
}
