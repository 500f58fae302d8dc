/**
 * Interposition: chosen messages to an endpoint are traced, delayed, dropped, corrupted, duplicated or reordered on their
 * way through the kernel, be they a session's (relay.ts) or a thread's that meet there (ipc.ts).
 *
 *   add(rule), remove(id)      the table; who changes it sees to it that messages come this way (interpose.ts)
 *   isOn(endpoint, sender)     whether messages of that sender to that endpoint have to pass here
 *   pass(message, direction)   one message, towards the receiver or back
 *   flush(line)                what is held goes on at once; calls that were dropped are answered with serverDied
 *
 * Every choice is drawn from the rule's seed: the same messages meet the same fate again.
 */
import { seededRandom } from '#rtl'
import type { Endpoint } from './endpoint.ts'

export const ACTIONS = ['trace', 'delay', 'drop', 'corrupt', 'duplicate', 'reorder'] as const
export type Action = (typeof ACTIONS)[number]
export const DIRECTIONS = ['request', 'reply', 'both'] as const
export interface Random {
  next(): number
}
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
  readonly random: Random
}
export type Direction = 'request' | 'reply'
/** A message on its way, whatever carries it. */
export interface Passing {
  /** Messages of one line keep their order. */
  readonly line: object
  readonly endpoint: unknown
  /** The process that uses the endpoint: who sends requests and gets replies. */
  readonly user: string
  readonly from: string
  readonly to: string
  readonly kind: string
  readonly label: number
  readonly bytes: number
  go(): void
  /** The same with one bit changed. */
  corrupted(random: Random): Passing
  twin(): Passing
  /** It does not go on. What is to be done about whoever waits for an answer, when the interposition ends. */
  lost(): (() => void) | undefined
}

/** What is held of one line in one direction, in order. */
class Line {
  private held: { readonly message: Passing; waits: boolean }[] = []

  /** Behind what is held already. `due` is told how to let it go. */
  hold(message: Passing, due: (release: () => void) => void): void {
    const one = { message, waits: true }
    this.held.push(one)
    due(() => {
      one.waits = false
      while (this.held.length && !this.held[0].waits) this.held.shift()?.message.go()
    })
  }
  follow(message: Passing): void {
    if (this.held.length) this.held.push({ message, waits: false })
    else message.go()
  }
  overtake(message: Passing): void {
    message.go()
    this.flush()
  }
  flush(): void {
    while (this.held.length) this.held.shift()?.message.go()
  }
}
interface Lines {
  readonly endpoint: unknown
  readonly request: Line
  readonly reply: Line
  /** To be done about calls nobody will answer. */
  readonly dropped: (() => void)[]
}
const PASSAGES_MAX = 256
/** A message that waits to be overtaken goes on after this time if nothing comes. */
const REORDER_MS = 20

interface World {
  now(): number
  alarm(milliseconds: number, expired: () => void): { cancel(): void }
}

export class Interposer {
  private readonly world: World
  private readonly rules = new Map<number, Rule>()
  private readonly lines = new Map<object, Lines>()
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
  /** `user` undefined: anybody's. */
  isOn(endpoint: unknown, user?: string): boolean {
    return this.rules.size > 0 && this.all().some((rule) => concerns(rule, endpoint, user ?? rule.from))
  }
  /** What a receiver says of such messages proves nothing about their sender. */
  corrupts(endpoint: unknown, user: string): boolean {
    return this.all().some((rule) => rule.action === 'corrupt' && concerns(rule, endpoint, user))
  }

  // ------------------------------------------------------------ messages

  pass(message: Passing, direction: Direction): void {
    const line = this.linesOf(message)[direction]
    const rule = this.all().find((one) => concerns(one, message.endpoint, message.user) && goes(one, direction))
    if (!rule) return line.follow(message)
    const strikes = rule.random.next() < rule.rate * 2 ** 32
    this.note(rule, message, strikes)
    if (strikes) this.strike(rule, line, message)
    else if (rule.action === 'reorder') line.overtake(message)
    else line.follow(message)
  }
  private linesOf({ line, endpoint }: Passing): Lines {
    let lines = this.lines.get(line)
    if (!lines) this.lines.set(line, (lines = { endpoint, request: new Line(), reply: new Line(), dropped: [] }))
    return lines
  }
  private note(rule: Rule, { from, to, kind, label, bytes }: Passing, strikes: boolean): void {
    rule.seen++
    if (strikes) rule.struck++
    const fate = strikes ? rule.action : 'passed'
    rule.passages.push({ at: this.world.now(), from, to, kind, label, bytes, fate })
    if (rule.passages.length > PASSAGES_MAX) rule.passages.shift()
  }
  private strike(rule: Rule, line: Line, message: Passing): void {
    const after = (ms: number) => (release: () => void) => void this.world.alarm(ms, release)
    switch (rule.action) {
      case 'delay':
        return line.hold(message, after(rule.ms))
      case 'reorder':
        return line.hold(message, after(REORDER_MS))
      case 'drop':
        return this.drop(message)
      case 'corrupt':
        return line.follow(message.corrupted(rule.random))
      case 'duplicate':
        line.follow(message)
        return line.follow(message.twin())
      case 'trace':
        return line.follow(message)
    }
  }
  private drop(message: Passing): void {
    const later = message.lost()
    if (later) this.linesOf(message).dropped.push(later)
  }

  // ------------------------------------------------------------ the end

  flush(line: object): void {
    const lines = this.lines.get(line)
    if (!lines) return
    this.lines.delete(line)
    lines.request.flush()
    lines.reply.flush()
    for (const tell of lines.dropped) tell()
  }
  flushAll(endpoint: unknown): void {
    for (const [line, lines] of this.lines) if (lines.endpoint === endpoint) this.flush(line)
  }
}
const concerns = (rule: RuleSpec, endpoint: unknown, user: string | undefined): boolean =>
  rule.endpoint === endpoint && (!rule.from || rule.from === user)
const goes = (rule: RuleSpec, direction: Direction): boolean =>
  rule.direction === direction || rule.direction === 'both'
