/**
 * Latencies that others on the same machine cannot fake: samples are cut into windows, each window is known by its median
 * and its 99th percentile, several windows by the median of those. Only ratios to a baseline of the same run are judged.
 *
 *   windows(samples, from, until)   a window without a sample is infinitely slow: somebody stood still
 *   isSteady(baseline)              whether there was a baseline at all: else nothing can be measured against it
 *   judge(baseline, during, after)  undefined, or what is wrong
 */
/** When it began, in milliseconds since the epoch; how long it took, in microseconds. */
export type Sample = readonly [number, number]
export interface Window {
  readonly from: number
  readonly median: number
  readonly p99: number
}
/** Some four hundred calls: the fewest of which a 99th percentile says anything. */
export const WINDOW_MS = 500
/** The promise: others' medians throughout, and their 99th percentile again after a second. */
const WORST_RATIO = 2
/**
 * A baseline whose windows differ more than this among themselves was not measured on a machine that did what it does
 * now: it is no baseline, and is taken again. The 99th percentiles of a few hundred samples differ more than their medians do.
 */
const STEADY_RATIO = { median: 1.5, p99: 2 } as const

export function windows(samples: readonly Sample[], from: number, until: number): Window[] {
  const made: Window[] = []
  for (let at = from; at + WINDOW_MS <= until; at += WINDOW_MS) {
    const inside = samples.filter(([began]) => at <= began && began < at + WINDOW_MS).map(([, took]) => took)
    made.push({ from: at, median: quantile(inside, 0.5), p99: quantile(inside, 0.99) })
  }
  return made
}
export function quantile(values: readonly number[], share: number): number {
  if (!values.length) return Number.POSITIVE_INFINITY
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]
}
export const middle = (of: readonly Window[], what: 'median' | 'p99'): number =>
  quantile(
    of.map((window) => window[what]),
    0.5,
  )
export const isSteady = (baseline: readonly Window[]): boolean =>
  (['median', 'p99'] as const).every((what) => {
    const values = baseline.map((window) => window[what])
    return Math.max(...values) <= STEADY_RATIO[what] * Math.min(...values)
  })
export function judge(
  baseline: readonly Window[],
  during: readonly Window[],
  after: readonly Window[],
): string | undefined {
  const median = middle(baseline, 'median')
  const p99 = middle(baseline, 'p99')
  const slow = during.filter((window) => window.median > WORST_RATIO * median)
  const late = middle(after, 'p99')
  if (slow.length > 0)
    return `a median of ${slow.map((window) => window.median)} us during it, ${median} us before, in ${slow.length} of ${during.length} windows`
  return late > WORST_RATIO * p99 ? `a 99th percentile of ${late} us a second after it, ${p99} us before` : undefined
}
