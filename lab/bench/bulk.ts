/**
 * Bulk: a MiB handed over by naming its pages, beside the same bytes inside messages; and program-visible memory through the
 * accessor that faults as an MMU would, beside raw views.
 *
 *   handover-1m       both sides have the pages mapped; the receiver reads a byte of each
 *   accessor-bulk     MiB a second, load and store in turn, of 64 KiB runs of a large page
 *   accessor-4k       the same of small pages, each mapped on its own
 *   accessor-single   one byte: what a fault check costs
 */
import type { Say } from './index.ts'
import { type Pair, startPair } from './pair.ts'
import { alternate, type Block, type Row, row } from './ratio.ts'

const MIB = 1 << 20
const RUN_BYTES = 64 * 1024
const WARM_UP = 50

export async function benchBulk(say: Say): Promise<readonly Row[]> {
  const pair = await startPair({ slowpath: false }, say)
  try {
    return [await handover(pair), await bulk(pair, 'large'), await bulk(pair, 'small'), await single(pair)]
  } finally {
    await pair.end()
  }
}
async function handover(pair: Pair): Promise<Row> {
  const value = pair.block({ work: 'pages', bytes: MIB })
  const baseline = pair.block({ work: 'messages', bytes: MIB })
  return compare('handover-1m', 'us', value, baseline, 10)
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
  for (const warm of [value, baseline]) await warm(WARM_UP)
  return row(name, unit, await alternate({ value, baseline, operations }))
}
