/** A storage device as the cache uses it: block reads and writes by IRP, through bounce pages for memory no device reaches. */
import type { Memory } from '#sel4/api'
import { IRP_MJ } from '#contracts/wdm'
import { NT_SUCCESS, type NTSTATUS, StatusError } from '#rtl'
import type { Executive } from '../executive.ts'
import type { DeviceObject } from '../io/device.ts'
import { mdlOf } from '../io/irp-checks.ts'
import type { Disk } from './metadata.ts'

/** One IRP moves this much at most. */
const TRANSFER_MAX = 1024 * 1024
const SLOT = 64 * 1024
const IRP_PAGING_IO = 0x200
/** CTL_CODE(IOCTL_DISK_BASE, 0x17, METHOD_BUFFERED, FILE_READ_ACCESS). */
const IOCTL_DISK_GET_LENGTH_INFO = 0x7405c

export async function transfer(
  ex: Executive,
  device: DeviceObject,
  direction: 'read' | 'write',
  offset: number,
  physicalAddress: number,
  length: number,
): Promise<NTSTATUS> {
  const piece = async (done: number): Promise<NTSTATUS> => {
    const Length = Math.min(TRANSFER_MAX, length - done)
    const result = await ex.io.irps.submit({
      device,
      major: direction === 'read' ? IRP_MJ.IRP_MJ_READ : IRP_MJ.IRP_MJ_WRITE,
      parameters: { kind: direction === 'read' ? 'Read' : 'Write', Length, Key: 0, ByteOffset: offset + done },
      flags: IRP_PAGING_IO,
      mdl: mdlOf(physicalAddress + done, Length),
      requestor: 'system',
      idempotent: true,
    })
    return result.Status
  }
  const pieces: Promise<NTSTATUS>[] = []
  for (let done = 0; done < length; done += TRANSFER_MAX) pieces.push(piece(done))
  const results = await Promise.all(pieces)
  return results.find((status) => !NT_SUCCESS(status)) ?? results[0] ?? 0
}

/** Bounce memory in slots of 64 KiB; a user waits for a free one. */
export class Staging {
  private readonly memory: Memory
  private readonly free: number[] = []
  private readonly waiting: ((slot: number) => void)[] = []

  constructor(memory: Memory) {
    this.memory = memory
    for (let at = 0; at + SLOT <= memory.length; at += SLOT) this.free.push(at)
  }
  async use<T>(section: (bytes: Uint8Array, physicalAddress: number) => Promise<T>): Promise<T> {
    const slot = this.free.pop() ?? (await new Promise<number>((resolve) => this.waiting.push(resolve)))
    try {
      return await section(this.memory.bytes.subarray(slot, slot + SLOT), this.memory.physicalAddress + slot)
    } finally {
      const next = this.waiting.shift()
      if (next) next(slot)
      else this.free.push(slot)
    }
  }
}

export async function openDisk(ex: Executive, device: DeviceObject, staging: Staging): Promise<Disk> {
  const length = await lengthOf(ex, device)
  return {
    sectorSize: device.alignment || 512,
    length,
    read: (offset, bytes) =>
      staging.use(async (bounce, physicalAddress) => {
        const status = await transfer(ex, device, 'read', offset, physicalAddress, bytes.length)
        if (NT_SUCCESS(status)) bytes.set(bounce.subarray(0, bytes.length))
        return status
      }),
    write: (offset, bytes) =>
      staging.use((bounce, physicalAddress) => {
        bounce.set(bytes)
        return transfer(ex, device, 'write', offset, physicalAddress, bytes.length)
      }),
  }
}
async function lengthOf(ex: Executive, device: DeviceObject): Promise<number> {
  const result = await ex.io.irps.submit({
    device,
    major: IRP_MJ.IRP_MJ_DEVICE_CONTROL,
    requestor: 'system',
    idempotent: true,
    outputLength: 8,
    parameters: {
      kind: 'DeviceIoControl',
      IoControlCode: IOCTL_DISK_GET_LENGTH_INFO,
      InputBufferLength: 0,
      OutputBufferLength: 8,
    },
  })
  const response = result.response
  if (!NT_SUCCESS(result.Status)) throw new StatusError(result.Status)
  if (response?.kind !== 'Data' || response.Bytes.length < 8) throw new StatusError('STATUS_INVALID_DEVICE_REQUEST')
  return Number(new DataView(response.Bytes.buffer, response.Bytes.byteOffset).getBigInt64(0, true))
}
