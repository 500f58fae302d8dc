/** A notification: a word of signals, OR-ed together until somebody waits for it. */
import type { TraceContext } from '../lib/sel4/wire.ts'
import type { KernelObject } from './cspace.ts'

export interface Waiter {
  readonly process: unknown
  deliver(word: number, context: TraceContext | undefined): void
}
export class Notification implements KernelObject {
  readonly type = 'Notification'
  references = 0
  readonly id: number
  readonly destroy: () => void
  private word = 0
  /** Of the last signal nobody has taken yet. */
  private context?: TraceContext
  private waiters: Waiter[] = []

  constructor(id: number, destroy: () => void = () => {}) {
    this.id = id
    this.destroy = destroy
  }
  describe(): string {
    return `Notification ${this.id}`
  }
  /** The badge of the capability it was signalled through; an unbadged signal is bit 0. */
  signal(badge: number, context?: TraceContext): void {
    if (context) this.context = context
    this.word = (this.word | (badge || 1)) >>> 0
    const waiter = this.waiters.shift()
    if (!waiter) return
    this.give(waiter)
  }
  wait(waiter: Waiter): void {
    if (this.word) this.give(waiter)
    else this.waiters.push(waiter)
  }
  private give(waiter: Waiter): void {
    const { word, context } = this
    this.word = 0
    this.context = undefined
    waiter.deliver(word, context)
  }
  forget(process: unknown): void {
    this.waiters = this.waiters.filter((waiter) => waiter.process !== process)
  }
}
