/** The simulator: kernel core and runtime over seeded delays; deaths at any moment leave nobody waiting. */
import { KeyboardCable } from '#contracts/machine'
import { expect } from 'chai'
import { expectInvariants } from '../../test/support/invariants.ts'
import { manifestFrom } from '../../test/support/manifest.ts'
import type { Main } from './api.ts'
import { Simulator } from './sim.ts'
import type { Span } from './tracer.ts'
import { ASK, MESSAGE_MAX } from './wire.ts'

const DEVICE = {
  ports: [{ first: '0x300', last: '0x307' }],
  irqs: [{ irq: 5, trigger: 'level' }],
  mmio: [{ base: '0xfebf1000', length: 4096 }],
  memory: [],
  dma: true,
}
const NEEDS = { needs: { interfaces: ['ExecutiveServices'], ports: [] } }
const launch = {
  machine: 'pc',
  banks: { drivers: { bytes: '8 MiB' } },
  devices: { chip: { image: 'chip' } },
  cables: { cable: { server: 'chip', interface: 'KeyboardCable', clients: ['panel'] } },
  panel: { image: 'panel' },
  root: { image: 'executive', banks: ['drivers'] },
  images: { client: { image: 'client', arena: '2 MiB', bank: 'drivers' } },
}
/** Each is judged when its test is over. */
const simulated: Simulator[] = []
function simulate(seed: number, images: Record<string, Main>): Simulator {
  const described = manifestFrom(launch, (kind) => (kind === 'device' ? DEVICE : NEEDS))
  const sim = new Simulator({ seed, ...described, images: { ...QUIET, ...images } })
  simulated.push(sim)
  sim.boot()
  return sim
}
const chip: Main = async (env) => {
  env.machine?.attach({ reset() {}, portIn: (port) => port & 0xff })
  for (;;) {
    const { reply, body } = await env.sel4.recv(env.caps.cable)
    await env.clock.sleep((body as number[])[0] % 3)
    if (reply) env.sel4.reply(reply, env.generation, body)
  }
}
const QUIET: Record<string, Main> = { chip, panel: async () => {}, executive: async () => {}, client: async () => {} }

describe('simulator', () => {
  afterEach(async () => {
    for (const sim of simulated.splice(0)) if (!sim.ended) await expectInvariants(sim, `seed ${sim.options.seed}`)
  })
  it('tells who asked that the answer is too long, and serves on', async () => {
    const answers: unknown[] = []
    const long: Main = async ({ sel4, caps }) => {
      for (;;) {
        const { reply, body } = await sel4.recv(caps.cable)
        if (reply) sel4.reply(reply, 1, 'x'.repeat(body as number))
      }
    }
    const panel: Main = async ({ sel4, caps }) => {
      for (const length of [3, MESSAGE_MAX, 4])
        await sel4.call(caps.cable, 1, length).then(
          ({ body }) => answers.push(body),
          (error) => answers.push(error.message),
        )
    }
    const sim = simulate(1, { panel, chip: long })
    await sim.runUntil(() => answers.length === 3)
    expect(answers[0]).to.equal('xxx')
    expect(answers[1]).to.match(/^seL4_RangeError/)
    expect(answers[2]).to.equal('xxxx')
  })
  it('answers every call in order or says that the server died, wherever it is killed', async () => {
    for (let seed = 1; seed <= 60; seed++) {
      const outcomes: (number | string)[] = []
      const panel: Main = async ({ sel4, caps }) => {
        for (let i = 0; i < 20; i++)
          await sel4.call(caps.cable, 1, [i]).then(
            ({ label }) => outcomes.push(label),
            (error) => outcomes.push(error.message),
          )
      }
      const sim = simulate(seed, { panel })
      await sim.run(4 + (seed % 30))
      sim.kill('chip')
      await sim.runUntil(() => outcomes.length === 20)
      const before = outcomes.filter((label) => label === 1).length
      const failed = outcomes.filter((label) => label === 'serverDied').length
      expect(failed, `seed ${seed}`).to.be.lessThan(2)
      const expected = [...new Array(before).fill(1), ...new Array(failed).fill('serverDied')]
      expect(outcomes, `seed ${seed}`).to.deep.equal([...expected, ...new Array(20 - before - failed).fill(2)])
    }
  })
  it('is the same twice for one seed', async () => {
    const record = async () => {
      const sim = simulate(42, {
        panel: async ({ sel4, caps, log }) => {
          for (let i = 0; i < 5; i++) log.info('answer', { ...(await sel4.call(caps.cable, 1, [i])) })
        },
      })
      await sim.run(100)
      return JSON.stringify(sim.lines)
    }
    expect(await record()).to.equal(await record())
  })
  it('lets no mapping outlive its device: registers of another life are not what was set up', async () => {
    for (let seed = 1; seed <= 60; seed++) {
      const chip: Main = async (env) => env.machine?.attach({ reset() {}, mmioRead: () => env.generation })
      const seen: (number | string)[] = []
      const executive: Main = async ({ sel4, root }) => {
        const cap = await root!.deviceFrame(0xfebf1000, 4096)
        const look = async (times: number) => {
          const registers = await sel4.mapDevice(cap)
          for (let i = 0; i < times; i++) {
            await registers.read32(0).then(
              (value) => seen.push(value),
              (error) => seen.push(error.message),
            )
            if (seed % 2) registers.write32(4, i)
          }
        }
        await look(20)
        while (seen.at(-1) !== 2) await look(1)
      }
      const sim = simulate(seed, { chip, executive })
      await sim.run(4 + (seed % 30))
      sim.kill('chip')
      await sim.runUntil(() => seen.at(-1) === 2)
      const before = seen.filter((value) => value === 1).length
      const died = new Array(seen.length - before - 1).fill('serverDied')
      expect(seen, `seed ${seed}`).to.deep.equal([...new Array(before).fill(1), ...died, 2])
    }
  })
  it('ends a process that stops answering, and nothing else', async () => {
    const sim = simulate(3, {})
    await sim.run(3000)
    sim.kill('chip', 'SIGSTOP')
    await sim.run(6000)
    expect(sim.said('kernel', 'chip died').map(({ fields }) => (fields as { cause: string }).cause)).to.deep.equal([
      'lease',
    ])
    expect(sim.kernel.processes.get('chip')?.init.generation).to.equal(2)
  })
  it('lets a device reach what it was granted, until the owner is dead', async () => {
    const seen: string[] = []
    const device: Main = async (env) => {
      const look = () => {
        try {
          return env.machine!.dma(0x1000000, 4096, 'read')[0][5]
        } catch (error) {
          return (error as Error).name
        }
      }
      env.machine!.attach({
        reset: () => void seen.push(`reset ${look()}`),
        portIn: () => Number(seen.push(`${look()}`)),
      })
    }
    const executive: Main = async ({ sel4, root }) => {
      const port = await root!.ioPort(0x300, 0x307)
      const died = new Promise<void>((resolve) => root!.onDeath(() => resolve()))
      const request = { image: 'client', birth: 'fresh', caps: {}, arenaBytes: 2 << 20, config: {} } as const
      const { arena } = await root!.spawn(request)
      arena!.bytes[5] = 99
      await sel4.portIn(port, 0x300, 1)
      await root!.dmaMap('chip', arena!, 'readwrite')
      await sel4.portIn(port, 0x300, 1)
      await root!.dmaUnmap('chip', arena!)
      await sel4.portIn(port, 0x300, 1)
      await root!.dmaMap('chip', arena!, 'read')
      await root!.resetDevice('chip')
      await root!.kill('client')
      await died
      await root!.dmaUnmap('chip', arena!)
      await sel4.portIn(port, 0x300, 1)
      const next = await root!.spawn({ ...request, birth: 'restart' })
      seen.push(`generation ${next.generation}, ${next.arena!.physicalAddress.toString(16)}: ${next.arena!.bytes[5]}`)
      await root!.dmaMap('chip', { physicalAddress: 0, length: 4096 }, 'read').catch((error) => seen.push(error.detail))
      await root!.shutdown(3, 'enough')
    }
    const sim = simulate(5, { chip: device, executive })
    await sim.runUntil(() => sim.ended !== undefined)
    expect(seen).to.deep.equal([
      'DmaFault',
      '99',
      'DmaFault',
      'reset 99',
      'DmaFault',
      'generation 2, 1000000: 0',
      'not memory',
    ])
    expect(sim.ended).to.deep.equal({ code: 3, reason: 'enough' })
  })
  it('joins the spans of caller and server', async () => {
    const server: Main = async (env) => {
      env.machine!.attach({ reset() {} })
      await env.sel4.serve(env.caps.cable, [
        { iface: KeyboardCable, handlers: { scancodes: () => ({ accepted: true }) } },
      ])
    }
    const panel: Main = async ({ sel4, caps, clock }) => {
      const cable = sel4.client(KeyboardCable, caps.cable)
      for (;;) {
        await clock.sleep(10)
        await cable.scancodes({ bytes: [1] })
      }
    }
    const sim = simulate(9, { chip: server, panel })
    await sim.run(20)
    const ask = (name: string, op: number, body: unknown) => sim.kernel.processes.get(name)!.ask(op, body)
    for (const name of ['panel', 'chip']) void ask(name, ASK.trace, true)
    await sim.run(50)
    const spans: Span[][] = []
    for (const name of ['panel', 'chip']) void ask(name, ASK.spans, null).then((found) => spans.push(found as Span[]))
    await sim.runUntil(() => spans.length === 2)
    const calls = spans.flat().filter(({ name }) => name === '→ scancodes')
    const served = spans.flat().filter(({ name }) => name === 'scancodes')
    expect(served.length).to.be.greaterThan(2)
    const joined = served.filter((one) => calls.some(({ trace, span }) => trace === one.trace && span === one.parent))
    expect(joined.length).to.be.greaterThan(served.length - 2)
  })
  it('gives no signal to the dead while another waits', async () => {
    const heard: string[] = []
    const executive: Main = async ({ root }) => {
      const notification = await root!.notification()
      const caps = { bell: { from: notification } }
      for (const instance of ['first', 'second'])
        await root!.spawn({ image: 'client', instance, birth: 'fresh', caps, arenaBytes: 0, config: {} })
      await root!.spawn({ image: 'client', instance: 'ringer', birth: 'fresh', caps, arenaBytes: 0, config: {} })
    }
    let ring = () => {}
    const client: Main = async ({ name, sel4, caps, clock }) => {
      if (name === 'ringer') return void (ring = () => void sel4.signal(caps.bell))
      await clock.sleep(name === 'first' ? 10 : 20)
      await sel4.wait(caps.bell)
      heard.push(name)
    }
    const sim = simulate(2, { executive, client })
    await sim.run(50)
    sim.kill('first')
    await sim.runUntil(() => !sim.kernel.processes.get('first')?.alive)
    ring()
    await sim.run(50)
    expect(heard).to.deep.equal(['second'])
  })
  it("revoke returns when no descendant works, and frees a dead child's memory", async () => {
    for (let seed = 1; seed <= 30; seed++) {
      let revoked = false
      let taken = 0
      const late: string[] = []
      const executive: Main = async ({ sel4, root, clock }) => {
        const endpoint = await root!.endpoint()
        const receive = async (): Promise<never> => {
          for (;;) {
            await sel4.recv(endpoint)
            taken++
          }
        }
        void receive()
        for (let i = 0; i < 3; i++) {
          const arenaBytes = 2 << 20
          const caps = { executive: { from: endpoint, badge: 3 } }
          await root!.spawn({ image: 'client', instance: `client${i}`, birth: 'fresh', caps, arenaBytes, config: {} })
        }
        await clock.sleep(10)
        await root!.revoke(endpoint)
        revoked = true
      }
      const client: Main = async ({ sel4, caps }) => {
        for (;;) {
          const begunAfter = revoked
          const outcome = await sel4.send(caps.executive, 1, []).then(
            () => 'sent',
            (error) => error.message,
          )
          if (begunAfter && outcome === 'sent') late.push(outcome)
          if (outcome !== 'sent') return
        }
      }
      const sim = simulate(seed, { executive, client })
      await sim.run(60)
      expect(revoked, `seed ${seed}`).to.equal(true)
      expect(taken, `seed ${seed}`).to.be.greaterThan(20)
      expect(late, `seed ${seed}`).to.deep.equal([])
      for (let i = 0; i < 3; i++) if (sim.kernel.processes.has(`client${i}`)) sim.kill(`client${i}`)
      await sim.run(20)
      const untyped = sim.kernel.machine.untypeds.get('drivers')?.object as unknown as { available(): number }
      expect(untyped.available(), `seed ${seed}`).to.equal(8 << 20)
    }
  })
})
