/** Untyped_Retype: every object that is not the machine's is made here. */
import { OBJECT_TYPE, type Sel4Arguments, sizeBitsOf } from '#contracts/sel4'
import { Sel4Error } from '../../lib/sel4/api.ts'
import { CNode, type KernelObject, makeCapability, type Slot, slotAt } from '../cspace.ts'
import { Endpoint } from '../endpoint.ts'
import { Frame } from '../frame.ts'
import { IoPageTable } from '../iospace.ts'
import type { Kernel } from '../kernel.ts'
import { Tcb } from '../tcb.ts'
import { type MemoryRegion, Untyped } from '../untyped.ts'
import { PagingStructure, VSpace } from '../vspace.ts'
import { at, type Call, type MethodTable } from './call.ts'

/** Objects of one call. [seL4 manual] CONFIG_RETYPE_FAN_OUT_LIMIT */
const FAN_OUT_LIMIT = 256

type Maker = (kernel: Kernel, region: MemoryRegion, size_bits: number, name: string) => KernelObject
const MAKERS: Readonly<Record<number, Maker>> = {
  [OBJECT_TYPE.seL4_UntypedObject]: (kernel, region) => new Untyped(kernel.id(), region.untyped.bank, region),
  [OBJECT_TYPE.seL4_TCBObject]: (kernel, region, _bits, name) => new Tcb(kernel.id(), name, region),
  [OBJECT_TYPE.seL4_EndpointObject]: (kernel, region) => new Endpoint(kernel.id(), '', region),
  [OBJECT_TYPE.seL4_NotificationObject]: (kernel, region) => kernel.machine.notification(region),
  [OBJECT_TYPE.seL4_CapTableObject]: (kernel, region, bits) => new CNode(kernel.id(), bits, { region, firstFree: 0 }),
  [OBJECT_TYPE.seL4_X64_PML4Object]: (kernel, region) => new VSpace(kernel.id(), kernel.waits, region),
  [OBJECT_TYPE.seL4_X86_PDPTObject]: (kernel, region) => new PagingStructure(kernel.id(), 0, region),
  [OBJECT_TYPE.seL4_X86_PageDirectoryObject]: (kernel, region) => new PagingStructure(kernel.id(), 1, region),
  [OBJECT_TYPE.seL4_X86_PageTableObject]: (kernel, region) => new PagingStructure(kernel.id(), 2, region),
  [OBJECT_TYPE.seL4_X86_4K]: (kernel, region) => new Frame(kernel.id(), region),
  [OBJECT_TYPE.seL4_X86_LargePageObject]: (kernel, region) => new Frame(kernel.id(), region),
  [OBJECT_TYPE.seL4_X86_IOPageTableObject]: (kernel, region) => new IoPageTable(kernel.id(), region),
}

function window(call: Call, args: Sel4Arguments<'Untyped_Retype'>): Slot[] {
  const { root, node_index, node_depth, node_offset, num_objects } = args
  if (num_objects < 1 || num_objects > FAN_OUT_LIMIT)
    throw new Sel4Error('seL4_RangeError', `1 to ${FAN_OUT_LIMIT} objects, not ${num_objects}`)
  const node = nodeAt(call, root, node_index, node_depth)
  if (node_offset + num_objects > 2 ** node.radix)
    throw new Sel4Error('seL4_RangeError', `${2 ** node.radix} slots, ${num_objects} wanted from ${node_offset} on`)
  const slots = Array.from({ length: num_objects }, (_, count) => ({ node, index: node_offset + count }))
  const taken = slots.find(({ index }) => node.at(index))
  if (taken) throw new Sel4Error('seL4_DeleteFirst', `slot ${taken.index}`)
  if (node.room < num_objects) throw new Sel4Error('seL4_NotEnoughMemory', `capabilities: room for ${node.room} more`)
  return slots
}
/** Depth 0: the root itself. */
function nodeAt(call: Call, root: number, index: number, depth: number): CNode {
  const top = at(call, root)
  const slot = depth === 0 ? undefined : slotAt(top, index, depth)
  const found = slot ? slot.node.at(slot.index) : top
  if (found?.object instanceof CNode) return found.object
  throw new Sel4Error('seL4_FailedLookup', 'no CNode for what is to be made')
}
function sizeOf({ type, size_bits }: Sel4Arguments<'Untyped_Retype'>): number {
  const bits = sizeBitsOf(type, size_bits)
  if (typeof bits === 'string') throw new Sel4Error(bits, `size ${size_bits}`)
  return bits
}
function retype(call: Call, args: Sel4Arguments<'Untyped_Retype'>): void {
  const { kernel, cap, thread } = call
  const untyped = cap.object as Untyped
  const maker = MAKERS[args.type]
  if (!maker) throw new Sel4Error('seL4_InvalidArgument', `no object type ${args.type}`)
  const bits = sizeOf(args)
  const slots = window(call, args)
  // Differs from seL4: when the copy is gone and what was made through it is not, the rest is free; there it is lost.
  if ([...cap.children].some(({ object }) => object === untyped))
    throw new Sel4Error('seL4_NotEnoughMemory', 'a copy has it: nothing is made through the original meanwhile')
  if (!cap.children.size) untyped.reset()
  const room = untyped.take(slots.length * 2 ** bits, 2 ** bits)
  for (const [count, { node, index }] of slots.entries()) {
    const region = untyped.part(room, count * 2 ** bits, 2 ** bits)
    const object = maker(kernel, region, args.size_bits, thread.name)
    if (object instanceof Frame) kernel.machine.zero(object)
    node.put(index, makeCapability(object, { origin: `retyped by ${thread.name}`, parent: cap }))
  }
  untyped.give(room, true)
}
export const UNTYPED_METHODS: MethodTable = { Untyped_Retype: retype }
