/**
 * classpnp: a library of the class drivers. It owns the functional device, PnP, reads and writes, and what an error means;
 * the class driver owns what kind of device it is.
 *
 *   ClassInitialize(DriverObject, init)          from the class driver's DriverEntry
 *   ClassReadWrite, sendDown, ClassSendSrbSynchronous, srb      see transfer.ts
 */
import { DO_DIRECT_IO, FILE_DEVICE_SECURE_OPEN } from '#drivers/lib/io'
import { forwardAndWait, type NumberBook, numberBook, passDown, removeFdo } from '#drivers/lib/pnp'
import { cdb, SCSIOP, SRB_FLAGS_NO_DATA } from '#drivers/lib/scsi'
import { IRP_MJ, IRP_MN } from '#contracts/wdm'
import {
  completeIrp,
  IoAttachDeviceToDeviceStack,
  IoCreateDevice,
  IoDeviceInitialized,
  IoGetCurrentIrpStackLocation,
  IoGetDeviceProperty,
  IoRegisterShutdownNotification,
  type DEVICE_OBJECT,
  type DRIVER_OBJECT,
  type IRP,
} from '#wdm'
import { NT_STATUS, NT_SUCCESS, type NTSTATUS, StatusError } from '#rtl'
import { type CLASS_INIT_DATA, type ClassFdo, FLUSH_TIMEOUT_S, TRANSFER_MAX } from './fdo.ts'
import { ClassReadWrite, sendDown, srb } from './transfer.ts'

export * from './fdo.ts'
export { ClassSendSrbSynchronous, srb } from './transfer.ts'

/** Until the medium is known. */
const USUAL_SECTOR = 512

export function ClassInitialize(DriverObject: DRIVER_OBJECT, init: CLASS_INIT_DATA): NTSTATUS {
  const book = numberBook(DriverObject, init.book)
  const { MajorFunction } = DriverObject
  MajorFunction[IRP_MJ.IRP_MJ_READ] = (device, Irp) => ClassReadWrite(device.DeviceExtension, Irp)
  MajorFunction[IRP_MJ.IRP_MJ_WRITE] = (device, Irp) => ClassReadWrite(device.DeviceExtension, Irp)
  MajorFunction[IRP_MJ.IRP_MJ_FLUSH_BUFFERS] = (device, Irp) => flush(device.DeviceExtension, Irp)
  MajorFunction[IRP_MJ.IRP_MJ_SHUTDOWN] = (device, Irp) => flush(device.DeviceExtension, Irp)
  MajorFunction[IRP_MJ.IRP_MJ_DEVICE_CONTROL] = (device, Irp) => init.ClassDeviceControl(device.DeviceExtension, Irp)
  MajorFunction[IRP_MJ.IRP_MJ_INTERNAL_DEVICE_CONTROL] = (device, Irp) =>
    passDown(device.DeviceExtension.LowerDevice, Irp)
  MajorFunction[IRP_MJ.IRP_MJ_POWER] = (device, Irp) => passDown(device.DeviceExtension.LowerDevice, Irp)
  MajorFunction[IRP_MJ.IRP_MJ_SYSTEM_CONTROL] = (device, Irp) => passDown(device.DeviceExtension.LowerDevice, Irp)
  MajorFunction[IRP_MJ.IRP_MJ_PNP] = (device, Irp) => pnp(init, device.DeviceExtension, Irp)
  DriverObject.DriverExtension.AddDevice = (driver, pdo) => addDevice(driver, pdo, book, init)
  return NT_STATUS.STATUS_SUCCESS
}

async function addDevice(
  DriverObject: DRIVER_OBJECT,
  PhysicalDeviceObject: DEVICE_OBJECT,
  book: NumberBook,
  init: CLASS_INIT_DATA,
): Promise<NTSTATUS> {
  const number = await book.numberOf(await IoGetDeviceProperty(PhysicalDeviceObject, 'InstancePath'))
  const name = await init.ClassDeviceName(DriverObject, number)
  const DeviceObject = await IoCreateDevice(
    DriverObject,
    name,
    init.DeviceType,
    FILE_DEVICE_SECURE_OPEN,
    false,
    DO_DIRECT_IO,
  )
  const LowerDevice = await IoAttachDeviceToDeviceStack(DeviceObject, PhysicalDeviceObject)
  const fdo: ClassFdo = {
    DeviceObject,
    LowerDevice,
    number,
    medium: undefined,
    transferMax: TRANSFER_MAX,
    forceUnitAccess: false,
    classData: undefined,
  }
  DeviceObject.DeviceExtension = fdo
  DeviceObject.AlignmentRequirement = USUAL_SECTOR
  await IoDeviceInitialized(DeviceObject)
  return NT_STATUS.STATUS_SUCCESS
}

/** All that was acknowledged is on the medium afterwards. */
function flush(fdo: ClassFdo, Irp: IRP): NTSTATUS | Promise<NTSTATUS> {
  if (!fdo.medium) return completeIrp(Irp, NT_STATUS.STATUS_SUCCESS)
  return sendDown(fdo, Irp, srb(cdb(SCSIOP.SYNCHRONIZE_CACHE), SRB_FLAGS_NO_DATA, 0, FLUSH_TIMEOUT_S))
}

async function pnp(init: CLASS_INIT_DATA, fdo: ClassFdo, Irp: IRP): Promise<NTSTATUS> {
  const { DeviceObject, LowerDevice } = fdo
  switch (IoGetCurrentIrpStackLocation(Irp).MinorFunction) {
    case IRP_MN.IRP_MN_START_DEVICE:
      return start(init, fdo, Irp)
    case IRP_MN.IRP_MN_STOP_DEVICE:
    case IRP_MN.IRP_MN_SURPRISE_REMOVAL:
      fdo.medium = undefined
      return passDown(LowerDevice, Irp)
    case IRP_MN.IRP_MN_REMOVE_DEVICE:
      fdo.medium = undefined
      return removeFdo(DeviceObject, LowerDevice, Irp)
    default:
      return passDown(LowerDevice, Irp)
  }
}
async function start(init: CLASS_INIT_DATA, fdo: ClassFdo, Irp: IRP): Promise<NTSTATUS> {
  const { DeviceObject } = fdo
  const lower = await forwardAndWait(DeviceObject.DriverObject, fdo.LowerDevice, Irp)
  if (!NT_SUCCESS(lower)) return completeIrp(Irp, lower)
  const status = await init.ClassStartDevice(fdo)
  if (NT_SUCCESS(status)) await publish(fdo)
  return completeIrp(Irp, status)
}
async function publish({ DeviceObject, medium }: ClassFdo): Promise<void> {
  if (medium && medium.sectorSize !== DeviceObject.AlignmentRequirement) {
    DeviceObject.AlignmentRequirement = medium.sectorSize
    await IoDeviceInitialized(DeviceObject)
  }
  await IoRegisterShutdownNotification(DeviceObject).catch((error: unknown) => {
    if (!(error instanceof StatusError) || error.status !== NT_STATUS.STATUS_ALREADY_REGISTERED) throw error
  })
}
