/**
 * What all processes saw, as a file for Perfetto and as text. Pure.
 *
 *   perfetto(seen)       Chrome's trace events: a process each, its spans, an arrow from each cause to its effect elsewhere
 *   requests(seen)       the spans of each request, most processes first, then the simplest
 *   tree(request)        one request as indented lines: who did what for it, when, for how long
 *
 * A span lies on its process's track. Spans that overlap without one causing the other get a second track below: a slice
 * inside another would look like its part.
 */
import type { Span } from '../../lib/sel4/tracer.ts'

export interface Seen {
  readonly name: string
  readonly pid: number
  readonly generation: number
  /** False: it was stopped, or died before it could tell. */
  readonly answered: boolean
  /** Spans it had no room for. */
  readonly lost: number
  readonly spans: readonly Span[]
}
/** A span with where and when it is shown: microseconds from the first one. */
interface Slice {
  readonly span: Span
  readonly process: Seen
  readonly ts: number
  readonly dur: number
  tid: number
}
type Event = Readonly<Record<string, unknown>>

const MICROSECONDS = 1000
/** Numbers of second tracks; beyond any process's. */
const FIRST_EXTRA_TID = 1 << 23

// ---------------------------------------------------------------- Perfetto

/** `seen` in the order in which the processes are to be shown. */
export function perfetto(seen: readonly Seen[]): { traceEvents: Event[]; displayTimeUnit: 'ms' } {
  const events: Event[] = []
  const bySpan = new Map<string, Slice>()
  let extra = FIRST_EXTRA_TID
  seen.forEach((process, order) => {
    const slices = slicesOf(process, originOf(seen))
    const tracks = assignTracks(slices, process.pid, () => extra++)
    events.push(...describeProcess(process, order, tracks))
    for (const slice of slices) {
      bySpan.set(slice.span.span, slice)
      events.push(eventOf(slice))
    }
  })
  events.push(...arrows(bySpan))
  return { traceEvents: events, displayTimeUnit: 'ms' }
}
const originOf = (seen: readonly Seen[]): number => {
  let origin = Number.POSITIVE_INFINITY
  for (const { spans } of seen) for (const { start } of spans) origin = Math.min(origin, start)
  return origin
}
/** Nanoseconds are the clock's own; what is finer is noise of the arithmetic. */
const toMicroseconds = (milliseconds: number): number => Math.round(milliseconds * MICROSECONDS * 1000) / 1000
const slicesOf = (process: Seen, origin: number): Slice[] =>
  process.spans
    .map((span) => ({
      span,
      process,
      ts: toMicroseconds(span.start - origin),
      dur: toMicroseconds(span.duration),
      tid: process.pid,
    }))
    .sort((a, b) => a.ts - b.ts || b.dur - a.dur)

const endOf = ({ ts, dur }: Slice): number => ts + dur
/** Returns the numbers of the tracks used, the process's own first. */
function assignTracks(slices: readonly Slice[], pid: number, another: () => number): number[] {
  const tracks: { tid: number; open: Slice[] }[] = [{ tid: pid, open: [] }]
  for (const slice of slices) {
    for (const track of tracks)
      while (track.open.length && endOf(track.open.at(-1) as Slice) <= slice.ts) track.open.pop()
    let track = tracks.find(({ open }) => open.length > 0 && isPart(slice, open.at(-1) as Slice))
    track ??= tracks.find(({ open }) => open.length === 0)
    if (!track) tracks.push((track = { tid: another(), open: [] }))
    slice.tid = track.tid
    track.open.push(slice)
  }
  return tracks.map(({ tid }) => tid)
}
const isPart = (inner: Slice, outer: Slice): boolean =>
  inner.span.trace === outer.span.trace && endOf(inner) <= endOf(outer)

function describeProcess({ name, pid, generation }: Seen, order: number, tracks: readonly number[]): Event[] {
  const title = generation > 1 ? `${name} (life ${generation})` : name
  const about = (kind: string, tid: number, args: object) => ({ ph: 'M', name: kind, pid, tid, args })
  return [
    about('process_name', pid, { name: title }),
    about('process_sort_index', pid, { sort_index: order }),
    ...tracks.map((tid, i) => about('thread_name', tid, { name: i === 0 ? name : `${name} at the same time` })),
    ...tracks.map((tid, i) => about('thread_sort_index', tid, { sort_index: i })),
  ]
}
function eventOf({ span, process, ts, dur, tid }: Slice): Event {
  const { name, trace, span: id, parent, args, unfinished } = span
  return {
    ph: 'X',
    cat: 'neptune',
    name,
    pid: process.pid,
    tid,
    ts,
    dur,
    args: { ...args, ...(unfinished && { unfinished }), trace, span: id, parent },
  }
}
/** From where the cause was at that moment, or ended, to where the effect begins. */
function arrows(bySpan: ReadonlyMap<string, Slice>): Event[] {
  const events: Event[] = []
  let id = 0
  for (const effect of bySpan.values()) {
    const cause = bySpan.get(effect.span.parent)
    if (!cause || cause.process === effect.process) continue
    const common = { cat: 'neptune', name: effect.span.name, id: ++id }
    const leaves = Math.max(cause.ts, Math.min(effect.ts, endOf(cause)))
    events.push({ ph: 's', ...common, pid: cause.process.pid, tid: cause.tid, ts: leaves })
    events.push({ ph: 'f', bp: 'e', ...common, pid: effect.process.pid, tid: effect.tid, ts: effect.ts })
  }
  return events
}

// ---------------------------------------------------------------- one request

export interface Step {
  readonly process: string
  readonly span: Span
}
export interface Request {
  readonly trace: string
  readonly steps: readonly Step[]
  readonly processes: ReadonlySet<string>
}
export function requests(seen: readonly Seen[]): Request[] {
  const byTrace = new Map<string, Step[]>()
  for (const { name, spans } of seen)
    for (const span of spans) {
      const steps = byTrace.get(span.trace)
      if (steps) steps.push({ process: name, span })
      else byTrace.set(span.trace, [{ process: name, span }])
    }
  return [...byTrace]
    .map(([trace, steps]) => ({ trace, steps, processes: new Set(steps.map(({ process }) => process)) }))
    .sort((a, b) => b.processes.size - a.processes.size || a.steps.length - b.steps.length)
}

/** Lines of a terminal's page, and characters of arguments in one. */
const LINES_MAX = 60
const DETAIL_MAX = 60
const INDENT_MAX = 16
export function tree({ trace, steps, processes }: Request): string {
  const rows = inOrder(steps)
  const origin = rows[0].step.span.start
  const width = Math.max(...[...processes].map((name) => name.length))
  const lines = rows.slice(0, LINES_MAX).map(({ step: { process, span }, depth }) => {
    const at = (span.start - origin).toFixed(3).padStart(9)
    const took = span.duration.toFixed(3).padStart(9)
    const what = `${'  '.repeat(Math.min(depth, INDENT_MAX))}${span.name}${detail(span)}`
    return `${at} ${took}  ${process.padEnd(width)}  ${what}`
  })
  const more = rows.length > LINES_MAX ? [`${' '.repeat(21)}… ${rows.length - LINES_MAX} more`] : []
  const head = `request ${trace.slice(0, 16)}: ${steps.length} spans in ${processes.size} processes`
  return [head, '  from ms   took ms', ...lines, ...more].join('\n')
}
function detail({ args, unfinished }: Span): string {
  const shown = Object.entries(args ?? {}).map(([name, value]) => `${name}=${value}`)
  const text = [...shown, ...(unfinished ? ['(unfinished)'] : [])].join(' ')
  return text === '' ? '' : `  ${text.length > DETAIL_MAX ? `${text.slice(0, DETAIL_MAX)}…` : text}`
}
/** Causes before effects, effects of one cause by time. */
function inOrder(steps: readonly Step[]): { step: Step; depth: number }[] {
  const ids = new Set(steps.map(({ span }) => span.span))
  const children = new Map<string, Step[]>()
  for (const step of [...steps].sort((a, b) => a.span.start - b.span.start)) {
    const parent = ids.has(step.span.parent) ? step.span.parent : ''
    children.set(parent, [...(children.get(parent) ?? []), step])
  }
  const rows: { step: Step; depth: number }[] = []
  const left = [...(children.get('') ?? [])].reverse().map((step) => ({ step, depth: 0 }))
  for (let row = left.pop(); row; row = left.pop()) {
    rows.push(row)
    const { step, depth } = row
    const below = children.get(step.span.span) ?? []
    left.push(...[...below].reverse().map((child) => ({ step: child, depth: depth + 1 })))
  }
  return rows
}
