/**
 * IPC: a Call and its answer between two processes under a real kernel, beside a bare zeromq.js DEALER/ROUTER pair that
 * carries as many bytes.
 *
 *   bench ──socket──► lab-caller ──endpoint──► lab-echo        (value)
 *   bench ──DEALER──► ROUTER of a bare process                 (baseline)
 *
 * `unix-64` has nothing of ours on either side: it says what a raw unix socket does, beside the same bare pair.
 */
import { type Bare, bareEcho, bareUnix } from './bare.ts'
import type { Say } from './index.ts'
import { startPair } from './pair.ts'
import { alternate, type Block, type Row, row } from './ratio.ts'

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
 * Short blocks and many: on a machine with other work most of them still run undisturbed, and the median is theirs.
 * A turn takes some 50 us, so a block is about as long as the host's scheduler lets a process run at once.
 */
const OPERATIONS = 60
const BLOCKS = 120
/** With as many under way, a block is as long as one of single calls. */
const OUTSTANDING = 32
const WINDOW_OPERATIONS = 200

export async function benchIpc(say: Say): Promise<readonly Row[]> {
  const rows: Row[] = []
  for (const { name, bytes, slowpath } of CASES) {
    const pair = await startPair({ slowpath }, say)
    const value = pair.block({ work: 'call', bytes: bytes > 1024 ? bytes - BIN_HEADER : bytes })
    rows.push(
      await beside(await bareEcho(bytes), pair.end, (bare) => compare(name, 'us', value, bare.block, OPERATIONS)),
    )
  }
  rows.push(await window(say), await unix())
  return rows
}
/** More is better here: requests in a second, as the bare pair's. */
async function window(say: Say): Promise<Row> {
  const pair = await startPair({ slowpath: false }, say)
  const value = pair.block({ work: 'window', bytes: 64, outstanding: OUTSTANDING })
  return beside(await bareEcho(64), pair.end, (bare) =>
    compare('window32-64', 'requests/s', value, bare.window(OUTSTANDING), WINDOW_OPERATIONS),
  )
}
async function unix(): Promise<Row> {
  const raw = await bareUnix(64)
  return beside(await bareEcho(64), raw.end, (bare) => compare('unix-64', 'us', raw.block, bare.block, OPERATIONS))
}
async function compare(name: string, unit: string, value: Block, baseline: Block, operations: number): Promise<Row> {
  return row(name, unit, await alternate({ value, baseline, operations, warmUp: WARM_UP, blocks: BLOCKS }))
}
async function beside<B extends Bare>(
  bare: B,
  end: () => Promise<void>,
  measure: (bare: B) => Promise<Row>,
): Promise<Row> {
  try {
    return await measure(bare)
  } finally {
    await bare.end()
    await end()
  }
}
