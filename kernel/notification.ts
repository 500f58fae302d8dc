/** A notification: a word of signals, OR-ed together until somebody waits for it. */
import type { KernelObject } from './cspace.ts'

export interface Waiter {
  readonly process: unknown
  deliver(word: number): void
}
export class Notification implements KernelObject {
  readonly type = 'Notification'
  references = 0
  readonly id: number
  readonly destroy: () => void
  private word = 0
  private waiters: Waiter[] = []

  constructor(id: number, destroy: () => void = () => {}) {
    this.id = id
    this.destroy = destroy
  }
  describe(): string {
    return `Notification ${this.id}`
  }
  /** The badge of the capability it was signalled through; an unbadged signal is bit 0. */
  signal(badge: number): void {
    this.word = (this.word | (badge || 1)) >>> 0
    const waiter = this.waiters.shift()
    if (!waiter) return
    const { word } = this
    this.word = 0
    waiter.deliver(word)
  }
  wait(waiter: Waiter): void {
    const { word } = this
    this.word = 0
    if (word) waiter.deliver(word)
    else this.waiters.push(waiter)
  }
  forget(process: unknown): void {
    this.waiters = this.waiters.filter((waiter) => waiter.process !== process)
  }
}
