/** MSI vectors past the kernel: opened at binding, closed by mask, revoke and death, and no interrupt lost in between. */
import { expect } from 'chai'
import type { Main } from '../lib/sel4/api.ts'
import { Simulator } from '../lib/sel4/sim.ts'
import type { Libsel4 } from '../lib/sel4/threads.ts'
import { manifestFrom } from '../test/support/manifest.ts'

const VECTOR = { msi: 40, edge: 5 }
type Trigger = keyof typeof VECTOR
interface Counts {
  raised: number
  seen: number
}
/** A chip that raises its vector every two milliseconds; the root task is its driver. */
function simulate(seed: number, options: { trigger?: Trigger; slowirq?: boolean; until?: number } = {}) {
  const { trigger = 'msi' } = options
  const counts: Counts = { raised: 0, seen: 0 }
  const launch = {
    machine: 'pc',
    slowirq: options.slowirq ?? false,
    banks: { drivers: { bytes: '2 MiB' } },
    devices: { chip: { image: 'chip' } },
    cables: {},
    root: { image: 'executive', banks: ['drivers'] },
    images: {},
  }
  const chip: Main = async (env) => {
    env.machine?.attach({ reset() {} })
    const line = env.machine?.irq(0)
    while (counts.raised < (options.until ?? 1e9)) {
      await env.clock.sleep(2)
      line?.raise()
      counts.raised++
      line?.lower()
    }
  }
  const handlers: number[] = []
  let libsel4: Libsel4 | undefined
  const executive: Main = async ({ sel4, root, ...env }) => {
    libsel4 = env.libsel4
    const handler = await root!.irqHandler(VECTOR[trigger])
    handlers.push(handler)
    const notification = await sel4.makeNotification()
    await sel4.irqSetNotification(handler, notification)
    for (;;) {
      await sel4.wait(notification)
      counts.seen++
      await sel4.irqAck(handler)
    }
  }
  const irqs = [{ irq: VECTOR[trigger], trigger }]
  const described = manifestFrom(launch, () => ({ ports: [], irqs, mmio: [], memory: [], dma: false }))
  const sim = new Simulator({ seed, ...described, images: { chip, executive } })
  sim.boot()
  const irq = sim.kernel.machine.irqs.get(VECTOR[trigger])!
  const mask = (masked: boolean) => {
    irq.setMask(masked)
    sim.kernel.directIrqs.consider(irq)
  }
  const clear = () => libsel4?.IRQHandler_Clear(handlers[0])
  return { sim, counts, irq, mask, clear }
}

describe('direct interrupts', () => {
  it('go past the kernel once the vector is bound, and none is lost on the way there', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const { sim, counts, irq } = simulate(seed, { until: 50 })
      await sim.run(300)
      expect(counts.raised).to.equal(50)
      expect(counts.seen, `seed ${seed}`).to.be.within(40, 50)
      expect(irq.raised).to.be.below(15)
    }
  })
  it('go through the kernel with slowirq, and as an edge', async () => {
    for (const options of [{ slowirq: true }, { trigger: 'edge' as const }]) {
      const { sim, counts, irq } = simulate(1, { until: 20, ...options })
      await sim.run(200)
      expect(irq.raised).to.equal(20)
      expect(counts.seen).to.be.above(10)
    }
  })
  it('stop while the line is masked, and the masked ones are not forgotten', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const { sim, counts, irq, mask } = simulate(seed)
      await sim.run(50)
      mask(true)
      await sim.run(10)
      const { seen } = counts
      await sim.run(50)
      expect(counts.seen).to.equal(seen)
      mask(false)
      await sim.run(5)
      expect(counts.seen, `seed ${seed}`).to.be.above(seen)
      const { raised } = irq
      await sim.run(20)
      expect(irq.raised, 'direct again').to.be.within(raised, raised + 3)
    }
  })
  it('stop when the handler has no notification any more', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const { sim, counts, clear } = simulate(seed)
      await sim.run(50)
      void clear()
      await sim.run(10)
      const { seen } = counts
      await sim.run(50)
      expect(counts.seen, `seed ${seed}`).to.equal(seen)
    }
  })
  it('come again from a device that was started again', async () => {
    const { sim, counts } = simulate(2)
    await sim.run(30)
    sim.kill('chip')
    await sim.run(50)
    const { seen } = counts
    await sim.run(50)
    expect(counts.seen).to.be.above(seen + 15)
    expect(sim.kernel.processes.get('chip')?.init.generation).to.equal(2)
  })
})
