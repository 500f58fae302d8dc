/**
 * Boot: from the launcher's start to the prompt, beside as many bare Node processes started with the same libraries,
 * bundled the same way.
 *
 * One boot is one block of one operation here: a boot cannot be cut into less. The bare processes are the image lab-bare;
 * each loads zeromq, msgpackr and koffi, says so, and waits.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import path from 'node:path'
import { bootForBench } from './system.ts'
import type { Say } from './index.ts'
import { alternate, type Row, row } from './ratio.ts'

const BLOCKS = 5

export async function benchBoot(say: Say): Promise<readonly Row[]> {
  let processes = 1
  const value = async () => {
    const system = await bootForBench()
    processes = (await system.ps()).length + 1
    await system.end()
    return system.bootMs
  }
  // Once unmeasured: the file cache is warm for both, and the number of processes is known.
  await value()
  say(`${processes} processes; ${BLOCKS} boots of each kind`)
  return [
    row('boot', 'ms', await alternate({ value, baseline: () => startBare(processes), blocks: BLOCKS, operations: 1 })),
  ]
}
/** Milliseconds until the last of them is ready. */
async function startBare(count: number): Promise<number> {
  const began = performance.now()
  const children = Array.from({ length: count }, () =>
    spawn(process.execPath, [path.join(__dirname, 'lab-bare.js')], { stdio: ['pipe', 'pipe', 'inherit'] }),
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
