/** Real processes under a real kernel: calls, badges, death and return, revoke, credits; the same on the slow path. */
import { expect } from 'chai'
import { isAlive, System } from './system.ts'

const ECHO = `
import { start } from './lib/sel4/start.ts'
start(async (env) => {
  env.machine?.attach({ portIn: (port) => port & 0xff, portOut: (port, width, value) => env.log.info('out', { port, value }),
    mmioRead: (region, offset) => seen[offset] ?? 0, reset() { env.machine.quiet(0, 16) },
    mmioWrite: (region, offset, value) => { seen[offset] = value; if (offset === 8) env.machine.irq(0).raise() } })
  const seen = {}
  env.machine?.quiet(0, 16)
  let sends = 0
  for (;;) {
    const { label, body, reply } = await env.sel4.recv(env.caps.echo)
    if (label === 99) continue
    if (reply) env.sel4.reply(reply, label, [env.generation, sends, body])
    else sends++
  }
})
`
const PANEL = `
import { start } from './lib/sel4/start.ts'
const failure = (promise) => promise.then(() => 'worked', (error) => error.message)
start(async (env) => {
  const { sel4, log, caps } = env
  log.info('answer', await sel4.call(caps.echo, 5, ['hello']))
  for (let i = 0; i < 500; i++) await sel4.send(caps.echo, 1, [i])
  log.info('sent', await sel4.call(caps.echo, 0, null))
  log.info('pending', { outcome: await failure(sel4.call(caps.echo, 99, null)) })
  log.info('reborn', await sel4.call(caps.echo, 6, ['again']))
  setInterval(() => void sel4.call(caps.echo, 7, null).catch(() => {}), 20)
})
`
const EXECUTIVE = `
import { start } from './lib/sel4/start.ts'
const failure = (promise) => promise.then(() => 'worked', (error) => error.message)
start(async (env) => {
  const { sel4, root, log } = env
  const died = new Promise((resolve) => root.onDeath((report) => { log.info('death', { report }); resolve(report) }))
  await died
  const ports = await root.ioPort(0x300, 0x307)
  log.info('port', { value: await sel4.portIn(ports, 0x303, 1), outside: await failure(sel4.portIn(ports, 0x310, 1)) })
  await sel4.portOut(ports, 0x301, 2, 0xbeef)
  const frame = await sel4.mapDevice(await root.deviceFrame(0xfebf1000, 4096))
  const irq = await root.irqHandler(5)
  const notification = await sel4.makeNotification()
  await sel4.irqSetNotification(irq, notification)
  for (let i = 0; i < 1000; i++) frame.write32(4, i)
  frame.write32(8, 1)
  const word = await sel4.wait(notification)
  log.info('registers', { value: await frame.read32(4), word, unused: await frame.read32(12) })
  const before = sel4.counters.sent
  frame.write32(16, 7)
  await new Promise(setImmediate)
  log.info('quiet', { messages: sel4.counters.sent - before, value: await frame.read32(16) })
  const endpoint = await root.endpoint()
  void (async () => {
    for (;;) {
      const { badge, label, body, reply } = await sel4.recv(endpoint)
      log.info('served', { badge, label, body })
      if (label === 3) { await root.revoke(endpoint); log.info('revoked') }
      if (reply) sel4.reply(reply, 0, ['done'])
    }
  })()
  const child = await root.spawn({ image: 'client', birth: 'fresh', caps: { executive: { from: endpoint, badge: 7 } }, arenaBytes: 2 << 20, config: { word: 'w' } })
  child.arena.bytes[100] = 42
  log.info('child', { pid: child.pid, physical: child.arena.physicalAddress })
  log.info('above', { outcome: await failure(root.grant('client', await root.ioPort(0x300, 0x301))) })
  log.info('unknown', { outcome: await failure(root.spawn({ image: 'nobody', birth: 'fresh', caps: {}, arenaBytes: 0, config: {} })) })
})
`
const CLIENT = `
import { start } from './lib/sel4/start.ts'
const failure = (promise) => promise.then(() => 'worked', (error) => error.message)
start(async (env) => {
  const { sel4, log, caps } = env
  while (env.arena.bytes[100] !== 42) await env.clock.sleep(5)
  log.info('born', { config: env.config, arena: env.arena.length, generation: env.generation })
  await sel4.call(caps.executive, 1, ['one'])
  log.info('nothing', { outcome: await failure(sel4.call(55, 1, null)), recv: await failure(sel4.recv(caps.executive)), port: await failure(sel4.portIn(caps.executive, 1, 1)) })
  log.info('third', { outcome: await failure(sel4.call(caps.executive, 3, null)) })
  log.info('after', { outcome: await failure(sel4.call(caps.executive, 4, null)) })
  setTimeout(() => { throw new Error('last words') }, 5)
})
`
const launch = (slowpath: boolean) => ({
  machine: 'pc',
  slowpath,
  banks: { drivers: { bytes: '8 MiB' } },
  devices: { 'echo-device': { image: 'echo-device' } },
  cables: { echo: { server: 'echo-device', interface: 'Echo', clients: ['panel'] } },
  panel: { image: 'panel', terminal: false },
  root: { image: 'executive', banks: ['drivers'] },
  images: { client: { image: 'client', arena: '2 MiB', bank: 'drivers' } },
})
const descriptions = {
  'devices/echo-device/device.json': {
    ports: [{ first: '0x300', last: '0x307' }],
    irqs: [{ irq: 5, trigger: 'edge' }],
    mmio: [{ base: '0xfebf1000', length: 4096 }],
    memory: [],
    dma: false,
  },
  'services/client/service.json': { needs: { interfaces: ['ExecutiveServices'] } },
}
const images = { panel: PANEL, 'echo-device': ECHO, executive: EXECUTIVE, client: CLIENT }

for (const slowpath of [false, true])
  describe(`processes under the kernel, ${slowpath ? 'slow' : 'fast'} path`, function () {
    this.timeout(60_000)
    let system: System
    before(async () => {
      system = await System.start({ images, descriptions, launch: launch(slowpath) })
    })
    after(() => system.stop())

    it('call and reply', async () => {
      const { label, body } = await system.until('panel', 'answer')
      expect([label, body]).to.deep.equal([5, [1, 0, ['hello']]])
    })
    it('500 sends through a window of credits', async () => {
      expect((await system.until('panel', 'sent')).body).to.deep.equal([1, 500, null])
    })
    it('a killed server: the pending call fails, the next one reaches its successor', async () => {
      await system.until('panel', 'sent')
      process.kill(system.pids()['echo-device'], 'SIGKILL')
      expect((await system.until('panel', 'pending')).outcome).to.equal('serverDied')
      expect((await system.until('panel', 'reborn')).body).to.deep.equal([2, 0, ['again']])
      const { report } = await system.until('executive', 'death')
      expect(report).to.deep.equal({ name: 'echo-device', generation: 1, cause: 'signal', detail: 'SIGKILL' })
    })
    it('ports, registers and an interrupt of a device', async () => {
      const port = await system.until('executive', 'port')
      expect([port.value, port.outside]).to.deep.equal([3, 'seL4_IllegalOperation: no such register'])
      expect(await system.until('echo-device', 'out')).to.include({ port: 0x301, value: 0xbeef })
      expect(await system.until('executive', 'registers')).to.include({ value: 999, word: 1, unused: 0 })
    })
    it('a write to a quiet register waits for the next access', async () => {
      expect(await system.until('executive', 'quiet')).to.include({ messages: 0, value: 7 })
    })
    it('a child with a badge, an arena it shares, and no more than it was given', async () => {
      expect(await system.until('client', 'born')).to.deep.include({ config: { word: 'w' }, arena: 2 << 20 })
      expect(await system.until('executive', 'served')).to.deep.include({ badge: 7, label: 1, body: ['one'] })
      const nothing = await system.until('client', 'nothing')
      expect(nothing.outcome).to.match(/seL4_FailedLookup/)
      expect(nothing.recv).to.match(/seL4_InvalidCapability/)
      expect(nothing.port).to.match(/seL4_InvalidCapability|malformed/)
      expect((await system.until('executive', 'above')).outcome).to.match(/seL4_IllegalOperation.*above the ceiling/)
      expect((await system.until('executive', 'unknown')).outcome).to.match(/no image nobody/)
    })
    it('revoke: what was received is answered, nothing after', async () => {
      expect((await system.until('client', 'third')).outcome).to.equal('worked')
      expect((await system.until('client', 'after')).outcome).to.match(/seL4_(InvalidCapability|FailedLookup)/)
    })
    it('an unhandled error is a death with an epitaph', async () => {
      const { report } = await system.until('executive', 'death', 2)
      expect(report).to.include({ name: 'client', cause: 'exit', detail: '70' })
      expect((report as { epitaph: string }).epitaph).to.match(/last words/)
    })
    it('traces', async () => {
      const seen = await system.control({ op: 'trace', ms: 200 })
      const panel = seen.find(({ name }: { name: string }) => name === 'panel')
      const calls = panel.spans.filter(({ name }: { name: string }) => name === '→ 7')
      expect(calls.length).to.be.within(3, 20)
    })
    it('tells who holds what, and ends without a trace', async () => {
      const [{ caps }] = await system.control({ op: 'caps', name: 'executive' })
      expect(caps.map(({ type }: { type: string }) => type)).to.include.members(['IOPort', 'IRQHandler', 'Endpoint'])
      const ps = await system.control({ op: 'ps' })
      expect(ps.map(({ name }: { name: string }) => name)).to.have.members(['echo-device', 'panel', 'executive'])
      expect(await system.control({ op: 'maskIrq', irq: 5, masked: true })).to.equal(null)
      expect((await system.control({ op: 'nonsense' }).catch((error) => error)).message).to.match(
        /no operation nonsense/,
      )
      const pids = Object.values(system.pids())
      await system.control({ op: 'shutdown' })
      expect(await system.exited).to.equal(0)
      expect(pids.filter(isAlive)).to.deep.equal([])
    })
  })
