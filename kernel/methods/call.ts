/** What every object method is called with, and the lookups they share. */
import { Sel4Error } from '../../lib/sel4/api.ts'
import { type Capability, type KernelObject, lookup, remove, type Slot, slotAt } from '../cspace.ts'
import type { Kernel } from '../kernel.ts'
import type { Process } from '../process.ts'
import type { Tcb } from '../tcb.ts'

export interface Call {
  readonly kernel: Kernel
  readonly thread: Tcb
  /** What it is invoked on. */
  readonly cap: Capability
}
export type MethodTable = Readonly<Record<string, (call: Call, args: any) => unknown>>

/** What its process may use of what its CSpace names. */
export function at({ kernel, thread }: Pick<Call, 'kernel' | 'thread'>, cptr: number): Capability {
  const cap = lookup(thread.cspaceRoot, cptr)
  kernel.checkCeiling(thread.process, cap)
  return cap
}
export function objectAt<T extends KernelObject>(
  call: Call,
  cptr: number,
  kind: abstract new (...args: never[]) => T,
): Capability & { readonly object: T } {
  const cap = at(call, cptr)
  if (cap.object instanceof kind) return cap as Capability & { readonly object: T }
  throw new Sel4Error('seL4_InvalidCapability', `${cap.object.describe()} is not the one wanted`)
}
/** An empty slot for what is to be made. */
export function emptySlot(call: Call, root: number, index: number, depth: number): Slot {
  const slot = slotAt(at(call, root), index, depth)
  if (slot.node.at(slot.index)) throw new Sel4Error('seL4_DeleteFirst', `slot ${slot.index}`)
  return slot
}
/** Whose first CSpace it is may have it, if it is anybody's. */
export const checkOwner = ({ kernel }: Call, { node }: Slot, cap: Capability): void =>
  kernel.checkCeiling(node.owner as Process | undefined, cap)
/** What has been made goes into a slot, or is gone. */
export function place(call: Call, slot: Slot, made: Capability): void {
  try {
    checkOwner(call, slot, made)
    slot.node.put(slot.index, made)
  } catch (error) {
    remove(made)
    throw error
  }
}
