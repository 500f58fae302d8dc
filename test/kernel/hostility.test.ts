/** Components that lie, babble or hang: who did it is ended, nobody else; and no end of the kernel leaves anything alive. */
import { expect } from 'chai'
import { isAlive, pause, System } from './system.ts'

const EXECUTIVE = `
import { start } from './lib/sel4/start.ts'
start(async (env) => {
  const { root, sel4, log } = env
  root.onDeath((report) => log.info('death', { report }))
  const endpoint = await root.endpoint()
  void (async () => { for (;;) {
    const { reply, body } = await sel4.recv(endpoint)
    if (reply) sel4.reply(reply, 0, body)
    if (body === 'accuse me') {
      const [session] = [...sel4.sessions.values()].filter(({ inbox }) => inbox)
      sel4.sessions.fault(session.info.session, Buffer.concat([Buffer.alloc(40), Buffer.from([1])]))
    }
  } })()
  const from = { executive: { from: endpoint } }
  for (const image of env.config.images) await root.spawn({ image, birth: 'fresh', caps: from, arenaBytes: 0, config: {} })
  log.info('ready')
})
`
const client = (body: string) => `
import { start } from './lib/sel4/start.ts'
const failure = (promise) => promise.then(() => 'worked', (error) => error.message)
start(async ({ sel4, caps, log, root }) => {
  await sel4.call(caps.executive, 1, 'hello')
  const route = [...sel4.routes.values()][0]
  const raw = (...bytes) => { const message = Buffer.alloc(40 + bytes.length); message[0] = 5; message.writeUInt32LE(route.session, 8); message.set(bytes, 40); return message }
  ${body}
})
`
const images = {
  executive: EXECUTIVE,
  honest: client(`log.info('accused', { outcome: await failure(sel4.call(caps.executive, 1, 'accuse me')) })
  await new Promise((resolve) => setTimeout(resolve, 300))
  log.info('still', { outcome: await failure(sel4.call(caps.executive, 1, 'hello')) })`),
  malformed: client('route.link.peer.send(raw(0xdd, 0xff, 0xff, 0xff, 0xff))'),
  babbler: client('sel4.transport.gate(Buffer.alloc(3))'),
  forger: client(`const call = raw(1); call.writeUInt32LE(route.session + 1000, 8); route.link.peer.send(call)
  await new Promise((resolve) => setTimeout(resolve, 300))
  log.info('still', { spawn: await failure(sel4.invoke(20, { image: 'honest', birth: 'fresh', caps: {}, arenaBytes: 0, config: {} })), root: !!root })`),
  spinner: client('for (;;);'),
}
const names = Object.keys(images).filter((name) => name !== 'executive')
const options = {
  images,
  descriptions: Object.fromEntries(
    names.map((name) => [`services/${name}/service.json`, { needs: { interfaces: ['ExecutiveServices'] } }]),
  ),
  launch: {
    machine: 'pc',
    banks: { drivers: { bytes: '2 MiB' } },
    devices: {},
    cables: {},
    root: { image: 'executive', banks: ['drivers'], config: { images: names } },
    images: Object.fromEntries(names.map((name) => [name, { image: name }])),
  },
}
const deathOf = async (system: System, name: string): Promise<Record<string, unknown>> => {
  for (let waited = 0; waited < 15_000; waited += 50) {
    for (const { report } of system.lines('executive') as unknown as { report?: { name: string } }[])
      if (report?.name === name) return report as Record<string, unknown>
    await pause(50)
  }
  throw new Error(`${name} did not die\n${system.logs()}`)
}

describe('hostile processes', function () {
  this.timeout(60_000)
  let system: System
  before(async () => {
    system = await System.start(options)
    await system.until('executive', 'ready')
  })
  after(() => system.stop())

  it('a malformed message ends its sender', async () => {
    expect(await deathOf(system, 'malformed')).to.include({ cause: 'fault', detail: 'malformed message to executive' })
  })
  it('so does one to the kernel', async () => {
    expect(await deathOf(system, 'babbler')).to.include({ cause: 'fault', detail: 'malformed message to the kernel' })
  })
  it('a process that spins loses its lease', async () => {
    expect(await deathOf(system, 'spinner')).to.include({ cause: 'lease' })
  })
  it('a receiver that accuses an honest sender gets nobody killed', async () => {
    expect((await system.until('honest', 'still')).outcome).to.equal('worked')
  })
  it('a session that is not its own is worth nothing, and only the root task spawns', async () => {
    const still = await system.until('forger', 'still')
    expect([still.spawn, still.root]).to.deep.equal(['seL4_IllegalOperation: only who holds ProcessControl may', false])
  })
  it('SIGKILL of the kernel leaves no process, stopped ones included', async () => {
    const pids = system.pids()
    process.kill(pids.honest, 'SIGSTOP')
    process.kill(system.pid, 'SIGKILL')
    await system.exited
    for (let waited = 0; waited < 3000 && Object.values(pids).some(isAlive); waited += 20) await pause(20)
    expect(Object.entries(pids).filter(([, pid]) => isAlive(pid))).to.deep.equal([])
  })
})
