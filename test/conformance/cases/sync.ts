/** The sync library: semaphores and monitors. */
import { BinarySemaphore, Monitor, Semaphore } from '../../../lib/sel4/sync.ts'
import { CASE, THREAD, type Tester } from '../tester.ts'

/** Shared by the threads of this process, as their memory is. */
const shared: {
  sem?: BinarySemaphore
  count?: Semaphore
  monitor?: Monitor
  inside: number
  most: number
  woken: number
} = { inside: 0, most: 0, woken: 0 }
async function crowd(t: Tester, entry: string): Promise<number> {
  Object.assign(shared, { inside: 0, most: 0, woken: 0 })
  const done = await t.endpoint()
  for (let i = 0; i < 5; i++) await t.start(entry, [done])
  return done
}
const inside = async (sel4: { Yield(): Promise<void> }) => {
  shared.most = Math.max(shared.most, ++shared.inside)
  await sel4.Yield()
  shared.inside--
}
THREAD('lock', async (sel4, [done]) => {
  for (let i = 0; i < 5; i++) {
    await shared.sem?.wait(sel4)
    await inside(sel4)
    await shared.sem?.post(sel4)
  }
  await sel4.Send(done, { label: 1 })
})
THREAD('count in', async (sel4, [done]) => {
  for (let i = 0; i < 5; i++) {
    await shared.count?.wait(sel4)
    await inside(sel4)
    await shared.count?.post(sel4)
  }
  await sel4.Send(done, { label: 1 })
})
THREAD('watch', async (sel4, [done]) => {
  const { monitor } = shared
  await monitor?.lock.wait(sel4)
  await monitor?.wait(sel4)
  shared.woken++
  await monitor?.lock.post(sel4)
  await sel4.Send(done, { label: 1 })
})
CASE('SYNC001', 'a binary semaphore lets one in', async (t) => {
  shared.sem = new BinarySemaphore(await t.notification())
  const done = await crowd(t, 'lock')
  for (let i = 0; i < 5; i++) await t.soon(t.sel4.Recv(done))
  t.is(shared.most, 1)
})
CASE('SYNC002', 'a semaphore of two lets two in', async (t) => {
  shared.count = new Semaphore(await t.endpoint(), 2)
  const done = await crowd(t, 'count in')
  for (let i = 0; i < 5; i++) await t.soon(t.sel4.Recv(done))
  t.is(shared.most, 2)
})
for (const [name, all] of [
  ['SYNC003', false],
  ['SYNC004', true],
] as const)
  CASE(name, all ? "a monitor's broadcast wakes everybody" : "a monitor's signal wakes one", async (t) => {
    const monitor = new Monitor(await t.notification(), await t.notification())
    shared.monitor = monitor
    const done = await crowd(t, 'watch')
    await t.settle()
    for (let woken = 0; woken < 5; woken += all ? 5 : 1) {
      t.is(shared.woken, woken)
      await monitor.lock.wait(t.sel4)
      await (all ? monitor.broadcast(t.sel4) : monitor.signal(t.sel4))
      await monitor.lock.post(t.sel4)
      for (let count = 0; count < (all ? 5 : 1); count++) await t.soon(t.sel4.Recv(done))
    }
    t.is(shared.woken, 5)
  })
