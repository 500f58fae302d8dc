/**
 * A disk image on the host: the only way a device reaches a file.
 *
 *   openImage({ path, mode })     'rw' writes to it, 'ro' refuses writes, 'snapshot' keeps writes aside and forgets them
 *   image.read(views, offset)     straight into the views: no copy of ours
 *   image.write(views, offset)
 *   image.flush()                 fdatasync: what was written survives the host's death too
 *   image.close()
 *   memoryImage(bytes)            the same of bytes in memory: no file, no lock; for the simulator
 *
 * A bad image (missing, a directory, in use, not whole sectors, unreadable) is an Error with one sentence that says
 * what to do. An IO error later is an ImageError with the place. Offsets and lengths are whole sectors, inside the
 * image: the caller checked. The lock lives as long as the descriptor, so it never outlives the process.
 */
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { lockFile } from './file-lock.ts'
import { lengthOf, sliceViews, type Views } from './views.ts'

export type ImageMode = 'rw' | 'ro' | 'snapshot'
export interface ImageOptions {
  readonly path: string
  readonly mode: ImageMode
  /** Where a snapshot's writes go, in a file without a name; the system's temporary directory unless given. */
  readonly overlayDirectory?: string
}
export interface DiskImage {
  readonly bytes: number
  readonly readOnly: boolean
  read(views: Views, offset: number): void
  write(views: Views, offset: number): void
  flush(): void
  close(): void
}
export class ImageError extends Error {
  /** Byte offset of the first byte that could not be transferred. */
  readonly offset: number
  constructor(offset: number, cause: unknown) {
    super(`disk image: ${(cause as Error).message}`)
    this.name = 'ImageError'
    this.offset = offset
  }
}

const SECTOR = 512
/** IOV_MAX of Linux: more views than this take several system calls. */
const VIEWS_PER_CALL = 1024

export function openImage({ path: file, mode, overlayDirectory }: ImageOptions): DiskImage {
  const descriptor = openFile(file, mode)
  try {
    const bytes = checkedSize(descriptor, file)
    takeLock(descriptor, file, mode)
    const base = new FileImage(descriptor, bytes, mode !== 'rw')
    return mode === 'snapshot' ? new SnapshotImage(base, openOverlay(bytes, overlayDirectory)) : base
  } catch (error) {
    fs.closeSync(descriptor)
    throw error
  }
}

function openFile(file: string, mode: ImageMode): number {
  try {
    if (fs.statSync(file).isDirectory()) throw new Error(`${file} is a directory; name a disk image file`)
    return fs.openSync(file, mode === 'rw' ? 'r+' : 'r')
  } catch (error) {
    throw explained(error as NodeJS.ErrnoException, file, mode)
  }
}
function explained(error: NodeJS.ErrnoException, file: string, mode: ImageMode): Error {
  if (error.code === undefined) return error
  if (error.code === 'ENOENT')
    return new Error(`There is no disk image ${file}; check the path or make the image first`)
  const denied = error.code === 'EACCES' || error.code === 'EPERM' || error.code === 'EROFS'
  if (denied && mode === 'rw')
    return new Error(`The disk image ${file} may not be written; change its permissions or attach it as ro or snapshot`)
  if (denied) return new Error(`The disk image ${file} may not be read; change its permissions`)
  return new Error(`The disk image ${file} cannot be opened (${error.code}); name another one`)
}
function checkedSize(descriptor: number, file: string): number {
  const stat = fs.fstatSync(descriptor)
  if (!stat.isFile()) throw new Error(`${file} is not a regular file; name a disk image file`)
  if (stat.size === 0) throw new Error(`The disk image ${file} is empty; make a file system on it first`)
  if (stat.size % SECTOR !== 0)
    throw new Error(
      `The disk image ${file} has ${stat.size} bytes, not a multiple of ${SECTOR}; it is no raw disk image`,
    )
  return stat.size
}
function takeLock(descriptor: number, file: string, mode: ImageMode): void {
  if (lockFile(descriptor, mode === 'rw' ? 'exclusive' : 'shared')) return
  const advice = mode === 'rw' ? 'end it, or make a copy of the image' : 'end it first'
  throw new Error(`The disk image ${file} is in use by another system; ${advice}`)
}

/** A file as it is. */
class FileImage implements DiskImage {
  readonly bytes: number
  readonly readOnly: boolean
  private readonly descriptor: number

  constructor(descriptor: number, bytes: number, readOnly: boolean) {
    this.descriptor = descriptor
    this.bytes = bytes
    this.readOnly = readOnly
  }
  read(views: Views, offset: number): void {
    transfer(views, offset, (part, at) => {
      if (part.length === 1) return fs.readSync(this.descriptor, part[0], 0, part[0].length, at)
      return fs.readvSync(this.descriptor, part, at)
    })
  }
  write(views: Views, offset: number): void {
    transfer(views, offset, (part, at) => {
      if (part.length === 1) return fs.writeSync(this.descriptor, part[0], 0, part[0].length, at)
      return fs.writevSync(this.descriptor, part, at)
    })
  }
  flush(): void {
    if (this.readOnly) return
    try {
      fs.fdatasyncSync(this.descriptor)
    } catch (error) {
      throw new ImageError(0, error)
    }
  }
  close(): void {
    fs.closeSync(this.descriptor)
  }
}

/** The bytes outlive the device: its next life finds what this one wrote. */
export function memoryImage(bytes: Uint8Array): DiskImage {
  const move = (views: Views, offset: number, one: (view: Uint8Array, at: number) => void) => {
    let at = offset
    for (const view of views) {
      one(view, at)
      at += view.length
    }
  }
  return {
    bytes: bytes.length,
    readOnly: false,
    read: (views, offset) => move(views, offset, (view, at) => view.set(bytes.subarray(at, at + view.length))),
    write: (views, offset) => move(views, offset, (view, at) => bytes.set(view, at)),
    flush() {},
    close() {},
  }
}

/** One system call as a rule; a short transfer is continued where it stopped. */
function transfer(views: Views, offset: number, call: (part: Uint8Array[], at: number) => number): void {
  let rest = views as Uint8Array[]
  let at = offset
  while (rest.length) {
    const part = rest.length > VIEWS_PER_CALL ? rest.slice(0, VIEWS_PER_CALL) : rest
    const moved = attempt(part, at, call)
    if (moved === lengthOf(part)) rest = rest.slice(part.length)
    else rest = sliceViews(rest, moved, Number.POSITIVE_INFINITY)
    at += moved
  }
}
function attempt(part: Uint8Array[], at: number, call: (part: Uint8Array[], at: number) => number): number {
  let moved: number
  try {
    moved = call(part, at)
  } catch (error) {
    throw new ImageError(at, error)
  }
  if (moved === 0) throw new ImageError(at, new Error('the file ends here; it was cut while in use'))
  return moved
}

/** Blocks that were written are in the overlay, all others in the base, which is never touched. */
class SnapshotImage implements DiskImage {
  readonly bytes: number
  readonly readOnly = false
  private readonly base: DiskImage
  private readonly overlay: DiskImage
  /** One byte per block: 1 = the overlay has it. */
  private readonly owned: Uint8Array

  constructor(base: DiskImage, overlay: DiskImage) {
    this.bytes = base.bytes
    this.base = base
    this.overlay = overlay
    this.owned = new Uint8Array(Math.ceil(base.bytes / BLOCK))
  }
  /** Runs of blocks from one source are one transfer. */
  read(views: Views, offset: number): void {
    const end = offset + lengthOf(views)
    for (let at = offset; at < end; ) {
      const run = Math.min(end, this.runEnd(at, end))
      const part = run - at === end - offset ? views : sliceViews(views, at - offset, run - at)
      const source = this.owned[Math.floor(at / BLOCK)] ? this.overlay : this.base
      source.read(part, at)
      at = run
    }
  }
  private runEnd(from: number, limit: number): number {
    let block = Math.floor(from / BLOCK)
    const kind = this.owned[block]
    while (block * BLOCK < limit && this.owned[block] === kind) block++
    return block * BLOCK
  }
  write(views: Views, offset: number): void {
    const end = offset + lengthOf(views)
    const first = Math.floor(offset / BLOCK)
    const last = Math.floor((end - 1) / BLOCK)
    if (offset % BLOCK) this.adopt(first)
    if (end % BLOCK) this.adopt(last)
    this.overlay.write(views, offset)
    this.owned.fill(1, first, last + 1)
  }
  /** A block that is written in part needs its other part first. */
  private adopt(block: number): void {
    if (this.owned[block]) return
    const content = new Uint8Array(Math.min(BLOCK, this.bytes - block * BLOCK))
    this.base.read([content], block * BLOCK)
    this.overlay.write([content], block * BLOCK)
    this.owned[block] = 1
  }
  /** Nothing of a snapshot is to survive. */
  flush(): void {}
  close(): void {
    this.overlay.close()
    this.base.close()
  }
}
/** A host page: what the page cache moves at once. */
const BLOCK = 4096

/** A sparse file that loses its name at once: it goes with the process, however that ends. */
function openOverlay(bytes: number, directory: string = os.tmpdir()): FileImage {
  const file = path.join(directory, `snapshot-${process.pid}-${process.hrtime.bigint()}`)
  try {
    const descriptor = fs.openSync(file, 'wx+', 0o600)
    fs.unlinkSync(file)
    fs.ftruncateSync(descriptor, bytes)
    return new FileImage(descriptor, bytes, false)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new Error(
      `No room for a snapshot's writes in ${directory} (${code}); set TMPDIR to a directory that has some`,
    )
  }
}
