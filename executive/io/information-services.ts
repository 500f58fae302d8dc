/** System services that ask or tell something about an open file, its volume, or what a directory holds. */
import { INLINE_MAX } from '#contracts/field'
import { decodeDirectory, FILE_LIST_DIRECTORY, FilePositionInformation } from '#contracts/information'
import { IRP_MJ, IRP_MN } from '#contracts/wdm'
import { NT_STATUS } from '#rtl'
import type { Executive, Services } from '../executive.ts'
import type { FileObject } from './file.ts'
import { blockOf, checked, fileOf, outputOf } from './file-calls.ts'
import type { IrpResult } from './irp.ts'
import { setInformation } from './set-information.ts'

type InformationServices = Pick<
  Services,
  'NtQueryInformationFile' | 'NtSetInformationFile' | 'NtQueryDirectoryFile' | 'NtQueryVolumeInformationFile'
>

export function informationServices(ex: Executive): InformationServices {
  return {
    async NtQueryInformationFile({ FileHandle, Length, FileInformationClass }, caller) {
      const result = await queryInformation(ex, fileOf(ex, caller, FileHandle), FileInformationClass, Length)
      return { IoStatusBlock: blockOf(result), FileInformation: outputOf(result) }
    },
    async NtSetInformationFile({ FileHandle, FileInformation, FileInformationClass }, caller) {
      const file = fileOf(ex, caller, FileHandle)
      const { Status } = await setInformation(ex, caller, file, FileInformationClass, FileInformation)
      return { IoStatusBlock: { Status, Information: 0 } }
    },
    async NtQueryDirectoryFile({ FileHandle, ...query }, caller) {
      const result = await queryDirectory(ex, fileOf(ex, caller, FileHandle, FILE_LIST_DIRECTORY), query)
      return { IoStatusBlock: blockOf(result), FileInformation: outputOf(result) }
    },
    async NtQueryVolumeInformationFile({ FileHandle, Length, FsInformationClass }, caller) {
      const room = Math.min(Length, INLINE_MAX)
      const result = checked(
        await fileOf(ex, caller, FileHandle).request(ex, {
          major: IRP_MJ.IRP_MJ_QUERY_VOLUME_INFORMATION,
          parameters: { kind: 'QueryVolume', Length: room, FsInformationClass },
          outputLength: room,
        }),
      )
      return { IoStatusBlock: blockOf(result), FsInformation: outputOf(result) }
    },
  }
}

/** The position is the Executive's own; all else the file system or the device knows. */
export async function queryInformation(
  ex: Executive,
  file: FileObject,
  FileInformationClass: number,
  Length: number,
): Promise<IrpResult> {
  if (FileInformationClass === FilePositionInformation.number) {
    const { bytes } = FilePositionInformation.encode({ CurrentByteOffset: file.position }, Length)
    return { Status: NT_STATUS.STATUS_SUCCESS, Information: bytes.length, response: { kind: 'Data', Bytes: bytes } }
  }
  return checked(
    await file.request(ex, {
      major: IRP_MJ.IRP_MJ_QUERY_INFORMATION,
      parameters: { kind: 'QueryFile', Length, FileInformationClass },
      outputLength: Math.min(Length, INLINE_MAX),
    }),
  )
}

interface DirectoryQuery {
  readonly Length: number
  readonly FileInformationClass: number
  readonly ReturnSingleEntry: boolean
  readonly FileName?: string
  readonly RestartScan: boolean
}
/** The place of the scan is kept here, so that it goes on where it was when the file system has been restarted. */
async function queryDirectory(ex: Executive, file: FileObject, query: DirectoryQuery): Promise<IrpResult> {
  if (!file.scan || query.RestartScan)
    file.scan = { expression: query.FileName ?? file.scan?.expression, last: undefined }
  const { scan } = file
  const room = Math.min(query.Length, INLINE_MAX)
  const result = checked(
    await file.request(ex, {
      major: IRP_MJ.IRP_MJ_DIRECTORY_CONTROL,
      minor: IRP_MN.IRP_MN_QUERY_DIRECTORY,
      outputLength: room,
      parameters: {
        kind: 'QueryDirectory',
        Length: room,
        FileInformationClass: query.FileInformationClass,
        SingleEntry: query.ReturnSingleEntry,
        RestartScan: query.RestartScan,
        ...(scan.expression !== undefined && { FileName: scan.expression }),
        ...(scan.last !== undefined && { FileIndex: scan.last }),
      },
    }),
  )
  for (const { FileIndex } of decodeDirectory(outputOf(result))) scan.last = FileIndex
  return result
}
