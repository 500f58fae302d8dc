/** Faults of memory, frames and tables, IO ports, IO spaces, threads, interrupts, timers, the sync library. */
import {
  RIGHTS,
  seL4_CapIOPortControl,
  seL4_CapIRQControl,
  seL4_CapInitThreadTCB,
  seL4_CapInitThreadVSpace,
} from '#contracts/sel4'
import { BinarySemaphore, Monitor, Semaphore } from '../../../lib/sel4/sync.ts'
import { CASE, content, DEPTH, OWN, THREAD, type Tester } from '../tester.ts'

const VADDR = 0x4000_0000
const SPACE = seL4_CapInitThreadVSpace
async function page(t: Tester, vaddr: number, rights: number = RIGHTS.all, vspace = SPACE): Promise<number> {
  const frame = await t.alloc('seL4_X86_4K')
  await t.sel4.X86_Page_Map(frame, vspace, vaddr, rights, 0)
  return frame
}
THREAD('read memory', async (sel4, [vaddr, report]) => {
  await sel4.Send(report, { label: (await sel4.load(vaddr, 1))[0] })
})
THREAD('write memory', async (sel4, [vaddr, report]) => {
  await sel4.store(vaddr, Uint8Array.of(9))
  await sel4.Send(report, { label: 9 })
})
for (const [name, entry, away] of [
  ['PAGEFAULT0001', 'read memory', false],
  ['PAGEFAULT0002', 'write memory', false],
  ['PAGEFAULT1001', 'read memory', true],
  ['PAGEFAULT1002', 'write memory', true],
] as const)
  CASE(name, `${entry}: the fault names the address; mapped by the handler, it goes on`, async (t) => {
    const vspace = away ? t.away : SPACE
    const [handler, report, write] = [await t.endpoint(), await t.endpoint(), entry === 'write memory']
    await t.tables(VADDR, vspace)
    const frame = await page(t, VADDR, RIGHTS.read, vspace)
    if (!write) await t.sel4.X86_Page_Unmap(frame)
    await t.start(entry, [VADDR + 5, report], { away, faultEp: await t.mint(handler, 3) })
    t.is(content(await t.soon(t.sel4.Recv(handler))), [3, 5, [entry, VADDR + 5, 0, write ? 2 : 0]])
    await t.sel4.X86_Page_Map(frame, vspace, VADDR, RIGHTS.all, 0)
    await t.sel4.Reply({ label: 0 })
    t.is((await t.soon(t.sel4.Recv(report))).label, write ? 9 : 0)
  })
CASE('FRAMEDIPC0001', 'an IPC buffer is in a RAM frame, not in a device frame', async (t) => {
  const device = await t.env.root?.deviceFrame(0xfebf1000, 4096)
  const tcb = await t.alloc('seL4_TCBObject')
  const configure = (frame: number) => t.sel4.TCB_Configure(tcb, 0, OWN, 0, SPACE, 0, VADDR, frame)
  await t.fails('seL4_IllegalOperation', configure(device ?? 0))
  await t.fails('seL4_IllegalOperation', configure(await t.endpoint()))
  await configure(await t.alloc('seL4_X86_4K'))
})
CASE('FRAMEDIPC0002', 'nor can it be moved to one', async (t) => {
  const device = await t.env.root?.deviceFrame(0xfebf1000, 4096)
  const [tcb, frame] = [await t.alloc('seL4_TCBObject'), await t.alloc('seL4_X86_4K')]
  await t.sel4.TCB_SetIPCBuffer(tcb, VADDR, frame)
  await t.fails('seL4_IllegalOperation', t.sel4.TCB_SetIPCBuffer(tcb, VADDR, device ?? 0))
  await t.fails('seL4_AlignmentError', t.sel4.TCB_SetIPCBuffer(tcb, VADDR + 8, frame))
})
CASE('FRAMEDIPC0003', 'deleting a frame capability unmaps the frame', async (t) => {
  const [handler, report] = [await t.endpoint(), await t.endpoint()]
  await t.tables(VADDR)
  const frame = await page(t, VADDR)
  await t.sel4.store(VADDR, Uint8Array.of(1))
  await t.copy(frame)
  await t.delete(frame)
  await t.start('read memory', [VADDR, report], { faultEp: handler })
  t.is((await t.soon(t.sel4.Recv(handler))).label, 5)
})
THREAD('work apart', async (sel4, [endpoint]) => {
  const failed = await sel4.Signal(0x1fff).then(
    () => 'ok',
    (error: Error) => error.message.split(':')[0],
  )
  await sel4.Send(endpoint, { label: 1, body: failed })
})
CASE('VSPACE0000', 'a thread in another CSpace and VSpace has what it was given', async (t) => {
  const [endpoint, node] = [await t.endpoint(), await t.alloc('seL4_CapTableObject', 4)]
  await t.sel4.CNode_Copy(node, 3, 4, OWN, endpoint, DEPTH, RIGHTS.write)
  await t.start('work apart', [3], { away: true, cspace: node, cspaceData: 28 })
  t.is(content(await t.soon(t.sel4.Recv(endpoint))), [0, 1, 'seL4_FailedLookup'])
})
CASE('VSPACE0001', 'unmapping a page after its tables are gone', async (t) => {
  const { pd, pt } = await t.tables(VADDR)
  const frame = await page(t, VADDR)
  await t.fails('seL4_DeleteFirst', page(t, VADDR))
  await t.fails('seL4_AlignmentError', page(t, VADDR + 4))
  await t.delete(pd)
  await t.sel4.X86_Page_Unmap(frame)
  await t.sel4.X86_PageTable_Unmap(pt)
  await t.fails('seL4_FailedLookup', t.sel4.X86_Page_Map(frame, SPACE, VADDR, RIGHTS.all, 0))
})
CASE('VSPACE0010', 'dirty and accessed bits', async (t) => {
  await t.tables(VADDR)
  await page(t, VADDR)
  const bits = () => t.sel4.X64_VSpace_GetStatusBits(SPACE, VADDR)
  t.is(await bits(), 0)
  await t.sel4.load(VADDR, 4)
  t.is(await bits(), 1)
  await t.sel4.store(VADDR, Uint8Array.of(1))
  t.is([await bits(), await bits()], [3, 0])
})
CASE('PT0002', 'an address used again shows the new page', async (t) => {
  await t.tables(VADDR)
  for (const value of [11, 22]) {
    const frame = await page(t, VADDR)
    t.is([...(await t.sel4.load(VADDR, 1))], [0])
    await t.sel4.store(VADDR, Uint8Array.of(value))
    await t.delete(frame)
  }
})

THREAD('bare in', async (sel4, [report]) => {
  await sel4.inb(0x300)
  await sel4.Send(report, { label: 1 })
})
CASE('IOPORTS1000', 'a port without a capability faults; with one it answers', async (t) => {
  const [handler, report, slot] = [await t.endpoint(), await t.endpoint(), t.slot()]
  await t.start('bare in', [report], { faultEp: handler, away: true })
  t.is(content(await t.soon(t.sel4.Recv(handler))), [0, 3, ['bare in', 13, 0x300]])
  await t.fails('seL4_FailedLookup', t.env.sel4.portIn(slot, 0x300, 1))
  await t.fails(
    'seL4_RangeError',
    t.sel4.X86_IOPortControl_Issue(seL4_CapIOPortControl, 0x2f0, 0x300, OWN, slot, DEPTH),
  )
  await t.sel4.X86_IOPortControl_Issue(seL4_CapIOPortControl, 0x300, 0x303, OWN, slot, DEPTH)
  t.is(await t.env.sel4.portIn(slot, 0x302, 1), 2)
  await t.fails('seL4_RangeError', t.env.sel4.portIn(slot, 0x304, 1))
  await t.delete(slot)
})

async function ioTables(t: Tester, address: number): Promise<number[]> {
  const tables: number[] = []
  for (let level = 0; level < 3; level++) {
    const table = await t.alloc('seL4_X86_IOPageTableObject')
    await t.sel4.X86_IOPageTable_Map(table, t.env.caps['iospace.chip'], address)
    tables.push(table)
  }
  return tables
}
async function ioFrame(
  t: Tester,
): Promise<{ frame: number; address: number; map: (cap?: number) => Promise<unknown> }> {
  const frame = await t.alloc('seL4_X86_4K')
  const address = (await t.sel4.X86_Page_GetAddress(frame)) as number
  return {
    frame,
    address,
    map: (cap = frame) => t.sel4.X86_Page_MapIO(cap, t.env.caps['iospace.chip'], RIGHTS.all, address),
  }
}
CASE('IOPT0001', 'map a frame for a device', async (t) => {
  const { address, map } = await ioFrame(t)
  await t.fails('seL4_FailedLookup', map())
  await ioTables(t, address)
  await map()
})
CASE('IOPT0002', 'map, unmap, map again', async (t) => {
  const { frame, address, map } = await ioFrame(t)
  await ioTables(t, address)
  for (let round = 0; round < 3; round++) {
    await map()
    await t.sel4.X86_Page_Unmap(frame)
  }
})
CASE('IOPT0004', 'no page over a page', async (t) => {
  const { frame, address, map } = await ioFrame(t)
  await ioTables(t, address)
  await map()
  await t.fails('seL4_InvalidCapability', map())
  await t.fails('seL4_DeleteFirst', map(await t.copy(frame)))
})
for (const [name, level] of [
  ['IOPT0008', 0],
  ['IOPT0011', 2],
] as const)
  CASE(name, `a table of level ${level} taken out takes its pages along; put back it serves again`, async (t) => {
    const { address, map } = await ioFrame(t)
    const tables = await ioTables(t, address)
    await map()
    await t.sel4.X86_IOPageTable_Unmap(tables[level])
    await t.fails('seL4_FailedLookup', map())
    await t.sel4.X86_IOPageTable_Map(tables[level], t.env.caps['iospace.chip'], address)
    await map()
  })
CASE('IOPT0009', 'no table over a table', async (t) => {
  const { address } = await ioFrame(t)
  const tables = await ioTables(t, address)
  await t.fails('seL4_InvalidCapability', t.sel4.X86_IOPageTable_Map(tables[0], t.env.caps['iospace.chip'], address))
  await t.fails('seL4_DeleteFirst', ioTables(t, address))
})

const configureNull = async (t: Tester) => {
  const tcb = await t.alloc('seL4_TCBObject')
  await t.fails('seL4_IllegalOperation', t.sel4.TCB_Configure(tcb, 0, 0, 0, SPACE, 0, 0, 0))
  await t.fails('seL4_IllegalOperation', t.sel4.TCB_SetSpace(tcb, 0, 0, 0, SPACE, 0))
  await t.fails('seL4_IllegalOperation', t.sel4.TCB_Resume(tcb))
}
CASE('THREADS0004', 'Configure with a null CSpace fails', configureNull)
CASE('THREADS0005', 'SetSpace with a null CSpace fails', configureNull)
THREAD('count', async (sel4, [report]) => {
  for (let i = 1; ; i++) {
    await sel4.NBSend(report, { label: i })
    await sel4.Yield()
  }
})
for (const [name, away] of [
  ['SCHED0000', false],
  ['SCHED0003', true],
] as const)
  CASE(name, 'suspended it stands still, resumed it goes on', async (t) => {
    const report = await t.endpoint()
    const tcb = await t.start('count', [report], { away })
    const before = (await t.soon(t.sel4.Recv(report))).label
    await t.sel4.TCB_Suspend(tcb)
    const silent = t.sel4.Recv(report)
    let heard = false
    void silent.then(() => (heard = true))
    await t.settle()
    await t.settle()
    t.is(heard, false, 'a suspended thread spoke')
    await t.sel4.TCB_Resume(tcb)
    t.is((await t.soon(silent)).label >= before, true)
  })
THREAD('resume itself', async (sel4, [tcb, report]) => {
  await sel4.TCB_Resume(tcb)
  await sel4.Send(report, { label: 1 })
})
CASE('SCHED0002', 'resuming oneself changes nothing', async (t) => {
  const report = await t.endpoint()
  await t.sel4.TCB_Resume(seL4_CapInitThreadTCB)
  const tcb = await t.start('resume itself', [0, report], { suspended: true })
  await t.sel4.TCB_WriteRegisters(tcb, 1, 'resume itself', [tcb, report])
  t.is((await t.soon(t.sel4.Recv(report))).label, 1)
})
CASE('SCHED0005', "priorities: at most the authority's", async (t) => {
  const tcb = await t.start('count', [await t.endpoint()], { suspended: true })
  const set = (authority: number, priority: number) => t.sel4.TCB_SetPriority(tcb, authority, priority)
  await set(seL4_CapInitThreadTCB, 100)
  await t.fails('seL4_RangeError', set(seL4_CapInitThreadTCB, 256))
  await t.fails('seL4_RangeError', set(tcb, 1))
  await t.sel4.TCB_SetMCPriority(tcb, seL4_CapInitThreadTCB, 50)
  await set(tcb, 50)
  await t.fails('seL4_RangeError', set(tcb, 51))
  await t.fails('seL4_InvalidCapability', set(OWN, 1))
})

interface Wired {
  readonly handler: number
  readonly notification: number
  raise(): Promise<void>
  lower(): Promise<void>
  end(): Promise<void>
}
async function wire(t: Tester, irq: number, line: number): Promise<Wired> {
  const [handler, port, notification] = [t.slot(), t.slot(), await t.notification()]
  await t.sel4.IRQControl_Get(seL4_CapIRQControl, irq, OWN, handler, DEPTH)
  await t.sel4.X86_IOPortControl_Issue(seL4_CapIOPortControl, 0x300, 0x307, OWN, port, DEPTH)
  await t.sel4.IRQHandler_SetNotification(handler, await t.mint(notification, 2))
  const out = async (which: number) => {
    await t.env.sel4.portOut(port, which, 1, line)
    await t.settle()
  }
  return {
    handler,
    notification,
    raise: () => out(0x300),
    lower: () => out(0x301),
    end: async () => void (await t.delete(handler), await t.delete(port)),
  }
}
CASE('INTERRUPT0006', 'a notification deleted and another set: interrupts wait for it', async (t) => {
  const { handler, notification, raise, end } = await wire(t, 6, 1)
  await raise()
  t.is(await t.sel4.Poll(notification), 2)
  await t.revoke(notification)
  await t.delete(notification)
  await raise()
  const next = await t.notification()
  await t.sel4.IRQHandler_SetNotification(handler, await t.mint(next, 4))
  t.is(await t.soon(t.sel4.Wait(next)), 4)
  await end()
})
CASE('INTERRUPT-ACK', 'a level line comes once until it is acknowledged, and again while asserted', async (t) => {
  const { handler, notification, raise, lower, end } = await wire(t, 5, 0)
  await raise()
  t.is([await t.sel4.Poll(notification), await t.sel4.Poll(notification)], [2, 0])
  await t.sel4.IRQHandler_Ack(handler)
  t.is(await t.sel4.Poll(notification), 2)
  await lower()
  await t.sel4.IRQHandler_Ack(handler)
  t.is(await t.sel4.Poll(notification), 0)
  await t.fails('seL4_RevokeFirst', t.sel4.IRQControl_Get(seL4_CapIRQControl, 5, OWN, t.slot(), DEPTH))
  await t.fails('seL4_RangeError', t.sel4.IRQControl_Get(seL4_CapIRQControl, 99, OWN, t.slot(), DEPTH))
  await end()
})
CASE('INTERRUPT-MSI', 'each message of a vector is one interrupt, no acknowledgement needed', async (t) => {
  const { notification, raise, end } = await wire(t, 24, 2)
  for (let round = 0; round < 3; round++) {
    await raise()
    t.is(await t.sel4.Poll(notification), 2)
  }
  await end()
})
CASE('INTERRUPT-TWO', 'two handlers, two notifications: neither hears the other', async (t) => {
  const level = await wire(t, 5, 0)
  const edge = await wire(t, 6, 1)
  await edge.raise()
  t.is([await t.sel4.Poll(level.notification), await t.sel4.Poll(edge.notification)], [0, 2])
  await t.sel4.IRQHandler_Clear(level.handler)
  await level.raise()
  t.is(await t.sel4.Poll(level.notification), 0)
  await level.lower()
  await level.end()
  await edge.end()
})
CASE('TIMER0001', 'time moves', async (t) => {
  const before = t.env.clock.now()
  await t.env.clock.sleep(5)
  t.is(t.env.clock.now() > before, true)
})
CASE('TIMER0002', 'timeouts arrive in order', async (t) => {
  const heard: number[] = []
  for (const after of [30, 10, 20]) t.env.clock.alarm(after, () => heard.push(after))
  await t.env.clock.sleep(60)
  t.is(heard, [10, 20, 30])
})

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
