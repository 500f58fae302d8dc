/** What the kernel keeps of a receiver that takes without end, in the simulator: no more than its senders' windows, or its capabilities. */
import { RIGHTS } from '#contracts/sel4'
import { expect } from 'chai'
import type { Environment } from '../lib/sel4/api.ts'
import type { Runtime } from '../lib/sel4/runtime.ts'
import { Simulator } from '../lib/sel4/sim.ts'
import { OP } from '../lib/sel4/wire.ts'
import { described } from '../test/conformance/simulated.ts'
import { chip } from '../test/conformance/system.ts'
import { outcome, Tester } from '../test/conformance/tester.ts'
import { expectInvariants } from '../test/support/invariants.ts'
import type { Endpoint } from './endpoint.ts'
import type { Process } from './process.ts'

const MANY = 3000
const helper = async ({ entry }: Environment): Promise<void> =>
  entry('send', async (sel4, [to]) => {
    for (;;) await sel4.Send(to, { label: 1 })
  })
/** `take` receives on an endpoint to which a thread of another process sends; then what the kernel keeps is looked at. */
async function keeping(take: (t: Tester, endpoint: number, sim: Simulator) => Promise<void>): Promise<void> {
  let over: { error?: Error } | undefined
  const tester = async (env: Environment): Promise<void> => {
    const t = await Tester.prepared(env, 20)
    const endpoint = await t.endpoint()
    await t.start('send', [await t.copy(endpoint, RIGHTS.write)], { away: true })
    await take(t, endpoint, sim).then(
      () => (over = {}),
      (error: Error) => (over = { error }),
    )
  }
  const sim = new Simulator({ seed: 5, ...described(), images: { tester, chip, helper } })
  sim.boot()
  await sim.runUntil(() => over !== undefined, 60_000)
  if (over?.error) throw over.error
  await expectInvariants(sim)
}

describe('the kernel keeps', () => {
  it('as many replies of a session as it has credits', () =>
    keeping(async (t, endpoint, sim) => {
      for (let message = 0; message < 4; message++) await t.sel4.Recv(endpoint)
      const [session] = [...sim.kernel.sessions.all()].filter(({ meets }) => meets)
      const runtime = t.env.sel4 as Runtime
      const outcomes = new Set<string>()
      for (let sequence = 0; sequence < MANY; sequence++)
        outcomes.add(await outcome(runtime.invoke(OP.exportCaller, [session.id, 0x10000 + sequence])))
      expect([...outcomes]).to.deep.equal(['ok', 'seL4_IllegalOperation'])
      expect(session.adopted.size).to.equal(session.window)
    }))
  it('as many loans of an endpoint as a process may have capabilities, and lends it anew', () =>
    keeping(async (t, endpoint, sim) => {
      const tester = sim.kernel.processes.get('tester') as Process
      const limit = tester.init.limits.capabilities
      const runtime = t.env.sel4 as Runtime
      let most = 0
      for (let times = 0; times < limit + MANY; times++) {
        await runtime.invoke(OP.receive, [1, null], 0, endpoint)
        most = Math.max(most, (tester.lookup(endpoint).object as Endpoint).lent?.['tokens'].length ?? 0)
      }
      expect(most).to.equal(limit)
      expect((await t.soon(t.sel4.Recv(endpoint))).label).to.equal(1)
    }))
})
