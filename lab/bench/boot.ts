/**
 * Boot: from the launcher's start to the prompt, beside as many bare Node processes started with the same libraries,
 * bundled the same way.
 *
 * One boot is one block of one operation here: a boot cannot be cut into less. The bare processes are the image lab-bare;
 * each loads zeromq, msgpackr and koffi, says so, and waits.
 */
import { openNursery } from './bare.ts'
import type { Say } from './index.ts'
import { alternate, blocksAtScale, type Row, row } from './ratio.ts'
import { bootForBench } from './system.ts'

export async function benchBoot(say: Say): Promise<readonly Row[]> {
  const blocks = blocksAtScale(say)
  let processes = 0
  let boots = 0
  const value = async () => {
    const system = await bootForBench()
    processes ||= (await system.processes()).length
    await system.end()
    if (boots++ % 10 === 9) say(`${boots} boots done`)
    return system.bootMs
  }
  // Once unmeasured: the file cache is warm for both, and the number of processes is known.
  await value()
  boots = 0
  say(`${processes} processes`)
  const nursery = await openNursery()
  try {
    const baseline = () => nursery.time(processes)
    return [row('boot', 'ms', await alternate({ value, baseline, blocks, operations: 1 }))]
  } finally {
    await nursery.end()
  }
}
