/**
 * Opening: from a name to a file object.
 *
 *   \??\C:\DIR\F.TXT ── links ──► \Device\HarddiskVolume1 + '\DIR\F.TXT' ── mount ──► volume device ── IRP_MJ_CREATE
 *
 * A storage device with nothing behind its name is opened itself, or, once mounted, as its volume.
 */
import {
  DELETE,
  FILE_DELETE_ON_CLOSE,
  FILE_DIRECTORY_FILE,
  FILE_READ_ATTRIBUTES,
  FILE_SHARE_ALL,
  FILE_WRITE_DATA,
} from '#contracts/information'
import { NT_SUCCESS, StatusError } from '#rtl'
import type { Executive } from '../executive.ts'
import { grantedAccess } from '../ob/index.ts'
import { type Attributes, rootOf } from '../ob/services.ts'
import type { Process } from '../ps/process.ts'
import { DeviceObject } from './device.ts'
import { checkShare, type Fcb, folded } from './fcb.ts'
import { EXISTING, FileObject, type OpenRequest, replaces } from './file.ts'
import type { Vcb } from './volume.ts'

interface Target {
  readonly device: DeviceObject
  readonly vcb: Vcb | undefined
  readonly path: string
}

/** What a name leads to, mounting on the way if need be. */
async function resolve(ex: Executive, process: Process, attributes: Attributes): Promise<Target> {
  const root = rootOf(ex, process, attributes)
  const { object, remaining } = ex.ob.lookup(attributes.ObjectName, { root })
  if (object instanceof FileObject && object.forcedClosed) throw new StatusError('STATUS_FILE_FORCED_CLOSED')
  if (object instanceof FileObject)
    return { device: object.device, vcb: object.vcb, path: joined(object.path, remaining) }
  if (!(object instanceof DeviceObject)) throw new StatusError('STATUS_OBJECT_TYPE_MISMATCH')
  if (!object.isStorage) return { device: object, vcb: undefined, path: remaining }
  if (remaining === '') return { device: object, vcb: object.volume, path: '' }
  const vcb = await ex.io.volumes.mount(object)
  return { device: vcb.volumeDevice, vcb, path: remaining }
}
const joined = (directory: string, name: string): string =>
  name === '' ? directory : `${directory.replace(/\\$/, '')}\\${name}`

/** A trailing backslash asks for a directory and is no part of the name. */
function normalized(path: string, options: number): { path: string; options: number } {
  return path.length > 1 && path.endsWith('\\')
    ? { path: path.slice(0, -1), options: options | FILE_DIRECTORY_FILE }
    : { path, options }
}

export interface Opened {
  readonly file: FileObject
  readonly Information: number
}
export async function openFile(
  ex: Executive,
  process: Process,
  attributes: Attributes,
  request: Omit<OpenRequest, 'path'>,
): Promise<Opened> {
  const target = await resolve(ex, process, attributes)
  const { path, options } = normalized(target.path, request.options)
  const destroys = replaces(request.disposition) || (options & FILE_DELETE_ON_CLOSE) !== 0
  const probe = destroys ? await probed(ex, target, path) : undefined
  try {
    return await openAs(ex, process, target, { ...request, path, options }, probe?.fcb)
  } finally {
    await probe?.lastHandleClosed()
    if (probe) ex.ob.dereference(probe)
  }
}
/**
 * What a name that no open file has leads to, opened as it is: it may be another name, such as a short one, of a file
 * that somebody has open, and the answer to an open that destroys would tell too late.
 */
async function probed(ex: Executive, { device, vcb }: Target, path: string): Promise<FileObject | undefined> {
  if (path === '' || !vcb?.fcbs.size || vcb.fcbByPath(path)) return undefined
  const open: OpenRequest = { ...EXISTING, path, access: FILE_READ_ATTRIBUTES, share: FILE_SHARE_ALL }
  const probe = new FileObject(ex, device, vcb, open, open.access)
  ex.ob.reference(probe)
  if (NT_SUCCESS((await probe.create(ex)).Status)) return probe
  ex.ob.dereference(probe)
  return undefined
}
/** `known`: the file that the name is known to lead to. */
async function openAs(
  ex: Executive,
  process: Process,
  target: Target,
  request: OpenRequest,
  known: Fcb | undefined,
): Promise<Opened> {
  const { path } = request
  const access = grantedAccess('File', request.access)
  const replacing = replaces(request.disposition)
  const needed = replacing ? access | FILE_WRITE_DATA : access
  const shared = path === '' ? undefined : (known ?? target.vcb?.fcbByPath(path))
  if (shared?.deletePending) throw new StatusError('STATUS_DELETE_PENDING')
  checkShare([...(shared?.opens ?? []), ...beingOpened(target.vcb, path)], needed, request.share)
  const file = new FileObject(ex, target.device, target.vcb, { ...request, access }, access)
  ex.ob.reference(file)
  target.vcb?.opening.add(file)
  try {
    const result =
      replacing && shared ? await shared.bypassing(() => file.create(ex, process)) : await file.create(ex, process)
    if (!NT_SUCCESS(result.Status)) throw new StatusError(result.Status)
    await checkAliases(file, needed)
    return { file, Information: result.Information }
  } catch (error) {
    ex.ob.dereference(file)
    throw error
  } finally {
    target.vcb?.opening.delete(file)
  }
}
/** Opens of the same name that the file system has not answered yet. */
function* beingOpened(vcb: Vcb | undefined, path: string): Generator<FileObject> {
  if (path === '') return
  for (const file of vcb?.opening ?? []) if (folded(file.path) === folded(path)) yield file
}
/** Only the answer tells that another name, such as a short one, is the same file. */
async function checkAliases(file: FileObject, access: number): Promise<void> {
  const others = [...(file.fcb?.opens ?? [])].filter((open) => open !== file)
  try {
    checkShare(others, access, file.shareAccess)
  } catch (error) {
    await file.lastHandleClosed()
    throw error
  }
}

/** For a rename: the parent directory of a target name, opened, and the last component. */
export async function openTargetDirectory(
  ex: Executive,
  process: Process,
  source: FileObject,
  attributes: Attributes,
): Promise<{ directory: FileObject; name: string }> {
  const target =
    attributes.ObjectName.includes('\\') || attributes.RootDirectory !== 0
      ? await resolve(ex, process, attributes)
      : {
          device: source.device,
          vcb: source.vcb,
          path: joined(source.path.slice(0, source.path.lastIndexOf('\\')) || '\\', attributes.ObjectName),
        }
  if (target.vcb !== source.vcb) throw new StatusError('STATUS_NOT_SAME_DEVICE')
  const cut = target.path.lastIndexOf('\\')
  const open: OpenRequest = {
    ...EXISTING,
    path: target.path,
    access: FILE_READ_ATTRIBUTES | DELETE,
    share: FILE_SHARE_ALL,
    openTargetDirectory: true,
  }
  const directory = new FileObject(ex, target.device, target.vcb, open, open.access)
  ex.ob.reference(directory)
  const result = await directory.create(ex, process)
  if (!NT_SUCCESS(result.Status)) {
    ex.ob.dereference(directory)
    throw new StatusError(result.Status)
  }
  return { directory, name: target.path.slice(cut + 1) }
}
