/**
 * One process's side of IPC: sessions to others (routes), sessions from others, notifications, and requests to and from
 * the kernel.
 *
 *   sender                      kernel                     receiver
 *     │ openSession(cptr) ───────► │ ── sessionOpen ─────────► │
 *     │                            │ ◄──────────── confirmed ──│
 *     │ ◄── session, address ──────│                           │
 *     │ CALL ────────────────────────────────────────────────► │   one hop, no kernel
 *     │ ◄──────────────────────────────────────────────── REPLY│
 *
 * With an empty address the same messages go through the kernel (slow path). A session carries a window of credits: a
 * call holds one until its reply, a send until the receiver gives it back. Nothing here has a timer of its own.
 *
 * Never decides about authority: it uses what the kernel opened, and refuses what the kernel did not announce.
 */
import { MalformedError } from '#contracts/field'
import type { Client, Handlers, Interface, Method } from '#contracts/interface'
import { StatusError, statusName } from '#rtl'
import type { Answer, Caller, CPtr, Received, Registers, ReplyHandle, Sel4 } from './api.ts'
import { SEL4_ERROR, Sel4Error, type Sel4ErrorName } from './api.ts'
import { MappedRegisters, PUSH_ONLY } from './registers.ts'
import { makeClient, ServiceTable } from './stub.ts'
import { Tracer } from './tracer.ts'
import type { PeerLink, ProcessTransport, RouteInfo, SessionInfo } from './transport.ts'
import {
  ASK,
  contextOf,
  decodeBody,
  encode,
  FLAG,
  flagsOf,
  isSound,
  KIND,
  labelOf,
  MESSAGE_MAX,
  OFFENCE,
  OP,
  sequenceOf,
  sessionOf,
  setSession,
  setThread,
  traced,
} from './wire.ts'

const ERROR_NAMES = new Map<number, Sel4ErrorName>(
  Object.entries(SEL4_ERROR).map(([name, code]) => [code, name as Sel4ErrorName]),
)
export const sel4Error = (code: number, detail?: unknown): Sel4Error =>
  new Sel4Error(ERROR_NAMES.get(code) ?? 'seL4_InvalidArgument', typeof detail === 'string' ? detail : undefined)
/** Closed sessions remembered, so that messages already under way are refused and not taken for a lie. */
const TOMBSTONES_MAX = 4096
/** A process is known by what it waits for longest. */
const WAITS_SHOWN = 4
/** What an access is called where it is shown. */
const ACCESS: Readonly<Record<number, string>> = {
  [KIND.PORT_IN]: 'PORT_IN',
  [KIND.PORT_OUT]: 'PORT_OUT',
  [KIND.MMIO_READ]: 'MMIO_READ',
  [KIND.DOORBELL]: 'DOORBELL',
  [KIND.IRQ]: 'interrupt',
}

/** A request on its way along a route. */
interface Pending {
  message: Buffer
  readonly route: Route
  readonly expectsReply: boolean
  resolve(answer: Answer): void
  reject(error: Error): void
}
/** A connection to one peer process; the kernel's gate is one, too. */
interface Link {
  readonly peer: PeerLink
  readonly pending: Map<number, Pending>
  routes: number
}
/** What a send capability of ours leads to. */
export interface Route {
  readonly cptr: CPtr
  state: 'closed' | 'opening' | 'open'
  session: number
  credits: number
  /** Of receivers, while it was open. */
  deaths: number
  link?: Link
  info?: RouteInfo
  opening?: Promise<void>
  waiting: Pending[]
}
/** Somebody else's session to us. */
export interface InSession {
  readonly info: SessionInfo
  readonly identity: Buffer
  /** Credits the sender has used and not got back. */
  outstanding: number
  /** Sends taken since the last CREDIT. */
  taken: number
  readonly inbox?: Inbox
}
class Inbox {
  readonly queue: { received: Received; session: InSession; message: Buffer }[] = []
  waiter?: (received: Received) => void
  table?: ServiceTable
}
class ReplyTo implements ReplyHandle {
  readonly id: number
  readonly session: InSession
  readonly context?: Uint8Array
  used = false
  constructor(id: number, session: InSession, context: Uint8Array | undefined) {
    this.id = id
    this.session = session
    this.context = context
  }
}
export interface Counters {
  sent: number
  received: number
  bytesSent: number
  bytesReceived: number
  calls: number
  faults: number
}
/** Accesses to a chip, when this process is one. */
export type DeviceAccess = (session: InSession, message: Buffer) => void
type Ask = (body: unknown) => unknown

export class Runtime implements Sel4 {
  readonly transport: ProcessTransport
  readonly counters: Counters = { sent: 0, received: 0, bytesSent: 0, bytesReceived: 0, calls: 0, faults: 0 }
  readonly tracer: Tracer
  deviceAccess?: DeviceAccess
  /** A driver is about to use a device frame. */
  deviceOpened?: (info: SessionInfo) => void
  /** Called for an error that is ours: ends the process. */
  readonly die: (error: unknown) => void
  private readonly asked = new Map<number, Ask>()
  private readonly invocations = new Map<number, { resolve(body: unknown): void; reject(error: Error): void }>()
  private readonly routes = new Map<CPtr, Route>()
  private readonly links = new Map<string, Link>()
  private readonly kernelLink: Link
  private readonly sessions = new Map<number, InSession>()
  private readonly tombstones = new Map<number, string>()
  private readonly inboxes = new Map<number, Inbox>()
  private readonly bound = new Map<CPtr, Promise<Inbox>>()
  private readonly waits = new Map<number, { resolve(word: number): void; reject(error: Error): void }>()
  /** The WAIT the kernel has of a notification; it outlives its wait when an interrupt came along a session. */
  private readonly waitAt = new Map<CPtr, number>()
  /** Signals nobody has waited for. */
  private readonly latched = new Map<CPtr, number>()
  /** What woke whoever waited for a notification last, while somebody watches. */
  private readonly signals = new Map<CPtr, Uint8Array>()
  private readonly mapped: MappedRegisters[] = []
  private sequence = 0

  constructor(transport: ProcessTransport, die: (error: unknown) => void, now: () => number, random: () => number) {
    this.transport = transport
    this.die = die
    this.tracer = new Tracer(now, random)
    const peer = { send: (message: Buffer) => transport.gate(message), close() {} }
    this.kernelLink = { peer, pending: new Map(), routes: 0 }
    this.asked.set(ASK.sessionOpen, (body) => this.openFor(body as SessionInfo))
    this.asked.set(ASK.sessionClose, (body) => this.closeFor(body as number[]))
    this.asked.set(ASK.routeClosed, (body) => this.routesClosed(body as [number[], string, boolean]))
    this.asked.set(ASK.irqRoute, (body) => this.irqRouted(body as [number, RouteInfo]))
    this.asked.set(ASK.barrier, () => null)
    this.asked.set(ASK.counters, () => ({ ...this.counters, queued: this.queued(), waits: this.waitsFor() }))
    this.asked.set(ASK.trace, (body) => this.tracer.enable(body === true))
    this.asked.set(ASK.spans, () => this.tracer.take())
  }

  // ------------------------------------------------------------ kernel

  /** In the name of a thread; `service` is the capability an object's method is invoked on. */
  invoke(op: number, body: unknown, thread = 0, service = 0): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const sequence = this.nextSequence()
      this.invocations.set(sequence, { resolve, reject })
      const message = encode(KIND.INVOKE, 0, op, service, sequence, body, this.tracer.current())
      if (thread) setThread(message, thread)
      this.transport.gate(message)
    })
  }
  /** Answers a kind of request the kernel makes of this process. */
  whenAsked(ask: number, handler: Ask): void {
    this.asked.set(ask, handler)
  }
  tell(kind: number, label: number, session: number, body: unknown, context?: Uint8Array): void {
    this.transport.gate(encode(kind, 0, label, session, 0, body, context))
  }

  onGate(message: Buffer): void {
    const kind = message[0]
    if (kind === KIND.CALL || kind === KIND.SEND || (kind >= KIND.PORT_IN && kind <= KIND.DOORBELL))
      return this.incoming(undefined, message)
    if (kind === KIND.REPLY || kind === KIND.CREDIT) return this.onLink(this.kernelLink, message)
    if (kind === KIND.NOTIFY) return this.notified(message)
    if (kind === KIND.RESULT) return this.result(message)
    if (kind === KIND.PING) return this.tell(KIND.PONG, 0, 0, null)
    if (kind === KIND.INVOKE) this.answerKernel(message)
  }
  private answerKernel(message: Buffer): void {
    const sequence = sequenceOf(message)
    const respond = (flags: number, body: unknown) =>
      this.transport.gate(encode(KIND.RESULT, flags, 0, 0, sequence, body))
    const result = this.asked.get(labelOf(message))?.(decodeBody(message)) ?? null
    if (result instanceof Promise)
      result.then(
        (body) => respond(0, body),
        (error) => this.die(error),
      )
    else respond(0, result)
  }
  private result(message: Buffer): void {
    const sequence = sequenceOf(message)
    const invocation = this.invocations.get(sequence)
    if (!invocation) return
    this.invocations.delete(sequence)
    const body = decodeBody(message)
    if (flagsOf(message) & FLAG.ERROR) invocation.reject(sel4Error(labelOf(message), body))
    else invocation.resolve(body)
  }
  private nextSequence(): number {
    this.sequence = (this.sequence + 1) >>> 0
    return this.sequence
  }
  private queued(): number {
    let queued = 0
    for (const inbox of this.inboxes.values()) queued += inbox.queue.length
    for (const route of this.routes.values()) queued += route.waiting.length
    return queued
  }

  /** For people: the oldest calls nobody has answered yet, each with its session. */
  private waitsFor(): [number, string][] {
    const pending = [this.kernelLink, ...this.links.values()].flatMap((link) => [...link.pending.values()])
    const calls = pending.filter(({ message }) => message[0] === KIND.CALL).slice(0, WAITS_SHOWN)
    return calls.map(({ message }) => [sessionOf(message), this.tracer.nameOf(labelOf(message))])
  }
  get trace(): Tracer {
    return this.tracer
  }

  // ------------------------------------------------------------ out: routes

  call(endpoint: CPtr, label: number, body: unknown, method?: Method, args?: object): Promise<Answer> {
    this.counters.calls++
    if (!this.tracer.enabled) return this.request(endpoint, KIND.CALL, label, body)
    const send = (context: Uint8Array) => this.request(endpoint, KIND.CALL, label, body, context)
    return this.tracer.call(method?.name ?? this.tracer.nameOf(label), args, send, method?.spec.parks)
  }
  async send(endpoint: CPtr, label: number, body: unknown): Promise<void> {
    await this.request(endpoint, KIND.SEND, label, body, this.tracer.current())
  }
  /** A message along the session behind `cptr`, opened on first use. */
  request(cptr: CPtr, kind: number, label: number, body: unknown, context?: Uint8Array): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const message = encode(kind, 0, label, 0, 0, body, context)
      if (message.length > MESSAGE_MAX) return reject(new Sel4Error('seL4_RangeError', 'message too long'))
      const route = this.routes.get(cptr) ?? this.newRoute(cptr)
      this.submit({ message, route, expectsReply: kind !== KIND.SEND, resolve, reject })
    })
  }
  /** A one-way message that needs no credit: the receiver keeps nothing of it. Nothing when the route is not open. */
  nudge(route: Route, kind: number): void {
    if (route.state !== 'open') return
    const nudge = (context?: Uint8Array) => this.post(route, encode(kind, 0, 0, route.session, 0, null, context))
    if (!this.tracer.enabled) return nudge()
    const span = this.tracer.begin(`→ ${ACCESS[kind]}`, this.tracer.current())
    nudge(span.context)
    span.end()
  }
  /** An access to a register: a request with a span of its own while somebody watches. */
  reach(cptr: CPtr, kind: number, label: number, value: number | null): Promise<Answer> {
    if (!this.tracer.enabled) return this.request(cptr, kind, label, value)
    const send = (context: Uint8Array) => this.request(cptr, kind, label, value, context)
    return this.tracer.call(accessName(kind, label), value === null ? undefined : { value }, send)
  }
  /** A device's line: its driver's session, opened by the kernel. Its key is no capability's. */
  private irqRouted([index, info]: [number, RouteInfo]): null {
    const route = this.newRoute(irqKey(index))
    this.opened(route, info)
    return null
  }
  /** False: the kernel has to be told. */
  interrupt(index: number): boolean {
    const route = this.routes.get(irqKey(index))
    if (route?.state !== 'open') return false
    this.nudge(route, KIND.IRQ)
    return true
  }
  interruptsDirectly(index: number): boolean {
    return this.routes.get(irqKey(index))?.state === 'open'
  }
  async openRoute(cptr: CPtr): Promise<Route> {
    const route = this.routes.get(cptr) ?? this.newRoute(cptr)
    if (route.state !== 'open') await this.open(route)
    return route
  }
  private newRoute(cptr: CPtr): Route {
    const route: Route = { cptr, state: 'closed', session: 0, credits: 0, deaths: 0, waiting: [] }
    this.routes.set(cptr, route)
    return route
  }
  private submit(pending: Pending): void {
    const { route } = pending
    if (route.credits > 0 && !route.waiting.length) return this.dispatch(pending)
    route.waiting.push(pending)
    if (route.state === 'closed') void this.open(route).catch(() => {})
  }
  private dispatch(pending: Pending): void {
    const { route, message } = pending
    const link = route.link as Link
    if (!fits(message[0], route.info as RouteInfo))
      return pending.reject(new Sel4Error('seL4_InvalidCapability', `it opens ${route.info?.target}`))
    route.credits--
    setSession(message, route.session)
    if (pending.expectsReply) {
      const sequence = this.nextSequence()
      message.writeUInt32LE(sequence, 12)
      link.pending.set(sequence, pending)
    }
    this.post(route, message)
    if (!pending.expectsReply) pending.resolve({ label: 0, body: null })
  }
  private post(route: Route, message: Buffer): void {
    this.counters.sent++
    this.counters.bytesSent += message.length
    ;(route.link as Link).peer.send(message)
  }
  private open(route: Route): Promise<void> {
    route.opening ??= this.openNow(route).finally(() => (route.opening = undefined))
    return route.opening
  }
  private async openNow(route: Route): Promise<void> {
    route.state = 'opening'
    try {
      this.opened(route, (await this.invoke(OP.openSession, [route.cptr])) as RouteInfo)
    } catch (error) {
      this.closeRoute(route)
      for (const pending of route.waiting.splice(0)) pending.reject(error as Error)
      throw error
    }
  }
  private opened(route: Route, info: RouteInfo): void {
    const link = this.linkTo(info)
    link.routes++
    Object.assign(route, { state: 'open', session: info.session, credits: info.window, link, info })
    this.pump(route)
  }
  private linkTo({ address, identity }: RouteInfo): Link {
    if (!address) return this.kernelLink
    const known = this.links.get(address)
    if (known) return known
    const peer = this.transport.connect(address, identity, (message) => this.onLink(link, message))
    const link: Link = { peer, pending: new Map(), routes: 0 }
    this.links.set(address, link)
    return link
  }
  private pump(route: Route): void {
    while (route.state === 'open' && route.credits > 0 && route.waiting.length)
      this.dispatch(route.waiting.shift() as Pending)
  }
  private closeRoute(route: Route): void {
    if (route.link) route.link.routes--
    Object.assign(route, { state: 'closed', session: 0, credits: 0, link: undefined, info: undefined })
  }
  private onLink(link: Link, message: Buffer): void {
    this.counters.received++
    this.counters.bytesReceived += message.length
    if (message[0] === KIND.CREDIT) return this.credited(link, message)
    if (message[0] !== KIND.REPLY) return
    const sequence = sequenceOf(message)
    const pending = link.pending.get(sequence)
    if (!pending) return
    link.pending.delete(sequence)
    const { route } = pending
    if (route.link === link) {
      route.credits++
      if (route.waiting.length) this.pump(route)
    }
    this.settle(pending, message)
  }
  private settle(pending: Pending, message: Buffer): void {
    if (!isSound(message)) return pending.reject(new Sel4Error('seL4_TruncatedMessage', 'malformed answer'))
    const body = decodeBody(message)
    if (flagsOf(message) & FLAG.ERROR) pending.reject(sel4Error(labelOf(message), body))
    else pending.resolve({ label: labelOf(message), body })
  }
  private credited(link: Link, message: Buffer): void {
    const session = sessionOf(message)
    for (const route of this.routes.values())
      if (route.link === link && route.session === session) {
        route.credits = Math.min(route.credits + labelOf(message), route.info?.window ?? 0)
        this.pump(route)
      }
  }
  /**
   * The kernel: these sessions are no more. `died`: their receiver is dead, nothing sent to it will be answered.
   * Otherwise the capability is gone; what the receiver had taken will still be answered.
   */
  private routesClosed([sessions, address, died]: [number[], string, boolean]): null {
    const closed = new Set(sessions)
    for (const route of this.routes.values()) if (closed.has(route.session)) this.routeClosed(route, died)
    const link = this.links.get(address)
    if (died && link) {
      this.links.delete(address)
      this.fail(link, () => true)
      link.peer.close()
    }
    if (died) this.fail(this.kernelLink, (pending) => closed.has(sessionOf(pending.message)))
    return null
  }
  private routeClosed(route: Route, died: boolean): void {
    this.closeRoute(route)
    if (died) route.deaths++
    if (!route.waiting.length) return
    if (died) return void this.open(route).catch(() => {})
    for (const pending of route.waiting.splice(0)) pending.reject(new Sel4Error('seL4_InvalidCapability'))
  }
  private fail(link: Link, which: (pending: Pending) => boolean): void {
    for (const [sequence, pending] of link.pending)
      if (which(pending)) {
        link.pending.delete(sequence)
        pending.reject(new Sel4Error('serverDied'))
      }
  }

  // ------------------------------------------------------------ in: sessions

  private openFor(info: SessionInfo): null {
    const inbox = info.target === 'endpoint' ? this.inboxOf(info.object) : undefined
    const identity = Buffer.from(info.identity)
    this.deviceOpened?.(info)
    this.sessions.set(info.session, { info, identity, outstanding: 0, taken: 0, inbox })
    return null
  }
  private closeFor(ids: number[]): null {
    for (const id of ids) {
      const session = this.sessions.get(id)
      if (!session) continue
      this.sessions.delete(id)
      this.tombstones.set(id, session.info.identity)
      if (session.inbox) this.discard(session.inbox, session)
    }
    for (const id of this.tombstones.keys()) {
      if (this.tombstones.size <= TOMBSTONES_MAX) break
      this.tombstones.delete(id)
    }
    return null
  }
  /** What nobody has taken yet is refused. */
  private discard(inbox: Inbox, session: InSession): void {
    const left = inbox.queue.filter((entry) => entry.session === session)
    if (!left.length) return
    const kept = inbox.queue.filter((entry) => entry.session !== session)
    inbox.queue.splice(0, inbox.queue.length, ...kept)
    for (const { received } of left)
      if (received.reply) this.refuse(received.reply as ReplyTo, 'seL4_InvalidCapability')
  }
  private inboxOf(object: number): Inbox {
    let inbox = this.inboxes.get(object)
    if (!inbox) this.inboxes.set(object, (inbox = new Inbox()))
    return inbox
  }
  onPeer(identity: Buffer, message: Buffer): void {
    this.incoming(identity, message)
  }
  /** `identity` undefined: the kernel vouches for the sender (slow path). */
  private incoming(identity: Buffer | undefined, message: Buffer): void {
    this.counters.received++
    this.counters.bytesReceived += message.length
    if (message.length <= 40) return this.fault(0, message)
    const session = this.sessions.get(sessionOf(message))
    if (!session || (identity ? !session.identity.equals(identity) : session.identity.length !== 0))
      return this.stranger(identity, message)
    if (!isSound(message)) return this.fault(session.info.session, message)
    if (message[0] === KIND.IRQ && session.info.target === 'irq') return this.interrupted(session, message)
    if (message[0] === KIND.DOORBELL && !session.inbox) return this.reached(session, message)
    if (++session.outstanding > session.info.window) return this.reject(session, message, OFFENCE.credits)
    if (message[0] !== KIND.CALL && message[0] !== KIND.SEND) return this.access(session, message)
    if (!session.inbox) return this.reject(session, message)
    this.deliver(session, session.inbox, message)
  }
  private access(session: InSession, message: Buffer): void {
    if (session.inbox || !this.deviceAccess) return this.reject(session, message)
    this.reached(session, message)
  }
  private reached(session: InSession, message: Buffer): void {
    if (!this.tracer.enabled) return this.deviceAccess?.(session, message)
    const parent = traced(message) ? contextOf(message) : undefined
    const name = accessName(message[0], labelOf(message))
    this.tracer.span(name, parent, undefined, () => this.deviceAccess?.(session, message))
  }
  /** Well-formed, but not what this session is for: answered, so that nobody waits, and reported. */
  reject(session: InSession, message: Buffer, offence: number = OFFENCE.message): void {
    if (expectsAnswer(message))
      this.answerSession(session, FLAG.ERROR, SEL4_ERROR.seL4_IllegalOperation, sequenceOf(message), null)
    this.fault(session.info.session, message, offence)
  }
  private stranger(identity: Buffer | undefined, message: Buffer): void {
    const id = sessionOf(message)
    const was = this.tombstones.get(id)
    const same = was !== undefined && was === (identity?.toString() ?? '')
    if (!same) this.fault(id, message)
    if (!expectsAnswer(message)) return
    this.answer(
      identity ?? Buffer.alloc(0),
      FLAG.ERROR,
      SEL4_ERROR.seL4_InvalidCapability,
      id,
      sequenceOf(message),
      null,
    )
  }
  /** To the kernel: that a message was refused, and the raw bytes when they themselves are the offence; it judges them. */
  fault(session: number, message: Buffer, offence: number = OFFENCE.message): void {
    this.counters.faults++
    this.tell(KIND.FAULT, offence, session, isSound(message) ? null : message.subarray(0, MESSAGE_MAX - 1024))
  }
  private deliver(session: InSession, inbox: Inbox, message: Buffer): void {
    const context = traced(message) ? contextOf(message) : undefined
    const reply = message[0] === KIND.CALL ? new ReplyTo(sequenceOf(message), session, context) : undefined
    if (inbox.table) return this.serveOne(inbox.table, session, message, reply, context)
    const received = { badge: session.info.badge, label: labelOf(message), body: decodeBody(message), reply }
    const { waiter } = inbox
    if (!waiter) return void inbox.queue.push({ received, session, message })
    inbox.waiter = undefined
    if (!reply) this.took(session)
    waiter(received)
  }
  /** A send has left the queue: its credit goes back, half a window at a time. */
  private took(session: InSession): void {
    session.taken++
    if (session.taken * 2 < session.info.window) return
    session.outstanding -= session.taken
    this.answerMessage(session.identity, encode(KIND.CREDIT, 0, session.taken, session.info.session, 0, null))
    session.taken = 0
  }
  private serveOne(
    table: ServiceTable,
    session: InSession,
    message: Buffer,
    reply: ReplyTo | undefined,
    context: Uint8Array | undefined,
  ): void {
    const label = labelOf(message)
    let accepted: ReturnType<ServiceTable['accept']>
    try {
      accepted = table.accept(label, decodeBody(message))
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error
      if (reply) this.refuse(reply, 'seL4_InvalidArgument', error.message)
      return this.fault(session.info.session, message)
    }
    const caller: Caller = { badge: session.info.badge, reply }
    const run = () => this.run(table, accepted, caller, session, reply)
    if (!this.tracer.enabled) return void run()
    const { method } = accepted.entry
    this.tracer.span(method.name, context, accepted.args as object, run, method.spec.parks)
  }
  private run(
    table: ServiceTable,
    accepted: ReturnType<ServiceTable['accept']>,
    caller: Caller,
    session: InSession,
    reply: ReplyTo | undefined,
  ): unknown {
    try {
      const result = table.run(accepted, caller)
      if (!(result instanceof Promise)) return this.finish(session, reply, 0, result)
      return result.then(
        (out) => this.finish(session, reply, 0, out),
        (error) => this.failed(session, reply, error),
      )
    } catch (error) {
      return this.failed(session, reply, error)
    }
  }
  private finish(session: InSession, reply: ReplyTo | undefined, label: number, body: unknown): void {
    if (!reply) this.took(session)
    else if (!reply.used) this.reply(reply, label, body)
  }
  private failed(session: InSession, reply: ReplyTo | undefined, error: unknown): void {
    if (!(error instanceof StatusError)) return this.die(error)
    if (this.tracer.enabled) this.tracer.note({ status: statusName(error.status) })
    this.finish(session, reply, error.status, null)
  }

  private bind(endpoint: CPtr): Promise<Inbox> {
    let inbox = this.bound.get(endpoint)
    if (!inbox) {
      inbox = this.invoke(OP.bindReceiver, [endpoint]).then((object) => this.inboxOf(object as number))
      inbox.catch(() => this.bound.delete(endpoint))
      this.bound.set(endpoint, inbox)
    }
    return inbox
  }
  async recv(endpoint: CPtr): Promise<Received> {
    const inbox = await this.bind(endpoint)
    const first = inbox.queue.shift()
    if (first) {
      if (!first.received.reply) this.took(first.session)
      return first.received
    }
    if (inbox.waiter) throw new Sel4Error('seL4_IllegalOperation', 'a recv is outstanding on this endpoint')
    return new Promise((resolve) => (inbox.waiter = resolve))
  }
  async serve<I extends Interface<any>>(
    endpoint: CPtr,
    parts: readonly { iface: I; handlers: Handlers<I, Caller> }[],
  ): Promise<never> {
    const table = new ServiceTable(parts)
    const pending = this.bound.get(endpoint)
    const inbox = await (pending ?? this.bind(endpoint))
    inbox.table = table
    // A sender that waited for a receiver may have been faster than the answer to our binding.
    for (const { session, message } of inbox.queue.splice(0)) this.deliver(session, inbox, message)
    return new Promise(() => {})
  }
  reply(to: ReplyHandle, label: number, body: unknown): void {
    const handle = to as ReplyTo
    if (handle.used) throw new Error('a call was answered twice')
    handle.used = true
    this.answerSession(handle.session, 0, label, handle.id, body, handle.context)
  }
  private refuse(handle: ReplyTo, name: Sel4ErrorName, detail?: string): void {
    handle.used = true
    this.answerSession(handle.session, FLAG.ERROR, SEL4_ERROR[name], handle.id, detail ?? null)
  }
  answerSession(
    session: InSession,
    flags: number,
    label: number,
    sequence: number,
    body: unknown,
    context?: Uint8Array,
  ): void {
    session.outstanding--
    this.answer(session.identity, flags, label, session.info.session, sequence, body, context)
  }
  private answer(
    identity: Buffer,
    flags: number,
    label: number,
    session: number,
    sequence: number,
    body: unknown,
    context?: Uint8Array,
  ): void {
    const message = encode(KIND.REPLY, flags, label, session, sequence, body, context)
    if (message.length > MESSAGE_MAX) throw new Error(`an answer of ${message.length} bytes (label ${label})`)
    this.answerMessage(identity, message)
  }
  private answerMessage(identity: Buffer, message: Buffer): void {
    this.counters.sent++
    this.counters.bytesSent += message.length
    if (identity.length) this.transport.answer(identity, message)
    else this.transport.gate(message)
  }

  // ------------------------------------------------------------ notifications, interrupts, hardware

  async signal(notification: CPtr): Promise<void> {
    await this.invoke(OP.signal, null, 0, notification)
  }
  wait(notification: CPtr): Promise<number> {
    const word = this.latched.get(notification)
    if (word) {
      this.latched.delete(notification)
      return Promise.resolve(word)
    }
    return new Promise((resolve, reject) => {
      const asked = this.waitAt.get(notification)
      if (asked !== undefined && !this.waits.has(asked)) return void this.waits.set(asked, { resolve, reject })
      const sequence = this.nextSequence()
      this.waits.set(sequence, { resolve, reject })
      if (asked === undefined) this.waitAt.set(notification, sequence)
      this.transport.gate(encode(KIND.WAIT, 0, 0, notification, sequence, null))
    })
  }
  /** A device's interrupt, from the device itself: as the kernel's NOTIFY, which stays asked for. */
  private interrupted({ info: { object: notification, badge } }: InSession, message: Buffer): void {
    this.remember(notification, message)
    const sequence = this.waitAt.get(notification) ?? -1
    const wait = this.waits.get(sequence)
    if (!wait) return this.latch(notification, badge)
    this.waits.delete(sequence)
    wait.resolve(badge)
  }
  private remember(notification: CPtr, message: Buffer): void {
    if (this.tracer.enabled && traced(message)) this.signals.set(notification, Uint8Array.from(contextOf(message)))
  }
  private latch(notification: CPtr, word: number): void {
    this.latched.set(notification, ((this.latched.get(notification) ?? 0) | word) >>> 0)
  }
  private notified(message: Buffer): void {
    const sequence = sequenceOf(message)
    const notification = sessionOf(message)
    this.remember(notification, message)
    if (this.waitAt.get(notification) === sequence) this.waitAt.delete(notification)
    const wait = this.waits.get(sequence)
    if (!wait) return flagsOf(message) & FLAG.ERROR ? undefined : this.latch(notification, labelOf(message))
    this.waits.delete(sequence)
    if (flagsOf(message) & FLAG.ERROR) wait.reject(sel4Error(labelOf(message)))
    else wait.resolve(labelOf(message))
  }
  signalledBy(notification: CPtr): Uint8Array | undefined {
    const context = this.signals.get(notification)
    this.signals.delete(notification)
    return context
  }
  client<I extends Interface<any>>(iface: I, endpoint: CPtr): Client<I> {
    for (const method of iface.byLabel.values()) this.tracer.learn(method.label, method.name)
    return makeClient((to, label, body, method, args) => this.call(to, label, body, method, args), iface, endpoint)
  }
  async portIn(ioPort: CPtr, port: number, width: 1 | 2 | 4): Promise<number> {
    const { body } = await this.reach(ioPort, KIND.PORT_IN, portLabel(port, width), null)
    return body as number
  }
  async portOut(ioPort: CPtr, port: number, width: 1 | 2 | 4, value: number): Promise<void> {
    await this.reach(ioPort, KIND.PORT_OUT, portLabel(port, width), value >>> 0)
  }
  async mapDevice(deviceFrame: CPtr): Promise<Registers> {
    const route = await this.openRoute(deviceFrame)
    if (!route.info?.frame) throw new Sel4Error('seL4_InvalidCapability', 'not a device frame')
    const registers = new MappedRegisters(this, route)
    this.mapped.push(registers)
    return registers
  }
  async irqAck(irqHandler: CPtr): Promise<void> {
    for (const registers of this.mapped) await registers.settle()
    await this.invoke(OP.irqAck, [irqHandler])
  }
  async irqSetNotification(irqHandler: CPtr, notification: CPtr): Promise<void> {
    await this.invoke(OP.irqSetNotification, [irqHandler, notification])
  }
  async makeNotification(): Promise<CPtr> {
    return (await this.invoke(OP.makeNotification, null)) as CPtr
  }
}
/** The receiver checks too; here an honest mistake gets an honest answer. */
function fits(kind: number, { target }: RouteInfo): boolean {
  if (target === 'endpoint') return kind === KIND.CALL || kind === KIND.SEND
  if (target === 'port') return kind === KIND.PORT_IN || kind === KIND.PORT_OUT
  return kind === KIND.MMIO_READ
}
const irqKey = (index: number): CPtr => -1 - index
const expectsAnswer = (message: Buffer): boolean =>
  message[0] !== KIND.SEND && message[0] !== KIND.DOORBELL && message[0] !== KIND.IRQ
const portLabel = (port: number, width: number): number => (port & 0xffff) | (width << 16)
function accessName(kind: number, label: number): string {
  const hex = (value: number) => `0x${value.toString(16)}`
  if (kind === KIND.DOORBELL) return ACCESS[kind]
  if (kind === KIND.MMIO_READ) return label === PUSH_ONLY ? 'MMIO_PUSH' : `${ACCESS[kind]} ${hex(label)}`
  return `${ACCESS[kind]} ${hex(label & 0xffff)}`
}
