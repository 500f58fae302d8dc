/**
 * Boot: from the launcher's start to the prompt, beside as many bare Node processes started with the same libraries.
 *
 *   boot            bare processes bundled by the same bundler, with their libraries as published
 *   boot-trimmed    bare processes that also start as our images do (ADR 12): their libraries' loaders replaced, from code
 *                   that V8 compiled at the build. How much of a boot is more than starting processes
 *
 * One boot is one block of one operation here: a boot cannot be cut into less. The bare processes are the image lab-bare;
 * each loads zeromq, msgpackr and koffi, says so, and waits.
 */
import { openNursery, plainBare } from './bare.ts'
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
  const plain = plainBare()
  const bundled = await openNursery(plain.program)
  const trimmed = await openNursery()
  try {
    const beside = async (name: string, baseline: () => Promise<number>) =>
      row(name, 'ms', await alternate({ value, baseline, blocks, operations: 1 }))
    return [
      await beside('boot', () => bundled.time(processes)),
      await beside('boot-trimmed', () => trimmed.time(processes)),
    ]
  } finally {
    await Promise.all([bundled.end(), trimmed.end()])
    plain.end()
  }
}
