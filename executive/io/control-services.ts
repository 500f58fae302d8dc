/** System services that tell the driver behind an open file to do something. */
import { INLINE_MAX } from '#contracts/field'
import { FSCTL_DISMOUNT_VOLUME } from '#contracts/information'
import { IRP_MJ, type Parameters } from '#contracts/wdm'
import { NT_STATUS, NT_SUCCESS, StatusError } from '#rtl'
import type { Caller } from '#sel4/api'
import type { Executive, Services } from '../executive.ts'
import { blockOf, checked, fileOf, outputOf } from './file-calls.ts'
import type { Vcb } from './volume.ts'

type ControlServices = Pick<
  Services,
  'NtDeviceIoControlFile' | 'NtFsControlFile' | 'NtFlushBuffersFile' | 'NtCancelIoFile'
>
interface Buffers {
  readonly InputBuffer?: Uint8Array
  readonly OutputBufferLength: number
}

export function controlServices(ex: Executive): ControlServices {
  return {
    NtDeviceIoControlFile: ({ FileHandle, IoControlCode, ...buffers }, caller) =>
      control(ex, caller, FileHandle, buffers, { kind: 'DeviceIoControl', IoControlCode, ...lengthsOf(buffers) }),
    NtFsControlFile({ FileHandle, FsControlCode, ...buffers }, caller) {
      const { vcb } = fileOf(ex, caller, FileHandle)
      const told = () =>
        control(ex, caller, FileHandle, buffers, { kind: 'FileSystemControl', FsControlCode, ...lengthsOf(buffers) })
      return vcb && FsControlCode === FSCTL_DISMOUNT_VOLUME ? dismount(ex, vcb, told) : told()
    },
    async NtFlushBuffersFile({ FileHandle }, caller) {
      const file = fileOf(ex, caller, FileHandle)
      const result = await file.request(ex, { major: IRP_MJ.IRP_MJ_FLUSH_BUFFERS, parameters: { kind: 'None' } })
      return { IoStatusBlock: blockOf(checked(result)) }
    },
    async NtCancelIoFile({ FileHandle }, caller) {
      await ex.io.irps.cancellation.ofFile(fileOf(ex, caller, FileHandle), ex.ps.byBadge(caller.badge))
      return { IoStatusBlock: { Status: NT_STATUS.STATUS_SUCCESS, Information: 0 } }
    },
  }
}

const MAJOR = {
  DeviceIoControl: IRP_MJ.IRP_MJ_DEVICE_CONTROL,
  FileSystemControl: IRP_MJ.IRP_MJ_FILE_SYSTEM_CONTROL,
}
type ControlParameters = Extract<Parameters, { kind: keyof typeof MAJOR }>

const lengthsOf = ({ InputBuffer, OutputBufferLength }: Buffers) => ({
  InputBufferLength: InputBuffer?.length ?? 0,
  OutputBufferLength,
})
async function control(
  ex: Executive,
  caller: Caller,
  handle: number,
  { InputBuffer, OutputBufferLength }: Buffers,
  parameters: ControlParameters,
) {
  if (OutputBufferLength > INLINE_MAX) throw new StatusError('STATUS_INVALID_PARAMETER')
  const result = checked(
    await fileOf(ex, caller, handle).request(ex, {
      major: MAJOR[parameters.kind],
      parameters,
      ...(InputBuffer && { input: InputBuffer }),
      outputLength: OutputBufferLength,
      requestor: ex.ps.byBadge(caller.badge),
    }),
  )
  return { IoStatusBlock: blockOf(result), OutputBuffer: outputOf(result) }
}
/** The cache's changes go to the file system before it is asked; what its own last commit changed goes to the disk after. */
async function dismount<T>(ex: Executive, vcb: Vcb, told: () => Promise<T>): Promise<T> {
  await ex.cc.flushVolume(vcb.storageDevice, 0)
  const answer = await told()
  const status = await ex.io.volumes.dismounted(vcb)
  if (!NT_SUCCESS(status)) throw new StatusError(status)
  return answer
}
