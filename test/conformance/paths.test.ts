/**
 * Both paths under threads: what is plain passes the kernel by; what makes an endpoint move loses nothing, doubles nothing and
 * lets nothing overtake.
 */
import { RIGHTS } from '#contracts/sel4'
import { expect } from 'chai'
import { COUNT, forget, numbers, run, seeds, whatWasSeen } from './paths-world.ts'
import { OWN } from './tester.ts'

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
          forget()
          const [endpoint, done] = [await t.endpoint(), await t.notification()]
          await t.start('paths: take numbers', [endpoint, COUNT])
          for (const from of [100, 200]) await t.start('paths: send numbers', [endpoint, from, COUNT, done], { away })
          await wait(60)
          await t.start('paths: take numbers', [endpoint, COUNT])
          await t.soon(t.sel4.Wait(done))
          while (whatWasSeen().length < 2 * COUNT) await t.settle()
          for (const from of [100, 200])
            expect(whatWasSeen().filter((one) => one >= from && one < from + COUNT)).to.deep.equal(numbers(from, COUNT))
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
        forget()
        for (const i of numbers(0, 20)) await t.start('paths: call a mortal', [endpoint, i])
        await wait(12)
        sim.kill('helper')
        await env.clock.sleep(50)
        await t.start('paths: double', [endpoint])
        await t.settle()
        t.is(whatWasSeen().length, 20, 'calls that are over')
      })
  })
})
