/**
 * Uncached IRP_MJ_READ and IRP_MJ_WRITE, and IRP_MJ_QUERY_EXTENTS, by which the cache moves a file's data itself.
 *
 *   queryExtents(volume, ccb, offset, length)   where the bytes are
 *   readFile / writeFile                        → what to do with the IRP: pass it on, or complete it with a length
 *
 * One run: the IRP itself goes to the storage device and is not heard of again. Several: a request for each part of its
 * buffer. A write behind the end puts the data into place first and commits the new size with the IRP.
 * The buffer is never touched here; only a gap before such a write is zeroed from memory of the driver's own.
 */
import { IRP_MJ } from '#contracts/wdm'
import { NT_STATUS, NT_SUCCESS, type NTSTATUS, StatusError } from '#rtl'
import {
  AllocateCommonBuffer,
  type COMMON_BUFFER,
  type DRIVER_OBJECT,
  type Extent,
  FreeCommonBuffer,
  IoAllocateIrp,
  IoCallDriver,
  IoCallDriverSynchronous,
  IoCopyCurrentIrpStackLocationToNext,
  IoGetNextIrpStackLocation,
  type IRP,
  IoSetBufferWindow,
} from '#wdm'
import type { Begin } from './create.ts'
import type { Entry } from './directory.ts'
import { extentsOf, type RunList } from './extents.ts'
import { FILE_SIZE_MAX, stageResize } from './info.ts'
import { type Ccb, isDirectory, type Volume } from './volume.ts'

/** Of one answer; the Executive asks again for what is behind. */
const EXTENTS_MAX = 512
const ZERO_BYTES = 64 * 1024

export interface Transfer {
  readonly ByteOffset: number
  readonly Length: number
}
export type Outcome = { readonly Information: number } | { readonly forward: () => NTSTATUS | Promise<NTSTATUS> }

/** What a transfer needs beside the volume. */
export interface RwContext {
  readonly DriverObject: DRIVER_OBJECT
  readonly Irp: IRP
}
type Direction = typeof IRP_MJ.IRP_MJ_READ | typeof IRP_MJ.IRP_MJ_WRITE

function identity(volume: Volume, { ByteOffset, Length }: Transfer): Extent[] {
  const length = Math.min(Length, volume.geometry.volumeSize - ByteOffset)
  return length > 0 ? [{ FileOffset: ByteOffset, VolumeOffset: ByteOffset, Length: length }] : []
}

export async function queryExtents(volume: Volume, ccb: Ccb, transfer: Transfer): Promise<Extent[]> {
  const { ByteOffset, Length } = transfer
  if (ByteOffset < 0 || Length < 0) throw new StatusError('STATUS_INVALID_PARAMETER')
  if (ccb.fcb.deleted) throw new StatusError('STATUS_FILE_DELETED')
  if (ccb.isVolume) return identity(volume, transfer)
  if (isDirectory(ccb.fcb)) throw new StatusError('STATUS_INVALID_DEVICE_REQUEST')
  return extentsOf(volume.geometry, await volume.runsOf(ccb.fcb), ByteOffset, Length, EXTENTS_MAX)
}

function checkTransfer(volume: Volume, ccb: Ccb, { ByteOffset, Length }: Transfer): void {
  const { SectorSize } = volume.seams.storage
  if (ccb.fcb.deleted) throw new StatusError('STATUS_FILE_DELETED')
  if (isDirectory(ccb.fcb)) throw new StatusError('STATUS_INVALID_DEVICE_REQUEST')
  if (ByteOffset < 0 || ByteOffset % SectorSize || Length % SectorSize)
    throw new StatusError('STATUS_INVALID_PARAMETER')
}

async function locate(volume: Volume, ccb: Ccb, transfer: Transfer): Promise<Extent[]> {
  const extents = ccb.isVolume
    ? identity(volume, transfer)
    : extentsOf(
        volume.geometry,
        await volume.runsOf(ccb.fcb),
        transfer.ByteOffset,
        transfer.Length,
        Number.POSITIVE_INFINITY,
      )
  const found = extents.reduce((sum, { Length }) => sum + Length, 0)
  if (found < transfer.Length) throw new StatusError('STATUS_FILE_CORRUPT_ERROR', 'a file without clusters')
  return extents
}

export async function readFile(context: RwContext, volume: Volume, ccb: Ccb, transfer: Transfer): Promise<Outcome> {
  checkTransfer(volume, ccb, transfer)
  const { FileSize } = await volume.sizesOf(ccb.fcb)
  const { ByteOffset } = transfer
  if (transfer.Length === 0) return { Information: 0 }
  if (ByteOffset >= FileSize) throw new StatusError('STATUS_END_OF_FILE')
  const length = Math.min(transfer.Length, FileSize - ByteOffset)
  const whole = roundUp(length, volume.seams.storage.SectorSize)
  const extents = await locate(volume, ccb, { ByteOffset, Length: whole })
  if (extents.length === 1 && whole === length) return forwardTo(context, volume, IRP_MJ.IRP_MJ_READ, extents[0])
  await scatter(context, volume, IRP_MJ.IRP_MJ_READ, extents, ByteOffset)
  return { Information: length }
}

export const writeExtends = (volume: Volume, ccb: Ccb, { ByteOffset, Length }: Transfer): boolean =>
  !ccb.isVolume && ByteOffset + Length > (ccb.fcb.entry?.size ?? Number.POSITIVE_INFINITY) && !volume.seams.readOnly

export async function writeFile(
  context: RwContext,
  volume: Volume,
  ccb: Ccb,
  transfer: Transfer,
  begin: Begin,
): Promise<Outcome> {
  checkTransfer(volume, ccb, transfer)
  if (volume.seams.readOnly) throw new StatusError('STATUS_MEDIA_WRITE_PROTECTED')
  if (ccb.isVolume && !volume.locked) throw new StatusError('STATUS_ACCESS_DENIED', 'lock the volume first')
  if (transfer.Length === 0) return { Information: 0 }
  if (writeExtends(volume, ccb, transfer)) return extendingWrite(context, volume, ccb, transfer, begin)
  const extents = await locate(volume, ccb, transfer)
  if (extents.length === 1) return forwardTo(context, volume, IRP_MJ.IRP_MJ_WRITE, extents[0])
  await scatter(context, volume, IRP_MJ.IRP_MJ_WRITE, extents, transfer.ByteOffset)
  return { Information: transfer.Length }
}

async function extendingWrite(
  context: RwContext,
  volume: Volume,
  ccb: Ccb,
  { ByteOffset, Length }: Transfer,
  begin: Begin,
): Promise<Outcome> {
  const { fcb } = ccb
  const { geometry } = volume
  const end = ByteOffset + Length
  if (end > FILE_SIZE_MAX) throw new StatusError('STATUS_DISK_FULL', 'a file of a FAT volume ends below 4 GiB')
  const runs = await volume.runsOf(fcb)
  const before = (fcb.entry as Entry).size
  const change = begin()
  const clusters = Math.max(runs.clusters, Math.ceil(end / geometry.BytsPerClus))
  const all = runs.with(await stageResize(volume, change, fcb, clusters, end))
  if (ByteOffset > before) await zeroGap(context, volume, all, before, ByteOffset)
  const extents = extentsOf(geometry, all, ByteOffset, Length, Number.POSITIVE_INFINITY)
  await scatter(context, volume, IRP_MJ.IRP_MJ_WRITE, extents, ByteOffset)
  await volume.finish(change)
  return { Information: Length }
}

const roundUp = (value: number, unit: number) => Math.ceil(value / unit) * unit

// ---------------------------------------------------------------- moving
const parametersOf = (major: Direction, Length: number, ByteOffset: number) =>
  major === IRP_MJ.IRP_MJ_READ
    ? ({ kind: 'Read', Length, Key: 0, ByteOffset } as const)
    : ({ kind: 'Write', Length, Key: 0, ByteOffset } as const)

function forwardTo({ Irp }: RwContext, volume: Volume, major: Direction, extent: Extent): Outcome {
  const forward = () => {
    IoCopyCurrentIrpStackLocationToNext(Irp)
    const next = IoGetNextIrpStackLocation(Irp)
    next.FileObject = undefined
    next.Parameters = parametersOf(major, extent.Length, extent.VolumeOffset)
    IoSetBufferWindow(Irp, 0, extent.Length)
    return IoCallDriver(volume.seams.storage.StorageDevice, Irp)
  }
  return { forward }
}

/** All parts at once; the first failure is the transfer's. */
async function scatter(
  { DriverObject, Irp }: RwContext,
  volume: Volume,
  MajorFunction: Direction,
  extents: readonly Extent[],
  start: number,
): Promise<void> {
  const { StorageDevice } = volume.seams.storage
  const results = await Promise.all(
    extents.map(({ FileOffset, VolumeOffset, Length }) => {
      const Parameters = parametersOf(MajorFunction, Length, VolumeOffset)
      const partial = { Irp, offset: FileOffset - start, length: Length }
      return IoCallDriverSynchronous(
        StorageDevice,
        IoAllocateIrp(DriverObject, { MajorFunction, Parameters }, { partial }),
      )
    }),
  )
  for (const { Status } of results) if (!NT_SUCCESS(Status)) throw new StatusError(Status)
}

/** Zeroes [from, to) of a file: the rest of its last sector in place, then whole sectors. */
async function zeroGap(context: RwContext, volume: Volume, runs: RunList, from: number, to: number): Promise<void> {
  const { SectorSize } = volume.seams.storage
  const buffer = AllocateCommonBuffer(context.DriverObject, ZERO_BYTES, SectorSize)
  try {
    const within = from % SectorSize
    const first = from - within
    if (within) {
      await moveOwn(context, volume, IRP_MJ.IRP_MJ_READ, runs, first, buffer, SectorSize)
      buffer.bytes.fill(0, within)
      await moveOwn(context, volume, IRP_MJ.IRP_MJ_WRITE, runs, first, buffer, SectorSize)
    }
    buffer.bytes.fill(0)
    for (let at = roundUp(from, SectorSize); at < to; at += ZERO_BYTES)
      await moveOwn(context, volume, IRP_MJ.IRP_MJ_WRITE, runs, at, buffer, Math.min(ZERO_BYTES, to - at))
  } finally {
    FreeCommonBuffer(buffer)
  }
}

async function moveOwn(
  { DriverObject }: RwContext,
  volume: Volume,
  MajorFunction: Direction,
  runs: RunList,
  offset: number,
  { bytes, VirtualAddress }: COMMON_BUFFER,
  length: number,
): Promise<void> {
  for (const { FileOffset, VolumeOffset, Length } of extentsOf(
    volume.geometry,
    runs,
    offset,
    length,
    Number.POSITIVE_INFINITY,
  )) {
    const at = FileOffset - offset
    const buffer = { bytes: bytes.subarray(at, at + Length), VirtualAddress: VirtualAddress + at }
    const Parameters = parametersOf(MajorFunction, Length, VolumeOffset)
    const request = IoAllocateIrp(DriverObject, { MajorFunction, Parameters }, { buffer })
    const { Status } = await IoCallDriverSynchronous(volume.seams.storage.StorageDevice, request)
    if (Status !== NT_STATUS.STATUS_SUCCESS) throw new StatusError(Status)
  }
}
