/**
 * The kernel's invariants at the end of a test.
 *
 *   expectInvariants(sim)      runs the simulator until the kernel is at rest, then judges it
 */
import { checkInvariants, isQuiet } from '../../kernel/invariants/index.ts'
import type { Simulator } from '../../lib/sel4/sim.ts'

/** Virtual time in which every burial, restart and confirmation ends. */
const REST_MS = 5000

export async function expectInvariants(sim: Simulator, about = ''): Promise<void> {
  if (!sim.ended) await sim.runUntil(() => isQuiet(sim.kernel) || sim.ended !== undefined, REST_MS)
  const { broken } = checkInvariants(sim.kernel)
  if (broken.length) throw new Error(`${about}${about && ': '}${broken.join('\n')}`)
}
