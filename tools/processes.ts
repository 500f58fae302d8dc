/**
 * Processes of this machine, by /proc.
 *
 *   startTime(pid)      clock ticks since boot; with the pid it names one process for ever. undefined: no such process
 *   isAlive(who)        the very process, not another one that got its pid; a zombie is dead
 *   isStopped(pid)      somebody sent it SIGSTOP
 *   endAll(all, patience)   SIGKILL, then waits until they are gone
 *   named(word, images) processes whose program is a file in the folder `images` and whose arguments include `word`
 */
import fs from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

export interface ProcessId {
  readonly pid: number
  readonly startTime: number
}
/** Fields of /proc/PID/stat after the parenthesised name. [proc(5)] */
function statOf(pid: number): string[] | undefined {
  try {
    const text = fs.readFileSync(`/proc/${pid}/stat`, 'latin1')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')
  } catch {
    return undefined
  }
}
/** stat field 22; the first after the name is field 3. */
const START_TIME = 22 - 3
export function startTime(pid: number): number | undefined {
  const stat = statOf(pid)
  return stat && stat[0] !== 'Z' && stat[0] !== 'X' ? Number(stat[START_TIME]) : undefined
}
/** By SIGSTOP; a debugger that holds a process ('t') means no harm. */
export const isStopped = (pid: number): boolean => statOf(pid)?.[0] === 'T'
export const isAlive = ({ pid, startTime: began }: ProcessId): boolean => startTime(pid) === began

export function named(word: string, images: string): ProcessId[] {
  return fs
    .readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry) && isNamed(commandLine(entry), word, images))
    .map((entry) => ({ pid: Number(entry), startTime: startTime(Number(entry)) ?? -1 }))
    .filter((found) => found.startTime >= 0)
}
/** The second word is Node's program. Without that condition a caller's own command line would count as well. */
const isNamed = (words: readonly string[], word: string, images: string) =>
  words[1]?.startsWith(images) && words.slice(1).includes(word)
export function commandLine(pid: number | string): string[] {
  try {
    return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  } catch {
    return []
  }
}

function kill({ pid }: ProcessId): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It ended between the look and the shot.
  }
}
/** A killed process needs a moment to give its memory back; looked at this often. */
const LOOK_MS = 5
export async function endAll(all: readonly ProcessId[], patienceMs: number): Promise<readonly ProcessId[]> {
  const until = Date.now() + patienceMs
  let left = all.filter(isAlive)
  left.forEach(kill)
  while (left.length > 0 && Date.now() < until) {
    await sleep(LOOK_MS)
    left = left.filter(isAlive)
  }
  return left
}
