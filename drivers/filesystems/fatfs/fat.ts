/**
 * The file allocation table: entries of 12, 16 and 32 bits, kept decoded in windows; allocation; FSInfo.
 *
 *   loadRuns(first)                       the chain as runs; STATUS_FILE_CORRUPT_ERROR for a loop or a wild link
 *   extend(change, runs, count)           allocates and links clusters behind a chain
 *   shorten(change, runs, keep)           ends the chain after `keep` clusters and frees the rest
 *   freeClusters()                        how many are free
 *   stage(change)                         writes what a change did to every copy of the table, and FSInfo
 *
 * Memory never runs ahead of the disk's future: windows, hint and count change when the change settles.
 * [fatgen103] FAT Data Structure, FSInfo
 */
import { StatusError } from '#rtl'
import type { FS_VOLUME } from '#wdm'
import { clusterOffset, type Geometry, isCluster } from './boot.ts'
import { type Change, PHASE } from './change.ts'
import { RunList } from './extents.ts'

/** Values of narrower tables are widened to 28 bits. */
const BAD = 0x0ffffff7
const END = 0x0fffffff
const FREE = 0
/** A multiple of every sector size; 4096 entries of 32 bits. FAT12, 6 KiB at most, is one window. */
const WINDOW_BYTES = 16 * 1024
/** 8 MiB: the table of a 64 GiB volume with 32 KiB clusters. */
const WINDOWS_MAX = 512
/** Clusters looked through for one run that holds all: then pieces will do. */
const RUN_SEARCH = 1 << 17
/** A commit names no more; the cache drops a shorter file's pages by the file's own sizes as well. */
const FREED_RANGES_MAX = 900
const FSI = { LeadSig: 0x41615252, StrucSig: 0x61417272, TrailSig: 0xaa550000, Free_Count: 488, Nxt_Free: 492 }

interface Window {
  bytes: Uint8Array
  view: DataView
}
interface Image {
  bytes: Uint8Array
  readonly dirty: Set<number>
}

const corrupt = (why: string): never => {
  throw new StatusError('STATUS_FILE_CORRUPT_ERROR', why)
}
const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

export class Fat {
  private readonly geometry: Geometry
  private readonly volume: FS_VOLUME
  private readonly windows = new Map<number, Window>()
  private readonly windowBytes: number
  private readonly usedBytes: number
  private readonly entriesPerWindow: number
  private hint = 2
  private freeCount: number | undefined
  private hasFsInfo = false
  /** Clusters of removed directories: taken last, lest file data lands where a crash would still see a directory. */
  private readonly resting = new Set<number>()

  constructor(geometry: Geometry, volume: FS_VOLUME) {
    const { FatType, CountOfClusters, BytsPerSec } = geometry
    this.geometry = geometry
    this.volume = volume
    this.usedBytes = Math.ceil(((CountOfClusters + 2) * FatType) / 8 / BytsPerSec) * BytsPerSec
    this.windowBytes = FatType === 12 ? this.usedBytes : WINDOW_BYTES
    this.entriesPerWindow = FatType === 12 ? CountOfClusters + 2 : (WINDOW_BYTES * 8) / FatType
  }

  // -------------------------------------------------------------- entries
  private async window(cluster: number): Promise<Window> {
    const index = Math.floor(cluster / this.entriesPerWindow)
    const known = this.windows.get(index)
    if (known) return known
    const start = index * this.windowBytes
    const length = Math.min(this.windowBytes, this.usedBytes - start)
    const bytes = new Uint8Array(await this.volume.read(this.copyOffset(this.geometry.activeFat) + start, length))
    if (this.windows.size >= WINDOWS_MAX) this.windows.delete(this.windows.keys().next().value as number)
    const window = { bytes, view: viewOf(bytes) }
    this.windows.set(index, window)
    return window
  }

  private copyOffset(copy: number): number {
    return this.geometry.fatOffset + copy * this.geometry.fatBytes
  }

  private decode(window: Window, cluster: number): number {
    const at = cluster % this.entriesPerWindow
    switch (this.geometry.FatType) {
      case 12: {
        const pair = window.view.getUint16(at + (at >> 1), true)
        const value = at & 1 ? pair >> 4 : pair & 0xfff
        return value >= 0xff7 ? value | 0x0ffff000 : value
      }
      case 16: {
        const value = window.view.getUint16(at * 2, true)
        return value >= 0xfff7 ? value | 0x0fff0000 : value
      }
      default:
        return window.view.getUint32(at * 4, true) & 0x0fffffff
    }
  }

  /** FAT32 keeps the top four bits of an entry as they are. */
  private encode(bytes: Uint8Array, cluster: number, value: number): number[] {
    const at = cluster % this.entriesPerWindow
    const view = viewOf(bytes)
    const { FatType } = this.geometry
    if (FatType === 12) {
      const offset = at + (at >> 1)
      const pair = view.getUint16(offset, true)
      view.setUint16(offset, at & 1 ? (pair & 0xf) | ((value & 0xfff) << 4) : (pair & 0xf000) | (value & 0xfff), true)
      return [offset, offset + 1]
    }
    if (FatType === 16) view.setUint16(at * 2, value & 0xffff, true)
    else view.setUint32(at * 4, ((view.getUint32(at * 4, true) & 0xf0000000) | (value & 0x0fffffff)) >>> 0, true)
    return [at * (FatType / 8)]
  }

  /** What the disk says, or the change will say. */
  async entry(cluster: number, change?: Change): Promise<number> {
    const changed = change?.frees.get(cluster) ?? change?.links.get(cluster)
    return changed ?? this.decode(await this.window(cluster), cluster)
  }

  /** A chain from its first cluster; 0 is the empty one. Ends for any table: a chain is no longer than the volume. */
  async loadRuns(first: number): Promise<RunList> {
    const runs = new RunList()
    if (!first) return runs
    let cluster = first
    let window: Window | undefined
    let index = -1
    for (;;) {
      if (!isCluster(this.geometry, cluster)) return corrupt(`link to cluster ${cluster}`)
      if (runs.clusters >= this.geometry.CountOfClusters) return corrupt('a chain runs in a circle')
      runs.append(cluster, 1)
      const wanted = Math.floor(cluster / this.entriesPerWindow)
      if (wanted !== index) window = await this.window(cluster)
      index = wanted
      const next = this.decode(window as Window, cluster)
      if (next > BAD) return runs
      cluster = next
    }
  }

  // -------------------------------------------------------------- allocation
  /** Allocates `count` clusters behind `runs` and links them; the runs themselves grow when the change settles. */
  async extend(change: Change, runs: RunList, count: number): Promise<RunList> {
    const pieces = await this.allocate(change, count, runs.last)
    let previous = runs.last
    for (const [first, length] of pieces.runs(0, count)) {
      if (previous) change.links.set(previous, first)
      for (let i = 0; i < length - 1; i++) change.links.set(first + i, first + i + 1)
      previous = first + length - 1
    }
    change.links.set(previous, END)
    change.freed -= count
    change.after(() => {
      this.hint = previous + 1
      for (const [first, length] of pieces.runs(0, count)) runs.append(first, length)
    })
    return pieces
  }

  private async allocate(change: Change, count: number, last: number): Promise<RunList> {
    const pieces = new RunList()
    const want = () => count - pieces.clusters
    const take = (first: number, length: number) => {
      const taken = Math.min(length, want())
      for (let i = 0; i < taken; i++) change.links.set(first + i, END)
      pieces.append(first, taken)
      return want() === 0
    }
    if (last) await this.scan(change, last + 1, 1, count, (first, length) => first === last + 1 && take(first, length))
    if (want() > 1)
      await this.scan(change, this.hint, RUN_SEARCH, want(), (first, length) => length >= want() && take(first, length))
    if (want()) await this.scan(change, this.hint, Number.MAX_SAFE_INTEGER, want(), take)
    if (want() && this.resting.size) await this.scanResting(change, take)
    if (want()) throw new StatusError('STATUS_DISK_FULL')
    return pieces
  }

  /**
   * Tells `found` of runs of free clusters from `from` on, once around the volume or at least through `limit` clusters;
   * a run is told no longer than `enough`. Stops when `found` says so.
   */
  private async scan(
    change: Change,
    from: number,
    limit: number,
    enough: number,
    found: (first: number, length: number) => boolean,
  ): Promise<void> {
    const { CountOfClusters } = this.geometry
    const start = isCluster(this.geometry, from) ? from - 2 : 0
    const steps = Math.min(limit, CountOfClusters)
    let run = 0
    for (let step = 0; step < CountOfClusters; step++) {
      const cluster = ((start + step) % CountOfClusters) + 2
      if (run && (cluster === 2 || run >= enough)) {
        if (found((cluster === 2 ? CountOfClusters + 2 : cluster) - run, run)) return
        run = 0
      }
      const index = Math.floor(cluster / this.entriesPerWindow)
      const window = this.windows.get(index) ?? (await this.window(cluster))
      const free = this.decode(window, cluster) === FREE && !change.links.has(cluster) && !this.resting.has(cluster)
      if (free) run++
      else if (run && found(cluster - run, run)) return
      if (!free) run = 0
      if (step >= steps - 1 && !run) return
    }
    if (run) found(((start + CountOfClusters - 1) % CountOfClusters) + 3 - run, run)
  }

  private async scanResting(change: Change, take: (first: number, length: number) => boolean): Promise<void> {
    for (const cluster of [...this.resting]) {
      if (change.links.has(cluster) || (await this.entry(cluster)) !== FREE) continue
      change.after(() => this.resting.delete(cluster))
      if (take(cluster, 1)) return
    }
  }

  /** Frees what is behind the first `keep` clusters. `rest`: do not hand them out again before the next flush. */
  shorten(change: Change, runs: RunList, keep: number, rest = false): void {
    const { BytsPerClus } = this.geometry
    const clusters = runs.clusters
    if (keep >= clusters) return
    if (keep) change.frees.set(runs.at(keep - 1), END)
    for (const [first, length] of runs.runs(keep, clusters)) {
      for (let i = 0; i < length; i++) change.frees.set(first + i, FREE)
      if (change.freedRanges++ < FREED_RANGES_MAX)
        change.commit.free(clusterOffset(this.geometry, first), length * BytsPerClus)
      if (rest) change.after(() => this.rest(first, length))
    }
    change.freed += clusters - keep
    change.after(() => runs.truncate(keep))
  }

  private rest(first: number, length: number): void {
    for (let i = 0; i < length; i++) this.resting.add(first + i)
  }
  /** To be called before a flush of the volume; what it answers, after it: nothing on disk refers to those clusters then. */
  flushing(): () => void {
    const clusters = [...this.resting]
    return () => {
      for (const cluster of clusters) this.resting.delete(cluster)
    }
  }

  /** Counted once, unless FSInfo could be believed; then kept. */
  async freeClusters(): Promise<number> {
    if (this.freeCount !== undefined) return this.freeCount
    const last = this.geometry.CountOfClusters + 1
    let count = 0
    for (let cluster = 2; cluster <= last; ) {
      const window = await this.window(cluster)
      const end = Math.min(last + 1, (Math.floor(cluster / this.entriesPerWindow) + 1) * this.entriesPerWindow)
      for (; cluster < end; cluster++) if (this.decode(window, cluster) === FREE) count++
    }
    this.freeCount = count
    return count
  }

  // -------------------------------------------------------------- FSInfo
  /** Free count and hint of a volume that was unmounted cleanly; of another only the hint. */
  async loadFsInfo(trusted: boolean): Promise<void> {
    const { FSInfo, BytsPerSec, CountOfClusters } = this.geometry
    if (!FSInfo) return
    const view = viewOf(await this.volume.read(FSInfo * BytsPerSec, BytsPerSec))
    const signed =
      view.getUint32(0, true) === FSI.LeadSig &&
      view.getUint32(484, true) === FSI.StrucSig &&
      view.getUint32(508, true) === FSI.TrailSig
    if (!signed) return
    this.hasFsInfo = true
    const free = view.getUint32(FSI.Free_Count, true)
    const next = view.getUint32(FSI.Nxt_Free, true)
    if (trusted && free <= CountOfClusters) this.freeCount = free
    if (isCluster(this.geometry, next)) this.hint = next
  }

  private async stageFsInfo(change: Change): Promise<void> {
    const bytes = new Uint8Array(8)
    const view = viewOf(bytes)
    let hint = this.hint
    for (const [cluster, value] of change.links) if (value === END && cluster > 1) hint = cluster + 1
    view.setUint32(0, (await this.freeClusters()) + change.freed, true)
    view.setUint32(4, isCluster(this.geometry, hint) ? hint : 2, true)
    const phase = change.links.size ? PHASE.link : PHASE.free
    await change.write(this.geometry.FSInfo * this.geometry.BytsPerSec + FSI.Free_Count, bytes, phase)
  }

  // -------------------------------------------------------------- staging
  async stage(change: Change): Promise<void> {
    const images = new Map<number, Image>()
    await this.stageEntries(change, change.links, images, PHASE.link)
    await this.stageEntries(change, change.frees, images, PHASE.free)
    if (this.hasFsInfo && change.freed) await this.stageFsInfo(change)
    change.after(() => {
      if (this.freeCount !== undefined) this.freeCount += change.freed
      for (const [index, { bytes }] of images)
        if (this.windows.has(index)) this.windows.set(index, { bytes, view: viewOf(bytes) })
    })
  }

  private async stageEntries(
    change: Change,
    entries: Map<number, number>,
    images: Map<number, Image>,
    phase: number,
  ): Promise<void> {
    const { BytsPerSec } = this.geometry
    for (const image of images.values()) image.dirty.clear()
    for (const [cluster, value] of entries) {
      const image = await this.imageOf(images, cluster)
      for (const at of this.encode(image.bytes, cluster, value)) image.dirty.add(Math.floor(at / BytsPerSec))
    }
    for (const [index, image] of images) await this.writeImage(change, index, image, phase)
  }

  private async imageOf(images: Map<number, Image>, cluster: number): Promise<Image> {
    const index = Math.floor(cluster / this.entriesPerWindow)
    let image = images.get(index)
    if (!image) {
      image = { bytes: (await this.window(cluster)).bytes.slice(), dirty: new Set() }
      images.set(index, image)
    }
    return image
  }

  /** Neighbouring sectors go as one write, to each copy that is kept. */
  private async writeImage(change: Change, index: number, image: Image, phase: number): Promise<void> {
    const { BytsPerSec, NumFATs, mirrored, activeFat } = this.geometry
    const sectors = [...image.dirty].sort((a, b) => a - b)
    for (let i = 0; i < sectors.length; ) {
      let end = i + 1
      while (end < sectors.length && sectors[end] === sectors[end - 1] + 1) end++
      const from = sectors[i] * BytsPerSec
      const bytes = image.bytes.subarray(from, (sectors[end - 1] + 1) * BytsPerSec)
      for (let copy = 0; copy < NumFATs; copy++)
        if (mirrored || copy === activeFat)
          await change.write(this.copyOffset(copy) + index * this.windowBytes + from, bytes, phase)
      i = end
    }
  }

  // -------------------------------------------------------------- dirty mark
  /** ClnShutBitMask of FAT[1]; FAT12 has none. */
  private get cleanBit(): number {
    return this.geometry.FatType === 32 ? 0x08000000 : this.geometry.FatType === 16 ? 0x8000 : 0
  }
  async isMarkedClean(): Promise<boolean> {
    return !this.cleanBit || ((await this.entry(1)) & this.cleanBit) !== 0
  }
  async markClean(change: Change, clean: boolean): Promise<void> {
    if (!this.cleanBit) return
    const value = await this.entry(1)
    change.links.set(1, clean ? value | this.cleanBit : value & ~this.cleanBit)
  }
}
