/**
 * Messages in the model: who sends, who receives, which capabilities go along, who may answer whom.
 *
 * From the seL4 manual: 4 (message passing), 3.2.3 (reply capabilities).
 */
import {
  type Doing,
  Endpoint,
  type Expected,
  type Message,
  Notification,
  outcomeOf,
  type Packet,
  type Path,
  Reply,
  type Sending,
  type Thread,
  Threads,
  WAITS,
  word,
} from './threads.ts'
import { type Cap, capIn, capOf, type Place, R, refuse, slotOf } from './tree.ts'

export class Messages extends Threads {
  /** The capabilities that go along must be there; afterwards they are looked up again, when the message is handed over. */
  protected checkCaps(thread: Thread, { caps }: Packet): void {
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
  protected sendable(thread: Thread, cptr: number): Cap {
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
  protected firstOf({ senders }: Endpoint): Sending[] {
    return this.isLoose ? senders : senders.filter(({ came }) => came === senders[0].came)
  }
  /** Some stand first together. */
  protected receiveAny(
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
  protected takeFrom(
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
  protected meet(
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
  protected hand(
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
  protected mayGo(cap: Cap): boolean {
    return outcomeOf(() => this.checkDerivable(cap)) === undefined
  }
  protected extraCaps(from: Thread, { caps }: Packet): Cap[] {
    const found: Cap[] = []
    const failed = outcomeOf(() => {
      for (const cptr of caps) found.push(capOf(from.cspace, cptr))
    })
    return failed ? [] : found
  }
  protected receivePlace({ cspace }: Thread, path: Path | undefined): Place | undefined {
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
  protected answerTo(from: Thread, reply: Reply, packet: Packet): void {
    const { caller, canGrant } = reply
    reply.caller = undefined
    this.replies.delete(reply)
    if (!caller) return
    const { path } = caller.doing as Doing & { wait: 'answer' }
    const message = this.hand(caller, from, { badge: 0, packet, mayGrant: canGrant, path })
    this.done(caller, [...message, false])
  }
  protected answerThrough(thread: Thread, cap: Cap, packet: Packet): null {
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
}
