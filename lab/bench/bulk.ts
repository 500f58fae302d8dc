/**
 * Bulk: a MiB handed over by naming its pages, beside the same bytes inside messages; and program-visible memory through the
 * accessor that faults as an MMU would, beside raw views.
 *
 *   handover-1m       a stream: as many under way as the arena has MiB, each its own; time for one
 *   handover-alone    one at a time, from the sender's send until the receiver has read a byte of each page, by the host's
 *                     clock, which both read; the answer that tells it comes after and is not of it
 *   handover-call     one at a time, until the answer is there: what a call takes that carries nothing
 *   accessor-bulk     MiB a second, load and store in turn, of 64 KiB runs of a large page
 *   accessor-4k       the same of small pages, each mapped on its own
 *   accessor-single   one byte: what a fault check costs
 */
import type { Handed, Handover } from '../caller/handover.ts'
import type { Say } from './index.ts'
import { type Pair, startPair } from './pair.ts'
import { alternate, type Block, type Row, row } from './ratio.ts'

const MIB = 1 << 20
const RUN_BYTES = 64 * 1024
const WARM_UP = 5
/** MiB of lab-caller's arena. */
const STREAM = 8
/** Of messages, some 10 ms. */
const HANDOVERS = 10
/** A block of namings is to be as long as one of messages: short ones would meet a machine that has just been asleep. */
const QUICKER = 10

export async function benchBulk(say: Say): Promise<readonly Row[]> {
  const pair = await startPair({ slowpath: false }, say)
  try {
    return [
      await handover(pair, 'handover-1m', 'each', STREAM),
      await handover(pair, 'handover-alone', 'oneWay', 1),
      await handover(pair, 'handover-call', 'each', 1),
      await bulk(pair, 'large'),
      await bulk(pair, 'small'),
      await single(pair),
    ]
  } finally {
    await pair.end()
  }
}
function handover(pair: Pair, name: string, figure: keyof Handed, outstanding: number): Promise<Row> {
  const by =
    (how: Handover['how'], times: number): Block =>
    async (operations) => {
      const request: Handover = { how, bytes: MIB, operations: operations * times, outstanding }
      return (await pair.ask<Handed>({ work: 'handover', ...request }))[figure]
    }
  return compare(name, 'us', by('pages', QUICKER), by('messages', 1), HANDOVERS * outstanding)
}
/** Loads and stores cost differently: a block has as many of both. */
const both =
  (pair: Pair, bytes: number, raw: '' | 'raw-', pages: 'large' | 'small' = 'large'): Block =>
  async (operations) => {
    let us = 0
    for (const how of ['load', 'store'])
      us += (await pair.ask({ work: 'accessor', how: raw + how, pages, bytes, operations })).value / 2
    return us
  }
/** More is better. */
const perSecond =
  (block: Block, bytes: number): Block =>
  async (operations) =>
    bytes / MIB / ((await block(operations)) / 1e6)
const bulk = (pair: Pair, pages: 'large' | 'small') =>
  compare(
    pages === 'large' ? 'accessor-bulk' : 'accessor-4k',
    'MiB/s',
    perSecond(both(pair, RUN_BYTES, '', pages), RUN_BYTES),
    perSecond(both(pair, RUN_BYTES, 'raw-'), RUN_BYTES),
    100,
  )
const single = (pair: Pair) => compare('accessor-single', 'us', both(pair, 1, ''), both(pair, 1, 'raw-'), 200)

async function compare(name: string, unit: string, value: Block, baseline: Block, operations: number): Promise<Row> {
  return row(name, unit, await alternate({ value, baseline, operations, warmUp: WARM_UP }))
}
