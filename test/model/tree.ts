/**
 * The model's capabilities: things, slots, and who descends from whom.
 *
 * Written from the seL4 manual (3.1 capabilities, 3.1.4 derivation, 3.2 deletion and revocation, 3.3 addressing) and not
 * from our kernel. It keeps the derivation as the manual describes it, one list in which a capability's descendants
 * stand behind it: who is a descendant is decided from the capabilities alone, when it is asked. Our kernel keeps a tree
 * of parents and children; what both say must agree.
 */
export type Kind =
  | 'Untyped'
  | 'TCB'
  | 'Endpoint'
  | 'Notification'
  | 'CNode'
  | 'Frame'
  | 'PDPT'
  | 'PageDirectory'
  | 'PageTable'
  | 'VSpace'
  | 'IOPageTable'
  | 'IOSpace'
  | 'Reply'
export const WORD = 32
export const R = { read: 1, write: 2, grant: 4, grantReply: 8, all: 15 } as const

export class Thing {
  readonly kind: Kind
  readonly number: number
  /** Its place in memory, from the bottom of the bank; none of what a process is born with. */
  readonly base?: number
  readonly bytes: number
  readonly caps = new Set<Cap>()
  constructor(kind: Kind, number: number, base?: number, bytes = 0) {
    this.kind = kind
    this.number = number
    this.base = base
    this.bytes = bytes
  }
  toString(): string {
    return `${this.kind}#${this.number}`
  }
}
export class Untyped extends Thing {
  watermark = 0
}
export class Table extends Thing {
  readonly radix: number
  readonly slots = new Map<number, Cap>()
  /** Of a process that is dead. */
  closed = false
  constructor(number: number, radix: number, base?: number, bytes = 0) {
    super('CNode', number, base, bytes)
    this.radix = radix
  }
}

export interface Place {
  readonly table: Table
  readonly index: number
}
export interface Cap {
  readonly thing: Thing
  readonly rights: number
  readonly badge: number
  guard: number
  guardBits: number
  /** What is derived from it is its child. */
  readonly original: boolean
  /** It begins a family of one badge. */
  first: boolean
  place?: Place
  /** Takes it out of where it is mapped. */
  unmap?: () => void
  mappedIn?: Thing
}

/** What went wrong, every way it may be said: where several things are wrong at once, any of them may be named. */
export class Refused extends Error {
  readonly names: readonly string[]
  /** What was looked up in vain. */
  lookup?: Failure
  constructor(...names: string[]) {
    super(names.join('|'))
    this.names = names
  }
}
/** [seL4 manual] 3.4: the kind of failure, and what is said of each kind. */
export interface Failure {
  readonly address: number
  readonly failure: readonly number[]
}
export const refuse = (...names: string[]): never => {
  throw new Refused(...names.map((name) => `seL4_${name}`))
}
/** [seL4 manual] 3.4.1 to 3.4.4 */
const [INVALID_ROOT, MISSING_CAPABILITY, DEPTH_MISMATCH, GUARD_MISMATCH] = [1, 2, 3, 4]
export const notFound = (address: number, ...failure: number[]): never => {
  throw Object.assign(new Refused('seL4_FailedLookup'), { lookup: { address, failure } })
}
/** It is not there, or not with the rights that are needed. */
export const missing = (address: number, left = 0): never => notFound(address, MISSING_CAPABILITY, left)

const bits = (value: number, from: number, count: number): number => Math.floor(value / 2 ** from) % 2 ** count
/** [seL4 manual] 3.3.2: guard and index are taken off the address level by level. */
function walk(root: Cap | undefined, address: number, depth: number): Place & { left: number } {
  if (!root || !(root.thing instanceof Table)) return notFound(address, INVALID_ROOT)
  let at: Cap & { thing: Table } = root as never
  for (let left = depth; ; ) {
    const { guard, guardBits, thing } = at
    if (guardBits > left || bits(address, left - guardBits, guardBits) !== guard)
      return notFound(address, GUARD_MISMATCH, left, guard, guardBits)
    if (guardBits + thing.radix > left) return notFound(address, DEPTH_MISMATCH, left, guardBits + thing.radix)
    left -= guardBits + thing.radix
    const index = bits(address, left, thing.radix)
    const next = thing.slots.get(index)
    if (left === 0 || !(next?.thing instanceof Table)) return { table: thing, index, left }
    at = next as never
  }
}
export function slotOf(root: Cap | undefined, index: number, depth: number): Place {
  if (depth < 1 || depth > WORD) return refuse('RangeError')
  const { left, ...place } = walk(root, index, depth)
  return left ? refuse('FailedLookup') : place
}
export function capOf(root: Cap | undefined, address: number): Cap {
  const { table, index, left } = walk(root, address, WORD)
  return table.slots.get(index) ?? missing(address, left)
}
export const capIn = ({ table, index }: Place): Cap | undefined => table.slots.get(index)

const BADGED = new Set<Kind>(['Endpoint', 'Notification'])
export const PAGING: readonly Kind[] = ['PDPT', 'PageDirectory', 'PageTable']

export class Tree {
  /** Every capability, descendants behind their ancestors. */
  readonly order: Cap[] = []
  private count = 0
  /** A thing's last capability is gone. */
  gone: (thing: Thing) => void = () => {}
  /** A capability is gone. */
  lost: (cap: Cap) => void = () => {}

  next(): number {
    return ++this.count
  }
  // ------------------------------------------------------------ making

  /** Born with a process, or the bank itself: nobody's descendant. */
  root(thing: Thing, options: Partial<Cap> = {}): Cap {
    return this.enter(this.order.length, this.make(thing, { original: true, ...options }))
  }
  /** [seL4 manual] 2.4: what is made of untyped memory descends from the capability it was made through. */
  retyped(from: Cap, thing: Thing): Cap {
    return this.enter(this.order.indexOf(from) + 1, this.make(thing, { original: true }))
  }
  /** A reply descends from nobody and is derived from nothing. */
  reply(thing: Thing): Cap {
    return this.root(thing, { original: false })
  }
  private make(thing: Thing, options: Partial<Cap>): Cap {
    const fresh = { rights: R.all, badge: 0, guard: 0, guardBits: 0, original: false }
    return { ...fresh, ...options, thing, first: options.original === true }
  }
  private enter(at: number, cap: Cap): Cap {
    this.order.splice(at, 0, cap)
    cap.thing.caps.add(cap)
    return cap
  }
  put(cap: Cap, place: Place): void {
    place.table.slots.set(place.index, cap)
    cap.place = place
  }
  /** [seL4 manual] 3.1.4, table of derivation. Throws; changes nothing. */
  checkDerivable(cap: Cap): void {
    const { kind } = cap.thing
    if (kind === 'Reply' || kind === 'IOPageTable' || PAGING.includes(kind)) refuse('IllegalOperation')
    if (kind === 'Untyped' && this.descendants(cap).length) refuse('RevokeFirst')
  }
  /** With no more rights; `badge` undefined: the source's. */
  derive(cap: Cap, rights: number, badge?: number, guard?: { guard: number; guardBits: number }): Cap {
    const newBadge = BADGED.has(cap.thing.kind) && badge !== undefined ? badge : cap.badge
    const original = newBadge !== cap.badge || cap.thing.kind === 'Untyped'
    const options = { rights: cap.rights & rights, badge: newBadge, guard: cap.guard, guardBits: cap.guardBits }
    return this.enter(this.order.indexOf(cap) + 1, this.make(cap.thing, { ...options, ...guard, original }))
  }
  /** A badge is given to what has none; a guard must leave room for the index. */
  checkData(cap: Cap, data: number, moves: boolean): void {
    if (BADGED.has(cap.thing.kind) && (moves || cap.badge !== 0)) refuse('IllegalOperation')
    if (cap.thing instanceof Table && (data % 64) + cap.thing.radix > WORD) refuse('IllegalOperation')
  }

  // ------------------------------------------------------------ descent

  /** Whether `b`, which stands somewhere behind `a`, descends from it. */
  private descends(a: Cap, b: Cap): boolean {
    if (!a.original || !this.contains(a.thing, b.thing)) return false
    if (!BADGED.has(a.thing.kind) || a.badge === 0) return true
    return a.badge === b.badge && !b.first
  }
  private contains(a: Thing, b: Thing): boolean {
    if (a === b) return true
    if (a.kind !== 'Untyped' || a.base === undefined || b.base === undefined) return false
    return a.base <= b.base && b.base + b.bytes <= a.base + a.bytes
  }
  descendants(cap: Cap): Cap[] {
    const behind = this.order.slice(this.order.indexOf(cap) + 1)
    const end = behind.findIndex((other) => !this.descends(cap, other))
    return end < 0 ? behind : behind.slice(0, end)
  }

  // ------------------------------------------------------------ deletion

  isGone(cap: Cap): boolean {
    return !cap.thing.caps.has(cap)
  }
  delete(cap: Cap): void {
    if (this.isGone(cap)) return
    const at = this.order.indexOf(cap)
    const next = this.order[at + 1]
    if (next && cap.first) next.first = true
    this.order.splice(at, 1)
    cap.thing.caps.delete(cap)
    if (cap.place) cap.place.table.slots.delete(cap.place.index)
    cap.place = undefined
    this.lost(cap)
    cap.unmap?.()
    if (cap.thing.caps.size) return
    this.gone(cap.thing)
    if (cap.thing instanceof Table) for (const inner of [...cap.thing.slots.values()]) this.delete(inner)
  }
  /** How many were deleted. */
  revoke(cap: Cap): number {
    let count = 0
    for (let [next] = this.descendants(cap); next && !this.isGone(cap); [next] = this.descendants(cap)) {
      this.delete(next)
      count++
    }
    return count
  }
}
