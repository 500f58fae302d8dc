/**
 * storport: the port driver, a library of its miniports. It owns the adapter's FDO, the units' PDOs and queues, the
 * deadlines and what an SRB's outcome means for an IRP; the miniport owns the controller.
 *
 *   StorPortInitialize(DriverObject, hw)        from the miniport's DriverEntry
 *   context.complete(request, outcome)          from HwDpc or recovery
 *   LunQueue                                    one per logical unit, made by the miniport
 */
import { numberBook } from '#drivers/lib/pnp'
import { IRP_MJ } from '#contracts/wdm'
import type { DEVICE_OBJECT, DRIVER_OBJECT, IRP } from '#wdm'
import { NT_STATUS, type NTSTATUS } from '#rtl'
import { addAdapter, fdoDispatch } from './fdo.ts'
import type { HW_INITIALIZATION_DATA } from './miniport.ts'
import { pdoDispatch } from './pdo.ts'

export type * from './miniport.ts'
export { deadlineOf } from './pdo.ts'
export { LunQueue } from './queue.ts'

const MAJORS = [
  IRP_MJ.IRP_MJ_INTERNAL_DEVICE_CONTROL,
  IRP_MJ.IRP_MJ_DEVICE_CONTROL,
  IRP_MJ.IRP_MJ_PNP,
  IRP_MJ.IRP_MJ_POWER,
  IRP_MJ.IRP_MJ_SYSTEM_CONTROL,
  IRP_MJ.IRP_MJ_FLUSH_BUFFERS,
  IRP_MJ.IRP_MJ_SHUTDOWN,
]
const dispatch = (DeviceObject: DEVICE_OBJECT, Irp: IRP): NTSTATUS | Promise<NTSTATUS> =>
  DeviceObject.DeviceExtension.kind === 'pdo' ? pdoDispatch(DeviceObject, Irp) : fdoDispatch(DeviceObject, Irp)

export function StorPortInitialize(DriverObject: DRIVER_OBJECT, hw: HW_INITIALIZATION_DATA): NTSTATUS {
  const book = numberBook(DriverObject, 'RaidPort')
  for (const major of MAJORS) DriverObject.MajorFunction[major] = dispatch
  DriverObject.DriverExtension.AddDevice = (driver, pdo) => addAdapter(driver, pdo, book, hw)
  return NT_STATUS.STATUS_SUCCESS
}
