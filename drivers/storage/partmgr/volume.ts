/**
 * A partition's PDO, \Device\HarddiskVolume<n>: reads and writes moved to where the partition starts, control codes of
 * volumes. A read or write that fits is forwarded without notice: nothing of it comes back here.
 */
import { FILE_DEVICE_DISK } from '#drivers/lib/io'
import {
  GET_LENGTH_INFORMATION,
  IOCTL_DISK_GET_LENGTH_INFO,
  IOCTL_DISK_GET_PARTITION_INFO,
  IOCTL_DISK_GET_PARTITION_INFO_EX,
  IOCTL_MOUNTDEV_QUERY_DEVICE_NAME,
  IOCTL_MOUNTDEV_QUERY_UNIQUE_ID,
  IOCTL_STORAGE_GET_DEVICE_NUMBER,
  IOCTL_VOLUME_GET_VOLUME_DISK_EXTENTS,
  IOCTL_VOLUME_ONLINE,
  MOUNTDEV_NAME,
  countedBytes,
  STORAGE_DEVICE_NUMBER,
  VOLUME_DISK_EXTENTS,
} from '#drivers/lib/ioctl'
import { pdoPnp } from '#drivers/lib/pnp'
import { IRP_MJ } from '#contracts/wdm'
import {
  completeIrp,
  IoCallDriver,
  IoCopyCurrentIrpStackLocationToNext,
  IoGetCurrentIrpStackLocation,
  IoGetNextIrpStackLocation,
  IoSetOutput,
  type DEVICE_OBJECT,
  type IRP,
} from '#wdm'
import { NT_STATUS, type NTSTATUS } from '#rtl'
import {
  lengthOf,
  PARTITION_INFORMATION,
  PARTITION_INFORMATION_EX,
  startOf,
  uniqueId,
  volumeIds,
  type VolumePlace,
} from './layout.ts'

export interface VolumeExtension {
  readonly kind: 'volume'
  readonly name: string
  readonly place: VolumePlace
  /** The disk's FDO; undefined once the disk is gone. */
  DiskDevice: DEVICE_OBJECT | undefined
}

export function volumeDispatch(DeviceObject: DEVICE_OBJECT, Irp: IRP): NTSTATUS | Promise<NTSTATUS> {
  const extension: VolumeExtension = DeviceObject.DeviceExtension
  switch (IoGetCurrentIrpStackLocation(Irp).MajorFunction) {
    case IRP_MJ.IRP_MJ_READ:
    case IRP_MJ.IRP_MJ_WRITE:
      return readWrite(extension, Irp)
    case IRP_MJ.IRP_MJ_FLUSH_BUFFERS:
      return forward(extension, Irp)
    case IRP_MJ.IRP_MJ_DEVICE_CONTROL:
      return deviceControl(extension, Irp)
    case IRP_MJ.IRP_MJ_PNP:
      return pdoPnp(DeviceObject, Irp, volumeIds(extension.place))
    case IRP_MJ.IRP_MJ_POWER:
    case IRP_MJ.IRP_MJ_SHUTDOWN:
      return completeIrp(Irp, NT_STATUS.STATUS_SUCCESS)
    case IRP_MJ.IRP_MJ_SYSTEM_CONTROL:
      return completeIrp(Irp, NT_STATUS.STATUS_NOT_SUPPORTED)
    default:
      return completeIrp(Irp, NT_STATUS.STATUS_INVALID_DEVICE_REQUEST)
  }
}
function forward({ DiskDevice }: VolumeExtension, Irp: IRP): NTSTATUS | Promise<NTSTATUS> {
  if (!DiskDevice) return completeIrp(Irp, NT_STATUS.STATUS_DEVICE_REMOVED)
  IoCopyCurrentIrpStackLocationToNext(Irp)
  return IoCallDriver(DiskDevice, Irp)
}

/** Where on the disk, or why not. */
export function placeTransfer(
  place: VolumePlace,
  offset: number,
  length: number,
): { status: NTSTATUS; offset: number } {
  const { sectorSize } = place
  if (offset < 0 || offset % sectorSize !== 0 || length % sectorSize !== 0)
    return { status: NT_STATUS.STATUS_INVALID_PARAMETER, offset: 0 }
  if (offset + length > lengthOf(place)) return { status: NT_STATUS.STATUS_NONEXISTENT_SECTOR, offset: 0 }
  return { status: NT_STATUS.STATUS_SUCCESS, offset: startOf(place) + offset }
}
function readWrite({ place, DiskDevice }: VolumeExtension, Irp: IRP): NTSTATUS | Promise<NTSTATUS> {
  const { Parameters } = IoGetCurrentIrpStackLocation(Irp)
  if (Parameters.kind !== 'Read' && Parameters.kind !== 'Write')
    return completeIrp(Irp, NT_STATUS.STATUS_INVALID_PARAMETER)
  if (!DiskDevice) return completeIrp(Irp, NT_STATUS.STATUS_DEVICE_REMOVED)
  const { status, offset } = placeTransfer(place, Parameters.ByteOffset, Parameters.Length)
  if (status !== NT_STATUS.STATUS_SUCCESS || Parameters.Length === 0) return completeIrp(Irp, status)
  IoCopyCurrentIrpStackLocationToNext(Irp)
  IoGetNextIrpStackLocation(Irp).Parameters = { ...Parameters, ByteOffset: offset }
  return IoCallDriver(DiskDevice, Irp)
}

function answer(Irp: IRP, bytes: Uint8Array): NTSTATUS {
  if (Irp.OutputLength < bytes.byteLength) return completeIrp(Irp, NT_STATUS.STATUS_BUFFER_TOO_SMALL)
  IoSetOutput(Irp, bytes)
  return completeIrp(Irp, NT_STATUS.STATUS_SUCCESS, bytes.byteLength)
}
/** MOUNTDEV answers begin with their length: with room for that alone, it is told. mountdev.h */
function answerCounted(Irp: IRP, bytes: Uint8Array): NTSTATUS {
  if (Irp.OutputLength >= bytes.byteLength) return answer(Irp, bytes)
  if (Irp.OutputLength < 2) return completeIrp(Irp, NT_STATUS.STATUS_INVALID_PARAMETER)
  IoSetOutput(Irp, bytes.subarray(0, 2))
  return completeIrp(Irp, NT_STATUS.STATUS_BUFFER_OVERFLOW, 2)
}
function deviceControl(extension: VolumeExtension, Irp: IRP): NTSTATUS | Promise<NTSTATUS> {
  const { place, name } = extension
  const { Parameters } = IoGetCurrentIrpStackLocation(Irp)
  if (Parameters.kind !== 'DeviceIoControl') return completeIrp(Irp, NT_STATUS.STATUS_INVALID_PARAMETER)
  switch (Parameters.IoControlCode) {
    case IOCTL_DISK_GET_LENGTH_INFO:
      return answer(Irp, GET_LENGTH_INFORMATION(lengthOf(place)))
    case IOCTL_DISK_GET_PARTITION_INFO:
      return place.partition.gpt
        ? completeIrp(Irp, NT_STATUS.STATUS_INVALID_DEVICE_REQUEST)
        : answer(Irp, PARTITION_INFORMATION(place))
    case IOCTL_DISK_GET_PARTITION_INFO_EX:
      return answer(Irp, PARTITION_INFORMATION_EX(place))
    case IOCTL_STORAGE_GET_DEVICE_NUMBER:
      return answer(Irp, STORAGE_DEVICE_NUMBER(FILE_DEVICE_DISK, place.diskNumber, place.partition.number))
    case IOCTL_VOLUME_GET_VOLUME_DISK_EXTENTS:
      return answer(Irp, VOLUME_DISK_EXTENTS(place.diskNumber, startOf(place), lengthOf(place)))
    case IOCTL_VOLUME_ONLINE:
      return completeIrp(Irp, NT_STATUS.STATUS_SUCCESS)
    case IOCTL_MOUNTDEV_QUERY_DEVICE_NAME:
      return answerCounted(Irp, MOUNTDEV_NAME(name))
    case IOCTL_MOUNTDEV_QUERY_UNIQUE_ID:
      return answerCounted(Irp, countedBytes(uniqueId(place)))
    default:
      return forward(extension, Irp)
  }
}
