/**
 * The FAT driver's logic over an image in memory, with no process and no message: what the Executive would do is done here.
 *
 *   const fs = await mountImage(bytes)         a volume, dirty mark set
 *   fs.open(path, { disposition, options })    → FakeFile: read write setEndOfFile rename dispose close …
 *   fs.events                                  everything that reached the disk, in order: data, and the phases of each commit
 *   fs.dismount()
 *
 * Commits are applied whole when their operation succeeded and dropped when it failed, as completion does.
 */
import * as nt from '#contracts/information'
import { NT_STATUS, StatusError, statusName } from '#rtl'
import type { DEVICE_OBJECT, FileSizes, FS_COMMIT, FS_VOLUME, IRP } from '#wdm'
import { type Begin, cleanupFile, closeFile, createFile } from '../../drivers/filesystems/fatfs/create.ts'
import { queryDirectory } from '../../drivers/filesystems/fatfs/dir.ts'
import { extentsOf } from '../../drivers/filesystems/fatfs/extents.ts'
import { queryInformation, setInformation } from '../../drivers/filesystems/fatfs/info.ts'
import { type Ccb, loadVolume, type Volume, type VolumeSeams } from '../../drivers/filesystems/fatfs/volume.ts'
import { queryVolumeInformation } from '../../drivers/filesystems/fatfs/volume-info.ts'
import type { Change } from '../../drivers/filesystems/fatfs/change.ts'

export interface DiskWrite {
  readonly offset: number
  readonly bytes: Uint8Array
}
/** Writes that may reach the disk in any order; all before those of the next event. */
export interface DiskEvent {
  readonly what: string
  readonly writes: DiskWrite[]
}
const SECTOR = 512
/** 2024-02-29 12:34:56 UTC. */
const NOW = (Date.UTC(2024, 1, 29, 12, 34, 56) + 11_644_473_600_000) * 10_000

class FakeCommit implements FS_COMMIT {
  readonly writes: (DiskWrite & { phase: number })[] = []
  private readonly disk: Buffer
  constructor(disk: Buffer) {
    this.disk = disk
  }
  async read(offset: number, length: number): Promise<Uint8Array> {
    const bytes = Buffer.from(this.disk.subarray(offset, offset + length))
    for (const write of this.writes)
      for (let i = 0; i < write.bytes.length; i++)
        if (write.offset + i >= offset && write.offset + i < offset + length)
          bytes[write.offset + i - offset] = write.bytes[i]
    return bytes
  }
  async write(offset: number, bytes: Uint8Array, phase = 0): Promise<void> {
    if (offset < 0 || offset + bytes.length > this.disk.length)
      throw new Error(`write [${offset}, +${bytes.length}) is off the disk`)
    this.writes.push({ offset, bytes: Buffer.from(bytes), phase })
  }
  free(offset: number, length: number): void {
    if (offset < 0 || offset + length > this.disk.length) throw new Error('free off the disk')
  }
  phases(): DiskWrite[][] {
    const numbers = [...new Set(this.writes.map(({ phase }) => phase))].sort((a, b) => a - b)
    return numbers.map((number) => this.writes.filter(({ phase }) => phase === number))
  }
}

class FakeStorage implements FS_VOLUME {
  readonly SectorSize = SECTOR
  readonly StorageDevice = { handle: 1, DeviceType: 7, Characteristics: 0 } as DEVICE_OBJECT
  readonly disk: Buffer
  commit: FakeCommit | undefined
  reads = 0
  constructor(disk: Buffer) {
    this.disk = disk
  }
  async read(offset: number, length: number): Promise<Uint8Array> {
    if (offset % SECTOR || length % SECTOR) throw new Error('not whole sectors')
    if (offset < 0 || offset + length > this.disk.length) throw new StatusError('STATUS_NONEXISTENT_SECTOR')
    this.reads++
    return Uint8Array.from(this.disk.subarray(offset, offset + length))
  }
  begin(): FS_COMMIT {
    if (this.commit) throw new Error('a commit is open')
    this.commit = new FakeCommit(this.disk)
    return this.commit
  }
}

export interface OpenOptions {
  readonly disposition?: number
  readonly options?: number
  readonly access?: number
  readonly attributes?: number
  readonly target?: boolean
  readonly rebind?: boolean
}

export class FakeFs {
  readonly volume: Volume
  readonly storage: FakeStorage
  readonly events: DiskEvent[] = []
  private files = 0

  constructor(volume: Volume, storage: FakeStorage) {
    this.volume = volume
    this.storage = storage
  }
  get disk(): Buffer {
    return this.storage.disk
  }

  /** One IRP. */
  async run<T>(what: string, body: (begin: Begin) => Promise<T>): Promise<T> {
    let change: Change | undefined
    const commits = () => this.storage.commit
    try {
      const result = await body(() => (change ??= this.volume.begin({} as IRP)))
      for (const [i, writes] of (commits()?.phases() ?? []).entries()) this.apply(`${what} phase ${i}`, writes)
      return result
    } finally {
      this.storage.commit = undefined
    }
  }
  apply(what: string, writes: DiskWrite[]): void {
    for (const { offset, bytes } of writes) this.disk.set(bytes, offset)
    this.events.push({ what, writes })
  }

  async open(FileName: string, options: OpenOptions = {}): Promise<FakeFile> {
    const request = {
      FileName,
      DesiredAccess: options.access ?? nt.FILE_GENERIC_READ,
      CreateDisposition: options.disposition ?? nt.FILE_OPEN,
      CreateOptions: options.options ?? 0,
      FileAttributes: options.attributes ?? 0,
      OpenTargetDirectory: options.target ?? false,
      Rebind: options.rebind ?? false,
      file: ++this.files,
    }
    const opened = await this.run(`create ${FileName}`, (begin) => createFile(this.volume, request, begin))
    return new FakeFile(this, opened.ccb, FileName, opened.Information, opened.Sizes, opened.FileId)
  }
  create(path: string): Promise<FakeFile> {
    return this.open(path, { disposition: nt.FILE_CREATE })
  }
  async mkdir(path: string): Promise<void> {
    await (await this.open(path, { disposition: nt.FILE_CREATE, options: nt.FILE_DIRECTORY_FILE })).close()
  }
  async writeFile(path: string, data: Uint8Array): Promise<void> {
    const file = await this.open(path, { disposition: nt.FILE_OVERWRITE_IF })
    await file.write(0, data)
    await file.close()
  }
  async readFile(path: string): Promise<Buffer> {
    const file = await this.open(path)
    const data = await file.read()
    await file.close()
    return data
  }
  async remove(path: string): Promise<void> {
    await (await this.open(path, { options: nt.FILE_DELETE_ON_CLOSE })).close()
  }
  async rename(from: string, to: string, replace = false): Promise<void> {
    const file = await this.open(from)
    const target = await this.open(to, { target: true })
    try {
      await file.rename(target, to.slice(to.lastIndexOf('\\') + 1), replace)
    } finally {
      await target.close()
      await file.close()
    }
  }
  async list(path: string, expression = '*', room = 4096): Promise<nt.DirectoryRecord[]> {
    const directory = await this.open(path, { options: nt.FILE_DIRECTORY_FILE })
    const records: nt.DirectoryRecord[] = []
    try {
      for (;;) records.push(...nt.decodeDirectory((await directory.query(expression, room)).bytes))
    } catch (error) {
      if (
        !(error instanceof StatusError) ||
        ![NT_STATUS.STATUS_NO_MORE_FILES, NT_STATUS.STATUS_NO_SUCH_FILE].includes(error.status as never)
      )
        throw error
      return records
    } finally {
      await directory.close()
    }
  }
  async names(path: string, expression = '*'): Promise<string[]> {
    return (await this.list(path, expression))
      .map(({ FileName }) => FileName)
      .filter((name) => name !== '.' && name !== '..')
  }
  async freeBytes(): Promise<number> {
    const { bytes } = await queryVolumeInformation(this.volume, 3, 4096)
    const size = nt.FileFsSizeInformation.decode(bytes)
    return size.AvailableAllocationUnits * size.SectorsPerAllocationUnit * size.BytesPerSector
  }
  async dismount(): Promise<void> {
    const { volume } = this
    if (!volume.cleanAtMount || volume.seams.readOnly) return
    await this.run('dismount', async (begin) => {
      const change = begin()
      await volume.mark(change, false)
      await volume.finish(change)
    })
  }
}

export class FakeFile {
  readonly fs: FakeFs
  readonly ccb: Ccb
  readonly name: string
  readonly Information: number
  readonly Sizes: FileSizes
  readonly FileId: number
  constructor(fs: FakeFs, ccb: Ccb, name: string, Information: number, Sizes: FileSizes, FileId: number) {
    this.fs = fs
    this.ccb = ccb
    this.name = name
    this.Information = Information
    this.Sizes = Sizes
    this.FileId = FileId
  }

  private set(number: number, bytes: Uint8Array, more: object = {}): Promise<FileSizes | undefined> {
    const request = { FileInformationClass: number, bytes, ReplaceIfExists: false, ...more }
    return this.fs.run(`set ${number} ${this.name}`, (begin) =>
      setInformation(this.fs.volume, this.ccb, request, begin),
    )
  }
  async setEndOfFile(EndOfFile: number): Promise<FileSizes> {
    return (await this.set(20, nt.FileEndOfFileInformation.encode({ EndOfFile }).bytes)) as FileSizes
  }
  async setAllocation(AllocationSize: number): Promise<FileSizes> {
    return (await this.set(19, nt.FileAllocationInformation.encode({ AllocationSize }).bytes)) as FileSizes
  }
  async setBasic(basic: Partial<nt.InformationOf<typeof nt.FileBasicInformation>>): Promise<void> {
    const none = { CreationTime: 0, LastAccessTime: 0, LastWriteTime: 0, ChangeTime: 0, FileAttributes: 0 }
    await this.set(4, nt.FileBasicInformation.encode({ ...none, ...basic }).bytes)
  }
  async dispose(DeleteFile = true): Promise<void> {
    await this.set(13, nt.FileDispositionInformation.encode({ DeleteFile }).bytes)
  }
  async rename(target: FakeFile, TargetName: string, ReplaceIfExists = false): Promise<void> {
    await this.set(10, new Uint8Array(0), { target: target.ccb, TargetName, ReplaceIfExists })
  }
  async query<V>(what: string | nt.InformationClass<V>, room = 4096): Promise<any> {
    const { volume } = this.fs
    if (typeof what !== 'string')
      return what.decode((await queryInformation(volume, this.ccb, what.number, room)).bytes)
    const request = { FileName: what, FileInformationClass: 3, SingleEntry: false, RestartScan: false, room }
    return queryDirectory(volume, this.ccb, request)
  }

  /** As the cache does: the size first when it grows, then the data by its extents. */
  async write(offset: number, data: Uint8Array): Promise<void> {
    const size = this.ccb.fcb.entry?.size ?? 0
    if (offset + data.length > size) await this.setEndOfFile(offset + data.length)
    const writes: DiskWrite[] = []
    for (const { FileOffset, VolumeOffset, Length } of await this.extents(offset, data.length))
      writes.push({
        offset: VolumeOffset,
        bytes: Buffer.from(data.subarray(FileOffset - offset, FileOffset - offset + Length)),
      })
    this.fs.apply(`data ${this.name}`, writes)
  }
  async read(): Promise<Buffer> {
    const size = this.ccb.fcb.entry?.size ?? 0
    const data = Buffer.alloc(size)
    for (const { FileOffset, VolumeOffset, Length } of await this.extents(0, size))
      this.fs.disk.copy(data, FileOffset, VolumeOffset, VolumeOffset + Length)
    return data
  }
  async extents(offset: number, length: number) {
    const { volume } = this.fs
    return extentsOf(volume.geometry, await volume.runsOf(this.ccb.fcb), offset, length, Number.POSITIVE_INFINITY)
  }
  async close(): Promise<void> {
    try {
      await this.fs.run(`cleanup ${this.name}`, (begin) => cleanupFile(this.fs.volume, this.ccb, begin))
    } finally {
      closeFile(this.fs.volume, this.ccb)
    }
  }
}

export async function mountImage(
  image: Uint8Array,
  options: { readOnly?: boolean; rebind?: boolean; parked?: Map<string, Uint8Array> } = {},
): Promise<FakeFs> {
  const storage = new FakeStorage(Buffer.isBuffer(image) ? image : Buffer.from(image))
  const parked = options.parked ?? new Map<string, Uint8Array>()
  const seams: VolumeSeams = {
    storage,
    readOnly: options.readOnly ?? false,
    systemTime: () => NOW,
    park: async (key, state) => void (state.length ? parked.set(key, state) : parked.delete(key)),
    parked: async (key) => parked.get(key) ?? new Uint8Array(0),
  }
  const volume = await loadVolume(seams, image.length, options.rebind ?? false)
  const fs = new FakeFs(volume, storage)
  if (!seams.readOnly && !options.rebind) await fs.run('mount', async (begin) => volume.finish(begin()))
  return fs
}

/** The status a promise is refused with. */
export async function statusOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
    return 'STATUS_SUCCESS'
  } catch (error) {
    if (error instanceof StatusError) return statusName(error.status)
    throw error
  }
}
