/**
 * IPC: a Call and its answer between two processes under a real kernel, beside a bare zeromq.js DEALER/ROUTER pair that
 * carries as many bytes.
 *
 *   bench ──socket──► lab-caller ──endpoint──► lab-echo        (value)
 *   bench ──DEALER──► ROUTER of a bare process                 (baseline)
 *
 * `unix-64` has nothing of ours on either side: it says what a raw unix socket does, beside the same bare pair.
 */
import { type BareEcho, bareEcho, bareUnix } from './bare.ts'
import type { Say } from './index.ts'
import { startPair } from './pair.ts'
import { type Block, middleOf, type Row, row, type Series, seriesOf } from './ratio.ts'

const CASES = [
  { name: 'call-64', bytes: 64, slowpath: false },
  { name: 'call-4096', bytes: 4096, slowpath: false },
  { name: 'slowpath-64', bytes: 64, slowpath: true },
]
/** A body of msgpack bin16 that fits the one page which may travel in a message: 3 bytes of its own. */
const BIN_HEADER = 3
/** Nine thousand calls: the compiler has seen what there is to see, and the ratio falls no more. */
const WARM_UP = 150
/**
 * Which threads share a processor is settled when a pair of processes starts, and stays while it works: with four threads of
 * each side busy on two processors a pair is a fifth faster or slower than the next for all its life. So there are several.
 */
const PAIRS = { calls: 3, window: 9 } as const
/**
 * Short blocks and many: on a machine with other work most of them still run undisturbed, and the median is theirs.
 * A turn takes some 50 us, so a block is about as long as the host's scheduler lets a process run at once.
 */
const OPERATIONS = 60
/** Of all pairs. */
const BLOCKS = 126
/** With as many under way, a block is as long as one of single calls. */
const OUTSTANDING = 32
const WINDOW_OPERATIONS = 200

/** Two pairs of processes that have just started. */
interface Sides {
  readonly value: Block
  readonly baseline: Block
  end(): Promise<void>
}
export async function benchIpc(say: Say): Promise<readonly Row[]> {
  const rows: Row[] = []
  for (const { name, bytes, slowpath } of CASES)
    rows.push(await compare(name, 'us', PAIRS.calls, OPERATIONS, () => calls(bytes, slowpath, say)))
  // More is better here: requests in a second, as the bare pair's.
  rows.push(await compare('window32-64', 'requests/s', PAIRS.window, WINDOW_OPERATIONS, () => window(say)))
  rows.push(await compare('unix-64', 'us', PAIRS.calls, OPERATIONS, unix))
  return rows
}
async function calls(bytes: number, slowpath: boolean, say: Say): Promise<Sides> {
  const pair = await startPair({ slowpath }, say)
  const value = pair.block({ work: 'call', bytes: bytes > 1024 ? bytes - BIN_HEADER : bytes })
  return beside(value, pair.end, bytes, ({ block }) => block)
}
async function window(say: Say): Promise<Sides> {
  const pair = await startPair({ slowpath: false }, say)
  const value = pair.block({ work: 'window', bytes: 64, outstanding: OUTSTANDING })
  return beside(value, pair.end, 64, (bare) => bare.window(OUTSTANDING))
}
async function unix(): Promise<Sides> {
  const raw = await bareUnix(64)
  return beside(raw.block, raw.end, 64, ({ block }) => block)
}
async function beside(
  value: Block,
  end: () => Promise<void>,
  bytes: number,
  baselineOf: (bare: BareEcho) => Block,
): Promise<Sides> {
  try {
    const bare = await bareEcho(bytes)
    return { value, baseline: baselineOf(bare), end: async () => void (await Promise.all([bare.end(), end()])) }
  } catch (error) {
    await end()
    throw error
  }
}
async function compare(
  name: string,
  unit: string,
  pairs: number,
  operations: number,
  start: () => Promise<Sides>,
): Promise<Row> {
  const series: Series[] = []
  for (let pair = 0; pair < pairs; pair++) {
    const { value, baseline, end } = await start()
    try {
      series.push(await seriesOf({ value, baseline, operations, warmUp: WARM_UP, blocks: BLOCKS / pairs }))
    } finally {
      await end()
    }
  }
  return row(name, unit, middleOf(series))
}
