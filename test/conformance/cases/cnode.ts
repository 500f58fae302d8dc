/** CNode operations, CSpace lookup, cancelled sends, retype, revoke. */
import { cnodeData, OBJECT_TYPE, RIGHTS } from '#contracts/sel4'
import { CASE, content, DEPTH, OWN, outcome, THREAD, type Tester } from '../tester.ts'

const DEAD_SLOT = 0x7ff0
/** The errors every method that fills a slot has: destination full, source empty, source not to be found. */
async function slotErrors(
  t: Tester,
  act: (to: number, from: number, depth?: number) => Promise<unknown>,
): Promise<void> {
  const [one, two] = [await t.alloc('seL4_TCBObject'), await t.alloc('seL4_TCBObject')]
  await t.fails('seL4_DeleteFirst', act(two, one))
  await t.fails('seL4_FailedLookup', act(DEAD_SLOT, DEAD_SLOT + 1))
  await t.fails('seL4_FailedLookup', act(DEAD_SLOT, one, 7))
  await t.fails('seL4_RangeError', act(DEAD_SLOT, one, 33))
}
CASE('TRIVIAL0000', 'the harness runs', async (t) => t.is(1 + 1, 2))
for (const name of ['TRIVIAL0001', 'TRIVIAL0002'])
  CASE(name, 'the allocator makes objects of every kind, and again', async (t) => {
    for (const type of ['seL4_EndpointObject', 'seL4_TCBObject', 'seL4_X86_4K', 'seL4_NotificationObject'] as const)
      t.is((await t.alloc(type)) > 0, true)
  })

CASE('CNODEOP0001', 'Copy', async (t) => {
  const from = await t.endpoint()
  await t.sel4.CNode_Copy(OWN, t.slot(), DEPTH, OWN, from, DEPTH, RIGHTS.all)
  await slotErrors(t, (to, source, depth = DEPTH) => t.sel4.CNode_Copy(OWN, to, DEPTH, OWN, source, depth, RIGHTS.all))
  await t.fails('seL4_InvalidCapability', t.sel4.CNode_Copy(from, t.slot(), DEPTH, OWN, from, DEPTH, RIGHTS.all))
})
CASE('CNODEOP0002', 'Delete, also of an empty slot', async (t) => {
  const cap = await t.endpoint()
  await t.delete(cap)
  await t.fails('seL4_FailedLookup', t.copy(cap))
  await t.delete(cap)
  await t.fails('seL4_RangeError', t.sel4.CNode_Delete(OWN, cap, 0))
})
CASE('CNODEOP0003', 'Mint: rights fall, the badge is given once', async (t) => {
  const from = await t.endpoint()
  const badged = await t.mint(from, 7, RIGHTS.write)
  await t.fails('seL4_IllegalOperation', t.mint(badged, 8))
  await t.fails('seL4_IllegalOperation', t.mint(badged, 7))
  await t.fails('seL4_FailedLookup', t.soon(t.sel4.Recv(badged)))
  await slotErrors(t, (to, source, depth = DEPTH) =>
    t.sel4.CNode_Mint(OWN, to, DEPTH, OWN, source, depth, RIGHTS.all, 0),
  )
})
CASE('CNODEOP0004', 'Move', async (t) => {
  const [from, to] = [await t.endpoint(), t.slot()]
  await t.sel4.CNode_Move(OWN, to, DEPTH, OWN, from, DEPTH)
  await t.fails('seL4_FailedLookup', t.copy(from))
  await t.copy(to)
  await slotErrors(t, (dest, source, depth = DEPTH) => t.sel4.CNode_Move(OWN, dest, DEPTH, OWN, source, depth))
})
CASE('CNODEOP0005', 'Mutate: moves, sets a guard, gives no badge', async (t) => {
  const [from, to] = [await t.alloc('seL4_TCBObject'), t.slot()]
  const endpoint = await t.endpoint()
  await t.fails('seL4_IllegalOperation', t.sel4.CNode_Mutate(OWN, to, DEPTH, OWN, endpoint, DEPTH, 5))
  await t.sel4.CNode_Mutate(OWN, to, DEPTH, OWN, from, DEPTH, 0)
  await t.fails('seL4_FailedLookup', t.copy(from))
  const [node, guarded] = [await t.alloc('seL4_CapTableObject', 4), t.slot()]
  await t.sel4.CNode_Mutate(OWN, guarded, DEPTH, OWN, node, DEPTH, cnodeData(0b11, 2))
  await t.sel4.CNode_Copy(guarded, 0b110001, 6, OWN, to, DEPTH, RIGHTS.all)
  await slotErrors(t, (dest, source, depth = DEPTH) => t.sel4.CNode_Mutate(OWN, dest, DEPTH, OWN, source, depth, 0))
})
CASE('CNODEOP0006', 'CancelBadgedSends needs an endpoint with all rights', async (t) => {
  const cap = await t.endpoint()
  await t.sel4.CNode_CancelBadgedSends(OWN, cap, DEPTH)
  await t.fails('seL4_IllegalOperation', t.sel4.CNode_CancelBadgedSends(OWN, await t.copy(cap, RIGHTS.write), DEPTH))
  await t.fails('seL4_IllegalOperation', t.sel4.CNode_CancelBadgedSends(OWN, DEAD_SLOT, DEPTH))
})
CASE('CNODEOP0007', 'Revoke leaves the capability and takes all derived ones', async (t) => {
  const original = await t.endpoint()
  const badged = await t.mint(original, 3)
  const [copy, sibling] = [await t.copy(badged), await t.copy(original)]
  await t.revoke(badged)
  t.is(await Promise.all([copy, badged, sibling].map((cap) => outcome(t.copy(cap)))), ['seL4_FailedLookup', 'ok', 'ok'])
  await t.revoke(original)
  t.is(await Promise.all([badged, sibling, original].map((cap) => outcome(t.copy(cap)))), [
    'seL4_FailedLookup',
    'seL4_FailedLookup',
    'ok',
  ])
  await t.revoke(DEAD_SLOT)
})
CASE('CNODEOP0008', 'Rotate', async (t) => {
  const [source, pivot] = [await t.alloc('seL4_TCBObject'), await t.alloc('seL4_X86_4K')]
  const rotate = (to: number, over: number, from: number) =>
    t.sel4.CNode_Rotate(OWN, to, DEPTH, 0, OWN, over, DEPTH, 0, OWN, from, DEPTH)
  const frames = (caps: number[]) => Promise.all(caps.map((cap) => outcome(t.sel4.X86_Page_GetAddress(cap))))
  const to = t.slot()
  await rotate(to, pivot, source)
  t.is(await frames([source, pivot, to]), ['seL4_FailedLookup', 'seL4_InvalidCapability', 'ok'])
  await rotate(pivot, to, pivot)
  t.is(await frames([pivot, to]), ['ok', 'seL4_InvalidCapability'])
  await t.fails('seL4_IllegalOperation', rotate(to, to, pivot))
  await t.fails('seL4_IllegalOperation', rotate(t.slot(), to, to))
  await t.fails('seL4_DeleteFirst', rotate(await t.endpoint(), to, pivot))
  await t.fails('seL4_FailedLookup', rotate(t.slot(), DEAD_SLOT, pivot))
})
THREAD('call once', async (sel4, [endpoint, report, label]) => {
  const answer = await sel4.Call(endpoint, { label })
  await sel4.Send(report, { label: answer.label, body: answer.body })
})
CASE('CNODEOP0009', 'SaveCaller: a reply that waits in a slot, works once', async (t) => {
  const [endpoint, report, slot] = [await t.endpoint(), await t.endpoint(), t.slot()]
  await t.sel4.CNode_SaveCaller(OWN, slot, DEPTH)
  await t.fails('seL4_FailedLookup', t.copy(slot))
  await t.start('call once', [endpoint, report, 4])
  t.is(content(await t.sel4.Recv(endpoint)), [0, 4, null])
  await t.fails('seL4_DeleteFirst', t.sel4.CNode_SaveCaller(OWN, report, DEPTH))
  await t.sel4.CNode_SaveCaller(OWN, slot, DEPTH)
  await t.fails('seL4_IllegalOperation', t.copy(slot))
  await t.sel4.Send(slot, { label: 9, body: ['late'] })
  t.is(content(await t.sel4.Recv(report)), [0, 9, ['late']])
  await t.fails('seL4_FailedLookup', t.sel4.Send(slot, { label: 9 }))
})

THREAD('signal through', async (sel4, [cptr, done]) => {
  const message = await sel4.Send(cptr, { label: 1 }).then(
    () => 'sent',
    (error: Error) => error.message,
  )
  await sel4.Send(done, { label: 2, body: message })
})
CASE('CSPACE0001', 'guarded lookup through three levels; each failure with its fields', async (t) => {
  const [target, done, faults] = [await t.endpoint(), await t.endpoint(), await t.endpoint()]
  const [top, middle, bottom] = await Promise.all([
    t.alloc('seL4_CapTableObject', 4),
    t.alloc('seL4_CapTableObject', 4),
    t.alloc('seL4_CapTableObject', 4),
  ])
  const guarded = (cap: number, into: number, index: number, guard: number, bits: number) =>
    t.sel4.CNode_Mint(into, index, 4, OWN, cap, DEPTH, RIGHTS.all, cnodeData(guard, bits))
  await guarded(bottom, middle, 5, 0b101, 3)
  await guarded(middle, top, 9, 0, 0)
  await t.sel4.CNode_Copy(top, 1, 4, OWN, done, DEPTH, RIGHTS.all)
  await t.sel4.CNode_Copy(top, 2, 4, OWN, faults, DEPTH, RIGHTS.all)
  await t.sel4.CNode_Copy(bottom, 3, 4, OWN, target, DEPTH, RIGHTS.all)
  // 17 bits of guard, then 4 · 4 · 3 + 4 bits: an address is as long as the word.
  const address = (a: number, b: number, guard: number, c: number) => ((a * 16 + b) * 8 + guard) * 16 + c
  const low = 2 ** 11
  const run = (cptr: number) =>
    t.start('signal through', [cptr, 1 * low], { cspace: top, cspaceData: cnodeData(0, 17), faultEp: 2 * low })
  await run(address(9, 5, 0b101, 3))
  t.is((await t.sel4.Recv(target)).label, 1)
  t.is(content(await t.sel4.Recv(done)), [0, 2, 'sent'])
  const failure = async (cptr: number) => {
    const tcb = await run(cptr)
    const fault = await t.sel4.Recv(faults)
    await t.delete(tcb)
    return [fault.label, ...(fault.body as unknown[]).slice(1)]
  }
  const wrong = (cptr: number, fields: number[]) => [1, cptr, 0, ...fields]
  for (const [cptr, fields] of [
    [address(8, 0, 0, 0), [2, 11]],
    [address(9, 6, 0, 0), [2, 7]],
    [address(9, 5, 0b111, 3), [4, 7, 0b101, 3]],
    [address(9, 5, 0b101, 4), [2, 0]],
    [2 ** 20, [4, 32, 0, 17]],
  ] as const)
    t.is(await failure(cptr), wrong(cptr, [...fields]))
})

THREAD('send forever', async (sel4, [endpoint, done]) => {
  for (;;) {
    const sent = await sel4.Send(endpoint, { label: 1 }).catch(() => 'refused')
    if (sent === 'refused') return void (await sel4.Signal(done))
  }
})
for (const [name, doc, deletesFirst] of [
  ['CANCEL_BADGED_SENDS_0001', 'the sends of one badge and no others', false],
  ['CANCEL_BADGED_SENDS_0002', 'also when the capabilities are deleted meanwhile', true],
] as const)
  CASE(name, doc, async (t) => {
    const endpoint = await t.endpoint()
    const masters = await Promise.all([1, 2, 3, 4].map((badge) => t.mint(endpoint, badge)))
    const dones: number[] = []
    for (const master of masters) {
      const [done, sender] = [await t.notification(), await t.copy(master)]
      dones.push(done)
      await t.start('send forever', [sender, done], { away: dones.length % 2 === 0 })
    }
    await t.settle()
    if (deletesFirst) await t.revoke(masters[1])
    await t.sel4.CNode_CancelBadgedSends(OWN, masters[1], DEPTH)
    if (!deletesFirst) await t.revoke(masters[1])
    if (!deletesFirst) await t.sel4.CNode_CancelBadgedSends(OWN, masters[1], DEPTH)
    await t.soon(t.sel4.Wait(dones[1]), 'the cancelled sender')
    const badges = new Set<number>()
    for (let count = 0; count < 12; count++) badges.add((await t.sel4.Recv(endpoint)).badge)
    t.is([...badges].sort(), [1, 3, 4])
    t.is(await Promise.all([0, 2, 3].map((index) => t.sel4.Poll(dones[index]))), [0, 0, 0])
  })

CASE('RETYPE0000', 'every object in a slot of its own, none twice; what is wrong is said', async (t) => {
  const retype = (type: number, bits: number, node: number, offset: number, count: number) =>
    t.sel4.Untyped_Retype(t.untyped, type, bits, node, 0, 0, offset, count)
  const node = await t.alloc('seL4_CapTableObject', 4)
  const { seL4_EndpointObject: endpoint, seL4_CapTableObject: table, seL4_UntypedObject: untyped } = OBJECT_TYPE
  await retype(endpoint, 0, node, 0, 16)
  await t.fails('seL4_DeleteFirst', retype(endpoint, 0, node, 15, 1))
  await t.fails('seL4_RangeError', retype(endpoint, 0, node, 8, 9))
  await t.fails('seL4_RangeError', retype(endpoint, 0, node, 0, 0))
  await t.fails('seL4_InvalidArgument', retype(untyped, 3, node, 0, 1))
  await t.fails('seL4_InvalidArgument', retype(table, 0, node, 0, 1))
  for (const type of [untyped, table]) await t.fails('seL4_RangeError', retype(type, 64, node, 0, 1))
  await t.fails('seL4_InvalidArgument', retype(99, 0, node, 0, 1))
  await t.fails('seL4_FailedLookup', t.sel4.Untyped_Retype(t.untyped, endpoint, 0, OWN, DEAD_SLOT, DEPTH, 0, 1))
})
CASE('RETYPE0001', 'sizes, alignment and exhaustion: what fits, fits exactly', async (t) => {
  const pool = await t.alloc('seL4_UntypedObject', 16)
  const base = await t.alloc('seL4_X86_4K', 0, pool)
  await t.alloc('seL4_EndpointObject', 0, pool)
  const next = await t.alloc('seL4_X86_4K', 0, pool)
  const [first, second] = [
    (await t.sel4.X86_Page_GetAddress(base)) as number,
    (await t.sel4.X86_Page_GetAddress(next)) as number,
  ]
  t.is([first % 65536, second - first], [0, 8192])
  for (let left = 13; left > 0; left--) await t.alloc('seL4_X86_4K', 0, pool)
  await t.fails('seL4_NotEnoughMemory', t.alloc('seL4_X86_4K', 0, pool))
})
CASE('RETYPE0002', 'revoke resets the untyped; memory comes back clean', async (t) => {
  const pool = await t.alloc('seL4_UntypedObject', 13)
  const vaddr = 0x4000_0000
  await t.tables(vaddr)
  const frame = await t.alloc('seL4_X86_4K', 0, pool)
  await t.sel4.X86_Page_Map(frame, 3, vaddr, RIGHTS.all, 0)
  await t.sel4.store(vaddr, Uint8Array.of(7))
  await t.alloc('seL4_X86_4K', 0, pool)
  await t.fails('seL4_NotEnoughMemory', t.alloc('seL4_EndpointObject', 0, pool))
  await t.fails('seL4_RevokeFirst', t.copy(pool))
  await t.revoke(pool)
  const again = await t.alloc('seL4_X86_4K', 0, pool)
  await t.sel4.X86_Page_Map(again, 3, vaddr, RIGHTS.all, 0)
  t.is([...(await t.sel4.load(vaddr, 1))], [0])
})
CASE('PREEMPT_REVOKE', 'a long revoke lets others in and still ends complete', async (t) => {
  const original = await t.endpoint()
  const node = await t.alloc('seL4_CapTableObject', 11)
  const badged = await t.mint(original, 1)
  const making: Promise<unknown>[] = []
  for (let index = 0; index < 2000; index++)
    making.push(t.sel4.CNode_Copy(node, index, 11, OWN, badged, DEPTH, RIGHTS.all))
  await Promise.all(making)
  let served = 0
  let over = false
  const others = (async () => {
    for (; !over; served++) await t.sel4.Yield()
  })()
  await t.revoke(original)
  over = true
  await others
  t.is(served > 3, true, 'others served')
  for (const index of [0, 777, 1999])
    await t.fails('seL4_FailedLookup', t.sel4.CNode_Copy(OWN, t.slot(), DEPTH, node, index, 11, RIGHTS.all))
})
