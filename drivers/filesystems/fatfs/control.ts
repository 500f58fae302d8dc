/**
 * IRP_MJ_FILE_SYSTEM_CONTROL and its neighbours: mount, lock, unlock, dismount, flush, shutdown.
 *
 *   mount(DriverObject, storage, rebind)   recognise and load; read-only where the medium refuses to be written
 *   parkMount(volume)                      what the next life must know of the mount
 *   lock unlock dismount                   FSCTL_* of a volume handle
 *   markCleanStage(volume, begin)          undoes the dirty mark of a volume that was clean at its mount
 *
 * Flushing is done without the volume's resource held: the Executive asks for extents while it writes.
 */
import * as nt from '#contracts/information'
import { IRP_MJ } from '#contracts/wdm'
import { NT_STATUS, NT_SUCCESS, type NTSTATUS, StatusError } from '#rtl'
import {
  AllocateCommonBuffer,
  CcFlushCache,
  type DEVICE_OBJECT,
  type DRIVER_OBJECT,
  FreeCommonBuffer,
  FsOpenVolume,
  IoAllocateIrp,
  IoCallDriverSynchronous,
  parkedState,
  parkState,
} from '#wdm'
import type { Begin } from './create.ts'
import { type Ccb, loadVolume, MOUNT, parkKeyOf, type Volume, type VolumeSeams } from './volume.ts'

/** ntdddisk.h */
const IOCTL_DISK_GET_LENGTH_INFO = nt.CTL_CODE(nt.FILE_DEVICE_DISK, 0x17, nt.METHOD_BUFFERED, nt.FILE_READ_ACCESS)
const IOCTL_DISK_IS_WRITABLE = nt.CTL_CODE(nt.FILE_DEVICE_DISK, 9, nt.METHOD_BUFFERED, nt.FILE_ANY_ACCESS)
/** Of a storage device that does not say. */
const SECTOR_SIZE = 512
const VOLUME_IS_DIRTY = 1

async function ask(DriverObject: DRIVER_OBJECT, storage: DEVICE_OBJECT, IoControlCode: number, outputLength: number) {
  const Parameters = {
    kind: 'DeviceIoControl',
    OutputBufferLength: outputLength,
    InputBufferLength: 0,
    IoControlCode,
  } as const
  const request = IoAllocateIrp(
    DriverObject,
    { MajorFunction: IRP_MJ.IRP_MJ_DEVICE_CONTROL, Parameters },
    { outputLength },
  )
  return IoCallDriverSynchronous(storage, request)
}

/** Infinite when the device does not tell: then only the boot sector's word is there. */
async function lengthOf(DriverObject: DRIVER_OBJECT, storage: DEVICE_OBJECT): Promise<number> {
  const { Status, output } = await ask(DriverObject, storage, IOCTL_DISK_GET_LENGTH_INFO, 8)
  if (!NT_SUCCESS(Status) || !output || output.byteLength < 8) return Number.POSITIVE_INFINITY
  return Number(new DataView(output.buffer, output.byteOffset, 8).getBigUint64(0, true))
}

async function saysReadOnly(DriverObject: DRIVER_OBJECT, storage: DEVICE_OBJECT): Promise<boolean> {
  if (storage.Characteristics & nt.FILE_READ_ONLY_DEVICE) return true
  const { Status } = await ask(DriverObject, storage, IOCTL_DISK_IS_WRITABLE, 0)
  return Status === NT_STATUS.STATUS_MEDIA_WRITE_PROTECTED
}
async function wasReadOnly(DriverObject: DRIVER_OBJECT, storage: DEVICE_OBJECT): Promise<boolean> {
  const [state = 0] = await parkedState(DriverObject, parkKeyOf(storage, 'mount'))
  return (state & MOUNT.readOnly) !== 0
}
/**
 * Writes the boot sector over itself, past every cache. A fixed disk cannot say that it is write-protected; it refuses a
 * write. This one changes nothing, wherever the power goes, and comes before anything depends on the answer.
 */
async function refusesWrites(DriverObject: DRIVER_OBJECT, volume: Volume): Promise<boolean> {
  const { StorageDevice, SectorSize } = volume.seams.storage
  const buffer = AllocateCommonBuffer(DriverObject, SectorSize, SectorSize)
  try {
    buffer.bytes.set(await volume.readMetadata(0, SectorSize))
    const Parameters = { kind: 'Write', Length: SectorSize, Key: 0, ByteOffset: 0 } as const
    const request = IoAllocateIrp(DriverObject, { MajorFunction: IRP_MJ.IRP_MJ_WRITE, Parameters }, { buffer })
    const { Status } = await IoCallDriverSynchronous(StorageDevice, request)
    if (Status === NT_STATUS.STATUS_MEDIA_WRITE_PROTECTED) return true
    if (!NT_SUCCESS(Status)) throw new StatusError(Status)
    return false
  } finally {
    FreeCommonBuffer(buffer)
  }
}

export async function mount(DriverObject: DRIVER_OBJECT, storage: DEVICE_OBJECT, rebind: boolean): Promise<Volume> {
  const SectorSize = Math.max(storage.AlignmentRequirement, SECTOR_SIZE)
  const readOnly = (await saysReadOnly(DriverObject, storage)) || (rebind && (await wasReadOnly(DriverObject, storage)))
  const seams: VolumeSeams = {
    storage: FsOpenVolume(DriverObject, storage, SectorSize),
    readOnly,
    systemTime: () => DriverObject.systemTime(),
    park: (key, state) => parkState(DriverObject, key, state),
    parked: (key) => parkedState(DriverObject, key),
  }
  const length = await lengthOf(DriverObject, storage)
  const volume = await loadVolume(seams, length, rebind)
  const settled = readOnly || rebind || !(await refusesWrites(DriverObject, volume))
  return settled ? volume : loadVolume({ ...seams, readOnly: true }, length, rebind)
}

export async function parkMount(volume: Volume): Promise<void> {
  const { seams, cleanAtMount, dismounted } = volume
  const state = (cleanAtMount ? MOUNT.clean : 0) | (seams.readOnly ? MOUNT.readOnly : 0)
  await seams.park(volume.parkKey('mount'), dismounted ? new Uint8Array(0) : Uint8Array.of(state))
}

// ---------------------------------------------------------------- flush
export async function flush(
  volume: Volume,
  ccb: Ccb | undefined,
  file: Parameters<typeof CcFlushCache>[1],
): Promise<NTSTATUS> {
  const whole = !ccb || ccb.isVolume || !ccb.fcb.entry
  const settled = volume.fat.flushing()
  const Status = await CcFlushCache(volume.seams.storage.StorageDevice, whole ? undefined : file)
  if (whole && NT_SUCCESS(Status)) settled()
  return Status
}

/** A volume that was dirty at its mount stays so: nobody has checked it. */
export async function markCleanStage(volume: Volume, begin: Begin): Promise<void> {
  if (volume.seams.readOnly || !volume.cleanAtMount || !volume.marked) return
  const change = begin()
  await volume.mark(change, false)
  await volume.finish(change)
}

// ---------------------------------------------------------------- FSCTL
export function lock(volume: Volume, ccb: Ccb): void {
  mustBeVolume(ccb)
  for (const fcb of volume.openFcbs())
    if (fcb !== ccb.fcb) throw new StatusError('STATUS_ACCESS_DENIED', 'files are open')
  if (volume.locked || ccb.fcb.opens > 1) throw new StatusError('STATUS_ACCESS_DENIED', 'the volume is in use')
  volume.locked = true
}
export function unlock(volume: Volume, ccb: Ccb): void {
  mustBeVolume(ccb)
  if (!volume.locked) throw new StatusError('STATUS_INVALID_PARAMETER', 'the volume is not locked')
  volume.locked = false
}
/**
 * Clean from here on; the Executive flushes once more after this IRP, for the commit it carries. As in NT no lock is needed:
 * what is still open can only be closed. Who wants to be refused instead locks first.
 */
export async function dismount(volume: Volume, ccb: Ccb, begin: Begin): Promise<void> {
  mustBeVolume(ccb)
  await markCleanStage(volume, begin)
  volume.dismounted = true
}
export function dirtyState(volume: Volume): Uint8Array {
  const bytes = new Uint8Array(4)
  bytes[0] = volume.marked && !volume.cleanAtMount ? VOLUME_IS_DIRTY : 0
  return bytes
}
export function mustBeVolume(ccb: Ccb): void {
  if (!ccb.isVolume) throw new StatusError('STATUS_INVALID_PARAMETER', 'not a volume handle')
}
