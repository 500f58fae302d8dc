/**
 * The filter above a disk: reads its partition table at START (after a restart: when first asked), and is the bus of its partitions. All else goes down.
 */
import { view } from '#drivers/lib/bytes'
import { BusRelations, DO_DIRECT_IO, FILE_DEVICE_DISK, FILE_DEVICE_SECURE_OPEN } from '#drivers/lib/io'
import {
  IOCTL_DISK_GET_DRIVE_GEOMETRY_EX,
  IOCTL_DISK_GET_DRIVE_LAYOUT_EX,
  IOCTL_STORAGE_GET_DEVICE_NUMBER,
} from '#drivers/lib/ioctl'
import { ensureDirectory, ensureLink, forwardAndWait, type NumberBook, passDown, removeFdo } from '#drivers/lib/pnp'
import { IRP_MJ, IRP_MN } from '#contracts/wdm'
import {
  AllocateCommonBuffer,
  completeIrp,
  FreeCommonBuffer,
  IoAllocateIrp,
  IoAttachDeviceToDeviceStack,
  IoCallDriverSynchronous,
  IoCreateDevice,
  IoDeviceInitialized,
  IoGetCurrentIrpStackLocation,
  IoSetOutput,
  type COMMON_BUFFER,
  type DEVICE_OBJECT,
  type DRIVER_OBJECT,
  type IRP,
} from '#wdm'
import { NT_STATUS, NT_SUCCESS, type NTSTATUS, StatusError } from '#rtl'
import { DRIVE_LAYOUT_INFORMATION_EX, lengthOf, startOf, volumeIds, type VolumePlace } from './layout.ts'
import { type DiskReader, type PartitionTable, readTable } from './table.ts'
import type { VolumeExtension } from './volume.ts'

export interface DiskExtension {
  readonly kind: 'disk'
  readonly DeviceObject: DEVICE_OBJECT
  readonly LowerDevice: DEVICE_OBJECT
  readonly volumeNumbers: NumberBook
  facts: { readonly table: PartitionTable; readonly sectorSize: number; readonly diskNumber: number } | undefined
  volumes: DEVICE_OBJECT[]
}

export async function addDisk(
  DriverObject: DRIVER_OBJECT,
  PhysicalDeviceObject: DEVICE_OBJECT,
  volumeNumbers: NumberBook,
): Promise<NTSTATUS> {
  const DeviceObject = await IoCreateDevice(
    DriverObject,
    undefined,
    FILE_DEVICE_DISK,
    FILE_DEVICE_SECURE_OPEN,
    false,
    DO_DIRECT_IO,
  )
  const LowerDevice = await IoAttachDeviceToDeviceStack(DeviceObject, PhysicalDeviceObject)
  DeviceObject.DeviceExtension = {
    kind: 'disk',
    DeviceObject,
    LowerDevice,
    volumeNumbers,
    facts: undefined,
    volumes: [],
  } satisfies DiskExtension
  DeviceObject.AlignmentRequirement = LowerDevice.AlignmentRequirement
  await IoDeviceInitialized(DeviceObject)
  return NT_STATUS.STATUS_SUCCESS
}

export function diskDispatch(DeviceObject: DEVICE_OBJECT, Irp: IRP): NTSTATUS | Promise<NTSTATUS> {
  const extension: DiskExtension = DeviceObject.DeviceExtension
  const { MajorFunction, Parameters } = IoGetCurrentIrpStackLocation(Irp)
  if (MajorFunction === IRP_MJ.IRP_MJ_PNP) return pnp(extension, Irp)
  const layout = Parameters.kind === 'DeviceIoControl' && Parameters.IoControlCode === IOCTL_DISK_GET_DRIVE_LAYOUT_EX
  return layout && extension.facts ? driveLayout(extension.facts, Irp) : passDown(extension.LowerDevice, Irp)
}
function driveLayout({ table, sectorSize, diskNumber }: NonNullable<DiskExtension['facts']>, Irp: IRP): NTSTATUS {
  const bytes = DRIVE_LAYOUT_INFORMATION_EX(table, sectorSize, diskNumber)
  if (Irp.OutputLength < bytes.byteLength) return completeIrp(Irp, NT_STATUS.STATUS_BUFFER_TOO_SMALL)
  IoSetOutput(Irp, bytes)
  return completeIrp(Irp, NT_STATUS.STATUS_SUCCESS, bytes.byteLength)
}

async function pnp(extension: DiskExtension, Irp: IRP): Promise<NTSTATUS> {
  const { DeviceObject, LowerDevice } = extension
  const { MinorFunction, Parameters } = IoGetCurrentIrpStackLocation(Irp)
  switch (MinorFunction) {
    case IRP_MN.IRP_MN_START_DEVICE:
      return start(extension, Irp)
    case IRP_MN.IRP_MN_QUERY_DEVICE_RELATIONS:
      if (Parameters.kind !== 'QueryDeviceRelations' || Parameters.Type !== BusRelations)
        return passDown(LowerDevice, Irp)
      if (!extension.facts && DeviceObject.DriverObject.birth === 'restart')
        return relationsAfterRestart(extension, Irp)
      Irp.response = { kind: 'Devices', Devices: extension.volumes.map((volume) => volume.handle) }
      return completeIrp(Irp, NT_STATUS.STATUS_SUCCESS)
    case IRP_MN.IRP_MN_SURPRISE_REMOVAL:
      forgetVolumes(extension)
      return passDown(LowerDevice, Irp)
    case IRP_MN.IRP_MN_REMOVE_DEVICE:
      forgetVolumes(extension)
      return removeFdo(DeviceObject, LowerDevice, Irp)
    default:
      return passDown(LowerDevice, Irp)
  }
}
/**
 * The disk below was started in this driver's earlier life and is not started again, so the table is read when it is asked
 * for. A disk that cannot be read answers its error: no relations would mean that the volumes are gone.
 */
async function relationsAfterRestart(extension: DiskExtension, Irp: IRP): Promise<NTSTATUS> {
  try {
    await readDisk(extension)
  } catch (error) {
    if (!(error instanceof StatusError)) throw error
    return completeIrp(Irp, error.status)
  }
  Irp.response = { kind: 'Devices', Devices: extension.volumes.map((volume) => volume.handle) }
  return completeIrp(Irp, NT_STATUS.STATUS_SUCCESS)
}
function forgetVolumes(extension: DiskExtension): void {
  for (const volume of extension.volumes) (volume.DeviceExtension as VolumeExtension).DiskDevice = undefined
  extension.volumes = []
}

// ---------------------------------------------------------------- START
async function start(extension: DiskExtension, Irp: IRP): Promise<NTSTATUS> {
  const { DriverObject } = extension.DeviceObject
  const lower = await forwardAndWait(DriverObject, extension.LowerDevice, Irp)
  if (!NT_SUCCESS(lower)) return completeIrp(Irp, lower)
  try {
    await readDisk(extension)
  } catch (error) {
    if (!(error instanceof StatusError)) throw error
    /** The disk itself works, or says why not to whoever uses it: only its volumes are missing. */
    DriverObject.log.error('the partition table cannot be read', { why: error.message })
  }
  return completeIrp(Irp, NT_STATUS.STATUS_SUCCESS)
}
async function readDisk(extension: DiskExtension): Promise<void> {
  const { DriverObject } = extension.DeviceObject
  const geometry = view(await control(extension, IOCTL_DISK_GET_DRIVE_GEOMETRY_EX, 32))
  const sectorSize = geometry.getUint32(20, true)
  const sectors = (geometry.getUint32(24, true) + geometry.getUint32(28, true) * 0x1_0000_0000) / sectorSize
  const diskNumber = view(await control(extension, IOCTL_STORAGE_GET_DEVICE_NUMBER, 12)).getUint32(4, true)
  const buffer = AllocateCommonBuffer(DriverObject, READ_BYTES, 4096)
  try {
    const table = await readTable(reader(extension, buffer, sectorSize, sectors))
    extension.facts = { table, sectorSize, diskNumber }
    await publishSectorSize(extension.DeviceObject, sectorSize)
    await syncVolumes(
      extension,
      table.partitions.map((partition) => ({ table, partition, sectorSize, diskNumber })),
    )
  } finally {
    FreeCommonBuffer(buffer)
  }
}
async function publishSectorSize(DeviceObject: DEVICE_OBJECT, sectorSize: number): Promise<void> {
  if (DeviceObject.AlignmentRequirement === sectorSize) return
  DeviceObject.AlignmentRequirement = sectorSize
  await IoDeviceInitialized(DeviceObject)
}
async function control(
  { LowerDevice, DeviceObject }: DiskExtension,
  IoControlCode: number,
  outputLength: number,
): Promise<Uint8Array> {
  const Parameters = {
    kind: 'DeviceIoControl',
    IoControlCode,
    OutputBufferLength: outputLength,
    InputBufferLength: 0,
  } as const
  const stack = { MajorFunction: IRP_MJ.IRP_MJ_DEVICE_CONTROL, Parameters }
  const irp = IoAllocateIrp(DeviceObject.DriverObject, stack, { outputLength })
  const { Status, output } = await IoCallDriverSynchronous(LowerDevice, irp)
  if (!NT_SUCCESS(Status)) throw new StatusError(Status)
  if (!output || output.byteLength < outputLength) throw new StatusError('STATUS_INFO_LENGTH_MISMATCH')
  return output
}
/** Of one read; longer ones are made of several. */
const READ_BYTES = 16 * 1024
function reader(
  { LowerDevice, DeviceObject }: DiskExtension,
  buffer: COMMON_BUFFER,
  sectorSize: number,
  sectors: number,
): DiskReader {
  const readPart = async (ByteOffset: number, into: Uint8Array) => {
    const part = { bytes: buffer.bytes.subarray(0, into.byteLength), VirtualAddress: buffer.VirtualAddress }
    const Parameters = { kind: 'Read', Length: into.byteLength, Key: 0, ByteOffset } as const
    const irp = IoAllocateIrp(
      DeviceObject.DriverObject,
      { MajorFunction: IRP_MJ.IRP_MJ_READ, Parameters },
      { buffer: part },
    )
    const { Status } = await IoCallDriverSynchronous(LowerDevice, irp)
    if (!NT_SUCCESS(Status)) throw new StatusError(Status)
    into.set(part.bytes)
  }
  return {
    sectorSize,
    sectors,
    async read(lba, count) {
      if (lba < 0 || lba + count > sectors) throw new StatusError('STATUS_NONEXISTENT_SECTOR')
      const bytes = new Uint8Array(count * sectorSize)
      for (let at = 0; at < bytes.byteLength; at += READ_BYTES)
        await readPart(lba * sectorSize + at, bytes.subarray(at, at + READ_BYTES))
      return bytes
    },
  }
}

/** After a second START: what is the same stays the same device. */
async function syncVolumes(extension: DiskExtension, places: readonly VolumePlace[]): Promise<void> {
  const { DriverObject } = extension.DeviceObject
  await ensureDirectory(DriverObject, `\\Device\\Harddisk${extension.facts!.diskNumber}`)
  const before = extension.volumes
  extension.volumes = []
  for (const place of places) {
    const same = before.find((volume) => samePlace((volume.DeviceExtension as VolumeExtension).place, place))
    extension.volumes.push(same ?? (await createVolume(extension, place)))
  }
  for (const volume of before) {
    if (!extension.volumes.includes(volume)) (volume.DeviceExtension as VolumeExtension).DiskDevice = undefined
  }
}
const samePlace = (a: VolumePlace, b: VolumePlace): boolean =>
  startOf(a) === startOf(b) && lengthOf(a) === lengthOf(b) && volumeIds(a).instanceId === volumeIds(b).instanceId

async function createVolume(
  { DeviceObject, LowerDevice, volumeNumbers }: DiskExtension,
  place: VolumePlace,
): Promise<DEVICE_OBJECT> {
  const { DriverObject } = DeviceObject
  const number = 1 + (await volumeNumbers.numberOf(volumeIds(place).instanceId))
  const name = `\\Device\\HarddiskVolume${number}`
  const volume = await IoCreateDevice(
    DriverObject,
    name,
    FILE_DEVICE_DISK,
    FILE_DEVICE_SECURE_OPEN,
    false,
    DO_DIRECT_IO,
  )
  volume.DeviceExtension = { kind: 'volume', name, place, DiskDevice: LowerDevice } satisfies VolumeExtension
  volume.AlignmentRequirement = place.sectorSize
  volume.StackSize = LowerDevice.StackSize + 1
  await IoDeviceInitialized(volume)
  await ensureLink(DriverObject, `\\Device\\Harddisk${place.diskNumber}\\Partition${place.partition.number}`, name)
  return volume
}
