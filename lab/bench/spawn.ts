/**
 * Spawn: from the root task's request to the child's first call, beside a bare Node process with the same libraries,
 * bundled the same way, from its start to its first line.
 *
 *   spawn            a bare process with its libraries as published
 *   spawn-trimmed    one that also starts as our images do (ADR 12)
 *
 *   lab-spawner ──spawn──► kernel ──starts──► lab-newborn ──hello, boot, first call──► lab-spawner      (value)
 *   lab-bare parent ──starts──► lab-bare ──"ready"──► lab-bare parent                                 (baseline)
 *
 * One birth is one block: it takes as long as a block may.
 */
import { type Nursery, openNursery, plainBare } from './bare.ts'
import type { Say } from './index.ts'
import { startLab } from './lab-system.ts'
import { alternate, blocksAtScale, type Row, row } from './ratio.ts'

/** The root task's, the child's, and one more that is not yet given back. */
const BANK = '8 MiB'
const manifest = (socket: string) => ({
  machine: 'pc',
  banks: { lab: { bytes: BANK } },
  devices: {},
  cables: {},
  root: { image: 'lab-spawner', banks: ['lab'], config: { socket } },
  images: { 'lab-newborn': { image: 'lab-newborn', arena: '2 MiB', bank: 'lab' } },
})

export async function benchSpawn(say: Say): Promise<readonly Row[]> {
  const system = await startLab(manifest, { say })
  const plain = plainBare()
  const [bundled, trimmed] = await Promise.all([openNursery(plain.program), openNursery()])
  try {
    const blocks = blocksAtScale(say)
    const value = async (operations: number) => (await system.ask({ operations })).value
    const beside = async (name: string, nursery: Nursery) => {
      const baseline = () => nursery.time(1)
      // Once unmeasured: the file cache is warm for both.
      await value(1)
      await baseline()
      return row(name, 'ms', await alternate({ value, baseline, blocks, operations: 1 }))
    }
    return [await beside('spawn', bundled), await beside('spawn-trimmed', trimmed)]
  } finally {
    await Promise.all([bundled.end(), trimmed.end(), system.end()])
    plain.end()
  }
}
