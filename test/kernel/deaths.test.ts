/**
 * Every kind of process × every way to die, between real processes: the kernel tells of it at once, its callers hear so, it
 * is back, its memory is its successor's alone, and nothing is left of it in the kernel, in the root task or in the run
 * directory. (kernel/deaths.test.ts counts the kernel's tables, a thousand times.)
 */
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { isAtLeast, scaled } from '../support/scale.ts'
import { until as untilFound } from '../support/until.ts'
import { WAYS as EVERYWHERE } from '../support/ways-to-die.ts'
import { isAlive, pause, System } from './system.ts'

/** Ends its process in the way that RUN/do-<name> says. */
const FATE = `
import { existsSync, readFileSync, rmSync } from 'node:fs'
const awaitFate = (env) => setInterval(() => {
  const order = 'do-' + env.name
  if (!existsSync(order)) return
  const way = readFileSync(order, 'utf8')
  if (!way) return
  rmSync(order)
  if (way === 'exit') process.exit(0)
  if (way === 'rejection') void Promise.reject(new Error('nobody handles this'))
  const all = []
  while (way === 'heap') all.push({ at: all.length, of: new Array(100).fill(all.length) })
}, 5)
/** Calls for ever; every call ends with an answer or with the word that nobody will give one. */
const calling = async (env, call) => {
  for (let died = 0; ; await env.clock.sleep(5)) await call().catch((error) => {
    if (error.message !== 'serverDied') throw error
    env.log.info('server died', { died: ++died })
  })
}
/** Answers every other call, and leaves the rest for ever. */
const serving = async (env, endpoint) => {
  for (let odd = false; ; odd = !odd) {
    const { reply } = await env.sel4.recv(endpoint)
    if (reply && !odd) env.sel4.reply(reply, 0, null)
    else env.log.info('holds a call', { life: env.generation })
  }
}
`
const image = (body: string) => `
import { start } from './lib/sel4/start.ts'
${FATE}
/** Where driver and program find the endpoint between them. */
const BETWEEN = 0x2000
const placed = (env) => env.clock.sleep(100)
start(async (env) => { awaitFate(env); ${body} })
`
const programs = {
  chip: image('env.machine.attach({ reset() {} }); await serving(env, env.caps.wire)'),
  panel: image('await calling(env, () => env.sel4.call(env.caps.wire, 1, null))'),
  driver: image(`env.arena.bytes[0] = env.generation & 0xff
    await placed(env); await serving(env, BETWEEN)`),
  program: image('await placed(env); await calling(env, () => env.sel4.call(BETWEEN, 1, null))'),
  executive: image(`
    const { root, libsel4, log, clock } = env
    const own = await root.endpoint()
    let first
    const spawn = async (name) => {
      const { arena, caps, generation } = await root.spawn({ image: name, birth: 'fresh', caps: {}, arenaBytes: name === 'driver' ? 2 << 20 : 0, config: {}, control: true })
      await libsel4.CNode_Copy(caps.cnode, BETWEEN, 32, 2, own, 32, 15)
      for (const held of Object.values(caps)) await libsel4.CNode_Delete(2, held, 32)
      if (!arena) return
      while (arena.bytes[0] === 0) await clock.sleep(2)
      first ??= arena
      const same = first.physicalAddress === arena.physicalAddress
      const stale = first === arena ? undefined : first.bytes[0]
      if (first !== arena) first.bytes[1] = 0xee
      log.info('memory', { generation, same, mark: arena.bytes[0], stale, written: arena.bytes[1] })
    }
    root.onDeath((report) => {
      log.info('death', { report })
      if (report.name === 'driver' || report.name === 'program') void spawn(report.name).catch((error) => log.info('stillborn', { error: error.message }))
    })
    await spawn('driver')
    await spawn('program')
    log.info('ready')
    globalThis.gc ?? require('node:v8').setFlagsFromString('--expose-gc')
    const gc = require('node:vm').runInNewContext('gc')
    setInterval(gc, 100)
    await new Promise(() => {})`),
}
type Name = keyof typeof programs
/** A heap that is full soon; a lease that is over soon. */
const limits = { heap: '64 MiB', leaseMs: 500 }
const options = {
  images: programs,
  descriptions: {
    'devices/chip/device.json': { ports: [], irqs: [], mmio: [], memory: [], dma: false },
    'services/driver/service.json': { needs: {} },
    'services/program/service.json': { needs: {} },
  },
  launch: {
    machine: 'pc',
    // What one driver has: its successor gets the very same pages.
    banks: { drivers: { bytes: '2 MiB' } },
    devices: { chip: { image: 'chip', limits } },
    cables: { wire: { server: 'chip', interface: 'Wire', clients: ['panel'] } },
    panel: { image: 'panel', limits },
    root: { image: 'executive', banks: ['drivers'], limits },
    images: {
      driver: { image: 'driver', arena: '2 MiB', bank: 'drivers', limits },
      program: { image: 'program', limits },
    },
  },
}
const WAYS = { ...EVERYWHERE, heap: { cause: 'limit', detail: 'heap: more than 64 MiB' } } as const
type Way = keyof typeof WAYS
const ways = Object.keys(WAYS) as Way[]
/** At quick, two of them for each; which, goes round. */
const waysFor = (nth: number): readonly Way[] =>
  isAtLeast('ci') ? ways : [ways[(2 * nth) % ways.length], ways[(2 * nth + 1) % ways.length]]

/** The host's moment of death: the process is a zombie, or no more. */
async function endOf(pid: number): Promise<number> {
  for (const limit = Date.now() + 20_000; isAlive(pid); await new Promise(setImmediate))
    if (Date.now() > limit) throw new Error(`process ${pid} did not end`)
  return Date.now()
}
const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]
const ARENA = 2 << 20
const bytesOf = (line: string): number => {
  const [from, to] = line
    .split(' ')[0]
    .split('-')
    .map((address) => Number.parseInt(address, 16))
  return to - from
}
/** What the host holds for a process, by what it could leak. */
function holdings(pid: number): Record<string, number> {
  const maps = readFileSync(`/proc/${pid}/maps`, 'latin1').split('\n')
  // V8's own mappings come and go; ours are those of banks, and what was mapped over an arena.
  const ours = maps.filter((line) => line.includes('/banks/'))
  const arenas = maps.filter((line) => / rw-p 00000000 00:00 0 *$/.test(line)).map((line) => bytesOf(line) / ARENA)
  const taken = arenas.filter(Number.isInteger).reduce((sum, count) => sum + count, 0)
  const kinds: Record<string, number> = { banks: ours.length, taken }
  for (const descriptor of readdirSync(`/proc/${pid}/fd`)) {
    const kind = readlinkOf(`/proc/${pid}/fd/${descriptor}`).split(':')[0]
    kinds[kind] = (kinds[kind] ?? 0) + 1
  }
  return kinds
}
function readlinkOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return 'gone'
  }
}

describe('a death', function () {
  this.timeout(120_000)
  let system: System
  const latencies: number[] = []
  before(async () => {
    system = await System.start(options)
    await system.until('executive', 'ready')
  })
  afterEach(function () {
    if (this.currentTest?.state === 'failed') console.log(system.stderr, system.logs())
  })
  after(() => system.stop())

  const deaths = (name: string) => system.lines('kernel').filter(({ msg }) => msg === `${name} died`)
  const until = <T>(what: string, look: () => T | Promise<T>) =>
    untilFound(what, look, { patienceMs: 15_000, lookMs: 5, report: () => system.logs() })
  const isRunning = async (name: string): Promise<boolean> =>
    (await system.control({ op: 'ps' })).some(
      (info: { name: string; state: string }) => info.name === name && info.state === 'running',
    )
  /** Resolves with the kernel's line when the next life of it is there. */
  async function kill(name: Name, way: Way) {
    const pid = system.pids()[name]
    const before = deaths(name).length
    if (way.startsWith('SIG')) process.kill(pid, way as NodeJS.Signals)
    else writeFileSync(join(system.run, `do-${name}`), way)
    const ended = await endOf(pid)
    const line = await until(`${name} died`, () => deaths(name)[before])
    latencies.push((line.time as number) - ended)
    await until(`${name} is back`, () => (system.pids()[name] ?? pid) !== pid)
    await until(`${name} runs`, () => isRunning(name))
    return line
  }
  const callerOf: Partial<Record<Name, Name>> = { chip: 'panel', driver: 'program' }

  for (const [nth, name] of (['chip', 'panel', 'driver', 'program'] as const).entries())
    for (const way of waysFor(nth))
      it(`of a ${name} by ${way} is told, and heard by who called it`, async () => {
        const caller = callerOf[name]
        const heard = () => (caller ? system.lines(caller).filter(({ msg }) => msg === 'server died').length : 0)
        const { generation } = (await system.control({ op: 'ps' })).find((info: { name: string }) => info.name === name)
        if (caller)
          await until(`${name} holds a call`, () => system.lines(name).some(({ life }) => life === generation))
        const before = heard()
        const line = await kill(name, way)
        expect(line).to.include({ name, ...WAYS[way] })
        if (way === 'rejection') expect(line.epitaph).to.match(/nobody handles this/)
        if (caller) await until(`${caller} hears of it`, () => heard() > before)
        const { caps } = (await system.control({ op: 'caps', name }))[0]
        expect(caps.length).to.be.below(8)
      })
  it('is told within 50 ms of it', () => {
    expect(median(latencies)).to.be.below(50)
    expect(Math.max(...latencies)).to.be.below(1000)
  })
  it('leaves its memory to its successor alone: an old view of it sees nothing, and changes nothing', async () => {
    for (let i = 0; i < 3; i++) {
      await kill('driver', 'SIGKILL')
      const seen = system.lines('executive').filter(({ msg }) => msg === 'memory').length
      await until(
        'the next memory',
        () => system.lines('executive').filter(({ msg }) => msg === 'memory').length > seen - 1,
      )
    }
    const memories = system.lines('executive').filter(({ msg }) => msg === 'memory')
    for (const { generation, same, mark, stale, written } of memories.slice(1))
      expect([same, mark, stale, written]).to.deep.equal([true, (generation as number) & 0xff, 0, 0])
  })
  it('leaves nothing with the kernel, the root task or the run directory', async () => {
    const sockets = () => readdirSync(join(system.run, 's')).length
    const rest = () => pause(500)
    await rest()
    const root = system.pids().executive
    const before = { kernel: holdings(system.pid), root: holdings(root), sockets: sockets() }
    for (let i = 0; i < scaled(60, 12); i++) await kill(i % 2 ? 'driver' : 'program', 'SIGKILL')
    await rest()
    const grown = (now: Record<string, number>, then: Record<string, number>) =>
      Object.entries(now).filter(([kind, count]) => count > (then[kind] ?? 0) + 4)
    expect(grown(holdings(system.pid), before.kernel), 'the kernel').to.deep.equal([])
    expect(grown(holdings(root), before.root), 'the root task').to.deep.equal([])
    await until('as many sockets as before', () => sockets() === before.sockets)
  })
  it('Ctrl-C ends everybody', async () => {
    const pids = Object.values(system.pids())
    process.kill(system.pid, 'SIGINT')
    await system.exited
    expect(pids.filter(isAlive)).to.deep.equal([])
  })
})

describe('the death of the root task', function () {
  this.timeout(60_000)
  for (const way of isAtLeast('ci') ? ways : (['SIGSEGV', 'heap'] as const))
    it(`by ${way} is the system's, and explained`, async () => {
      const system = await System.start(options)
      try {
        await system.until('executive', 'ready')
        const pids = system.pids()
        if (way.startsWith('SIG')) process.kill(pids.executive, way as NodeJS.Signals)
        else writeFileSync(join(system.run, 'do-executive'), way)
        expect(await system.exited).to.equal(1)
        const { cause, detail } = WAYS[way]
        expect(system.stderr).to.include(`executive died (${cause} ${detail})`)
        expect(Object.values(pids).filter(isAlive)).to.deep.equal([])
      } finally {
        await system.stop()
      }
    })
})

describe('a death between making a socket and saying the first word', function () {
  this.timeout(60_000)
  const DEATHS = 3
  const early = `
    import { start } from './lib/sel4/start.ts'
    import { ZeromqTransport } from './lib/sel4/zeromq.ts'
    ZeromqTransport.prototype.gate = () => process.kill(process.pid, 'SIGKILL')
    start(async () => {})`
  const executive = `
    import { start } from './lib/sel4/start.ts'
    start(async ({ root, log }) => {
      let died
      root.onDeath((report) => { log.info('death', { report }); died() })
      for (let i = 0; i < ${DEATHS}; i++) {
        const death = new Promise((resolve) => (died = resolve))
        await root.spawn({ image: 'early', birth: 'fresh', caps: {}, arenaBytes: 0, config: {} })
        await death
      }
      await new Promise(() => setInterval(() => {}, 1000))
    })`
  it('leaves no file of that socket', async () => {
    const system = await System.start({
      images: { executive, early },
      descriptions: { 'services/early/service.json': { needs: {} } },
      launch: {
        machine: 'pc',
        banks: {},
        devices: {},
        cables: {},
        root: { image: 'executive', banks: [] },
        images: { early: { image: 'early' } },
      },
    })
    try {
      const { report } = await system.until('executive', 'death', DEATHS)
      expect(report).to.include({ name: 'early', cause: 'signal', detail: 'SIGKILL' })
      // The kernel's and the root task's.
      expect(readdirSync(join(system.run, 's'))).to.have.length(2)
    } finally {
      await system.stop()
    }
  })
})
