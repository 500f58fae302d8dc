/**
 * Where a running copy is, and shots that hit it in the middle.
 *
 *   const copy = new Copy(system, 'copy A B', bytes)
 *   await copy.reached(1 / 3)               so much of the source has been read from the disk
 *   await copy.strike('storahci', 'SIGKILL')   a signal from outside; fails unless the copy was still reading
 *   await copy.finish()                     what it printed
 *
 * The measure is what the host counts for the disk's process (/proc/PID/io): nothing of ours is asked, nothing is guessed
 * from the time.
 */
import fs from 'node:fs'
import path from 'node:path'
import type { System } from './system.ts'
import { until } from './until.ts'

/** So much of the source unread means that a copy is not near its end. */
const REST = 1 / 16

export function pidOf(system: System, name: string): number | undefined {
  const file = path.join(system.run, name === 'kernel' ? 'kernel.json' : 'pids.json')
  try {
    const read = JSON.parse(fs.readFileSync(file, 'utf8')) as { name: string; pid: number }[] & { pid: number }
    return name === 'kernel' ? read.pid : read.find((entry) => entry.name === name)?.pid
  } catch {
    return undefined
  }
}
/** The signal reaches the process as it would from any shell. */
export function strike(system: System, name: string, signal: NodeJS.Signals = 'SIGKILL'): number {
  const pid = pidOf(system, name)
  if (pid === undefined) throw new Error(`there is no process ${name} to strike`)
  process.kill(pid, signal)
  return pid
}
export const isBack = (system: System, name: string, before: number): boolean => {
  const now = pidOf(system, name)
  return now !== undefined && now !== before
}
export async function generationOf(system: System, name: string): Promise<number> {
  return (await system.ps()).find((info) => info.name === name)?.generation ?? 0
}

/** Bytes the disk's process has read by read(2) and its kin. A new life begins at 0. */
function bytesRead(system: System): number {
  const pid = pidOf(system, 'ahci0')
  if (pid === undefined) return 0
  try {
    return Number(/rchar: (\d+)/.exec(fs.readFileSync(`/proc/${pid}/io`, 'latin1'))?.[1] ?? 0)
  } catch {
    return 0
  }
}
export class Copy {
  private readonly system: System
  private readonly bytes: number
  private readonly from: number
  private readonly before: number
  private readonly done: Promise<string>

  constructor(system: System, line: string, bytes: number) {
    this.system = system
    this.bytes = bytes
    this.from = system.screen().length
    this.before = bytesRead(system)
    this.done = system.enter(line)
    this.done.catch(() => {})
  }
  private get fraction(): number {
    return (bytesRead(this.system) - this.before) / this.bytes
  }
  async reached(fraction: number): Promise<void> {
    await until(`${fraction} of the source read`, () => this.fraction >= fraction, {
      report: () => `it is at ${this.fraction}\n${this.system.screen().slice(this.from)}`,
    })
  }
  /** The struck process's pid. */
  strike(name: string, signal: NodeJS.Signals = 'SIGKILL'): number {
    const at = this.fraction
    const pid = strike(this.system, name, signal)
    if (at > 1 - REST) throw new Error(`the copy was at ${at} when ${name} was struck: too late to prove anything`)
    return pid
  }
  /** Struck, and a new life is up. */
  async strikeAndReturn(name: string, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const pid = this.strike(name, signal)
    await until(`${name} is back after ${signal}`, () => isBack(this.system, name, pid))
  }
  finish(): Promise<string> {
    return this.done
  }
}
