/**
 * One mounted volume: geometry, FAT, directories, the files that are open, the dirty mark.
 *
 *   mountVolume(...)          recognise and set up; then markDirty in a change of the mount's own
 *   begin(Irp) / finish(c)    the one commit of a changing IRP
 *   resolve(path)             entry of a name, with its directory
 *   openFcb / release         the one Fcb of a file, however many opens
 *
 * A file's id is the volume offset of its short entry, +n when a renamed file still has that id, and stays with the Fcb
 * for its life. The caller (index.ts) holds the volume's resource: exclusive around begin … finish, else shared.
 */
import { StatusError } from '#rtl'
import type { DEVICE_OBJECT, FileSizes, FS_COMMIT, FS_VOLUME, IRP } from '#wdm'
import { BOOT_BYTES, type Geometry, isCluster, parseBootSector } from './boot.ts'
import { Change, PHASE } from './change.ts'
import { Directory, type Entry } from './directory.ts'
import { ATTR_DIRECTORY, toDosTime } from './dirent.ts'
import type { RunList } from './extents.ts'
import { Fat } from './fat.ts'

/** One open of a file. */
export interface Ccb {
  readonly fcb: Fcb
  /** The volume itself was opened, by the empty name. */
  readonly isVolume: boolean
  readonly file: number
  deleteOnClose: boolean
  cleaned: boolean
  scan?: { expression: string; position: number; matched: boolean }
}
/** A file or directory that is open, or leads to one. */
export interface Fcb {
  readonly id: number
  readonly parent: Fcb | undefined
  /** Undefined: the root, or the volume. */
  entry: Entry | undefined
  runs: RunList | undefined
  /** Opens not cleaned up; opens, and Fcbs below. */
  opens: number
  references: number
  deletePending: boolean
  /** The pending deletion is known to the next life. */
  parked: boolean
  deleted: boolean
}
/** Beyond a file's entry, which are multiples of 32. */
export const ROOT_ID = 0
export const VOLUME_ID = 1
/** Directories kept indexed beside those that are in use. */
const DIRECTORIES_MAX = 64
/** Byte 0x25 or 0x41 of the boot sector, bit 0. */
const DIRTY_FLAG = 0x01
/** Bits of the parked state 'mount'. */
export const MOUNT = { clean: 1, readOnly: 2 } as const
export const parkKeyOf = (storage: DEVICE_OBJECT, what: string): string => `${what}:${storage.handle}`

export interface VolumeSeams {
  readonly storage: FS_VOLUME
  readonly readOnly: boolean
  systemTime(): number
  /** State for the next life of the driver. */
  park(key: string, state: Uint8Array): Promise<void>
  parked(key: string): Promise<Uint8Array>
}

export class Volume {
  readonly geometry: Geometry
  readonly fat: Fat
  readonly seams: VolumeSeams
  readonly rootFcb: Fcb = makeFcb(ROOT_ID, undefined, undefined)
  readonly volumeFcb: Fcb = makeFcb(VOLUME_ID, undefined, undefined)
  readonly opens = new Map<number, Ccb>()
  /** By the offset of the short entry. */
  private readonly fcbs = new Map<number, Fcb>()
  private readonly ids = new Set<number>()
  private readonly directories = new Map<number, Directory>()
  root!: Directory
  VolumeDevice!: DEVICE_OBJECT
  /** It was clean when it was mounted: then it becomes clean again at its dismount. */
  cleanAtMount = false
  marked = false
  locked = false
  dismounted = false
  private bootFlags = 0
  private hasBackup = false
  /** IRPs at work: nothing is evicted while another looks at it. */
  active = 0

  constructor(geometry: Geometry, seams: VolumeSeams) {
    this.geometry = geometry
    this.seams = seams
    this.fat = new Fat(geometry, seams.storage)
  }

  // -------------------------------------------------------------- mount
  async load(rebind: boolean): Promise<void> {
    const { dirtyOffset, RootClus, backupDirtyOffset } = this.geometry
    this.bootFlags = dirtyOffset ? await this.readByte(dirtyOffset) : 0
    this.hasBackup = backupDirtyOffset > 0 && (await this.readByte(backupDirtyOffset)) === this.bootFlags
    const clean = !(this.bootFlags & DIRTY_FLAG) && (await this.fat.isMarkedClean())
    this.cleanAtMount = clean || (rebind && (await this.wasClean()))
    this.marked = rebind && !clean
    await this.fat.loadFsInfo(this.cleanAtMount)
    this.root = await this.loadDirectory(RootClus)
  }
  private async wasClean(): Promise<boolean> {
    const [state = 0] = await this.seams.parked(this.parkKey('mount'))
    return (state & MOUNT.clean) !== 0
  }
  private async readByte(offset: number): Promise<number> {
    const { BytsPerSec } = this.geometry
    const sector = Math.floor(offset / BytsPerSec) * BytsPerSec
    return (await this.readMetadata(sector, BytsPerSec))[offset - sector]
  }
  parkKey(what: string): string {
    return parkKeyOf(this.seams.storage.StorageDevice, what)
  }

  /** Whole sectors; FS_VOLUME takes those of the device, which are no larger. */
  readMetadata(offset: number, length: number): Promise<Uint8Array> {
    return this.seams.storage.read(offset, length)
  }

  // -------------------------------------------------------------- changes
  begin(Irp: IRP): Change {
    if (this.seams.readOnly) throw new StatusError('STATUS_MEDIA_WRITE_PROTECTED')
    const commit: FS_COMMIT = this.seams.storage.begin(Irp, this.VolumeDevice)
    return new Change(commit)
  }

  /** Stages what is left and lets memory follow; the IRP must be completed with success right after. */
  async finish(change: Change): Promise<void> {
    if (!this.marked) await this.mark(change, true)
    await this.fat.stage(change)
    change.settle()
  }

  /** Both marks: the boot sector's flag, and the bit of FAT[1]. Only a volume found clean is ever marked clean. */
  async mark(change: Change, dirty: boolean): Promise<void> {
    const { dirtyOffset, backupDirtyOffset } = this.geometry
    const flags = dirty ? this.bootFlags | DIRTY_FLAG : this.bootFlags & ~DIRTY_FLAG
    for (const offset of [dirtyOffset, this.hasBackup ? backupDirtyOffset : 0])
      if (offset) await change.write(offset, new Uint8Array([flags]), PHASE.link)
    await this.fat.markClean(change, !dirty)
    change.after(() => {
      this.bootFlags = flags
      this.marked = dirty
    })
  }

  now(): { date: number; time: number; tenths: number } {
    return toDosTime(this.seams.systemTime())
  }

  // -------------------------------------------------------------- directories
  async loadDirectory(key: number): Promise<Directory> {
    const known = this.directories.get(key)
    if (known) return known
    const directory = new Directory(this, key, await this.fat.loadRuns(key))
    await directory.load()
    const meanwhile = this.directories.get(key)
    if (meanwhile) return meanwhile
    this.directories.set(key, directory)
    return directory
  }

  directoryOf(entry: Entry | undefined): Promise<Directory> {
    if (!entry) return Promise.resolve(this.root)
    if (!isCluster(this.geometry, entry.firstCluster))
      throw new StatusError('STATUS_FILE_CORRUPT_ERROR', 'a directory has no cluster')
    return this.loadDirectory(entry.firstCluster)
  }
  forget(key: number): void {
    this.directories.delete(key)
  }

  /** For an IRP that begins while no other is at work: nobody holds a directory that is not in use by an open file. */
  evict(): void {
    if (this.directories.size < DIRECTORIES_MAX || this.active > 1) return
    const used = new Set([this.root])
    for (const fcb of this.fcbs.values()) if (fcb.entry) used.add(fcb.entry.directory)
    for (const [key, directory] of this.directories)
      if (!used.has(directory) && this.directories.size > DIRECTORIES_MAX / 2) this.directories.delete(key)
  }

  /** The entries along a path, all but the last directories. `missing`: the last name does not exist. */
  async resolve(names: readonly string[]): Promise<{ path: Entry[]; directory: Directory; missing: boolean }> {
    const path: Entry[] = []
    let directory = this.root
    for (const [i, name] of names.entries()) {
      const last = i === names.length - 1
      const entry = directory.lookup(name)
      if (!entry && last) return { path, directory, missing: true }
      if (!entry || (!last && !(entry.attributes & ATTR_DIRECTORY)))
        throw new StatusError('STATUS_OBJECT_PATH_NOT_FOUND')
      path.push(entry)
      if (!last) directory = await this.directoryOf(entry)
    }
    return { path, directory, missing: false }
  }

  // -------------------------------------------------------------- open files
  fcbOf(entry: Entry): Fcb | undefined {
    return this.fcbs.get(entry.directory.offsetOf(entry))
  }

  /** The Fcb of the last entry of a path, and of each directory above it. */
  fcbOfPath(path: readonly Entry[]): Fcb {
    let fcb = this.rootFcb
    for (const entry of path) fcb = this.fcbOf(entry) ?? this.addFcb(entry, fcb)
    return fcb
  }

  private addFcb(entry: Entry, parent: Fcb): Fcb {
    const offset = entry.directory.offsetOf(entry)
    let id = offset
    while (this.ids.has(id)) id++
    this.ids.add(id)
    const fcb = makeFcb(id, parent, entry)
    parent.references++
    this.fcbs.set(offset, fcb)
    return fcb
  }

  addOpen(fcb: Fcb, file: number, options: { isVolume?: boolean; deleteOnClose?: boolean } = {}): Ccb {
    const ccb: Ccb = {
      fcb,
      isVolume: options.isVolume === true,
      file,
      deleteOnClose: options.deleteOnClose === true,
      cleaned: false,
    }
    fcb.opens++
    fcb.references++
    this.opens.set(file, ccb)
    return ccb
  }

  /** An Fcb nobody refers to goes, and those above it that were kept only for it. */
  release(fcb: Fcb): void {
    let at: Fcb | undefined = fcb
    at.references--
    while (at?.entry && at.references === 0) {
      const offset = at.entry.directory.offsetOf(at.entry)
      if (this.fcbs.get(offset) === at) this.fcbs.delete(offset)
      this.ids.delete(at.id)
      at = at.parent
      if (at) at.references--
    }
  }

  /** Fcbs of a path that was only looked at. */
  releaseUnused(fcb: Fcb): void {
    fcb.references++
    this.release(fcb)
  }

  /** The file's entry is another one now; its id stays. */
  rebase(fcb: Fcb, entry: Entry, parent: Fcb, oldOffset: number): Fcb {
    this.fcbs.delete(oldOffset)
    const moved = fcb as { -readonly [K in keyof Fcb]: Fcb[K] }
    moved.entry = entry
    if (parent !== fcb.parent) {
      parent.references++
      const old = fcb.parent
      moved.parent = parent
      if (old) this.release(old)
    }
    this.fcbs.set(entry.directory.offsetOf(entry), fcb)
    return fcb
  }
  forgetFcb(fcb: Fcb): void {
    if (fcb.entry) this.fcbs.delete(fcb.entry.directory.offsetOf(fcb.entry))
  }
  *openFcbs(): Generator<Fcb> {
    for (const { fcb, cleaned } of this.opens.values()) if (!cleaned) yield fcb
  }

  /** Where the file's clusters are; a chain too short for the file's size is damage. */
  async runsOf(fcb: Fcb): Promise<RunList> {
    if (fcb.runs) return fcb.runs
    if (!fcb.entry) return this.root.runs
    const { entry } = fcb
    if (entry.attributes & ATTR_DIRECTORY) return (await this.directoryOf(entry)).runs
    const runs = await this.fat.loadRuns(entry.firstCluster)
    if (runs.clusters * this.geometry.BytsPerClus < entry.size)
      throw new StatusError('STATUS_FILE_CORRUPT_ERROR', 'a chain is shorter than its file')
    fcb.runs ??= runs
    return fcb.runs
  }

  async sizesOf(fcb: Fcb): Promise<FileSizes> {
    const { volumeSize, BytsPerClus } = this.geometry
    if (fcb === this.volumeFcb)
      return { AllocationSize: volumeSize, FileSize: volumeSize, ValidDataLength: volumeSize, IsDirectory: false }
    if (isDirectory(fcb)) return { AllocationSize: 0, FileSize: 0, ValidDataLength: 0, IsDirectory: true }
    const FileSize = (fcb.entry as Entry).size
    const AllocationSize = (await this.runsOf(fcb)).clusters * BytsPerClus
    return { AllocationSize, FileSize, ValidDataLength: FileSize, IsDirectory: false }
  }

  pathOf(fcb: Fcb): string {
    const names: string[] = []
    for (let at: Fcb | undefined = fcb; at?.entry; at = at.parent) names.unshift(at.entry.name)
    return fcb === this.volumeFcb ? '' : `\\${names.join('\\')}`
  }
}

function makeFcb(id: number, parent: Fcb | undefined, entry: Entry | undefined): Fcb {
  return {
    id,
    parent,
    entry,
    runs: undefined,
    opens: 0,
    references: 0,
    deletePending: false,
    parked: false,
    deleted: false,
  }
}
export const isDirectory = (fcb: Fcb): boolean =>
  fcb.entry ? (fcb.entry.attributes & ATTR_DIRECTORY) !== 0 : fcb.id === ROOT_ID

/** Reads and checks the boot sector; STATUS_UNRECOGNIZED_VOLUME when it is no FAT volume. */
export async function loadVolume(seams: VolumeSeams, deviceLength: number, rebind: boolean): Promise<Volume> {
  const { SectorSize } = seams.storage
  const geometry = parseBootSector(await seams.storage.read(0, Math.max(SectorSize, BOOT_BYTES)), deviceLength)
  if (geometry.BytsPerSec < SectorSize) throw new StatusError('STATUS_UNRECOGNIZED_VOLUME', 'BytsPerSec')
  const volume = new Volume(geometry, seams)
  await volume.load(rebind)
  return volume
}
