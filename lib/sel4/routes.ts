/**
 * Sessions to others: what each of our send capabilities leads to, and what is under way along it.
 *
 *   request(cptr, kind, …)   a message along the session behind a capability, opened on first use
 *   withdraw(thread)         what a suspended thread has under way to other threads is taken back, confirmed
 *   move(sessions)           the kernel wants these sessions opened anew, perhaps by another way: nothing overtakes
 *   closed(sessions, …)      the kernel: these are no more
 *   onGate(message)          the kernel passes on an answer, or credits
 *
 * A session carries a window of credits: a call holds one until its answer, a send until the receiver gives it back. A
 * thread's Send to another thread is answered when it is taken. Routes are a thread's own: its CSpace gives addresses
 * their meaning. Nothing here has a timer.
 *
 * Differs from seL4: a send to a server's runtime (serve, recv) is done when a credit was there for it; to a thread, when
 * it is taken.
 */
import { type Answer, type CPtr, Sel4Error } from './api.ts'
import { accessName } from './access.ts'
import type { Runtime } from './runtime.ts'
import type { RouteInfo } from './transport.ts'
import { type Link, type Pending, type Route, settle, UnderWay } from './under-way.ts'
import { encode, HEADER_BYTES, KIND, labelOf, MESSAGE_MAX, OP, sessionOf, setSession, setThread } from './wire.ts'

export interface Requested {
  readonly context?: Uint8Array
  readonly thread?: number
  /** A libsel4 call: it may meet a thread at the other end. */
  readonly meets?: boolean
}

export class Routes {
  private readonly runtime: Runtime
  private readonly routes = new Map<number, Route>()
  private readonly links = new Map<string, Link>()
  private readonly kernelLink: Link
  private readonly underWay: UnderWay
  /** Sessions that were closed or moved before we had heard that they are open. */
  private readonly over = new Set<number>()
  private openings = 0

  constructor(runtime: Runtime) {
    this.runtime = runtime
    this.kernelLink = { peer: { send: (message: Buffer) => runtime.transport.gate(message), close() {} } }
    this.underWay = new UnderWay(this.kernelLink, () => runtime.nextSequence())
  }
  values(): Iterable<Route> {
    return this.routes.values()
  }
  /** Messages that wait for a credit. */
  queued(): number {
    let queued = 0
    for (const route of this.routes.values()) queued += route.waiting.length
    return queued
  }
  waitsFor(): [number, string][] {
    return this.underWay.waitsFor((label) => this.runtime.tracer.nameOf(label))
  }

  // ------------------------------------------------------------ messages

  request(cptr: CPtr, kind: number, label: number, body: unknown, how: Requested = {}): Promise<Answer> {
    const { context, thread = 0, meets = false } = how
    return new Promise((resolve, reject) => {
      const message = encode(kind, 0, label, 0, 0, body, context)
      if (message.length > MESSAGE_MAX) return reject(new Sel4Error('seL4_RangeError', 'message too long'))
      if (thread) setThread(message, thread)
      const route = this.routeOf(cptr, thread)
      const expectsReply = kind !== KIND.SEND && kind !== KIND.NBSEND
      this.submit({ message, route, thread, meets, expectsReply, session: 0, sequence: 0, resolve, reject })
    })
  }
  /** A one-way message that needs no credit: the receiver keeps nothing of it. Nothing when the route is not open. */
  nudge(route: Route, kind: number): void {
    if (route.state !== 'open') return
    const nudge = (context?: Uint8Array) => this.post(route, encode(kind, 0, 0, route.session, 0, null, context))
    const { tracer } = this.runtime
    if (!tracer.enabled) return nudge()
    const span = tracer.begin(`→ ${accessName(kind, 0)}`, tracer.current())
    nudge(span.context)
    span.end()
  }
  /** An access to a register: a request with a span of its own while somebody watches. */
  reach(cptr: CPtr, kind: number, label: number, value: number | null): Promise<Answer> {
    const { tracer } = this.runtime
    if (!tracer.enabled) return this.request(cptr, kind, label, value)
    const send = (context: Uint8Array) => this.request(cptr, kind, label, value, { context })
    return tracer.call(accessName(kind, label), value === null ? undefined : { value }, send)
  }
  private submit(pending: Pending): void {
    const { route, meets } = pending
    if (route.state === 'open' && route.credits > 0 && !route.waiting.length) return this.dispatch(pending)
    // Who has no credit is not waiting for anything: a non-blocking send to it is dropped.
    if (pending.message[0] === KIND.NBSEND && route.state === 'open') return pending.resolve(NOTHING)
    route.waiting.push(pending)
    if (route.state === 'closed') void this.open(route, meets).catch(() => {})
  }
  private dispatch(pending: Pending): void {
    const { route, message } = pending
    const info = route.info as RouteInfo
    if (!fits(message[0], info))
      return pending.reject(new Sel4Error('seL4_InvalidCapability', `it opens ${info.target}`))
    if (info.meets && message[0] === KIND.SEND) pending.expectsReply = true
    // Its caller would wait for ever, as the kernel then has it.
    if (info.meets && message[0] === KIND.CALL && !info.answers) return pending.reject(new Sel4Error('meetsInKernel'))
    if (!info.meets && message[0] === KIND.NBSEND) message[0] = KIND.SEND
    route.credits--
    pending.meets &&= info.meets
    pending.session = route.session
    setSession(message, route.session)
    if (pending.expectsReply) this.underWay.expect(pending, route.link as Link)
    this.post(route, message)
    if (!pending.expectsReply) pending.resolve(NOTHING)
  }
  private post(route: Route, message: Buffer): void {
    const { counters } = this.runtime
    counters.sent++
    counters.bytesSent += message.length
    ;(route.link as Link).peer.send(message)
  }
  /** About the session, not along it: no credit, no receiver but the peer's runtime. Resolves whatever comes of it. */
  private transact(route: Route, link: Link | undefined, session: number, kind: number, label: number): Promise<void> {
    if (!link) return Promise.resolve()
    return new Promise((done) => {
      const message = encode(kind, 0, label, session, 0, null)
      const over = () => done()
      const about = { message, route, thread: 0, meets: false, expectsReply: true, session: 0, sequence: 0 }
      this.underWay.expect({ ...about, resolve: over, reject: over }, link)
      link.peer.send(message)
    })
  }

  // ------------------------------------------------------------ opening

  async openRoute(cptr: CPtr, thread = 0, meets = false): Promise<Route> {
    const route = this.routeOf(cptr, thread)
    if (route.state !== 'open') await this.open(route, meets)
    return route
  }
  /** Undefined: nothing was sent along it yet, or it is closed. */
  opened(cptr: CPtr, thread: number): Route | undefined {
    const route = this.routes.get(keyOf(cptr, thread))
    return route && route.state !== 'closed' ? route : undefined
  }
  private routeOf(cptr: CPtr, thread: number): Route {
    const key = keyOf(cptr, thread)
    let route = this.routes.get(key)
    if (!route) {
      route = { cptr, thread, state: 'closed', session: 0, credits: 0, deaths: 0, waiting: [] }
      this.routes.set(key, route)
    }
    return route
  }
  private open(route: Route, meets: boolean): Promise<void> {
    route.opening ??= this.openNow(route, meets).finally(() => (route.opening = undefined))
    return route.opening
  }
  private async openNow(route: Route, meets: boolean): Promise<void> {
    route.state = 'opening'
    this.openings++
    try {
      let info: RouteInfo
      do info = (await this.runtime.invoke(OP.openSession, [route.cptr, meets ? 1 : 0], route.thread)) as RouteInfo
      while (this.over.has(info.session))
      this.established(route, info)
    } catch (error) {
      this.closeRoute(route)
      for (const pending of route.waiting.splice(0)) pending.reject(error as Error)
      throw error
    } finally {
      if (--this.openings === 0) this.over.clear()
    }
  }
  /** What is said of sessions while others are being opened may be said of those. */
  private heardOf(sessions: readonly number[]): void {
    if (this.openings) for (const session of sessions) this.over.add(session)
  }
  private established(route: Route, info: RouteInfo): void {
    Object.assign(route, {
      state: 'open',
      session: info.session,
      credits: info.window,
      link: this.linkTo(info),
      info,
    })
    this.pump(route)
  }
  private linkTo({ address, identity }: RouteInfo): Link {
    if (!address) return this.kernelLink
    const known = this.links.get(address)
    if (known) return known
    const link: Link = {
      peer: this.runtime.transport.connect(address, identity, (message) => this.onLink(link, message)),
    }
    this.links.set(address, link)
    return link
  }
  private pump(route: Route): void {
    while (route.state === 'open' && route.credits > 0 && route.waiting.length)
      this.dispatch(route.waiting.shift() as Pending)
  }
  private closeRoute(route: Route): void {
    Object.assign(route, { state: 'closed', session: 0, credits: 0, link: undefined, info: undefined })
  }
  /** A device's line: its driver's session, opened by the kernel. Its key is no capability's. */
  irqRouted([index, info]: [number, RouteInfo]): null {
    this.established(this.routeOf(irqKey(index), 0), info)
    return null
  }
  /** False: the kernel has to be told. */
  interrupt(index: number): boolean {
    const route = this.opened(irqKey(index), 0)
    if (route?.state !== 'open') return false
    this.nudge(route, KIND.IRQ)
    return true
  }
  interruptsDirectly(index: number): boolean {
    return this.opened(irqKey(index), 0)?.state === 'open'
  }

  // ------------------------------------------------------------ answers

  onGate(message: Buffer): void {
    this.onLink(this.kernelLink, message)
  }
  private onLink(link: Link, message: Buffer): void {
    if (message.length < HEADER_BYTES) return
    const { counters } = this.runtime
    counters.received++
    counters.bytesReceived += message.length
    if (message[0] === KIND.CREDIT) return this.credited(link, message)
    if (message[0] !== KIND.REPLY) return
    const pending = this.underWay.answered(link, message)
    if (!pending) return
    this.credit(pending)
    settle(pending, message)
  }
  /** Its credit comes back, unless its session is gone: a new one has a window of its own. */
  private credit({ session, route }: Pending): void {
    if (!session || route.session !== session) return
    route.credits++
    if (route.waiting.length) this.pump(route)
  }
  /** A call's comes back with its answer only: who gives back more than sends have used would see the window overdrawn. */
  private credited(link: Link, message: Buffer): void {
    const session = sessionOf(message)
    for (const route of this.routes.values())
      if (route.session === session && route.info && route.link === link) {
        const spare = route.info.window - this.underWay.along(session)
        route.credits = Math.min(route.credits + labelOf(message), spare)
        this.pump(route)
      }
  }

  // ------------------------------------------------------------ closing, moving, withdrawing

  /**
   * The kernel: these sessions are no more. `died`: their receiver is dead, nothing sent to it will be answered.
   * Otherwise the capability is gone; what the receiver had taken will still be answered.
   */
  closed([sessions, address, died]: [number[], string, boolean]): null {
    const closed = new Set(sessions)
    this.heardOf(sessions)
    for (const route of this.routes.values()) if (closed.has(route.session)) this.routeClosed(route, died)
    const link = this.links.get(address)
    if (died && link) {
      this.links.delete(address)
      this.underWay.fail((pending) => pending.link === link)
      link.peer.close()
    }
    if (died) this.underWay.fail((pending) => pending.link === this.kernelLink && closed.has(pending.session))
    return null
  }
  private routeClosed(route: Route, died: boolean): void {
    const meets = route.info?.meets ?? false
    this.closeRoute(route)
    if (died) route.deaths++
    if (!route.waiting.length) return
    if (died && !meets) return void this.open(route, false).catch(() => {})
    const error = meets ? 'restart' : 'seL4_InvalidCapability'
    for (const pending of route.waiting.splice(0)) pending.reject(new Sel4Error(error))
  }
  /** Nothing new goes along them; when the peer has had all that did, they are closed here and opened anew when needed. */
  async move(sessions: number[]): Promise<null> {
    this.heardOf(sessions)
    const moving = [...this.routes.values()].filter(
      ({ session, state }) => state === 'open' && sessions.includes(session),
    )
    await Promise.all(moving.map((route) => this.moveRoute(route)))
    return null
  }
  private async moveRoute(route: Route): Promise<void> {
    const { session } = route
    route.state = 'moving'
    await this.transact(route, route.link, session, KIND.FENCE, 0)
    if (route.session !== session) return
    this.closeRoute(route)
    if (route.waiting.length) void this.open(route, false).catch(() => {})
  }
  /** Rejects what the thread has under way with `restart`, once the other side has forgotten it. */
  async withdraw(thread: number): Promise<void> {
    const own = (pending: Pending) => pending.thread === thread && pending.meets
    const under = [...this.underWay.values()].filter(own)
    for (const route of this.routes.values()) {
      if (route.info?.meets === false) continue
      const waiting = route.waiting.filter(own)
      route.waiting = route.waiting.filter((pending) => !own(pending))
      for (const pending of waiting) pending.reject(new Sel4Error('restart'))
    }
    // Behind its non-blocking sends, which nobody answers.
    const routes = [...this.routes.values()].filter((route) => route.thread === thread && route.info?.meets)
    const arrived = routes.map((route) => this.transact(route, route.link, route.session, KIND.FENCE, 0))
    await Promise.all([...under.map((pending) => this.cancel(pending)), ...arrived])
  }
  private async cancel(pending: Pending): Promise<void> {
    await this.transact(pending.route, pending.link, pending.session, KIND.CANCEL, pending.sequence)
    if (!this.underWay.remove(pending)) return
    this.credit(pending)
    pending.reject(new Sel4Error('restart'))
  }
}
const NOTHING: Answer = { label: 0, body: null }
/** The receiver checks too; here an honest mistake gets an honest answer. */
function fits(kind: number, { target }: RouteInfo): boolean {
  if (target === 'endpoint') return kind === KIND.CALL || kind === KIND.SEND || kind === KIND.NBSEND
  if (target === 'port') return kind === KIND.PORT_IN || kind === KIND.PORT_OUT
  return kind === KIND.MMIO_READ
}
/** Capability addresses are 32 bits wide, thread numbers 16. */
const keyOf = (cptr: CPtr, thread: number): number => cptr + thread * 2 ** 32
const irqKey = (index: number): CPtr => -1 - index
