/**
 * The running system that a command means, and who is in it.
 *
 *   runningSystem(options)   its run directory: the one named, else the one started last
 *   processesOf(run)         its processes, the kernel among them, in order: machine, kernel, Executive, drivers, services
 *   groupOf(process, kinds)  which of those a process belongs to
 */
import fs from 'node:fs'
import path from 'node:path'
import type { ProcessInfo } from '../../lib/sel4/api.ts'
import { callControl } from '../control.ts'
import { liveRuns } from '../launcher/run-directory.ts'
import { isAlive, type ProcessId } from '../processes.ts'
import { UserError } from '../user-error.ts'
import { paths } from './boot.ts'

export interface RunOption {
  readonly run?: string
}
/** As the control socket tells it. */
export interface Process extends ProcessInfo {
  readonly kind: 'device' | 'panel' | 'root' | 'image' | 'kernel'
  /** Undefined of one that did not answer. */
  readonly waits: readonly { readonly for: readonly string[]; readonly call: string }[] | null
}
export const GROUPS = ['machine', 'kernel', 'executive', 'driver', 'service'] as const
export type Group = (typeof GROUPS)[number]
/** What launch.json says each image is to NT. */
export type Kinds = ReadonlyMap<string, string>

export function runningSystem(options: RunOption): string {
  if (options.run !== undefined) return namedSystem(path.resolve(options.run))
  const [newest] = liveRuns(paths.kernelImage)
  if (newest) return newest
  throw new UserError('no system is running: start one with npx neptune boot')
}
/** A system that was killed may have left its socket; its kernel is what counts. */
function namedSystem(run: string): string {
  if (fs.existsSync(path.join(run, 'control')) && kernelOf(run)) return run
  throw new UserError(`no system is running in ${run}`)
}
export function kernelOf(run: string): ProcessId | undefined {
  try {
    const kernel = JSON.parse(fs.readFileSync(path.join(run, 'kernel.json'), 'utf8')) as ProcessId
    return isAlive(kernel) ? kernel : undefined
  } catch {
    return undefined
  }
}

export async function kindsOf(run: string): Promise<Kinds> {
  const { images } = (await callControl(run, 'manifest')) as { images: { name: string; nt?: { kind?: string } }[] }
  return new Map(images.map(({ name, nt }) => [name, nt?.kind ?? 'program']))
}
export function groupOf(
  { name, kind }: { readonly name: string; readonly kind: Process['kind'] },
  kinds: Kinds,
): Group {
  if (kind === 'device' || kind === 'panel') return 'machine'
  if (kind === 'kernel') return 'kernel'
  if (kind === 'root') return 'executive'
  return kinds.get(name) === 'driver' ? 'driver' : 'service'
}
export async function processesOf(run: string): Promise<{ processes: Process[]; kinds: Kinds }> {
  const [found, kinds] = await Promise.all([callControl(run, 'ps') as Promise<Process[]>, kindsOf(run)])
  const processes = [...found, ...kernelRow(run)]
  const order = (process: Process) => GROUPS.indexOf(groupOf(process, kinds))
  return { processes: processes.sort((a, b) => order(a) - order(b)), kinds }
}
/** The kernel does not list itself. */
function kernelRow(run: string): Process[] {
  const kernel = kernelOf(run)
  const usage = kernel && usageOf(kernel.pid)
  if (!kernel || !usage) return []
  return [{ name: 'kernel', pid: kernel.pid, generation: 1, state: 'running', ...usage, kind: 'kernel', waits: [] }]
}
/** USER_HZ on Linux: utime and stime, fields 14 and 15 of /proc/PID/stat, count 10 ms; field 24 counts pages. [proc(5)] */
const MS_PER_TICK = 10
const KB_PER_PAGE = 4
function usageOf(pid: number): { cpuMs: number; rssKb: number } | undefined {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const cpuMs = (Number(fields[14 - 3]) + Number(fields[15 - 3])) * MS_PER_TICK
    return { cpuMs, rssKb: Number(fields[24 - 3]) * KB_PER_PAGE }
  } catch {
    return undefined
  }
}
