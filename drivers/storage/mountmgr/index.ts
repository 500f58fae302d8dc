/** mountmgr: \Device\MountPointManager, which gives volumes their drive letters and \??\Volume{guid} names. mountmgr.h */
import { FILE_DEVICE_NETWORK, FILE_DEVICE_SECURE_OPEN } from '#drivers/lib/io'
import { ensureLink } from '#drivers/lib/pnp'
import { IRP_MJ } from '#contracts/wdm'
import { IoCreateDevice, IoDeviceInitialized, type DRIVER_INITIALIZE } from '#wdm'
import { NT_STATUS } from '#rtl'
import { MountManager } from './manager.ts'

const NAME = '\\Device\\MountPointManager'

export const DriverEntry: DRIVER_INITIALIZE = async (DriverObject) => {
  const manager = await MountManager.open(DriverObject)
  const device = await IoCreateDevice(DriverObject, NAME, FILE_DEVICE_NETWORK, FILE_DEVICE_SECURE_OPEN, false)
  DriverObject.MajorFunction[IRP_MJ.IRP_MJ_DEVICE_CONTROL] = (_device, Irp) => manager.control(Irp)
  await ensureLink(DriverObject, '\\DosDevices\\MountPointManager', NAME)
  await IoDeviceInitialized(device)
  return NT_STATUS.STATUS_SUCCESS
}
