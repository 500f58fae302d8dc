/**
 * What PnP drivers of a stack share: passing IRPs down, waiting for the lower driver, the PDO's side of the protocol, and
 * names that stay the same through restarts.
 *
 *   passDown(lower, irp)                   the driver has nothing to say
 *   forwardAndWait(driver, lower, irp)     the lower driver first; the IRP is the caller's again afterwards
 *   removeFdo(fdo, lower, irp, children)   IRP_MN_REMOVE_DEVICE in the middle of one
 *   pdoPnp(pdo, irp, ids)                  IRP_MJ_PNP at the bottom of a stack
 *   numberBook(driver, key)                \Device\Thing<n>: the same n for the same instance in each life
 *   ensureDirectory / ensureLink           object names that may be there already
 */
import {
  completeIrp,
  IoCallDriver,
  IoCopyCurrentIrpStackLocationToNext,
  IoCreateSymbolicLink,
  IoDeleteDevice,
  IoDetachDevice,
  IoGetCurrentIrpStackLocation,
  IoSetCompletionRoutine,
  IoSkipCurrentIrpStackLocation,
  KeInitializeEvent,
  KeSetEvent,
  KeWaitForSingleObject,
  parkedState,
  parkState,
  systemServices,
  type DEVICE_OBJECT,
  type DRIVER_OBJECT,
  type IRP,
} from '#wdm'
import { IRP_MN } from '#contracts/wdm'
import { NT_STATUS, type NTSTATUS, StatusError } from '#rtl'
import {
  BusQueryCompatibleIDs,
  BusQueryDeviceID,
  BusQueryHardwareIDs,
  BusQueryInstanceID,
  BusRelations,
  TargetDeviceRelation,
} from './io.ts'

export function passDown(LowerDevice: DEVICE_OBJECT, Irp: IRP): NTSTATUS | Promise<NTSTATUS> {
  IoSkipCurrentIrpStackLocation(Irp)
  return IoCallDriver(LowerDevice, Irp)
}

export async function forwardAndWait(
  DriverObject: DRIVER_OBJECT,
  LowerDevice: DEVICE_OBJECT,
  Irp: IRP,
): Promise<NTSTATUS> {
  const settled = KeInitializeEvent(DriverObject, 'NotificationEvent', false)
  const wake = () => {
    KeSetEvent(settled)
    return NT_STATUS.STATUS_MORE_PROCESSING_REQUIRED
  }
  IoCopyCurrentIrpStackLocationToNext(Irp)
  IoSetCompletionRoutine(Irp, wake, undefined, true, true, true)
  await IoCallDriver(LowerDevice, Irp)
  await KeWaitForSingleObject(settled)
  return Irp.IoStatus.Status
}

/** The lower driver first; then go its children there are by then, the attachment and the device itself. */
export async function removeFdo(
  DeviceObject: DEVICE_OBJECT,
  LowerDevice: DEVICE_OBJECT,
  Irp: IRP,
  children: () => readonly DEVICE_OBJECT[] = () => [],
): Promise<NTSTATUS> {
  const status = await forwardAndWait(DeviceObject.DriverObject, LowerDevice, Irp)
  for (const child of children()) await IoDeleteDevice(child)
  await IoDetachDevice(LowerDevice)
  await IoDeleteDevice(DeviceObject)
  return completeIrp(Irp, status)
}

export interface PdoIds {
  readonly deviceId: string
  readonly hardwareIds: readonly string[]
  readonly compatibleIds: readonly string[]
  readonly instanceId: string
}
const idsOf = (ids: PdoIds, type: number): readonly string[] | undefined => {
  if (type === BusQueryDeviceID) return [ids.deviceId]
  if (type === BusQueryHardwareIDs) return ids.hardwareIds
  if (type === BusQueryCompatibleIDs) return ids.compatibleIds
  return type === BusQueryInstanceID ? [ids.instanceId] : undefined
}
/** What every PDO without resources of its own answers; an unknown minor code keeps STATUS_NOT_SUPPORTED. */
export function pdoPnp(DeviceObject: DEVICE_OBJECT, Irp: IRP, ids: PdoIds): NTSTATUS {
  const { MinorFunction, Parameters } = IoGetCurrentIrpStackLocation(Irp)
  switch (MinorFunction) {
    case IRP_MN.IRP_MN_START_DEVICE:
    case IRP_MN.IRP_MN_QUERY_REMOVE_DEVICE:
    case IRP_MN.IRP_MN_REMOVE_DEVICE:
    case IRP_MN.IRP_MN_STOP_DEVICE:
    case IRP_MN.IRP_MN_SURPRISE_REMOVAL:
      return completeIrp(Irp, NT_STATUS.STATUS_SUCCESS)
    case IRP_MN.IRP_MN_QUERY_ID: {
      const Ids = Parameters.kind === 'QueryId' ? idsOf(ids, Parameters.IdType) : undefined
      if (!Ids) return completeIrp(Irp, NT_STATUS.STATUS_NOT_SUPPORTED)
      Irp.response = { kind: 'Ids', Ids }
      return completeIrp(Irp, NT_STATUS.STATUS_SUCCESS)
    }
    case IRP_MN.IRP_MN_QUERY_DEVICE_RELATIONS: {
      const type = Parameters.kind === 'QueryDeviceRelations' ? Parameters.Type : -1
      if (type !== BusRelations && type !== TargetDeviceRelation)
        return completeIrp(Irp, NT_STATUS.STATUS_NOT_SUPPORTED)
      Irp.response = { kind: 'Devices', Devices: type === BusRelations ? [] : [DeviceObject.handle] }
      return completeIrp(Irp, NT_STATUS.STATUS_SUCCESS)
    }
    case IRP_MN.IRP_MN_QUERY_RESOURCE_REQUIREMENTS:
      Irp.response = { kind: 'Requirements', Alternatives: [] }
      return completeIrp(Irp, NT_STATUS.STATUS_SUCCESS)
    default:
      return completeIrp(Irp, NT_STATUS.STATUS_NOT_SUPPORTED)
  }
}

/** Instances and the numbers they were given, oldest first. A page holds dozens; the newest are forgotten first. */
export class Numbering {
  private readonly numbers: Map<string, number>
  constructor(entries: Iterable<readonly [string, number]>) {
    this.numbers = new Map(entries)
  }
  numberOf(instance: string): number {
    let number = this.numbers.get(instance)
    if (number === undefined) {
      const taken = new Set(this.numbers.values())
      for (number = 0; taken.has(number); ) number++
      this.numbers.set(instance, number)
    }
    return number
  }
  encode(limit: number): Uint8Array {
    const entries = [...this.numbers]
    for (;;) {
      const bytes = new TextEncoder().encode(JSON.stringify(entries))
      if (bytes.byteLength <= limit) return bytes
      entries.pop()
    }
  }
  static decode(bytes: Uint8Array): Numbering {
    return bytes.byteLength === 0 ? new Numbering([]) : new Numbering(JSON.parse(new TextDecoder().decode(bytes)))
  }
}
const PARKED_MAX = 4096
export interface NumberBook {
  numberOf(instance: string): Promise<number>
}
/** Loaded on first use; each new number is parked before it is used, so that the next life knows it. */
export function numberBook(DriverObject: DRIVER_OBJECT, key: string): NumberBook {
  let loaded: Promise<Numbering> | undefined
  const load = async () => Numbering.decode(await parkedState(DriverObject, key))
  return {
    async numberOf(instance) {
      loaded ??= load()
      const numbering = await loaded
      const number = numbering.numberOf(instance)
      await parkState(DriverObject, key, numbering.encode(PARKED_MAX))
      return number
    },
  }
}

const OBJ_PERMANENT = 0x10
const OBJ_CASE_INSENSITIVE = 0x40
const unless = (status: keyof typeof NT_STATUS) => (error: unknown) => {
  if (!(error instanceof StatusError) || error.status !== NT_STATUS[status]) throw error
}
export async function ensureDirectory(DriverObject: DRIVER_OBJECT, ObjectName: string): Promise<void> {
  const ObjectAttributes = { RootDirectory: 0, ObjectName, Attributes: OBJ_PERMANENT | OBJ_CASE_INSENSITIVE }
  const DIRECTORY_ALL_ACCESS = 0xf000f
  await systemServices(DriverObject)
    .NtCreateDirectoryObject({ DesiredAccess: DIRECTORY_ALL_ACCESS, ObjectAttributes })
    .catch(unless('STATUS_OBJECT_NAME_COLLISION'))
}
export const ensureLink = (DriverObject: DRIVER_OBJECT, link: string, target: string): Promise<void> =>
  IoCreateSymbolicLink(DriverObject, link, target).catch(unless('STATUS_OBJECT_NAME_COLLISION'))
