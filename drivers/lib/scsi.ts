/**
 * SCSI by its names: operation codes, CDBs, sense data, SRB statuses. Pure; shared by class and port drivers.
 *
 *   readWriteCdb(write, lba, blocks, fua)   READ/WRITE (10) when it fits, else (16)
 *   parseReadWrite(cdb)                     the other way round; undefined when it is neither
 *   fixedSense / parseSense                 sense data in fixed format
 *
 * References: [SPC-4] T10/1731-D · [SBC-3] T10/BSR INCITS 514 · srb.h, ntddscsi.h for SRB_STATUS_*.
 */
import { putBe64, view } from './bytes.ts'

/** [SPC-4] table E.2, [SBC-3] 5 */
export const SCSIOP = {
  TEST_UNIT_READY: 0x00,
  REQUEST_SENSE: 0x03,
  INQUIRY: 0x12,
  MODE_SENSE: 0x1a,
  START_STOP_UNIT: 0x1b,
  MEDIUM_REMOVAL: 0x1e,
  READ_CAPACITY: 0x25,
  READ: 0x28,
  WRITE: 0x2a,
  VERIFY: 0x2f,
  SYNCHRONIZE_CACHE: 0x35,
  MODE_SENSE10: 0x5a,
  READ16: 0x88,
  WRITE16: 0x8a,
  SYNCHRONIZE_CACHE16: 0x91,
  SERVICE_ACTION_IN16: 0x9e,
  REPORT_LUNS: 0xa0,
} as const
/** Of SERVICE ACTION IN(16). [SBC-3] 5.16 */
export const SAI_READ_CAPACITY16 = 0x10

export const SRB_FUNCTION_EXECUTE_SCSI = 0x00
export const SRB_FLAGS_NO_DATA = 0
export const SRB_FLAGS_DATA_IN = 0x40
export const SRB_FLAGS_DATA_OUT = 0x80

export const SRB_STATUS = {
  PENDING: 0x00,
  SUCCESS: 0x01,
  ABORTED: 0x02,
  ERROR: 0x04,
  BUSY: 0x05,
  INVALID_REQUEST: 0x06,
  NO_DEVICE: 0x08,
  TIMEOUT: 0x09,
  SELECTION_TIMEOUT: 0x0a,
  BUS_RESET: 0x0e,
  DATA_OVERRUN: 0x12,
  AUTOSENSE_VALID: 0x80,
} as const
export const srbStatus = (value: number): number => value & 0x3f

export const SCSISTAT = { GOOD: 0x00, CHECK_CONDITION: 0x02, BUSY: 0x08, RESERVATION_CONFLICT: 0x18 } as const

/** [SPC-4] 4.5.6 */
export const SENSE_KEY = {
  NO_SENSE: 0x0,
  RECOVERED_ERROR: 0x1,
  NOT_READY: 0x2,
  MEDIUM_ERROR: 0x3,
  HARDWARE_ERROR: 0x4,
  ILLEGAL_REQUEST: 0x5,
  UNIT_ATTENTION: 0x6,
  DATA_PROTECT: 0x7,
  BLANK_CHECK: 0x8,
  COPY_ABORTED: 0xa,
  ABORTED_COMMAND: 0xb,
} as const
/** Additional sense code in the high byte, qualifier in the low one. [SPC-4] annex F */
export const ASC = {
  NONE: 0x0000,
  BECOMING_READY: 0x0401,
  INITIALIZING_COMMAND_REQUIRED: 0x0402,
  MANUAL_INTERVENTION_REQUIRED: 0x0403,
  FORMAT_IN_PROGRESS: 0x0404,
  UNRECOVERED_READ_ERROR: 0x1100,
  ADDRESS_MARK_NOT_FOUND: 0x1300,
  INVALID_COMMAND_OPERATION_CODE: 0x2000,
  LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE: 0x2100,
  INVALID_FIELD_IN_CDB: 0x2400,
  LOGICAL_UNIT_NOT_SUPPORTED: 0x2500,
  WRITE_PROTECTED: 0x2700,
  MEDIUM_MAY_HAVE_CHANGED: 0x2800,
  RESET_OCCURRED: 0x2900,
  CAPACITY_DATA_HAS_CHANGED: 0x2a09,
  CANNOT_READ_MEDIUM_UNKNOWN_FORMAT: 0x3001,
  CANNOT_READ_MEDIUM: 0x3000,
  MEDIUM_NOT_PRESENT: 0x3a00,
  INTERNAL_TARGET_FAILURE: 0x4400,
  INFORMATION_UNIT_CRC_ERROR: 0x4703,
  OPERATOR_MEDIUM_REMOVAL_REQUEST: 0x5a01,
} as const

export interface Sense {
  readonly key: number
  readonly asc: number
  /** The INFORMATION field: the block the error is about, when there is one. */
  readonly information?: number
}
/** Fixed format, 18 bytes. [SPC-4] 4.5.3 */
export function fixedSense({ key, asc, information }: Sense): Uint8Array {
  const bytes = new Uint8Array(18)
  const valid = information !== undefined && information <= 0xffffffff
  bytes[0] = 0x70 | (valid ? 0x80 : 0)
  bytes[2] = key
  if (valid) view(bytes).setUint32(3, information)
  bytes[7] = 10
  bytes[12] = asc >> 8
  bytes[13] = asc & 0xff
  return bytes
}
export function parseSense(bytes: Uint8Array): Sense | undefined {
  const code = bytes[0] & 0x7f
  if (bytes.byteLength < 14 || (code !== 0x70 && code !== 0x71)) return undefined
  const information = bytes[0] & 0x80 ? view(bytes).getUint32(3) : undefined
  return { key: bytes[2] & 0xf, asc: (bytes[12] << 8) | bytes[13], ...(information !== undefined && { information }) }
}

/** A CDB of `length` significant bytes in the 16 an SRB carries. */
export const cdb = (...bytes: number[]): Uint8Array => {
  const all = new Uint8Array(16)
  all.set(bytes)
  return all
}
const FUA = 0x08
/** [SBC-3] 5.8, 5.10, 5.32, 5.34 */
export function readWriteCdb(write: boolean, lba: number, blocks: number, fua: boolean): Uint8Array {
  const bytes = new Uint8Array(16)
  const v = view(bytes)
  bytes[1] = fua ? FUA : 0
  if (lba + blocks <= 0x1_0000_0000 && blocks <= 0xffff) {
    bytes[0] = write ? SCSIOP.WRITE : SCSIOP.READ
    v.setUint32(2, lba)
    v.setUint16(7, blocks)
  } else {
    bytes[0] = write ? SCSIOP.WRITE16 : SCSIOP.READ16
    putBe64(v, 2, lba)
    v.setUint32(10, blocks)
  }
  return bytes
}
export interface ReadWrite {
  readonly write: boolean
  readonly lba: number
  readonly blocks: number
  readonly fua: boolean
}
/** An address above 2^53 is not exact any more, but still beyond every medium. */
export function parseReadWrite(bytes: Uint8Array): ReadWrite | undefined {
  const operation = bytes[0]
  const v = view(bytes)
  const fua = (bytes[1] & FUA) !== 0
  if (operation === SCSIOP.READ || operation === SCSIOP.WRITE) {
    return { write: operation === SCSIOP.WRITE, lba: v.getUint32(2), blocks: v.getUint16(7), fua }
  }
  if (operation === SCSIOP.READ16 || operation === SCSIOP.WRITE16) {
    return {
      write: operation === SCSIOP.WRITE16,
      lba: v.getUint32(2) * 0x1_0000_0000 + v.getUint32(6),
      blocks: v.getUint32(10),
      fua,
    }
  }
  return undefined
}
