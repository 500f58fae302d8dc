/**
 * kbdclass: the keyboard class driver, an upper filter above a keyboard port: \Device\KeyboardClass<n>.
 *
 * Opens end here. A read is passed to the port without asking for it back: the port pends it, and this process may die without
 * a reader noticing. Nothing is kept here that a next life would miss; numbers are parked so that names stay.
 * Differs from NT: one device per keyboard is both the class device and the filter, and data is pulled by reads instead of being
 * pushed through a connect callback, which no two processes could share.
 */
import { numberBook, passDown, removeFdo } from '#drivers/lib/pnp'
import { IRP_MJ, IRP_MN } from '#contracts/wdm'
import { NT_STATUS, type NTSTATUS } from '#rtl'
import {
  completeIrp,
  type DEVICE_OBJECT,
  DO_BUFFERED_IO,
  type DRIVER_DISPATCH,
  type DRIVER_OBJECT,
  FILE_DEVICE_KEYBOARD,
  IoAttachDeviceToDeviceStack,
  IoCreateDevice,
  IoGetCurrentIrpStackLocation,
  IoGetDeviceProperty,
} from '#wdm'

interface KeyboardClassExtension {
  readonly LowerDevice: DEVICE_OBJECT
}
const lowerOf = (DeviceObject: DEVICE_OBJECT): DEVICE_OBJECT =>
  (DeviceObject.DeviceExtension as KeyboardClassExtension).LowerDevice
/** IO_STATUS_BLOCK.Information of an open. */
const FILE_OPENED = 1

export function DriverEntry(DriverObject: DRIVER_OBJECT): NTSTATUS {
  const { MajorFunction } = DriverObject
  const numbers = numberBook(DriverObject, 'keyboards')
  DriverObject.DriverExtension.AddDevice = (driver, pdo) => addDevice(driver, pdo, numbers)
  MajorFunction[IRP_MJ.IRP_MJ_CREATE] = open
  MajorFunction[IRP_MJ.IRP_MJ_CLEANUP] = succeed
  MajorFunction[IRP_MJ.IRP_MJ_CLOSE] = succeed
  MajorFunction[IRP_MJ.IRP_MJ_PNP] = dispatchPnp
  for (const major of [
    IRP_MJ.IRP_MJ_READ,
    IRP_MJ.IRP_MJ_FLUSH_BUFFERS,
    IRP_MJ.IRP_MJ_DEVICE_CONTROL,
    IRP_MJ.IRP_MJ_INTERNAL_DEVICE_CONTROL,
    IRP_MJ.IRP_MJ_POWER,
    IRP_MJ.IRP_MJ_SYSTEM_CONTROL,
  ])
    MajorFunction[major] = (device, irp) => passDown(lowerOf(device), irp)
  return NT_STATUS.STATUS_SUCCESS
}

async function addDevice(
  DriverObject: DRIVER_OBJECT,
  PhysicalDeviceObject: DEVICE_OBJECT,
  numbers: ReturnType<typeof numberBook>,
): Promise<NTSTATUS> {
  const instance = await IoGetDeviceProperty(PhysicalDeviceObject, 'InstancePath')
  const name = `\\Device\\KeyboardClass${await numbers.numberOf(instance)}`
  const device = await IoCreateDevice(DriverObject, name, FILE_DEVICE_KEYBOARD, 0, false, DO_BUFFERED_IO)
  const extension: KeyboardClassExtension = {
    LowerDevice: await IoAttachDeviceToDeviceStack(device, PhysicalDeviceObject),
  }
  device.DeviceExtension = extension
  return NT_STATUS.STATUS_SUCCESS
}

const open: DRIVER_DISPATCH = (_DeviceObject, Irp) => completeIrp(Irp, NT_STATUS.STATUS_SUCCESS, FILE_OPENED)
const succeed: DRIVER_DISPATCH = (_DeviceObject, Irp) => completeIrp(Irp, NT_STATUS.STATUS_SUCCESS, 0)

const dispatchPnp: DRIVER_DISPATCH = (DeviceObject, Irp) => {
  const { MinorFunction } = IoGetCurrentIrpStackLocation(Irp)
  if (MinorFunction === IRP_MN.IRP_MN_REMOVE_DEVICE) return removeFdo(DeviceObject, lowerOf(DeviceObject), Irp)
  return passDown(lowerOf(DeviceObject), Irp)
}
