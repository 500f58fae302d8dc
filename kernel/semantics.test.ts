/** seL4's semantics where they are easily missed, each in a small system. */
import { cnodeData, FAULT, OBJECT_TYPE, RIGHTS, seL4_CapInitThreadVSpace as SPACE } from '#contracts/sel4'
import type { Runtime } from '../lib/sel4/runtime.ts'
import { ASK, encode, KIND, MESSAGE_MAX, OP } from '../lib/sel4/wire.ts'
import { DEPTH, OWN, type Tester } from '../test/conformance/tester.ts'
import { ioTables, means } from './semantics-support.ts'

const thread = async (t: Tester): Promise<number> => {
  const tcb = await t.alloc('seL4_TCBObject')
  await t.sel4.TCB_Configure(tcb, 0, OWN, 0, 3, 0, 0, 0)
  return tcb
}

describe('semantics', () => {
  means('a badged capability is not minted again, not even with the same badge', async (t) => {
    const badged = await t.mint(await t.endpoint(), 7)
    for (const badge of [0, 7, 8]) await t.fails('seL4_IllegalOperation', t.mint(badged, badge))
    await t.copy(badged)
  })
  means('a badged or badgeable capability is moved, not mutated or rotated', async (t) => {
    const [one, two, node] = [await t.endpoint(), await t.notification(), await t.alloc('seL4_CapTableObject', 2)]
    await t.fails('seL4_IllegalOperation', t.sel4.CNode_Mutate(OWN, t.slot(), DEPTH, OWN, one, DEPTH, 0))
    const rotate = (pivot: number, from: number) =>
      t.sel4.CNode_Rotate(OWN, t.slot(), DEPTH, 0, OWN, pivot, DEPTH, 0, OWN, from, DEPTH)
    await t.fails('seL4_IllegalOperation', rotate(two, node))
    await t.fails('seL4_IllegalOperation', rotate(node, one))
    for (const cap of [one, two, node]) await t.copy(cap)
  })
  means('a guard leaves room for the index, and minting with none takes it off', async (t) => {
    const [node, guarded, bare] = [await t.alloc('seL4_CapTableObject', 4), t.slot(), t.slot()]
    const mint = (from: number, to: number, data: number) =>
      t.sel4.CNode_Mint(OWN, to, DEPTH, OWN, from, DEPTH, RIGHTS.all, data)
    await t.fails('seL4_IllegalOperation', mint(node, guarded, cnodeData(0, 29)))
    await mint(node, guarded, cnodeData(0b11, 2))
    await mint(guarded, bare, 0)
    await t.sel4.CNode_Copy(guarded, 0b110001, 6, OWN, node, DEPTH, RIGHTS.all)
    await t.sel4.CNode_Copy(bare, 0b0010, 4, OWN, node, DEPTH, RIGHTS.all)
    await t.fails('seL4_IllegalOperation', t.sel4.TCB_Configure(await thread(t), 0, node, 30, 3, 0, 0, 0))
  })
  means('a paging structure has one capability', async (t) => {
    for (const type of ['seL4_X86_PDPTObject', 'seL4_X86_PageDirectoryObject', 'seL4_X86_PageTableObject'] as const)
      await t.fails('seL4_IllegalOperation', t.copy(await t.alloc(type)))
  })
  means('a copy of untyped memory has it as long as it is there', async (t) => {
    const pool = await t.alloc('seL4_UntypedObject', 12)
    const copy = await t.copy(pool)
    await t.fails('seL4_NotEnoughMemory', t.alloc('seL4_EndpointObject', 0, pool))
    const made = await t.alloc('seL4_EndpointObject', 0, copy)
    await t.fails('seL4_RevokeFirst', t.copy(copy))
    await t.delete(copy)
    await t.alloc('seL4_EndpointObject', 0, pool)
    await t.revoke(pool)
    await t.fails('seL4_FailedLookup', t.copy(made))
  })
  means('nothing happens to an empty slot', async (t) => {
    const empty = t.slot()
    await t.revoke(empty)
    await t.fails('seL4_IllegalOperation', t.sel4.CNode_CancelBadgedSends(OWN, empty, DEPTH))
    await t.sel4.CNode_SaveCaller(OWN, empty, DEPTH)
    await t.fails('seL4_FailedLookup', t.copy(empty))
  })
  means('sends are cancelled by who has every right', async (t) => {
    const most = await t.copy(await t.endpoint(), RIGHTS.all & ~RIGHTS.grantReply)
    await t.fails('seL4_IllegalOperation', t.sel4.CNode_CancelBadgedSends(OWN, most, DEPTH))
  })
  means('a thread waits for one thing at a time, whatever its process says', async (t) => {
    const [here, there, bell] = [await t.endpoint(), await t.endpoint(), await t.notification()]
    const runtime = t.env.sel4 as Runtime
    const send = (to: number) => runtime.invoke(OP.send, [1, null, [], 1], 0, to)
    const receive = (from: number, flags: number) => runtime.invoke(OP.receive, [flags, null], 0, from)
    const waiting = t.fails('restart', send(here))
    for (const to of [here, there]) await t.fails('seL4_IllegalOperation', send(to))
    for (const flags of [0, 1]) await t.fails('seL4_IllegalOperation', receive(here, flags))
    await t.fails('seL4_IllegalOperation', receive(bell, 1))
    await t.sel4.Signal(bell)
    t.is((await t.sel4.Poll(bell)) > 0, true)
    await t.delete(here)
    await waiting
  })
  means('what a process says of its waits that go on in the kernel is held to the same', async (t) => {
    const endpoint = await t.endpoint()
    const runtime = t.env.sel4 as Runtime
    const came: string[] = []
    const wait = () => {
      const reject = ({ message }: Error) => void came.push(message.split(':')[0])
      return [runtime.expect({ resolve: () => came.push('ok'), reject }), 0, null]
    }
    runtime.whenAsked(ASK.recall, () => [wait(), wait()])
    await runtime.invoke(OP.receive, [1, null], 0, endpoint)
    await t.fails('seL4_IllegalOperation', runtime.invoke(OP.send, [1, null, [endpoint], 1], 0, endpoint))
    await t.delete(endpoint)
    await t.settle()
    t.is(came, ['seL4_IllegalOperation', 'restart'])
  })
  means('a message that its receiver could not take in is refused, at whatever length it was sent', async (t) => {
    const [endpoint, runtime, latin] = [await t.endpoint(), t.env.sel4 as Runtime, new Uint8Array(300_000).fill(0xff)]
    const message = (body: Uint8Array) => [1, body, [], 0]
    const most = MESSAGE_MAX - encode(KIND.INVOKE, 0, OP.send, 0, 0, message(latin)).length + latin.length
    await t.fails('seL4_RangeError', runtime.invoke(OP.send, message(new Uint8Array(most)), 0, endpoint))
    // As text, three bytes of each by the time the kernel has read it.
    const text = new Promise((resolve, reject) => {
      const sent = encode(KIND.INVOKE, 0, OP.send, endpoint, runtime.expect({ resolve, reject }), message(latin))
      sent[sent.indexOf(latin) - 5] = 0xdb
      runtime.transport.gate(sent)
    })
    await t.fails('seL4_RangeError', text)
    await runtime.invoke(OP.send, message(new Uint8Array(most - 1024)), 0, endpoint)
  })
  means('a notification is bound by who may receive from it, while nobody waits for it', async (t) => {
    const [tcb, bell] = [await thread(t), await t.notification()]
    await t.fails('seL4_IllegalOperation', t.sel4.TCB_BindNotification(tcb, await t.copy(bell, RIGHTS.write)))
    const waiting = t.sel4.Wait(bell)
    await t.settle()
    await t.fails('seL4_IllegalOperation', t.sel4.TCB_BindNotification(tcb, bell))
    await t.sel4.Signal(bell)
    await waiting
  })
  means('a thread that is configured again has what it is configured with', async (t) => {
    const [tcb, done] = [await thread(t), await t.notification()]
    t.env.entry('signal', async (sel4) => sel4.Signal(done))
    await t.sel4.TCB_Configure(tcb, 0, OWN, 0, 3, 0, 0, 0)
    await t.sel4.TCB_WriteRegisters(tcb, 1, 'signal', [])
    await t.soon(t.sel4.Wait(done), 'the signal')
  })
  means('a session goes with the CSpace it was opened through', async (t) => {
    const [tcb, to] = [await t.alloc('seL4_TCBObject'), await t.endpoint()]
    await t.sel4.TCB_Configure(tcb, 0, OWN, 0, t.away, 0, 0, 0)
    await t.sel4.TCB_WriteRegisters(tcb, 1, 'send away', [to])
    for (let times = 0; times < 8; times++) await t.soon(t.sel4.Recv(to))
    await t.sel4.TCB_Suspend(tcb)
    await t.sel4.TCB_Configure(tcb, 0, OWN, 0, t.away, 0, 0, 0)
  })
  means('a refused configuration leaves nothing behind', async (t) => {
    await t.fails('seL4_IllegalOperation', t.sel4.TCB_Configure(1, 0, OWN, 0, 3, 0, 0, 0))
    await t.fails('seL4_FailedLookup', t.sel4.TCB_Configure(await thread(t), 0, OWN, 0, 3, 0, 1024, t.slot()))
  })
  means('a thread whose VSpace is gone is of no process', async (t) => {
    const [tcb, space] = [await t.alloc('seL4_TCBObject'), await t.copy(3)]
    await t.sel4.TCB_Configure(tcb, 0, OWN, 0, space, 0, 0, 0)
    const made = await t.alloc('seL4_X64_PML4Object')
    await t.sel4.TCB_Configure(tcb, 0, OWN, 0, made, 0, 0, 0)
    await t.revoke(made)
    await t.delete(made)
    await t.fails('seL4_IllegalOperation', t.sel4.TCB_Resume(tcb))
  })
  means('who calls what does not answer goes on at once', async (t) => {
    const bell = await t.notification()
    const { badge, label, body, answerable } = await t.soon(t.sel4.Call(bell, { label: 4 }), 'the call')
    t.is([badge, label, body, answerable], [0, 0, null, false])
    t.is(await t.sel4.Poll(bell), 1)
  })
  for (const [what, stop] of [
    ['a suspended thread sends nothing more', (t: Tester, tcb: number) => t.sel4.TCB_Suspend(tcb)],
    [
      'a thread that begins anew sends nothing more of what it did before',
      (t: Tester, tcb: number) => t.sel4.TCB_WriteRegisters(tcb, 1, 'sleep', []),
    ],
  ] as const)
    means(`${what}, though its request was on its way`, async (t) => {
      const [tcb, to] = [await thread(t), await t.endpoint()]
      t.env.entry('send', async (sel4) => {
        for (let label = 1; ; label++) await sel4.Send(to, { label })
      })
      let received = 0
      for (let round = 0; round < 40; round++) {
        await t.sel4.TCB_WriteRegisters(tcb, 1, 'send', [])
        for (let times = round % 5; times > 0; times--) received += (await t.soon(t.sel4.Recv(to))).label ? 1 : 0
        await stop(t, tcb)
        await t.settle()
        t.is((await t.sel4.NBRecv(to)) === undefined, true, `round ${round}: silence`)
      }
      t.is(received > 10, true)
    })

  means('who looks whether it was signalled keeps its caller, wherever that came to it', async (t) => {
    const [to, bell, report] = [await t.endpoint(), await t.notification(), await t.endpoint()]
    t.env.entry('call', async (sel4) => sel4.Send(report, { label: (await sel4.Call(to, { label: 3 })).label }))
    const first = t.sel4.Recv(to)
    await t.settle()
    await t.start('call', [])
    t.is((await t.soon(first)).label, 3)
    t.is(await t.sel4.Poll(bell), 0)
    await t.sel4.Reply({ label: 4 })
    t.is((await t.soon(t.sel4.Recv(report))).label, 4)
  })

  means('who has a caller answers it, though what it received through is gone', async (t) => {
    const [to, report] = [await t.endpoint(), await t.endpoint()]
    const through = await t.copy(to)
    t.env.entry('call', async (sel4) => sel4.Send(report, { label: (await sel4.Call(to, { label: 3 })).label }))
    const first = t.sel4.Recv(through)
    await t.settle()
    await t.start('call', [])
    t.is((await t.soon(first)).label, 3)
    await t.delete(through)
    await t.sel4.Reply({ label: 4, caps: [report] })
    t.is((await t.soon(t.sel4.Recv(report))).label, 4)
  })

  // ------------------------------------------------------------ what is mapped

  means('a page is mapped once, and says where it is', async (t) => {
    const [vaddr, other, iospace] = [0x4000_0000, 0x4000_1000, t.env.caps['iospace.chip']]
    const frame = await t.alloc('seL4_X86_4K')
    const away = await t.alloc('seL4_X64_PML4Object')
    const map = (cap: number, space: number, at: number) => t.sel4.X86_Page_Map(cap, space, at, RIGHTS.all, 0)
    await t.tables(vaddr)
    await map(frame, SPACE, vaddr)
    await t.fails('seL4_InvalidArgument', map(frame, SPACE, other))
    await t.fails('seL4_InvalidCapability', map(frame, away, vaddr))
    const copy = await t.copy(frame)
    const address = await ioTables(t, copy)
    await t.sel4.X86_Page_MapIO(copy, iospace, RIGHTS.all, address)
    await t.fails('seL4_IllegalOperation', map(copy, SPACE, other))
  })
  means('a page is seen with no more than the right to read it', async (t) => {
    const vaddr = 0x4000_0000
    await t.tables(vaddr)
    const [frame, handler] = [await t.alloc('seL4_X86_4K'), await t.endpoint()]
    const blind = await t.copy(frame, RIGHTS.write)
    t.env.entry('look', async (sel4) => void (await sel4.load(vaddr, 1)))
    for (const [cap, rights] of [
      [blind, RIGHTS.all],
      [frame, RIGHTS.write],
    ]) {
      await t.sel4.X86_Page_Map(cap, SPACE, vaddr, rights, 0)
      await t.start('look', [], { faultEp: handler })
      t.is((await t.soon(t.sel4.Recv(handler))).label, FAULT.seL4_Fault_VMFault)
      await t.sel4.X86_Page_Unmap(cap)
    }
    await t.sel4.X86_Page_Map(frame, SPACE, vaddr, RIGHTS.all, 0)
    await t.sel4.load(vaddr, 1)
    await t.sel4.X86_Page_Map(frame, SPACE, vaddr, 0, 0)
    await t.start('look', [], { faultEp: handler })
    t.is((await t.soon(t.sel4.Recv(handler))).label, FAULT.seL4_Fault_VMFault)
  })
  means('a device reaches small pages, with a right that is there', async (t) => {
    const iospace = t.env.caps['iospace.chip']
    const small = await t.alloc('seL4_X86_4K')
    const address = await ioTables(t, small)
    const mapIO = (cap: number, rights: number) => t.sel4.X86_Page_MapIO(cap, iospace, rights, address)
    await t.fails('seL4_InvalidArgument', mapIO(small, RIGHTS.grant))
    await t.fails('seL4_InvalidArgument', mapIO(await t.copy(small, RIGHTS.grant), RIGHTS.all))
    await t.fails('seL4_InvalidArgument', mapIO(await t.copy(small, RIGHTS.read), RIGHTS.write))
    const bank = t.env.caps['untyped.test']
    const large = t.slot()
    await t.sel4.Untyped_Retype(bank, OBJECT_TYPE.seL4_X86_LargePageObject, 0, OWN, 0, 0, large, 1)
    const there = await ioTables(t, large)
    await t.fails('seL4_InvalidCapability', t.sel4.X86_Page_MapIO(large, iospace, RIGHTS.all, there))
  })

  // ------------------------------------------------------------ faults

  means('a capability that does not go along, for it is not there, is a fault', async (t) => {
    const [handler, to, extra] = [await t.endpoint(), await t.endpoint(), t.slot()]
    t.env.entry('send along', async (sel4) => sel4.Send(to, { label: 3, caps: [to, extra] }))
    await t.start('send along', [], { faultEp: handler })
    const fault = await t.soon(t.sel4.Recv(handler))
    t.is([fault.label, ...(fault.body as unknown[])], [FAULT.seL4_Fault_CapFault, 'send along', extra, 0, 2, 0])
    await t.sel4.CNode_Copy(OWN, extra, DEPTH, OWN, to, DEPTH, RIGHTS.all)
    await t.sel4.Reply({ label: 0 })
    t.is((await t.soon(t.sel4.Recv(to))).caps, 2)
  })
  means('what takes no messages refuses them; nothing is looked for in vain', async (t) => {
    const [handler, report, frame] = [await t.endpoint(), await t.endpoint(), await t.alloc('seL4_X86_4K')]
    t.env.entry('send to a frame', async (sel4) => {
      await sel4.Call(frame, { label: 3 }).catch((error: Error) => sel4.Send(report, { label: 1, body: error.message }))
    })
    await t.start('send to a frame', [], { faultEp: handler })
    t.is(String((await t.soon(t.sel4.Recv(report))).body).split(':')[0], 'seL4_InvalidCapability')
  })
  means('to wait for a notification that another thread is bound to is a fault', async (t) => {
    const [handler, bell] = [await t.endpoint(), await t.notification()]
    await t.sel4.TCB_BindNotification(1, bell)
    t.env.entry('wait', async (sel4) => void (await sel4.Wait(bell)))
    await t.start('wait', [], { faultEp: handler })
    const fault = await t.soon(t.sel4.Recv(handler))
    t.is([fault.label, ...(fault.body as unknown[])], [FAULT.seL4_Fault_CapFault, 'wait', bell, 1, 2, 0])
    await t.sel4.TCB_UnbindNotification(1)
  })
  means('any answer to a fault of memory or of a capability lets its thread try again', async (t) => {
    const [handler, empty] = [await t.endpoint(), t.slot()]
    t.env.entry('look', async (sel4) => void (await sel4.load(0x4000_0000, 1)))
    t.env.entry('receive', async (sel4) => void (await sel4.Recv(empty)))
    for (const entry of ['look', 'receive']) {
      const tcb = await t.start(entry, [], { faultEp: handler })
      for (const label of [0, 7, 0]) {
        t.is(((await t.soon(t.sel4.Recv(handler))).body as unknown[])[0], entry)
        await t.sel4.Reply({ label })
      }
      await t.sel4.TCB_Suspend(tcb)
    }
  })
  means('a thread that faulted without a handler faults again when it is resumed', async (t) => {
    const [handler, vaddr] = [await t.endpoint(), 0x4000_0000]
    t.env.entry('look', async (sel4) => void (await sel4.load(vaddr, 1)))
    const tcb = await t.start('look', [])
    await t.settle()
    await t.sel4.TCB_Configure(tcb, handler, OWN, 0, SPACE, 0, 0, 0)
    await t.sel4.TCB_Resume(tcb)
    t.is((await t.soon(t.sel4.Recv(handler))).label, FAULT.seL4_Fault_VMFault)
  })
  means(
    'an access that faulted is made again when its thread is resumed, and finds what is there by then',
    async (t) => {
      const [vaddr, report, frame] = [0x4000_0000, await t.endpoint(), await t.alloc('seL4_X86_4K')]
      await t.tables(vaddr)
      t.env.entry('look', async (sel4) => sel4.Send(report, { label: (await sel4.load(vaddr, 1))[0] + 5 }))
      const tcb = await t.start('look', [])
      await t.settle()
      await t.sel4.X86_Page_Map(frame, SPACE, vaddr, RIGHTS.all, 0)
      await t.sel4.TCB_Resume(tcb)
      t.is((await t.soon(t.sel4.Recv(report))).label, 5)
    },
  )
})
