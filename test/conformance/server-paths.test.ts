/** Both paths under servers: sessions that come, move and go lose nothing, double nothing and let nothing overtake. */
import { RIGHTS } from '#contracts/sel4'
import { expect } from 'chai'
import { interpose, lift } from '../../kernel/interpose.ts'
import { nameIt, numbers, run, seeds, serve } from './paths-world.ts'

describe('sessions of a server on both paths', function () {
  this.timeout(120_000)
  const SERVED = 'served'
  it('come and go under load: every message once, in order', async () => {
    for (const seed of seeds(60))
      await run(seed, async (world) => {
        const { env, sim, wait } = world
        const taken: unknown[] = []
        const endpoint = await serve(world, (body) => taken.push(body))
        nameIt(sim, 'tester', SERVED, endpoint)
        const all: Promise<unknown>[] = []
        const load = (async () => {
          for (let i = 0; i < 120; i++) {
            all.push(i % 3 ? env.sel4.send(endpoint, 1, i) : env.sel4.call(endpoint, 1, i))
            if (i % 8 === 0) await wait(4)
          }
        })()
        for (let turn = 0; turn < 3; turn++) {
          await wait(10)
          await interpose(sim.kernel, {
            at: `tester.${SERVED}`,
            action: turn === 1 ? 'delay' : 'trace',
            rate: 0.5,
            ms: 5,
            seed,
          })
          await wait(10)
          await lift(sim.kernel, undefined)
        }
        await load
        await world.t.soon(Promise.all(all))
        while (taken.length < 120) await world.t.settle()
        expect(taken).to.deep.equal(numbers(0, 120))
      })
  })
  for (const slowpath of [false, true])
    it(`are left by a caller that is suspended when its capability is gone${slowpath ? ', slow path' : ''}`, async () => {
      for (const seed of seeds(20))
        await run(
          seed,
          async ({ t, env, sim, wait }) => {
            const endpoint = (await env.root?.endpoint()) as number
            const five = await t.mint(endpoint, 5)
            const taken = env.sel4.recv(endpoint)
            const caller = await t.start('paths: try to call', [five, 1], { away: true })
            const { reply } = await taken
            await t.delete(five)
            await wait(5)
            await t.soon(t.sel4.TCB_Suspend(caller))
            await t.settle()
            t.is(sim.kernel.processes.get('helper')?.alive, true)
            if (reply) env.sel4.reply(reply, 0, null)
            await t.sel4.TCB_Resume(caller)
            await t.settle()
            t.is(sim.kernel.processes.get('helper')?.alive, true)
          },
          slowpath,
        )
    })
  it('end with the right to receive: who calls hears that nobody serves', async () => {
    for (const seed of seeds(20))
      await run(seed, async ({ t, env, wait }) => {
        const endpoint = (await env.root?.endpoint()) as number
        const readable = await t.copy(endpoint, RIGHTS.read)
        let taken = 0
        void (async () => {
          for (;;) {
            const { reply } = await env.sel4.recv(readable)
            taken++
            if (reply) env.sel4.reply(reply, 0, null)
          }
        })()
        await env.sel4.call(endpoint, 1, null)
        const calls = numbers(0, 20).map((i) => env.sel4.call(endpoint, 1, i).catch((error: Error) => error.message))
        await wait(6)
        await t.delete(readable)
        await t.soon(Promise.all(calls))
        const before = taken
        t.is(await t.soon(env.sel4.call(endpoint, 1, 'too late').catch((error: Error) => error.message)), 'serverDied')
        t.is(taken, before, 'nothing is received any more')
      })
  })
})
