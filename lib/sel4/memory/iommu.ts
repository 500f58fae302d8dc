/**
 * The IOMMU table of one device: which pages of physical memory its DMA may read and write.
 *
 *   grant(address, length, access)    the kernel lets the device reach memory
 *   revoke(address, length, access)   and no longer
 *   allows(address, length, access)   the device's machine asks before every DMA
 *
 * Two bits for each 4 KiB page: bit 0 the device may read, bit 1 it may write. A range covers every page it touches, as in
 * hardware. The kernel alone writes the table; the device's process maps it for reading. A bit says nothing about how many
 * grants stand behind it: counting them, page by page (`pagesOf`), is the kernel's business.
 *
 * Each word changes atomically, a range does not: while a grant or a revoke runs, `allows` may see part of it. It never
 * sees more than the old and the new grants together, and a revoke is in force only when the device has confirmed that it
 * has no transfer under way – clearing the bits stops the next DMA, not one that has already been allowed.
 */
export type DmaAccess = 'read' | 'write'
export type DmaGrant = DmaAccess | 'readwrite'

export const IOMMU_PAGE = 4096
/** The machine's physical address space: RAM ends below it. */
export const PHYSICAL_LIMIT = 1024 * 1024 * 1024
const PAGES_PER_WORD = 16
const BITS = { read: 0b01, write: 0b10, readwrite: 0b11 } as const
/** One page's bits repeated for all sixteen pages of a word. */
const EVERY_PAGE = 0x5555_5555

/** How many bytes the table of an address space needs: 64 KiB for 1 GiB. */
export const iommuTableBytes = (physicalLimit: number = PHYSICAL_LIMIT): number =>
  Math.ceil(physicalLimit / IOMMU_PAGE / PAGES_PER_WORD) * 4

/** The pages a range touches, `end` excluded; undefined for what is no range of non-negative bytes. */
export function pagesOf(physicalAddress: number, length: number): { first: number; end: number } | undefined {
  const valid =
    Number.isSafeInteger(physicalAddress) && Number.isSafeInteger(length) && physicalAddress >= 0 && length > 0
  if (!valid || !Number.isSafeInteger(physicalAddress + length)) return undefined
  return { first: Math.floor(physicalAddress / IOMMU_PAGE), end: Math.ceil((physicalAddress + length) / IOMMU_PAGE) }
}

export class IommuTable {
  private readonly words: Uint32Array
  private readonly pages: number

  /** `table` is at least iommuTableBytes() long, 4-byte aligned, all zero for a device that may reach nothing. */
  constructor(table: Uint8Array, physicalLimit: number = PHYSICAL_LIMIT) {
    const bytes = iommuTableBytes(physicalLimit)
    if (table.byteLength < bytes) throw new RangeError(`An IOMMU table needs ${bytes} bytes, not ${table.byteLength}`)
    this.words = new Uint32Array(table.buffer, table.byteOffset, bytes / 4)
    this.pages = Math.floor(physicalLimit / IOMMU_PAGE)
  }

  grant(physicalAddress: number, length: number, access: DmaGrant): void {
    this.forEachWord(this.within(physicalAddress, length), access, (word, mask) => {
      Atomics.or(this.words, word, mask)
      return true
    })
  }

  revoke(physicalAddress: number, length: number, access: DmaGrant): void {
    this.forEachWord(this.within(physicalAddress, length), access, (word, mask) => {
      Atomics.and(this.words, word, ~mask)
      return true
    })
  }

  /** False, never an exception, for any range that is not wholly granted: the numbers come from a driver's registers. */
  allows(physicalAddress: number, length: number, access: DmaAccess): boolean {
    const range = pagesOf(physicalAddress, length)
    if (!range || range.end > this.pages) return false
    let allowed = true
    this.forEachWord(range, access, (word, mask) => {
      allowed &&= (Atomics.load(this.words, word) & mask) >>> 0 === mask
      return allowed
    })
    return allowed
  }

  /** The device may reach nothing any more. */
  clear(): void {
    for (let word = 0; word < this.words.length; word++) Atomics.store(this.words, word, 0)
  }

  private within(physicalAddress: number, length: number): { first: number; end: number } {
    const range = pagesOf(physicalAddress, length)
    if (!range || range.end > this.pages)
      throw new RangeError(`DMA range ${physicalAddress} +${length} is not in the physical address space`)
    return range
  }

  /** Visits each word of a range with the mask of its pages; stops when `visit` returns false. */
  private forEachWord(
    { first, end }: { first: number; end: number },
    access: DmaGrant,
    visit: (word: number, mask: number) => boolean,
  ): void {
    for (let page = first; page < end; ) {
      const word = Math.floor(page / PAGES_PER_WORD)
      const from = page % PAGES_PER_WORD
      const to = Math.min(PAGES_PER_WORD, from + (end - page))
      if (!visit(word, maskOf(from, to, access))) return
      page += to - from
    }
  }
}

/** The bits of pages `from` up to, not including, `to` of a word. */
function maskOf(from: number, to: number, access: DmaGrant): number {
  const upTo = to === PAGES_PER_WORD ? 0xffff_ffff : (1 << (2 * to)) - 1
  const below = (1 << (2 * from)) - 1
  return (upTo & ~below & Math.imul(EVERY_PAGE, BITS[access])) >>> 0
}
