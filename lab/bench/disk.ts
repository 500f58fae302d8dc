/**
 * Disk: uncached reads of the raw disk by a program at the prompt, beside a bare ring of as many hops that carries a
 * message of the same shape, msgpack at each hop.
 *
 *   diskbench → executive → disk → executive → storahci → ahci0 … and back: the hops of one read, counted below
 *
 * Blocks alternate through the prompt: one command of the program is one block.
 */
import { bareRing } from './bare.ts'
import type { Say } from './index.ts'
import { alternate, type Block, type Row, row } from './ratio.ts'
import { type BenchSystem, bootForBench } from './system.ts'

/**
 * Socket hops of one read: the call and its answer (2), the packet to disk's driver and back (2), the packet to storahci
 * and back (2), the doorbell to the controller (1), its interrupt (1).
 */
const HOPS = 8
const RANDOM_OPERATIONS = 100
const SEQUENTIAL_OPERATIONS = 4

export async function benchDisk(say: Say): Promise<readonly Row[]> {
  const system = await bootForBench()
  const bare = await bareRing(HOPS, 4096)
  try {
    say(`a read makes ${HOPS} hops; the bare ring has as many`)
    await bare.block(500)
    return [
      await measure('ahci-rand4k-q1', 'q1', RANDOM_OPERATIONS),
      await measure('ahci-seq1m-q1', 'seq', SEQUENTIAL_OPERATIONS),
    ]
  } finally {
    await bare.end()
    await system.end()
  }
  async function measure(name: string, mode: 'q1' | 'seq', operations: number): Promise<Row> {
    const value = diskBlock(system, mode)
    await value(operations)
    return row(name, 'us', await alternate({ value, baseline: bare.block, operations }))
  }
}
function diskBlock(system: BenchSystem, mode: 'q1' | 'seq'): Block {
  return async (operations) => {
    const answer = await system.type(
      `diskbench ${mode} ${operations}`,
      new RegExp(`^${mode} ${operations} [0-9.]+ us`, 'm'),
    )
    return Number(answer.split(' ')[2])
  }
}
