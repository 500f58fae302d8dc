/**
 * IRP_MJ_QUERY_INFORMATION and IRP_MJ_SET_INFORMATION: attributes, times, sizes, disposition, rename.
 *
 *   queryInformation(volume, ccb, class, room)     → bytes in NT's layout
 *   setInformation(volume, ccb, request, begin)    → new sizes when they changed
 *   stageResize(volume, change, fcb, …)            also used by uncached writes
 *
 * Growing allocates and zeroes nothing: what lies between the old end and the new one is told by ValidDataLength of the
 * answer, and is the cache's to fill. Times are DOS times, local time is UTC. [MS-FSCC] 2.4
 */
import * as nt from '#contracts/information'
import { StatusError } from '#rtl'
import type { FileSizes } from '#wdm'
import { clusterOffset } from './boot.ts'
import { type Change, PHASE } from './change.ts'
import { type Begin, checkWritable, deleteKey, parentCluster } from './create.ts'
import type { Directory, Entry, NewEntry } from './directory.ts'
import {
  ATTR_ARCHIVE,
  ATTR_DIRECTORY,
  ATTR_HIDDEN,
  ATTR_READ_ONLY,
  ATTR_SYSTEM,
  type Dirent,
  fromDosTime,
  SLOT,
  toDosTime,
} from './dirent.ts'
import { RunList } from './extents.ts'
import { isLegalName } from './names.ts'
import { type Ccb, type Fcb, isDirectory, type Volume } from './volume.ts'

/** FAT keeps a file's size in 32 bits. */
export const FILE_SIZE_MAX = 0xffffffff
const SETTABLE = ATTR_READ_ONLY | ATTR_HIDDEN | ATTR_SYSTEM | ATTR_ARCHIVE
const fail = (status: ConstructorParameters<typeof StatusError>[0], detail?: string): never => {
  throw new StatusError(status, detail)
}

// ---------------------------------------------------------------- query
export function timesOf(entry: Dirent | undefined) {
  if (!entry) return { CreationTime: 0, LastAccessTime: 0, LastWriteTime: 0, ChangeTime: 0 }
  const LastWriteTime = fromDosTime(entry.writeDate, entry.writeTime)
  return {
    CreationTime: fromDosTime(entry.creationDate, entry.creationTime, entry.creationTenths),
    LastAccessTime: fromDosTime(entry.accessDate, 0),
    LastWriteTime,
    ChangeTime: LastWriteTime,
  }
}
export const attributesOf = (entry: Dirent | undefined): number =>
  entry ? entry.attributes & (SETTABLE | ATTR_DIRECTORY) || nt.FILE_ATTRIBUTE_NORMAL : nt.FILE_ATTRIBUTE_DIRECTORY

export async function queryInformation(volume: Volume, ccb: Ccb, number: number, room: number): Promise<nt.Encoded> {
  const { fcb } = ccb
  const times = timesOf(fcb.entry)
  const FileAttributes = ccb.isVolume ? nt.FILE_ATTRIBUTE_NORMAL : attributesOf(fcb.entry)
  switch (number) {
    case nt.FileBasicInformation.number:
      return nt.FileBasicInformation.encode({ ...times, FileAttributes }, room)
    case nt.FileStandardInformation.number:
      return nt.FileStandardInformation.encode(await standardOf(volume, fcb), room)
    case nt.FileInternalInformation.number:
      return nt.FileInternalInformation.encode({ IndexNumber: fcb.id }, room)
    case nt.FileNameInformation.number:
      return nt.FileNameInformation.encode({ FileName: volume.pathOf(fcb) }, room)
    case nt.FileNetworkOpenInformation.number: {
      const { AllocationSize, FileSize } = await volume.sizesOf(fcb)
      return nt.FileNetworkOpenInformation.encode(
        { ...times, AllocationSize, EndOfFile: FileSize, FileAttributes },
        room,
      )
    }
    default:
      return fail('STATUS_INVALID_INFO_CLASS', `${number}`)
  }
}

async function standardOf(volume: Volume, fcb: Fcb) {
  const { AllocationSize, FileSize, IsDirectory } = await volume.sizesOf(fcb)
  const DeletePending = fcb.deletePending
  return {
    AllocationSize,
    EndOfFile: FileSize,
    NumberOfLinks: DeletePending ? 0 : 1,
    DeletePending,
    Directory: IsDirectory,
  }
}

// ---------------------------------------------------------------- set
export interface SetRequest {
  readonly FileInformationClass: number
  readonly bytes: Uint8Array
  /** Rename: the directory it moves to, and its last name. */
  readonly target?: Ccb
  readonly TargetName?: string
  readonly ReplaceIfExists: boolean
}

export async function setInformation(
  volume: Volume,
  ccb: Ccb,
  request: SetRequest,
  begin: Begin,
): Promise<FileSizes | undefined> {
  const { fcb } = ccb
  if (!fcb.entry) return fail('STATUS_INVALID_PARAMETER', 'the root and the volume stay as they are')
  if (fcb.deleted) return fail('STATUS_FILE_DELETED')
  checkWritable(volume)
  switch (request.FileInformationClass) {
    case nt.FileBasicInformation.number:
      await setBasic(volume, fcb, nt.FileBasicInformation.decode(request.bytes), begin)
      return undefined
    case nt.FileDispositionInformation.number:
      await setDisposition(volume, fcb, nt.FileDispositionInformation.decode(request.bytes).DeleteFile)
      return undefined
    case nt.FileRenameInformation.number:
      await rename(volume, fcb, request, begin)
      return undefined
    case nt.FileAllocationInformation.number:
      return setAllocation(volume, fcb, nt.FileAllocationInformation.decode(request.bytes).AllocationSize, begin)
    case nt.FileEndOfFileInformation.number:
      return setEndOfFile(volume, fcb, nt.FileEndOfFileInformation.decode(request.bytes).EndOfFile, begin)
    default:
      return fail('STATUS_INVALID_INFO_CLASS', `${request.FileInformationClass}`)
  }
}

type Basic = nt.InformationOf<typeof nt.FileBasicInformation>
/** 0 and -1 leave a time alone. */
const isTime = (time: number) => time > 0

async function setBasic(volume: Volume, fcb: Fcb, basic: Basic, begin: Begin): Promise<void> {
  const entry = fcb.entry as Entry
  const { FileAttributes } = basic
  if (FileAttributes & nt.FILE_ATTRIBUTE_DIRECTORY && !isDirectory(fcb)) return fail('STATUS_INVALID_PARAMETER')
  const fields: Partial<Dirent> = {}
  if (FileAttributes) fields.attributes = (entry.attributes & ~SETTABLE) | (FileAttributes & SETTABLE)
  if (isTime(basic.CreationTime)) {
    const { date, time, tenths } = toDosTime(basic.CreationTime)
    Object.assign(fields, { creationDate: date, creationTime: time, creationTenths: tenths })
  }
  if (isTime(basic.LastAccessTime)) fields.accessDate = toDosTime(basic.LastAccessTime).date
  if (isTime(basic.LastWriteTime)) {
    const { date, time } = toDosTime(basic.LastWriteTime)
    Object.assign(fields, { writeDate: date, writeTime: time })
  }
  if (Object.keys(fields).length === 0) return
  const change = begin()
  await entry.directory.stageUpdate(change, entry, fields)
  await volume.finish(change)
}

/** Parked, so that a death of this driver before the last handle is closed does not bring the file back. */
async function setDisposition(volume: Volume, fcb: Fcb, DeleteFile: boolean): Promise<void> {
  const entry = fcb.entry as Entry
  if (DeleteFile && entry.attributes & ATTR_READ_ONLY) return fail('STATUS_CANNOT_DELETE')
  if (DeleteFile && isDirectory(fcb) && !(await volume.directoryOf(entry)).isEmpty)
    return fail('STATUS_DIRECTORY_NOT_EMPTY')
  if (DeleteFile === fcb.deletePending) return
  await volume.seams.park(deleteKey(volume, fcb), new Uint8Array(DeleteFile ? [1] : []))
  fcb.parked = DeleteFile
  fcb.deletePending = DeleteFile
}

// ---------------------------------------------------------------- sizes
/** What differs when the file's end or clusters change; the entry also learns when. */
function written(volume: Volume, entry: Entry, fields: Partial<Dirent>): Partial<Dirent> {
  const { date, time } = volume.now()
  const attributes = entry.attributes | ATTR_ARCHIVE
  return { ...fields, attributes, writeDate: date, writeTime: time, accessDate: date }
}

async function setEndOfFile(volume: Volume, fcb: Fcb, EndOfFile: number, begin: Begin): Promise<FileSizes> {
  if (isDirectory(fcb)) return fail('STATUS_INVALID_DEVICE_REQUEST')
  if (EndOfFile < 0) return fail('STATUS_INVALID_PARAMETER')
  const entry = fcb.entry as Entry
  const before = entry.size
  const needed = Math.ceil(EndOfFile / volume.geometry.BytsPerClus)
  const { clusters: allocated } = await volume.runsOf(fcb)
  const clusters = EndOfFile < before ? needed : Math.max(needed, allocated)
  if (EndOfFile !== before) await resize(volume, fcb, clusters, EndOfFile, begin)
  return { ...(await volume.sizesOf(fcb)), ValidDataLength: Math.min(before, EndOfFile) }
}

/** A file is never longer than its allocation: less than its size cuts it. */
async function setAllocation(volume: Volume, fcb: Fcb, AllocationSize: number, begin: Begin): Promise<FileSizes> {
  if (isDirectory(fcb)) return fail('STATUS_INVALID_DEVICE_REQUEST')
  if (AllocationSize < 0) return fail('STATUS_INVALID_PARAMETER')
  const { size } = fcb.entry as Entry
  const clusters = Math.ceil(AllocationSize / volume.geometry.BytsPerClus)
  if ((await volume.runsOf(fcb)).clusters !== clusters || AllocationSize < size)
    await resize(volume, fcb, clusters, Math.min(size, AllocationSize), begin)
  return volume.sizesOf(fcb)
}

async function resize(volume: Volume, fcb: Fcb, clusters: number, size: number, begin: Begin): Promise<void> {
  checkSize(volume, clusters, size)
  await volume.runsOf(fcb)
  const change = begin()
  await stageResize(volume, change, fcb, clusters, size)
  await volume.finish(change)
}

function checkSize({ geometry }: Volume, clusters: number, size: number): void {
  if (size > FILE_SIZE_MAX || clusters * geometry.BytsPerClus > FILE_SIZE_MAX + geometry.BytsPerClus)
    fail('STATUS_DISK_FULL', 'a file of a FAT volume ends below 4 GiB')
}

/** The chain to `clusters`, the file's end to `size`; answers the clusters added. The entry is written only when it differs. */
export async function stageResize(
  volume: Volume,
  change: Change,
  fcb: Fcb,
  clusters: number,
  size: number,
): Promise<RunList> {
  checkSize(volume, clusters, size)
  const entry = fcb.entry as Entry
  const runs = await volume.runsOf(fcb)
  const added =
    clusters > runs.clusters ? await volume.fat.extend(change, runs, clusters - runs.clusters) : new RunList()
  const firstCluster = clusters ? entry.firstCluster || added.first : 0
  if (size !== entry.size || firstCluster !== entry.firstCluster)
    await entry.directory.stageUpdate(change, entry, written(volume, entry, { size, firstCluster }))
  if (clusters < runs.clusters) volume.fat.shorten(change, runs, clusters)
  return added
}

// ---------------------------------------------------------------- rename
/**
 * In the same directory the new entry takes the place of the old one when it fits, which is one write of one sector.
 * Else the old entry goes before the new one comes: a crash between the two leaves the file as lost clusters, where the
 * other order would leave two names for one chain, and with it the loss of data at the next deletion.
 */
async function rename(volume: Volume, fcb: Fcb, request: SetRequest, begin: Begin): Promise<void> {
  const entry = fcb.entry as Entry
  const name = request.TargetName ?? lastName(nt.FileRenameInformation.decode(request.bytes).FileName)
  const parent = request.target?.fcb ?? (fcb.parent as Fcb)
  if (!isLegalName(name)) return fail('STATUS_OBJECT_NAME_INVALID', name)
  if (!isDirectory(parent)) return fail('STATUS_NOT_A_DIRECTORY')
  if (fcb.deletePending || parent.deletePending) return fail('STATUS_DELETE_PENDING')
  checkMove(volume, fcb, parent)
  const directory = await volume.directoryOf(parent.entry)
  const existing = directory.lookup(name)
  if (existing === entry && existing.name === name) return
  const replaced = existing === entry ? undefined : existing
  if (replaced) checkReplace(volume, replaced, request.ReplaceIfExists)
  const change = begin()
  const oldOffset = entry.directory.offsetOf(entry)
  const added = await stageMove(change, entry, directory, name, replaced)
  if (isDirectory(fcb) && directory !== entry.directory) await stageDotDot(volume, change, entry, directory)
  if (replaced) await freeReplaced(volume, change, replaced)
  change.after(() => volume.rebase(fcb, added, parent, oldOffset))
  await volume.finish(change)
}

const lastName = (path: string) => path.slice(path.lastIndexOf('\\') + 1)

function checkMove(volume: Volume, fcb: Fcb, parent: Fcb): void {
  if (!isDirectory(fcb)) return
  for (let at: Fcb | undefined = parent; at; at = at.parent)
    if (at === fcb) fail('STATUS_INVALID_PARAMETER', 'a directory cannot move below itself')
  for (const open of volume.openFcbs())
    for (let at = open.parent; at; at = at.parent)
      if (at === fcb) fail('STATUS_ACCESS_DENIED', 'a file below it is open')
}

function checkReplace(volume: Volume, replaced: Entry, ReplaceIfExists: boolean): void {
  if (!ReplaceIfExists) fail('STATUS_OBJECT_NAME_COLLISION', replaced.name)
  const open = volume.fcbOf(replaced)
  if (replaced.attributes & (ATTR_DIRECTORY | ATTR_READ_ONLY) || (open && open.opens > 0)) fail('STATUS_ACCESS_DENIED')
}

async function stageMove(
  change: Change,
  entry: Entry,
  directory: Directory,
  name: string,
  replaced: Entry | undefined,
): Promise<Entry> {
  const fields: NewEntry = {
    attributes: isDirectoryEntry(entry) ? entry.attributes : entry.attributes | ATTR_ARCHIVE,
    creationTenths: entry.creationTenths,
    creationTime: entry.creationTime,
    creationDate: entry.creationDate,
    accessDate: entry.accessDate,
    writeTime: entry.writeTime,
    writeDate: entry.writeDate,
    firstCluster: entry.firstCluster,
    size: entry.size,
  }
  if (directory === entry.directory && !replaced) return directory.stageAdd(change, name, fields, entry)
  await entry.directory.stageRemove(change, entry, PHASE.remove)
  return directory.stageAdd(change, name, fields, replaced)
}
const isDirectoryEntry = (entry: Entry) => (entry.attributes & ATTR_DIRECTORY) !== 0

/** The second entry of a moved directory names its new parent. */
async function stageDotDot(volume: Volume, change: Change, entry: Entry, parent: Directory): Promise<void> {
  const { geometry } = volume
  const cluster = parentCluster(volume, parent)
  const at = clusterOffset(geometry, entry.firstCluster) + SLOT
  const low = new Uint8Array([cluster & 0xff, (cluster >> 8) & 0xff])
  await change.write(at + 26, low, PHASE.entry)
  if (geometry.FatType === 32)
    await change.write(at + 20, new Uint8Array([(cluster >> 16) & 0xff, (cluster >> 24) & 0xff]), PHASE.entry)
}

async function freeReplaced(volume: Volume, change: Change, replaced: Entry): Promise<void> {
  const runs = await volume.fat.loadRuns(replaced.firstCluster)
  volume.fat.shorten(change, runs, 0)
  const stale = volume.fcbOf(replaced)
  if (stale) change.after(() => (stale.deleted = true))
}
