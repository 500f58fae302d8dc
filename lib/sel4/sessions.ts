/**
 * Sessions from others: who may send to us, what has arrived, and the answers.
 *
 *   open, close, moved     the kernel's word about who may come
 *   incoming(who, message) a message along a session: checked, then to a server's handlers, a recv, a thread or the chip
 *   recv, serve, reply     a server's side
 *   fault(session, bytes)  a message that could not be accepted: reported, never judged here
 *
 * Refuses what the kernel did not announce. Whoever waits for an answer gets one, be it that the message was refused; but
 * nobody can wait for more than a window of them, and what comes beyond it, or from nowhere, is dropped without a word.
 */
import { MalformedError } from '#contracts/field'
import type { Handlers, Interface } from '#contracts/interface'
import { StatusError, statusName } from '#rtl'
import { accessName } from './access.ts'
import type { Caller, CPtr, Received, ReplyHandle } from './api.ts'
import { SEL4_ERROR, type Sel4ErrorName } from './api.ts'
import { type Inbox, Inboxes } from './inboxes.ts'
import type { Meetings } from './meetings.ts'
import type { Runtime } from './runtime.ts'
import { ServiceTable } from './stub.ts'
import type { SessionInfo } from './transport.ts'
import {
  contextOf,
  decodeBody,
  encode,
  FLAG,
  HEADER_BYTES,
  isSound,
  KIND,
  labelOf,
  MESSAGE_MAX,
  OFFENCE,
  sequenceOf,
  sessionOf,
  traced,
} from './wire.ts'

/** Closed sessions remembered, so that messages already under way are refused and not taken for a lie. */
const TOMBSTONES_MAX = 4096

/** Peers remembered that sent along no session of theirs. */
const STRANGERS_MAX = 4096
/** A window of calls may be under way when a session ends, and a word about each of them. */
const LATE_WINDOWS = 2
/** One whose session was forgotten here may have sent a window of messages. */
const STRANGER_PATIENCE = 256

/** Somebody else's session to us. */
export interface InSession {
  readonly info: SessionInfo
  readonly identity: Buffer
  /** Credits the sender has used and not got back. */
  outstanding: number
  /** Sends taken since the last CREDIT. */
  taken: number
  /** Messages answered although they came too late, or were too many. */
  late: number
  /** The kernel has been told of an offence: once is enough. */
  accused: boolean
  readonly inbox?: Inbox
}
export class ReplyTo implements ReplyHandle {
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
/** Accesses to a chip, when this process is one. */
export type DeviceAccess = (session: InSession, message: Buffer) => void

export class Sessions {
  deviceAccess?: DeviceAccess
  /** A driver is about to use a device frame. */
  deviceOpened?: (info: SessionInfo) => void
  private readonly runtime: Runtime
  private readonly meetings: Meetings
  private readonly sessions = new Map<number, InSession>()
  private readonly tombstones = new Map<number, InSession>()
  /** By identity: messages along no session. */
  private readonly strangers = new Map<string, number>()
  private readonly inboxes: Inboxes

  constructor(runtime: Runtime, meetings: Meetings) {
    this.runtime = runtime
    this.meetings = meetings
    this.inboxes = new Inboxes(runtime, (session) => this.took(session))
  }
  values(): Iterable<InSession> {
    return this.sessions.values()
  }
  /** Messages nobody has taken yet. */
  queued(): number {
    return this.inboxes.queued()
  }

  // ------------------------------------------------------------ the kernel's word

  open(info: SessionInfo): null {
    const inbox = info.target === 'endpoint' && !info.meets ? this.inboxes.of(info.object) : undefined
    this.deviceOpened?.(info)
    const identity = Buffer.from(info.identity)
    const session = { info, identity, outstanding: 0, taken: 0, late: 0, accused: false, inbox }
    this.sessions.set(info.session, session)
    return null
  }
  close(ids: number[]): null {
    for (const session of this.bury(ids)) {
      if (session.inbox) this.discard(session.inbox, session)
      if (session.info.meets) this.meetings.discard(session)
    }
    return null
  }
  /** Its sender comes by another way from now on: what came by this one is kept. */
  moved(ids: number[]): null {
    this.bury(ids)
    return null
  }
  private bury(ids: number[]): InSession[] {
    const buried = ids.flatMap((id) => this.sessions.get(id) ?? [])
    for (const session of buried) {
      this.sessions.delete(session.info.session)
      this.tombstones.set(session.info.session, session)
    }
    for (const id of this.tombstones.keys()) {
      if (this.tombstones.size <= TOMBSTONES_MAX) break
      this.tombstones.delete(id)
    }
    return buried
  }
  /** What nobody has taken yet is refused. */
  private discard(inbox: Inbox, session: InSession): void {
    for (const { reply } of inbox.without(session)) if (reply) this.refuse(reply as ReplyTo, 'seL4_InvalidCapability')
  }

  // ------------------------------------------------------------ arrivals

  /** `identity` undefined: the kernel vouches for the sender (slow path). */
  incoming(identity: Buffer | undefined, message: Buffer): void {
    const { counters } = this.runtime
    counters.received++
    counters.bytesReceived += message.length
    if (message.length <= HEADER_BYTES) return this.unknown(identity)
    const session = this.sessions.get(sessionOf(message))
    if (!session || !isFrom(session, identity)) return this.stranger(identity, message)
    if (!isSound(message)) return this.malformed(session, message)
    const kind = message[0]
    if (kind === KIND.IRQ && session.info.target === 'irq')
      return this.runtime.signals.interrupted(session.info.object, session.info.badge, message)
    if (kind === KIND.DOORBELL && session.info.target === 'mmio') return this.reached(session, message)
    if (kind === KIND.FENCE || kind === KIND.CANCEL) return this.about(session, message)
    if (++session.outstanding > session.info.window) return this.reject(session, message, OFFENCE.credits)
    this.sort(session, message)
  }
  private sort(session: InSession, message: Buffer): void {
    const kind = message[0]
    if (session.info.meets) return this.meetings.arrive(session, message)
    if (kind !== KIND.CALL && kind !== KIND.SEND) return this.access(session, message)
    if (!session.inbox) return this.reject(session, message)
    this.deliver(session, session.inbox, message)
  }
  /** About messages and none itself: a fence has everything before it behind it; a call is taken back. */
  private about(session: InSession, message: Buffer): void {
    const done = () => this.answer(session.identity, 0, 0, session.info.session, sequenceOf(message), null)
    if (message[0] === KIND.FENCE) return done()
    this.meetings.cancel(session, labelOf(message)).then(done, (error) => this.runtime.die(error))
  }
  private access(session: InSession, message: Buffer): void {
    if (session.inbox || !this.deviceAccess) return this.reject(session, message)
    this.reached(session, message)
  }
  private reached(session: InSession, message: Buffer): void {
    const { tracer } = this.runtime
    if (!tracer.enabled) return this.deviceAccess?.(session, message)
    const parent = traced(message) ? contextOf(message) : undefined
    const name = accessName(message[0], labelOf(message))
    tracer.span(name, parent, undefined, () => this.deviceAccess?.(session, message))
  }
  /** Well-formed, but not what this session is for: answered, so that nobody waits, and reported. */
  reject(session: InSession, message: Buffer, offence: number = OFFENCE.message): void {
    this.refuseLate(session, message, SEL4_ERROR.seL4_IllegalOperation)
    session.outstanding--
    this.accuse(session, message, offence)
  }
  private malformed(session: InSession, message: Buffer): void {
    this.refuseLate(session, message, SEL4_ERROR.seL4_TruncatedMessage)
    this.accuse(session, message, OFFENCE.message)
  }
  private stranger(identity: Buffer | undefined, message: Buffer): void {
    const was = this.tombstones.get(sessionOf(message))
    if (was && isFrom(was, identity))
      return this.refuseLate(was, message, was.info.meets ? SEL4_ERROR.restart : SEL4_ERROR.seL4_InvalidCapability)
    if (identity) return this.unknown(identity)
    // Through the kernel, which has closed the session since.
    const { seL4_InvalidCapability } = SEL4_ERROR
    if (expectsAnswer(message))
      this.answer(NOBODY, FLAG.ERROR, seL4_InvalidCapability, sessionOf(message), sequenceOf(message), null)
  }
  private refuseLate(session: InSession, message: Buffer, error: number): void {
    if (session.late++ >= LATE_WINDOWS * session.info.window || !expectsAnswer(message)) return
    // What was taken along it is still the caller's to take back.
    if (message[0] === KIND.CANCEL && session.info.meets) return this.about(session, message)
    this.answer(session.identity, FLAG.ERROR, error, session.info.session, sequenceOf(message), null)
  }
  /** From nowhere: told once, when it is no accident any more. */
  private unknown(identity: Buffer | undefined): void {
    this.runtime.counters.faults++
    if (!identity) return
    const who = identity.toString('latin1')
    const count = (this.strangers.get(who) ?? 0) + 1
    if (this.strangers.size >= STRANGERS_MAX) this.strangers.clear()
    this.strangers.set(who, count)
    if (count === STRANGER_PATIENCE) this.runtime.tell(KIND.FAULT, OFFENCE.stranger, 0, identity)
  }
  private accuse(session: InSession, message: Buffer, offence: number): void {
    if (session.accused) return
    session.accused = true
    this.fault(session.info.session, message, offence)
  }
  /** To the kernel: that a message was refused, and the raw bytes when they themselves are the offence; it judges them. */
  fault(session: number, message: Buffer, offence: number = OFFENCE.message): void {
    this.runtime.counters.faults++
    this.runtime.tell(KIND.FAULT, offence, session, isSound(message) ? null : message.subarray(0, MESSAGE_MAX - 1024))
  }
  private deliver(session: InSession, inbox: Inbox, message: Buffer): void {
    const context = traced(message) ? contextOf(message) : undefined
    const reply = message[0] === KIND.CALL ? new ReplyTo(sequenceOf(message), session, context) : undefined
    if (inbox.table) return this.serveOne(inbox.table, session, message, reply, context)
    const received = { badge: session.info.badge, label: labelOf(message), body: decodeBody(message), reply }
    this.inboxes.arrived(inbox, { received, session, message })
  }
  /** A send has left the queue: its credit goes back, some at a time. */
  took(session: InSession): void {
    session.taken++
    if (session.taken < session.info.givesBack) return
    session.outstanding -= session.taken
    this.answerMessage(session.identity, encode(KIND.CREDIT, 0, session.taken, session.info.session, 0, null))
    session.taken = 0
  }

  // ------------------------------------------------------------ handlers

  private serveOne(
    table: ServiceTable,
    session: InSession,
    message: Buffer,
    reply: ReplyTo | undefined,
    context: Uint8Array | undefined,
  ): void {
    let accepted: ReturnType<ServiceTable['accept']>
    try {
      accepted = table.accept(labelOf(message), decodeBody(message))
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error
      if (reply) this.refuse(reply, 'seL4_InvalidArgument', error.message)
      return this.accuse(session, message, OFFENCE.message)
    }
    const caller: Caller = { badge: session.info.badge, reply }
    const run = () => this.run(table, accepted, caller, session, reply)
    const { tracer } = this.runtime
    if (!tracer.enabled) return void run()
    const { method } = accepted.entry
    tracer.span(method.name, context, accepted.args as object, run, method.spec.parks)
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
    if (!(error instanceof StatusError)) return this.runtime.die(error)
    const { tracer } = this.runtime
    if (tracer.enabled) tracer.note({ status: statusName(error.status) })
    this.finish(session, reply, error.status, null)
  }
  recv(endpoint: CPtr): Promise<Received> {
    return this.inboxes.recv(endpoint)
  }
  async serve<I extends Interface<any>>(
    endpoint: CPtr,
    parts: readonly { iface: I; handlers: Handlers<I, Caller> }[],
  ): Promise<never> {
    const table = new ServiceTable(parts)
    const inbox = await this.inboxes.bind(endpoint)
    inbox.table = table
    // A sender that waited for a receiver may have been faster than the answer to our binding.
    for (const { session, message } of inbox.queue.splice(0)) this.deliver(session, inbox, message)
    return new Promise(() => {})
  }

  // ------------------------------------------------------------ answers

  reply(to: ReplyHandle, label: number, body: unknown): void {
    const handle = to as ReplyTo
    if (handle.used) throw new Error('a call was answered twice')
    handle.used = true
    this.answerSession(handle.session, 0, label, handle.id, body, handle.context)
  }
  refuse(handle: ReplyTo, name: Sel4ErrorName, detail?: string): void {
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
    const { length } = message
    if (length <= MESSAGE_MAX) return this.answerMessage(identity, message)
    // It may be the caller's own doing: bytes that are no text grow when they are written again.
    const tooLong = `an answer of ${length} bytes`
    const refusal = encode(KIND.REPLY, FLAG.ERROR, SEL4_ERROR.seL4_RangeError, session, sequence, tooLong, context)
    this.answerMessage(identity, refusal)
  }
  private answerMessage(identity: Buffer, message: Buffer): void {
    const { counters, transport } = this.runtime
    counters.sent++
    counters.bytesSent += message.length
    if (identity.length) transport.answer(identity, message)
    else transport.gate(message)
  }
}
const NOBODY = Buffer.alloc(0)
const isFrom = ({ identity }: InSession, who: Buffer | undefined): boolean =>
  who ? isSame(identity, who) : identity.length === 0
/** As Buffer.equals, which leaves JavaScript for it: that takes longer than three dozen bytes. */
function isSame(one: Buffer, other: Buffer): boolean {
  let at = one.length
  if (at !== other.length) return false
  while (at > 0 && one[at - 1] === other[at - 1]) at--
  return at === 0
}
const ONE_WAY = new Set<number>([KIND.SEND, KIND.NBSEND, KIND.DOORBELL, KIND.IRQ])
/** A Send that meets a thread names a sequence: it is answered when it is taken. */
const expectsAnswer = (message: Buffer): boolean => !ONE_WAY.has(message[0]) || sequenceOf(message) !== 0
