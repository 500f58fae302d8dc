/** A process that is spawned suspended: loaded, told nothing, alive until somebody resumes or ends it. */
import { expect } from 'chai'
import type { CapNames, Main, RootTask } from '../lib/sel4/api.ts'
import { Simulator } from '../lib/sel4/sim.ts'
import { expectInvariants } from '../test/support/invariants.ts'
import { parseManifest, viewOf } from './manifest/index.ts'

const LAUNCH = {
  machine: 'pc',
  banks: { test: { bytes: '4 MiB' } },
  devices: {},
  cables: {},
  root: { image: 'executive', banks: ['test'] },
  images: { program: { image: 'program', arena: '2 MiB', bank: 'test', limits: { leaseMs: 1000 } } },
}
const files = {
  description: () => ({ file: 'x.json', text: JSON.stringify({ needs: { interfaces: [] } }) }),
  exists: () => true,
}
const request = { image: 'program', birth: 'fresh', caps: {}, arenaBytes: 2 << 20, config: {}, control: true } as const

type Script = (root: RootTask, sleep: (ms: number) => Promise<void>, begun: number[], caps: CapNames) => Promise<void>
/** Runs a root task; answers with when the program began, in milliseconds, and the deaths there were. */
async function run(script: Script) {
  const begun: number[] = []
  const deaths: string[] = []
  let over = false
  const program: Main = async (env) => {
    begun.push(env.clock.now())
    expect(env.arena?.bytes.length).to.equal(2 << 20)
    await new Promise(() => {})
  }
  const executive: Main = async (env) => {
    const root = env.root as RootTask
    root.onDeath(({ cause, detail }) => void deaths.push(`${cause} ${detail}`))
    await script(root, (ms) => env.clock.sleep(ms), begun, env.caps)
    over = true
  }
  const manifest = parseManifest('launch.json', JSON.stringify(LAUNCH), files)
  const sim = new Simulator({ seed: 3, manifest, view: viewOf(manifest), images: { executive, program } })
  sim.boot()
  await sim.runUntil(() => over, 600_000)
  await expectInvariants(sim)
  return { begun, deaths }
}

describe('kernel: a process spawned suspended', () => {
  it('begins when it is resumed, however late, and no lease ends it before', async () => {
    const { begun, deaths } = await run(async (root, sleep, began) => {
      await root.spawn({ ...request, suspended: true })
      await sleep(100_000)
      expect(began).to.deep.equal([])
      expect((await root.processes()).find(({ name }) => name === 'program')?.state).to.equal('suspended')
      await root.resume('program')
      await root.resume('program')
      await sleep(5000)
    })
    expect(begun).to.have.length(1)
    expect(deaths).to.deep.equal([])
  })
  it('begins at once when it was resumed before it had said hello', async () => {
    const { begun } = await run(async (root, sleep) => {
      await root.spawn({ ...request, suspended: true })
      await root.resume('program')
      await sleep(5000)
    })
    expect(begun).to.have.length(1)
  })
  it('is killed like any other', async () => {
    const { begun, deaths } = await run(async (root, sleep) => {
      await root.spawn({ ...request, suspended: true })
      await sleep(1000)
      await root.kill('program')
      await sleep(1000)
    })
    expect([begun, deaths]).to.deep.equal([[], ['signal SIGKILL']])
  })
  it('keeps nobody waiting who takes something away from it: its lease ends it then', async () => {
    const { begun, deaths } = await run(async (root, sleep, _begun, caps) => {
      await root.spawn({ ...request, suspended: true })
      await sleep(1000)
      await root.revoke(caps['untyped.test'])
      await sleep(1000)
    })
    expect(begun).to.deep.equal([])
    expect(deaths).to.deep.equal(['lease it did not confirm a change of its capabilities'])
  })
})
