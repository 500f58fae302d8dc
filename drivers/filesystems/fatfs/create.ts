/**
 * IRP_MJ_CREATE, IRP_MJ_CLEANUP and IRP_MJ_CLOSE: names to files, dispositions, deletion with the last handle.
 *
 *   createFile(volume, request, begin)   → what IoStatus and the response say
 *   cleanupFile(volume, ccb, begin)      last handle of one open; deletes, or gives back surplus clusters
 *   closeFile(volume, ccb)               the open is forgotten
 *
 * Share access is the Executive's to check. `begin` makes the IRP's change on first use; nothing else writes.
 * Differs from NT: AllocationSize of a create reserves nothing; a last name ends in neither dot nor space.
 */
import {
  FILE_APPEND_DATA,
  FILE_ATTRIBUTE_HIDDEN,
  FILE_ATTRIBUTE_SYSTEM,
  FILE_CREATE,
  FILE_CREATED,
  FILE_DELETE_ON_CLOSE,
  FILE_DIRECTORY_FILE,
  FILE_DOES_NOT_EXIST,
  FILE_EXISTS,
  FILE_NON_DIRECTORY_FILE,
  FILE_OPEN,
  FILE_OPEN_IF,
  FILE_OPENED,
  FILE_OVERWRITE,
  FILE_OVERWRITE_IF,
  FILE_OVERWRITTEN,
  FILE_SUPERSEDE,
  FILE_SUPERSEDED,
  FILE_WRITE_DATA,
} from '#contracts/information'
import { StatusError } from '#rtl'
import type { FileSizes } from '#wdm'
import { clusterOffset } from './boot.ts'
import { type Change, PHASE } from './change.ts'
import type { Directory, Entry, NewEntry } from './directory.ts'
import { ATTR_ARCHIVE, ATTR_DIRECTORY, ATTR_HIDDEN, ATTR_READ_ONLY, ATTR_SYSTEM, encodeDirent, SLOT } from './dirent.ts'
import { RunList } from './extents.ts'
import { isLegalName } from './names.ts'
import { type Ccb, type Fcb, isDirectory, type Volume } from './volume.ts'

export interface CreateRequest {
  readonly FileName: string
  readonly DesiredAccess: number
  readonly CreateDisposition: number
  readonly CreateOptions: number
  readonly FileAttributes: number
  readonly OpenTargetDirectory: boolean
  readonly Rebind: boolean
  /** FILE_OBJECT.number. */
  readonly file: number
}
export interface Opened {
  readonly ccb: Ccb
  readonly Information: number
  readonly Sizes: FileSizes
  readonly FileId: number
}
export type Begin = () => Change
const SETTABLE = ATTR_READ_ONLY | ATTR_HIDDEN | ATTR_SYSTEM | ATTR_ARCHIVE
const fail = (status: ConstructorParameters<typeof StatusError>[0], detail?: string): never => {
  throw new StatusError(status, detail)
}

/** An open that may change the volume takes it exclusively. */
export const createChanges = (
  request: Pick<CreateRequest, 'CreateDisposition' | 'OpenTargetDirectory' | 'Rebind'>,
): boolean => request.CreateDisposition !== FILE_OPEN && !request.OpenTargetDirectory && !request.Rebind

function parsePath(FileName: string): { names: string[]; trailing: boolean } {
  const names = FileName.split('\\')
  if (names[0] === '') names.shift()
  const trailing = names.length > 0 && names[names.length - 1] === ''
  if (trailing) names.pop()
  if (names.some((name) => name === '' || !isLegalName(name))) fail('STATUS_OBJECT_NAME_INVALID', FileName)
  return { names, trailing }
}

export async function createFile(volume: Volume, request: CreateRequest, begin: Begin): Promise<Opened> {
  if (volume.dismounted) return fail('STATUS_VOLUME_DISMOUNTED')
  if (volume.locked && !request.Rebind) return fail('STATUS_ACCESS_DENIED', 'the volume is locked')
  if (request.CreateDisposition > FILE_OVERWRITE_IF) return fail('STATUS_INVALID_PARAMETER')
  if (request.FileName === '') return openVolume(volume, request)
  const { names, trailing } = parsePath(request.FileName)
  if (names.length === 0) return openRoot(volume, request)
  if (request.OpenTargetDirectory) return openTargetDirectory(volume, names, request)
  const { path, directory, missing } = await volume.resolve(names)
  if (!missing) return openExisting(volume, path, request, trailing, begin)
  const { CreateDisposition, CreateOptions } = request
  if (CreateDisposition === FILE_OPEN || CreateDisposition === FILE_OVERWRITE || request.Rebind)
    return fail('STATUS_OBJECT_NAME_NOT_FOUND', request.FileName)
  if (trailing && !(CreateOptions & FILE_DIRECTORY_FILE)) return fail('STATUS_OBJECT_NAME_INVALID', request.FileName)
  return createNew(volume, path, directory, names[names.length - 1], request, begin)
}

async function opened(volume: Volume, fcb: Fcb, request: CreateRequest, Information: number): Promise<Opened> {
  const Sizes = await volume.sizesOf(fcb)
  const deleteOnClose = (request.CreateOptions & FILE_DELETE_ON_CLOSE) !== 0 && !request.OpenTargetDirectory
  const ccb = volume.addOpen(fcb, request.file, { deleteOnClose, isVolume: fcb === volume.volumeFcb })
  return { ccb, Information, Sizes, FileId: fcb.id }
}

function openVolume(volume: Volume, request: CreateRequest): Promise<Opened> {
  const { CreateDisposition, CreateOptions } = request
  if (CreateDisposition !== FILE_OPEN && CreateDisposition !== FILE_OPEN_IF) return fail('STATUS_ACCESS_DENIED')
  if (CreateOptions & FILE_DIRECTORY_FILE) return fail('STATUS_NOT_A_DIRECTORY')
  if (CreateOptions & FILE_DELETE_ON_CLOSE) return fail('STATUS_CANNOT_DELETE')
  return opened(volume, volume.volumeFcb, request, FILE_OPENED)
}

function openRoot(volume: Volume, request: CreateRequest): Promise<Opened> {
  const { CreateDisposition, CreateOptions } = request
  if (request.OpenTargetDirectory) return fail('STATUS_INVALID_PARAMETER')
  if (CreateOptions & FILE_NON_DIRECTORY_FILE) return fail('STATUS_FILE_IS_A_DIRECTORY')
  if (CreateOptions & FILE_DELETE_ON_CLOSE) return fail('STATUS_CANNOT_DELETE')
  if (CreateDisposition !== FILE_OPEN && CreateDisposition !== FILE_OPEN_IF) return fail('STATUS_OBJECT_NAME_COLLISION')
  return opened(volume, volume.rootFcb, request, FILE_OPENED)
}

/** The directory a rename moves into; Information says whether the last name is there. */
async function openTargetDirectory(volume: Volume, names: string[], request: CreateRequest): Promise<Opened> {
  const { path, missing } = await volume.resolve(names)
  const fcb = volume.fcbOfPath(missing ? path : path.slice(0, -1))
  if (fcb.deletePending) return fail('STATUS_DELETE_PENDING')
  return opened(volume, fcb, request, missing ? FILE_DOES_NOT_EXIST : FILE_EXISTS)
}

// ---------------------------------------------------------------- existing
function checkExisting(entry: Entry, request: CreateRequest, trailing: boolean): void {
  const { CreateDisposition, CreateOptions, DesiredAccess } = request
  const directory = (entry.attributes & ATTR_DIRECTORY) !== 0
  if (CreateDisposition === FILE_CREATE) fail('STATUS_OBJECT_NAME_COLLISION', request.FileName)
  if (directory && CreateOptions & FILE_NON_DIRECTORY_FILE) fail('STATUS_FILE_IS_A_DIRECTORY')
  if (!directory && CreateOptions & FILE_DIRECTORY_FILE) fail('STATUS_NOT_A_DIRECTORY')
  if (!directory && trailing) fail('STATUS_OBJECT_NAME_INVALID', request.FileName)
  if (directory && CreateDisposition !== FILE_OPEN && CreateDisposition !== FILE_OPEN_IF)
    fail('STATUS_OBJECT_NAME_COLLISION')
  if (!(entry.attributes & ATTR_READ_ONLY)) return
  if (CreateOptions & FILE_DELETE_ON_CLOSE) fail('STATUS_CANNOT_DELETE')
  if (!directory && DesiredAccess & (FILE_WRITE_DATA | FILE_APPEND_DATA)) fail('STATUS_ACCESS_DENIED', 'read-only')
}

async function openExisting(
  volume: Volume,
  path: Entry[],
  request: CreateRequest,
  trailing: boolean,
  begin: Begin,
): Promise<Opened> {
  const entry = path[path.length - 1]
  if (request.Rebind) return rebind(volume, path, request)
  checkExisting(entry, request, trailing)
  for (const above of path) if (volume.fcbOf(above)?.deletePending) return fail('STATUS_DELETE_PENDING')
  if (request.CreateOptions & FILE_DELETE_ON_CLOSE) checkWritable(volume)
  if (entry.attributes & ATTR_DIRECTORY) await volume.directoryOf(entry)
  const fcb = volume.fcbOfPath(path)
  try {
    const { CreateDisposition } = request
    if (CreateDisposition === FILE_OPEN || CreateDisposition === FILE_OPEN_IF)
      return await opened(volume, fcb, request, FILE_OPENED)
    await overwrite(volume, fcb, request, begin)
    return await opened(volume, fcb, request, CreateDisposition === FILE_SUPERSEDE ? FILE_SUPERSEDED : FILE_OVERWRITTEN)
  } finally {
    volume.releaseUnused(fcb)
  }
}

/** A file that an earlier life of the driver had open: bound by name, nothing checked, nothing changed. */
async function rebind(volume: Volume, path: Entry[], request: CreateRequest): Promise<Opened> {
  const fcb = volume.fcbOfPath(path)
  try {
    fcb.parked ||= (await volume.seams.parked(deleteKey(volume, fcb))).byteLength > 0
    fcb.deletePending ||= fcb.parked
    return await opened(volume, fcb, request, FILE_OPENED)
  } finally {
    volume.releaseUnused(fcb)
  }
}
/** Parked while a disposition is set, so that the next life of the driver deletes the file too. */
export const deleteKey = (volume: Volume, fcb: Fcb): string =>
  volume.parkKey(`delete-${(fcb.entry as Entry).directory.offsetOf(fcb.entry as Entry)}`)

export function checkWritable(volume: Volume): void {
  if (volume.seams.readOnly) fail('STATUS_MEDIA_WRITE_PROTECTED')
}

/** Empties the file. Its hidden and system attributes must be asked for again, as in NT. */
async function overwrite(volume: Volume, fcb: Fcb, request: CreateRequest, begin: Begin): Promise<void> {
  const entry = fcb.entry as Entry
  const kept = entry.attributes & (FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_SYSTEM)
  if ((entry.attributes & ATTR_READ_ONLY) !== 0 || kept & ~request.FileAttributes) return fail('STATUS_ACCESS_DENIED')
  const runs = await volume.runsOf(fcb)
  const change = begin()
  const { date, time } = volume.now()
  const attributes = (request.FileAttributes & SETTABLE) | ATTR_ARCHIVE
  const fields = { attributes, size: 0, firstCluster: 0, writeDate: date, writeTime: time, accessDate: date }
  await entry.directory.stageUpdate(change, entry, fields)
  volume.fat.shorten(change, runs, 0)
  await volume.finish(change)
}

// ---------------------------------------------------------------- new
function newEntry(volume: Volume, attributes: number, firstCluster: number): NewEntry {
  const { date, time, tenths } = volume.now()
  return {
    attributes,
    creationTenths: tenths,
    creationTime: time,
    creationDate: date,
    accessDate: date,
    writeTime: time,
    writeDate: date,
    firstCluster,
    size: 0,
  }
}

async function createNew(
  volume: Volume,
  path: Entry[],
  directory: Directory,
  name: string,
  request: CreateRequest,
  begin: Begin,
): Promise<Opened> {
  for (const above of path) if (volume.fcbOf(above)?.deletePending) return fail('STATUS_DELETE_PENDING')
  const wanted = request.FileAttributes & SETTABLE
  const isNewDirectory = (request.CreateOptions & FILE_DIRECTORY_FILE) !== 0
  if (wanted & ATTR_READ_ONLY && request.CreateOptions & FILE_DELETE_ON_CLOSE) return fail('STATUS_CANNOT_DELETE')
  const change = begin()
  const fields = isNewDirectory
    ? await newDirectory(volume, change, directory, wanted)
    : newEntry(volume, wanted | ATTR_ARCHIVE, 0)
  const entry = await directory.stageAdd(change, name, fields)
  await volume.finish(change)
  return opened(volume, volume.fcbOfPath([...path, entry]), request, FILE_CREATED)
}

/** One cluster, zeroed, with `.` and `..`; `..` is 0 below the root. [fatgen103] */
async function newDirectory(volume: Volume, change: Change, parent: Directory, wanted: number): Promise<NewEntry> {
  const { geometry, fat } = volume
  const cluster = (await fat.extend(change, new RunList(), 1)).first
  const fields = newEntry(volume, (wanted & ~ATTR_ARCHIVE) | ATTR_DIRECTORY, cluster)
  const bytes = new Uint8Array(geometry.BytsPerClus)
  bytes.set(encodeDirent({ ...fields, raw: dots(1), ntRes: 0 }), 0)
  bytes.set(encodeDirent({ ...fields, raw: dots(2), ntRes: 0, firstCluster: parentCluster(volume, parent) }), SLOT)
  await change.write(clusterOffset(geometry, cluster), bytes, PHASE.link)
  return fields
}
const dots = (count: number) => new Uint8Array(11).fill(0x20).fill(0x2e, 0, count)
export const parentCluster = (volume: Volume, parent: Directory): number => (parent === volume.root ? 0 : parent.key)

// ---------------------------------------------------------------- end
export async function cleanupFile(volume: Volume, ccb: Ccb, begin: Begin): Promise<void> {
  if (ccb.cleaned) return
  const { fcb } = ccb
  ccb.cleaned = true
  fcb.opens--
  if (ccb.isVolume) volume.locked = false
  if (ccb.deleteOnClose) fcb.deletePending = true
  if (fcb.opens > 0 || !fcb.entry || fcb.deleted || volume.dismounted) return
  if (fcb.deletePending) await deleteFile(volume, fcb, begin)
  else if (!isDirectory(fcb) && !volume.seams.readOnly) await trim(volume, fcb, begin)
}

async function deleteFile(volume: Volume, fcb: Fcb, begin: Begin): Promise<void> {
  const entry = fcb.entry as Entry
  fcb.deletePending = false
  if (isDirectory(fcb) && !(await volume.directoryOf(entry)).isEmpty) return fail('STATUS_DIRECTORY_NOT_EMPTY')
  const runs = await volume.runsOf(fcb)
  const key = deleteKey(volume, fcb)
  const change = begin()
  await entry.directory.stageRemove(change, entry)
  volume.fat.shorten(change, runs, 0, isDirectory(fcb))
  change.after(() => {
    volume.forgetFcb(fcb)
    if (isDirectory(fcb)) volume.forget(entry.firstCluster)
    fcb.deleted = true
  })
  await volume.finish(change)
  if (fcb.parked) await volume.seams.park(key, new Uint8Array(0))
}

/** Clusters beyond the end that nobody came to use. */
async function trim(volume: Volume, fcb: Fcb, begin: Begin): Promise<void> {
  const entry = fcb.entry as Entry
  const runs = fcb.runs
  const keep = Math.ceil(entry.size / volume.geometry.BytsPerClus)
  if (!runs || runs.clusters <= keep) return
  const change = begin()
  if (keep === 0) await entry.directory.stageUpdate(change, entry, { firstCluster: 0 })
  volume.fat.shorten(change, runs, keep)
  await volume.finish(change)
}

export function closeFile(volume: Volume, ccb: Ccb): void {
  if (!ccb.cleaned) {
    ccb.cleaned = true
    ccb.fcb.opens--
  }
  volume.opens.delete(ccb.file)
  volume.release(ccb.fcb)
}
