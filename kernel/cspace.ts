/**
 * Capabilities, the CNodes they stand in, and the derivation tree that makes revocation complete.
 *
 *   CNode                      2^radix slots behind a guard
 *   lookup(root, cptr, depth)  guarded, multi-level; throws seL4_FailedLookup
 *   derive(source, …)          a copy below its source in the tree, with no more rights, perhaps a badge
 *   descendants(cap)           what CNode_Revoke deletes, leaves first
 *   remove(cap)                CNode_Delete
 *
 * Which copies are whose children follows seL4: only an original (retyped, or newly badged) is revocable, a copy of a
 * copy is its sibling. Never knows a process or a message: whoever deletes a capability is told through `onDelete`.
 */
import { type CPtr, Sel4Error, type Sel4Right } from '../lib/sel4/api.ts'

export const RIGHT = { read: 1, write: 2, grant: 4, grantReply: 8 } as const
export const ALL_RIGHTS = 15
export const rightsOf = (names: readonly Sel4Right[]): number => names.reduce((bits, name) => bits | RIGHT[name], 0)
export const rightNames = (bits: number): Sel4Right[] =>
  (Object.keys(RIGHT) as Sel4Right[]).filter((name) => bits & RIGHT[name])

/** Anything a capability may name. */
export interface KernelObject {
  readonly type: string
  readonly id: number
  describe(): string
  /** The last capability is gone. */
  destroy?(): void
  /** Capabilities that name it. */
  references: number
}
export interface Capability {
  readonly object: KernelObject
  readonly rights: number
  readonly badge: number
  /** An original: what is copied from it is its child. */
  readonly revocable: boolean
  /** How it came to be, for people: 'manifest', 'retype', 'grant from executive'. */
  readonly origin: string
  parent?: Capability
  readonly children: Set<Capability>
  cnode?: CNode
  index: number
  /** Closes what was opened through it. */
  onDelete?: Set<() => void>
}

export function makeCapability(object: KernelObject, options: Partial<Capability> = {}): Capability {
  object.references++
  const { rights = ALL_RIGHTS, badge = 0, revocable = true, origin = 'retype', parent } = options
  const cap: Capability = { object, rights, badge, revocable, origin, parent, children: new Set(), index: -1 }
  parent?.children.add(cap)
  return cap
}

export class CNode implements KernelObject {
  readonly type = 'CNode'
  readonly id: number
  readonly radix: number
  readonly guard: number
  readonly guardBits: number
  references = 0
  private readonly slots = new Map<number, Capability>()
  private nextFree = 1

  /** How many capabilities it may hold, when fewer than its slots. */
  private readonly quota: number

  constructor(id: number, radix: number, guardBits = 0, guard = 0, quota = 2 ** radix) {
    this.quota = quota
    this.id = id
    this.radix = radix
    this.guard = guard
    this.guardBits = guardBits
  }
  describe(): string {
    return `CNode ${this.id} of ${2 ** this.radix} slots`
  }
  at(index: number): Capability | undefined {
    return this.slots.get(index)
  }
  all(): Capability[] {
    return [...this.slots.values()]
  }
  put(index: number, cap: Capability): void {
    if (index < 0 || index >= 2 ** this.radix) throw new Sel4Error('seL4_RangeError', `slot ${index}`)
    if (this.slots.has(index)) throw new Sel4Error('seL4_DeleteFirst', `slot ${index}`)
    this.slots.set(index, cap)
    cap.cnode = this
    cap.index = index
  }
  /** Slot 0 is never used: it is no capability. A slot is reused only when all have been. */
  insert(cap: Capability): CPtr {
    const size = 2 ** this.radix
    if (this.slots.size >= this.quota) throw new Sel4Error('seL4_NotEnoughMemory', 'no more capabilities allowed')
    for (let tried = 0; tried < size; tried++, this.nextFree = (this.nextFree + 1) % size) {
      if (this.nextFree === 0 || this.slots.has(this.nextFree)) continue
      this.put(this.nextFree, cap)
      return cap.index
    }
    throw new Sel4Error('seL4_NotEnoughMemory', 'CSpace is full')
  }
  clear(index: number): void {
    this.slots.delete(index)
  }
}

/** Resolves `depth` bits of a capability pointer, most significant first. */
export function lookup(root: CNode, cptr: CPtr, depth = root.radix + root.guardBits): Capability {
  let node = root
  let left = depth
  for (;;) {
    const bits = node.guardBits + node.radix
    if (left < bits) throw new Sel4Error('seL4_FailedLookup', `depth mismatch: ${left} bits left, ${bits} needed`)
    const guard = bitsOf(cptr, left - node.guardBits, node.guardBits)
    if (guard !== node.guard) throw new Sel4Error('seL4_FailedLookup', `guard mismatch at ${left} bits`)
    left -= bits
    const cap = node.at(bitsOf(cptr, left, node.radix))
    if (!cap) throw new Sel4Error('seL4_FailedLookup', `no capability at ${cptr}`)
    if (left === 0) return cap
    if (!(cap.object instanceof CNode)) throw new Sel4Error('seL4_FailedLookup', `${left} bits left at ${cptr}`)
    node = cap.object
  }
}
const bitsOf = (value: number, shift: number, count: number): number => Math.floor(value / 2 ** shift) % 2 ** count

export interface Derivation {
  readonly badge?: number
  readonly rights?: number
  readonly origin: string
}
/** CNode_Copy and CNode_Mint: never more rights than the source; a badge only on what has none. */
export function derive(source: Capability, { badge, rights = ALL_RIGHTS, origin }: Derivation): Capability {
  const rebadged = badge !== undefined && badge !== source.badge
  if (rebadged && source.badge !== 0) throw new Sel4Error('seL4_IllegalOperation', 'the capability is badged already')
  return makeCapability(source.object, {
    rights: source.rights & rights,
    badge: badge ?? source.badge,
    revocable: rebadged,
    origin,
    parent: source.revocable ? source : source.parent,
  })
}

/** Leaves first, so that a partly done revoke leaves no child without its parent. */
export function descendants(cap: Capability): Capability[] {
  const found: Capability[] = []
  const visit = (parent: Capability) => {
    for (const child of parent.children) {
      visit(child)
      found.push(child)
    }
  }
  visit(cap)
  return found
}

/** CNode_Delete: its children become its parent's. The object goes with its last capability. */
export function remove(cap: Capability): void {
  if (cap.index === GONE) return
  cap.cnode?.clear(cap.index)
  cap.cnode = undefined
  cap.index = GONE
  cap.parent?.children.delete(cap)
  for (const child of cap.children) {
    child.parent = cap.parent
    cap.parent?.children.add(child)
  }
  for (const closed of cap.onDelete ?? []) closed()
  if (--cap.object.references === 0) cap.object.destroy?.()
}
const GONE = -2
export const isGone = (cap: Capability): boolean => cap.index === GONE
