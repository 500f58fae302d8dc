/**
 * What one IRP changes of a volume's metadata.
 *
 *   read    the bytes with this commit's own changes over the volume
 *   write   into pages of the driver's arena, where the Executive will find them: nothing is copied again when the IRP completes
 *   close   by the IRP's end: success makes the packet's COMMIT, anything else drops all of it
 *
 * Of every page it is known which units are there (to read) and which byte ranges were written, with their phase (to commit). A byte
 * written in two phases reaches the disk once, with its last value, in the later of the two.
 */
import type { Of } from '#contracts/field'
import type { COMMIT } from '#contracts/wdm'
import { StatusError } from '#rtl'
import type { DEVICE_OBJECT, FS_COMMIT } from './api.ts'
import type { ArenaBuffer } from './arena.ts'
import { CACHE_PAGE, type FsCache, UNIT, unitsOf } from './fs-cache.ts'
import { type ByteRange, coalesce, subtract, withWrite } from './fs-ranges.ts'
import type { DriverHost } from './host.ts'

/** Of COMMIT's lists. */
const RANGES_MAX = 1024

interface CommitPage {
  readonly area: ArenaBuffer
  valid: number
  ranges: ByteRange[]
}
export type Commit = Of<typeof COMMIT>

export class FsCommit implements FS_COMMIT {
  private readonly host: DriverHost
  private readonly cache: FsCache
  private readonly volumeDevice: DEVICE_OBJECT
  private readonly ended: () => void
  private readonly pages = new Map<number, CommitPage>()
  private freed: { from: number; to: number }[] = []
  private rangeCount = 0
  private closed = false

  constructor(host: DriverHost, cache: FsCache, volumeDevice: DEVICE_OBJECT, ended: () => void) {
    this.host = host
    this.cache = cache
    this.volumeDevice = volumeDevice
    this.ended = ended
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    this.mustBeOpen()
    if (!this.overlaps(offset, offset + length)) return this.cache.read(offset, length)
    const whole = new Uint8Array(length)
    for (let done = 0; done < length; ) {
      const start = (offset + done) % CACHE_PAGE
      const bytes = Math.min(CACHE_PAGE - start, length - done)
      this.host.copy(whole, await this.readPart(offset + done - start, start, start + bytes), done)
      done += bytes
    }
    return whole
  }
  private overlaps(from: number, to: number): boolean {
    for (let at = from - (from % CACHE_PAGE); at < to; at += CACHE_PAGE) if (this.pages.has(at)) return true
    return false
  }
  private async readPart(at: number, from: number, to: number): Promise<Uint8Array> {
    const page = this.pages.get(at)
    if (!page) return this.cache.read(at + from, to - from)
    await this.complete(at, page, unitsOf(from, to))
    return page.area.bytes.subarray(from, to)
  }

  async write(offset: number, bytes: Uint8Array, phase: number = 0): Promise<void> {
    this.mustBeOpen()
    for (let done = 0; done < bytes.length; ) {
      const start = (offset + done) % CACHE_PAGE
      const length = Math.min(CACHE_PAGE - start, bytes.length - done)
      await this.writePart(offset + done - start, start, bytes.subarray(done, done + length), phase)
      done += length
    }
  }
  private async writePart(at: number, from: number, bytes: Uint8Array, phase: number): Promise<void> {
    const page = this.pages.get(at) ?? (await this.newPage(at))
    const to = from + bytes.length
    // Units at either end that are written in part need their other bytes from the volume.
    if (from % UNIT) await this.complete(at, page, unitsOf(from, from + 1))
    if (to % UNIT) await this.complete(at, page, unitsOf(to, to + 1))
    this.mustBeOpen()
    this.host.copy(page.area.bytes, bytes, from)
    page.valid |= unitsOf(from, to)
    const ranges = withWrite(page.ranges, { from, to, phase })
    this.rangeCount += ranges.length - page.ranges.length
    page.ranges = ranges
    if (this.rangeCount > RANGES_MAX)
      throw new StatusError('STATUS_INSUFFICIENT_RESOURCES', 'commit of too many ranges')
  }
  private async newPage(at: number): Promise<CommitPage> {
    if (this.pages.size >= RANGES_MAX)
      throw new StatusError('STATUS_INSUFFICIENT_RESOURCES', 'commit of too many pages')
    const area = await this.host.arena.allocateSoon(CACHE_PAGE)
    const known = this.pages.get(at)
    if (known || this.closed) this.host.arena.free(area)
    if (known) return known
    const page: CommitPage = { area, valid: 0, ranges: [] }
    if (!this.closed) this.pages.set(at, page)
    return page
  }
  /** Loads units of a page that are not there yet. */
  private async complete(at: number, page: CommitPage, units: number): Promise<void> {
    for (let unit = 0; unit < CACHE_PAGE / UNIT; unit++) {
      if (!(units & ~page.valid & (1 << unit))) continue
      const bytes = await this.cache.read(at + unit * UNIT, UNIT)
      if (page.valid & (1 << unit)) continue
      this.host.copy(page.area.bytes, bytes, unit * UNIT)
      page.valid |= 1 << unit
    }
  }

  free(offset: number, length: number): void {
    this.mustBeOpen()
    const from = offset
    const to = offset + length
    for (const [at, page] of this.pages) this.forget(page, { from: from - at, to: to - at })
    this.freed = coalesce([...this.freed, { from, to }])
    if (this.freed.length > RANGES_MAX)
      throw new StatusError('STATUS_INSUFFICIENT_RESOURCES', 'commit frees too many ranges')
  }

  private forget(page: CommitPage, hole: { from: number; to: number }): void {
    const ranges = page.ranges.flatMap((range) => subtract(range, hole))
    this.rangeCount += ranges.length - page.ranges.length
    page.ranges = ranges
  }

  private mustBeOpen(): void {
    if (this.closed) throw new Error('a commit was used after its IRP ended')
  }

  /** The packet's part, and what to do once the Executive has copied it; undefined when nothing was changed. */
  close(success: boolean): { packet: Commit; processed: () => void } | undefined {
    this.mustBeOpen()
    this.closed = true
    this.ended()
    const packet = success ? this.build() : undefined
    const changed = packet && (packet.Writes.length > 0 || packet.Freed.length > 0)
    if (!changed) this.release()
    else {
      this.publish()
      for (const { area } of this.pages.values()) this.host.arena.willReturn(area)
    }
    return changed ? { packet, processed: () => this.release() } : undefined
  }

  private build(): Commit {
    const Writes: { Phase: number; VolumeOffset: number; Address: number; Length: number }[] = []
    for (const [at, { area, ranges }] of [...this.pages].sort((a, b) => a[0] - b[0])) {
      for (const { from, to, phase } of ranges) append(Writes, phase, at + from, area.VirtualAddress + from, to - from)
    }
    const Freed = this.freedRanges().map(({ from, to }) => ({ VolumeOffset: from, Length: to - from }))
    return { Volume: this.volumeDevice.handle, Writes, Freed }
  }
  /** A cluster freed and then written again in the same commit is not free. */
  private freedRanges() {
    let freed = this.freed
    for (const [at, { ranges }] of this.pages)
      for (const { from, to } of ranges)
        freed = freed.flatMap((range) => subtract(range, { from: at + from, to: at + to }))
    if (freed.length > RANGES_MAX) throw new Error(`a commit that frees ${freed.length} ranges`)
    return freed
  }
  private publish(): void {
    for (const { from, to } of this.freedRanges()) this.cache.drop(from, to - from)
    for (const [at, { area, valid, ranges }] of this.pages) if (ranges.length) this.cache.update(at, area.bytes, valid)
  }
  private release(): void {
    for (const { area } of this.pages.values()) this.host.arena.free(area)
    this.pages.clear()
  }
}

/** Ranges that continue each other on the volume and in the arena are one. */
function append(
  writes: { Phase: number; VolumeOffset: number; Address: number; Length: number }[],
  Phase: number,
  VolumeOffset: number,
  Address: number,
  Length: number,
): void {
  const last = writes.at(-1)
  const continues =
    last?.Phase === Phase && last.VolumeOffset + last.Length === VolumeOffset && last.Address + last.Length === Address
  if (last && continues) last.Length += Length
  else writes.push({ Phase, VolumeOffset, Address, Length })
}
