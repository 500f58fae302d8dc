/**
 * Both paths under threads and servers: what is plain passes the kernel by; what makes an endpoint or a session move loses
 * nothing, doubles nothing and lets nothing overtake. In the simulator, over seeds; the kernel's invariants behind each.
 */
import { RIGHTS } from '#contracts/sel4'
import { expect } from 'chai'
import { interpose, lift } from '../../kernel/interpose.ts'
import type { Environment } from '../../lib/sel4/api.ts'
import { Simulator } from '../../lib/sel4/sim.ts'
import { KIND, kindOf, labelOf, OP } from '../../lib/sel4/wire.ts'
import { expectCredits, expectInvariants } from '../support/invariants.ts'
import { scaled } from '../support/scale.ts'
import { described } from './simulated.ts'
import { chip } from './system.ts'
import { CASE_BITS, helper, OWN, THREAD, Tester } from './tester.ts'

const seeds = (count: number): number[] => Array.from({ length: scaled(count, 3) }, (_, i) => i + 1)
/** System calls of messages that were made in the kernel. */
const SYSTEM_CALLS = new Set<number>([OP.send, OP.receive, OP.reply])

interface World {
  readonly t: Tester
  readonly env: Environment
  readonly sim: Simulator
  /** Messages in the kernel since it was asked last. */
  inKernel(): number
  /** Virtual time, up to so many milliseconds, drawn from the seed. */
  wait(most: number): Promise<void>
}
async function run(seed: number, body: (world: World) => Promise<void>, slowpath = false): Promise<void> {
  let counted = 0
  const tap = (message: Buffer) => {
    if (kindOf(message) === KIND.INVOKE && SYSTEM_CALLS.has(labelOf(message))) counted++
  }
  let outcome: unknown = 'unfinished'
  const tester = async (env: Environment) => {
    for (const [name, main] of Tester.threads()) env.entry(name, main)
    const t = await Tester.prepared(env, CASE_BITS)
    const inKernel = () => {
      const now = counted
      counted = 0
      return now
    }
    const wait = (most: number) => env.clock.sleep((env.random.next() / 2 ** 32) * most)
    await body({ t, env, sim, inKernel, wait }).then(
      () => (outcome = undefined),
      (error) => (outcome = error),
    )
  }
  const sim = new Simulator({
    seed,
    ...described(slowpath),
    images: { tester, helper, chip },
    maxDelay: 3,
    tap,
  })
  sim.boot()
  await sim
    .runUntil(() => {
      expectCredits(sim)
      return outcome !== 'unfinished' || sim.ended !== undefined
    }, 60_000)
    .catch((error) => (outcome = error))
  if (outcome) throw new Error(`seed ${seed}: ${outcome instanceof Error ? outcome.stack : String(outcome)}`)
  await expectInvariants(sim, `seed ${seed}`)
}

/** What threads of the tester's own process saw, in the order in which they saw it. */
let seen: number[] = []
const COUNT = 30
THREAD('paths: send numbers', async (sel4, [endpoint, from, count, done]) => {
  for (let i = 0; i < count; i++) await sel4.Send(endpoint, { label: from + i })
  await sel4.Signal(done)
})
THREAD('paths: try to send', async (sel4, [endpoint, label]) => sel4.Send(endpoint, { label }).catch(() => {}))
THREAD(
  'paths: try to call',
  async (sel4, [endpoint, label]) => void (await sel4.Call(endpoint, { label }).catch(() => {})),
)
THREAD('paths: babble', async (sel4, [endpoint]) => {
  for (let i = 0; ; i++) {
    await sel4.NBSend(endpoint, { label: i })
    await sel4.Yield()
  }
})
THREAD('paths: take numbers', async (sel4, [endpoint, count]) => {
  for (let i = 0; i < count; i++) seen.push((await sel4.Recv(endpoint)).label)
})
THREAD('paths: double', async (sel4, [endpoint]) => {
  let { label } = await sel4.Recv(endpoint)
  for (;;) ({ label } = await sel4.ReplyRecv(endpoint, { label: 2 * label }))
})
THREAD('paths: call', async (sel4, [endpoint, from, count, done]) => {
  for (let i = 0; i < count; i++) {
    const { label } = await sel4.Call(endpoint, { label: from + i })
    if (label !== 2 * (from + i)) throw new Error(`${from + i} doubled is ${label}`)
  }
  await sel4.Signal(done)
})
const numbers = (from: number, count: number): number[] => Array.from({ length: count }, (_, i) => from + i)

describe('threads on both paths', function () {
  this.timeout(120_000)
  for (const [slowpath, away] of [
    [false, true],
    [false, false],
    [true, true],
  ])
    it(`plain calls ${slowpath ? 'meet in the kernel on the slow path' : 'pass it by'}${away ? ', between processes' : ''}`, () =>
      run(
        1,
        async ({ t, inKernel }) => {
          const endpoint = await t.endpoint()
          await t.start('paths: double', [endpoint], { away })
          for (let i = 0; i < 3; i++) await t.sel4.Call(endpoint, { label: i })
          inKernel()
          for (let i = 0; i < 50; i++) t.is((await t.sel4.Call(endpoint, { label: i })).label, 2 * i)
          const calls = inKernel()
          if (slowpath) expect(calls).to.be.at.least(150)
          else expect(calls).to.equal(0)
        },
        slowpath,
      ))

  for (const away of [false, true])
    it(`a second receiver comes while two senders send${away ? ' from another process' : ''}: every number once, in order`, async () => {
      for (const seed of seeds(60))
        await run(seed, async ({ t, wait }) => {
          seen = []
          const [endpoint, done] = [await t.endpoint(), await t.notification()]
          await t.start('paths: take numbers', [endpoint, COUNT])
          for (const from of [100, 200]) await t.start('paths: send numbers', [endpoint, from, COUNT, done], { away })
          await wait(60)
          await t.start('paths: take numbers', [endpoint, COUNT])
          await t.soon(t.sel4.Wait(done))
          while (seen.length < 2 * COUNT) await t.settle()
          for (const from of [100, 200])
            expect(seen.filter((one) => one >= from && one < from + COUNT)).to.deep.equal(numbers(from, COUNT))
        })
    })

  it('a fault, a capability to move, a bound notification take the endpoint back; it is lent again', async () => {
    for (const seed of seeds(40))
      await run(seed, async ({ t, wait, inKernel }) => {
        const [endpoint, done, gift] = [await t.endpoint(), await t.notification(), await t.notification()]
        const server = await t.start('paths: double', [endpoint], { away: true })
        await t.start('paths: call', [endpoint, 0, COUNT, done], { away: true })
        await wait(40)
        t.is((await t.sel4.Call(endpoint, { label: 5, caps: [gift] })).label, 10)
        await wait(20)
        const bell = await t.notification()
        await t.sel4.TCB_BindNotification(server, bell)
        await wait(10)
        await t.sel4.TCB_UnbindNotification(server)
        await t.soon(t.sel4.Wait(done))
        for (let i = 0; i < 10; i++) t.is((await t.sel4.Call(endpoint, { label: i })).label, 2 * i)
        inKernel()
        await t.sel4.Call(endpoint, { label: 1 })
        expect(inKernel(), 'lent again').to.equal(0)
      })
  })

  it('a caller is suspended and resumed, its server too: every call is answered once', async () => {
    for (const seed of seeds(60))
      await run(seed, async ({ t, wait }) => {
        const [endpoint, done] = [await t.endpoint(), await t.notification()]
        const server = await t.start('paths: double', [endpoint], { away: seed % 2 === 0 })
        const caller = await t.start('paths: call', [endpoint, 0, COUNT, done], { away: true })
        for (const thread of [caller, server, caller, server]) {
          await wait(20)
          await t.sel4.TCB_Suspend(thread)
          await wait(20)
          await t.sel4.TCB_Resume(thread)
        }
        // A server that was suspended after it had taken a call and before it answered has lost nothing.
        await t.soon(t.sel4.Wait(done))
      })
  })

  it('a thread that sends without waiting is silent once it is suspended', async () => {
    for (const seed of seeds(200))
      await run(seed, async ({ t, wait }) => {
        const endpoint = await t.endpoint()
        const sender = await t.start('paths: babble', [endpoint], { away: true })
        for (let i = 0; i < 3; i++) await t.soon(t.sel4.Recv(endpoint))
        await wait(10)
        await t.sel4.TCB_Suspend(sender)
        let heard = false
        const next = t.sel4.Recv(endpoint).then(() => (heard = true))
        await t.settle()
        t.is(heard, false, 'a suspended thread spoke')
        await t.sel4.TCB_Resume(sender)
        await t.soon(next)
        await t.sel4.TCB_Suspend(sender)
      })
  })

  it('what a suspended thread had under way arrives at nobody', async () => {
    for (const seed of seeds(40))
      await run(seed, async ({ t, wait }) => {
        const [endpoint, done] = [await t.endpoint(), await t.notification()]
        const warm = t.sel4.Recv(endpoint)
        await t.start('paths: send numbers', [endpoint, 0, 1, done], { away: true })
        await warm
        await t.soon(t.sel4.Wait(done))
        const sender = await t.start('paths: send numbers', [endpoint, 7, 1, done], { away: true })
        await wait(6)
        await t.sel4.TCB_Suspend(sender)
        t.is(await t.sel4.NBRecv(endpoint), undefined, 'withdrawn')
        await t.sel4.TCB_Resume(sender)
        t.is((await t.soon(t.sel4.Recv(endpoint))).label, 7)
      })
  })

  it('a saved reply becomes a capability, whichever way the call came', async () => {
    for (const seed of seeds(20))
      await run(seed, async ({ t }) => {
        const [endpoint, done] = [await t.endpoint(), await t.notification()]
        await t.start('paths: call', [endpoint, 3, 2, done], { away: true })
        for (const label of [3, 4]) {
          t.is((await t.sel4.Recv(endpoint)).label, label)
          const slot = t.slot()
          await t.sel4.CNode_SaveCaller(OWN, slot, 32)
          const second = t.slot()
          await t.sel4.CNode_SaveCaller(OWN, second, 32)
          await t.fails('seL4_FailedLookup', t.copy(second))
          await t.sel4.Reply({ label: 99 })
          await t.sel4.Send(slot, { label: 2 * label })
        }
        await t.soon(t.sel4.Wait(done))
      })
  })

  it('a saved reply goes with its caller: suspended, it calls again', async () => {
    for (const seed of seeds(20))
      await run(seed, async ({ t }) => {
        const [endpoint, done] = [await t.endpoint(), await t.notification()]
        const caller = await t.start('paths: call', [endpoint, 3, 1, done], { away: true })
        await t.sel4.Recv(endpoint)
        const slot = t.slot()
        await t.sel4.CNode_SaveCaller(OWN, slot, 32)
        await t.sel4.TCB_Suspend(caller)
        await t.fails('seL4_FailedLookup', t.sel4.Send(slot, { label: 99 }))
        await t.sel4.TCB_Resume(caller)
        t.is((await t.soon(t.sel4.Recv(endpoint))).label, 3)
        await t.sel4.Reply({ label: 6 })
        await t.soon(t.sel4.Wait(done))
      })
  })

  it('a badge is cancelled: its sends are made again, others stay', async () => {
    for (const seed of seeds(20))
      await run(seed, async ({ t }) => {
        const endpoint = await t.endpoint()
        const [five, six] = [await t.mint(endpoint, 5), await t.mint(endpoint, 6)]
        // The tester receives here first, so that the endpoint is lent to it.
        t.is(await t.sel4.NBRecv(endpoint), undefined)
        await t.start('paths: try to send', [five, 50], { away: true })
        await t.start('paths: try to send', [six, 60], { away: true })
        await t.settle()
        await t.delete(five)
        await t.sel4.CNode_CancelBadgedSends(OWN, await t.mint(endpoint, 5, RIGHTS.all), 32)
        t.is((await t.soon(t.sel4.Recv(endpoint))).badge, 6)
        t.is(await t.sel4.NBRecv(endpoint), undefined)
      })
  })

  it('the server process dies: its callers hear so, and the next server is found', async () => {
    for (const seed of seeds(40))
      await run(seed, async ({ t, env, sim, wait }) => {
        const endpoint = await t.endpoint()
        await t.start('paths: double', [endpoint], { away: true })
        const calls = numbers(0, 20).map((i) =>
          t.sel4.Call(endpoint, { label: i }).catch((error: Error) => error.message),
        )
        await wait(12)
        sim.kill('helper')
        await env.clock.sleep(50)
        await t.start('paths: double', [endpoint])
        for (const [i, answer] of (await t.soon(Promise.all(calls))).entries())
          if (answer !== 'serverDied') t.is((answer as { label: number }).label, 2 * i)
      })
  })
})

describe('interposing where threads receive', function () {
  this.timeout(60_000)
  /** Sends 1, 2, 3 … while a rule is in force, then ends it; what the tester heard. */
  async function hear({ t, sim }: World, action: string, count: number, expected: number): Promise<number[]> {
    seen = []
    const [endpoint, done] = [await t.endpoint(), await t.notification()]
    await t.start('paths: take numbers', [endpoint, expected])
    nameIt(sim, 'tester', 'met', endpoint)
    await interpose(sim.kernel, { at: 'met', action, ms: 30, seed: 5 })
    await t.start('paths: send numbers', [endpoint, 1, count, done], { away: true })
    await t.soon(t.sel4.Wait(done))
    await t.settle()
    return seen
  }
  it('delay, trace, drop and duplicate do there what they say', async () => {
    await run(1, async (world) => {
      const began = world.env.clock.now()
      expect(await hear(world, 'delay', 3, 3)).to.deep.equal([1, 2, 3])
      expect(world.env.clock.now() - began).to.be.at.least(90)
    })
    const cases: [number, string, number, (heard: number[]) => void][] = [
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

describe('sessions of a server on both paths', function () {
  this.timeout(120_000)
  const SERVED = 'served'
  async function serve({ env }: World, take: (body: unknown) => unknown): Promise<number> {
    const endpoint = await env.root?.endpoint()
    void (async () => {
      for (;;) {
        const { body, reply } = await env.sel4.recv(endpoint as number)
        const answer = take(body)
        if (reply) env.sel4.reply(reply, 0, answer)
      }
    })()
    return endpoint as number
  }
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
/** As the manifest would have named it. */
function nameIt(sim: Simulator, process: string, name: string, cptr: number): void {
  const found = sim.kernel.processes.get(process)
  if (found) found.names[name] = cptr
}
