/** Device objects, their stacks and names: each a service of the Executive, with the local object kept in step. */
import { NT_STATUS, StatusError } from '#rtl'
import type { DEVICE_OBJECT, DRIVER_OBJECT, IRP } from './api.ts'
import { DO_DEVICE_INITIALIZING } from './constants.ts'
import { irpOf } from './irp.ts'
import { Device, type Driver, hostOf, hostOfDevice } from './objects.ts'

export async function IoCreateDevice(
  DriverObject: DRIVER_OBJECT,
  DeviceName: string | undefined,
  DeviceType: number,
  Characteristics: number,
  Exclusive: boolean,
  Flags: number = 0,
): Promise<DEVICE_OBJECT> {
  const host = hostOf(DriverObject)
  host.scheduler.requirePassive('IoCreateDevice')
  const initial = (Flags | DO_DEVICE_INITIALIZING) >>> 0
  const answer = await host.services.WdmCreateDevice({
    DeviceName,
    DeviceType,
    Characteristics,
    Flags: initial,
    Exclusive,
  })
  const device = new Device(DriverObject as Driver, {
    handle: answer.Device,
    own: true,
    DeviceType,
    Characteristics,
    Flags: initial,
    StackSize: 1,
    AlignmentRequirement: 0,
    rebound: answer.Rebound,
  })
  host.devices.set(device.handle, device)
  return device
}

export async function IoDeleteDevice(DeviceObject: DEVICE_OBJECT): Promise<void> {
  const host = hostOfDevice(DeviceObject)
  host.devices.delete(DeviceObject.handle)
  await host.services.WdmDeleteDevice({ Device: DeviceObject.handle })
}

/** Also publishes later changes of StackSize or AlignmentRequirement. */
export async function IoDeviceInitialized(DeviceObject: DEVICE_OBJECT): Promise<void> {
  const device = DeviceObject as Device
  if (device.Flags & DO_DEVICE_INITIALIZING) device.Flags &= ~DO_DEVICE_INITIALIZING
  else device.publish()
  await device.publication
}

export async function IoAttachDeviceToDeviceStack(
  SourceDevice: DEVICE_OBJECT,
  TargetDevice: DEVICE_OBJECT,
): Promise<DEVICE_OBJECT> {
  const host = hostOfDevice(SourceDevice)
  const handles = { SourceDevice: SourceDevice.handle, TargetDevice: TargetDevice.handle }
  const { LowerDevice } = await host.services.WdmAttachDeviceToDeviceStack(handles)
  const lower = host.adopt(LowerDevice)
  SourceDevice.StackSize = lower.StackSize + 1
  SourceDevice.AlignmentRequirement = lower.AlignmentRequirement
  return lower
}
/** TargetDevice: the device below, as in NT. When its driver has deleted it already, on the same removal, there is nothing to do. */
export async function IoDetachDevice(TargetDevice: DEVICE_OBJECT): Promise<void> {
  const { services } = hostOfDevice(TargetDevice)
  try {
    await services.WdmDetachDevice({ TargetDevice: TargetDevice.handle })
  } catch (error) {
    if (!(error instanceof StatusError) || error.status !== NT_STATUS.STATUS_INVALID_HANDLE) throw error
  }
}

export async function IoGetDeviceObjectPointer(
  DriverObject: DRIVER_OBJECT,
  ObjectName: string,
): Promise<DEVICE_OBJECT> {
  const host = hostOf(DriverObject)
  const { Info } = await host.services.WdmGetDeviceObjectPointer({ ObjectName })
  return host.adopt(Info)
}
export const IoGetDevice = (DriverObject: DRIVER_OBJECT, handle: number): Promise<DEVICE_OBJECT> =>
  hostOf(DriverObject).foreign(handle)

export async function IoQueryDevices(DriverObject: DRIVER_OBJECT, DeviceType: number): Promise<readonly string[]> {
  return (await hostOf(DriverObject).services.WdmQueryDevices({ DeviceType })).Names
}
export async function IoGetDeviceProperty(
  DeviceObject: DEVICE_OBJECT,
  Property: 'InstancePath' | 'PhysicalDeviceObjectName' | 'DeviceID',
): Promise<string> {
  const { services } = hostOfDevice(DeviceObject)
  return (await services.WdmGetDeviceProperty({ Device: DeviceObject.handle, Property })).Value
}
export async function IoInvalidateDeviceRelations(DeviceObject: DEVICE_OBJECT): Promise<void> {
  await hostOfDevice(DeviceObject).services.WdmInvalidateDeviceRelations({ Device: DeviceObject.handle })
}
export async function IoRegisterShutdownNotification(DeviceObject: DEVICE_OBJECT): Promise<void> {
  const { services } = hostOfDevice(DeviceObject)
  await registered(services.WdmRegisterShutdownNotification({ Device: DeviceObject.handle }), DeviceObject)
}
export async function IoRegisterFileSystem(DeviceObject: DEVICE_OBJECT): Promise<void> {
  const { services } = hostOfDevice(DeviceObject)
  await registered(services.WdmRegisterFileSystem({ Device: DeviceObject.handle }), DeviceObject)
}
/** A device of an earlier life may still be registered. */
async function registered(call: Promise<unknown>, device: DEVICE_OBJECT): Promise<void> {
  try {
    await call
  } catch (error) {
    const known = error instanceof StatusError && error.status === NT_STATUS.STATUS_ALREADY_REGISTERED
    if (!known || !device.rebound) throw error
  }
}

// ---------------------------------------------------------------- symbolic links
const OBJ_PERMANENT = 0x10
const OBJ_CASE_INSENSITIVE = 0x40
const SYMBOLIC_LINK_QUERY = 0x1
const SYMBOLIC_LINK_ALL_ACCESS = 0xf0001
const DELETE = 0x10000
const named = (ObjectName: string, more = 0) => ({
  RootDirectory: 0,
  ObjectName,
  Attributes: OBJ_CASE_INSENSITIVE | more,
})

/** Succeeds when the very same link is there from an earlier life. */
export async function IoCreateSymbolicLink(
  DriverObject: DRIVER_OBJECT,
  SymbolicLinkName: string,
  DeviceName: string,
): Promise<void> {
  const { system } = hostOf(DriverObject)
  try {
    const { LinkHandle } = await system.NtCreateSymbolicLinkObject({
      DesiredAccess: SYMBOLIC_LINK_ALL_ACCESS,
      ObjectAttributes: named(SymbolicLinkName, OBJ_PERMANENT),
      LinkTarget: DeviceName,
    })
    await system.NtClose({ Handle: LinkHandle })
  } catch (error) {
    const collision = error instanceof StatusError && error.status === NT_STATUS.STATUS_OBJECT_NAME_COLLISION
    const survived = collision && DriverObject.birth === 'restart'
    if (!survived || (await linkTarget(DriverObject, SymbolicLinkName)) !== DeviceName) throw error
  }
}
async function linkTarget(DriverObject: DRIVER_OBJECT, name: string): Promise<string> {
  const { system } = hostOf(DriverObject)
  const { LinkHandle } = await system.NtOpenSymbolicLinkObject({
    DesiredAccess: SYMBOLIC_LINK_QUERY,
    ObjectAttributes: named(name),
  })
  const { LinkTarget } = await system.NtQuerySymbolicLinkObject({ LinkHandle })
  await system.NtClose({ Handle: LinkHandle })
  return LinkTarget
}
export async function IoDeleteSymbolicLink(DriverObject: DRIVER_OBJECT, SymbolicLinkName: string): Promise<void> {
  const { system } = hostOf(DriverObject)
  const { LinkHandle } = await system.NtOpenSymbolicLinkObject({
    DesiredAccess: DELETE,
    ObjectAttributes: named(SymbolicLinkName),
  })
  await system.NtMakeTemporaryObject({ Handle: LinkHandle })
  await system.NtClose({ Handle: LinkHandle })
}

// ---------------------------------------------------------------- state for the next life
export async function parkState(DriverObject: DRIVER_OBJECT, key: string, state: Uint8Array): Promise<void> {
  await hostOf(DriverObject).services.WdmParkState({ Key: key, State: state })
}
/** The same in the moment the IRP completes, whatever dies when: the next life has what the IRP did not hand out. */
export function parkWithCompletion(Irp: IRP, key: string, state: Uint8Array): void {
  irpOf(Irp).park = { Key: key, State: state }
}
export async function parkedState(DriverObject: DRIVER_OBJECT, key: string): Promise<Uint8Array> {
  return (await hostOf(DriverObject).services.WdmQueryParkedState({ Key: key })).State
}
