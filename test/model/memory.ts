/**
 * Memory in the model: what is made of it, and where it is mapped.
 *
 * From the seL4 manual: 2.4 (untyped memory), 7 (address spaces) and the API reference for each method's errors. Sizes
 * are the contract's, not the kernel's.
 */
import { OBJECT_TYPE, sizeBitsOf, X86_64 } from '#contracts/sel4'
import { CNodes, type Slot } from './cnodes.ts'
import { Endpoint, Notification, Thread } from './threads.ts'
import { type Cap, capIn, capOf, type Kind, PAGING, refuse, slotOf, Table, Thing, Untyped } from './tree.ts'

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
    cap.unmap = () => {
      cap.unmap = undefined
      space.tables[level].delete(base)
      this.emptyBelow(space, base, base + 2 ** COVERED[level], level)
    }
    return null
  }
  protected needs(space: VSpace, vaddr: number, levels: number): void {
    for (let level = 0; level < levels; level++)
      if (!space.tables[level].has(baseOf(vaddr, COVERED[level]))) refuse('FailedLookup')
  }
  protected emptyBelow(space: VSpace, first: number, end: number, above: number): void {
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
}
const KINDS: Readonly<Record<number, Kind>> = {
  [OBJECT_TYPE.seL4_X86_PDPTObject]: 'PDPT',
  [OBJECT_TYPE.seL4_X86_PageDirectoryObject]: 'PageDirectory',
  [OBJECT_TYPE.seL4_X86_PageTableObject]: 'PageTable',
  [OBJECT_TYPE.seL4_X86_4K]: 'Frame',
  [OBJECT_TYPE.seL4_X86_LargePageObject]: 'Frame',
}
