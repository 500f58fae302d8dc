/** IO ports and IO spaces. */
import { RIGHTS, seL4_CapIOPortControl } from '#contracts/sel4'
import { CASE, content, DEPTH, OWN, THREAD, type Tester } from '../tester.ts'

THREAD('bare in', async (sel4, [report]) => {
  await sel4.inb(0x300)
  await sel4.Send(report, { label: 1 })
})
CASE('IOPORTS1000', 'a port without a capability faults; with one it answers', async (t) => {
  const [handler, report, slot] = [await t.endpoint(), await t.endpoint(), t.slot()]
  await t.start('bare in', [report], { faultEp: handler, away: true })
  t.is(content(await t.soon(t.sel4.Recv(handler))), [0, 3, ['bare in', 13, 0x300]])
  await t.fails('seL4_FailedLookup', t.env.sel4.portIn(slot, 0x300, 1))
  const issue = (first: number, last: number, to = slot) =>
    t.sel4.X86_IOPortControl_Issue(seL4_CapIOPortControl, first, last, OWN, to, DEPTH)
  await t.fails('seL4_RangeError', issue(0x2f0, 0x300))
  await issue(0x300, 0x303)
  await t.fails('seL4_InvalidArgument', issue(0x303, 0x300, t.slot()))
  await t.fails('seL4_RevokeFirst', issue(0x303, 0x304, t.slot()))
  t.is(await t.env.sel4.portIn(slot, 0x302, 1), 2)
  await t.fails('seL4_IllegalOperation', t.env.sel4.portIn(slot, 0x304, 1))
  await t.fails('seL4_IllegalOperation', t.env.sel4.portIn(slot, 0x303, 2))
  await t.delete(slot)
  await issue(0x303, 0x304)
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
