/**
 * How much: `quick` on a developer's machine, `ci` as the counts are stated, `nightly` for what takes a night.
 *
 *   scaled(1000)   1000 at ci, 1/20 of it (at least 1) at quick, 10 times at nightly
 */
export type Scale = 'quick' | 'ci' | 'nightly'

const FACTOR: Readonly<Record<Scale, number>> = { quick: 1 / 20, ci: 1, nightly: 10 }

export function scale(): Scale {
  const wanted = process.env.NEPTUNE_TEST_SCALE ?? 'quick'
  if (!(wanted in FACTOR))
    throw new Error(`NEPTUNE_TEST_SCALE is ${wanted}; it may be ${Object.keys(FACTOR).join(', ')}`)
  return wanted as Scale
}
export const scaled = (count: number, least = 1): number => Math.max(least, Math.round(count * FACTOR[scale()]))
export const isAtLeast = (wanted: Scale): boolean => FACTOR[scale()] >= FACTOR[wanted]
