/**
 * Interposition: messages of chosen sessions are traced, delayed, dropped, corrupted, duplicated or reordered on their way
 * through the kernel. Sessions it concerns are moved to the slow path, and back when it ends; nothing is lost by that.
 *
 *   add(rule), remove(id)             the table; who changes it moves the sessions (control.ts)
 *   isOn(endpoint, sender)            whether messages of that sender to that endpoint have to pass here
 *   pass(session, message, forward)   one message, towards the receiver or back
 *   flush(session)                    held messages go on at once; calls that were dropped are answered with serverDied
 *
 * Every choice is drawn from the rule's seed: the same messages meet the same fate again.
 */
import { seededRandom } from '#rtl'
import { SEL4_ERROR } from '../lib/sel4/api.ts'
import { encode, FLAG, HEADER_BYTES, KIND, labelOf, sequenceOf } from '../lib/sel4/wire.ts'
import type { Endpoint } from './endpoint.ts'
import type { Process } from './process.ts'
import type { Session } from './session.ts'

export const ACTIONS = ['trace', 'delay', 'drop', 'corrupt', 'duplicate', 'reorder'] as const
export type Action = (typeof ACTIONS)[number]
export const DIRECTIONS = ['request', 'reply', 'both'] as const
export interface RuleSpec {
  readonly endpoint: Endpoint
  /** Only what this process sends; undefined: everybody. */
  readonly from?: string
  readonly action: Action
  readonly direction: (typeof DIRECTIONS)[number]
  /** How many of the messages it concerns: 0 to 1. */
  readonly rate: number
  /** How long `delay` holds a message. */
  readonly ms: number
  readonly seed: number
}
export interface Passage {
  readonly at: number
  readonly from: string
  readonly to: string
  readonly kind: string
  readonly label: number
  readonly bytes: number
  readonly fate: Action | 'passed'
}
export interface Rule extends RuleSpec {
  readonly id: number
  seen: number
  struck: number
  /** The last messages that passed, oldest first. */
  readonly passages: Passage[]
  readonly random: { next(): number }
}
type Forward = (message: Buffer) => void
type Direction = 'request' | 'reply'

/** What is held of one session in one direction, in order. */
class Line {
  private held: { readonly message: Buffer; readonly forward: Forward; waits: boolean }[] = []

  /** Behind what is held already. `due` is told how to let it go. */
  hold(message: Buffer, forward: Forward, due: (release: () => void) => void): void {
    const one = { message, forward, waits: true }
    this.held.push(one)
    due(() => {
      one.waits = false
      while (this.held.length && !this.held[0].waits) this.first()
    })
  }
  follow(message: Buffer, forward: Forward): void {
    if (this.held.length) this.held.push({ message, forward, waits: false })
    else forward(message)
  }
  overtake(message: Buffer, forward: Forward): void {
    forward(message)
    this.flush()
  }
  flush(): void {
    while (this.held.length) this.first()
  }
  private first(): void {
    const next = this.held.shift()
    next?.forward(next.message)
  }
}
interface Lines {
  readonly request: Line
  readonly reply: Line
  /** Calls nobody will answer. */
  readonly dropped: number[]
}
const PASSAGES_MAX = 256
/** A message that waits to be overtaken goes on after this time if nothing comes. */
const REORDER_MS = 20
const KIND_NAMES = new Map<number, string>(Object.entries(KIND).map(([name, kind]) => [kind, name]))

interface World {
  now(): number
  alarm(milliseconds: number, expired: () => void): { cancel(): void }
}

export class Interposer {
  private readonly world: World
  private readonly rules = new Map<number, Rule>()
  private readonly lines = new Map<Session, Lines>()
  private nextRule = 1

  constructor(world: World) {
    this.world = world
  }
  add(spec: RuleSpec): Rule {
    const rule = { ...spec, id: this.nextRule++, seen: 0, struck: 0, passages: [], random: seededRandom(spec.seed) }
    this.rules.set(rule.id, rule)
    return rule
  }
  remove(id: number): Rule | undefined {
    const rule = this.rules.get(id)
    this.rules.delete(id)
    return rule
  }
  all(): readonly Rule[] {
    return [...this.rules.values()]
  }
  isOn(endpoint: unknown, sender?: Process): boolean {
    return this.all().some((rule) => rule.endpoint === endpoint && (!sender || !rule.from || rule.from === sender.name))
  }
  /** What a receiver says of this session's messages proves nothing about their sender. */
  corrupts(session: Session): boolean {
    return this.all().some((rule) => rule.action === 'corrupt' && concerns(rule, session))
  }

  // ------------------------------------------------------------ messages

  pass(session: Session, message: Buffer, forward: Forward, direction: Direction): void {
    const line = this.linesOf(session)[direction]
    const rule = this.all().find((one) => concerns(one, session) && goes(one, direction))
    if (!rule) return line.follow(message, forward)
    const strikes = rule.random.next() < rule.rate * 2 ** 32
    this.note(rule, session, message, direction, strikes)
    if (strikes) this.strike(rule, session, line, message, forward)
    else if (rule.action === 'reorder') line.overtake(message, forward)
    else line.follow(message, forward)
  }
  private linesOf(session: Session): Lines {
    let lines = this.lines.get(session)
    if (!lines) this.lines.set(session, (lines = { request: new Line(), reply: new Line(), dropped: [] }))
    return lines
  }
  private note(rule: Rule, session: Session, message: Buffer, direction: Direction, strikes: boolean): void {
    const to = session.receivers.map(({ name }) => name).join(' ')
    const [sender, receiver] = direction === 'request' ? [session.sender.name, to] : [to, session.sender.name]
    rule.seen++
    if (strikes) rule.struck++
    rule.passages.push({
      at: this.world.now(),
      from: sender,
      to: receiver,
      kind: KIND_NAMES.get(message[0]) ?? String(message[0]),
      label: labelOf(message),
      bytes: message.length,
      fate: strikes ? rule.action : 'passed',
    })
    if (rule.passages.length > PASSAGES_MAX) rule.passages.shift()
  }
  private strike(rule: Rule, session: Session, line: Line, message: Buffer, forward: Forward): void {
    const after = (ms: number) => (release: () => void) => void this.world.alarm(ms, release)
    switch (rule.action) {
      case 'delay':
        return line.hold(message, forward, after(rule.ms))
      case 'reorder':
        return line.hold(message, forward, after(REORDER_MS))
      case 'drop':
        return this.drop(session, message)
      case 'corrupt':
        return line.follow(corrupted(message, rule.random), forward)
      case 'duplicate':
        line.follow(message, forward)
        return line.follow(Buffer.from(message), forward)
      case 'trace':
        return line.follow(message, forward)
    }
  }
  /** A send's credit comes back at once; a call's caller waits until the interposition ends. */
  private drop(session: Session, message: Buffer): void {
    if (message[0] !== KIND.SEND) return void this.linesOf(session).dropped.push(sequenceOf(message))
    session.outstanding = Math.max(0, session.outstanding - 1)
    session.sender.tell(encode(KIND.CREDIT, 0, 1, session.id, 0, null))
  }

  // ------------------------------------------------------------ the end

  flush(session: Session): void {
    const lines = this.lines.get(session)
    if (!lines) return
    this.lines.delete(session)
    lines.request.flush()
    lines.reply.flush()
    for (const sequence of lines.dropped) {
      session.unanswered.delete(sequence)
      session.sender.tell(encode(KIND.REPLY, FLAG.ERROR, SEL4_ERROR.serverDied, session.id, sequence, null))
    }
  }
}
const concerns = ({ endpoint, from }: RuleSpec, { cap, sender }: Session): boolean =>
  cap.object === endpoint && (!from || from === sender.name)
const goes = (rule: RuleSpec, direction: Direction): boolean =>
  rule.direction === direction || rule.direction === 'both'
/** One bit of the body, anywhere: what the receiver makes of it is what the experiment is about. */
function corrupted(message: Buffer, random: { next(): number }): Buffer {
  const copy = Buffer.from(message)
  const at = HEADER_BYTES + (random.next() % (message.length - HEADER_BYTES))
  copy[at] ^= 1 << (random.next() % 8)
  return copy
}
