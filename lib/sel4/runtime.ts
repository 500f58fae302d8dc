/**
 * One process's side of IPC: requests to and from the kernel, and what hangs on them: sessions to others (routes.ts),
 * sessions from others (sessions.ts), endpoints its threads receive on (meetings.ts), notifications (signals.ts).
 *
 *   sender                      kernel                     receiver
 *     │ openSession(cptr) ───────► │ ── sessionOpen ─────────► │
 *     │                            │ ◄──────────── confirmed ──│
 *     │ ◄── session, address ──────│                           │
 *     │ CALL ────────────────────────────────────────────────► │   one hop, no kernel
 *     │ ◄──────────────────────────────────────────────── REPLY│
 *
 * With an empty address the same messages go through the kernel (slow path). Never decides about authority: it uses what
 * the kernel opened, and refuses what the kernel did not announce.
 */
import type { Client, Handlers, Interface, Method } from '#contracts/interface'
import { portLabel } from './access.ts'
import type { Answer, Caller, CPtr, Received, Registers, ReplyHandle, Sel4 } from './api.ts'
import { Sel4Error } from './api.ts'
import { sel4Error } from './errors.ts'
import { Meetings } from './meetings.ts'
import { MappedRegisters } from './registers.ts'
import { Routes } from './routes.ts'
import { Sessions } from './sessions.ts'
import { Signals } from './signals.ts'
import { makeClient } from './stub.ts'
import { Tracer } from './tracer.ts'
import type { ProcessTransport, RouteInfo, SessionInfo } from './transport.ts'
import { ASK, decodeBody, encode, FLAG, flagsOf, KIND, labelOf, OP, sequenceOf, setThread } from './wire.ts'

export interface Counters {
  sent: number
  received: number
  bytesSent: number
  bytesReceived: number
  calls: number
  faults: number
}
interface Invocation {
  resolve(body: unknown): void
  reject(error: Error): void
}
type Ask = (body: unknown) => unknown

export class Runtime implements Sel4 {
  readonly transport: ProcessTransport
  readonly counters: Counters = { sent: 0, received: 0, bytesSent: 0, bytesReceived: 0, calls: 0, faults: 0 }
  readonly tracer: Tracer
  /** Called for an error that is ours: ends the process. */
  readonly die: (error: unknown) => void
  readonly routes: Routes
  readonly sessions: Sessions
  readonly meetings: Meetings
  readonly signals: Signals
  private readonly asked = new Map<number, Ask>()
  private readonly invocations = new Map<number, Invocation>()
  private readonly mapped: MappedRegisters[] = []
  private sequence = 0

  constructor(transport: ProcessTransport, die: (error: unknown) => void, now: () => number, random: () => number) {
    this.transport = transport
    this.die = die
    this.tracer = new Tracer(now, random)
    this.routes = new Routes(this)
    this.meetings = new Meetings(this)
    this.sessions = new Sessions(this, this.meetings)
    this.signals = new Signals(this)
    const { routes, sessions, meetings, tracer, asked } = this
    asked.set(ASK.sessionOpen, (body) => sessions.open(body as SessionInfo))
    asked.set(ASK.sessionClose, (body) => sessions.close(body as number[]))
    asked.set(ASK.sessionMoved, (body) => sessions.moved(body as number[]))
    asked.set(ASK.routeClosed, (body) => routes.closed(body as [number[], string, boolean]))
    asked.set(ASK.routeMove, (body) => routes.move(body as number[]))
    asked.set(ASK.irqRoute, (body) => routes.irqRouted(body as [number, RouteInfo]))
    asked.set(ASK.recall, (body) => meetings.recall(body as [number, number[]]))
    asked.set(ASK.cancelBadged, (body) => meetings.cancelBadged(body as [number, number]))
    asked.set(ASK.barrier, () => null)
    asked.set(ASK.counters, () => this.status())
    asked.set(ASK.trace, (body) => tracer.enable(body === true))
    asked.set(ASK.spans, () => tracer.take())
  }
  get trace(): Tracer {
    return this.tracer
  }
  private status(): object {
    const queued = this.sessions.queued() + this.routes.queued()
    return { ...this.counters, queued, waits: this.routes.waitsFor() }
  }

  // ------------------------------------------------------------ kernel

  /** In the name of a thread; `service` is the capability an object's method is invoked on. */
  invoke(op: number, body: unknown, thread = 0, service = 0): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const sequence = this.expect({ resolve, reject })
      const message = encode(KIND.INVOKE, 0, op, service, sequence, body, this.tracer.current())
      if (thread) setThread(message, thread)
      this.transport.gate(message)
    })
  }
  /** The number under which the kernel will answer. */
  expect(invocation: Invocation): number {
    const sequence = this.nextSequence()
    this.invocations.set(sequence, invocation)
    return sequence
  }
  nextSequence(): number {
    // 0 is no number: a message that has it is not answered.
    this.sequence = (this.sequence + 1) >>> 0 || 1
    return this.sequence
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
    if (ALONG_SESSIONS.has(kind)) return this.sessions.incoming(undefined, message)
    if (kind === KIND.REPLY || kind === KIND.CREDIT) return this.routes.onGate(message)
    if (kind === KIND.NOTIFY) return this.signals.notified(message)
    if (kind === KIND.RESULT) return this.result(message)
    if (kind === KIND.PING) return this.tell(KIND.PONG, 0, 0, null)
    if (kind === KIND.INVOKE) this.answerKernel(message)
  }
  onPeer(identity: Buffer, message: Buffer): void {
    this.sessions.incoming(identity, message)
  }
  private answerKernel(message: Buffer): void {
    const sequence = sequenceOf(message)
    const respond = (body: unknown) => this.transport.gate(encode(KIND.RESULT, 0, 0, 0, sequence, body))
    const result = this.asked.get(labelOf(message))?.(decodeBody(message)) ?? null
    if (result instanceof Promise) result.then(respond, (error) => this.die(error))
    else respond(result)
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

  // ------------------------------------------------------------ messages

  call(endpoint: CPtr, label: number, body: unknown, method?: Method, args?: object): Promise<Answer> {
    this.counters.calls++
    const { tracer, routes } = this
    if (!tracer.enabled) return routes.request(endpoint, KIND.CALL, label, body)
    const send = (context: Uint8Array) => routes.request(endpoint, KIND.CALL, label, body, { context })
    return tracer.call(method?.name ?? tracer.nameOf(label), args, send, method?.spec.parks)
  }
  async send(endpoint: CPtr, label: number, body: unknown): Promise<void> {
    await this.routes.request(endpoint, KIND.SEND, label, body, { context: this.tracer.current() })
  }
  recv(endpoint: CPtr): Promise<Received> {
    return this.sessions.recv(endpoint)
  }
  reply(to: ReplyHandle, label: number, body: unknown): void {
    this.sessions.reply(to, label, body)
  }
  serve<I extends Interface<any>>(
    endpoint: CPtr,
    parts: readonly { iface: I; handlers: Handlers<I, Caller> }[],
  ): Promise<never> {
    return this.sessions.serve(endpoint, parts)
  }
  client<I extends Interface<any>>(iface: I, endpoint: CPtr): Client<I> {
    for (const method of iface.byLabel.values()) this.tracer.learn(method.label, method.name)
    return makeClient((to, label, body, method, args) => this.call(to, label, body, method, args), iface, endpoint)
  }

  // ------------------------------------------------------------ notifications, hardware

  async signal(notification: CPtr): Promise<void> {
    await this.invoke(OP.signal, null, 0, notification)
  }
  wait(notification: CPtr): Promise<number> {
    return this.signals.wait(notification)
  }
  signalledBy(notification: CPtr): Uint8Array | undefined {
    return this.signals.signalledBy(notification)
  }
  async portIn(ioPort: CPtr, port: number, width: 1 | 2 | 4): Promise<number> {
    const { body } = await this.routes.reach(ioPort, KIND.PORT_IN, portLabel(port, width), null)
    return body as number
  }
  async portOut(ioPort: CPtr, port: number, width: 1 | 2 | 4, value: number): Promise<void> {
    await this.routes.reach(ioPort, KIND.PORT_OUT, portLabel(port, width), value >>> 0)
  }
  async mapDevice(deviceFrame: CPtr): Promise<Registers> {
    const route = await this.routes.openRoute(deviceFrame)
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
const ALONG_SESSIONS = new Set<number>([
  KIND.CALL,
  KIND.SEND,
  KIND.NBSEND,
  KIND.PORT_IN,
  KIND.PORT_OUT,
  KIND.MMIO_READ,
  KIND.DOORBELL,
  KIND.FENCE,
  KIND.CANCEL,
])
