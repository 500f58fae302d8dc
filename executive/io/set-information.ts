/** NtSetInformationFile, by class: what the Executive does itself, what it does around the file system's part, what it passes down. */
import {
  DELETE,
  FILE_WRITE_DATA,
  FileAllocationInformation,
  FileDispositionInformation,
  FileEndOfFileInformation,
  FilePositionInformation,
  FileRenameInformation,
} from '#contracts/information'
import { NT_STATUS, StatusError } from '#rtl'
import type { Caller } from '#sel4/api'
import type { Executive } from '../executive.ts'
import { allows } from '../ob/index.ts'
import { folded } from './fcb.ts'
import { type FileObject, settingOf } from './file.ts'
import { checked } from './file-calls.ts'
import { type IrpResult, result } from './irp.ts'
import { openTargetDirectory } from './open.ts'

const SUCCESS = result(NT_STATUS.STATUS_SUCCESS)

export async function setInformation(
  ex: Executive,
  caller: Caller,
  file: FileObject,
  informationClass: number,
  bytes: Uint8Array,
): Promise<IrpResult> {
  const granted = (access: number): void => {
    if (!allows(file.grantedAccess, access)) throw new StatusError('STATUS_ACCESS_DENIED')
  }
  switch (informationClass) {
    case FilePositionInformation.number:
      file.position = FilePositionInformation.decode(bytes).CurrentByteOffset
      return SUCCESS
    case FileEndOfFileInformation.number:
      granted(FILE_WRITE_DATA)
      if (!file.fcb || file.isDirectory) throw new StatusError('STATUS_INVALID_DEVICE_REQUEST')
      await file.fcb.setEndOfFile(FileEndOfFileInformation.decode(bytes).EndOfFile)
      return SUCCESS
    case FileDispositionInformation.number:
      granted(DELETE)
      return dispose(ex, file, FileDispositionInformation.decode(bytes).DeleteFile)
    case FileRenameInformation.number:
      granted(DELETE)
      return rename(ex, caller, file, bytes)
    case FileAllocationInformation.number:
      granted(FILE_WRITE_DATA)
      return file.fcb
        ? file.fcb.resizing(() => passDown(ex, file, informationClass, bytes))
        : passDown(ex, file, informationClass, bytes)
    default:
      return passDown(ex, file, informationClass, bytes)
  }
}
async function passDown(
  ex: Executive,
  file: FileObject,
  FileInformationClass: number,
  bytes: Uint8Array,
): Promise<IrpResult> {
  const result = checked(await file.request(ex, settingOf(FileInformationClass, bytes)))
  if (result.response?.kind === 'Sizes') file.fcb?.setSizes(result.response.Sizes)
  return result
}
async function dispose(ex: Executive, file: FileObject, remove: boolean): Promise<IrpResult> {
  const result = checked(await file.setDisposition(ex, remove))
  file.deletePending = remove
  if (file.fcb) file.fcb.deletePending = remove
  return result
}

async function rename(ex: Executive, caller: Caller, file: FileObject, bytes: Uint8Array): Promise<IrpResult> {
  if (!file.vcb || !file.fcb || file.path === '') throw new StatusError('STATUS_INVALID_PARAMETER')
  const { RootDirectory, FileName, ReplaceIfExists } = FileRenameInformation.decode(bytes)
  const below = `${folded(file.path)}\\`
  if ([...file.vcb.files].some((open) => folded(open.path).startsWith(below)))
    throw new StatusError('STATUS_ACCESS_DENIED')
  const { directory, name } = await openTargetDirectory(ex, ex.ps.byBadge(caller.badge), file, {
    RootDirectory,
    ObjectName: FileName,
  })
  try {
    const target = directory.path
    const replaced = ReplaceIfExists ? file.vcb.fcbByPath(target) : undefined
    if (replaced && replaced !== file.fcb) throw new StatusError('STATUS_ACCESS_DENIED')
    const to = { TargetDirectory: directory.number, TargetName: name, ReplaceIfExists }
    const result = checked(await file.request(ex, settingOf(FileRenameInformation.number, bytes, to)))
    for (const open of file.fcb.opens) open.path = target
    file.fcb.path = folded(target)
    return result
  } finally {
    await directory.lastHandleClosed()
    ex.ob.dereference(directory)
  }
}
