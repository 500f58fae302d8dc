/** Accusations: what a receiver says of a sender, true or made up, and who ends for it. */
import { RIGHTS, seL4_CapInitThreadCNode } from '#contracts/sel4'
import { expect } from 'chai'
import type { Environment, Main } from '../lib/sel4/api.ts'
import type { Runtime } from '../lib/sel4/runtime.ts'
import { Simulator } from '../lib/sel4/sim.ts'
import { encode, KIND, OFFENCE } from '../lib/sel4/wire.ts'
import { manifestFrom } from '../test/support/manifest.ts'

const LAUNCH = {
  machine: 'pc',
  banks: { test: { bytes: '2 MiB' } },
  devices: {},
  cables: {},
  root: { image: 'executive', banks: ['test'] },
  images: { receiver: { image: 'receiver' }, sender: { image: 'sender' } },
}
const DEPTH = 32
/** Where receiver and sender find the endpoint between them. */
const SLOT = 0x2000
const MALFORMED = Buffer.concat([Buffer.alloc(40), Buffer.from([0xdd, 0xff, 0xff, 0xff, 0xff])])

const runtimeOf = ({ sel4 }: Environment): Runtime => sel4 as Runtime
/** Accuses every session it has, of whatever the label asks for. */
const receiver: Main = async (env) => {
  const runtime = runtimeOf(env)
  const sessions: number[] = []
  runtime.sessions.deviceOpened = ({ session }) => void sessions.push(session)
  for (;;) {
    const { label, body, reply } = await env.sel4.recv(SLOT)
    const accuse = (offence: number, bytes: Buffer) => {
      for (const id of sessions) runtime.sessions.fault(id, bytes, offence)
    }
    if (label === 1) accuse(OFFENCE.message, MALFORMED)
    if (label === 2) accuse(OFFENCE.credits, encode(KIND.CALL, 0, 0, 0, 0, null))
    if (label === 3) for (const id of sessions) runtime.tell(KIND.CREDIT, 1000, id, null)
    if (reply) env.sel4.reply(reply, label, body)
  }
}
function simulate(seed: number, sender: Main) {
  const root: Main = async (env) => {
    const endpoint = await env.root!.endpoint()
    const own = await env.root!.endpoint()
    const caps = { executive: { from: own } }
    const request = { birth: 'fresh', caps, arenaBytes: 0, config: {}, control: true } as const
    for (const image of ['receiver', 'sender']) {
      const child = await env.root!.spawn({ ...request, image })
      await env.libsel4.CNode_Copy(child.caps!.cnode, SLOT, DEPTH, seL4_CapInitThreadCNode, endpoint, DEPTH, RIGHTS.all)
    }
    for (;;) {
      const { reply, body } = await env.sel4.recv(own)
      if (reply && body === 'hello') env.sel4.reply(reply, 0, null)
    }
  }
  const described = manifestFrom(LAUNCH, () => ({ needs: { interfaces: ['ExecutiveServices'] } }))
  const sim = new Simulator({ seed, ...described, images: { executive: root, receiver, sender } })
  sim.boot()
  return sim
}
const outcome = (act: Promise<unknown>): Promise<string> =>
  act.then(
    () => 'worked',
    (error: Error) => error.message,
  )

describe('accusations', () => {
  for (const [label, what] of [
    [1, 'bytes of its own making'],
    [2, 'credits it says were overdrawn'],
  ] as const)
    it(`of an honest sender, with ${what}: the sender goes on through the kernel`, async () => {
      for (let seed = 1; seed <= 10; seed++) {
        const seen: unknown[] = []
        const sim = simulate(seed, async (env) => {
          await env.clock.sleep(20)
          seen.push(
            await outcome(env.sel4.call(SLOT, 0, 'hello')),
            (await runtimeOf(env).routes.openRoute(SLOT)).info?.address !== '',
          )
          await outcome(env.sel4.call(SLOT, label, 'accuse me'))
          await env.clock.sleep(20)
          seen.push(
            await outcome(env.sel4.call(SLOT, 0, 'still here')),
            (await runtimeOf(env).routes.openRoute(SLOT)).info?.address,
          )
        })
        await sim.run(200)
        expect(seen, `seed ${seed}`).to.deep.equal(['worked', true, 'worked', ''])
        expect(sim.kernel.processes.get('sender')?.alive).to.equal(true)
      }
    })
  it('of a babbler are true: its next malformed message meets the kernel', async () => {
    const sim = simulate(1, async (env) => {
      await env.clock.sleep(20)
      for (let i = 0; i < 2; i++) {
        await env.sel4.call(SLOT, 0, 'hello')
        const { session, link } = await runtimeOf(env).routes.openRoute(SLOT)
        const bad = Buffer.from(MALFORMED)
        bad[0] = KIND.CALL
        bad.writeUInt32LE(session, 8)
        link?.peer.send(bad)
        await env.clock.sleep(20)
      }
    })
    await sim.run(200)
    const [death] = sim.said('kernel', 'sender is ended')
    expect(death.fields).to.deep.include({ cause: 'fault', detail: 'malformed message to the kernel' })
  })
  it('by the root task are believed', async () => {
    const overdraw: Main = async (env) => {
      await env.sel4.call(env.caps.executive, 0, 'hello')
      const { session, link } = await runtimeOf(env).routes.openRoute(env.caps.executive)
      for (let i = 0; i < 100; i++) link?.peer.send(encode(KIND.CALL, 0, 0, session, i, null))
    }
    const sim = simulate(1, overdraw)
    await sim.run(100)
    const [death] = sim.said('kernel', 'sender is ended')
    expect(death.fields).to.deep.include({ cause: 'fault', detail: 'more messages than credits to executive' })
  })
  it('are none of who sends while its session is closed: what was under way is refused', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const outcomes = new Set<string>()
      const sim = simulate(seed, async (env) => {
        for (;;) {
          const calls = Array.from({ length: 60 }, () => outcome(env.sel4.call(env.caps.executive, 0, 'hello')))
          for (const each of await Promise.all(calls)) outcomes.add(each)
        }
      })
      await sim.run(20)
      const { sessions } = sim.kernel
      for (let closed = 0; closed < 40; closed++) {
        for (const session of [...sessions.all()]) void sessions.close(session, false)
        await sim.run(2)
      }
      expect(sim.said('kernel', 'sender is ended'), `seed ${seed}`).to.deep.equal([])
      expect([...outcomes].sort(), `seed ${seed}`).to.deep.equal(['seL4_InvalidCapability', 'worked'])
    }
  })
  it('of many messages along no session are believed of the root task only', async () => {
    for (const [slot, detail] of [
      ['executive', ['messages along no session to executive']],
      ['receiver', []],
    ] as const) {
      const sim = simulate(1, async (env) => {
        const cptr = slot === 'executive' ? env.caps.executive : SLOT
        await env.clock.sleep(20)
        await env.sel4.call(cptr, 0, 'hello')
        const { link } = await runtimeOf(env).routes.openRoute(cptr)
        for (let i = 0; i < 2000; i++) link?.peer.send(encode(KIND.CALL, 0, 0, 999, i, null))
      })
      await sim.run(200)
      const ends = sim.said('kernel', 'sender is ended').map(({ fields }) => (fields as { detail: string }).detail)
      expect(ends).to.deep.equal(detail)
      const refused = slot === 'receiver' ? sim.said('kernel', 'sender sends to receiver along no session').length : 1
      expect(refused, 'told once').to.equal(1)
    }
  })
  it('and credits it never had: on the slow path the sender is told no more than the kernel counted', async () => {
    for (let seed = 1; seed <= 10; seed++) {
      let sent = 0
      const sim = simulate(seed, async (env) => {
        await outcome(env.sel4.call(SLOT, 1, 'accuse me'))
        await env.clock.sleep(20)
        for (let round = 0; round < 10; round++) {
          const calls = Array.from({ length: 100 }, (_, i) => env.sel4.call(SLOT, i % 7 === 0 ? 3 : 0, i))
          for (const call of calls) if ((await outcome(call)) === 'worked') sent++
        }
      })
      await sim.run(2000)
      expect(sim.said('kernel', 'sender is ended'), `seed ${seed}`).to.deep.equal([])
      expect(sent).to.equal(1000)
    }
  })
})
