/**
 * Latencies that others on the same machine cannot fake. Medians are of windows of half a second; a 99th percentile is of two
 * seconds together, since of one window it is the word of four calls. Only ratios to a baseline of the same run are judged.
 *
 *   windows(samples, from, until)   a window without a sample is infinitely slow: somebody stood still
 *   spanOf(samples, from, until)    the same of a stretch, with its own 99th percentile
 *   isSteady(spans)                 whether there was a baseline at all: else nothing can be measured against it
 *   judge(baseline, during, after)  undefined, or what is wrong
 */
/** When it began, in milliseconds since the epoch; how long it took, in microseconds. */
export type Sample = readonly [number, number]
export interface Window {
  readonly from: number
  readonly median: number
}
/** Some seconds together. */
export interface Span {
  readonly windows: readonly Window[]
  readonly p99: number
}
/** Some hundreds of calls. */
export const WINDOW_MS = 500
/** The promise: others' medians throughout, and their 99th percentile again after a second. */
const WORST_RATIO = 2
/**
 * A baseline whose parts differ more than this among themselves was not measured on a machine that did what it does now: it is
 * no baseline, and is taken again.
 */
const STEADY_RATIO = { median: 1.5, p99: 2 } as const

export function windows(samples: readonly Sample[], from: number, until: number): Window[] {
  const made: Window[] = []
  for (let at = from; at + WINDOW_MS <= until; at += WINDOW_MS) {
    const inside = samples.filter(([began]) => at <= began && began < at + WINDOW_MS).map(([, took]) => took)
    made.push({ from: at, median: quantile(inside, 0.5) })
  }
  return made
}
export function quantile(values: readonly number[], share: number): number {
  if (!values.length) return Number.POSITIVE_INFINITY
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]
}
export function spanOf(samples: readonly Sample[], from: number, until: number): Span {
  const inside = samples.filter(([began]) => from <= began && began < until).map(([, took]) => took)
  return { windows: windows(samples, from, until), p99: quantile(inside, 0.99) }
}
const middle = (spans: readonly Span[]): number =>
  quantile(
    spans.flatMap((span) => span.windows.map(({ median }) => median)),
    0.5,
  )
const within = (values: readonly number[], ratio: number): boolean => Math.max(...values) <= ratio * Math.min(...values)
export const isSteady = (spans: readonly Span[]): boolean =>
  within(
    spans.flatMap((span) => span.windows.map(({ median }) => median)),
    STEADY_RATIO.median,
  ) &&
  within(
    spans.map(({ p99 }) => p99),
    STEADY_RATIO.p99,
  )
export function judge(baseline: readonly Span[], during: readonly Window[], after: Span): string | undefined {
  const median = middle(baseline)
  const p99 = Math.max(...baseline.map((span) => span.p99))
  const slow = during.filter((window) => window.median > WORST_RATIO * median)
  if (slow.length > 0)
    return `a median of ${slow.map((window) => window.median)} us during it, ${median} us before, in ${slow.length} of ${during.length} windows`
  return after.p99 > WORST_RATIO * p99
    ? `a 99th percentile of ${after.p99} us a second after it, ${p99} us without it`
    : undefined
}
