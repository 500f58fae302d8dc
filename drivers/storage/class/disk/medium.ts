/** What the disk says of itself: INQUIRY, capacity, mode pages, limits. Parsers are pure; the bytes are the unit's. [SPC-4], [SBC-3] */
import { be64, bounded, view } from '#drivers/lib/bytes'
import { cdb, SAI_READ_CAPACITY16, SCSIOP, SRB_FLAGS_DATA_IN } from '#drivers/lib/scsi'
import type { DeviceDescriptor } from '#drivers/lib/ioctl'
import { NT_SUCCESS, StatusError } from '#rtl'
import { type ClassFdo, ClassSendSrbSynchronous, srb, TRANSFER_MAX } from '../classpnp/index.ts'

export interface Capacity {
  readonly sectors: number
  readonly sectorSize: number
}
const SECTOR_MAX = 4096
function capacity(lastBlock: number, sectorSize: number): Capacity {
  if (sectorSize < 512 || sectorSize > SECTOR_MAX || sectorSize & (sectorSize - 1)) {
    throw new StatusError('STATUS_UNRECOGNIZED_MEDIA', `sectors of ${sectorSize} bytes`)
  }
  const sectors = lastBlock + 1
  if (sectors * sectorSize > Number.MAX_SAFE_INTEGER)
    throw new StatusError('STATUS_UNRECOGNIZED_MEDIA', 'a capacity beyond 2^53 bytes')
  return { sectors, sectorSize }
}
/** Undefined: too large for the 10-byte command. */
export function parseCapacity(bytes: Uint8Array): Capacity | undefined {
  const v = view(bounded(bytes, 0, 8))
  return v.getUint32(0) === 0xffffffff ? undefined : capacity(v.getUint32(0), v.getUint32(4))
}
export function parseCapacity16(bytes: Uint8Array): Capacity {
  const v = view(bounded(bytes, 0, 32))
  return capacity(be64(v, 0), v.getUint32(8))
}
const text = (bytes: Uint8Array, offset: number, length: number): string =>
  String.fromCharCode(...bytes.subarray(offset, offset + length))
    .replace(/[^ -~]/g, ' ')
    .trim()
export function parseInquiry(bytes: Uint8Array, serial: string): DeviceDescriptor {
  bounded(bytes, 0, 36)
  return {
    vendor: text(bytes, 8, 8),
    product: text(bytes, 16, 16),
    revision: text(bytes, 32, 4),
    serial,
    removable: (bytes[1] & 0x80) !== 0,
    commandQueueing: (bytes[7] & 0x02) !== 0,
  }
}
export interface Mode {
  readonly writeProtected: boolean
  readonly forceUnitAccess: boolean
}
/** The device-specific byte of a direct-access device's MODE SENSE(6) header. [SBC-3] 6.5.1 */
export function parseMode(bytes: Uint8Array): Mode {
  const specific = bounded(bytes, 0, 4)[2]
  return { writeProtected: (specific & 0x80) !== 0, forceUnitAccess: (specific & 0x10) !== 0 }
}

const PAGE_CACHING = 0x08
const VPD_SERIAL = 0x80
const VPD_BLOCK_LIMITS = 0xb0
async function ask(fdo: ClassFdo, Cdb: Uint8Array, length: number): Promise<Uint8Array> {
  const { Status, output } = await ClassSendSrbSynchronous(fdo, srb(Cdb, SRB_FLAGS_DATA_IN, length), {
    outputLength: length,
  })
  if (!NT_SUCCESS(Status)) throw new StatusError(Status)
  return output
}
/** For pages a unit need not have. */
async function askOptional(fdo: ClassFdo, Cdb: Uint8Array, length: number): Promise<Uint8Array | undefined> {
  const { Status, output } = await ClassSendSrbSynchronous(fdo, srb(Cdb, SRB_FLAGS_DATA_IN, length), {
    outputLength: length,
    retries: 1,
  })
  return NT_SUCCESS(Status) ? output : undefined
}
export async function readCapacity(fdo: ClassFdo): Promise<Capacity> {
  const short = parseCapacity(await ask(fdo, cdb(SCSIOP.READ_CAPACITY), 8))
  if (short) return short
  return parseCapacity16(
    await ask(fdo, cdb(SCSIOP.SERVICE_ACTION_IN16, SAI_READ_CAPACITY16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32), 32),
  )
}
export async function readMode(fdo: ClassFdo): Promise<Mode> {
  const bytes = await askOptional(fdo, cdb(SCSIOP.MODE_SENSE, 0, PAGE_CACHING, 0, 192), 192)
  return bytes ? parseMode(bytes) : { writeProtected: false, forceUnitAccess: false }
}
const vpd = (page: number, length: number) => cdb(SCSIOP.INQUIRY, 1, page, 0, length)
export async function readDescriptor(fdo: ClassFdo): Promise<DeviceDescriptor> {
  const serial = await askOptional(fdo, vpd(VPD_SERIAL, 252), 252)
  return parseInquiry(await ask(fdo, cdb(SCSIOP.INQUIRY, 0, 0, 0, 36), 36), serial ? text(serial, 4, serial[3]) : '')
}
/** Bytes of one transfer: MAXIMUM TRANSFER LENGTH in blocks, 0 for none stated. [SBC-3] 6.6.3 */
export function parseTransferMax(bytes: Uint8Array | undefined, sectorSize: number): number {
  const blocks = bytes && bytes.byteLength >= 12 ? view(bytes).getUint32(8) : 0
  return blocks === 0 ? TRANSFER_MAX : Math.min(TRANSFER_MAX, blocks * sectorSize)
}
export const readTransferMax = async (fdo: ClassFdo, sectorSize: number): Promise<number> =>
  parseTransferMax(await askOptional(fdo, vpd(VPD_BLOCK_LIMITS, 64), 64), sectorSize)
