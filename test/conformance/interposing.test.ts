/** What interposition does, where threads receive and where servers do: what each action says, and nobody is blamed for it. */
import { expect } from 'chai'
import { interpose, lift } from '../../kernel/interpose.ts'
import { forget, nameIt, numbers, run, serve, whatWasSeen, type World } from './paths-world.ts'

describe('interposing where threads receive', function () {
  this.timeout(60_000)
  /** Sends 1, 2, 3 … while a rule is in force, then ends it; what the tester heard. */
  async function hear({ t, sim }: World, action: string, count: number, expected: number): Promise<readonly number[]> {
    forget()
    const [endpoint, done] = [await t.endpoint(), await t.notification()]
    await t.start('paths: take numbers', [endpoint, expected])
    nameIt(sim, 'tester', 'met', endpoint)
    await interpose(sim.kernel, { at: 'met', action, ms: 30, seed: 5 })
    await t.start('paths: send numbers', [endpoint, 1, count, done], { away: true })
    await t.soon(t.sel4.Wait(done))
    await t.settle()
    return whatWasSeen()
  }
  it('delay, trace, drop and duplicate do there what they say', async () => {
    await run(1, async (world) => {
      const began = world.env.clock.now()
      expect(await hear(world, 'delay', 3, 3)).to.deep.equal([1, 2, 3])
      expect(world.env.clock.now() - began).to.be.at.least(90)
    })
    const cases: [number, string, number, (heard: readonly number[]) => void][] = [
      [2, 'trace', 3, (heard) => expect(heard).to.deep.equal([1, 2, 3])],
      [3, 'drop', 3, (heard) => expect(heard).to.deep.equal([])],
      [4, 'corrupt', 3, (heard) => expect(heard).not.to.deep.equal([1, 2, 3])],
      [5, 'duplicate', 6, (heard) => expect(heard.length).to.be.at.least(3)],
    ]
    for (const [seed, action, most, expected] of cases)
      await run(seed, async (world) => expected(await hear(world, action, 3, most)))
  })
  it('a call that was dropped is answered when that ends; a caller that is suspended meanwhile calls again', async () => {
    await run(6, async ({ t, sim }) => {
      const endpoint = await t.endpoint()
      await t.start('paths: double', [endpoint], { away: true })
      nameIt(sim, 'tester', 'met', endpoint)
      await interpose(sim.kernel, { at: 'tester.met', action: 'drop' })
      const call = t.sel4.Call(endpoint, { label: 4 }).catch((error: Error) => error.message)
      await t.settle()
      await lift(sim.kernel, undefined)
      t.is(await t.soon(call), 'serverDied')
      t.is((await t.sel4.Call(endpoint, { label: 4 })).label, 8)
    })
    await run(7, async ({ t, sim }) => {
      const [endpoint, done] = [await t.endpoint(), await t.notification()]
      await t.start('paths: double', [endpoint], { away: true })
      nameIt(sim, 'tester', 'met', endpoint)
      await interpose(sim.kernel, { at: 'met', action: 'delay', ms: 200 })
      const caller = await t.start('paths: call', [endpoint, 3, 1, done])
      await t.settle()
      await t.sel4.TCB_Suspend(caller)
      await t.sel4.TCB_Resume(caller)
      await lift(sim.kernel, undefined)
      await t.soon(t.sel4.Wait(done))
    })
  })
})

describe('interposing where a server receives', function () {
  this.timeout(60_000)
  const SERVED = 'served'
  const through = (
    seed: number,
    action: string,
    rate: number,
    act: (world: World, endpoint: number, taken: unknown[]) => Promise<void>,
  ) =>
    run(seed, async (world) => {
      const taken: unknown[] = []
      const endpoint = await serve(world, (body) => {
        taken.push(body)
        return body
      })
      nameIt(world.sim, 'tester', SERVED, endpoint)
      await world.env.sel4.call(endpoint, 1, 'before')
      taken.length = 0
      await interpose(world.sim.kernel, { at: SERVED, action, rate, ms: 30, seed })
      await act(world, endpoint, taken)
      expect(await lift(world.sim.kernel, undefined)).to.have.lengthOf(1)
      await world.env.sel4.call(endpoint, 1, 'after')
      expect(taken[taken.length - 1]).to.equal('after')
    })
  it('delay holds a message so long', () =>
    through(1, 'delay', 1, async ({ env }, endpoint) => {
      const began = env.clock.now()
      await env.sel4.call(endpoint, 1, 1)
      // Four messages of at most 3 ms each, and the opening of the session.
      expect(env.clock.now() - began).to.be.within(30, 60)
    }))
  it('drop loses sends for good, and calls until the interposition ends', () =>
    through(1, 'drop', 1, async ({ env, sim, t }, endpoint, taken) => {
      for (let i = 0; i < 100; i++)
        await t.soon(env.sel4.send(endpoint, 1, i), 'a send that was dropped gives its credit back')
      const call = env.sel4.call(endpoint, 1, 'lost').catch((error: Error) => error.message)
      await env.clock.sleep(100)
      expect(taken).to.deep.equal([])
      await lift(sim.kernel, undefined)
      expect(await call).to.equal('serverDied')
      await interpose(sim.kernel, { at: SERVED, action: 'trace' })
    }))
  it('duplicate brings a message twice; its caller has one answer', () =>
    through(1, 'duplicate', 1, async ({ env }, endpoint, taken) => {
      expect((await env.sel4.call(endpoint, 1, 'x')).body).to.equal('x')
      await env.clock.sleep(20)
      expect(taken).to.deep.equal(['x', 'x'])
    }))
  it('reorder lets the next one pass; the same seed does the same', async () => {
    const orders: string[] = []
    for (let turn = 0; turn < 2; turn++)
      await through(9, 'reorder', 0.5, async ({ env, t }, endpoint, taken) => {
        await t.soon(Promise.all(numbers(0, 40).map((i) => env.sel4.call(endpoint, 1, i))))
        expect([...(taken as number[])].sort((a, b) => a - b)).to.deep.equal(numbers(0, 40))
        orders.push(taken.join(' '))
      })
    expect(orders[0]).to.equal(orders[1])
    expect(orders[0]).not.to.equal(numbers(0, 40).join(' '))
  })
  it('corrupt changes what arrives, blames nobody, and leaves no caller waiting', () =>
    through(3, 'corrupt', 1, async ({ env, sim, t }, endpoint, taken) => {
      const calls = numbers(0, 50).map((i) =>
        env.sel4.call(endpoint, 1, ['a text', i]).catch((error: Error) => error.message),
      )
      const answers = await t.soon(Promise.all(calls))
      expect(answers.filter((answer) => answer === 'seL4_TruncatedMessage').length).to.be.greaterThan(0)
      for (const body of taken) expect(body).not.to.deep.equal(['a text', 0])
      expect(sim.kernel.processes.get('tester')?.alive).to.equal(true)
    }))
})
