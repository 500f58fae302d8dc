/**
 * What a process's programs see of memory: pages at the addresses their threads gave them. An access that finds none, or
 * not such a one, is a fault (threads.ts).
 */
export const PAGE = 4096
const ACCESSED = 1
const DIRTY = 2

interface Page {
  readonly bytes: Uint8Array
  readonly writable: boolean
  status: number
}
export class ProgramMemory {
  private readonly pages = new Map<number, Page>()
  private readonly extents = new Map<number, number>()

  map(vaddr: number, bytes: Uint8Array, writable: boolean): null {
    for (let at = 0; at < bytes.length; at += PAGE)
      this.pages.set(vaddr + at, { bytes: bytes.subarray(at, at + PAGE), writable, status: 0 })
    this.extents.set(vaddr, bytes.length)
    return null
  }
  unmap(vaddr: number): null {
    for (let at = 0; at < (this.extents.get(vaddr) ?? 0); at += PAGE) this.pages.delete(vaddr + at)
    this.extents.delete(vaddr)
    return null
  }
  /** Accessed and dirty bits since they were asked for last; null: no page is there. */
  statusBits(vaddr: number): number | null {
    const page = this.pages.get(vaddr - (vaddr % PAGE))
    if (!page) return null
    const { status } = page
    page.status = 0
    return status
  }
  /** The part of a page from an address on, or undefined: a fault. */
  piece(vaddr: number, write: boolean): Uint8Array | undefined {
    const page = this.pages.get(vaddr - (vaddr % PAGE))
    if (!page || (write && !page.writable)) return undefined
    page.status |= write ? ACCESSED | DIRTY : ACCESSED
    return page.bytes.subarray(vaddr % PAGE)
  }
}
