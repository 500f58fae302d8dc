/**
 * pci: the bus driver of a PCI root bridge (PNP0A03): finds the functions of its bus by configuration mechanism #1 and is the driver of
 * their physical devices \Device\NTPNP_PCI<nnnn>.
 *
 * Differs from NT: bridges to other buses are listed as functions but not driven.
 */
import { numberBook } from '#drivers/lib/pnp'
import { IRP_MJ } from '#contracts/wdm'
import { NT_STATUS, type NTSTATUS } from '#rtl'
import {
  completeIrp,
  type DEVICE_OBJECT,
  type DRIVER_DISPATCH,
  type DRIVER_OBJECT,
  FILE_DEVICE_BUS_EXTENDER,
  IoAttachDeviceToDeviceStack,
  IoCreateDevice,
} from '#wdm'
import { PciBus } from './fdo.ts'
import type { PciDevice } from './pdo.ts'

export function DriverEntry(DriverObject: DRIVER_OBJECT): NTSTATUS {
  const numbers = numberBook(DriverObject, 'functions')
  DriverObject.DriverExtension.AddDevice = async (driver, PhysicalDeviceObject) => {
    const device = await IoCreateDevice(driver, undefined, FILE_DEVICE_BUS_EXTENDER, 0, false)
    device.DeviceExtension = new PciBus(
      device,
      await IoAttachDeviceToDeviceStack(device, PhysicalDeviceObject),
      numbers,
    )
    return NT_STATUS.STATUS_SUCCESS
  }
  DriverObject.MajorFunction[IRP_MJ.IRP_MJ_PNP] = (device, irp) => extensionOf(device).pnp(irp)
  DriverObject.MajorFunction[IRP_MJ.IRP_MJ_POWER] = dispatchOther
  DriverObject.MajorFunction[IRP_MJ.IRP_MJ_SYSTEM_CONTROL] = dispatchOther
  return NT_STATUS.STATUS_SUCCESS
}
const extensionOf = (device: DEVICE_OBJECT): PciBus | PciDevice => device.DeviceExtension

/** Functions have no power states here; the system's changes are taken note of. */
const dispatchOther: DRIVER_DISPATCH = (device, irp) => {
  const extension = extensionOf(device)
  return extension.kind === 'fdo' ? extension.passDown(irp) : completeIrp(irp, NT_STATUS.STATUS_SUCCESS)
}
