/**
 * The model's threads: what each is doing, whom it waits for, and how messages and signals pass.
 *
 * From the seL4 manual: 4 (message passing), 5 (notifications), 6.1 (threads), 3.2.3 (reply capabilities).
 */
import { type Cap, capIn, capOf, type Place, R, Refused, refuse, slotOf, Thing, Tree } from './tree.ts'

export interface Packet {
  readonly label: number
  readonly body: number | null
  readonly caps: readonly number[]
  /** Where a capability that comes in answer goes. */
  readonly path?: Path
}
export type Path = readonly [root: number, index: number, depth: number]
/** badge, label, body, capabilities, which of them are shown by badge, those badges, whether it may be answered. */
export type Message = readonly [number, number, number | null, number, number, readonly number[], boolean]

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
  | { readonly wait: 'answer'; readonly path?: Path }
export interface Sending {
  readonly thread: Thread
  readonly badge: number
  readonly rights: number
  readonly call: boolean
  readonly packet: Packet
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
  entry = false
  bound?: Notification
  caller?: Reply
  doing?: Doing
  operation?: Operation
}

export class Threads extends Tree {
  private arrivals = 0
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
    this.leave(thread)
    this.restarted.add(thread)
  }
  private leave(thread: Thread): void {
    const { doing } = thread
    thread.doing = undefined
    if (doing?.wait === 'send') doing.at.senders = doing.at.senders.filter((one) => one !== doing.entry)
    if (doing?.wait === 'receive') doing.at.receivers = doing.at.receivers.filter((one) => one !== thread)
    if (doing?.wait === 'signal') doing.at.waiting = doing.at.waiting.filter((one) => one !== thread)
    if (doing?.wait === 'answer') this.forgetCaller(thread)
  }
  /** Nobody can answer it any more: the reply, wherever it is, is gone. */
  private forgetCaller(thread: Thread): void {
    for (const reply of this.replies) {
      if (reply.caller !== thread) continue
      reply.caller = undefined
      for (const cap of [...reply.caps]) this.delete(cap)
    }
  }
  private readonly replies = new Set<Reply>()
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

  // ------------------------------------------------------------ messages

  /** The capabilities that go along must be there; afterwards they are looked up again, when the message is handed over. */
  private checkCaps(thread: Thread, { caps }: Packet): void {
    for (const cptr of caps) capOf(thread.cspace, cptr)
  }
  send(thread: Thread, cptr: number, packet: Packet, blocks: boolean, call: boolean): unknown {
    const cap = this.sendable(thread, cptr)
    if (!(cap.thing instanceof Endpoint)) {
      if (cap.thing instanceof Notification) this.signal(cap)
      else this.answerThrough(thread, cap, packet)
      return call ? word(0) : null
    }
    if (!(cap.rights & R.write)) return refuse('InvalidCapability')
    this.checkCaps(thread, packet)
    const endpoint = cap.thing
    const entry: Sending = { thread, badge: cap.badge, rights: cap.rights, call, packet, came: ++this.arrivals }
    const receiver = endpoint.receivers.shift()
    if (receiver) {
      const { rights, path } = receiver.doing as Doing & { wait: 'receive' }
      this.done(receiver, this.meet(receiver, entry, endpoint, rights, path))
      return call ? WAITS : null
    }
    if (!blocks) return null
    endpoint.senders.push(entry)
    thread.doing = { wait: 'send', at: endpoint, entry }
    return WAITS
  }
  /** One that does not wait says nothing of what kept it from being sent. */
  trySend(thread: Thread, cptr: number, packet: Packet): null {
    outcomeOf(() => this.send(thread, cptr, packet, false, false))
    return null
  }
  private sendable(thread: Thread, cptr: number): Cap {
    const cap = capOf(thread.cspace, cptr)
    const { thing } = cap
    if (thing instanceof Endpoint || thing instanceof Notification || thing instanceof Reply) return cap
    return refuse('FailedLookup', 'InvalidCapability')
  }
  receive(thread: Thread, cptr: number, path: Path | undefined, blocks: boolean): unknown {
    const cap = capOf(thread.cspace, cptr)
    const { thing } = cap
    if (!(thing instanceof Endpoint || thing instanceof Notification) || !(cap.rights & R.read))
      return refuse('FailedLookup', 'InvalidCapability')
    if (thing instanceof Notification) return this.waitFor(thread, thing, blocks)
    this.dropCaller(thread)
    const heard = this.takeWord(thread.bound)
    if (heard) return word(heard)
    const together = this.firstOf(thing)
    if (together.length > 1 || (together.length && this.isLoose))
      return this.receiveAny(thread, thing, cap.rights, path, blocks)
    if (together.length) return this.takeFrom(thread, together[0], thing, cap.rights, path)
    if (!blocks) return null
    thing.receivers.push(thread)
    thread.doing = { wait: 'receive', at: thing, rights: cap.rights, path }
    return WAITS
  }
  /**
   * Messages may meet in the receiver's process: when the kernel takes such an endpoint back, who waits to send begins
   * anew, in no order that can be told, and is not there for a moment.
   */
  isLoose = false
  private firstOf({ senders }: Endpoint): Sending[] {
    return this.isLoose ? senders : senders.filter(({ came }) => came === senders[0].came)
  }
  /** Some stand first together. */
  private receiveAny(
    thread: Thread,
    endpoint: Endpoint,
    rights: number,
    path: Path | undefined,
    blocks: boolean,
  ): Expected {
    const together = this.firstOf(endpoint)
    const choose = (found: unknown): boolean => {
      if (found === null && this.isLoose && !blocks) return true
      const body = Array.isArray(found) ? found[2] : undefined
      const sender = together.find(({ packet }) => packet.body === body)
      const value = sender && this.takeFrom(thread, sender, endpoint, rights, path)
      return sender !== undefined && JSON.stringify(value) === JSON.stringify(found)
    }
    return { choose }
  }
  private takeFrom(
    thread: Thread,
    sender: Sending,
    endpoint: Endpoint,
    rights: number,
    path: Path | undefined,
  ): Message {
    endpoint.senders = endpoint.senders.filter((other) => other !== sender)
    sender.thread.doing = undefined
    const message = this.meet(thread, sender, endpoint, rights, path)
    if (!sender.call) this.done(sender.thread, null)
    return message
  }
  /** A call without a right to be answered leaves its caller suspended. */
  private meet(
    receiver: Thread,
    { thread, badge, rights, call, packet }: Sending,
    endpoint: Endpoint,
    readRights: number,
    path: Path | undefined,
  ): Message {
    const answerable = call && (rights & (R.grant | R.grantReply)) !== 0
    if (call) thread.doing = { wait: 'answer', path: packet.path }
    const message = this.hand(receiver, thread, { badge, packet, mayGrant: (rights & R.grant) !== 0, endpoint, path })
    if (answerable) {
      const reply = new Reply('Reply', this.next())
      reply.caller = thread
      reply.canGrant = (readRights & R.grant) !== 0
      this.replies.add(reply)
      receiver.caller = reply
    } else if (call) this.suspend(thread)
    return [...message, answerable] as unknown as Message
  }
  /** [seL4 manual] 4.2.2: capabilities go along when the right is there; the first has a place to go to. */
  private hand(
    to: Thread,
    from: Thread,
    what: { badge: number; packet: Packet; mayGrant: boolean; endpoint?: Endpoint; path?: Path },
  ): readonly unknown[] {
    const { badge, packet, mayGrant, endpoint, path } = what
    const badges: number[] = []
    let [unwrapped, place] = [0, this.receivePlace(to, path)]
    for (const cap of mayGrant ? this.extraCaps(from, packet) : []) {
      if (endpoint && cap.thing === endpoint) {
        unwrapped |= 1 << badges.length
        badges.push(cap.badge)
      } else if (place && !place.table.closed && !capIn(place) && this.mayGo(cap)) {
        this.put(this.derive(cap, R.all), place)
        place = undefined
        badges.push(0)
      } else break
    }
    return [badge, packet.label, packet.body, badges.length, unwrapped, badges]
  }
  private mayGo(cap: Cap): boolean {
    return outcomeOf(() => this.checkDerivable(cap)) === undefined
  }
  private extraCaps(from: Thread, { caps }: Packet): Cap[] {
    const found: Cap[] = []
    const failed = outcomeOf(() => {
      for (const cptr of caps) found.push(capOf(from.cspace, cptr))
    })
    return failed ? [] : found
  }
  private receivePlace({ cspace }: Thread, path: Path | undefined): Place | undefined {
    let place: Place | undefined
    if (path) outcomeOf(() => (place = slotOf(capOf(cspace, path[0]), path[1], path[2])))
    return place
  }

  // ------------------------------------------------------------ answers

  protected dropCaller(thread: Thread): void {
    if (thread.caller) thread.caller.caller = undefined
    thread.caller = undefined
  }
  /** Differs from seL4: who waits for an answer of a process that died hears so. */
  protected bereave(reply: Reply | undefined): void {
    const caller = reply?.caller
    if (!reply || !caller) return
    reply.caller = undefined
    this.replies.delete(reply)
    caller.doing = undefined
    if (caller.operation) caller.operation.expected = { refused: ['serverDied'] }
  }
  /** On a session its caller hears of a death even when the answer had been given up before. */
  heardOfDeath(thread: Thread): boolean {
    if (!this.isLoose || thread.doing?.wait !== 'answer') return false
    this.leave(thread)
    if (thread.operation) thread.operation.expected = { refused: ['serverDied'] }
    return true
  }
  answer(thread: Thread, packet: Packet): null {
    const { caller } = thread
    thread.caller = undefined
    if (caller) this.answerTo(thread, caller, packet)
    return null
  }
  private answerTo(from: Thread, reply: Reply, packet: Packet): void {
    const { caller, canGrant } = reply
    reply.caller = undefined
    this.replies.delete(reply)
    if (!caller) return
    const { path } = caller.doing as Doing & { wait: 'answer' }
    const message = this.hand(caller, from, { badge: 0, packet, mayGrant: canGrant, path })
    this.done(caller, [...message, false])
  }
  private answerThrough(thread: Thread, cap: Cap, packet: Packet): null {
    this.checkCaps(thread, packet)
    this.answerTo(thread, cap.thing as Reply, packet)
    this.delete(cap)
    return null
  }
  saveCaller(thread: Thread, place: Place): null {
    const { caller } = thread
    thread.caller = undefined
    if (caller?.caller) this.put(this.reply(caller), place)
    return null
  }

  // ------------------------------------------------------------ signals

  private signal({ thing, rights, badge }: Cap): unknown {
    if (!(rights & R.write)) return refuse('InvalidCapability')
    const notification = thing as Notification
    // Differs from seL4: a signal without a badge is bit 0.
    const bit = badge || 1
    const { bound } = notification
    if (bound?.doing?.wait === 'receive') {
      this.leave(bound)
      this.done(bound, word(bit))
    } else {
      const waiter = notification.waiting.shift()
      if (waiter) this.done(waiter, word(bit))
      else notification.word |= bit
    }
    return null
  }
  private takeWord(notification: Notification | undefined): number {
    const heard = notification?.word ?? 0
    if (notification) notification.word = 0
    return heard
  }
  private waitFor(thread: Thread, notification: Notification, blocks: boolean): unknown {
    if (notification.bound && notification.bound !== thread) return refuse('InvalidCapability', 'FailedLookup')
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
      const { doing } = thread
      if (doing?.wait === 'send') this.together(doing.at, doing.entry, came)
    }
    if (this.restarted.size) this.makeAgain()
  }
  private together(endpoint: Endpoint, entry: Sending, came: number): void {
    const again = { ...entry, came }
    endpoint.senders = endpoint.senders.map((one) => (one === entry ? again : one))
    entry.thread.doing = { wait: 'send', at: endpoint, entry: again }
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
const word = (value: number): Message => [value, 0, null, 0, 0, [], false]
export function outcomeOf(act: () => unknown): Refused | undefined {
  try {
    act()
    return undefined
  } catch (error) {
    if (error instanceof Refused) return error
    throw error
  }
}
