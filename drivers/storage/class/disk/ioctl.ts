/** The disk's control codes, in NT's byte layouts. What is not the disk's goes down. ntdddisk.h, ntddstor.h */
import { FILE_DEVICE_DISK } from '#drivers/lib/io'
import {
  DISK_GEOMETRY,
  DISK_GEOMETRY_EX,
  GET_LENGTH_INFORMATION,
  IOCTL_DISK_CHECK_VERIFY,
  IOCTL_DISK_GET_DRIVE_GEOMETRY,
  IOCTL_DISK_GET_DRIVE_GEOMETRY_EX,
  IOCTL_DISK_GET_LENGTH_INFO,
  IOCTL_DISK_IS_WRITABLE,
  IOCTL_STORAGE_CHECK_VERIFY,
  IOCTL_STORAGE_CHECK_VERIFY2,
  IOCTL_STORAGE_GET_DEVICE_NUMBER,
  IOCTL_STORAGE_QUERY_PROPERTY,
  STORAGE_DEVICE_DESCRIPTOR,
  STORAGE_DEVICE_NUMBER,
  type DeviceDescriptor,
} from '#drivers/lib/ioctl'
import { passDown } from '#drivers/lib/pnp'
import { view } from '#drivers/lib/bytes'
import { cdb, SCSIOP, SRB_FLAGS_NO_DATA } from '#drivers/lib/scsi'
import { completeIrp, IoGetCurrentIrpStackLocation, IoSetOutput, type IRP } from '#wdm'
import { NT_STATUS, NT_SUCCESS, type NTSTATUS } from '#rtl'
import { type ClassFdo, ClassSendSrbSynchronous, srb } from '../classpnp/index.ts'
import { readMode } from './medium.ts'

function answer(Irp: IRP, bytes: Uint8Array): NTSTATUS {
  if (Irp.OutputLength < bytes.byteLength) return completeIrp(Irp, NT_STATUS.STATUS_BUFFER_TOO_SMALL)
  IoSetOutput(Irp, bytes)
  return completeIrp(Irp, NT_STATUS.STATUS_SUCCESS, bytes.byteLength)
}
/** Descriptors state their own size: as much as there is room for. */
function answerPart(Irp: IRP, bytes: Uint8Array): NTSTATUS {
  const part = bytes.subarray(0, Irp.OutputLength)
  IoSetOutput(Irp, part)
  return completeIrp(Irp, NT_STATUS.STATUS_SUCCESS, part.byteLength)
}

export function diskDeviceControl(fdo: ClassFdo, Irp: IRP): NTSTATUS | Promise<NTSTATUS> {
  const { Parameters } = IoGetCurrentIrpStackLocation(Irp)
  if (Parameters.kind !== 'DeviceIoControl') return completeIrp(Irp, NT_STATUS.STATUS_INVALID_PARAMETER)
  const { medium } = fdo
  if (!medium) return completeIrp(Irp, NT_STATUS.STATUS_DEVICE_NOT_READY)
  switch (Parameters.IoControlCode) {
    case IOCTL_DISK_GET_DRIVE_GEOMETRY:
      return answer(Irp, DISK_GEOMETRY(medium))
    case IOCTL_DISK_GET_DRIVE_GEOMETRY_EX:
      return answer(Irp, DISK_GEOMETRY_EX(medium))
    case IOCTL_DISK_GET_LENGTH_INFO:
      return answer(Irp, GET_LENGTH_INFORMATION(medium.sectors * medium.sectorSize))
    case IOCTL_STORAGE_GET_DEVICE_NUMBER:
      return answer(Irp, STORAGE_DEVICE_NUMBER(FILE_DEVICE_DISK, fdo.number, 0))
    case IOCTL_STORAGE_QUERY_PROPERTY:
      return queryProperty(fdo.classData, Irp)
    case IOCTL_DISK_IS_WRITABLE:
      return isWritable(fdo, Irp)
    case IOCTL_DISK_CHECK_VERIFY:
    case IOCTL_STORAGE_CHECK_VERIFY:
    case IOCTL_STORAGE_CHECK_VERIFY2:
      return checkVerify(fdo, Irp)
    default:
      return passDown(fdo.LowerDevice, Irp)
  }
}

const StorageDeviceProperty = 0
const PropertyStandardQuery = 0
const PropertyExistsQuery = 1
function queryProperty(descriptor: DeviceDescriptor, Irp: IRP): NTSTATUS {
  const input = Irp.SystemBuffer
  if (!input || input.byteLength < 8) return completeIrp(Irp, NT_STATUS.STATUS_INVALID_PARAMETER)
  const property = view(input).getUint32(0, true)
  const query = view(input).getUint32(4, true)
  if (property !== StorageDeviceProperty || query > PropertyExistsQuery)
    return completeIrp(Irp, NT_STATUS.STATUS_NOT_SUPPORTED)
  if (query !== PropertyStandardQuery) return completeIrp(Irp, NT_STATUS.STATUS_SUCCESS)
  return answerPart(Irp, STORAGE_DEVICE_DESCRIPTOR(descriptor))
}
async function isWritable(fdo: ClassFdo, Irp: IRP): Promise<NTSTATUS> {
  const { writeProtected } = await readMode(fdo)
  return completeIrp(Irp, writeProtected ? NT_STATUS.STATUS_MEDIA_WRITE_PROTECTED : NT_STATUS.STATUS_SUCCESS)
}
/** With room for it, also the media change count: of a fixed disk always 0. */
async function checkVerify(fdo: ClassFdo, Irp: IRP): Promise<NTSTATUS> {
  const { Status } = await ClassSendSrbSynchronous(fdo, srb(cdb(SCSIOP.TEST_UNIT_READY), SRB_FLAGS_NO_DATA, 0))
  return NT_SUCCESS(Status) && Irp.OutputLength >= 4 ? answer(Irp, new Uint8Array(4)) : completeIrp(Irp, Status)
}
