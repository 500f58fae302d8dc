/** Faults of memory, frames, tables and address spaces. */
import { RIGHTS, seL4_CapInitThreadVSpace } from '#contracts/sel4'
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
  const large = await t.alloc('seL4_X86_LargePageObject')
  const spread = (vaddr = VADDR) => t.sel4.X86_Page_Map(large, SPACE, vaddr, RIGHTS.all, 0)
  await t.sel4.X86_Page_Unmap(frame)
  await t.fails('seL4_DeleteFirst', spread())
  await t.sel4.X86_PageTable_Unmap(pt)
  await t.fails('seL4_InvalidArgument', spread(2 ** 47))
  await spread()
  await t.fails('seL4_DeleteFirst', t.sel4.X86_PageTable_Map(pt, SPACE, VADDR, 0))
  await t.sel4.X86_Page_Unmap(large)
  await t.sel4.X86_PageTable_Map(pt, SPACE, VADDR, 0)
  await t.sel4.X86_Page_Map(frame, SPACE, VADDR, RIGHTS.all, 0)
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
  await t.fails('seL4_RangeError', t.sel4.X64_VSpace_GetStatusBits(SPACE, VADDR + 2 ** 21))
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
