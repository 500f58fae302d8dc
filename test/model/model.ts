/**
 * The executable model: what each operation does to who can reach what, and which libsel4 error it is refused with.
 *
 * From the seL4 manual: 2.4 (untyped memory), 3 (capabilities), 6.1 (threads), 7 (address spaces), and the API reference
 * for each method's errors. Sizes are the contract's, not the kernel's.
 */
import { OBJECT_TYPE, type ObjectType, sizeBitsOf, X86_64 } from '#contracts/sel4'
import { Endpoint, Notification, Reply, Thread, Threads } from './threads.ts'
import {
  type Cap,
  capIn,
  capOf,
  type Kind,
  PAGING,
  type Place,
  R,
  refuse,
  slotOf,
  Table,
  Thing,
  Untyped,
} from './tree.ts'

export type { Cap }

const PAGE = 2 ** X86_64.pageBits
const COVERED = [39, 30, 21]
const USER_TOP = 2 ** 47
/** Objects of one Untyped_Retype. [seL4 manual] seL4_Untyped_Retype */
const FAN_OUT = 256
const baseOf = (address: number, size: number): number => Math.floor(address / 2 ** size) * 2 ** size

export class VSpace extends Thing {
  readonly pages = new Map<number, Cap>()
  readonly tables: readonly Map<number, Cap>[] = PAGING.map(() => new Map())
  life?: Life
}
export interface Life {
  readonly name: string
  readonly cspace: Table
  readonly vspace: VSpace
  readonly first: Thread
}
type Slot = readonly [index: number, depth: number]

export class Model extends Threads {
  constructor() {
    super()
    this.gone = (thing) => this.end(thing)
    this.lost = (cap) => this.forsaken(cap)
  }

  // ------------------------------------------------------------ looking up

  private invoked(thread: Thread, service: number, kind: Kind): Cap {
    const cap = capOf(thread.cspace, service)
    return cap.thing.kind === kind ? cap : refuse('InvalidCapability')
  }
  private argument(thread: Thread, cptr: number, kind: Kind, ...otherwise: string[]): Cap {
    const cap = capOf(thread.cspace, cptr)
    return cap.thing.kind === kind ? cap : refuse('InvalidCapability', ...otherwise)
  }
  private source(thread: Thread, root: number, index: number, depth: number): Cap {
    return capIn(slotOf(capOf(thread.cspace, root), index, depth)) ?? refuse('FailedLookup')
  }
  /** Runs all; what any of them refuses may be said. */
  private all(...checks: (() => void)[]): void {
    const names = checks.flatMap((check) => {
      try {
        check()
        return []
      } catch (error) {
        return (error as { names?: readonly string[] }).names ?? [String(error)]
      }
    })
    if (names.length) refuse(...names.map((name) => name.replace('seL4_', '')))
  }
  private empty(place: Place): Place {
    if (place.table.closed) return refuse('NotEnoughMemory')
    return capIn(place) ? refuse('DeleteFirst') : place
  }

  // ------------------------------------------------------------ CNodes

  CNode_Copy(
    t: Thread,
    root: number,
    [di, dd]: Slot,
    from: number,
    [si, sd]: Slot,
    rights: number,
    badge?: number,
  ): null {
    const node = this.invoked(t, root, 'CNode')
    const derivable = () => {
      const cap = this.source(t, from, si, sd)
      this.all(
        () => badge !== undefined && this.checkData(cap, badge, false),
        () => this.checkDerivable(cap),
      )
    }
    this.all(() => this.empty(slotOf(node, di, dd)), derivable)
    const cap = this.source(t, from, si, sd)
    this.put(this.derive(cap, rights, badge, this.guardIn(cap, badge)), slotOf(node, di, dd))
    return null
  }
  private guardIn({ thing }: Cap, data: number | undefined): { guard: number; guardBits: number } | undefined {
    if (data === undefined || thing.kind !== 'CNode') return undefined
    return { guardBits: data % 64, guard: Math.floor(data / 64) % 2 ** (data % 64) }
  }
  CNode_Move(t: Thread, root: number, [di, dd]: Slot, from: number, [si, sd]: Slot, badge?: number): null {
    const node = this.invoked(t, root, 'CNode')
    this.all(
      () => this.empty(slotOf(node, di, dd)),
      () => {
        const cap = this.source(t, from, si, sd)
        if (badge !== undefined) this.checkData(cap, badge, true)
      },
    )
    const cap = this.source(t, from, si, sd)
    this.shift(cap, slotOf(node, di, dd), badge)
    return null
  }
  private shift(cap: Cap, to: Place, badge: number | undefined): void {
    Object.assign(cap, this.guardIn(cap, badge))
    const { table, index } = cap.place as Place
    table.slots.delete(index)
    this.put(cap, to)
  }
  CNode_Rotate(
    t: Thread,
    root: number,
    [di, dd]: Slot,
    db: number,
    pr: number,
    [pi, pd]: Slot,
    pb: number,
    sr: number,
    [si, sd]: Slot,
  ): null {
    const node = this.invoked(t, root, 'CNode')
    this.all(
      () => slotOf(node, di, dd),
      () => this.source(t, pr, pi, pd),
      () => this.source(t, sr, si, sd),
    )
    const to = slotOf(node, di, dd)
    const pivotAt = slotOf(capOf(t.cspace, pr), pi, pd)
    const fromAt = slotOf(capOf(t.cspace, sr), si, sd)
    const same = (a: Place, b: Place) => a.table === b.table && a.index === b.index
    const [pivot, from] = [capIn(pivotAt), capIn(fromAt)]
    this.all(
      () => (same(pivotAt, fromAt) || same(pivotAt, to)) && refuse('IllegalOperation'),
      () => !same(fromAt, to) && this.empty(to),
      () => from && this.checkData(from, pb, true),
      () => pivot && this.checkData(pivot, db, true),
    )
    const [moved, turned] = [from as Cap, pivot as Cap]
    fromAt.table.slots.delete(fromAt.index)
    this.shift(turned, to, db)
    Object.assign(moved, this.guardIn(moved, pb))
    this.put(moved, pivotAt)
    return null
  }
  CNode_Delete(t: Thread, root: number, [index, depth]: Slot): null {
    const cap = capIn(slotOf(this.invoked(t, root, 'CNode'), index, depth))
    if (cap) this.delete(cap)
    return null
  }
  CNode_Revoke(t: Thread, root: number, [index, depth]: Slot): null {
    const cap = capIn(slotOf(this.invoked(t, root, 'CNode'), index, depth))
    if (cap) this.revoke(cap)
    return null
  }
  CNode_CancelBadgedSends(t: Thread, root: number, [index, depth]: Slot): null {
    const cap = capIn(slotOf(this.invoked(t, root, 'CNode'), index, depth))
    if (!(cap?.thing instanceof Endpoint) || cap.rights !== R.all) return refuse('IllegalOperation')
    if (cap.badge) this.cancelBadged(cap.thing, cap.badge)
    return null
  }
  CNode_SaveCaller(t: Thread, root: number, [index, depth]: Slot): null {
    const place = slotOf(this.invoked(t, root, 'CNode'), index, depth)
    if (capIn(place)) return refuse('DeleteFirst')
    return this.saveCaller(t, t.caller?.caller ? this.empty(place) : place)
  }

  // ------------------------------------------------------------ untyped memory

  Untyped_Retype(
    t: Thread,
    service: number,
    type: number,
    size: number,
    root: number,
    [index, depth]: Slot,
    offset: number,
    count: number,
  ): null {
    const cap = this.invoked(t, service, 'Untyped')
    const bits = sizeBitsOf(type, size)
    const known = Object.values(OBJECT_TYPE).includes(type as never)
    this.all(
      () => !known && refuse('InvalidArgument'),
      () => known && bits === undefined && refuse('RangeError'),
      () => (count < 1 || count > FAN_OUT) && refuse('RangeError'),
      () => this.window(this.node(t, root, index, depth), offset, count),
    )
    const start = this.carve(cap, 2 ** (bits as number), count)
    const table = this.node(t, root, index, depth)
    for (let i = 0; i < count; i++) {
      const thing = this.object(type, size, start + i * 2 ** (bits as number), 2 ** (bits as number))
      this.put(this.retyped(cap, thing), { table, index: offset + i })
    }
    return null
  }
  private node(t: Thread, root: number, index: number, depth: number): Table {
    const top = capOf(t.cspace, root)
    const found = depth === 0 ? top : capIn(slotOf(top, index, depth))
    return found?.thing instanceof Table ? found.thing : refuse('FailedLookup')
  }
  private window(table: Table, offset: number, count: number): void {
    if (offset + count > 2 ** table.radix) refuse('RangeError')
    if (table.closed) refuse('NotEnoughMemory')
    for (let index = offset; index < offset + count; index++) if (table.slots.has(index)) refuse('DeleteFirst')
  }
  /** It rises from the bottom, and begins there again when nothing is left that was made of it. */
  private carve(cap: Cap, bytes: number, count: number): number {
    const untyped = cap.thing as Untyped
    const low = untyped.base as number
    if (this.descendants(cap).some(({ thing }) => thing === untyped)) return refuse('NotEnoughMemory')
    if (!this.descendants(cap).length && !this.livesIn(untyped)) untyped.watermark = 0
    const start = Math.ceil((low + untyped.watermark) / bytes) * bytes
    if (start + bytes * count > low + untyped.bytes) return refuse('NotEnoughMemory')
    untyped.watermark = start + bytes * count - low
    return start
  }
  private livesIn(untyped: Untyped): boolean {
    const low = untyped.base as number
    return this.order.some(
      ({ thing }) =>
        thing !== untyped &&
        thing.base !== undefined &&
        thing.bytes < untyped.bytes &&
        thing.base >= low &&
        thing.base < low + untyped.bytes,
    )
  }
  private object(type: number, size: number, base: number, bytes: number): Thing {
    const number = this.next()
    switch (type) {
      case OBJECT_TYPE.seL4_UntypedObject:
        return new Untyped('Untyped', number, base, bytes)
      case OBJECT_TYPE.seL4_CapTableObject:
        return new Table(number, size, base, bytes)
      case OBJECT_TYPE.seL4_EndpointObject:
        return new Endpoint('Endpoint', number, base, bytes)
      case OBJECT_TYPE.seL4_NotificationObject:
        return new Notification('Notification', number, base, bytes)
      case OBJECT_TYPE.seL4_TCBObject:
        return this.register(new Thread('TCB', number, base, bytes))
      case OBJECT_TYPE.seL4_X64_PML4Object:
        return new VSpace('VSpace', number, base, bytes)
      default:
        return new Thing(KINDS[type], number, base, bytes)
    }
  }

  private register(thread: Thread): Thread {
    this.threads.add(thread)
    return thread
  }

  // ------------------------------------------------------------ threads

  TCB_Configure(t: Thread, service: number, cspace: number, data: number, vspace: number): null {
    const target = this.invoked(t, service, 'TCB').thing as Thread
    this.all(
      () => (!cspace || !vspace) && refuse('IllegalOperation'),
      () => cspace && this.argument(t, cspace, 'CNode', 'IllegalOperation'),
      () => vspace && this.argument(t, vspace, 'VSpace', 'IllegalOperation'),
      () => target.isFirst && target.life && refuse('IllegalOperation'),
      () => data && this.checkData(capOf(t.cspace, cspace), data, false),
    )
    const [root, space] = [capOf(t.cspace, cspace), capOf(t.cspace, vspace)]
    const guard = data ? this.guardIn(root, data) : undefined
    this.settle(target, root, space, guard)
    this.moveIn(target, space.thing as VSpace)
    return null
  }
  private moveIn(target: Thread, { life }: VSpace): void {
    if (target.life === life) return
    this.moveOut(target)
    target.life = life
  }
  private moveOut(target: Thread): void {
    this.stop(target)
    target.life = undefined
    target.started = false
  }
  TCB_WriteRegisters(t: Thread, service: number, resume: number): null {
    const target = this.invoked(t, service, 'TCB').thing as Thread
    if (target.isFirst && target.life) return refuse('IllegalOperation')
    this.stop(target)
    target.started = false
    target.entry = true
    if (target.state !== 'inactive') target.state = 'suspended'
    if (resume) this.resume(target)
    return null
  }
  private resume(target: Thread): void {
    if (target.state === 'running') return
    target.state = 'running'
    target.started = true
    if (target.operation && !target.operation.expected && !target.doing) this.restarted.add(target)
  }
  TCB_Suspend(t: Thread, service: number): null {
    this.suspend(this.invoked(t, service, 'TCB').thing as Thread)
    return null
  }
  TCB_Resume(t: Thread, service: number): null {
    const target = this.invoked(t, service, 'TCB').thing as Thread
    if (!target.cspace || !target.vspace) return refuse('IllegalOperation')
    this.resume(target)
    return null
  }
  TCB_BindNotification(t: Thread, service: number, notification: number): null {
    const target = this.invoked(t, service, 'TCB').thing as Thread
    const { thing, rights } = this.argument(t, notification, 'Notification', 'IllegalOperation')
    const bell = thing as Notification
    if (!(rights & R.read) || target.bound || bell.bound || bell.waiting.length) return refuse('IllegalOperation')
    target.bound = bell
    bell.bound = target
    return null
  }
  TCB_UnbindNotification(t: Thread, service: number): null {
    const target = this.invoked(t, service, 'TCB').thing as Thread
    if (!target.bound) return refuse('IllegalOperation')
    target.bound.bound = undefined
    target.bound = undefined
    return null
  }

  // ------------------------------------------------------------ address spaces

  Paging_Map(t: Thread, level: number, service: number, vspace: number, vaddr: number): null {
    const cap = this.invoked(t, service, PAGING[level])
    const space = this.argument(t, vspace, 'VSpace').thing as VSpace
    const base = baseOf(vaddr, COVERED[level])
    this.all(
      () => vaddr >= USER_TOP && refuse('InvalidArgument'),
      () => cap.unmap && refuse('InvalidCapability'),
      () => this.needs(space, vaddr, level),
      () => space.tables[level].has(base) && refuse('DeleteFirst'),
      () => level === 2 && space.pages.get(base)?.thing.bytes === 2 ** COVERED[2] && refuse('DeleteFirst'),
    )
    space.tables[level].set(base, cap)
    cap.unmap = () => {
      cap.unmap = undefined
      space.tables[level].delete(base)
      this.emptyBelow(space, base, base + 2 ** COVERED[level], level)
    }
    return null
  }
  private needs(space: VSpace, vaddr: number, levels: number): void {
    for (let level = 0; level < levels; level++)
      if (!space.tables[level].has(baseOf(vaddr, COVERED[level]))) refuse('FailedLookup')
  }
  private emptyBelow(space: VSpace, first: number, end: number, above: number): void {
    for (const map of [...space.tables.slice(above + 1), space.pages])
      for (const [vaddr, cap] of [...map]) if (first <= vaddr && vaddr < end) cap.unmap?.()
  }
  Page_Map(t: Thread, service: number, vspace: number, vaddr: number): null {
    const cap = this.invoked(t, service, 'Frame')
    const space = this.argument(t, vspace, 'VSpace').thing as VSpace
    const large = cap.thing.bytes > PAGE
    const there = space.pages.get(vaddr)
    this.all(
      () => vaddr >= USER_TOP && refuse('InvalidArgument'),
      () => vaddr % cap.thing.bytes && refuse('AlignmentError'),
      () => cap.unmap && there !== cap && refuse('InvalidCapability'),
      () => there && there !== cap && refuse('DeleteFirst'),
      () => this.needs(space, vaddr, large ? 2 : 3),
      () => large && space.tables[2].has(vaddr) && refuse('DeleteFirst'),
    )
    space.pages.set(vaddr, cap)
    cap.unmap = () => {
      cap.unmap = undefined
      space.pages.delete(vaddr)
    }
    return null
  }
  Unmap(t: Thread, service: number, kind: Kind): null {
    this.invoked(t, service, kind).unmap?.()
    return null
  }
  Page_GetAddress(t: Thread, service: number): number {
    return this.invoked(t, service, 'Frame').thing.base as number
  }

  // ------------------------------------------------------------ processes

  readonly threads = new Set<Thread>()
  /** A process is born with a thread, a CSpace and a VSpace, at well-known slots; its parent is given a copy of each. */
  born(name: string, parent: Table, slots: readonly number[]): Life {
    const [first, cspace, vspace] = [
      new Thread('TCB', this.next()),
      new Table(this.next(), 16),
      new VSpace('VSpace', this.next()),
    ]
    const life = { name, cspace, vspace, first }
    const caps = [this.root(first), this.root(cspace, { guardBits: 16 }), this.root(vspace)]
    caps.forEach((cap, i) => this.put(cap, { table: cspace, index: i + 1 }))
    vspace.life = life
    this.threads.add(first)
    this.settle(first, caps[1], caps[2])
    Object.assign(first, { isFirst: true, state: 'running', started: true, life })
    caps.forEach((cap, i) => slots.length && this.put(this.derive(cap, R.all), { table: parent, index: slots[i] }))
    return life
  }
  /** What its threads waited for, what it could reach, is gone; its memory and what others hold of it is not. */
  died(life: Life): void {
    const threads = [...this.threads].filter((thread) => thread.life === life)
    for (const { thing } of life.cspace.slots.values()) if (thing instanceof Reply) this.bereave(thing)
    for (const thread of threads) {
      this.bereave(thread.caller)
      this.silence(thread)
      thread.state = 'inactive'
      thread.isFirst = false
    }
    for (const cap of [...life.cspace.slots.values()]) this.delete(cap)
    for (const thread of threads) this.release(thread)
    life.vspace.life = undefined
    life.cspace.closed = true
  }

  // ------------------------------------------------------------ ends

  private end(thing: Thing): void {
    if (thing instanceof Endpoint || thing instanceof Notification) this.endOfMeeting(thing)
    if (thing instanceof VSpace)
      for (const map of [thing.pages, ...thing.tables]) for (const cap of [...map.values()]) cap.unmap?.()
    if (thing instanceof Thread) {
      this.silence(thing)
      this.release(thing)
      this.threads.delete(thing)
    }
  }
  private silence(thread: Thread): void {
    this.stop(thread)
    this.dropCaller(thread)
    if (thread.bound) thread.bound.bound = undefined
    thread.bound = undefined
  }
  private release(thread: Thread): void {
    for (const cap of [thread.cspace, thread.vspace]) if (cap) this.delete(cap)
  }
  /** Its copies of what it was configured with: they go when those are revoked. */
  private readonly holders = new Map<Cap, Thread>()
  private settle(thread: Thread, root: Cap, space: Cap, guard?: { guard: number; guardBits: number }): void {
    const before = [thread.cspace, thread.vspace]
    thread.cspace = this.derive(root, R.all, undefined, guard)
    thread.vspace = this.derive(space, R.all)
    for (const cap of [thread.cspace, thread.vspace]) this.holders.set(cap, thread)
    for (const cap of before) if (cap) this.delete(cap)
  }
  private forsaken(cap: Cap): void {
    const thread = this.holders.get(cap)
    this.holders.delete(cap)
    if (thread?.cspace === cap) thread.cspace = undefined
    if (thread?.vspace !== cap) return
    thread.vspace = undefined
    this.moveOut(thread)
  }
}
const KINDS: Readonly<Record<number, Kind>> = {
  [OBJECT_TYPE.seL4_X86_PDPTObject]: 'PDPT',
  [OBJECT_TYPE.seL4_X86_PageDirectoryObject]: 'PageDirectory',
  [OBJECT_TYPE.seL4_X86_PageTableObject]: 'PageTable',
  [OBJECT_TYPE.seL4_X86_4K]: 'Frame',
  [OBJECT_TYPE.seL4_X86_LargePageObject]: 'Frame',
}
