/**
 * What a process's programs see of memory: extents at the addresses their threads gave them, a page or a large page each. An
 * access that finds none, or not such a one, is a fault (threads.ts).
 *
 *   read(vaddr, into, done)     copies from there on until `into` is full or an access would fault; returns how far it came
 *   write(vaddr, bytes, done)   the same the other way
 */
export const PAGE = 4096
const ACCESSED = 1
const DIRTY = 2

interface Extent {
  readonly vaddr: number
  readonly bytes: Uint8Array
  readonly writable: boolean
  /** Accessed and dirty bits, by page. */
  readonly status: Uint8Array
}
const pageOf = (vaddr: number): number => vaddr - (vaddr % PAGE)

export class ProgramMemory {
  private readonly pages = new Map<number, Extent>()

  map(vaddr: number, bytes: Uint8Array, writable: boolean): null {
    const extent = { vaddr, bytes, writable, status: new Uint8Array(Math.ceil(bytes.length / PAGE)) }
    for (let at = 0; at < bytes.length; at += PAGE) this.pages.set(vaddr + at, extent)
    return null
  }
  unmap(vaddr: number): null {
    const length = this.pages.get(vaddr)?.bytes.length ?? 0
    for (let at = 0; at < length; at += PAGE) this.pages.delete(vaddr + at)
    return null
  }
  /** Accessed and dirty bits since they were asked for last; null: no page is there. */
  statusBits(vaddr: number): number | null {
    const extent = this.pages.get(pageOf(vaddr))
    if (!extent) return null
    const index = (pageOf(vaddr) - extent.vaddr) / PAGE
    const bits = extent.status[index]
    extent.status[index] = 0
    return bits
  }
  read(vaddr: number, into: Uint8Array, done: number): number {
    while (done < into.length) {
      const extent = this.pages.get(pageOf(vaddr + done))
      if (!extent) break
      const start = vaddr + done - extent.vaddr
      const end = Math.min(extent.bytes.length, start + into.length - done)
      into.set(end - start === extent.bytes.length ? extent.bytes : extent.bytes.subarray(start, end), done)
      mark(extent, start, end, ACCESSED)
      done += end - start
    }
    return done
  }
  write(vaddr: number, bytes: Uint8Array, done: number): number {
    while (done < bytes.length) {
      const extent = this.pages.get(pageOf(vaddr + done))
      if (!extent?.writable) break
      const start = vaddr + done - extent.vaddr
      const end = Math.min(extent.bytes.length, start + bytes.length - done)
      extent.bytes.set(end - start === bytes.length ? bytes : bytes.subarray(done, done + end - start), start)
      mark(extent, start, end, ACCESSED | DIRTY)
      done += end - start
    }
    return done
  }
}
function mark({ status }: Extent, start: number, end: number, bits: number): void {
  const last = Math.floor((end - 1) / PAGE)
  for (let page = Math.floor(start / PAGE); page <= last; page++) status[page] |= bits
}
