/**
 * Requests of ours that have been sent and not been answered, by the sequence each carries.
 *
 *   expect(pending, link)     gives it a number; it is under way from here on
 *   answered(link, message)   takes out the one such a message answers: only who was asked may answer, or the kernel
 *   remove(pending)           it is taken back
 *   fail(which)               nobody will answer these: rejected with `serverDied`
 *   settle(pending, message)  resolves or rejects it with what the message says
 */
import { type Answer, Sel4Error } from './api.ts'
import { sel4Error } from './errors.ts'
import type { PeerLink, RouteInfo } from './transport.ts'
import { decodeBody, FLAG, flagsOf, isSound, KIND, labelOf, sequenceOf, sessionOf, setSequence } from './wire.ts'

/** A process is known by what it waits for longest. */
const WAITS_SHOWN = 4

/** A request on its way along a route. */
export interface Pending {
  readonly message: Buffer
  readonly route: Route
  readonly thread: number
  /** It may meet a thread; once sent, it does. */
  meets: boolean
  expectsReply: boolean
  /** Where and by which session it went. */
  link?: Link
  session: number
  sequence: number
  resolve(answer: Answer): void
  reject(error: Error): void
}
/** A connection to one peer process; the kernel's gate is one, too. */
export interface Link {
  readonly peer: PeerLink
}
/** What a send capability of ours leads to. */
export interface Route {
  readonly cptr: number
  readonly thread: number
  state: 'closed' | 'opening' | 'open' | 'moving'
  session: number
  credits: number
  /** Of receivers, while it was open. */
  deaths: number
  link?: Link
  info?: RouteInfo
  opening?: Promise<void>
  waiting: Pending[]
}

export class UnderWay {
  private readonly pending = new Map<number, Pending>()
  private readonly kernelLink: Link
  private readonly nextSequence: () => number

  constructor(kernelLink: Link, nextSequence: () => number) {
    this.kernelLink = kernelLink
    this.nextSequence = nextSequence
  }
  values(): Iterable<Pending> {
    return this.pending.values()
  }
  /** So many credits of a session's window they hold. */
  along(session: number): number {
    let count = 0
    for (const pending of this.pending.values()) if (pending.session === session) count++
    return count
  }
  expect(pending: Pending, link: Link): void {
    pending.link = link
    pending.sequence = this.nextSequence()
    setSequence(pending.message, pending.sequence)
    this.pending.set(pending.sequence, pending)
  }
  /** Who answers is who was asked: a peer can say nothing of what is under way to another. */
  answered(link: Link, message: Buffer): Pending | undefined {
    const pending = this.pending.get(sequenceOf(message))
    if (!pending || !this.mayAnswer(link, pending, sessionOf(message))) return undefined
    this.remove(pending)
    return pending
  }
  /** The kernel answers for a session, too: a reply that became a capability is its to give. */
  private mayAnswer(link: Link, pending: Pending, session: number): boolean {
    return pending.link === link || (link === this.kernelLink && pending.session === session)
  }
  /** False: it was answered, or failed. */
  remove({ sequence }: Pending): boolean {
    return this.pending.delete(sequence)
  }
  fail(which: (pending: Pending) => boolean): void {
    for (const pending of this.pending.values())
      if (which(pending)) {
        this.remove(pending)
        pending.reject(new Sel4Error('serverDied'))
      }
  }
  /** For people: the oldest calls nobody has answered yet, each with its session. */
  waitsFor(nameOf: (label: number) => string): [number, string][] {
    const calls = [...this.pending.values()].filter(({ message }) => message[0] === KIND.CALL).slice(0, WAITS_SHOWN)
    return calls.map(({ message, session }) => [session, nameOf(labelOf(message))])
  }
}
export function settle(pending: Pending, message: Buffer): void {
  if (!isSound(message)) return pending.reject(new Sel4Error('seL4_TruncatedMessage', 'malformed answer'))
  const body = decodeBody(message)
  if (flagsOf(message) & FLAG.ERROR) pending.reject(sel4Error(labelOf(message), body))
  else pending.resolve({ label: labelOf(message), body })
}
