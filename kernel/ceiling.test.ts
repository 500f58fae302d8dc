/** What the manifest says a process may have, it alone has and uses, whichever way a capability comes to it. */
import { RIGHTS, seL4_CapIOPortControl, seL4_CapIRQControl } from '#contracts/sel4'
import { DEPTH, OWN, type Tester } from '../test/conformance/tester.ts'
import { ioTables, means } from './semantics-support.ts'

describe('the ceiling', () => {
  /** The root task's port and interrupt, and the CNode of a process that may have neither. */
  async function hardware(t: Tester): Promise<{ port: number; irq: number; poor: number }> {
    const request = { image: 'helper', instance: 'poor', birth: 'fresh', caps: {}, arenaBytes: 0, config: {} } as const
    const born = await t.env.root?.spawn({ ...request, control: true })
    const [port, irq] = [t.slot(), t.slot()]
    await t.sel4.X86_IOPortControl_Issue(seL4_CapIOPortControl, 0x300, 0x303, OWN, port, DEPTH)
    await t.sel4.IRQControl_Get(seL4_CapIRQControl, 6, OWN, irq, DEPTH)
    return { port, irq, poor: born?.caps?.cnode ?? 0 }
  }
  const SLOT = 0x500
  means('holds whichever way a capability comes', async (t) => {
    const { port, irq, poor } = await hardware(t)
    const refused = (act: Promise<unknown>) => t.fails('seL4_IllegalOperation', act)
    const { sel4 } = t
    await refused(sel4.CNode_Copy(poor, SLOT, DEPTH, OWN, port, DEPTH, RIGHTS.all))
    await refused(sel4.CNode_Move(poor, SLOT, DEPTH, OWN, port, DEPTH))
    await refused(sel4.CNode_Mutate(poor, SLOT, DEPTH, OWN, irq, DEPTH, 0))
    await refused(sel4.CNode_Rotate(poor, SLOT, DEPTH, 0, OWN, port, DEPTH, 0, OWN, irq, DEPTH))
    await sel4.CNode_Copy(poor, SLOT, DEPTH, OWN, await t.alloc('seL4_X86_4K'), DEPTH, RIGHTS.all)
    await refused(sel4.CNode_Rotate(OWN, t.slot(), DEPTH, 0, poor, SLOT, DEPTH, 0, OWN, irq, DEPTH))
    await refused(sel4.X86_IOPortControl_Issue(seL4_CapIOPortControl, 0x304, 0x305, poor, SLOT + 1, DEPTH))
    await refused(sel4.IRQControl_Get(seL4_CapIRQControl, 5, poor, SLOT + 1, DEPTH))
    sel4.SetCapReceivePath(poor, SLOT + 1, DEPTH)
    const endpoint = await t.endpoint()
    t.env.entry('give', async (giver) => giver.Send(endpoint, { label: 1, caps: [port] }))
    await t.start('give', [])
    t.is((await t.soon(sel4.Recv(endpoint))).caps, 0, 'nor by a message')
    await sel4.IRQHandler_Ack(irq)
    t.is(await t.env.sel4.portIn(port, 0x301, 1), 1, 'nothing moved')
    await t.copy(t.env.caps['iospace.chip'])
  })
  means('holds in a CNode of nobody: what a process finds there it cannot use', async (t) => {
    const { irq, port } = await hardware(t)
    const frame = await t.alloc('seL4_X86_4K')
    const address = await ioTables(t, frame)
    const report = await t.endpoint()
    const iospace = t.env.caps['iospace.chip']
    await t.start('use', [irq, port, frame, iospace, address, report], { away: true })
    t.is((await t.soon(t.sel4.Recv(report))).body, Array(3).fill('seL4_IllegalOperation'))
  })
})
