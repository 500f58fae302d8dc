/**
 * Boot: from the launcher's start to the prompt, beside as many bare Node processes started with the same libraries,
 * bundled the same way.
 *
 * One boot is one block of one operation here: a boot cannot be cut into less. The bare processes are the image lab-bare;
 * each loads zeromq, msgpackr and koffi, says so, and waits.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import path from 'node:path'
import { BARE_ENV } from './bare.ts'
import { bootForBench } from './system.ts'
import type { Say } from './index.ts'
import { alternate, FEWEST_BLOCKS, type Row, row } from './ratio.ts'

/** Enough to see that it works; `NEPTUNE_TEST_SCALE=quick` asks for it, and the output says so. */
const QUICK_BLOCKS = 5
/** The kernel and the launcher, which are not on the kernel's list. */
const UNLISTED = 2

export async function benchBoot(say: Say): Promise<readonly Row[]> {
  const blocks = process.env.NEPTUNE_TEST_SCALE === 'quick' ? QUICK_BLOCKS : FEWEST_BLOCKS
  let processes = 0
  let boots = 0
  const value = async () => {
    const system = await bootForBench()
    processes ||= (await system.ps()).length + UNLISTED
    await system.end()
    if (boots++ % 10 === 9) say(`${boots} boots done`)
    return system.bootMs
  }
  // Once unmeasured: the file cache is warm for both, and the number of processes is known.
  await value()
  boots = 0
  say(`${processes} processes; ${blocks} boots of each kind${blocks < FEWEST_BLOCKS ? ' (scale quick)' : ''}`)
  return [row('boot', 'ms', await alternate({ value, baseline: () => startBare(processes), blocks, operations: 1 }))]
}
/** Milliseconds until the last of them is ready. */
async function startBare(count: number): Promise<number> {
  const began = performance.now()
  const children = Array.from({ length: count }, () =>
    spawn(process.execPath, [path.join(__dirname, 'lab-bare.js')], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: BARE_ENV,
    }),
  )
  await Promise.all(children.map((child) => new Promise((resolve) => child.stdout?.once('data', resolve))))
  const elapsed = performance.now() - began
  await Promise.all(children.map(ended))
  return elapsed
}
const ended = (child: ChildProcess) =>
  new Promise((resolve) => {
    child.once('exit', resolve)
    child.stdin?.end()
  })
