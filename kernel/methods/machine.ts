/** Methods of pages and tables, interrupts, IO ports and IO spaces. */
import type { Sel4Arguments } from '#contracts/sel4'
import { Sel4Error } from '../../lib/sel4/api.ts'
import { ASK } from '../../lib/sel4/wire.ts'
import { makeCapability } from '../cspace.ts'
import type { DeviceFrame, Frame } from '../frame.ts'
import { IoSpace } from '../iospace.ts'
import type { Irq } from '../irq.ts'
import { VSpace } from '../vspace.ts'
import { at, type Call, emptySlot, type MethodTable, objectAt, place } from './call.ts'

function enterTable(call: Call, { vspace, vaddr }: Sel4Arguments<'X86_PageTable_Map'>): void {
  objectAt(call, vspace, VSpace).object.enter(call.cap, vaddr)
}
/** Unmapping what is not mapped is no error. */
async function unmap({ cap, kernel }: Call): Promise<void> {
  cap.unmap?.()
  await kernel.settled()
}
function put(
  call: Call,
  args: Sel4Arguments<'IRQControl_Get'>,
  make: () => Parameters<typeof makeCapability>[0],
  origin: string,
) {
  const slot = emptySlot(call, args.root, args.node_index, args.node_depth)
  place(call, slot, makeCapability(make(), { origin, parent: call.cap }))
}
const irqOf = ({ cap }: Call): Irq => cap.object as Irq

export const MACHINE_METHODS: MethodTable = {
  X86_PDPT_Map: enterTable,
  X86_PDPT_Unmap: unmap,
  X86_PageDirectory_Map: enterTable,
  X86_PageDirectory_Unmap: unmap,
  X86_PageTable_Map: enterTable,
  X86_PageTable_Unmap: unmap,
  X86_Page_Map: (call, { vspace, vaddr, rights }: Sel4Arguments<'X86_Page_Map'>) =>
    objectAt(call, vspace, VSpace).object.map(call.cap, vaddr, rights),
  X86_Page_Unmap: unmap,
  X86_Page_GetAddress: ({ cap }) => (cap.object as Frame | DeviceFrame).physicalAddress,
  X86_Page_MapIO: (call, { iospace, rights, ioaddr }: Sel4Arguments<'X86_Page_MapIO'>) =>
    objectAt(call, iospace, IoSpace).object.map(call.cap, ioaddr, rights),
  X86_IOPageTable_Map: (call, { iospace, ioaddr }: Sel4Arguments<'X86_IOPageTable_Map'>) =>
    objectAt(call, iospace, IoSpace).object.enter(call.cap, ioaddr),
  X86_IOPageTable_Unmap: unmap,
  async X64_VSpace_GetStatusBits({ cap }, { vaddr }: Sel4Arguments<'X64_VSpace_GetStatusBits'>) {
    const { process } = cap.object as VSpace
    const bits = await process?.ask(ASK.statusBits, vaddr)
    if (typeof bits !== 'number') throw new Sel4Error('seL4_RangeError', 'no page is there')
    return bits
  },
  IRQControl_Get(call, args: Sel4Arguments<'IRQControl_Get'>) {
    const irq = call.kernel.machine.irqHandler(args.irq)
    if (irq.references) throw new Sel4Error('seL4_RevokeFirst', `IRQ ${args.irq} has a handler`)
    put(call, args, () => irq, 'IRQControl_Get')
  },
  IRQHandler_Ack: (call) => irqOf(call).acknowledge(),
  IRQHandler_SetNotification: (call, { notification }: Sel4Arguments<'IRQHandler_SetNotification'>) =>
    void irqOf(call).bind(at(call, notification)),
  IRQHandler_Clear: (call) => irqOf(call).unbind(),
  X86_IOPortControl_Issue(call, args: Sel4Arguments<'X86_IOPortControl_Issue'>) {
    const { first_port, last_port } = args
    const taken = [...call.kernel.machine.ioPorts].some(({ first, last }) => first <= last_port && first_port <= last)
    if (taken && first_port <= last_port) throw new Sel4Error('seL4_RevokeFirst', 'somebody has some of these ports')
    put(call, { irq: 0, ...args }, () => call.kernel.machine.ioPort(first_port, last_port), 'IOPortControl_Issue')
  },
}
