/**
 * Revoke: one capability with ten thousand descendants, again and again.
 *
 *   revoke-10k     milliseconds, beside what it took to make them
 *   revoke-call    a call between two processes meanwhile, beside one in peace
 *   revoke-gate    a request to the kernel meanwhile, beside one in peace
 */
import type { Say } from './index.ts'
import { startPair } from './pair.ts'
import { median, type Row, row } from './ratio.ts'

const DESCENDANTS = 10_000
const TURNS = 200
/** Enough to see that it works: `NEPTUNE_TEST_SCALE=quick` asks for it. */
const ROUNDS = process.env.NEPTUNE_TEST_SCALE === 'quick' ? 5 : 30

interface Round {
  readonly growMs: number
  readonly cutMs: number
  readonly before: Readonly<Record<'call' | 'gate', number>>
  readonly during: Readonly<Record<'call' | 'gate', number>>
}
export async function benchRevoke(say: Say): Promise<readonly Row[]> {
  const pair = await startPair({ slowpath: false }, say)
  try {
    const rounds: Round[] = []
    for (let i = 0; i < ROUNDS; i++)
      rounds.push(await pair.ask<Round>({ work: 'revoke', bytes: DESCENDANTS, operations: TURNS }))
    const of = (value: (round: Round) => number, baseline: (round: Round) => number) => ({
      value: median(rounds.map(value)),
      baseline: median(rounds.map(baseline)),
      ratio: median(rounds.map((round) => value(round) / baseline(round))),
    })
    const while_ = (what: 'call' | 'gate') =>
      row(
        `revoke-${what}`,
        'us',
        of(
          ({ during }) => during[what],
          ({ before }) => before[what],
        ),
      )
    return [
      row(
        'revoke-10k',
        'ms',
        of(
          ({ cutMs }) => cutMs,
          ({ growMs }) => growMs,
        ),
      ),
      while_('call'),
      while_('gate'),
    ]
  } finally {
    await pair.end()
  }
}
