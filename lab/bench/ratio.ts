/**
 * Ratios that a busy machine cannot fake: value and baseline are measured in alternating short blocks, each block of the
 * one is divided by its neighbours of the other, and the median of those quotients is the result.
 *
 *   alternate({ value, baseline, warmUp, blocks, operations })   Row without its names; microseconds per operation
 *   middleOf([await seriesOf({ … }), …])                         the same of several pairs of processes
 *
 *   blocksAtScale(say)                                     how many, where a block is long
 *
 * Pure but for the two functions it is given, and the scale.
 */
export interface Row {
  readonly case: string
  readonly value: number
  readonly unit: string
  readonly baseline: number
  readonly ratio: number
}
/** Runs that many operations; resolves to microseconds per operation. */
export type Block = (operations: number) => Promise<number>

/** Longer blocks would let the machine change between the two. */
export const MOST_OPERATIONS = 200
/** Fewer and the median's own noise shows. */
export const FEWEST_BLOCKS = 30

/** Enough to see that it works; `NEPTUNE_TEST_SCALE=quick` asks for it, and the output says so. */
const QUICK_BLOCKS = 5
export function blocksAtScale(say: (sentence: string) => void): number {
  if (process.env.NEPTUNE_TEST_SCALE !== 'quick') return FEWEST_BLOCKS
  say(`${QUICK_BLOCKS} blocks of each kind (scale quick)`)
  return QUICK_BLOCKS
}

export interface Alternation {
  readonly value: Block
  readonly baseline: Block
  /**
   * Blocks of each before those that count. As long as they: one long run would be compiled as a whole, with all it calls
   * inside, and leave the calls of a fresh block uncompiled.
   */
  readonly warmUp?: number
  readonly blocks?: number
  readonly operations?: number
}
export interface Measured {
  readonly value: number
  readonly baseline: number
  readonly ratio: number
}
export const alternate = async (alternation: Alternation): Promise<Measured> => middleOf([await seriesOf(alternation)])

/** What blocks gave, in their order; `middleOf` says what several such come to. */
export interface Series {
  readonly values: readonly number[]
  readonly baselines: readonly number[]
}
export async function seriesOf({
  value,
  baseline,
  warmUp = 0,
  blocks = FEWEST_BLOCKS,
  operations = MOST_OPERATIONS,
}: Alternation): Promise<Series> {
  const values: number[] = []
  const baselines: number[] = []
  for (let i = 0; i < warmUp; i++) for (const warm of [value, baseline]) await warm(operations)
  for (let i = 0; i < blocks; i++) {
    // Who goes first changes, so that neither always meets the colder cache.
    const [first, second] = i % 2 === 0 ? [value, baseline] : [baseline, value]
    const one = await first(operations)
    const other = await second(operations)
    values.push(i % 2 === 0 ? one : other)
    baselines.push(i % 2 === 0 ? other : one)
  }
  return { values, baselines }
}
export const middleOf = (series: readonly Series[]): Measured => ({
  value: median(series.flatMap(({ values }) => values)),
  baseline: median(series.flatMap(({ baselines }) => baselines)),
  ratio: median(series.flatMap(({ values, baselines }) => values.map((each, i) => each / baselines[i]))),
})
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}
export const row = (name: string, unit: string, measured: Measured): Row => ({
  case: name,
  value: round(measured.value),
  unit,
  baseline: round(measured.baseline),
  ratio: round(measured.ratio),
})
const round = (value: number) => Number(value.toPrecision(4))
