/**
 * Endpoints the kernel lends to a thread of this process: while it alone receives there, messages come along sessions and
 * meet it here, one hop, with the kernel's own semantics: a Send is answered when it is taken, a non-blocking one is
 * dropped unless somebody waits, a Call's answer is the receiving thread's to give.
 *
 *   kernel ── RESULT [object, token] ──► lend()       an answer to Recv: from now on the thread receives here
 *   kernel ── recall [object, tokens] ─► recall()     who waits goes on waiting in the kernel; nothing is lost
 *
 *   receive(…)               the first message, or waits; reply(thread, …)   to whom it received from last
 *   suspend, forget(thread)  it receives no more;  cancel(session, call)     a caller was suspended or destroyed
 *
 * What is refused is refused with `restart`: its sender's thread makes the system call again, and it meets in the kernel.
 */
import type { CPtr } from './api.ts'
import { Sel4Error } from './api.ts'
import type { Runtime } from './runtime.ts'
import { type InSession, ReplyTo } from './sessions.ts'
import { contextOf, decodeBody, KIND, labelOf, OP, sequenceOf, traced } from './wire.ts'

/**
 * Badge, label, body, capabilities received, bit mask of those unwrapped, their badges, whether it waits for an answer; of
 * a notification also that the caller before it is kept.
 */
export type Delivered = [number, number, unknown, number, number, number[], boolean, boolean?]
export type ReceivePath = readonly [root: CPtr, index: number, depth: number]

interface Arrival {
  readonly session: InSession
  readonly message: Buffer
}
interface Waiter {
  readonly thread: number
  readonly path: ReceivePath | null
  resolve(delivered: Delivered): void
  reject(error: Error): void
}
interface Meeting {
  readonly queue: Arrival[]
  waiters: Waiter[]
}
/** Whom a thread received from last: here, or in the kernel. */
type Caller = ReplyTo | 'kernel'
/** As many as sessions are remembered: a call may be taken back long after its session is gone. */
const EXPORTS_MAX = 4096
const keyOf = (thread: number, src: CPtr): string => `${thread} ${src}`
const callOf = (session: InSession, sequence: number): string => `${session.info.session} ${sequence}`

export class Meetings {
  private readonly runtime: Runtime
  private readonly meetings = new Map<number, Meeting>()
  /** Thread and capability → object and token. */
  private readonly sources = new Map<string, { object: number; token: number }>()
  /** Tokens recalled before the thread had heard that it was lent something. */
  private readonly recalled = new Set<number>()
  private readonly callers = new Map<number, Caller>()
  /** Calls taken and not answered. */
  private readonly taken = new Map<string, ReplyTo>()
  /** Calls whose reply the kernel has, with their sessions. */
  private readonly exports = new Map<string, InSession>()

  constructor(runtime: Runtime) {
    this.runtime = runtime
  }
  private meetingOf(object: number): Meeting {
    let meeting = this.meetings.get(object)
    if (!meeting) this.meetings.set(object, (meeting = { queue: [], waiters: [] }))
    return meeting
  }

  // ------------------------------------------------------------ lent and recalled

  lend(thread: number, src: CPtr, [object, token]: readonly [number, number]): void {
    if (!this.recalled.delete(token)) this.sources.set(keyOf(thread, src), { object, token })
  }
  /** Where the thread receives through a capability, if that is here. */
  lent(thread: number, src: CPtr): Meeting | undefined {
    const source = this.callers.get(thread) === 'kernel' ? undefined : this.sources.get(keyOf(thread, src))
    return source && this.meetingOf(source.object)
  }
  /** Their waits go on in the kernel: it is told under which sequence numbers it may answer them. */
  recall([object, tokens]: [number, number[]]): [number, number, ReceivePath | null][] {
    const meeting = this.meetings.get(object)
    this.meetings.delete(object)
    for (const token of tokens) this.recalled.add(token)
    for (const [key, { token }] of this.sources) if (this.recalled.delete(token)) this.sources.delete(key)
    for (const { session, message } of meeting?.queue ?? []) this.refuse(session, message)
    return (meeting?.waiters ?? []).map((waiter) => {
      const { thread, path } = waiter
      const resolve = (delivered: unknown) => {
        this.heardInKernel(thread, delivered as Delivered)
        waiter.resolve(delivered as Delivered)
      }
      return [this.runtime.expect({ resolve, reject: waiter.reject }), thread, path]
    })
  }
  cancelBadged([object, badge]: [number, number]): null {
    this.refuseThose(this.meetings.get(object), ({ session }) => session.info.badge === badge)
    return null
  }
  discard(session: InSession): void {
    this.refuseThose(this.meetings.get(session.info.object), (arrival) => arrival.session === session)
    for (const [call, handle] of this.taken) if (handle.session === session) this.taken.delete(call)
  }
  private refuseThose(meeting: Meeting | undefined, which: (arrival: Arrival) => boolean): void {
    if (!meeting) return
    const refused = meeting.queue.filter(which)
    const kept = meeting.queue.filter((arrival) => !which(arrival))
    meeting.queue.splice(0, meeting.queue.length, ...kept)
    for (const { session, message } of refused) this.refuse(session, message)
  }
  private refuse(session: InSession, message: Buffer): void {
    this.runtime.sessions.refuse(new ReplyTo(sequenceOf(message), session, undefined), 'restart')
  }

  // ------------------------------------------------------------ messages

  arrive(session: InSession, message: Buffer): void {
    const kind = message[0]
    if (kind !== KIND.CALL && kind !== KIND.SEND && kind !== KIND.NBSEND)
      return this.runtime.sessions.reject(session, message)
    const meeting = this.meetingOf(session.info.object)
    const waiter = meeting.waiters.shift()
    if (waiter) waiter.resolve(this.hand({ session, message }, waiter.thread))
    else if (kind === KIND.NBSEND) this.runtime.sessions.took(session)
    else meeting.queue.push({ session, message })
  }
  /** Null: nobody was there, and it did not wait. */
  receive(
    meeting: Meeting,
    { thread, path }: Pick<Waiter, 'thread' | 'path'>,
    blocks: boolean,
  ): Promise<Delivered | null> {
    this.callers.delete(thread)
    const first = meeting.queue.shift()
    if (first) return Promise.resolve(this.hand(first, thread))
    if (!blocks) return Promise.resolve(null)
    return new Promise((resolve, reject) => meeting.waiters.push({ thread, path, resolve, reject }))
  }
  private hand({ session, message }: Arrival, thread: number): Delivered {
    const { sessions } = this.runtime
    const call = message[0] === KIND.CALL
    const sequence = sequenceOf(message)
    if (call) {
      const handle = new ReplyTo(sequence, session, traced(message) ? contextOf(message) : undefined)
      this.taken.set(callOf(session, sequence), handle)
      this.callers.set(thread, handle)
    } else if (message[0] === KIND.SEND) sessions.answerSession(session, 0, 0, sequence, null)
    else sessions.took(session)
    return [session.info.badge, labelOf(message), decodeBody(message), 0, 0, [], call]
  }
  /** The caller was suspended or destroyed: its call is not taken, or its answer goes nowhere, wherever the reply is. */
  async cancel(session: InSession, sequence: number): Promise<void> {
    if (this.exports.delete(callOf(session, sequence)))
      return void (await this.runtime.invoke(OP.cancelCaller, [session.info.session, sequence]))
    const meeting = this.meetings.get(session.info.object)
    const at = meeting?.queue.findIndex((one) => one.session === session && sequenceOf(one.message) === sequence) ?? -1
    const handle = this.taken.get(callOf(session, sequence))
    if (at >= 0) meeting?.queue.splice(at, 1)
    else if (handle) this.dropped(handle)
    else return
    session.outstanding--
  }
  private dropped(handle: ReplyTo): void {
    handle.used = true
    this.taken.delete(callOf(handle.session, handle.id))
  }

  // ------------------------------------------------------------ callers

  /** The thread received in the kernel: there its Reply goes. */
  heardInKernel(thread: number, delivered: Delivered | null): void {
    if (delivered?.[7]) return
    if (delivered?.[6]) this.callers.set(thread, 'kernel')
    else this.callers.delete(thread)
  }
  /** Who waits here for the thread's answer; nobody, when the call was taken back. */
  caller(thread: number): ReplyTo | undefined {
    const caller = this.callers.get(thread)
    return caller === 'kernel' || caller?.used ? undefined : caller
  }
  reply(thread: number, label: number, body: unknown): void {
    const caller = this.caller(thread)
    this.callers.delete(thread)
    if (!caller) return
    this.taken.delete(callOf(caller.session, caller.id))
    this.runtime.sessions.reply(caller, label, body)
  }
  /** The kernel has the reply now: it may become a capability, or carry some. */
  exported(thread: number): void {
    const caller = this.caller(thread)
    if (caller) {
      this.dropped(caller)
      caller.session.outstanding--
      this.rememberExport(caller)
    }
    this.callers.set(thread, 'kernel')
  }

  private rememberExport({ session, id }: ReplyTo): void {
    this.exports.set(callOf(session, id), session)
    for (const call of this.exports.keys()) {
      if (this.exports.size <= EXPORTS_MAX) break
      this.exports.delete(call)
    }
  }

  // ------------------------------------------------------------ threads

  suspend(thread: number): void {
    for (const meeting of this.meetings.values()) {
      const stopped = meeting.waiters.filter((waiter) => waiter.thread === thread)
      meeting.waiters = meeting.waiters.filter((waiter) => waiter.thread !== thread)
      for (const { reject } of stopped) reject(new Sel4Error('restart'))
    }
  }
  forget(thread: number): void {
    this.suspend(thread)
    this.callers.delete(thread)
    for (const key of this.sources.keys()) if (key.startsWith(`${thread} `)) this.sources.delete(key)
  }
}
