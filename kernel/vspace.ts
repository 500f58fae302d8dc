/**
 * A process's address space: which frames it was given, and at which address it sees each.
 *
 *   give(cap)        the kernel's own choice of address, above all that programs map: arenas
 *   map(cap, …)      X86_Page_Map at the program's choice; needs the paging structures above it
 *   enter(table, …)  X86_PDPT_Map, X86_PageDirectory_Map, X86_PageTable_Map
 *
 * Its process's runtime is told of every change and confirms that a page is out of reach before it is anybody else's.
 */
import { X86_64 } from '#contracts/sel4'
import { Sel4Error } from '../lib/sel4/api.ts'
import type { MemoryExtent } from '../lib/sel4/transport.ts'
import { ASK } from '../lib/sel4/wire.ts'
import { type Capability, type KernelObject, mapped, type Region, RIGHT } from './cspace.ts'
import type { Frame } from './frame.ts'
import { sizeText } from './manifest/units.ts'
import type { Process } from './process.ts'

/** Above anything a null pointer with an offset reaches. */
const FIRST_ADDRESS = 0x1000_0000
const LARGE_PAGE = 0x20_0000
/** Below the kernel's half; also below what a safe integer holds. */
const USER_TOP = 2 ** 47

export const PAGING = ['PDPT', 'PageDirectory', 'PageTable'] as const
const COVERED = [
  X86_64.levels.seL4_X86_PDPTObject,
  X86_64.levels.seL4_X86_PageDirectoryObject,
  X86_64.levels.seL4_X86_PageTableObject,
]
/** A table of one of the levels below the root. */
export class PagingStructure implements KernelObject {
  readonly type: (typeof PAGING)[number]
  references = 0
  readonly id: number
  readonly level: number
  readonly region?: Region

  constructor(id: number, level: number, region?: Region) {
    this.id = id
    this.level = level
    this.type = PAGING[level]
    this.region = region
  }
  describe(): string {
    return `${this.type} ${this.id}`
  }
}
const baseOf = (vaddr: number, bits: number): number => Math.floor(vaddr / 2 ** bits) * 2 ** bits

export class VSpace implements KernelObject {
  readonly type = 'VSpace'
  references = 0
  readonly id: number
  readonly region?: Region
  process?: Process
  /** Bytes it may have mapped: pages, arenas, and others' arenas beside its own memory. */
  mappedMax = Number.POSITIVE_INFINITY
  private mappedBytes = 0
  /** Arenas, its own and others'. */
  mappings: readonly { readonly cap: Capability; readonly virtualAddress: number }[] = []
  private readonly pages = new Map<number, Capability>()
  /** By level: address covered → the structure's capability. */
  private readonly tables: Map<number, Capability>[] = PAGING.map(() => new Map())
  private nextAddress = FIRST_ADDRESS
  private readonly waits: Set<Promise<unknown>>

  /** `waits`: promises the kernel waits for before a revoke or delete is done. */
  constructor(id: number, waits: Set<Promise<unknown>>, region?: Region) {
    this.id = id
    this.waits = waits
    this.region = region
  }
  describe(): string {
    return `VSpace ${this.id} with ${this.mappings.length + this.pages.size} mappings`
  }
  /** An arena, at an address of the kernel's choice. */
  give(cap: Capability): MemoryExtent {
    const virtualAddress = this.nextAddress
    this.share(cap, virtualAddress)
    const frame = cap.object as Frame
    this.nextAddress += Math.ceil(frame.bytes / LARGE_PAGE) * LARGE_PAGE
    return { ...frame.extent(), physicalAddress: frame.physicalAddress, virtualAddress }
  }
  /** Somebody else's arena: the address is its owner's. */
  share(cap: Capability, virtualAddress: number): void {
    const frame = cap.object as Frame
    this.count(frame.bytes)
    this.mappings = [...this.mappings, { cap, virtualAddress }]
    mapped(cap, this, () => {
      this.mappings = this.mappings.filter((mapping) => mapping.cap !== cap)
      this.takeAway(frame, ASK.unmapMemory, [{ ...frame.extent(), physicalAddress: frame.physicalAddress }])
    })
  }
  private count(bytes: number): void {
    if (this.mappedBytes + bytes > this.mappedMax)
      throw new Sel4Error('seL4_NotEnoughMemory', `mapped: more than ${sizeText(this.mappedMax)}`)
    this.mappedBytes += bytes
  }
  /** The memory is nobody else's before the process has confirmed, or is dead. */
  private takeAway(frame: Frame, op: number, body: unknown): void {
    this.mappedBytes -= frame.bytes
    const told = this.process?.ask(op, body)
    if (!told) return
    frame.region.keep(told)
    this.waits.add(told)
    void told.then(() => this.waits.delete(told))
  }
  /** Its process is dead: nobody sees what is mapped. */
  abandon(): void {
    this.process = undefined
    for (const { cap } of this.mappings) cap.unmap?.()
  }

  // ------------------------------------------------------------ paging structures

  enter(cap: Capability, vaddr: number): void {
    const { level } = cap.object as PagingStructure
    this.check(vaddr, 0)
    if (cap.unmap) throw new Sel4Error('seL4_InvalidCapability', 'it is mapped already')
    this.needLevels(vaddr, level)
    const base = baseOf(vaddr, COVERED[level])
    if (this.tables[level].has(base)) throw new Sel4Error('seL4_DeleteFirst', `a ${PAGING[level]} is there`)
    if (level === 2 && this.pages.get(base)) throw new Sel4Error('seL4_DeleteFirst', 'a large page is there')
    this.tables[level].set(base, cap)
    mapped(cap, this, () => {
      this.tables[level].delete(base)
      this.forgetBelow(base, base + 2 ** COVERED[level], level)
    })
  }
  private needLevels(vaddr: number, levels: number): void {
    for (let level = 0; level < levels; level++)
      if (!this.tables[level].has(baseOf(vaddr, COVERED[level])))
        throw new Sel4Error('seL4_FailedLookup', `no ${PAGING[level]} at 0x${vaddr.toString(16)}`)
  }
  private forgetBelow(first: number, end: number, above: number): void {
    const within = (vaddr: number) => first <= vaddr && vaddr < end
    for (const table of this.tables.slice(above + 1))
      for (const [vaddr, cap] of table) if (within(vaddr)) this.unhook(table, vaddr, cap)
    for (const [vaddr, cap] of this.pages) if (within(vaddr)) cap.unmap?.()
  }
  private unhook(table: Map<number, Capability>, vaddr: number, cap: Capability): void {
    table.delete(vaddr)
    cap.unmap = cap.mappedIn = undefined
  }
  private check(vaddr: number, bits: number): void {
    if (vaddr >= USER_TOP) throw new Sel4Error('seL4_InvalidArgument', 'an address of the kernel')
    if (vaddr % 2 ** bits) throw new Sel4Error('seL4_AlignmentError', `0x${vaddr.toString(16)}`)
  }

  // ------------------------------------------------------------ pages

  async map(cap: Capability, vaddr: number, rights: number): Promise<void> {
    const frame = cap.object as Frame
    const large = frame.bytes >= LARGE_PAGE
    this.check(vaddr, large ? X86_64.largePageBits : X86_64.pageBits)
    const there = this.pages.get(vaddr)
    if (cap.unmap && there !== cap) throw this.elsewhere(cap)
    if (there && there !== cap) throw new Sel4Error('seL4_DeleteFirst', 'a page is there')
    this.needLevels(vaddr, large ? 2 : 3)
    if (large && this.tables[2].has(vaddr)) throw new Sel4Error('seL4_DeleteFirst', 'a page table is there')
    if (!there) this.count(frame.bytes)
    this.pages.set(vaddr, cap)
    mapped(cap, this, () => {
      this.pages.delete(vaddr)
      this.takeAway(frame, ASK.unmap, [vaddr])
    })
    await this.show(frame, vaddr, cap.rights & rights)
  }
  private elsewhere(cap: Capability): Sel4Error {
    if (cap.mappedIn === this) return new Sel4Error('seL4_InvalidArgument', 'it is mapped at another address')
    const ofDevice = cap.mappedIn?.type === 'IOSpace'
    return new Sel4Error(ofDevice ? 'seL4_IllegalOperation' : 'seL4_InvalidCapability', 'it is mapped elsewhere')
  }
  /** [seL4 manual] 3.1.4: without the right to read, a page is there and nobody sees it. */
  private show(frame: Frame, vaddr: number, rights: number): Promise<unknown> | undefined {
    if (rights & RIGHT.read) return this.process?.ask(ASK.map, [vaddr, frame.extent((rights & RIGHT.write) !== 0)])
    return this.process?.ask(ASK.unmap, [vaddr])
  }
  destroy(): void {
    for (const cap of this.pages.values()) cap.unmap?.()
    for (const table of this.tables) for (const [vaddr, cap] of table) this.unhook(table, vaddr, cap)
  }
}
