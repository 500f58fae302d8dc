/**
 * The model's threads: what each is doing, whom it waits for, how signals pass, what is begun anew.
 *
 * From the seL4 manual: 5 (notifications), 6.1 (threads).
 */
import { type Cap, R, Refused, refuse, Thing, Tree } from './tree.ts'

export interface Packet {
  readonly label: number
  /** Of a fault: what [seL4 manual] 6.2 lists. */
  readonly body: number | null | readonly unknown[]
  readonly caps: readonly number[]
  /** Where a capability that comes in answer goes. */
  readonly path?: Path
}
export type Path = readonly [root: number, index: number, depth: number]
/** badge, label, body, capabilities, which of them are shown by badge, those badges, whether it may be answered. */
export type Message = readonly [number, number, Packet['body'], number, number, readonly number[], boolean]

/** One system call or method under way. */
export interface Operation {
  readonly id: number
  readonly thread: Thread
  readonly name: string
  readonly args: readonly unknown[]
  /** Its effect in the model, at the moment it takes place. */
  readonly perform: () => unknown
  /** An object's method: it takes place when it reaches the kernel, not before. */
  readonly isMethod: boolean
  /** What it must come to; absent while it is to wait. */
  expected?: Expected
}
/** `choose`: several outcomes are right; the one that is found says which it was. */
export type Expected = { value: unknown } | { refused: readonly string[] } | { choose: (found: unknown) => boolean }
/** Returned by what waits. */
export const WAITS = Symbol('waits')

export type Doing =
  | { readonly wait: 'send'; readonly at: Endpoint; readonly entry: Sending }
  | { readonly wait: 'receive'; readonly at: Endpoint; readonly rights: number; readonly path?: Path }
  | { readonly wait: 'signal'; readonly at: Notification }
  | { readonly wait: 'answer'; readonly path?: Path; readonly fault?: number }
export interface Sending {
  readonly thread: Thread
  readonly badge: number
  readonly rights: number
  readonly call: boolean
  readonly packet: Packet
  /** The capability, and where its thread named it. */
  readonly through: Cap
  readonly address: number
  /** It is what its sender did, not what it says. */
  readonly fault?: number
  /** Those with one number came at once: nobody can say in which order. */
  readonly came: number
}
export class Endpoint extends Thing {
  senders: Sending[] = []
  receivers: Thread[] = []
}
export class Notification extends Thing {
  word = 0
  waiting: Thread[] = []
  bound?: Thread
}
export class Reply extends Thing {
  caller?: Thread
  canGrant = false
}
export class Thread extends Thing {
  state: 'inactive' | 'running' | 'suspended' = 'inactive'
  cspace?: Cap
  vspace?: Cap
  /** In whose address space it runs. */
  life?: { readonly name: string }
  /** A process's first. */
  isFirst = false
  started = false
  /** What it was told to run. */
  entry?: string
  /** Where, in its CSpace, its faults go to. */
  faultEp = 0
  buffer?: Cap
  bound?: Notification
  caller?: Reply
  doing?: Doing
  operation?: Operation
}

export class Threads extends Tree {
  arrivals = 0
  /** Messages may go along sessions, and meet in the receiver's process. */
  isLoose = false
  /** Whose message went so, or may by now. */
  along = new Set<Thread>()
  /** Withdrawn in the operation that is being performed: they make their system calls once more when it is over. */
  readonly restarted = new Set<Thread>()

  // ------------------------------------------------------------ waiting and being withdrawn

  done(thread: Thread, value: unknown): void {
    thread.doing = undefined
    if (thread.operation) thread.operation.expected = { value }
  }
  withdraw(thread: Thread): void {
    const { doing } = thread
    if (!doing) return
    if (this.isLoose) this.along.add(thread)
    this.leave(thread)
    this.restarted.add(thread)
  }
  protected leave(thread: Thread): void {
    const { doing } = thread
    thread.doing = undefined
    if (doing?.wait === 'send') doing.at.senders = doing.at.senders.filter((one) => one !== doing.entry)
    if (doing?.wait === 'receive') doing.at.receivers = doing.at.receivers.filter((one) => one !== thread)
    if (doing?.wait === 'signal') doing.at.waiting = doing.at.waiting.filter((one) => one !== thread)
    if (doing?.wait === 'answer') this.forgetCaller(thread)
  }
  /** Nobody can answer it any more: the reply, wherever it is, is gone. */
  protected forgetCaller(thread: Thread): void {
    for (const reply of this.replies) {
      if (reply.caller !== thread) continue
      reply.caller = undefined
      for (const cap of [...reply.caps]) this.delete(cap)
    }
  }
  protected readonly replies = new Set<Reply>()
  /** The code it ran is gone. */
  stopped: (thread: Thread) => void = () => {}
  /** It does nothing any more, and is not asked to begin again. */
  stop(thread: Thread): void {
    this.stopped(thread)
    this.leave(thread)
    this.restarted.delete(thread)
    thread.operation = undefined
  }
  suspend(thread: Thread): void {
    if (thread.state === 'running') thread.state = 'suspended'
    this.withdraw(thread)
  }

  // ------------------------------------------------------------ signals

  protected signal({ thing, rights, badge }: Cap): unknown {
    if (!(rights & R.write)) return refuse('InvalidCapability')
    const notification = thing as Notification
    // Differs from seL4: a signal without a badge is bit 0.
    const bit = badge || 1
    const { bound } = notification
    if (bound?.doing?.wait === 'receive') {
      // It may have been bound with signals in it.
      const heard = this.takeWord(notification) | bit
      this.leave(bound)
      this.done(bound, word(heard))
    } else {
      const waiter = notification.waiting.shift()
      if (waiter) this.done(waiter, word(bit))
      else notification.word |= bit
    }
    return null
  }
  protected takeWord(notification: Notification | undefined): number {
    const heard = notification?.word ?? 0
    if (notification) notification.word = 0
    return heard
  }
  protected waitFor(thread: Thread, notification: Notification, blocks: boolean): unknown {
    const heard = this.takeWord(notification)
    if (heard) return word(heard)
    if (!blocks) return null
    notification.waiting.push(thread)
    thread.doing = { wait: 'signal', at: notification }
    return WAITS
  }

  // ------------------------------------------------------------ the end of things

  endOfMeeting(thing: Endpoint | Notification): void {
    if (thing instanceof Endpoint)
      for (const thread of [...thing.senders.map((one) => one.thread), ...thing.receivers]) this.withdraw(thread)
    else {
      if (thing.bound) thing.bound.bound = undefined
      thing.bound = undefined
      for (const thread of [...thing.waiting]) this.withdraw(thread)
    }
  }
  /** Only those that wait to send. */
  cancelBadged(endpoint: Endpoint, badge: number): void {
    for (const { thread, badge: own } of [...endpoint.senders]) if (own === badge) this.withdraw(thread)
  }
  /** Withdrawn together, they come back together. */
  makeAgain(): void {
    const threads = [...this.restarted].filter(
      ({ state, operation }) => state === 'running' && operation?.isMethod === false,
    )
    this.restarted.clear()
    const came = ++this.arrivals
    for (const thread of threads) {
      const operation = thread.operation as Operation
      this.attempt(operation)
      this.whileItGoes(operation)
      const { doing } = thread
      if (doing?.wait === 'send') this.together(doing.at, doing.entry, came)
    }
    if (this.restarted.size) this.makeAgain()
  }
  /** It was made again while a revocation was under way: it names what the call met then. */
  private whileItGoes(operation: Operation): void {
    const { expected } = operation
    if (expected && 'refused' in expected && expected.refused.includes('seL4_FailedLookup'))
      operation.expected = { refused: [...expected.refused, 'seL4_InvalidCapability'] }
  }
  protected together(endpoint: Endpoint, entry: Sending, came: number): void {
    const again = { ...entry, came }
    endpoint.senders = endpoint.senders.map((one) => (one === entry ? again : one))
    entry.thread.doing = { wait: 'send', at: endpoint, entry: again }
  }
  /** With those that came since, it is in the kernel now, in an order that nobody can tell. */
  takenBack({ doing }: Thread, since: number): void {
    if (doing?.wait !== 'send') return
    const { at, entry } = doing
    const came = ++this.arrivals
    for (const one of [...at.senders]) if (one === entry || one.came > since) this.together(at, one, came)
  }
  /** Performs an operation and notes what it must come to. */
  attempt(operation: Operation): void {
    try {
      const value = operation.perform()
      if (value === WAITS) return
      const choice = value !== null && typeof value === 'object' && 'choose' in value
      operation.expected = choice ? (value as Expected) : { value }
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      operation.expected = { refused: error.names }
    }
  }
}
export const word = (value: number): Message => [value, 0, null, 0, 0, [], false]
export function outcomeOf(act: () => unknown): Refused | undefined {
  try {
    act()
    return undefined
  } catch (error) {
    if (error instanceof Refused) return error
    throw error
  }
}
