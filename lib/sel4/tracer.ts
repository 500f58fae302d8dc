/**
 * Spans of this process: what it called, what it served, what its drivers and chips did, joined across processes by the
 * trace context in each message's header and in each IO packet.
 *
 *   enable(true)      forgets everything, begins; off again: what is still open is recorded as unfinished
 *   take()            some of what was recorded, oldest first; empty when nothing is left. One message holds it
 *   begin, within, span   one span: its beginning, its current context, both with its end
 *
 * Off, it costs one test where something could be recorded. On, the context follows awaits through AsyncLocalStorage,
 * which is why it is on only while somebody watches. Never keeps what it was shown: arguments become short text at once.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import type { OpenSpan, Trace, TraceContext } from './api.ts'

export interface Span {
  readonly name: string
  /** Milliseconds of a clock all processes of this machine share. */
  readonly start: number
  readonly duration: number
  /** In hexadecimal: the request it belongs to, itself, and what caused it ('' for the first). */
  readonly trace: string
  readonly span: string
  readonly parent: string
  readonly args?: Readonly<Record<string, string | number | boolean>>
  /** It had not ended when the watching did. */
  readonly unfinished?: true
}
/** Some seconds of a busy driver. */
const SPANS_MAX = 8192
/** With the longest names and arguments, still half a message. */
const BATCH = 128
const CONTEXT_BYTES = 24
const TRACE_BYTES = 16
const ARGS_MAX = 12
const TEXT_MAX = 100
const ITEMS_MAX = 8
const DEPTH_MAX = 3

const hex = (bytes: Uint8Array, from: number, to: number): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString('hex')
const sameTrace = (a: Uint8Array, b: Uint8Array): boolean => {
  for (let i = 0; i < TRACE_BYTES; i++) if (a[i] !== b[i]) return false
  return true
}
/** A context that came from elsewhere, kept; undefined when it is none. */
const kept = (context: TraceContext | undefined): TraceContext | undefined =>
  context?.length === CONTEXT_BYTES ? Uint8Array.from(context) : undefined

class Recording implements OpenSpan {
  readonly context: Uint8Array
  readonly parent?: Uint8Array
  readonly name: string
  readonly start: number
  private readonly tracer: Tracer
  private args?: Record<string, string | number | boolean>

  constructor(tracer: Tracer, name: string, context: Uint8Array, parent: Uint8Array | undefined, start: number) {
    this.tracer = tracer
    this.name = name
    this.context = context
    this.parent = parent
    this.start = start
  }
  note(args: object | undefined): void {
    if (args) this.args = { ...this.args, ...summary(args) }
  }
  end(args?: object): void {
    this.note(args)
    this.tracer.ended(this)
  }
  finished(now: number, unfinished?: true): Span {
    return {
      name: this.name.slice(0, TEXT_MAX),
      start: this.start,
      duration: now - this.start,
      trace: hex(this.context, 0, TRACE_BYTES),
      span: hex(this.context, TRACE_BYTES, CONTEXT_BYTES),
      parent: this.parent ? hex(this.parent, TRACE_BYTES, CONTEXT_BYTES) : '',
      ...(this.args && { args: this.args }),
      ...(unfinished && { unfinished }),
    }
  }
}

export class Tracer implements Trace {
  enabled = false
  private readonly now: () => number
  private readonly random: () => number
  private readonly storage = new AsyncLocalStorage<Recording>()
  private readonly names = new Map<number, string>()
  private readonly open = new Set<Recording>()
  private spans: Span[] = []
  private lost = 0

  constructor(now: () => number, random: () => number) {
    this.now = now
    this.random = random
  }
  /** What a label of a call is called. */
  learn(label: number, name: string): void {
    this.names.set(label, name)
  }
  nameOf(label: number): string {
    return this.names.get(label) ?? `${label}`
  }
  /** When it ends: how many spans found no room. */
  enable(on: boolean): number {
    if (on) {
      this.spans = []
      this.lost = 0
    } else for (const span of this.open) this.keep(span.finished(this.now(), true))
    this.open.clear()
    this.enabled = on
    if (!on) this.storage.disable()
    return this.lost
  }
  take(): Span[] {
    return this.spans.splice(0, BATCH)
  }

  current(): TraceContext | undefined {
    return this.enabled ? this.storage.getStore()?.context : undefined
  }
  /** Of something that began under `context` and goes on now: where it has got to, if this is about the same request. */
  currentOf(context: TraceContext | undefined): TraceContext | undefined {
    const current = this.current()
    return current && (!context || sameTrace(current, context)) ? current : this.enabled ? context : undefined
  }
  /** Something worth knowing about the span that is current. */
  note(args: object): void {
    if (this.enabled) this.storage.getStore()?.note(args)
  }
  begin(name: string, parent?: TraceContext, args?: object): OpenSpan {
    const cause = kept(parent)
    const recording = new Recording(this, name, this.child(cause), cause, this.now())
    recording.note(args)
    if (this.open.size < SPANS_MAX) this.open.add(recording)
    return recording
  }
  within<T>(span: OpenSpan, work: () => T): T {
    return this.enabled ? this.storage.run(span as Recording, work) : work()
  }
  /** Ends when the work does; `brief`: when its synchronous part does, because the rest only waits. */
  span<T>(name: string, parent: TraceContext | undefined, args: object | undefined, work: () => T, brief = false): T {
    const span = this.begin(name, parent, args)
    const done = () => span.end()
    const result = this.within(span, work)
    if (result instanceof Promise && !brief) result.then(done, done)
    else done()
    return result
  }
  /** A call out: a child of what runs now, whose context goes into the message. */
  call<T>(
    name: string,
    args: object | undefined,
    work: (context: Uint8Array) => Promise<T>,
    brief = false,
  ): Promise<T> {
    const span = this.begin(`→ ${name}`, this.current(), args)
    const done = () => span.end()
    const result = work(span.context)
    if (brief) done()
    else result.then(done, done)
    return result
  }

  /** A new span of the same trace, or the first of a new one. */
  private child(parent: Uint8Array | undefined): Uint8Array {
    const context = Buffer.alloc(CONTEXT_BYTES)
    if (parent) context.set(parent.subarray(0, TRACE_BYTES))
    else for (let at = 0; at < TRACE_BYTES; at += 4) context.writeUInt32LE(this.random() || 1, at)
    context.writeUInt32LE(this.random() || 1, TRACE_BYTES)
    context.writeUInt32LE(this.random(), TRACE_BYTES + 4)
    return context
  }
  ended(span: Recording): void {
    if (this.open.delete(span)) this.keep(span.finished(this.now()))
  }
  private keep(span: Span): void {
    if (this.spans.length < SPANS_MAX) this.spans.push(span)
    else this.lost++
  }
}

// ---------------------------------------------------------------- arguments as text

function summary(args: object): Record<string, string | number | boolean> {
  const entries = Object.entries(args).filter(([, value]) => value !== undefined && value !== null)
  return Object.fromEntries(entries.slice(0, ARGS_MAX).map(([name, value]) => [name.slice(0, TEXT_MAX), plain(value)]))
}
const plain = (value: unknown): string | number | boolean =>
  typeof value === 'number' || typeof value === 'boolean' ? value : text(value, DEPTH_MAX).slice(0, TEXT_MAX)
function text(value: unknown, depth: number): string {
  if (typeof value === 'string') return value
  if (value === null || typeof value !== 'object') return String(value)
  if (value instanceof Uint8Array) return `${value.length} bytes`
  if (depth === 0) return '…'
  if (Array.isArray(value)) return items(value, depth)
  const { kind, ...fields } = value as Record<string, unknown>
  const parts = Object.entries(fields)
    .filter(([name, field]) => field !== undefined && field !== null && name !== 'Trace')
    .slice(0, ARGS_MAX)
    .map(([name, field]) => `${name}=${text(field, depth - 1)}`)
  return [...(typeof kind === 'string' ? [kind] : []), ...parts].join(' ')
}
const items = (values: readonly unknown[], depth: number): string => {
  const shown = values.slice(0, ITEMS_MAX).map((value) => item(value, depth - 1))
  return [...shown, ...(values.length > ITEMS_MAX ? [`… ${values.length}`] : [])].join(', ')
}
/** Of many things of several kinds the first field tells them apart. */
function item(value: unknown, depth: number): string {
  const { kind, ...fields } = Object(value) as Record<string, unknown>
  if (typeof kind !== 'string') return text(value, depth)
  const [first] = Object.entries(fields)
  return first ? `${kind} ${first[0]}=${text(first[1], 0)}` : kind
}
