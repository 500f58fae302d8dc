/**
 * Messages in the model: who sends, who receives, which capabilities go along, who may answer whom.
 *
 * From the seL4 manual: 4 (message passing), 3.2.3 (reply capabilities), 6.2 (faults).
 */
import { FAULT } from '#contracts/sel4'
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
import { type Cap, capIn, capOf, missing, type Place, R, Refused, refuse, slotOf } from './tree.ts'

/** [Intel SDM 3] 6.15 */
const GENERAL_PROTECTION = 13
const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)

export class Messages extends Threads {
  /** The capabilities that go along must be there; afterwards they are looked up again, when the message is handed over. */
  protected checkCaps(thread: Thread, { caps }: Packet): void {
    for (const cptr of caps) capOf(thread.cspace, cptr)
  }
  send(thread: Thread, cptr: number, packet: Packet, blocks: boolean, call: boolean): unknown {
    const look = () => this.named(thread, cptr, packet)
    const cap = blocks ? this.sought(thread, false, look) : look()
    if (cap === WAITS) return WAITS
    if (!(cap.thing instanceof Endpoint)) {
      if (cap.thing instanceof Notification) this.signal(cap)
      else if (cap.thing instanceof Reply) this.answerThrough(thread, cap, packet)
      else return refuse('InvalidCapability')
      return call ? word(0) : null
    }
    if (!(cap.rights & R.write)) return refuse('InvalidCapability')
    const { badge, rights, thing } = cap
    const which = { thread, badge, rights, call, packet, through: cap, address: cptr }
    return this.offer(thing, { ...which, came: ++this.arrivals }, blocks)
  }
  private offer(endpoint: Endpoint, entry: Sending, blocks: boolean): unknown {
    const { thread, call } = entry
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
  /**
   * Differs from seL4: what waits along a session waits through its capability, and begins anew when that is gone; in the
   * kernel, as in seL4, it waits on.
   */
  lostItsWay(thread: Thread): void {
    const { doing, operation } = thread
    if (doing?.wait !== 'send' || !operation) return
    let cap: Cap | undefined
    outcomeOf(() => (cap = capOf(thread.cspace, doing.entry.address)))
    if (cap !== doing.entry.through) this.withdraw(thread)
  }
  /** One that does not wait says nothing of what kept it from being sent. */
  trySend(thread: Thread, cptr: number, packet: Packet): null {
    outcomeOf(() => this.send(thread, cptr, packet, false, false))
    return null
  }
  /** What is invoked, and what is to go along. */
  private named(thread: Thread, cptr: number, packet: Packet): Cap {
    const cap = capOf(thread.cspace, cptr)
    this.checkCaps(thread, packet)
    return cap
  }
  private readable(thread: Thread, cptr: number): Cap {
    const cap = capOf(thread.cspace, cptr)
    const { thing, rights } = cap
    if (!(thing instanceof Endpoint || thing instanceof Notification) || !(rights & R.read)) return missing(cptr)
    if (thing instanceof Notification && thing.bound && thing.bound !== thread) return missing(cptr)
    return cap
  }
  receive(thread: Thread, cptr: number, path: Path | undefined, blocks: boolean): unknown {
    const cap = this.sought(thread, true, () => this.readable(thread, cptr))
    if (cap === WAITS) return WAITS
    if (cap.thing instanceof Notification) return this.waitFor(thread, cap.thing, blocks)
    const thing = cap.thing as Endpoint
    this.dropCaller(thread)
    const heard = this.takeWord(thread.bound)
    if (heard) return word(heard)
    const together = this.firstOf(thing)
    if (together.length > 1 || together.some(({ thread: sender }) => this.along.has(sender)))
      return this.receiveAny(thread, thing, cap.rights, path, blocks)
    if (together.length) return this.takeFrom(thread, together[0], thing, cap.rights, path)
    if (!blocks) return null
    thing.receivers.push(thread)
    thread.doing = { wait: 'receive', at: thing, rights: cap.rights, path }
    return WAITS
  }
  /**
   * Who came first, or first of its process: what waits along sessions is perhaps taken back by the kernel when somebody
   * receives; it begins anew then, each process's in their order, and none is there for a moment.
   */
  protected firstOf({ senders }: Endpoint): Sending[] {
    if (!senders.some(({ thread }) => this.along.has(thread)))
      return senders.filter(({ came }) => came === senders[0].came)
    const isFirst = ({ thread, came }: Sending) =>
      !senders.some((other) => other.thread.life === thread.life && other.came < came)
    return senders.filter(isFirst)
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
      if (found === null && !blocks) return together.some(({ thread: sender }) => this.along.has(sender))
      const body = Array.isArray(found) ? found[2] : undefined
      const sender = together.find(({ packet }) => same(packet.body, body))
      const value = sender && this.takeFrom(thread, sender, endpoint, rights, path)
      return sender !== undefined && same(value, found)
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
    { thread, badge, rights, call, packet, fault }: Sending,
    endpoint: Endpoint,
    readRights: number,
    path: Path | undefined,
  ): Message {
    const answerable = call && (fault !== undefined || rights & (R.grant | R.grantReply)) !== 0
    if (call) thread.doing = { wait: 'answer', path: packet.path, fault }
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

  // ------------------------------------------------------------ faults

  /** [seL4 manual] 6.2.1: what is looked up in vain is a fault, for whom there is a handler. */
  private sought(thread: Thread, inReceive: boolean, look: () => Cap): Cap | typeof WAITS {
    try {
      return look()
    } catch (error) {
      if (!(error instanceof Refused && error.lookup)) throw error
      const { address, failure } = error.lookup
      if (this.fault(thread, FAULT.seL4_Fault_CapFault, [address, inReceive ? 1 : 0, ...failure])) return WAITS
      throw error
    }
  }
  /** [seL4 manual] 6.2: as if it called its handler. False: it has none. */
  private fault(thread: Thread, fault: number, words: readonly unknown[]): boolean {
    const handler = this.handlerOf(thread)
    if (!handler) return false
    const { thing, badge, rights } = handler
    const packet = { label: fault, body: [thread.entry, ...words], caps: [] }
    const which = { thread, badge, rights, call: true, packet, fault, through: handler, address: thread.faultEp }
    this.offer(thing as Endpoint, { ...which, came: ++this.arrivals }, true)
    return true
  }
  handlerOf({ cspace, faultEp }: Thread): Cap | undefined {
    let cap: Cap | undefined
    if (faultEp) outcomeOf(() => (cap = capOf(cspace, faultEp)))
    const answerable = cap && cap.rights & R.write && cap.rights & (R.grant | R.grantReply)
    return cap?.thing instanceof Endpoint && answerable ? cap : undefined
  }
  /** Without a handler it stops, and does the same again when it is resumed. */
  protected faulted(thread: Thread, fault: number, words: readonly unknown[]): typeof WAITS {
    if (!this.fault(thread, fault, words)) thread.state = 'suspended'
    return WAITS
  }
  unknownSyscall(thread: Thread, number: number): typeof WAITS {
    return this.faulted(thread, FAULT.seL4_Fault_UnknownSyscall, [number])
  }
  portIn(thread: Thread, port: number): typeof WAITS {
    return this.faulted(thread, FAULT.seL4_Fault_UserException, [GENERAL_PROTECTION, port])
  }
  /** [seL4 manual] 6.2.1 to 6.2.4: tried again whatever the answer, or, when the label is 0, gone on with. */
  private afterFault(thread: Thread, fault: number, { label, body }: Packet): void {
    thread.doing = undefined
    if (fault === FAULT.seL4_Fault_CapFault || fault === FAULT.seL4_Fault_VMFault) this.restarted.add(thread)
    else if (label === 0) this.done(thread, body)
    else thread.state = 'suspended'
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
    if (caller.doing?.wait === 'answer' && caller.doing.fault !== undefined) return
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
    const { path, fault } = caller.doing as Doing & { wait: 'answer' }
    if (fault !== undefined) return this.afterFault(caller, fault, packet)
    const message = this.hand(caller, from, { badge: 0, packet, mayGrant: canGrant, path })
    this.done(caller, [...message, false])
  }
  protected answerThrough(thread: Thread, cap: Cap, packet: Packet): null {
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
