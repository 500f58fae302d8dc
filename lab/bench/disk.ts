/**
 * Disk: uncached reads of the raw disk by a program at the prompt, beside a bare ring of as many hops that carries a
 * message of the same shape, msgpack at each hop.
 *
 *   diskbench ─call─► executive ─packet─► disk ─passed down─► executive ─packet─► storahci ─doorbell─► ahci0
 *   diskbench ◄─answer─ executive ◄─completed─ storahci (◄─► ahci0: a register that needs asking) ◄─interrupt─ ahci0
 *
 * The hops that follow one another in one read are derived from counted messages. Blocks alternate through the prompt:
 * one command of the program is one block.
 */
import { bareRing } from './bare.ts'
import type { Say } from './index.ts'
import { alternate, type Block, type Row, row } from './ratio.ts'
import { type BenchSystem, bootForBench } from './system.ts'

/** Call and answer, packet to storahci and its completion, doorbell, interrupt. */
const FIXED_HOPS = 6
const RANDOM_OPERATIONS = 100
const SEQUENTIAL_OPERATIONS = 4
/** As in ipc.ts, on both sides: by then the functions in use are machine code. */
const WARM_UP = 2000
/** Two runs of different length: what starting the program costs is in both. */
const COUNTED = [20, 220]
/** Long enough for the prompt's last messages to have passed. */
const QUIET_MS = 300

export async function benchDisk(say: Say): Promise<readonly Row[]> {
  const system = await bootForBench()
  try {
    const hops = await countHops(system)
    say(`a read makes ${hops} hops one after the other; the bare ring has as many`)
    const bare = await bareRing(hops, 4096)
    try {
      await diskBlock(system, 'q1')(WARM_UP)
      await bare.block(WARM_UP)
      return [
        await measure('ahci-rand4k-q1', diskBlock(system, 'q1'), bare.block, RANDOM_OPERATIONS),
        await measure('ahci-seq1m-q1', diskBlock(system, 'seq'), bare.block, SEQUENTIAL_OPERATIONS),
      ]
    } finally {
      await bare.end()
    }
  } finally {
    await system.end()
  }
}
async function measure(name: string, value: Block, baseline: Block, operations: number): Promise<Row> {
  await value(operations)
  return row(name, 'us', await alternate({ value, baseline, operations }))
}
/**
 * A packet that visits disk's driver costs a hop there and one back; a register that has to be asked for, two. What the
 * controller sends besides its one interrupt are such answers.
 */
async function countHops(system: BenchSystem): Promise<number> {
  const read = diskBlock(system, 'q1')
  await read(COUNTED[1])
  const counts: Count[] = [await countOf(system)]
  for (const operations of COUNTED) {
    await read(operations)
    counts.push(await countOf(system))
  }
  const reads = COUNTED[1] - COUNTED[0]
  const perRead = (of: keyof Count) => (counts[2][of] - counts[1][of] - (counts[1][of] - counts[0][of])) / reads
  const registers = Math.max(0, perRead('fromController') - 1)
  return FIXED_HOPS + 2 * Math.round(perRead('toDisk')) + 2 * Math.round(registers)
}
interface Count {
  readonly toDisk: number
  readonly fromController: number
}
async function countOf(system: BenchSystem): Promise<Count> {
  await new Promise((resolve) => setTimeout(resolve, QUIET_MS))
  const all = (await system.ps()) as { name: string; counters?: { sent: number; received: number } }[]
  const counters = (name: string) => all.find((each) => each.name === name)?.counters
  return { toDisk: counters('disk')?.received ?? 0, fromController: counters('ahci0')?.sent ?? 0 }
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
