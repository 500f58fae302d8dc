/**
 * A small system in the simulator for one case at a time: a tester, a chip, a helper; the kernel's invariants hold behind it.
 *
 *   means('what seL4 does', async (t) => { … })     a case of mocha's
 */
import { RIGHTS } from '#contracts/sel4'
import type { Runtime } from '../lib/sel4/runtime.ts'
import { Simulator } from '../lib/sel4/sim.ts'
import { OP } from '../lib/sel4/wire.ts'
import { described } from '../test/conformance/simulated.ts'
import { chip } from '../test/conformance/system.ts'
import { outcome, Tester } from '../test/conformance/tester.ts'
import { expectInvariants } from '../test/support/invariants.ts'

const UNTYPED_BITS = 20
const helper = async ({ entry }: Tester['env']): Promise<void> => {
  entry('send away', async (sel4, [to]) => {
    for (;;) await sel4.Send(to, { label: 1 })
  })
  entry('use', async (sel4, [irq, port, frame, iospace, address, report]) => {
    const { runtime, thread } = sel4 as unknown as { runtime: Runtime; thread: { number: number } }
    const uses = [
      sel4.IRQHandler_Ack(irq),
      runtime.invoke(OP.openSession, [port, 0], thread.number, 0),
      sel4.X86_Page_MapIO(frame, iospace, RIGHTS.all, address),
    ]
    await sel4.Send(report, { label: 0, body: await Promise.all(uses.map(outcome)) })
  })
}
async function inSimulator(run: (t: Tester) => Promise<void>): Promise<void> {
  let outcome: { error?: Error } | undefined
  const tester = async (env: Tester['env']): Promise<void> => {
    env.entry('sleep', () => new Promise(() => {}))
    await run(await Tester.prepared(env, UNTYPED_BITS)).then(
      () => (outcome = {}),
      (error: Error) => (outcome = { error }),
    )
  }
  const sim = new Simulator({ seed: 5, ...described(), images: { tester, chip, helper } })
  sim.boot()
  await sim.runUntil(() => outcome !== undefined)
  if (outcome?.error) throw outcome.error
  await expectInvariants(sim)
}
export const means = (what: string, run: (t: Tester) => Promise<void>): void => void it(what, () => inSimulator(run))
/** The tables a device needs for a frame; the address they are for. */
export async function ioTables(t: Tester, frame: number): Promise<number> {
  const address = (await t.sel4.X86_Page_GetAddress(frame)) as number
  for (let level = 0; level < 3; level++) {
    const table = await t.alloc('seL4_X86_IOPageTableObject')
    await t.sel4.X86_IOPageTable_Map(table, t.env.caps['iospace.chip'], address).catch(() => {})
  }
  return address
}
