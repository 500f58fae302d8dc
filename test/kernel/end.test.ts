/** The kernel's own end, without a warning: nothing that it started is left. */
import { expect } from 'chai'
import { isAlive, pause, System } from './system.ts'

const EXECUTIVE = `
import { start } from './lib/sel4/start.ts'
start(async ({ root, log }) => {
  for (const image of ['sleeper', 'spinner']) await root.spawn({ image, birth: 'fresh', caps: {}, arenaBytes: 0, config: {} })
  log.info('ready')
})
`
const SLEEPER = `
import { start } from './lib/sel4/start.ts'
start(async ({ log }) => log.info('asleep'))
`
const SPINNER = `
import { start } from './lib/sel4/start.ts'
start(async ({ log }) => { log.info('spins'); for (;;); })
`
const names = ['sleeper', 'spinner']
const options = {
  images: { executive: EXECUTIVE, sleeper: SLEEPER, spinner: SPINNER },
  descriptions: Object.fromEntries(names.map((name) => [`services/${name}/service.json`, { needs: {} }])),
  launch: {
    machine: 'pc',
    banks: { drivers: { bytes: '2 MiB' } },
    devices: {},
    cables: {},
    root: { image: 'executive', banks: ['drivers'] },
    images: Object.fromEntries(names.map((name) => [name, { image: name }])),
  },
}

describe("the kernel's end", function () {
  this.timeout(60_000)
  let system: System
  before(async () => {
    system = await System.start(options)
    await Promise.all([system.until('sleeper', 'asleep'), system.until('spinner', 'spins')])
  })
  after(() => system.stop())

  it('by SIGKILL leaves no process, one that is stopped and one that spins included', async () => {
    const pids = system.pids()
    expect(Object.keys(pids)).to.include.members(names)
    process.kill(pids.sleeper, 'SIGSTOP')
    process.kill(system.pid, 'SIGKILL')
    await system.exited
    for (let waited = 0; waited < 3000 && Object.values(pids).some(isAlive); waited += 20) await pause(20)
    expect(Object.entries(pids).filter(([, pid]) => isAlive(pid))).to.deep.equal([])
  })
})
