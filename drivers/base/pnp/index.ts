/**
 * pnp: the root enumerator. Its device \Device\pnp is the bus of HTREE\ROOT\0, on top of the Executive's physical device;
 * its children are the devices no bus can find.
 *
 * Children are named after their place in the table, so that a restarted pnp is bound to the same devices.
 */
import { BusRelations } from '#drivers/lib/io'
import { type PdoIds, pdoPnp } from '#drivers/lib/pnp'
import { IRP_MJ, IRP_MN } from '#contracts/wdm'
import { NT_STATUS, type NTSTATUS } from '#rtl'
import {
  completeIrp,
  type DEVICE_OBJECT,
  type DRIVER_DISPATCH,
  type DRIVER_OBJECT,
  FILE_DEVICE_BUS_EXTENDER,
  FILE_DEVICE_CONTROLLER,
  IoAttachDeviceToDeviceStack,
  IoCreateDevice,
  IoGetCurrentIrpStackLocation,
  type IRP,
} from '#wdm'
import { parseChildren, type RootChild } from './children.ts'

const ROOT_IDS: PdoIds = {
  deviceId: 'HTREE\\ROOT',
  instanceId: '0',
  hardwareIds: ['HTREE\\ROOT\\0'],
  compatibleIds: [],
}
interface RootExtension {
  readonly kind: 'root'
  readonly children: DEVICE_OBJECT[]
}
interface ChildExtension {
  readonly kind: 'child'
  readonly child: RootChild
}
type Extension = RootExtension | ChildExtension

export async function DriverEntry(DriverObject: DRIVER_OBJECT): Promise<NTSTATUS> {
  const children = parseChildren(DriverObject.config)
  DriverObject.MajorFunction[IRP_MJ.IRP_MJ_PNP] = dispatchPnp
  DriverObject.MajorFunction[IRP_MJ.IRP_MJ_POWER] = dispatchPower
  const root = await IoCreateDevice(DriverObject, '\\Device\\pnp', FILE_DEVICE_BUS_EXTENDER, 0, false)
  const extension: RootExtension = { kind: 'root', children: [] }
  root.DeviceExtension = extension
  for (const [index, child] of children.entries())
    extension.children.push(await createChild(DriverObject, index, child))
  DriverObject.DriverExtension.AddDevice = async (_driver, PhysicalDeviceObject) => {
    await IoAttachDeviceToDeviceStack(root, PhysicalDeviceObject)
    return NT_STATUS.STATUS_SUCCESS
  }
  return NT_STATUS.STATUS_SUCCESS
}

async function createChild(DriverObject: DRIVER_OBJECT, index: number, child: RootChild): Promise<DEVICE_OBJECT> {
  const name = `\\Device\\NTPNP_ROOT${String(index).padStart(4, '0')}`
  const device = await IoCreateDevice(DriverObject, name, FILE_DEVICE_CONTROLLER, 0, false)
  const extension: ChildExtension = { kind: 'child', child }
  device.DeviceExtension = extension
  return device
}

const dispatchPnp: DRIVER_DISPATCH = (DeviceObject, Irp) => {
  const extension = DeviceObject.DeviceExtension as Extension
  return extension.kind === 'root' ? rootPnp(DeviceObject, Irp, extension) : childPnp(DeviceObject, Irp, extension)
}

function rootPnp(DeviceObject: DEVICE_OBJECT, Irp: IRP, { children }: RootExtension): NTSTATUS {
  const { MinorFunction, Parameters } = IoGetCurrentIrpStackLocation(Irp)
  const bus = Parameters.kind === 'QueryDeviceRelations' && Parameters.Type === BusRelations
  if (MinorFunction !== IRP_MN.IRP_MN_QUERY_DEVICE_RELATIONS || !bus) return pdoPnp(DeviceObject, Irp, ROOT_IDS)
  Irp.response = { kind: 'Devices', Devices: children.map(({ handle }) => handle) }
  return completeIrp(Irp, NT_STATUS.STATUS_SUCCESS)
}

function childPnp(DeviceObject: DEVICE_OBJECT, Irp: IRP, { child }: ChildExtension): NTSTATUS {
  const { MinorFunction } = IoGetCurrentIrpStackLocation(Irp)
  if (MinorFunction !== IRP_MN.IRP_MN_QUERY_RESOURCE_REQUIREMENTS) return pdoPnp(DeviceObject, Irp, child)
  const { requirements } = child
  Irp.response = { kind: 'Requirements', Alternatives: requirements.length ? [requirements] : [] }
  return completeIrp(Irp, NT_STATUS.STATUS_SUCCESS)
}

/** Wired devices have no power states of their own. */
const dispatchPower: DRIVER_DISPATCH = (_DeviceObject, Irp) => completeIrp(Irp, NT_STATUS.STATUS_SUCCESS)
