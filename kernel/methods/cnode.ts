/** Methods of a CNode capability: they name slots below it by index and depth. */
import type { Sel4Arguments } from '#contracts/sel4'
import { Sel4Error } from '../../lib/sel4/api.ts'
import { ASK } from '../../lib/sel4/wire.ts'
import {
  type Capability,
  CNode,
  derive,
  isGone,
  LookupFailure,
  leafOf,
  move,
  RIGHT,
  remove,
  type Slot,
  slotAt,
} from '../cspace.ts'
import { Endpoint } from '../endpoint.ts'
import { saveCaller } from '../ipc.ts'
import type { Kernel } from '../kernel.ts'
import type { Process } from '../process.ts'
import { at, type Call, type MethodTable } from './call.ts'

/** Capabilities deleted between two looks at everything else. */
const REVOKE_SLICE = 64

type Transfer = Sel4Arguments<'CNode_Move'>
type Slots = Sel4Arguments<'CNode_Delete'>

function destination({ cap }: Call, { dest_index, dest_depth }: { dest_index: number; dest_depth: number }): Slot {
  const slot = slotAt(cap, dest_index, dest_depth)
  if (slot.node.at(slot.index)) throw new Sel4Error('seL4_DeleteFirst', `slot ${slot.index}`)
  return slot
}
function present(root: Capability, index: number, depth: number): Capability {
  const slot = slotAt(root, index, depth)
  const cap = slot.node.at(slot.index)
  if (cap) return cap
  throw new LookupFailure([2, 0], `no capability at ${index}`)
}
const source = (call: Call, { src_root, src_index, src_depth }: Transfer): Capability =>
  present(at(call, src_root), src_index, src_depth)
const own = ({ cap }: Call, { index, depth }: Slots): Capability => present(cap, index, depth)

/** What a badge word means for a kind of capability. */
function dataFor(cap: Capability, badge: number): { badge?: number; guard?: number; guardBits?: number } {
  if (!(cap.object instanceof CNode)) return { badge }
  const guardBits = badge % 64
  return badge ? { guardBits, guard: Math.floor(badge / 64) % 2 ** guardBits } : {}
}
function copy(call: Call, args: Sel4Arguments<'CNode_Copy'>): void {
  const slot = destination(call, args)
  const from = source(call, args)
  place(call, slot, derive(from, { rights: args.rights, origin: `copied by ${call.thread.name}` }))
}
function mint(call: Call, args: Sel4Arguments<'CNode_Mint'>): void {
  const slot = destination(call, args)
  const from = source(call, args)
  const { rights, badge } = args
  place(call, slot, derive(from, { rights, ...dataFor(from, badge), origin: `minted by ${call.thread.name}` }))
}
function place({ kernel }: Call, { node, index }: Slot, made: Capability): void {
  try {
    if (node.owner && !kernel.mayReceive(node.owner as Process, made))
      throw new Sel4Error('seL4_IllegalOperation', 'above the ceiling of who would have it')
    node.put(index, made)
  } catch (error) {
    remove(made)
    throw error
  }
}
/** A new badge would make an endpoint capability mean something else to those who hold its copies. */
function mutate(cap: Capability, badge: number): void {
  if (badge && !(cap.object instanceof CNode) && (cap.object.type === 'Endpoint' || cap.object.type === 'Notification'))
    throw new Sel4Error('seL4_IllegalOperation', 'a badge is given by Mint')
  const { guard, guardBits } = dataFor(cap, badge)
  if (guardBits !== undefined && guard !== undefined) Object.assign(cap, { guard, guardBits })
}
function moveTo(call: Call, args: Transfer & { badge?: number }): void {
  const slot = destination(call, args)
  const cap = source(call, args)
  if (args.badge !== undefined) mutate(cap, args.badge)
  move(cap, slot)
}
function rotate(call: Call, args: Sel4Arguments<'CNode_Rotate'>): void {
  const { dest_index, dest_depth, dest_badge, pivot_badge } = args
  const to = slotAt(call.cap, dest_index, dest_depth)
  const pivot = present(at(call, args.pivot_root), args.pivot_index, args.pivot_depth)
  const from = present(at(call, args.src_root), args.src_index, args.src_depth)
  if (pivot === from) throw new Sel4Error('seL4_IllegalOperation', 'source and pivot are one')
  const there = to.node.at(to.index)
  if (there === pivot) throw new Sel4Error('seL4_IllegalOperation', 'destination and pivot are one')
  if (there && there !== from) throw new Sel4Error('seL4_DeleteFirst', `slot ${to.index}`)
  mutate(from, pivot_badge)
  mutate(pivot, dest_badge)
  const middle = { node: pivot.cnode as CNode, index: pivot.index }
  const start = { node: from.cnode as CNode, index: from.index }
  start.node.clear(start.index)
  move(pivot, to)
  start.node === middle.node && start.index === middle.index ? undefined : putBack(from, middle)
}
function putBack(cap: Capability, { node, index }: Slot): void {
  node.put(index, cap)
  for (const closed of cap.onDelete ?? []) closed()
}
/** CNode_Delete of an empty slot is no error. */
async function deleteSlot(call: Call, { index, depth }: Slots): Promise<void> {
  const slot = slotAt(call.cap, index, depth)
  const cap = slot.node.at(slot.index)
  if (cap) remove(cap)
  await call.kernel.settled()
}
/**
 * Until nothing derived is left; what is derived meanwhile goes, too. Between slices every other request is served. When it
 * returns, every receiver has confirmed that the sessions are gone, every process that the pages are.
 */
export async function revokeAll(kernel: Kernel, cap: Capability): Promise<void> {
  for (let done = 0; !isGone(cap); done++) {
    const leaf = leafOf(cap)
    if (!leaf) break
    remove(leaf)
    if (done % REVOKE_SLICE === REVOKE_SLICE - 1) await kernel.breathe()
  }
  await kernel.settled()
}
async function cancelBadgedSends(call: Call, slots: Slots): Promise<void> {
  const { object, badge, rights } = own(call, slots)
  const whole = RIGHT.read | RIGHT.write | RIGHT.grant
  if (!(object instanceof Endpoint) || (rights & whole) !== whole)
    throw new Sel4Error('seL4_IllegalOperation', 'not an endpoint with all rights')
  if (!badge) return
  object.cancelBadged(badge)
  await object.lent?.process.ask(ASK.cancelBadged, [object.id, badge])
}

export const CNODE_METHODS: MethodTable = {
  CNode_Copy: copy,
  CNode_Mint: mint,
  CNode_Move: moveTo,
  CNode_Mutate: moveTo,
  CNode_Rotate: rotate,
  CNode_Delete: deleteSlot,
  CNode_Revoke: (call, slots) => revokeAll(call.kernel, own(call, slots)),
  CNode_CancelBadgedSends: cancelBadgedSends,
  CNode_SaveCaller(call, { index, depth }: Slots) {
    const slot = slotAt(call.cap, index, depth)
    if (slot.node.at(slot.index)) throw new Sel4Error('seL4_DeleteFirst', `slot ${slot.index}`)
    saveCaller(call.thread, slot)
  },
}
