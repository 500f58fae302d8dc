/**
 * Memory in the model: what is made of it, and where it is mapped.
 *
 * From the seL4 manual: 2.4 (untyped memory), 7 (address spaces) and the API reference for each method's errors. Sizes
 * are the contract's, not the kernel's.
 */
import { FAULT, OBJECT_TYPE, sizeBitsOf, X86_64 } from '#contracts/sel4'
import { CNodes, type Slot } from './cnodes.ts'
import { Endpoint, Notification, Thread } from './threads.ts'
import { type Cap, capIn, capOf, type Kind, PAGING, R, refuse, slotOf, Table, Thing, Untyped } from './tree.ts'

const PAGE = 2 ** X86_64.pageBits
const COVERED = [39, 30, 21]
const USER_TOP = 2 ** 47
/** Objects of one Untyped_Retype. [seL4 manual] seL4_Untyped_Retype */
const FAN_OUT = 256
const baseOf = (address: number, size: number): number => Math.floor(address / 2 ** size) * 2 ** size

export class VSpace extends Thing {
  readonly pages = new Map<number, Cap>()
  readonly tables: readonly Map<number, Cap>[] = PAGING.map(() => new Map())
  /** With which rights each page is mapped. */
  readonly rights = new Map<number, number>()
  life?: Life
}
export class Frame extends Thing {
  /** Words that were written, by offset; all others are 0. */
  readonly words = new Map<number, number>()
}
/** What a device reaches. */
export class IoSpace extends Thing {
  readonly tables: readonly Map<number, Cap>[] = COVERED.map(() => new Map())
  readonly pages = new Map<number, Cap>()
  readonly access = new Map<number, string>()
}
export interface Life {
  readonly name: string
  readonly cspace: Table
  readonly vspace: VSpace
  readonly first: Thread
}

export class Memory extends CNodes {
  readonly threads = new Set<Thread>()
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
    this.all(
      () => sizeOf(type, size),
      () => (count < 1 || count > FAN_OUT) && refuse('RangeError'),
      () => this.window(this.node(t, root, index, depth), offset, count),
    )
    const bytes = 2 ** sizeOf(type, size)
    const start = this.carve(cap, bytes, count)
    const table = this.node(t, root, index, depth)
    for (let i = 0; i < count; i++) {
      const thing = this.object(type, size, start + i * bytes, bytes)
      this.put(this.retyped(cap, thing), { table, index: offset + i })
    }
    return null
  }
  protected node(t: Thread, root: number, index: number, depth: number): Table {
    const top = capOf(t.cspace, root)
    const found = depth === 0 ? top : capIn(slotOf(top, index, depth))
    return found?.thing instanceof Table ? found.thing : refuse('FailedLookup')
  }
  protected window(table: Table, offset: number, count: number): void {
    if (offset + count > 2 ** table.radix) refuse('RangeError')
    if (table.closed) refuse('NotEnoughMemory')
    for (let index = offset; index < offset + count; index++) if (table.slots.has(index)) refuse('DeleteFirst')
  }
  /** It rises from the bottom, and begins there again when nothing is left that was made of it. */
  protected carve(cap: Cap, bytes: number, count: number): number {
    const untyped = cap.thing as Untyped
    const low = untyped.base as number
    if (this.descendants(cap).some(({ thing }) => thing === untyped)) return refuse('NotEnoughMemory')
    if (!this.descendants(cap).length && !this.livesIn(untyped)) untyped.watermark = 0
    const start = Math.ceil((low + untyped.watermark) / bytes) * bytes
    if (start + bytes * count > low + untyped.bytes) return refuse('NotEnoughMemory')
    untyped.watermark = start + bytes * count - low
    return start
  }
  protected livesIn(untyped: Untyped): boolean {
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
  protected object(type: number, size: number, base: number, bytes: number): Thing {
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
      case OBJECT_TYPE.seL4_X86_4K:
      case OBJECT_TYPE.seL4_X86_LargePageObject:
        return new Frame('Frame', number, base, bytes)
      default:
        return new Thing(KINDS[type], number, base, bytes)
    }
  }

  protected register(thread: Thread): Thread {
    this.threads.add(thread)
    return thread
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
    this.mapped(cap, space, () => {
      space.tables[level].delete(base)
      this.emptyBelow(space, base, base + 2 ** COVERED[level], level)
    })
    return null
  }
  private mapped(cap: Cap, space: Thing, takeOut: () => void): void {
    cap.mappedIn = space
    cap.unmap = () => {
      cap.unmap = cap.mappedIn = undefined
      takeOut()
    }
  }
  protected needs(space: VSpace, vaddr: number, levels: number): void {
    for (let level = 0; level < levels; level++)
      if (!space.tables[level].has(baseOf(vaddr, COVERED[level]))) refuse('FailedLookup')
  }
  protected emptyBelow(space: VSpace, first: number, end: number, above: number): void {
    for (const map of [...space.tables.slice(above + 1), space.pages])
      for (const [vaddr, cap] of [...map]) if (first <= vaddr && vaddr < end) cap.unmap?.()
  }
  Page_Map(t: Thread, service: number, vspace: number, vaddr: number, rights: number): null {
    const cap = this.invoked(t, service, 'Frame')
    const space = this.argument(t, vspace, 'VSpace').thing as VSpace
    const large = cap.thing.bytes > PAGE
    const there = space.pages.get(vaddr)
    this.all(
      () => vaddr >= USER_TOP && refuse('InvalidArgument'),
      () => vaddr % cap.thing.bytes && refuse('AlignmentError'),
      () => cap.unmap && there !== cap && this.elsewhere(cap, space),
      () => there && there !== cap && refuse('DeleteFirst'),
      () => this.needs(space, vaddr, large ? 2 : 3),
      () => large && space.tables[2].has(vaddr) && refuse('DeleteFirst'),
    )
    space.pages.set(vaddr, cap)
    space.rights.set(vaddr, cap.rights & rights)
    this.mapped(cap, space, () => space.pages.delete(vaddr))
    return null
  }
  private elsewhere({ mappedIn }: Cap, space: Thing): never {
    if (mappedIn === space) return refuse('InvalidArgument')
    return refuse(mappedIn instanceof IoSpace ? 'IllegalOperation' : 'InvalidCapability')
  }
  Unmap(t: Thread, service: number, kind: Kind): null {
    this.invoked(t, service, kind).unmap?.()
    return null
  }
  Page_GetAddress(t: Thread, service: number): number {
    return this.invoked(t, service, 'Frame').thing.base as number
  }

  // ------------------------------------------------------------ seeing what is mapped

  /** The word at an address, if it may be read, or also written. [seL4 manual] 3.1.4: what may not be read is not seen. */
  seen({ life }: Thread, vaddr: number, write: boolean): { frame: Frame; offset: number } | undefined {
    const { pages, rights } = (life as Life).vspace
    const needed = write ? R.read | R.write : R.read
    for (const size of [X86_64.pageBits, X86_64.largePageBits]) {
      const base = baseOf(vaddr, size)
      const frame = pages.get(base)?.thing
      if (frame && vaddr < base + frame.bytes)
        return ((rights.get(base) as number) & needed) === needed
          ? { frame: frame as Frame, offset: vaddr - base }
          : undefined
    }
    return undefined
  }
  load(t: Thread, vaddr: number): unknown {
    const seen = this.seen(t, vaddr, false)
    return seen ? (seen.frame.words.get(seen.offset) ?? 0) : this.faulted(t, FAULT.seL4_Fault_VMFault, [vaddr, 0, 0])
  }
  /** [seL4 manual] 6.2.4: the last word is the processor's; bit 1: a write. */
  store(t: Thread, vaddr: number, value: number): unknown {
    const seen = this.seen(t, vaddr, true)
    if (!seen) return this.faulted(t, FAULT.seL4_Fault_VMFault, [vaddr, 0, 2])
    seen.frame.words.set(seen.offset, value)
    return null
  }

  // ------------------------------------------------------------ what a device reaches

  /** Differs from seL4: addresses are physical ones; the bank begins at this one. */
  bankBase = 0
  IOPageTable_Map(t: Thread, service: number, iospace: number, ioaddr: number): null {
    const cap = this.invoked(t, service, 'IOPageTable')
    const space = this.argument(t, iospace, 'IOSpace').thing as IoSpace
    const level = this.missingLevel(space, ioaddr)
    this.all(
      () => cap.unmap && refuse('InvalidCapability'),
      () => level < 0 && refuse('DeleteFirst'),
    )
    const base = baseOf(this.bankBase + ioaddr, COVERED[level])
    space.tables[level].set(base, cap)
    this.mapped(cap, space, () => {
      space.tables[level].delete(base)
      for (const [address, page] of [...space.pages])
        if (baseOf(this.bankBase + address, COVERED[level]) === base) page.unmap?.()
    })
    return null
  }
  private missingLevel({ tables }: IoSpace, ioaddr: number): number {
    return tables.findIndex((table, level) => !table.has(baseOf(this.bankBase + ioaddr, COVERED[level])))
  }
  Page_MapIO(t: Thread, service: number, iospace: number, rights: number, ioaddr: number): null {
    const cap = this.invoked(t, service, 'Frame')
    const space = this.argument(t, iospace, 'IOSpace').thing as IoSpace
    const access = ['', 'read', 'write', 'readwrite'][cap.rights & rights & (R.read | R.write)]
    this.all(
      () => (cap.unmap || cap.thing.bytes !== PAGE) && refuse('InvalidCapability'),
      () => (ioaddr !== cap.thing.base || !access) && refuse('InvalidArgument'),
      () => this.missingLevel(space, ioaddr) >= 0 && refuse('FailedLookup'),
      () => space.pages.has(ioaddr) && refuse('DeleteFirst'),
    )
    space.pages.set(ioaddr, cap)
    space.access.set(ioaddr, access)
    this.mapped(cap, space, () => space.pages.delete(ioaddr))
    return null
  }
}
const KINDS: Readonly<Record<number, Kind>> = {
  [OBJECT_TYPE.seL4_X86_PDPTObject]: 'PDPT',
  [OBJECT_TYPE.seL4_X86_PageDirectoryObject]: 'PageDirectory',
  [OBJECT_TYPE.seL4_X86_PageTableObject]: 'PageTable',
  [OBJECT_TYPE.seL4_X86_IOPageTableObject]: 'IOPageTable',
}
/** What is too small is no argument, what is too large out of range. */
function sizeOf(type: number, size: number): number {
  const bits = sizeBitsOf(type, size)
  if (typeof bits === 'number') return bits
  const known = Object.values(OBJECT_TYPE).includes(type as never)
  const least = type === OBJECT_TYPE.seL4_UntypedObject ? 4 : 1
  return refuse(known && size >= least ? 'RangeError' : 'InvalidArgument')
}
