/**
 * Spans of this process: what it called and what it served, joined across processes by the trace context in each
 * message's header. Off: costs one test per call. On: the context follows awaits through AsyncLocalStorage, which is
 * why it is switched on only for as long as somebody watches.
 */
import { AsyncLocalStorage } from 'node:async_hooks'

export interface Span {
  readonly name: string
  /** Milliseconds since 1601, the one clock all processes share. */
  readonly start: number
  readonly duration: number
  readonly trace: string
  readonly span: string
  readonly parent: string
}
/** Some seconds of a busy driver. */
const RING = 4096
const hex = (bytes: Uint8Array, from: number, to: number): string =>
  Buffer.from(bytes.subarray(from, to)).toString('hex')

export class Tracer {
  enabled = false
  private readonly now: () => number
  private readonly random: () => number
  private readonly storage = new AsyncLocalStorage<Uint8Array>()
  private readonly names = new Map<number, string>()
  private spans: Span[] = []
  private next = 0

  constructor(now: () => number, random: () => number) {
    this.now = now
    this.random = random
  }
  learn(label: number, name: string): void {
    this.names.set(label, name)
  }
  enable(on: boolean): null {
    this.enabled = on
    if (on) this.take()
    else this.storage.disable()
    return null
  }
  take(): Span[] {
    const spans = [...this.spans.slice(this.next), ...this.spans.slice(0, this.next)]
    this.spans = []
    this.next = 0
    return spans
  }
  current(): Uint8Array | undefined {
    return this.enabled ? this.storage.getStore() : undefined
  }
  call<T>(label: number, work: (context: Uint8Array) => Promise<T>): Promise<T> {
    const parent = this.storage.getStore()
    const context = this.child(parent)
    const start = this.now()
    const done = () => this.record(`→ ${this.names.get(label) ?? label}`, start, context, parent)
    const result = work(context)
    result.then(done, done)
    return result
  }
  serve(name: string, parent: Uint8Array | undefined, work: () => unknown): void {
    const kept = parent && Uint8Array.from(parent)
    const context = this.child(kept)
    const start = this.now()
    const done = () => this.record(name, start, context, kept)
    const result = this.storage.run(context, work)
    if (result instanceof Promise) result.then(done, done)
    else done()
  }
  /** A new span of the same trace, or the first of a new one. */
  private child(parent: Uint8Array | undefined): Uint8Array {
    const context = Buffer.alloc(24)
    if (parent) context.set(parent.subarray(0, 16))
    else for (let at = 0; at < 16; at += 4) context.writeUInt32LE(this.random() || 1, at)
    context.writeUInt32LE(this.random() || 1, 16)
    context.writeUInt32LE(this.random(), 20)
    return context
  }
  private record(name: string, start: number, context: Uint8Array, parent: Uint8Array | undefined): void {
    if (!this.enabled) return
    const span = {
      name,
      start,
      duration: this.now() - start,
      trace: hex(context, 0, 16),
      span: hex(context, 16, 24),
      parent: parent ? hex(parent, 16, 24) : '',
    }
    if (this.spans.length < RING) this.spans.push(span)
    else {
      this.spans[this.next] = span
      this.next = (this.next + 1) % RING
    }
  }
}
