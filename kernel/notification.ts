/**
 * A notification: a word of signals, OR-ed together until somebody waits for it.
 *
 * One thread may be bound to it: while that thread receives on an endpoint, a signal ends the receive.
 */
import type { TraceContext } from '../lib/sel4/wire.ts'
import type { KernelObject, Region } from './cspace.ts'
import type { Process } from './process.ts'
import type { Tcb } from './tcb.ts'

export interface Waiter {
  readonly process: Process
  /** Absent: the process's runtime waits. */
  readonly thread?: Tcb
  deliver(word: number, context: TraceContext | undefined): void
  /** There is nothing to wait for any more. */
  withdraw(): void
}
/** As many as a process may have threads: who sends WAIT without end would fill the kernel with waiters. */
const WAITERS_MAX = 1024

export class Notification implements KernelObject {
  readonly type = 'Notification'
  references = 0
  readonly id: number
  readonly region?: Region
  bound?: Tcb
  private readonly gone: () => void
  private word = 0
  /** Of the last signal nobody has taken yet. */
  private context?: TraceContext
  private waiters: Waiter[] = []

  constructor(id: number, gone: () => void = () => {}, region?: Region) {
    this.id = id
    this.gone = gone
    this.region = region
  }
  describe(): string {
    return `Notification ${this.id}`
  }
  /** The badge of the capability it was signalled through; an unbadged signal is bit 0. */
  signal(badge: number, context?: TraceContext): void {
    if (context) this.context = context
    this.word = (this.word | (badge || 1)) >>> 0
    const receiving = this.bound?.receiving
    const waiter = receiving ? undefined : this.waiters.shift()
    if (receiving) {
      receiving.leave()
      receiving.receiver.thread.unblock()
      receiving.receiver.heard(this.take())
    } else if (waiter) this.give(waiter)
  }
  take(): number {
    const { word } = this
    this.word = 0
    this.context = undefined
    return word
  }
  /** False: as many wait already as may. */
  mayWait(): boolean {
    return this.waiters.length < WAITERS_MAX
  }
  wait(waiter: Waiter): void {
    if (this.word) this.give(waiter)
    else this.waiters.push(waiter)
  }
  private give(waiter: Waiter): void {
    const { context } = this
    waiter.deliver(this.take(), context)
  }
  get isAwaited(): boolean {
    return this.waiters.length > 0
  }
  leave(waiter: Waiter): void {
    this.waiters = this.waiters.filter((other) => other !== waiter)
  }
  forget(process: Process): void {
    this.waiters = this.waiters.filter((waiter) => waiter.process !== process)
  }

  // ------------------------------------------------------------ the bound thread

  bind(thread: Tcb): void {
    this.bound = thread
    thread.bound = this
  }
  unbind(): void {
    if (this.bound) this.bound.bound = undefined
    this.bound = undefined
  }
  destroy(): void {
    this.unbind()
    for (const waiter of this.waiters.splice(0)) waiter.withdraw()
    this.gone()
  }
}
