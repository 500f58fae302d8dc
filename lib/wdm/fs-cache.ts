/**
 * A file system's private copy of a volume's metadata: 4 KiB pages, of each the sectors that are known.
 *
 *   read(offset, length)   from the copy, else through the Executive's cache (WdmReadVolume) into a bounce area of the arena
 *   update(page, …)        what a commit changed, from the moment its IRP completes
 *   drop(offset, length)   freed ranges
 *
 * Least recently used pages go when there are too many. A page's bytes are never changed in place: views that were given out stay what
 * they were. A read during which a commit completed is made again, because its answer may be older than the commit.
 */
import { NT_STATUS, StatusError } from '#rtl'
import type { DEVICE_OBJECT } from './api.ts'
import type { DriverHost } from './host.ts'

export const CACHE_PAGE = 4096
/** 4 MiB: the FAT of a 2 GB volume with 4 KiB clusters fits with room for directories. */
const CACHE_PAGES_MAX = 1024
/** What one WdmReadVolume may name. */
const READ_MAX = 64 << 10
/** Validity is kept for the smallest sector there is. */
export const UNIT = 512

export interface CachePage {
  readonly bytes: Uint8Array
  /** Bit i: unit i is known. */
  readonly valid: number
}
/** The units of a page that [from, to) touches, or only those it covers. */
export function unitsOf(from: number, to: number): number {
  const first = Math.floor(from / UNIT)
  const end = Math.ceil(to / UNIT)
  return ((1 << end) - 1) & ~((1 << first) - 1)
}

export class FsCache {
  private readonly host: DriverHost
  private readonly device: DEVICE_OBJECT
  private readonly sectorSize: number
  private readonly pages = new Map<number, CachePage>()
  private commits = 0

  constructor(host: DriverHost, device: DEVICE_OBJECT, sectorSize: number) {
    this.host = host
    this.device = device
    this.sectorSize = sectorSize
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const start = offset % CACHE_PAGE
    if (start + length <= CACHE_PAGE) {
      const page = await this.page(offset - start, start, start + length)
      return page.bytes.subarray(start, start + length)
    }
    await this.prefetch(offset, length)
    return this.gather(offset, length)
  }

  private async gather(offset: number, length: number): Promise<Uint8Array> {
    const whole = new Uint8Array(length)
    for (let done = 0; done < length; ) {
      const start = (offset + done) % CACHE_PAGE
      const bytes = Math.min(CACHE_PAGE - start, length - done)
      const page = await this.page(offset + done - start, start, start + bytes)
      this.host.copy(whole, page.bytes.subarray(start, start + bytes), done)
      done += bytes
    }
    return whole
  }

  /** The page at a volume offset, with at least [from, to) of it known. */
  private async page(at: number, from: number, to: number): Promise<CachePage> {
    const needed = unitsOf(from, to)
    const known = this.pages.get(at)
    if (known && (known.valid & needed) === needed) {
      this.touch(at, known)
      return known
    }
    try {
      return await this.fill(at, 0, CACHE_PAGE)
    } catch (error) {
      if (!beyondEnd(error) || (from === 0 && to === CACHE_PAGE)) throw error
      const { sectorSize } = this
      return await this.fill(at, Math.floor(from / sectorSize) * sectorSize, Math.ceil(to / sectorSize) * sectorSize)
    }
  }

  /** Reads ahead what a long read misses, in the largest pieces allowed; the end of the volume is left to `page`. */
  private async prefetch(offset: number, length: number): Promise<void> {
    const first = offset - (offset % CACHE_PAGE)
    for (let at = first; at < offset + length; at += READ_MAX) {
      const end = Math.min(at + READ_MAX, offset + length)
      const whole = end - (end % CACHE_PAGE)
      if (whole > at && this.misses(at, whole)) await this.fillMany(at, whole - at)
    }
  }
  private misses(from: number, to: number): boolean {
    for (let at = from; at < to; at += CACHE_PAGE) if (this.pages.get(at)?.valid !== 0xff) return true
    return false
  }
  private async fillMany(at: number, length: number): Promise<void> {
    await this.transfer(at, length, (bytes) => {
      for (let done = 0; done < length; done += CACHE_PAGE)
        this.merge(at + done, 0, bytes.subarray(done, done + CACHE_PAGE))
    })
  }
  private async fill(at: number, from: number, to: number): Promise<CachePage> {
    let page: CachePage | undefined
    await this.transfer(at + from, to - from, (bytes) => (page = this.merge(at, from, bytes)))
    return page!
  }

  private async transfer(Offset: number, Length: number, take: (bytes: Uint8Array) => void): Promise<void> {
    const { host } = this
    const bounce = await host.arena.allocateSoon(Length)
    host.arena.willReturn(bounce)
    try {
      for (let seen = -1; seen !== this.commits; ) {
        seen = this.commits
        const { VirtualAddress: Address } = bounce
        await host.services.WdmReadVolume({ StorageDevice: this.device.handle, Offset, Address, Length })
      }
      take(bounce.bytes)
    } finally {
      host.arena.free(bounce)
    }
  }

  /** New bytes of a page beside what is known of it. */
  private merge(at: number, from: number, source: Uint8Array): CachePage {
    const old = this.pages.get(at)
    const bytes = new Uint8Array(CACHE_PAGE)
    if (old && source.length < CACHE_PAGE) this.host.copy(bytes, old.bytes, 0)
    this.host.copy(bytes, source, from)
    const page = { bytes, valid: (old?.valid ?? 0) | unitsOf(from, from + source.length) }
    this.touch(at, page)
    return page
  }

  private touch(at: number, page: CachePage): void {
    this.pages.delete(at)
    this.pages.set(at, page)
    if (this.pages.size > CACHE_PAGES_MAX) this.pages.delete(this.pages.keys().next().value!)
  }

  /** A commit was completed: its page, as far as it is known, replaces the old one. */
  update(at: number, source: Uint8Array, valid: number): void {
    this.commits++
    const old = this.pages.get(at)
    const bytes = new Uint8Array(CACHE_PAGE)
    if (old) bytes.set(old.bytes)
    for (let unit = 0; unit < CACHE_PAGE / UNIT; unit++)
      if (valid & (1 << unit)) this.host.copy(bytes, source.subarray(unit * UNIT, (unit + 1) * UNIT), unit * UNIT)
    this.touch(at, { bytes, valid: (old?.valid ?? 0) | valid })
  }
  drop(offset: number, length: number): void {
    this.commits++
    for (const at of [...this.pages.keys()]) if (at < offset + length && at + CACHE_PAGE > offset) this.pages.delete(at)
  }
}

const beyondEnd = (error: unknown): boolean =>
  error instanceof StatusError &&
  (error.status === NT_STATUS.STATUS_INVALID_PARAMETER || error.status === NT_STATUS.STATUS_NONEXISTENT_SECTOR)
