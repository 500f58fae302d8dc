/** A process can do what it holds a capability for, and nothing else: one that was given a single endpoint tries everything. */
import { expect } from 'chai'
import { System } from '../kernel/system.ts'

const EXECUTIVE = `
import { start } from './lib/sel4/start.ts'
start(async ({ root, sel4, log }) => {
  const endpoint = await root.endpoint()
  const secret = await root.endpoint()
  void (async () => { for (;;) {
    const { reply, badge } = await sel4.recv(endpoint)
    if (reply) sel4.reply(reply, 0, badge)
  } })()
  void (async () => { for (;;) { await sel4.recv(secret); log.info('the secret endpoint was reached') } })()
  await root.spawn({ image: 'thief', birth: 'fresh', caps: { executive: { from: endpoint, badge: 7, rights: ['write', 'grantReply'] } }, arenaBytes: 0, config: {} })
  log.info('ready')
})
`
/** Slots of its own and far beyond; every kind of use of each. */
const THIEF = `
import { start } from './lib/sel4/start.ts'
const late = () => new Promise((resolve) => setTimeout(resolve, 1000, 'worked'))
const tried = (use) => Promise.race([Promise.resolve().then(use).then(() => 'worked', (error) => error.message), late()])
start(async ({ sel4, caps, log, root, machine, arena }) => {
  const own = await sel4.makeNotification()
  const uses = {
    call: (cptr) => sel4.call(cptr, 1, 'x'),
    send: (cptr) => sel4.send(cptr, 1, 'x'),
    receive: (cptr) => sel4.recv(cptr),
    portIn: (cptr) => sel4.portIn(cptr, 0x60, 1),
    portOut: (cptr) => sel4.portOut(cptr, 0x64, 1, 0xfe),
    mapDevice: (cptr) => sel4.mapDevice(cptr),
    acknowledge: (cptr) => sel4.irqAck(cptr),
    bind: (cptr) => sel4.irqSetNotification(cptr, own),
    wait: (cptr) => sel4.wait(cptr),
  }
  const worked = []
  for (let cptr = 0; cptr < 64; cptr++) if (cptr !== own)
    for (const [name, use] of Object.entries(uses))
      if ((await tried(() => use(cptr))) === 'worked') worked.push(cptr === caps.executive ? name : cptr + ' ' + name)
  const { body: badge } = await sel4.call(caps.executive, 1, 'who am I')
  log.info('tried', { worked, badge, names: Object.keys(caps), has: [!!root, !!machine, !!arena] })
})
`

describe('a process with one endpoint', function () {
  this.timeout(120_000)
  let system: System
  before(async () => {
    system = await System.start({
      images: { executive: EXECUTIVE, thief: THIEF },
      descriptions: { 'services/thief/service.json': { needs: { interfaces: ['ExecutiveServices'] } } },
      launch: {
        machine: 'pc',
        banks: { drivers: { bytes: '2 MiB' } },
        devices: {},
        cables: {},
        root: { image: 'executive', banks: ['drivers'], config: {} },
        images: { thief: { image: 'thief' } },
      },
    })
  })
  after(() => system?.stop())

  it('can call it and send to it, and nothing else works at any address', async () => {
    const { worked, badge, names, has } = await system.until('thief', 'tried')
    expect({ worked, badge, names, has }).deep.equal({
      worked: ['call', 'send'],
      badge: 7,
      names: ['executive'],
      has: [false, false, false],
    })
    expect(system.lines('executive').map(({ msg }) => msg)).deep.equal(['ready'])
  })
})
