/** Methods of a CNode capability: they name slots below it by index and depth. */
import type { Sel4Arguments } from '#contracts/sel4'
import { Sel4Error } from '../../lib/sel4/api.ts'
import { ASK } from '../../lib/sel4/wire.ts'
import {
  ALL_RIGHTS,
  type Capability,
  CNode,
  derive,
  guardOf,
  isBadged,
  isGone,
  LookupFailure,
  leafOf,
  move,
  remove,
  type Slot,
  slotAt,
} from '../cspace.ts'
import { Endpoint } from '../endpoint.ts'
import { saveCaller } from '../ipc.ts'
import type { Kernel } from '../kernel.ts'
import { at, type Call, checkOwner, type MethodTable, place } from './call.ts'

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
  throw new LookupFailure([2, 0], index, `no capability at ${index}`)
}
const source = (call: Call, { src_root, src_index, src_depth }: Transfer): Capability =>
  present(at(call, src_root), src_index, src_depth)
function inSlot({ cap }: Call, { index, depth }: Slots): Capability | undefined {
  const slot = slotAt(cap, index, depth)
  return slot.node.at(slot.index)
}

/** What a badge word means for a kind of capability. */
const dataFor = ({ object }: Capability, word: number): { badge?: number; guard?: number; guardBits?: number } =>
  object instanceof CNode ? guardOf(object, word) : { badge: word }
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
/** What a moved capability's badge word changes. A badge would make it mean something else to those who hold its copies. */
function mutated(cap: Capability, word: number): { guard?: number; guardBits?: number } {
  if (isBadged(cap)) throw new Sel4Error('seL4_IllegalOperation', 'a badge is given by Mint')
  return cap.object instanceof CNode ? guardOf(cap.object, word) : {}
}
function moveTo(call: Call, args: Transfer & { badge?: number }): void {
  const slot = destination(call, args)
  const cap = source(call, args)
  checkOwner(call, slot, cap)
  const change = args.badge === undefined ? {} : mutated(cap, args.badge)
  move(cap, slot)
  Object.assign(cap, change)
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
  const changes = [mutated(from, pivot_badge), mutated(pivot, dest_badge)]
  const middle = { node: pivot.cnode as CNode, index: pivot.index }
  checkOwner(call, to, pivot)
  checkOwner(call, middle, from)
  turn(from, pivot, to)
  putBack(from, middle)
  Object.assign(from, changes[0])
  Object.assign(pivot, changes[1])
}
/** The pivot goes to its place; when there is no room for it, nothing has moved. */
function turn(from: Capability, pivot: Capability, to: Slot): void {
  const start = { node: from.cnode as CNode, index: from.index }
  start.node.clear(start.index)
  try {
    move(pivot, to)
  } catch (error) {
    start.node.put(start.index, from)
    throw error
  }
}
function putBack(cap: Capability, { node, index }: Slot): void {
  node.put(index, cap)
  for (const closed of cap.onDelete ?? []) closed()
}
/** CNode_Delete and CNode_Revoke of an empty slot are no error. */
async function deleteSlot(call: Call, slots: Slots): Promise<void> {
  const cap = inSlot(call, slots)
  if (cap) remove(cap)
  await call.kernel.settled()
}
async function revokeSlot(call: Call, slots: Slots): Promise<void> {
  const cap = inSlot(call, slots)
  if (cap) await revokeAll(call.kernel, cap)
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
  const { object, badge, rights } = inSlot(call, slots) ?? { object: undefined, badge: 0, rights: 0 }
  if (!(object instanceof Endpoint) || rights !== ALL_RIGHTS)
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
  CNode_Revoke: revokeSlot,
  CNode_CancelBadgedSends: cancelBadgedSends,
  CNode_SaveCaller(call, { index, depth }: Slots) {
    const slot = slotAt(call.cap, index, depth)
    if (slot.node.at(slot.index)) throw new Sel4Error('seL4_DeleteFirst', `slot ${slot.index}`)
    saveCaller(call.thread, slot)
  },
}
