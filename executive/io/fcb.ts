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
import { FileEndOfFileInformation } from '#contracts/information'
import { FILE_SIZES, IRP_MJ } from '#contracts/wdm'
import { NT_SUCCESS, NT_STATUS, type NTSTATUS, StatusError } from '#rtl'
import type { Extent, FileCache } from '../cc/index.ts'
import type { Executive } from '../executive.ts'
import { SharedLock } from '../ke/lock.ts'
import type { FileObject } from './file.ts'
import type { Vcb } from './volume.ts'

export type Sizes = Of<typeof FILE_SIZES>
/** Zeroes are written in pieces of this size when a file grows over a gap. */
const GAP_PIECE = 256 * 1024

export class Fcb {
  readonly vcb: Vcb
  readonly fileId: number
  /** Folded path on the volume, kept current by renames. */
  path: string
  sizes: Sizes
  readonly opens = new Set<FileObject>()
  readonly cache: FileCache
  deletePending = false
  private readonly ex: Executive
  private readonly lock = new SharedLock()
  private known: Extent[] = []

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
      const length = Math.min(target.length, Math.max(0, this.sizes.FileSize - offset))
      if (length > 0) await this.cache.read(offset, length, (piece, at) => this.copy(target, at, piece))
      return length
    })
  }
  async write(offset: number, source: Uint8Array): Promise<void> {
    await this.ex.cc.throttle()
    if (offset + source.length <= this.sizes.FileSize) {
      await this.lock.shared(() => this.store(offset, source, this.sizes.FileSize))
    } else await this.lock.exclusive(() => this.extendAndStore(offset, source))
  }
  private async extendAndStore(offset: number, source: Uint8Array): Promise<void> {
    const before = this.sizes.FileSize
    if (offset + source.length > before) await this.askForSize(offset + source.length)
    await this.zero(before, offset)
    await this.store(offset, source, before)
  }
  private async store(offset: number, source: Uint8Array, existing: number): Promise<void> {
    this.ex.env.copied.bytes += source.length
    this.ex.env.copied.calls++
    await this.cache.write(offset, source, existing)
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
      const before = this.sizes.FileSize
      if (size < before) await this.settleWrites()
      await this.askForSize(size)
      if (size < before) {
        this.cache.discard(size)
        this.cache.zeroTail(size)
      } else await this.zero(before, size)
    })
  }
  private async settleWrites(): Promise<void> {
    const status = await this.cache.flush()
    if (!NT_SUCCESS(status)) throw new StatusError(status)
  }
  private async askForSize(size: number): Promise<void> {
    const [file] = this.opens
    const { bytes } = FileEndOfFileInformation.encode({ EndOfFile: size })
    const result = await this.ex.io.irps.submit({
      device: file.device, file, major: IRP_MJ.IRP_MJ_SET_INFORMATION, requestor: 'system', idempotent: true, input: bytes,
      parameters: { kind: 'SetFile', Length: bytes.length, FileInformationClass: FileEndOfFileInformation.number, ReplaceIfExists: false },
    })
    if (!NT_SUCCESS(result.Status)) throw new StatusError(result.Status)
    if (result.response?.kind === 'Sizes') this.setSizes(result.response.Sizes)
  }
  /** What the file system answered; a smaller allocation forgets the extents beyond it. */
  setSizes(sizes: Sizes): void {
    if (sizes.AllocationSize < this.sizes.AllocationSize) this.forgetExtents(sizes.AllocationSize)
    this.sizes = sizes
  }
  /** Runs with no data moving and none to be written any more: the file is about to vanish or be emptied. */
  discarding<T>(section: () => Promise<T>): Promise<T> {
    return this.lock.exclusive(async () => {
      await this.cache.flush()
      const result = await section()
      this.cache.discard(0)
      return result
    })
  }
  flush(): Promise<NTSTATUS> {
    return this.cache.flush()
  }

  async extents(offset: number, length: number): Promise<readonly Extent[]> {
    const end = Math.min(offset + length, this.sizes.AllocationSize)
    if (end <= offset) return []
    let found = clip(this.known, offset, end)
    if (covered(found) < end - offset) {
      await this.fetchExtents(offset, end - offset)
      found = clip(this.known, offset, end)
    }
    return found
  }
  /** Asks for the whole megabyte around, so that neighbours need not ask again. */
  private async fetchExtents(offset: number, length: number): Promise<void> {
    const around = 1024 * 1024
    const from = Math.floor(offset / around) * around
    const to = Math.ceil((offset + length) / around) * around
    const [file] = this.opens
    if (!file) throw new StatusError('STATUS_FILE_CLOSED')
    const result = await this.ex.io.irps.submit({
      device: file.device, file, major: IRP_MJ.IRP_MJ_QUERY_EXTENTS, requestor: 'system', idempotent: true,
      parameters: { kind: 'QueryExtents', ByteOffset: from, Length: to - from },
    })
    if (!NT_SUCCESS(result.Status)) throw new StatusError(result.Status)
    if (result.response?.kind !== 'Extents') throw new StatusError('STATUS_INTERNAL_ERROR', 'a file system answered no extents')
    this.merge(result.response.Extents, from, to)
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
    this.known = this.known
      .filter((e) => e.FileOffset < size)
      .map((e) => (e.FileOffset + e.Length > size ? { ...e, Length: size - e.FileOffset } : e))
  }

  // ------------------------------------------------------------ sharing
  /** Throws STATUS_SHARING_VIOLATION unless a new open fits with all that are there. */
  checkShare(access: number, share: number): void {
    for (const open of this.opens) {
      if (conflicts(access, open.shareAccess) || conflicts(open.grantedAccess, share)) throw new StatusError('STATUS_SHARING_VIOLATION')
    }
    if (this.deletePending) throw new StatusError('STATUS_DELETE_PENDING')
  }
}

const READ_BITS = 0x1 | 0x20
const WRITE_BITS = 0x2 | 0x4
const DELETE_BIT = 0x10000
function conflicts(access: number, share: number): boolean {
  return (
    ((access & READ_BITS) !== 0 && !(share & 1)) || ((access & WRITE_BITS) !== 0 && !(share & 2)) || ((access & DELETE_BIT) !== 0 && !(share & 4))
  )
}
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
const covered = (extents: readonly Extent[]): number => extents.reduce((sum, extent) => sum + extent.Length, 0)
export const folded = (path: string): string => path.toUpperCase()
export { NT_STATUS }
