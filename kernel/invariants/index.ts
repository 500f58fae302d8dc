/**
 * The invariant checker: every sentence about the kernel's own state that ought to be true and is not.
 *
 *   checkInvariants(kernel)   { quiet, broken }: an empty list when all is well; changes nothing, asks no process
 *   isQuiet(kernel)           nothing is being buried, closed or confirmed
 *
 * Most sentences hold whenever no code of the kernel runs: between two messages, in the middle of a long revoke, while
 * a process is being buried. Those marked *quiet* hold when nothing is under way besides, and are judged only then.
 *
 * One file for each group of objects; each is a function over the Survey. They alone read what is private to an object (by
 * `object['field']`, which the compiler checks): nothing is made public for them.
 */
import type { Kernel } from '../kernel.ts'
import { capabilities } from './capabilities.ts'
import { mappings } from './mappings.ts'
import { memory } from './memory.ts'
import { messages } from './messages.ts'
import { processes } from './processes.ts'
import { sessions } from './sessions.ts'
import { survey } from './survey.ts'

export interface Findings {
  /** Whether the sentences that hold only at rest were judged, too. */
  readonly quiet: boolean
  readonly broken: readonly string[]
}
export function checkInvariants(kernel: Kernel): Findings {
  const quiet = isQuiet(kernel)
  const all = survey(kernel)
  const groups = [capabilities, memory, mappings, messages, sessions, processes]
  return { quiet, broken: groups.flatMap((group) => [...group(all, quiet)]) }
}
export function isQuiet({ waits, sessions: table, processes: known }: Kernel): boolean {
  return !waits.size && !table['closing'].size && [...known.values()].every(({ state }) => state === 'running')
}
