/**
 * Limits of real processes, each reached by a process that does nothing else: it alone is limited or ended, the report names
 * the limit, and whoever else uses the kernel goes on.
 */
import { appendFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { pause, System } from './system.ts'

/** Spawns what the test writes to RUN/wanted, a line each, so that each limit has the machine to itself. */
const EXECUTIVE = `
import { existsSync, readFileSync } from 'node:fs'
import { start } from './lib/sel4/start.ts'
start(async ({ root, libsel4, caps, clock, log }) => {
  root.onDeath((report) => log.info('death', { report }))
  const refused = async (allocated = 0) => {
    try { await root.allocate('drivers', 2 << 20) } catch (error) { return { allocated, message: error.message } }
    return refused(allocated + 1)
  }
  log.info('mapped', await refused())
  for (let spawned = 0; ; await clock.sleep(10)) {
    const wanted = existsSync('wanted') ? readFileSync('wanted', 'utf8').split('\\n').slice(0, -1) : []
    for (const image of wanted.slice(spawned)) {
      const child = await root.spawn({ image, birth: 'fresh', caps: {}, arenaBytes: 0, config: {}, control: true })
      if (image === 'mapper') {
        await libsel4.Untyped_Retype(caps['untyped.drivers'], 0, 21, 2, 0, 0, 0x1000, 1)
        await libsel4.CNode_Move(child.caps.cnode, 0x1000, 32, 2, 0x1000, 32)
      }
    }
    spawned = wanted.length
  }
})
`
/** Asks the kernel for something, again and again. */
const WITNESS = `
import { start } from './lib/sel4/start.ts'
start(async ({ libsel4, clock, log }) => {
  for (let turns = 1; ; turns++) {
    await libsel4.Yield()
    await clock.sleep(2)
    if (turns % 20 === 0) log.info('turn', { turns })
  }
})
`
const image = (body: string) => `
import { start } from './lib/sel4/start.ts'
import { encode, KIND, OP } from './lib/sel4/wire.ts'
start(async ({ sel4, libsel4, clock, log }) => {
  const flood = async (message, turn = 1000) => {
    for (let sent = 0; sent < 1_000_000; sent++) {
      sel4.transport.gate(Buffer.from(message))
      if (sent % turn === turn - 1) await new Promise(setImmediate)
    }
  }
  ${body}
  await new Promise(() => setInterval(() => {}, 1000))
})
`
/** Makes pages of memory it was given and maps each where it likes, as far as it may. */
const MAPPER = `
  const { OBJECT_TYPE, RIGHTS } = await import('./lib/contracts/sel4.ts')
  const [CNODE, VSPACE, MEMORY, PAGE, AT] = [2, 3, 0x1000, 4096, 0x4000_0000]
  const make = (type, slot) => libsel4.Untyped_Retype(MEMORY, OBJECT_TYPE[type], 0, CNODE, 0, 0, slot, 1)
  const given = () => make('seL4_X86_PDPTObject', 0x1001).catch(() => clock.sleep(10).then(given))
  await given()
  await make('seL4_X86_PageDirectoryObject', 0x1002)
  await make('seL4_X86_PageTableObject', 0x1003)
  await libsel4.X86_PDPT_Map(0x1001, VSPACE, AT, 0)
  await libsel4.X86_PageDirectory_Map(0x1002, VSPACE, AT, 0)
  await libsel4.X86_PageTable_Map(0x1003, VSPACE, AT, 0)
  const slot = (page) => 0x2000 + page
  const map = (page, at = page) => libsel4.X86_Page_Map(slot(page), VSPACE, AT + at * PAGE, RIGHTS.all, 0)
    .then(() => undefined, (error) => error.message)
  let pages = 0
  let refusal
  for (;; pages++) {
    await make('seL4_X86_4K', slot(pages))
    if ((refusal = await map(pages))) break
  }
  const refusals = new Set([refusal])
  for (let turn = 0; turn < 1000; turn++) refusals.add(await map(pages))
  const holds = async (page) => {
    await libsel4.store(AT + page * PAGE, Uint8Array.of(page, 77))
    return (await libsel4.load(AT + page * PAGE, 2)).join()
  }
  const held = [await holds(1), await holds(pages - 1)]
  await libsel4.X86_Page_Unmap(slot(1))
  const instead = (await map(pages)) ?? (await holds(pages))
  log.info('full', { pages, refusals: [...refusals], held, instead, again: await map(1) })`
const YIELD = 'encode(KIND.INVOKE, 0, OP.yield, 0, 1, null)'
/** By what is sent a million times; the last in one go, without a look at anything that comes. */
const FLOODS = {
  requests: YIELD,
  'answers to nobody': 'encode(KIND.REPLY, 0, 0, 77, 1, null)',
  'calls along no session': 'encode(KIND.CALL, 0, 0, 77, 1, null)',
  'waits on nothing': 'encode(KIND.WAIT, 0, 0, 77, 1, null)',
  'requests in one go': `${YIELD}, 1_000_000`,
} as const
const nameOf = (flood: string): string => flood.replaceAll(' ', '-')
const programs: Readonly<Record<string, string>> = {
  witness: WITNESS,
  ...Object.fromEntries(
    Object.entries(FLOODS).map(([flood, message]) => [nameOf(flood), image(`await flood(${message})`)]),
  ),
  // Old objects survive, so the heap itself is full, not the nursery.
  hoarder: image(`const all = []; for (;;) { all.push({ at: all.length, of: new Array(100).fill(all.length) })
    if (all.length % 10_000 === 0) await new Promise(setImmediate) }`),
  buffers: image(
    `const all = []; for (;;) { all.push(Buffer.alloc(1 << 20, 1)); await new Promise((r) => setTimeout(r, 5)) }`,
  ),
  mapper: image(MAPPER),
  collector: image(`const refusals = []
  for (let made = 0; refusals.length < 1000; made++)
    await sel4.makeNotification().catch((error) => refusals.push([made, error.message]))
  log.info('full', { made: refusals[0][0], message: refusals[0][1] })`),
  spinner: image(
    'const until = Date.now() + 4000; while (Date.now() < until); log.info("spun", { cpu: process.cpuUsage() })',
  ),
  busy: image(`const worker = async () => { for (let i = 0; i < 100; i++) await sel4.invoke(OP.yield, null) }
  await Promise.all(Array.from({ length: 1000 }, worker))
  log.info('done')`),
}
const limits: Readonly<Record<string, object>> = {
  hoarder: { heap: '64 MiB' },
  buffers: { data: '64 MiB', heap: '64 MiB' },
  mapper: { mapped: '1 MiB' },
  collector: { capabilities: 32 },
  spinner: { cpuShare: 20, leaseMs: 2000 },
}
const names = Object.keys(programs)
const options = {
  images: { executive: EXECUTIVE, ...programs },
  descriptions: Object.fromEntries(names.map((name) => [`services/${name}/service.json`, { needs: {} }])),
  launch: {
    machine: 'pc',
    banks: { drivers: { bytes: '16 MiB' } },
    devices: {},
    cables: {},
    root: { image: 'executive', banks: ['drivers'], limits: { mapped: '6 MiB' } },
    images: Object.fromEntries(names.map((name) => [name, { image: name, limits: limits[name] ?? {} }])),
  },
}
const MIB = 1024 * 1024
const rssOf = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024

describe('the limits of a process', function () {
  this.timeout(60_000)
  let system: System
  before(async () => {
    system = await System.start(options)
    start('witness')
    await system.until('witness', 'turn')
  })
  after(() => system.stop())

  const start = (name: string): void => appendFileSync(join(system.run, 'wanted'), `${name}\n`)
  const turns = (): number => (system.lines('witness').at(-1)?.turns as number) ?? 0
  async function deathOf(name: string): Promise<Record<string, unknown>> {
    for (let waited = 0; waited < 20_000; waited += 20) {
      for (const { report } of system.lines('executive') as unknown as { report?: { name: string } }[])
        if (report?.name === name) return report as Record<string, unknown>
      await pause(20)
    }
    throw new Error(`${name} did not die\n${system.logs()}`)
  }
  async function goesOn(): Promise<void> {
    const from = turns()
    for (let waited = 0; turns() < from + 40; waited += 20) {
      if (waited > 10_000) throw new Error(`the witness stands still\n${system.logs()}`)
      await pause(20)
    }
  }

  describe('memory', () => {
    it('a full heap is its death, and the report says so', async () => {
      start('hoarder')
      expect(await deathOf('hoarder')).to.include({ cause: 'limit', detail: 'heap: more than 64 MiB' })
      await goesOn()
    })
    it('so is memory that V8 does not count', async () => {
      start('buffers')
      expect(await deathOf('buffers')).to.include({ cause: 'limit', detail: 'data: more than 64 MiB beside its heap' })
      await goesOn()
    })
  })
  it('memory of banks beyond what may be mapped is refused, and leaves nothing in the kernel', async () => {
    const { allocated, message } = await system.until('executive', 'mapped')
    expect([allocated, message]).to.deep.equal([3, 'seL4_NotEnoughMemory: mapped: more than 6 MiB'])
    const [{ caps }] = await system.control({ op: 'caps', name: 'executive' })
    expect(caps.filter(({ type }: { type: string }) => type === 'Frame')).to.have.length(3)
  })
  it('so is a page too many of its own, wherever it wants it; it goes on with those it has', async () => {
    start('mapper')
    const { pages, refusals, held, instead, again } = await system.until('mapper', 'full', 1, 20_000)
    const refusal = 'seL4_NotEnoughMemory: mapped: more than 1 MiB'
    expect([pages, refusals, held]).to.deep.equal([256, [refusal], ['1,77', '255,77']])
    // What it unmaps is there for another page.
    expect([instead, again]).to.deep.equal(['0,77', refusal])
    expect(await system.control({ op: 'check' })).to.deep.include({ broken: [] })
    await goesOn()
  })
  describe('capabilities', () => {
    it('one too many is refused, and leaves nothing in the kernel', async () => {
      start('collector')
      const full = await system.until('collector', 'full')
      expect(full).to.include({ made: 29, message: 'seL4_NotEnoughMemory: capabilities: 32 and no more' })
      const [{ caps }] = await system.control({ op: 'caps', name: 'collector' })
      expect(caps).to.have.length(32)
      await goesOn()
    })
  })
  describe('the processor', () => {
    it('who spins gets its share and no more, and is not taken for hung', async () => {
      start('spinner')
      const states = new Set<string>()
      for (let waited = 0; system.lines('spinner').length === 0; waited += 100) {
        if (waited > 15_000) throw new Error(`it did not end\n${system.logs()}`)
        await pause(100)
        for (const { name, state } of await system.control({ op: 'ps' })) if (name === 'spinner') states.add(state)
      }
      const { cpu } = (await system.until('spinner', 'spun')) as unknown as { cpu: { user: number; system: number } }
      // 4 s at 20 % are 0.8 s, and what it used before it was noticed.
      expect((cpu.user + cpu.system) / 1000).to.be.below(1600)
      expect(states).to.include('throttled')
      expect(system.lines('executive').filter(({ report }) => (report as { name?: string })?.name === 'spinner')).to.be
        .empty
      await goesOn()
    })
  })
  describe('messages', () => {
    for (const flood of Object.keys(FLOODS))
      it(`a million ${flood}: ended for its limit, the kernel holds none of them`, async () => {
        const before = rssOf(system.pid)
        start(nameOf(flood))
        expect(await deathOf(nameOf(flood)), system.logs()).to.include({
          cause: 'limit',
          detail: 'requests: more than 4096 without listening to an answer',
        })
        expect(rssOf(system.pid) - before).to.be.below(32 * MIB)
        await goesOn()
      })
    it('a hundred thousand requests, a thousand at a time, each waited for, are no flood', async () => {
      start('busy')
      await system.until('busy', 'done', 1, 40_000)
    })
  })
})
