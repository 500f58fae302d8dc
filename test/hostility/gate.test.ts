/** The gate under noise: random, mutated, truncated and boasting messages of a process; the kernel serves the others as before. */
import { labelOfMethod, SEL4_METHODS } from '#contracts/sel4'
import { expect } from 'chai'
import type { Main } from '../../lib/sel4/api.ts'
import { seededRandom } from '#rtl'
import { Simulator } from '../../lib/sel4/sim.ts'
import { encode, KIND } from '../../lib/sel4/wire.ts'
import { described } from '../conformance/simulated.ts'
import { chip } from '../conformance/system.ts'
import { expectInvariants } from '../support/invariants.ts'
import { scaled } from '../support/scale.ts'

const SEED = 11
const random = seededRandom(SEED)
const below = (limit: number): number => random.next() % limit
const labels = [...Array.from({ length: 64 }, (_, op) => op), ...Object.keys(SEL4_METHODS).map(labelOfMethod)]
const VALUES = [0, 1, 2, 3, 16, 32, 255, 0xffffffff, 2 ** 53 - 1, -1, 1.5, null, true, '', 'helper', 'x'.repeat(300)]
function value(depth: number): unknown {
  const kind = below(depth > 3 ? 1 : 3)
  if (kind === 0) return VALUES[below(VALUES.length)]
  return Array.from({ length: below(9) }, () => value(depth + 1))
}
/** Mostly well-formed requests with wrong arguments; one in twenty broken as a message. */
function noise(): Buffer {
  const label = labels[below(labels.length)]
  const message = encode(KIND.INVOKE, 0, label, below(24), below(1000), value(0))
  const broken = below(20)
  if (broken === 0) return message.subarray(0, below(message.length))
  if (broken === 1) message[below(message.length)] ^= 1 << below(8)
  if (broken === 2) return Buffer.concat([message.subarray(0, 40), Buffer.from([0xc6, 0x40, 0, 0, 0, 1])])
  if (broken === 3) return Buffer.concat([message.subarray(0, 40), Buffer.alloc(200, 0x91)])
  return message
}
describe('the gate under noise', function () {
  this.timeout(120_000)
  it('ends who babbles and serves the rest', async () => {
    let served = 0
    const tester: Main = async ({ root, libsel4, clock }) => {
      const spawn = () =>
        root?.spawn({ image: 'helper', birth: 'fresh', caps: {}, arenaBytes: 0, config: {} }).catch(() => {})
      root?.onDeath(() => void spawn())
      await spawn()
      for (;;) {
        await clock.sleep(1)
        await libsel4.Yield()
        served++
      }
    }
    const images = { tester, chip, helper: async () => {} }
    const sim = new Simulator({ seed: SEED, ...described(), images })
    sim.boot()
    await sim.run(20)
    for (let sent = 0; sent < scaled(100_000); sent++) {
      const victim = sim.kernel.processes.get('helper')
      if (victim?.state === 'running') sim.kernel.onMessage(victim.init.token, noise())
      if (sent % 50 === 0 || victim?.state !== 'running') await sim.run(3)
    }
    await expectInvariants(sim)
    const before = served
    await sim.run(100)
    expect(sim.ended).to.equal(undefined)
    expect(served - before).to.be.greaterThan(10)
    expect(sim.said('kernel', 'helper died').length).to.be.greaterThan(0)
  })
})
