/**
 * partmgr: the partition manager. An upper filter of every disk (class Disk) that finds the partitions, and the function
 * driver of the volumes it found (STORAGE\Volume), which need nothing more than their PDO.
 */
import { numberBook } from '#drivers/lib/pnp'
import { IRP_MJ } from '#contracts/wdm'
import type { DEVICE_OBJECT, DRIVER_INITIALIZE, IRP } from '#wdm'
import { NT_STATUS, type NTSTATUS } from '#rtl'
import { addDisk, diskDispatch } from './disk.ts'
import { volumeDispatch } from './volume.ts'

const MAJORS = [
  IRP_MJ.IRP_MJ_READ,
  IRP_MJ.IRP_MJ_WRITE,
  IRP_MJ.IRP_MJ_FLUSH_BUFFERS,
  IRP_MJ.IRP_MJ_DEVICE_CONTROL,
  IRP_MJ.IRP_MJ_INTERNAL_DEVICE_CONTROL,
  IRP_MJ.IRP_MJ_SHUTDOWN,
  IRP_MJ.IRP_MJ_POWER,
  IRP_MJ.IRP_MJ_SYSTEM_CONTROL,
  IRP_MJ.IRP_MJ_PNP,
]
const dispatch = (DeviceObject: DEVICE_OBJECT, Irp: IRP): NTSTATUS | Promise<NTSTATUS> =>
  DeviceObject.DeviceExtension.kind === 'volume' ? volumeDispatch(DeviceObject, Irp) : diskDispatch(DeviceObject, Irp)

export const DriverEntry: DRIVER_INITIALIZE = (DriverObject) => {
  const volumeNumbers = numberBook(DriverObject, 'HarddiskVolume')
  for (const major of MAJORS) DriverObject.MajorFunction[major] = dispatch
  DriverObject.DriverExtension.AddDevice = (driver, pdo) =>
    pdo.own ? Promise.resolve(NT_STATUS.STATUS_SUCCESS) : addDisk(driver, pdo, volumeNumbers)
  return NT_STATUS.STATUS_SUCCESS
}
