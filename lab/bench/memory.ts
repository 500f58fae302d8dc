/**
 * Memory and idleness: a booted system at its prompt, at which nobody types, beside as many bare Node processes with the
 * same libraries. Every process counts: the kernel's list, the kernel and the launcher.
 *
 *   rss        MB of its own and of files (RssAnon + RssFile) of the largest process; the bare one's median
 *   rss-NAME   the same of each
 *   shmem      MB of the banks (RssShmem) in the process that has touched most of them; beside it all banks
 *   idle-cpu   percent of one core that all of them use together; the bare ones' together
 *
 *   memoryOf(pid) cpuMsOf(pid)         from /proc
 *   memoryRows(processes, bare, banks) pure
 */
import fs from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { openNursery } from './bare.ts'
import type { Say } from './index.ts'
import { median, type Row, row } from './ratio.ts'
import { bootForBench } from './system.ts'

/** Some seconds after its last work V8 collects garbage once more and gives pages back; what follows is idleness. */
const SETTLE_MS = 20_000
const WATCHED_MS = 30_000
/** What a bare process uses in the time watched may be nothing at all; this is a millisecond of it. */
const LEAST_PERCENT = (100 * 1) / WATCHED_MS
const MB = 1e6

export interface Memory {
  /** Bytes that are the process's own, or a file's it maps (its program and libraries, shared by all of them). */
  readonly own: number
  /** Bytes of the banks it has touched. */
  readonly shared: number
}
export interface Measured {
  readonly name: string
  readonly memory: Memory
}
/** /proc/PID/status counts in KiB. [proc(5)] */
export function memoryOf(pid: number): Memory {
  const status = fs.readFileSync(`/proc/${pid}/status`, 'latin1')
  const bytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) * 1024
  return { own: bytes('RssAnon') + bytes('RssFile'), shared: bytes('RssShmem') }
}
/** Nanoseconds on a processor, of all its threads. [proc(5)] schedstat; stat would count in 10 ms. */
export function cpuMsOf(pid: number): number {
  const of = (thread: string) =>
    Number(fs.readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1').split(' ')[0])
  return fs.readdirSync(`/proc/${pid}/task`).reduce((sum, thread) => sum + of(thread), 0) / 1e6
}

export async function benchMemory(say: Say): Promise<readonly Row[]> {
  const system = await bootForBench()
  try {
    const processes = await system.processes()
    const nursery = await openNursery()
    try {
      const bare = await nursery.start(processes.length)
      say(`${processes.length} processes at the prompt: left alone for ${(SETTLE_MS + WATCHED_MS) / 1000} s`)
      await sleep(SETTLE_MS)
      const pids = [processes.map(({ pid }) => pid), bare.pids]
      const [value, baseline] = await percentOfACore(pids)
      const measured = processes.map(({ name, pid }) => ({ name, memory: memoryOf(pid) }))
      const rows = memoryRows(measured, pids[1].map(memoryOf), banksOf(system.run))
      return [...rows, rowOf('idle-cpu', '% of a core', value, Math.max(baseline, LEAST_PERCENT))]
    } finally {
      await nursery.clear()
      await nursery.end()
    }
  } finally {
    await system.end()
  }
}
async function percentOfACore(groups: readonly (readonly number[])[]): Promise<number[]> {
  const used = () => groups.map((pids) => pids.reduce((sum, pid) => sum + cpuMsOf(pid), 0))
  const [before, began] = [used(), performance.now()]
  await sleep(WATCHED_MS)
  const [after, elapsed] = [used(), performance.now() - began]
  return groups.map((_, i) => (100 * (after[i] - before[i])) / elapsed)
}
function banksOf(run: string): number {
  const banks = path.join(run, 'banks')
  return fs.readdirSync(banks).reduce((sum, name) => sum + fs.statSync(path.join(banks, name)).size, 0)
}

export function memoryRows(processes: readonly Measured[], bare: readonly Memory[], banks: number): Row[] {
  const baseline = median(bare.map(({ own }) => own)) / MB
  const sorted = [...processes].sort((a, b) => b.memory.own - a.memory.own)
  const rows = sorted.map(({ name, memory }) => rowOf(`rss-${name}`, 'MB', memory.own / MB, baseline))
  const shared = Math.max(...processes.map(({ memory }) => memory.shared)) / MB
  return [{ ...rows[0], case: 'rss' }, ...rows, rowOf('shmem', 'MB', shared, banks / MB)]
}
const rowOf = (name: string, unit: string, value: number, baseline: number): Row =>
  row(name, unit, { value, baseline, ratio: value / baseline })
