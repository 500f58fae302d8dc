/**
 * The kernel's invariants, and the balance of every session's credits.
 *
 *   expectInvariants(sim)      at the end of a test: runs the simulator until the kernel is at rest, then judges both
 *   checkSystem(sim)           both, as they are
 *   expectCredits(sim)         the credits, at any moment between two events
 */
import { checkInvariants, type Findings, isQuiet } from '../../kernel/invariants/index.ts'
import type { Simulator } from '../../lib/sel4/sim.ts'
import { checkCredits } from './credits.ts'

/** Virtual time in which every burial, restart and confirmation ends. */
const REST_MS = 5000

export async function expectInvariants(sim: Simulator, about = ''): Promise<void> {
  if (!sim.ended) await sim.runUntil(() => isQuiet(sim.kernel) || sim.ended !== undefined, REST_MS)
  expectNone(checkSystem(sim).broken, about)
}
export function checkSystem(sim: Simulator): Findings {
  const { quiet, broken } = checkInvariants(sim.kernel)
  return { quiet, broken: [...broken, ...checkCredits(sim)] }
}
export const expectCredits = (sim: Simulator, about = ''): void => expectNone(checkCredits(sim), about)
function expectNone(broken: readonly string[], about: string): void {
  if (broken.length) throw new Error(`${about}${about && ': '}${broken.join('\n')}`)
}
