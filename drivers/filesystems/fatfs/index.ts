/**
 * fatfs: the FAT12, FAT16 and FAT32 file system. DriverEntry and dispatch; what is done is in the files beside.
 *
 *   boot names dirent       bytes on disk, pure
 *   fat extents directory   the structures, with their caches
 *   change volume           one IRP's commit; a mounted volume and its open files
 *   create info dir volume-info rw control   what IRPs ask for
 *
 * A changing IRP holds its volume's resource exclusively from its first look at the disk until it is completed, because the
 * commit leaves with the completion. Flushes hold nothing. [fatgen103], [MS-FSA], [MS-FSCC]
 */
import * as nt from '#contracts/information'
import { IRP_MJ, IRP_MN, type Response } from '#contracts/wdm'
import { NT_STATUS, NT_SUCCESS, type NTSTATUS, StatusError } from '#rtl'
import {
  completeIrp,
  type DEVICE_OBJECT,
  type DRIVER_OBJECT,
  type ERESOURCE,
  ExAcquireResourceExclusive,
  ExAcquireResourceShared,
  ExInitializeResource,
  ExReleaseResource,
  IoCallDriver,
  IoCreateDevice,
  IoDeleteDevice,
  IoDeviceInitialized,
  IoGetCurrentIrpStackLocation,
  IoGetDevice,
  type IO_STACK_LOCATION,
  type IRP,
  IoRegisterFileSystem,
  IoRegisterShutdownNotification,
  IoSetOutput,
  IoSkipCurrentIrpStackLocation,
} from '#wdm'
import type { Change } from './change.ts'
import { dirtyState, dismount, flush, lock, markCleanStage, mount, mustBeVolume, parkMount, unlock } from './control.ts'
import { type Begin, cleanupFile, closeFile, createChanges, createFile } from './create.ts'
import { queryDirectory } from './dir.ts'
import { queryInformation, setInformation } from './info.ts'
import { type Outcome, queryExtents, readFile, type Transfer, writeExtends, writeFile } from './rw.ts'
import type { Ccb, Volume } from './volume.ts'
import { labelOf, queryVolumeInformation } from './volume-info.ts'

/** DeviceExtension of a volume device; the control device has none. */
interface Mounted {
  readonly volume: Volume
  readonly resource: ERESOURCE
}
interface Answer {
  readonly Status?: NTSTATUS
  readonly Information?: number
  readonly response?: Response
  readonly bytes?: Uint8Array
}
type Body = (context: {
  volume: Volume
  ccb: Ccb
  stack: IO_STACK_LOCATION
  begin: Begin
}) => Promise<Answer | Outcome | { readonly again: true }>
/** No status: the IRP is still here, and the operation wants the resource exclusively. */
const AGAIN = -1

const fail = (status: ConstructorParameters<typeof StatusError>[0], detail?: string): never => {
  throw new StatusError(status, detail)
}
const mountedOf = (device: DEVICE_OBJECT): Mounted =>
  (device.DeviceExtension as Mounted | undefined) ?? fail('STATUS_INVALID_DEVICE_REQUEST')
const parametersOf = <K extends IO_STACK_LOCATION['Parameters']['kind']>(stack: IO_STACK_LOCATION, kind: K) => {
  if (stack.Parameters.kind !== kind) return fail('STATUS_INVALID_PARAMETER')
  return stack.Parameters as Extract<IO_STACK_LOCATION['Parameters'], { kind: K }>
}

/** The open an IRP is for. */
function ccbOf(stack: IO_STACK_LOCATION): Ccb {
  return (stack.FileObject?.FsContext2 as Ccb | undefined) ?? fail('STATUS_INVALID_HANDLE')
}

/** Runs a body with the resource held and completes the IRP, or passes it on; a refused change leaves nothing behind. */
async function operate(device: DEVICE_OBJECT, Irp: IRP, exclusive: boolean, body: Body): Promise<NTSTATUS> {
  const { volume, resource } = mountedOf(device)
  await (exclusive ? ExAcquireResourceExclusive(resource) : ExAcquireResourceShared(resource))
  volume.active++
  volume.evict()
  try {
    const stack = IoGetCurrentIrpStackLocation(Irp)
    const answer = await body({ volume, ccb: ccbOfAny(stack), stack, begin: beginOnce(volume, Irp, exclusive) })
    if ('again' in answer) return AGAIN
    if ('forward' in answer) return await answer.forward()
    return complete(Irp, answer)
  } catch (error) {
    if (!(error instanceof StatusError)) throw error
    return completeIrp(Irp, error.status, 0)
  } finally {
    volume.active--
    ExReleaseResource(resource)
  }
}
/** CREATE has no open yet: its body does not look. */
const ccbOfAny = (stack: IO_STACK_LOCATION): Ccb =>
  stack.MajorFunction === IRP_MJ.IRP_MJ_CREATE ? (undefined as unknown as Ccb) : ccbOf(stack)

function beginOnce(volume: Volume, Irp: IRP, exclusive: boolean): Begin {
  let change: Change | undefined
  return () => {
    if (!exclusive) throw new Error('a change without the volume to itself')
    change ??= volume.begin(Irp)
    return change
  }
}

function complete(Irp: IRP, { Status = NT_STATUS.STATUS_SUCCESS, Information = 0, response, bytes }: Answer): NTSTATUS {
  if (bytes) {
    IoSetOutput(Irp, bytes)
    return completeIrp(Irp, Status, bytes.byteLength)
  }
  if (response) Irp.response = response
  return completeIrp(Irp, Status, Information)
}
const encodedAnswer = ({ bytes, whole }: nt.Encoded): Answer => ({
  bytes,
  Status: whole ? NT_STATUS.STATUS_SUCCESS : NT_STATUS.STATUS_BUFFER_OVERFLOW,
})
const mustBeMounted = (volume: Volume): void => {
  if (volume.dismounted) fail('STATUS_VOLUME_DISMOUNTED')
}

// ---------------------------------------------------------------- files
async function create(device: DEVICE_OBJECT, Irp: IRP): Promise<NTSTATUS> {
  if (!device.DeviceExtension) return completeIrp(Irp, NT_STATUS.STATUS_SUCCESS, nt.FILE_OPENED)
  const { FileObject, Parameters } = IoGetCurrentIrpStackLocation(Irp)
  if (Parameters.kind !== 'Create' || !FileObject) return completeIrp(Irp, NT_STATUS.STATUS_INVALID_PARAMETER)
  return operate(device, Irp, createChanges(Parameters), async ({ volume, begin }) => {
    const { ccb, Information, Sizes, FileId } = await createFile(
      volume,
      { ...Parameters, file: FileObject.number },
      begin,
    )
    FileObject.FsContext = ccb.fcb
    FileObject.FsContext2 = ccb
    return { Information, response: { kind: 'Opened', Sizes, FileId } }
  })
}

async function cleanup(device: DEVICE_OBJECT, Irp: IRP): Promise<NTSTATUS> {
  const ccb = IoGetCurrentIrpStackLocation(Irp).FileObject?.FsContext2 as Ccb | undefined
  if (!device.DeviceExtension || !ccb) return completeIrp(Irp, NT_STATUS.STATUS_SUCCESS)
  return operate(device, Irp, true, async ({ volume, begin }) => {
    await cleanupFile(volume, ccb, begin)
    return {}
  })
}

/** The last handle of a dismounted volume takes the device with it. */
async function close(device: DEVICE_OBJECT, Irp: IRP): Promise<NTSTATUS> {
  const mounted = device.DeviceExtension as Mounted | undefined
  const ccb = IoGetCurrentIrpStackLocation(Irp).FileObject?.FsContext2 as Ccb | undefined
  if (mounted && ccb) closeFile(mounted.volume, ccb)
  const gone = mounted && ccb && mounted.volume.dismounted && mounted.volume.opens.size === 0
  const status = completeIrp(Irp, NT_STATUS.STATUS_SUCCESS)
  if (gone) await IoDeleteDevice(device)
  return status
}

const room = (Irp: IRP, Length: number) => Math.min(Length, Irp.OutputLength)

const queryFile = (device: DEVICE_OBJECT, Irp: IRP) =>
  operate(device, Irp, false, async ({ volume, ccb, stack }) => {
    const { FileInformationClass, Length } = parametersOf(stack, 'QueryFile')
    return encodedAnswer(await queryInformation(volume, ccb, FileInformationClass, room(Irp, Length)))
  })

const setFile = (device: DEVICE_OBJECT, Irp: IRP) =>
  operate(device, Irp, true, async ({ volume, ccb, stack, begin }) => {
    mustBeMounted(volume)
    const { FileInformationClass, TargetDirectory, TargetName, ReplaceIfExists } = parametersOf(stack, 'SetFile')
    const target = TargetDirectory === undefined ? undefined : volume.opens.get(TargetDirectory)
    if (TargetDirectory !== undefined && !target) return fail('STATUS_NOT_SAME_DEVICE')
    const bytes = Irp.SystemBuffer ?? new Uint8Array(0)
    const request = { FileInformationClass, bytes, target, TargetName, ReplaceIfExists }
    const Sizes = await setInformation(volume, ccb, request, begin)
    return Sizes ? { response: { kind: 'Sizes', Sizes } } : {}
  })

const directoryControl = (device: DEVICE_OBJECT, Irp: IRP) =>
  operate(device, Irp, false, async ({ volume, ccb, stack }) => {
    mustBeMounted(volume)
    if (stack.MinorFunction !== IRP_MN.IRP_MN_QUERY_DIRECTORY) return fail('STATUS_NOT_SUPPORTED')
    const { Length, ...request } = parametersOf(stack, 'QueryDirectory')
    return encodedAnswer(await queryDirectory(volume, ccb, { ...request, room: room(Irp, Length) }))
  })

const extents = (device: DEVICE_OBJECT, Irp: IRP) =>
  operate(device, Irp, false, async ({ volume, ccb, stack }) => {
    const Extents = await queryExtents(volume, ccb, parametersOf(stack, 'QueryExtents'))
    return { Information: Extents.length, response: { kind: 'Extents', Extents } }
  })

const read = (device: DEVICE_OBJECT, Irp: IRP) =>
  operate(device, Irp, false, async ({ volume, ccb, stack }) => {
    mustBeMounted(volume)
    return readFile({ DriverObject: device.DriverObject, Irp }, volume, ccb, parametersOf(stack, 'Read'))
  })

/** A file may shrink between the look and the resource: then the write is one that extends after all. */
async function write(device: DEVICE_OBJECT, Irp: IRP): Promise<NTSTATUS> {
  const stack = IoGetCurrentIrpStackLocation(Irp)
  const transfer: Transfer = parametersOf(stack, 'Write')
  const attempt = (exclusive: boolean) =>
    operate(device, Irp, exclusive, async ({ volume, ccb, begin }) => {
      mustBeMounted(volume)
      if (!exclusive && writeExtends(volume, ccb, transfer)) return { again: true }
      return writeFile({ DriverObject: device.DriverObject, Irp }, volume, ccb, transfer, begin)
    })
  const status = await attempt(writeExtends(mountedOf(device).volume, ccbOf(stack), transfer))
  return status === AGAIN ? attempt(true) : status
}

// ---------------------------------------------------------------- volumes
const queryVolume = (device: DEVICE_OBJECT, Irp: IRP) =>
  operate(device, Irp, false, async ({ volume, stack }) => {
    const { FsInformationClass, Length } = parametersOf(stack, 'QueryVolume')
    return encodedAnswer(await queryVolumeInformation(volume, FsInformationClass, room(Irp, Length)))
  })

async function flushBuffers(device: DEVICE_OBJECT, Irp: IRP): Promise<NTSTATUS> {
  const { FileObject } = IoGetCurrentIrpStackLocation(Irp)
  const { volume } = mountedOf(device)
  return completeIrp(Irp, await flush(volume, FileObject?.FsContext2 as Ccb | undefined, FileObject))
}

/** Flushed, then clean; what the mark itself needs is flushed by the Executive, after the last of these. */
async function shutdown(device: DEVICE_OBJECT, Irp: IRP): Promise<NTSTATUS> {
  const mounted = device.DeviceExtension as Mounted | undefined
  if (!mounted || mounted.volume.dismounted) return completeIrp(Irp, NT_STATUS.STATUS_SUCCESS)
  const { volume, resource } = mounted
  const Status = await flush(volume, undefined, undefined)
  if (!NT_SUCCESS(Status)) return completeIrp(Irp, Status)
  await ExAcquireResourceExclusive(resource)
  try {
    await markCleanStage(volume, beginOnce(volume, Irp, true))
    return completeIrp(Irp, NT_STATUS.STATUS_SUCCESS)
  } catch (error) {
    if (!(error instanceof StatusError)) throw error
    return completeIrp(Irp, error.status)
  } finally {
    ExReleaseResource(resource)
  }
}

async function fileSystemControl(device: DEVICE_OBJECT, Irp: IRP): Promise<NTSTATUS> {
  const stack = IoGetCurrentIrpStackLocation(Irp)
  if (stack.MinorFunction === IRP_MN.IRP_MN_MOUNT_VOLUME) return mountVolume(device, Irp, stack)
  if (stack.MinorFunction !== IRP_MN.IRP_MN_USER_FS_REQUEST || stack.Parameters.kind !== 'FileSystemControl')
    return completeIrp(Irp, NT_STATUS.STATUS_INVALID_DEVICE_REQUEST)
  const { FsControlCode } = stack.Parameters
  const { volume } = mountedOf(device)
  if (!stack.FileObject && FsControlCode === nt.FSCTL_DISMOUNT_VOLUME) return forceDismount(device, Irp, volume)
  const ccb = ccbOf(stack)
  mustBeMounted(volume)
  if (FsControlCode === nt.FSCTL_LOCK_VOLUME || FsControlCode === nt.FSCTL_DISMOUNT_VOLUME) {
    mustBeVolume(ccb)
    const Status = await flush(volume, ccb, undefined)
    if (!NT_SUCCESS(Status)) return completeIrp(Irp, Status)
  }
  const status = await operate(device, Irp, true, (context) =>
    volumeControl(context.volume, ccb, FsControlCode, context.begin),
  )
  if (volume.dismounted) await parkMount(volume)
  return status
}

async function volumeControl(volume: Volume, ccb: Ccb, FsControlCode: number, begin: Begin): Promise<Answer> {
  switch (FsControlCode) {
    case nt.FSCTL_LOCK_VOLUME:
      lock(volume, ccb)
      return {}
    case nt.FSCTL_UNLOCK_VOLUME:
      unlock(volume, ccb)
      return {}
    case nt.FSCTL_DISMOUNT_VOLUME:
      await dismount(volume, ccb, begin)
      return {}
    case nt.FSCTL_IS_VOLUME_MOUNTED:
      return {}
    case nt.FSCTL_IS_VOLUME_DIRTY:
      mustBeVolume(ccb)
      return { bytes: dirtyState(volume) }
    default:
      return fail('STATUS_INVALID_DEVICE_REQUEST')
  }
}

/** The storage is gone: nothing can be written, what is open only closes. */
async function forceDismount(device: DEVICE_OBJECT, Irp: IRP, volume: Volume): Promise<NTSTATUS> {
  volume.dismounted = true
  const status = completeIrp(Irp, NT_STATUS.STATUS_SUCCESS)
  await parkMount(volume)
  if (volume.opens.size === 0) await IoDeleteDevice(device)
  return status
}

async function mountVolume(control: DEVICE_OBJECT, Irp: IRP, stack: IO_STACK_LOCATION): Promise<NTSTATUS> {
  const { DriverObject } = control
  const { StorageDevice, Rebind } = parametersOf(stack, 'MountVolume')
  const storage = await IoGetDevice(DriverObject, StorageDevice)
  const volume = await mount(DriverObject, storage, Rebind)
  const type = nt.FILE_DEVICE_DISK_FILE_SYSTEM
  const device = await IoCreateDevice(DriverObject, undefined, type, storage.Characteristics, false)
  volume.VolumeDevice = device
  device.StackSize = storage.StackSize + 1
  device.AlignmentRequirement = volume.seams.storage.SectorSize
  device.DeviceExtension = { volume, resource: ExInitializeResource(DriverObject) } satisfies Mounted
  try {
    await publishVolume(device, volume, Irp, Rebind)
  } catch (error) {
    await IoDeleteDevice(device)
    throw error
  }
  Irp.response = volumeMounted(volume)
  return completeIrp(Irp, NT_STATUS.STATUS_SUCCESS)
}

/** The dirty mark is the mount's one change; a volume bound again has it already, or gets it with its next change. */
async function publishVolume(device: DEVICE_OBJECT, volume: Volume, Irp: IRP, rebind: boolean): Promise<void> {
  await IoDeviceInitialized(device)
  await parkMount(volume)
  if (rebind) return
  await IoRegisterShutdownNotification(device)
  if (!volume.seams.readOnly) await volume.finish(volume.begin(Irp))
}

const volumeMounted = (volume: Volume): Response => ({
  kind: 'VolumeMounted',
  VolumeDevice: volume.VolumeDevice.handle,
  VolumeSize: volume.geometry.volumeSize,
  AllocationUnit: volume.geometry.BytsPerClus,
  SectorSize: volume.seams.storage.SectorSize,
  SerialNumber: volume.geometry.VolID,
  Label: labelOf(volume),
  ReadOnly: volume.seams.readOnly,
})

/** Disk control codes of a volume handle are the storage device's to answer. */
function deviceControl(device: DEVICE_OBJECT, Irp: IRP): NTSTATUS | Promise<NTSTATUS> {
  const { volume } = mountedOf(device)
  mustBeVolume(ccbOf(IoGetCurrentIrpStackLocation(Irp)))
  IoSkipCurrentIrpStackLocation(Irp)
  return IoCallDriver(volume.seams.storage.StorageDevice, Irp)
}

export async function DriverEntry(DriverObject: DRIVER_OBJECT): Promise<NTSTATUS> {
  Object.assign(DriverObject.MajorFunction, {
    [IRP_MJ.IRP_MJ_CREATE]: create,
    [IRP_MJ.IRP_MJ_CLEANUP]: cleanup,
    [IRP_MJ.IRP_MJ_CLOSE]: close,
    [IRP_MJ.IRP_MJ_READ]: read,
    [IRP_MJ.IRP_MJ_WRITE]: write,
    [IRP_MJ.IRP_MJ_QUERY_EXTENTS]: extents,
    [IRP_MJ.IRP_MJ_QUERY_INFORMATION]: queryFile,
    [IRP_MJ.IRP_MJ_SET_INFORMATION]: setFile,
    [IRP_MJ.IRP_MJ_DIRECTORY_CONTROL]: directoryControl,
    [IRP_MJ.IRP_MJ_QUERY_VOLUME_INFORMATION]: queryVolume,
    [IRP_MJ.IRP_MJ_FILE_SYSTEM_CONTROL]: fileSystemControl,
    [IRP_MJ.IRP_MJ_DEVICE_CONTROL]: deviceControl,
    [IRP_MJ.IRP_MJ_FLUSH_BUFFERS]: flushBuffers,
    [IRP_MJ.IRP_MJ_SHUTDOWN]: shutdown,
  })
  const control = await IoCreateDevice(DriverObject, '\\FatX', nt.FILE_DEVICE_DISK_FILE_SYSTEM, 0, false)
  await IoDeviceInitialized(control)
  await IoRegisterFileSystem(control)
  return NT_STATUS.STATUS_SUCCESS
}
