/**
 * A thousand deaths, in virtual time: whoever dies, in whatever way, is reported at once (a stopped one within its lease),
 * whoever called it hears so, its successor has the same memory, and nothing of it is left in any table of the kernel.
 */
import { RIGHTS, seL4_CapInitThreadCNode } from '#contracts/sel4'
import { expect } from 'chai'
import type { DeathReport, Environment, Main } from '../lib/sel4/api.ts'
import { Simulator } from '../lib/sel4/sim.ts'
import { checkSystem } from '../test/support/invariants.ts'
import { manifestFrom } from '../test/support/manifest.ts'
import { scaled } from '../test/support/scale.ts'
import { WAYS } from '../test/support/ways-to-die.ts'

const DEATHS = scaled(1000, 100)
const SEED = 5
/** The kernel gives up a device that dies ten times in ten seconds. */
const APART_MS = 1200
const LEASE_MS = 2000
const TICK_MS = 500

const LAUNCH = {
  machine: 'pc',
  // Not a page more than the living have: what the dead had is what the next ones get.
  banks: { drivers: { bytes: '6 MiB' } },
  devices: { chip: { image: 'chip' } },
  cables: { wire: { server: 'chip', interface: 'Wire', clients: ['panel'] } },
  panel: { image: 'panel' },
  root: { image: 'executive', banks: ['drivers'] },
  images: {
    driver: { image: 'driver', arena: '4 MiB', bank: 'drivers' },
    program: { image: 'program', arena: '2 MiB', bank: 'drivers' },
  },
}
const CHIP = {
  ports: [{ first: '0x300', last: '0x307' }],
  irqs: [{ irq: 24, trigger: 'msi' }],
  mmio: [],
  memory: [],
  dma: true,
}
const described = (slowpath: boolean) =>
  manifestFrom({ ...LAUNCH, slowpath }, (kind, image) => {
    if (kind === 'device') return CHIP
    const hardware = image === 'driver' && { ports: CHIP.ports, irqs: [24] }
    return { needs: { interfaces: ['ExecutiveServices'], ...hardware } }
  })
/** Where driver and program find the endpoint between them. */
const BETWEEN = 0x2000
const DEPTH = 32
/** By then the root task has put it there. */
const FURNISHED_MS = 50
const VICTIMS = ['driver', 'chip', 'program', 'panel'] as const
type Victim = (typeof VICTIMS)[number]
type Way = keyof typeof WAYS

/** What the test tells its images, and they the test. */
class Fates {
  readonly orders = new Map<string, Way>()
  readonly reports: (DeathReport & { at: number })[] = []
  readonly serverDied = new Map<string, number>()
  /** Ends its process when it is told to. */
  async await(env: Environment): Promise<void> {
    for (;;) {
      await env.clock.sleep(20)
      const order = this.orders.get(env.name)
      if (!order) continue
      this.orders.delete(env.name)
      if (order === 'exit') env.exit(0)
      throw new Error('nobody handles this')
    }
  }
  /** Calls for ever, as somebody who is told of each death of who answers. */
  async calling(name: string, env: Environment, call: () => Promise<unknown>): Promise<void> {
    for (;;) {
      await call().catch((error: Error) => {
        if (error.message !== 'serverDied') throw error
        this.serverDied.set(name, (this.serverDied.get(name) ?? 0) + 1)
      })
      await env.clock.sleep(7)
    }
  }
}
function imagesOf(fates: Fates): Readonly<Record<string, Main>> {
  const chip: Main = async (env) => {
    env.machine?.attach({ portIn: (port) => port & 0xff, reset() {} })
    await Promise.race([
      fates.await(env),
      (async () => {
        // Every other call is never answered: its caller hears of the death instead.
        for (let odd = false; ; odd = !odd) {
          const { reply } = await env.sel4.recv(env.caps.wire)
          if (reply && !odd) env.sel4.reply(reply, 0, null)
        }
      })(),
    ])
  }
  const panel: Main = (env) =>
    Promise.race([fates.await(env), fates.calling('chip', env, () => env.sel4.call(env.caps.wire, 1, null))])
  const driver: Main = async (env) => {
    const { sel4, caps } = env
    await env.clock.sleep(FURNISHED_MS)
    const notification = await sel4.makeNotification()
    await sel4.irqSetNotification(caps.irq, notification)
    void sel4.wait(notification)
    await sel4.portIn(caps.port, 0x303, 1).catch(() => {})
    void sel4.call(caps.executive, 2, null)
    await Promise.race([
      fates.await(env),
      (async () => {
        for (let odd = false; ; odd = !odd) {
          const { reply } = await sel4.recv(BETWEEN)
          if (reply && !odd) sel4.reply(reply, 0, null)
        }
      })(),
    ])
  }
  const program: Main = async (env) => {
    await env.clock.sleep(FURNISHED_MS)
    await Promise.race([fates.await(env), fates.calling('driver', env, () => env.sel4.call(BETWEEN, 1, null))])
  }
  const executive: Main = async (env) => {
    const root = env.root!
    const [served, own, port, irq] = await Promise.all([
      root.endpoint(),
      root.endpoint(),
      root.ioPort(0x300, 0x307),
      root.irqHandler(24),
    ])
    void (async () => {
      for (;;) await env.sel4.recv(served)
    })()
    // Who spawns may hold its child's CSpace, and put there what the manifest's ceiling does not name.
    const spawn = async (image: 'driver' | 'program') => {
      const hardware = image === 'driver' && { port: { from: port }, irq: { from: irq } }
      const { arena, caps } = await root.spawn({
        image,
        birth: 'fresh',
        caps: { executive: { from: served, badge: 3 }, ...hardware },
        arenaBytes: (image === 'driver' ? 4 : 2) << 20,
        config: {},
        control: true,
      })
      const { cnode, tcb, vspace } = caps!
      await env.libsel4.CNode_Copy(cnode, BETWEEN, DEPTH, seL4_CapInitThreadCNode, own, DEPTH, RIGHTS.all)
      for (const held of [cnode, tcb, vspace]) await env.libsel4.CNode_Delete(seL4_CapInitThreadCNode, held, DEPTH)
      await root.dmaMap('chip', arena!, 'readwrite')
    }
    root.onDeath((report) => {
      fates.reports.push({ ...report, at: sim.now() })
      if (report.name === 'driver' || report.name === 'program') void spawn(report.name)
    })
    await spawn('driver')
    await spawn('program')
    env.log.info('ready')
  }
  return { chip, panel, driver, program, executive }
}
let sim: Simulator

/** What there is behind the kernel, by the names of classes: a leak is a number that grows. */
function weigh(kernel: object): Record<string, number> {
  const weights: Record<string, number> = {}
  const seen = new Set<unknown>()
  const open: unknown[] = [kernel]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (typeof next !== 'object' || next === null || seen.has(next)) continue
    seen.add(next)
    const { name } = next.constructor ?? { name: 'null' }
    if (name === 'SimHost' || next instanceof Uint8Array) continue
    weights[name] = (weights[name] ?? 0) + 1
    if (next instanceof Map) open.push(...next.keys(), ...next.values())
    else if (next instanceof Set) open.push(...next)
    for (const value of Object.values(next)) open.push(value)
  }
  return weights
}

describe(`${DEATHS} deaths`, function () {
  this.timeout(300_000)
  for (const slowpath of [false, true])
    it(`leave nothing, and everybody goes on${slowpath ? ', on the slow path' : ''}`, async () => {
      const fates = new Fates()
      sim = new Simulator({ seed: SEED, ...described(slowpath), images: imagesOf(fates) })
      sim.boot()
      await sim.runUntil(() => sim.said('executive', 'ready').length > 0)
      const { kernel } = sim
      const ways = Object.keys(WAYS) as Way[]
      let died = 0
      let panels = 0
      const kill = async (victim: Victim, way: Way) => {
        const { generation } = kernel.processes.get(victim)!.init
        const at = sim.now()
        const reported = fates.reports.length
        if (way === 'exit' || way === 'rejection') fates.orders.set(victim, way)
        else sim.kill(victim, way)
        const back = () => (kernel.processes.get(victim)?.init.generation ?? 0) > generation
        const heard = () => victim === 'panel' || fates.reports.length > reported
        await sim.runUntil(() => back() && heard(), LEASE_MS + 2 * TICK_MS + 100)
        died++
        if (victim === 'panel') return void panels++
        const report = fates.reports[reported]
        const { cause, detail } = WAYS[way]
        expect(report).to.include({ name: victim, generation, cause, detail })
        // An order is seen within 20 ms; the rest is the kernel's.
        expect(report.at - at).to.be.below(way === 'SIGSTOP' ? LEASE_MS + 2 * TICK_MS : 50)
      }
      const rest = async () => {
        await sim.run(APART_MS)
        expect(kernel.processes.size).to.equal(5)
        const { quiet, broken } = checkSystem(sim)
        expect([quiet, broken]).to.deep.equal([true, []])
      }
      const round = async (first: number, count: number) => {
        for (let nth = first; nth < first + count; nth++) {
          await kill(VICTIMS[nth % VICTIMS.length], ways[nth % ways.length])
          await sim.run(APART_MS)
          if (nth % 20 === 0) await rest()
        }
        await rest()
      }
      // Every way for everybody, thrice: what is made once is there.
      const warm = 3 * VICTIMS.length * ways.length
      await round(0, warm)
      const before = weigh(kernel)
      await round(warm, DEATHS - warm)
      // A message, a question or a session more or less is under way.
      const grown = Object.entries(weigh(kernel)).filter(([name, count]) => count > (before[name] ?? 0) + 8)
      expect(grown).to.deep.equal([])
      expect(died).to.equal(DEATHS)
      expect(fates.reports).to.have.length(DEATHS - panels)
      expect(fates.serverDied.get('driver')).to.be.at.least(DEATHS / 8)
      expect(fates.serverDied.get('chip')).to.be.at.least(DEATHS / 8)
    })
})
