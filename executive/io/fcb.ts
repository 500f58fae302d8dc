/**
 * What all opens of one file on a volume share: sizes, extents, cache, who shares what with whom.
 *
 *   read / write          through the cache
 *   setSize               the file system's part, then the cache's
 *   extents               where the bytes lie; asked of the file system once, kept until the allocation shrinks
 *
 * Sizes change only under the exclusive lock; data moves under the shared one, so that no page is written to a cluster
 * that a truncation is freeing.
 */
import type { Of } from '#contracts/field'
import {
  DELETE,
  FILE_APPEND_DATA,
  FILE_EXECUTE,
  FILE_READ_DATA,
  FILE_SHARE_DELETE,
  FILE_SHARE_READ,
  FILE_SHARE_WRITE,
  FILE_WRITE_DATA,
  FileEndOfFileInformation,
} from '#contracts/information'
import { type FILE_SIZES, IRP_MJ } from '#contracts/wdm'
import { NT_SUCCESS, NT_STATUS, type NTSTATUS, StatusError } from '#rtl'
import type { Extent, FileCache } from '../cc/index.ts'
import type { Executive } from '../executive.ts'
import { SharedLock } from '../ke/lock.ts'
import type { UserBuffer } from '../ps/process.ts'
import { type FileObject, settingOf } from './file.ts'
import type { Vcb } from './volume.ts'

export type Sizes = Of<typeof FILE_SIZES>
/** Zeroes are written in pieces of this size when a file grows over a gap. */
const GAP_PIECE = 256 * 1024
/** Memory of a process that may die meanwhile, or of the Executive's own. */
type Source = Pick<UserBuffer, 'bytes' | 'check'>
function isGone({ check }: Source): boolean {
  try {
    check()
    return false
  } catch {
    return true
  }
}

export class Fcb {
  readonly vcb: Vcb
  fileId: number
  /** Folded path on the volume, kept current by renames. */
  path: string
  sizes: Sizes
  readonly opens = new Set<FileObject>()
  readonly cache: FileCache
  deletePending = false
  /** Nobody has it open any more, or its volume is gone. */
  private closed = false
  private readonly ex: Executive
  private readonly lock = new SharedLock()
  private known: Extent[] = []
  /** Counts what made known extents wrong: an answer asked for before is not kept. */
  private allocations = 0

  constructor(ex: Executive, vcb: Vcb, fileId: number, path: string, sizes: Sizes) {
    this.ex = ex
    this.vcb = vcb
    this.fileId = fileId
    this.path = path
    this.sizes = sizes
    this.cache = ex.cc.fileCache({
      storageDevice: vcb.storageDevice,
      size: () => this.sizes.FileSize,
      extents: (offset, length) => this.extents(offset, length),
    })
  }

  /** Bytes read; 0 at the end of the file. */
  read(offset: number, target: Uint8Array): Promise<number> {
    return this.lock.shared(async () => {
      this.checkOpen()
      const length = Math.min(target.length, Math.max(0, this.sizes.FileSize - offset))
      if (length > 0) await this.cache.read(offset, length, (piece, at) => this.copy(target, at, piece))
      return length
    })
  }
  /** At an offset, or at whatever is the end when its turn comes. Answers with where it went. */
  async write(where: number | 'end', source: Source): Promise<number> {
    const { length } = source.bytes
    await this.ex.cc.throttle()
    if (where !== 'end' && this.holds(where, length) && (await this.lock.shared(() => this.overwrite(where, source))))
      return where
    return this.lock.exclusive(async () => {
      this.checkOpen()
      const offset = where === 'end' ? this.sizes.FileSize : where
      await this.extendAndStore(offset, source)
      return offset
    })
  }
  private holds(offset: number, length: number): boolean {
    return offset + length <= this.sizes.FileSize
  }
  /** False when the file has become too short meanwhile. */
  private async overwrite(offset: number, source: Source): Promise<boolean> {
    this.checkOpen()
    if (!this.holds(offset, source.bytes.length)) return false
    await this.store(offset, source, this.sizes.FileSize)
    return true
  }
  private checkOpen(): void {
    if (this.closed) throw new StatusError('STATUS_FILE_FORCED_CLOSED')
  }
  private async extendAndStore(offset: number, source: Source): Promise<void> {
    const before = this.sizes.FileSize
    const after = offset + source.bytes.length
    if (after > before) await this.askForSize(after)
    await this.zero(before, offset)
    try {
      await this.store(offset, source, before)
    } catch (error) {
      // Its writer died: what is new must not show what the disk held there before.
      if (isGone(source)) await this.zero(Math.max(before, offset), after)
      throw error
    }
  }
  private async store(offset: number, { bytes, check }: Source, existing: number): Promise<void> {
    this.ex.env.copied.bytes += bytes.length
    this.ex.env.copied.calls++
    await this.cache.write(offset, bytes, existing, check)
  }
  private copy(target: Uint8Array, at: number, piece: Uint8Array): void {
    target.set(piece, at)
    this.ex.env.copied.bytes += piece.length
    this.ex.env.copied.calls++
  }
  /** A gap between the old end and a write beyond it reads as zeroes. */
  private async zero(from: number, to: number): Promise<void> {
    for (let at = from; at < to; at += GAP_PIECE) {
      await this.cache.write(at, new Uint8Array(Math.min(GAP_PIECE, to - at)), from)
      await this.ex.cc.throttle()
    }
  }

  /** NtSetInformationFile(FileEndOfFileInformation). */
  setEndOfFile(size: number): Promise<void> {
    return this.lock.exclusive(async () => {
      this.checkOpen()
      const before = this.sizes.FileSize
      if (size < before) await this.settleWrites()
      await this.askForSize(size)
      if (size < before) this.shorten(size)
      else await this.zero(before, size)
    })
  }
  /** Another change of sizes that `section` asks the file system for, such as of the allocation. */
  resizing<T>(section: () => Promise<T>): Promise<T> {
    return this.lock.exclusive(async () => {
      this.checkOpen()
      await this.settleWrites()
      const before = this.sizes.FileSize
      const result = await section()
      if (this.sizes.FileSize < before) this.shorten(this.sizes.FileSize)
      return result
    })
  }
  private shorten(size: number): void {
    this.cache.discard(size)
    this.cache.zeroTail(size)
  }
  private async settleWrites(): Promise<void> {
    const status = await this.cache.flush()
    if (!NT_SUCCESS(status)) throw new StatusError(status)
  }
  private async askForSize(size: number): Promise<void> {
    const file = this.anyOpen()
    const { bytes } = FileEndOfFileInformation.encode({ EndOfFile: size })
    const result = await this.ex.io.irps.submit({
      device: file.device,
      file,
      requestor: 'system',
      idempotent: true,
      ...settingOf(FileEndOfFileInformation.number, bytes),
    })
    if (!NT_SUCCESS(result.Status)) throw new StatusError(result.Status)
    if (result.response?.kind === 'Sizes') this.setSizes(result.response.Sizes)
  }
  /** IRPs on the file itself go through any of its opens. */
  private anyOpen(): FileObject {
    for (const file of this.opens) if (!file.forcedClosed) return file
    throw new StatusError('STATUS_FILE_FORCED_CLOSED')
  }
  /** What the file system answered; a smaller allocation forgets the extents beyond it. */
  setSizes(sizes: Sizes): void {
    if (sizes.AllocationSize < this.sizes.AllocationSize) this.forgetExtents(sizes.AllocationSize)
    this.sizes = sizes
  }
  /** The file system has emptied or replaced the file: nothing is where it was. */
  emptied(sizes: Sizes): void {
    this.forgetExtents(0)
    this.cache.discard(0)
    this.sizes = sizes
  }
  /** Data moves past the cache in `section`: what is dirty goes before it, what is cached is forgotten after it. */
  bypassing<T>(section: () => Promise<T>): Promise<T> {
    return this.lock.exclusive(async () => {
      await this.settleWrites()
      try {
        return await section()
      } finally {
        this.cache.discard(0)
      }
    })
  }
  /** One of the opens goes; with the last one the data is written, or discarded when the file is to be deleted. */
  closing(section: () => Promise<void>): Promise<NTSTATUS> {
    return this.lock.exclusive(async () => {
      const last = this.opens.size === 1
      if (last && this.deletePending) this.cache.discard(0)
      const status = last ? await this.cache.flush() : NT_STATUS.STATUS_SUCCESS
      await section()
      return status
    })
  }
  /** Whoever still waits for the lock finds it closed; dirty pages are dropped. */
  close(): void {
    this.closed = true
    this.ex.cc.closeFile(this.cache)
  }
  flush(): Promise<NTSTATUS> {
    return this.cache.flush()
  }

  /** Less than asked only where the file system says there is no more. */
  async extents(offset: number, length: number): Promise<readonly Extent[]> {
    const end = Math.min(offset + length, this.sizes.AllocationSize)
    for (let gap = gapOf(this.known, offset, end); gap < end; ) {
      const { allocations } = this
      await this.fetchExtents(gap, end - gap)
      const next = gapOf(this.known, offset, end)
      if (next === gap && allocations === this.allocations) break
      gap = next
    }
    return clip(this.known, offset, end)
  }
  /** Asks up to the next 64 MiB, so that neighbours need not ask again; an answer may be shorter. */
  private async fetchExtents(offset: number, length: number): Promise<void> {
    const around = 64 * 1024 * 1024
    const from = offset
    const to = Math.ceil((offset + length) / around) * around
    const file = this.anyOpen()
    const { allocations } = this
    const result = await this.ex.io.irps.submit({
      device: file.device,
      file,
      major: IRP_MJ.IRP_MJ_QUERY_EXTENTS,
      requestor: 'system',
      idempotent: true,
      parameters: { kind: 'QueryExtents', ByteOffset: from, Length: to - from },
    })
    if (!NT_SUCCESS(result.Status)) throw new StatusError(result.Status)
    if (result.response?.kind !== 'Extents')
      throw new StatusError('STATUS_INTERNAL_ERROR', 'a file system answered no extents')
    if (allocations === this.allocations) this.merge(checkedExtents(result.response.Extents, from, to), from, to)
  }
  private merge(extents: readonly Extent[], from: number, to: number): void {
    const outside = this.known.filter((e) => e.FileOffset + e.Length <= from || e.FileOffset >= to)
    const cut = this.known.flatMap((e) => [
      ...(e.FileOffset < from && e.FileOffset + e.Length > from ? [{ ...e, Length: from - e.FileOffset }] : []),
      ...(e.FileOffset < to && e.FileOffset + e.Length > to ? [shifted(e, to)] : []),
    ])
    this.known = [...outside, ...cut, ...extents].sort((a, b) => a.FileOffset - b.FileOffset)
  }
  private forgetExtents(size: number): void {
    this.allocations++
    this.known = this.known
      .filter((e) => e.FileOffset < size)
      .map((e) => (e.FileOffset + e.Length > size ? { ...e, Length: size - e.FileOffset } : e))
  }
}

/** Throws STATUS_SHARING_VIOLATION unless a new open fits with all that are there. */
export function checkShare(opens: Iterable<FileObject>, access: number, share: number): void {
  for (const open of opens) {
    if (conflicts(access, open.shareAccess) || conflicts(open.grantedAccess, share))
      throw new StatusError('STATUS_SHARING_VIOLATION')
  }
}

/** Which accesses each bit of ShareAccess lets others have. */
const SHARED_BY = [
  [FILE_SHARE_READ, FILE_READ_DATA | FILE_EXECUTE],
  [FILE_SHARE_WRITE, FILE_WRITE_DATA | FILE_APPEND_DATA],
  [FILE_SHARE_DELETE, DELETE],
]
const conflicts = (access: number, share: number): boolean =>
  SHARED_BY.some(([bit, accesses]) => (access & accesses) !== 0 && !(share & bit))
function shifted(extent: Extent, from: number): Extent {
  const by = from - extent.FileOffset
  return { FileOffset: from, VolumeOffset: extent.VolumeOffset + by, Length: extent.Length - by }
}
function clip(extents: readonly Extent[], from: number, to: number): Extent[] {
  const found: Extent[] = []
  for (const extent of extents) {
    if (extent.FileOffset >= to || extent.FileOffset + extent.Length <= from) continue
    const inner = extent.FileOffset < from ? shifted(extent, from) : extent
    found.push(inner.FileOffset + inner.Length > to ? { ...inner, Length: to - inner.FileOffset } : inner)
  }
  return found
}
/** The first byte of [from, to) no extent covers; `to` when there is none. */
function gapOf(extents: readonly Extent[], from: number, to: number): number {
  let gap = from
  for (const extent of extents) {
    if (gap >= to || extent.FileOffset > gap) break
    gap = Math.max(gap, extent.FileOffset + extent.Length)
  }
  return Math.min(gap, to)
}
/** What a file system says of [from, to), in order; it must not say two things of one byte. */
function checkedExtents(answer: readonly Extent[], from: number, to: number): Extent[] {
  const extents = clip(
    answer.filter((extent) => extent.Length > 0),
    from,
    to,
  ).sort((a, b) => a.FileOffset - b.FileOffset)
  const wrong = extents.some(
    (extent, i) =>
      extent.VolumeOffset < 0 || (i > 0 && extent.FileOffset < extents[i - 1].FileOffset + extents[i - 1].Length),
  )
  if (wrong) throw new StatusError('STATUS_FILE_CORRUPT_ERROR', 'extents that overlap')
  return extents
}
export const folded = (path: string): string => path.toUpperCase()
