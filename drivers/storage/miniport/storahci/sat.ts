/**
 * SCSI to ATA: a CDB becomes an ATA command, or an answer that needs no device. Pure. [SAT-3], [SPC-4], [SBC-3]
 *
 *   translate(unit, srb, outputLength)   { outcome } or { ata }
 */
import { putBe64, putText, view } from '#drivers/lib/bytes'
import { ASC, fixedSense, parseReadWrite, SAI_READ_CAPACITY16, SCSIOP, SENSE_KEY, SRB_STATUS } from '#drivers/lib/scsi'
import type { Srb, SrbOutcome } from '../../port/storport/index.ts'
import type { AtaCommand } from './fis.ts'
import { ATA } from './hw.ts'
import { type Identity, inquiryOf } from './identify.ts'
import { checkCondition } from './sense.ts'

export interface Unit {
  readonly identity: Identity
  /** Both the HBA and the device queue. */
  readonly ncq: boolean
  /** A write was refused because of the medium. */
  writeProtected: boolean
}
export type Translation = { readonly outcome: SrbOutcome } | { readonly ata: AtaCommand }

const GOOD: Translation = { outcome: { SrbStatus: SRB_STATUS.SUCCESS } }
const illegal = (asc: number): Translation => ({ outcome: checkCondition(SENSE_KEY.ILLEGAL_REQUEST, asc) })
const answer = (bytes: Uint8Array, allocated: number): Translation => ({
  outcome: { SrbStatus: SRB_STATUS.SUCCESS, output: bytes.subarray(0, allocated) },
})

export function translate(unit: Unit, srb: Srb): Translation {
  const access = parseReadWrite(srb.Cdb)
  return access ? readWrite(unit, access, srb.DataTransferLength) : other(unit, srb.Cdb)
}

/** Largest count of one command: 16 bits, or 8; 0 stands for one more. */
const limitOf = (identity: Identity): number => (identity.ext ? 0x10000 : 0x100)
function readWrite(
  unit: Unit,
  { write, lba, blocks, fua }: NonNullable<ReturnType<typeof parseReadWrite>>,
  bytes: number,
): Translation {
  const { identity } = unit
  if (lba + blocks > identity.sectors) return illegal(ASC.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE)
  if (blocks === 0) return GOOD
  if (blocks > limitOf(identity) || bytes !== blocks * identity.sectorSize) return illegal(ASC.INVALID_FIELD_IN_CDB)
  const command = commandFor(unit, write, fua)
  if (command === undefined) return illegal(ASC.INVALID_FIELD_IN_CDB)
  const ext = identity.ext
  return {
    ata: { command, ncq: unit.ncq, write, ext, lba, count: blocks === limitOf(identity) ? 0 : blocks, fua, bytes },
  }
}
/** FUA of a read needs a queued command. [SAT-3] 9.10 */
function commandFor({ ncq, identity }: Unit, write: boolean, fua: boolean): number | undefined {
  if (ncq) return write ? ATA.WRITE_FPDMA_QUEUED : ATA.READ_FPDMA_QUEUED
  if (fua) return write && identity.fua && identity.ext ? ATA.WRITE_DMA_FUA_EXT : undefined
  if (identity.ext) return write ? ATA.WRITE_DMA_EXT : ATA.READ_DMA_EXT
  return write ? ATA.WRITE_DMA : ATA.READ_DMA
}
const nonData = (identity: Identity, command: number, lba = 0, count = 0): Translation => ({
  ata: { command, ncq: false, write: false, ext: identity.ext, lba, count, fua: false, bytes: 0 },
})

function other(unit: Unit, cdb: Uint8Array): Translation {
  const { identity } = unit
  const v = view(cdb)
  switch (cdb[0]) {
    case SCSIOP.TEST_UNIT_READY:
    case SCSIOP.MEDIUM_REMOVAL:
      return GOOD
    case SCSIOP.INQUIRY:
      return inquiry(identity, cdb, v.getUint16(3))
    case SCSIOP.REQUEST_SENSE:
      return answer(fixedSense({ key: SENSE_KEY.NO_SENSE, asc: ASC.NONE }), cdb[4])
    case SCSIOP.READ_CAPACITY:
      return answer(readCapacity(identity), 8)
    case SCSIOP.SERVICE_ACTION_IN16:
      if ((cdb[1] & 0x1f) !== SAI_READ_CAPACITY16) return illegal(ASC.INVALID_FIELD_IN_CDB)
      return answer(readCapacity16(identity), v.getUint32(10))
    case SCSIOP.REPORT_LUNS:
      return answer(reportLuns(), v.getUint32(6))
    case SCSIOP.MODE_SENSE:
      return modeSense(unit, cdb, false, cdb[4])
    case SCSIOP.MODE_SENSE10:
      return modeSense(unit, cdb, true, v.getUint16(7))
    case SCSIOP.SYNCHRONIZE_CACHE:
    case SCSIOP.SYNCHRONIZE_CACHE16:
      return flush(identity)
    case SCSIOP.START_STOP_UNIT:
      return startStop(identity, cdb)
    case SCSIOP.VERIFY:
      return verify(identity, v.getUint32(2), v.getUint16(7))
    default:
      return illegal(ASC.INVALID_COMMAND_OPERATION_CODE)
  }
}
function flush(identity: Identity): Translation {
  if (identity.flushExt) return nonData(identity, ATA.FLUSH_CACHE_EXT)
  return identity.flush ? nonData(identity, ATA.FLUSH_CACHE) : GOOD
}
function verify(identity: Identity, lba: number, blocks: number): Translation {
  if (lba + blocks > identity.sectors) return illegal(ASC.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE)
  if (blocks === 0) return GOOD
  if (blocks > limitOf(identity)) return illegal(ASC.INVALID_FIELD_IN_CDB)
  return nonData(
    identity,
    identity.ext ? ATA.READ_VERIFY_SECTORS_EXT : ATA.READ_VERIFY_SECTORS,
    lba,
    blocks & (limitOf(identity) - 1),
  )
}
/** START spins up by verifying a sector; STOP is STANDBY IMMEDIATE, which writes the cache first. [SAT-3] 9.12 */
function startStop(identity: Identity, cdb: Uint8Array): Translation {
  const LOEJ = 0x02
  const POWER_CONDITION = 0xf0
  if (cdb[4] & (LOEJ | POWER_CONDITION)) return illegal(ASC.INVALID_FIELD_IN_CDB)
  return cdb[4] & 1 ? verify(identity, 0, 1) : nonData(identity, ATA.STANDBY_IMMEDIATE)
}

// ---------------------------------------------------------------- answers
function inquiry(identity: Identity, cdb: Uint8Array, allocated: number): Translation {
  const EVPD = 0x01
  if (!(cdb[1] & EVPD)) return cdb[2] ? illegal(ASC.INVALID_FIELD_IN_CDB) : answer(standardInquiry(identity), allocated)
  const page = vitalProductData(identity, cdb[2])
  if (!page) return illegal(ASC.INVALID_FIELD_IN_CDB)
  const bytes = new Uint8Array(4 + page.byteLength)
  bytes[1] = cdb[2]
  view(bytes).setUint16(2, page.byteLength)
  bytes.set(page, 4)
  return answer(bytes, allocated)
}
/** [SPC-4] 6.6.2: version SPC-4, response format 2, CMDQUE. */
function standardInquiry(identity: Identity): Uint8Array {
  const bytes = new Uint8Array(36)
  const { vendor, product, revision } = inquiryOf(identity)
  bytes[2] = 0x06
  bytes[3] = 0x02
  bytes[4] = bytes.byteLength - 5
  bytes[7] = identity.queueDepth > 0 ? 0x02 : 0
  putText(bytes, 8, 8, vendor)
  putText(bytes, 16, 16, product)
  putText(bytes, 32, 4, revision)
  return bytes
}
const VPD_PAGES = [0x00, 0x80, 0xb0, 0xb1]
/** [SPC-4] 7.8, [SBC-3] 6.6 */
function vitalProductData(identity: Identity, page: number): Uint8Array | undefined {
  if (page === 0x00) return Uint8Array.from(VPD_PAGES)
  if (page === 0x80) {
    const serial = new Uint8Array(20)
    putText(serial, 0, 20, identity.serial.padStart(20))
    return serial
  }
  if (page === 0xb0) {
    const limits = new Uint8Array(60)
    view(limits).setUint32(4, limitOf(identity))
    view(limits).setUint16(2, 2 ** identity.physicalExponent)
    return limits
  }
  if (page !== 0xb1) return undefined
  const characteristics = new Uint8Array(60)
  view(characteristics).setUint16(0, identity.rotation)
  return characteristics
}
function readCapacity({ sectors, sectorSize }: Identity): Uint8Array {
  const bytes = new Uint8Array(8)
  view(bytes).setUint32(0, Math.min(sectors - 1, 0xffffffff))
  view(bytes).setUint32(4, sectorSize)
  return bytes
}
function readCapacity16({ sectors, sectorSize, physicalExponent }: Identity): Uint8Array {
  const bytes = new Uint8Array(32)
  putBe64(view(bytes), 0, sectors - 1)
  view(bytes).setUint32(8, sectorSize)
  bytes[13] = physicalExponent
  return bytes
}
/** One logical unit, number 0. */
function reportLuns(): Uint8Array {
  const bytes = new Uint8Array(16)
  view(bytes).setUint32(0, 8)
  return bytes
}
const PAGE_CACHING = 0x08
const PAGE_CONTROL = 0x0a
const PAGE_ALL = 0x3f
const MODE_WP = 0x80
const MODE_DPOFUA = 0x10
/** Header, no block descriptor, pages. Only current values are kept; saved ones there are none. [SPC-4] 7.5 */
function modeSense(unit: Unit, cdb: Uint8Array, long: boolean, allocated: number): Translation {
  const page = cdb[2] & 0x3f
  if (cdb[2] >> 6 === 3 || cdb[3] !== 0) return illegal(ASC.INVALID_FIELD_IN_CDB)
  const changeable = cdb[2] >> 6 === 1
  const pages = modePages(unit, changeable).filter(([code]) => page === PAGE_ALL || page === code)
  if (pages.length === 0) return illegal(ASC.INVALID_FIELD_IN_CDB)
  const body = pages.flat()
  const specific = (unit.writeProtected ? MODE_WP : 0) | (unit.ncq || unit.identity.fua ? MODE_DPOFUA : 0)
  const header = long ? [0, body.length + 6, 0, specific, 0, 0, 0, 0] : [body.length + 3, 0, specific, 0]
  return answer(Uint8Array.from([...header, ...body]), allocated)
}
function modePages({ identity }: Unit, changeable: boolean): number[][] {
  const WCE = 0x04
  const caching = [PAGE_CACHING, 18, identity.writeCache && !changeable ? WCE : 0, ...new Array<number>(17).fill(0)]
  const control = [PAGE_CONTROL, 10, ...new Array<number>(10).fill(0)]
  return [caching, control]
}
