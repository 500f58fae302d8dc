/** System services that open, close, name, query and change files; reading and writing is in transfer-services.ts. */
import {
  decodeDirectory,
  DELETE,
  FILE_DELETE_ON_CLOSE,
  FILE_OPEN,
  FILE_READ_ATTRIBUTES,
  FILE_SHARE_DELETE,
  FILE_SHARE_READ,
  FILE_SHARE_WRITE,
  FileAllocationInformation,
  FileBasicInformation,
  FileDispositionInformation,
  FileEndOfFileInformation,
  FilePositionInformation,
  FileRenameInformation,
  FSCTL_DISMOUNT_VOLUME,
} from '#contracts/information'
import type { Handlers } from '#contracts/interface'
import type { SystemServices } from '#contracts/nt'
import { IRP_MJ, IRP_MN } from '#contracts/wdm'
import { NT_ERROR, NT_STATUS, NT_SUCCESS, StatusError } from '#rtl'
import type { Caller } from '#sel4/api'
import type { Executive } from '../executive.ts'
import type { ObjectManager } from '../ob/index.ts'
import type { Process } from '../ps/index.ts'
import { folded } from './fcb.ts'
import { FileObject } from './file.ts'
import type { IrpResult } from './irp.ts'
import { openFile, openTargetDirectory } from './open.ts'

type Services = Handlers<typeof SystemServices, Caller>
type FileServices = Pick<
  Services,
  | 'NtCreateFile'
  | 'NtOpenFile'
  | 'NtDeviceIoControlFile'
  | 'NtFsControlFile'
  | 'NtQueryInformationFile'
  | 'NtSetInformationFile'
  | 'NtQueryAttributesFile'
  | 'NtQueryDirectoryFile'
  | 'NtQueryVolumeInformationFile'
  | 'NtFlushBuffersFile'
  | 'NtDeleteFile'
  | 'NtCancelIoFile'
  | 'NtLoadDriver'
  | 'NtPlugPlayControl'
>
const FILE_LIST_DIRECTORY = 0x1
const FILE_WRITE_DATA = 0x2
/** A page is what one message carries. */
const INLINE_MAX = 4096
const SHARE_ALL = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE
const NO_BYTES = new Uint8Array(0)

const outputOf = (result: IrpResult): Uint8Array =>
  result.response?.kind === 'Data' ? result.response.Bytes : NO_BYTES
const blockOf = (result: IrpResult): { Status: number; Information: number } => ({
  Status: result.Status,
  Information: result.Information,
})
/** Errors are thrown; warnings such as STATUS_BUFFER_OVERFLOW come with data. */
function checked(result: IrpResult): IrpResult {
  if (NT_ERROR(result.Status) || result.Status === NT_STATUS.STATUS_NO_MORE_FILES) throw new StatusError(result.Status)
  return result
}

export function fileServices(ex: Executive): FileServices {
  const { ob, ps } = ex
  const fileOf = (caller: Caller, handle: number, access = 0): FileObject => {
    const file = ob.fromHandle(ps.byBadge(caller.badge), handle, FileObject, access)
    if (file.forcedClosed) throw new StatusError('STATUS_FILE_FORCED_CLOSED')
    return file
  }
  const control = async (
    caller: Caller,
    handle: number,
    major: number,
    code: number,
    input: Uint8Array | undefined,
    outputLength: number,
  ) => {
    if (outputLength > INLINE_MAX) throw new StatusError('STATUS_INVALID_PARAMETER')
    const file = fileOf(caller, handle)
    const kind = major === IRP_MJ.IRP_MJ_DEVICE_CONTROL ? 'DeviceIoControl' : 'FileSystemControl'
    const lengths = { InputBufferLength: input?.length ?? 0, OutputBufferLength: outputLength }
    const result = checked(
      await file.request(ex, {
        major,
        outputLength,
        ...(input && { input }),
        requestor: ps.byBadge(caller.badge),
        parameters:
          kind === 'DeviceIoControl'
            ? { kind, IoControlCode: code, ...lengths }
            : { kind, FsControlCode: code, ...lengths },
      }),
    )
    return { IoStatusBlock: blockOf(result), OutputBuffer: outputOf(result) }
  }
  const open = async (
    caller: Caller,
    ObjectAttributes: { RootDirectory: number; ObjectName: string },
    request: Parameters<typeof openFile>[3],
  ) => {
    const process = ps.byBadge(caller.badge)
    const { file, Information } = await openFile(ex, process, ObjectAttributes, request)
    const FileHandle = await handleOf(ob, process, file, request.access)
    return { FileHandle, IoStatusBlock: { Status: NT_STATUS.STATUS_SUCCESS, Information } }
  }
  /** Opens, does something, closes again. */
  const withFile = async <T>(
    caller: Caller,
    ObjectAttributes: { RootDirectory: number; ObjectName: string },
    access: number,
    options: number,
    section: (file: FileObject) => Promise<T>,
  ): Promise<T> => {
    const { FileHandle } = await open(caller, ObjectAttributes, {
      access,
      share: SHARE_ALL,
      disposition: FILE_OPEN,
      options,
      attributes: 0,
      allocationSize: 0,
    })
    const process = ps.byBadge(caller.badge)
    try {
      return await section(ob.fromHandle(process, FileHandle, FileObject))
    } finally {
      await ob.close(process, FileHandle)
    }
  }
  const query = async (file: FileObject, FileInformationClass: number, Length: number): Promise<IrpResult> => {
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
  return {
    NtCreateFile: (
      {
        DesiredAccess,
        ObjectAttributes,
        AllocationSize,
        FileAttributes,
        ShareAccess,
        CreateDisposition,
        CreateOptions,
      },
      caller,
    ) =>
      open(caller, ObjectAttributes, {
        access: DesiredAccess,
        share: ShareAccess,
        disposition: CreateDisposition,
        options: CreateOptions,
        attributes: FileAttributes,
        allocationSize: AllocationSize ?? 0,
      }),
    NtOpenFile: ({ DesiredAccess, ObjectAttributes, ShareAccess, OpenOptions }, caller) =>
      open(caller, ObjectAttributes, {
        access: DesiredAccess,
        share: ShareAccess,
        disposition: FILE_OPEN,
        options: OpenOptions,
        attributes: 0,
        allocationSize: 0,
      }),
    NtDeviceIoControlFile: ({ FileHandle, IoControlCode, InputBuffer, OutputBufferLength }, caller) =>
      control(caller, FileHandle, IRP_MJ.IRP_MJ_DEVICE_CONTROL, IoControlCode, InputBuffer, OutputBufferLength),
    async NtFsControlFile({ FileHandle, FsControlCode, InputBuffer, OutputBufferLength }, caller) {
      const file = fileOf(caller, FileHandle)
      if (FsControlCode === FSCTL_DISMOUNT_VOLUME && file.vcb) await ex.cc.flushVolume(file.vcb.storageDevice, 0)
      const answer = await control(
        caller,
        FileHandle,
        IRP_MJ.IRP_MJ_FILE_SYSTEM_CONTROL,
        FsControlCode,
        InputBuffer,
        OutputBufferLength,
      )
      if (FsControlCode !== FSCTL_DISMOUNT_VOLUME || !file.vcb) return answer
      const status = await ex.io.volumes.dismounted(file.vcb)
      if (!NT_SUCCESS(status)) throw new StatusError(status)
      return answer
    },
    async NtQueryInformationFile({ FileHandle, Length, FileInformationClass }, caller) {
      const result = await query(fileOf(caller, FileHandle), FileInformationClass, Length)
      return { IoStatusBlock: blockOf(result), FileInformation: outputOf(result) }
    },
    async NtSetInformationFile({ FileHandle, FileInformation, FileInformationClass }, caller) {
      const file = fileOf(caller, FileHandle)
      const result = await setInformation(ex, caller, file, FileInformationClass, FileInformation)
      return { IoStatusBlock: { Status: result.Status, Information: 0 } }
    },
    async NtQueryAttributesFile({ ObjectAttributes }, caller) {
      const { number, fixedLength } = FileBasicInformation
      const result = await withFile(caller, ObjectAttributes, FILE_READ_ATTRIBUTES, 0, (file) =>
        query(file, number, fixedLength()),
      )
      return { FileInformation: outputOf(result) }
    },
    async NtQueryDirectoryFile(
      { FileHandle, Length, FileInformationClass, ReturnSingleEntry, FileName, RestartScan },
      caller,
    ) {
      const file = fileOf(caller, FileHandle, FILE_LIST_DIRECTORY)
      const result = await queryDirectory(ex, file, {
        Length: Math.min(Length, INLINE_MAX),
        FileInformationClass,
        ReturnSingleEntry,
        FileName,
        RestartScan,
      })
      return { IoStatusBlock: blockOf(result), FileInformation: outputOf(result) }
    },
    async NtQueryVolumeInformationFile({ FileHandle, Length, FsInformationClass }, caller) {
      const room = Math.min(Length, INLINE_MAX)
      const result = checked(
        await fileOf(caller, FileHandle).request(ex, {
          major: IRP_MJ.IRP_MJ_QUERY_VOLUME_INFORMATION,
          parameters: { kind: 'QueryVolume', Length: room, FsInformationClass },
          outputLength: room,
        }),
      )
      return { IoStatusBlock: blockOf(result), FsInformation: outputOf(result) }
    },
    async NtFlushBuffersFile({ FileHandle }, caller) {
      const file = fileOf(caller, FileHandle)
      const result = checked(
        await file.request(ex, { major: IRP_MJ.IRP_MJ_FLUSH_BUFFERS, parameters: { kind: 'None' } }),
      )
      return { IoStatusBlock: blockOf(result) }
    },
    async NtDeleteFile({ ObjectAttributes }, caller) {
      await withFile(caller, ObjectAttributes, DELETE, FILE_DELETE_ON_CLOSE, async () => undefined)
      return {}
    },
    async NtCancelIoFile({ FileHandle }, caller) {
      await ex.io.irps.cancellation.ofFile(fileOf(caller, FileHandle), ps.byBadge(caller.badge))
      return { IoStatusBlock: { Status: NT_STATUS.STATUS_SUCCESS, Information: 0 } }
    },
    async NtLoadDriver({ DriverServiceName }) {
      await ex.io.loadDriver(DriverServiceName)
      return {}
    },
    NtPlugPlayControl: async ({ Control }) => ({ Result: await ex.io.pnp.control(Control) }),
  }
}

interface DirectoryQuery {
  readonly Length: number
  readonly FileInformationClass: number
  readonly ReturnSingleEntry: boolean
  readonly FileName: string | undefined
  readonly RestartScan: boolean
}
/** The place of the scan is kept here, so that it goes on where it was when the file system has been restarted. */
async function queryDirectory(ex: Executive, file: FileObject, query: DirectoryQuery): Promise<IrpResult> {
  if (!file.scan || query.RestartScan)
    file.scan = { expression: query.FileName ?? file.scan?.expression, last: undefined }
  const { scan } = file
  const result = checked(
    await file.request(ex, {
      major: IRP_MJ.IRP_MJ_DIRECTORY_CONTROL,
      minor: IRP_MN.IRP_MN_QUERY_DIRECTORY,
      outputLength: query.Length,
      parameters: {
        kind: 'QueryDirectory',
        Length: query.Length,
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

/** Closes the file again when no handle can be made: the table is full, or its process ended meanwhile. */
async function handleOf(ob: ObjectManager, process: Process, file: FileObject, access: number): Promise<number> {
  try {
    return ob.createHandle(process, file, access)
  } catch (error) {
    await file.lastHandleClosed()
    throw error
  } finally {
    ob.dereference(file)
  }
}

async function setInformation(
  ex: Executive,
  caller: Caller,
  file: FileObject,
  informationClass: number,
  bytes: Uint8Array,
): Promise<IrpResult> {
  const granted = (access: number): void => {
    if ((file.grantedAccess & access) !== access) throw new StatusError('STATUS_ACCESS_DENIED')
  }
  switch (informationClass) {
    case FilePositionInformation.number:
      file.position = FilePositionInformation.decode(bytes).CurrentByteOffset
      return { Status: NT_STATUS.STATUS_SUCCESS, Information: 0 }
    case FileEndOfFileInformation.number:
      granted(FILE_WRITE_DATA)
      if (!file.fcb || file.isDirectory) throw new StatusError('STATUS_INVALID_DEVICE_REQUEST')
      await file.fcb.setEndOfFile(FileEndOfFileInformation.decode(bytes).EndOfFile)
      return { Status: NT_STATUS.STATUS_SUCCESS, Information: 0 }
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
  const result = checked(
    await file.request(ex, {
      major: IRP_MJ.IRP_MJ_SET_INFORMATION,
      input: bytes,
      parameters: { kind: 'SetFile', Length: bytes.length, FileInformationClass, ReplaceIfExists: false },
    }),
  )
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
    const input = bytes.slice()
    const target = `${directory.path.slice(0, directory.path.lastIndexOf('\\'))}\\${name}`
    const replaced = ReplaceIfExists ? file.vcb.fcbByPath(target) : undefined
    if (replaced && replaced !== file.fcb) throw new StatusError('STATUS_ACCESS_DENIED')
    const result = checked(
      await file.request(ex, {
        major: IRP_MJ.IRP_MJ_SET_INFORMATION,
        input,
        parameters: {
          kind: 'SetFile',
          Length: input.length,
          FileInformationClass: FileRenameInformation.number,
          TargetDirectory: directory.number,
          TargetName: name,
          ReplaceIfExists,
        },
      }),
    )
    for (const open of file.fcb.opens) open.path = target
    file.fcb.path = folded(target)
    return result
  } finally {
    await directory.lastHandleClosed()
    ex.ob.dereference(directory)
  }
}
