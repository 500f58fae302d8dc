/**
 * Capabilities, the CNodes they stand in, and the derivation tree that makes revocation complete.
 *
 *   CNode                        2^radix slots; the guard belongs to the capability that names it
 *   slotAt(root, index, depth)   guarded, multi-level; throws LookupFailure; what CNode methods are given
 *   lookup(root, cptr)           the capability at an address, as system calls mean it
 *   walk(root, cptr)             the same with every CNode's capability on the way: all of them must stay for it to hold
 *   derive(source, …)            a copy below its source in the tree, with no more rights, perhaps a badge
 *   move(cap, slot, …)           CNode_Move and Mutate: its place in the tree stays
 *   mapped(cap, space, …)        a frame or table is in an address space until it is unmapped, deleted, or the space goes
 *   remove(cap)                  CNode_Delete; leafOf(cap) is what CNode_Revoke deletes next
 *
 * Which copies are whose children follows seL4: only an original (retyped, or newly badged) is revocable, a copy of a
 * copy is its sibling. Never knows a process or a message: whoever deletes a capability is told through `onDelete`.
 */
import { LOOKUP_FAILURE, WORD_BITS } from '#contracts/sel4'
import { type CPtr, Sel4Error, type Sel4Right } from '../lib/sel4/api.ts'

export const RIGHT = { read: 1, write: 2, grant: 4, grantReply: 8 } as const
export const ALL_RIGHTS = 15
export const rightsOf = (names: readonly Sel4Right[]): number => names.reduce((bits, name) => bits | RIGHT[name], 0)
export const rightNames = (bits: number): Sel4Right[] =>
  (Object.keys(RIGHT) as Sel4Right[]).filter((name) => bits & RIGHT[name])

/** Who calls through an endpoint's capability with these rights may be answered. [seL4 manual] 3.1.4 */
export const mayBeAnswered = (rights: number): boolean => (rights & (RIGHT.grant | RIGHT.grantReply)) !== 0

/** Memory of an untyped that an object takes; given back with its last capability. */
export interface Region {
  release(): void
}
/** Anything a capability may name. */
export interface KernelObject {
  readonly type: string
  readonly id: number
  readonly region?: Region
  describe(): string
  /** The last capability is gone. */
  destroy?(): void
  /** Capabilities that name it. */
  references: number
}
export interface Capability {
  readonly object: KernelObject
  readonly rights: number
  badge: number
  /** An original: what is copied from it is its child. */
  revocable: boolean
  /** Of a CNode: the bits in front of its slots' index. */
  guard: number
  guardBits: number
  /** How it came to be, for people: 'manifest', 'retype', 'grant from executive'. */
  readonly origin: string
  parent?: Capability
  readonly children: Set<Capability>
  cnode?: CNode
  index: number
  /** Closes what was opened through it; also when it moves. */
  onDelete?: Set<() => void>
  /** A frame's or table's: takes it out of the address space it is mapped in, and which that is. */
  unmap?: () => void
  mappedIn?: KernelObject
}
type Options = Partial<Pick<Capability, 'rights' | 'badge' | 'revocable' | 'origin' | 'parent' | 'guard' | 'guardBits'>>

export function makeCapability(object: KernelObject, options: Options = {}): Capability {
  object.references++
  const { rights = ALL_RIGHTS, badge = 0, revocable = true, origin = 'retype', parent } = options
  const { guard = 0, guardBits = 0 } = options
  const cap = { object, rights, badge, revocable, guard, guardBits, origin, parent, children: new Set<Capability>() }
  const made: Capability = { ...cap, index: HIDDEN }
  parent?.children.add(made)
  return made
}

export class CNode implements KernelObject {
  readonly type = 'CNode'
  readonly id: number
  readonly radix: number
  readonly region?: Region
  references = 0
  /** Whose first CSpace it is. */
  owner?: unknown
  private readonly slots = new Map<number, Capability>()
  private readonly firstFree: number
  private nextFree: number
  /** How many capabilities it may hold, when fewer than its slots. */
  private quota: number

  constructor(id: number, radix: number, options: { firstFree?: number; quota?: number; region?: Region } = {}) {
    this.id = id
    this.radix = radix
    this.region = options.region
    this.quota = options.quota ?? 2 ** radix
    this.firstFree = this.nextFree = options.firstFree ?? 1
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
  /** A new capability that finds no place is gone, and its object with it. */
  put(index: number, cap: Capability): void {
    const refusal = this.refusal(index)
    if (refusal) throw this.refused(cap, refusal)
    this.slots.set(index, cap)
    cap.cnode = this
    cap.index = index
  }
  private refusal(index: number): Sel4Error | undefined {
    if (index < 0 || index >= 2 ** this.radix) return new Sel4Error('seL4_RangeError', `slot ${index}`)
    if (this.slots.has(index)) return new Sel4Error('seL4_DeleteFirst', `slot ${index}`)
    if (this.room > 0) return undefined
    return new Sel4Error('seL4_NotEnoughMemory', `capabilities: ${this.quota} and no more`)
  }
  private refused(cap: Capability, refusal: Sel4Error): Sel4Error {
    if (cap.index === HIDDEN) remove(cap)
    return refusal
  }
  /** How many more it may hold. */
  get room(): number {
    return this.quota - this.slots.size
  }
  /** At a slot of the kernel's choice; one is reused only when all have been. Slot 0 is no capability. */
  insert(cap: Capability): CPtr {
    const size = 2 ** this.radix
    for (let tried = 0; tried < size; tried++, this.nextFree = (this.nextFree + 1) % size) {
      if (this.nextFree < this.firstFree || this.slots.has(this.nextFree)) continue
      this.put(this.nextFree, cap)
      return cap.index
    }
    throw this.refused(cap, new Sel4Error('seL4_NotEnoughMemory', 'CSpace is full'))
  }
  clear(index: number): void {
    this.slots.delete(index)
  }
  /** Its process is dead: it holds nothing, and never will. Whoever still has a capability to it could fill it for nobody. */
  close(): void {
    this.quota = 0
    this.owner = undefined
  }
  /** Its capabilities go with it. */
  destroy(): void {
    for (const cap of this.all()) remove(cap)
  }
}

export interface Slot {
  readonly node: CNode
  readonly index: number
}
export class LookupFailure extends Sel4Error {
  /** As a cap fault names it: kind, then what the kind has of bits left, bits found, guard found. */
  readonly failure: readonly number[]
  readonly address: number
  constructor(failure: readonly number[], address: number, detail: string) {
    super('seL4_FailedLookup', detail)
    this.failure = failure
    this.address = address
  }
}
const { invalidRoot, missingCapability, depthMismatch, guardMismatch } = LOOKUP_FAILURE
const bitsOf = (value: number, shift: number, count: number): number => Math.floor(value / 2 ** shift) % 2 ** count

/** Resolves the low `depth` bits of an address, most significant first, as far as there are CNodes. */
function resolve(
  root: Capability | undefined,
  cptr: number,
  depth: number,
  passed?: Capability[],
): Slot & { left: number } {
  if (!(root?.object instanceof CNode)) throw new LookupFailure([invalidRoot], cptr, 'no CNode to begin with')
  passed?.push(root)
  let { object: node, guard, guardBits } = root as Capability & { object: CNode }
  for (let left = depth; ; ) {
    const level = guardBits + node.radix
    if (guardBits > left || bitsOf(cptr, left - guardBits, guardBits) !== guard)
      throw new LookupFailure([guardMismatch, left, guard, guardBits], cptr, `guard mismatch at ${left} bits`)
    if (level > left)
      throw new LookupFailure([depthMismatch, left, level], cptr, `depth mismatch: ${left} bits left, ${level} needed`)
    left -= level
    const index = bitsOf(cptr, left, node.radix)
    const next = node.at(index)
    if (left === 0 || !next || !(next.object instanceof CNode)) return { node, index, left }
    passed?.push(next)
    ;({ guard, guardBits } = next)
    node = next.object
  }
}
export function slotAt(root: Capability | undefined, index: number, depth: number): Slot {
  if (depth < 1 || depth > WORD_BITS) throw new Sel4Error('seL4_RangeError', `depth ${depth}`)
  const { node, index: at, left } = resolve(root, index, depth)
  if (left === 0) return { node, index: at }
  if (!node.at(at))
    throw new LookupFailure([missingCapability, left], index, `no capability at ${index}, ${left} bits left`)
  throw new LookupFailure([depthMismatch, left, depth - left], index, `depth mismatch: ${left} bits left at ${index}`)
}
/** Bits left over behind the last CNode mean nothing, as in seL4. */
export function lookup(root: Capability | undefined, cptr: CPtr): Capability {
  const { node, index, left } = resolve(root, cptr, WORD_BITS)
  const cap = node.at(index)
  if (!cap) throw new LookupFailure([missingCapability, left], cptr, `no capability at ${cptr}`)
  return cap
}

export function walk(root: Capability | undefined, cptr: CPtr): Capability[] {
  const passed: Capability[] = []
  const { node, index, left } = resolve(root, cptr, WORD_BITS, passed)
  const cap = node.at(index)
  if (!cap) throw new LookupFailure([missingCapability, left], cptr, `no capability at ${cptr}`)
  return [...passed, cap]
}

/** Whatever was opened through a capability ends with it, and with those of the CNodes it was found through. */
export function hangOn(path: readonly Capability[], end: () => void): void {
  for (const cap of path) (cap.onDelete ??= new Set()).add(end)
}
export function letGo(path: readonly Capability[], end: () => void): void {
  for (const cap of path) cap.onDelete?.delete(end)
}

export interface Derivation {
  /** Undefined: the source's. */
  readonly badge?: number
  readonly rights?: number
  readonly guard?: number
  readonly guardBits?: number
  readonly origin: string
}
/** CNode_Copy and CNode_Mint: never more rights than the source; a badge only on what has none. */
export function derive(
  source: Capability,
  { badge, rights = ALL_RIGHTS, origin, guard, guardBits }: Derivation,
): Capability {
  if (NEVER_COPIED.has(source.object.type))
    throw new Sel4Error('seL4_IllegalOperation', `a ${source.object.type} is not copied`)
  const untyped = source.object.type === 'Untyped'
  if (untyped && source.children.size) throw new Sel4Error('seL4_RevokeFirst', 'the untyped memory is in use')
  const badged = isBadged(source) ? badge : undefined
  if (badged !== undefined && source.badge !== 0)
    throw new Sel4Error('seL4_IllegalOperation', 'the capability is badged already')
  const rebadged = badged !== undefined && badged !== 0
  return makeCapability(source.object, {
    rights: source.rights & rights,
    badge: badged ?? source.badge,
    revocable: rebadged || untyped,
    guard: guard ?? source.guard,
    guardBits: guardBits ?? source.guardBits,
    origin,
    parent: source.revocable ? source : source.parent,
  })
}
/** Differs from seL4: a paging structure's capability is not copied, mapped or not; there it must be mapped. */
const NEVER_COPIED = new Set(['Reply', 'IRQControl', 'PDPT', 'PageDirectory', 'PageTable', 'IOPageTable'])
const BADGED = new Set(['Endpoint', 'Notification'])
export const isBadged = ({ object }: Capability): boolean => BADGED.has(object.type)

/** [seL4 manual] 3.1.3: in the word a badge would be in, a guard's size in the low six bits, the guard above. */
export function guardOf({ radix }: CNode, word: number): { guard: number; guardBits: number } {
  const guardBits = word % 64
  if (guardBits + radix > WORD_BITS)
    throw new Sel4Error('seL4_IllegalOperation', `a guard of ${guardBits} bits before ${radix} bits of index`)
  return { guardBits, guard: Math.floor(word / 64) % 2 ** guardBits }
}

/** What was opened through it was opened at its address: that is closed. */
export function move(cap: Capability, { node, index }: Slot): void {
  if (node.at(index)) throw new Sel4Error('seL4_DeleteFirst', `slot ${index}`)
  const from = { node: cap.cnode as CNode, index: cap.index }
  from.node.clear(from.index)
  try {
    node.put(index, cap)
  } catch (error) {
    from.node.put(from.index, cap)
    throw error
  }
  for (const closed of cap.onDelete ?? []) closed()
}
export function mapped(cap: Capability, space: KernelObject, takeOut: () => void): void {
  cap.mappedIn = space
  cap.unmap = () => {
    cap.unmap = cap.mappedIn = undefined
    takeOut()
  }
}
/** A descendant without descendants: deleting it leaves no child without its parent. */
export function leafOf(cap: Capability): Capability | undefined {
  let leaf: Capability | undefined
  for (let [next] = cap.children; next; [next] = next.children) leaf = next
  return leaf
}
/** CNode_Delete: its children become its parent's. The object goes with its last capability. */
export function remove(cap: Capability): void {
  if (cap.index === GONE) return
  if (cap.cnode) cap.cnode.clear(cap.index)
  cap.cnode = undefined
  cap.index = GONE
  cap.parent?.children.delete(cap)
  for (const child of cap.children) {
    child.parent = cap.parent
    cap.parent?.children.add(child)
  }
  cap.children.clear()
  for (const closed of cap.onDelete ?? []) closed()
  cap.unmap?.()
  if (--cap.object.references > 0) return
  cap.object.destroy?.()
  cap.object.region?.release()
}
/** In the kernel's own hands: a thread's CSpace and VSpace. */
const HIDDEN = -1
const GONE = -2
export const isGone = (cap: Capability): boolean => cap.index === GONE
