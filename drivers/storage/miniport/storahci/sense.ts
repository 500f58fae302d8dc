/** An ATA command's status and error bytes as SCSI sense. Pure. [SAT-3] 11.7, [ATA8-ACS] 6.1.1, 6.3 */
import { ASC, fixedSense, SCSISTAT, SENSE_KEY, SRB_STATUS } from '#drivers/lib/scsi'
import type { SrbOutcome } from '../../port/storport/index.ts'
import { STS_DF } from './hw.ts'

const ERR_AMNF = 0x01
const ERR_NM = 0x02
const ERR_ABRT = 0x04
const ERR_MCR = 0x08
const ERR_IDNF = 0x10
const ERR_MC = 0x20
/** Of a read: uncorrectable data; of a write: the medium is write protected. */
const ERR_UNC_WP = 0x40
const ERR_ICRC = 0x80

export interface AtaError {
  readonly status: number
  readonly error: number
  readonly lba?: number
}
/** Of a queued command, by the tag it had. */
export interface QueuedError extends AtaError {
  readonly tag: number
}
/** First match wins: the gravest or most exact first. */
function senseOf({ status, error }: AtaError, write: boolean): readonly [number, number] {
  if (status & STS_DF) return [SENSE_KEY.HARDWARE_ERROR, ASC.INTERNAL_TARGET_FAILURE]
  if (error & ERR_ICRC) return [SENSE_KEY.ABORTED_COMMAND, ASC.INFORMATION_UNIT_CRC_ERROR]
  if (error & ERR_UNC_WP && write) return [SENSE_KEY.DATA_PROTECT, ASC.WRITE_PROTECTED]
  if (error & ERR_UNC_WP) return [SENSE_KEY.MEDIUM_ERROR, ASC.UNRECOVERED_READ_ERROR]
  if (error & ERR_IDNF) return [SENSE_KEY.ILLEGAL_REQUEST, ASC.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE]
  if (error & ERR_NM) return [SENSE_KEY.NOT_READY, ASC.MEDIUM_NOT_PRESENT]
  if (error & ERR_MC) return [SENSE_KEY.UNIT_ATTENTION, ASC.MEDIUM_MAY_HAVE_CHANGED]
  if (error & ERR_MCR) return [SENSE_KEY.UNIT_ATTENTION, ASC.OPERATOR_MEDIUM_REMOVAL_REQUEST]
  if (error & ERR_AMNF) return [SENSE_KEY.MEDIUM_ERROR, ASC.ADDRESS_MARK_NOT_FOUND]
  /** A fixed disk has no bit for it: it aborts a write that has nothing wrong with it. [ATA8-ACS] 6.2.1 */
  if (error === ERR_ABRT && write) return [SENSE_KEY.DATA_PROTECT, ASC.WRITE_PROTECTED]
  return [SENSE_KEY.ABORTED_COMMAND, ASC.NONE]
}
export function outcomeOfError(failure: AtaError, write: boolean): SrbOutcome {
  const [key, asc] = senseOf(failure, write)
  return checkCondition(key, asc, key === SENSE_KEY.MEDIUM_ERROR ? failure.lba : undefined)
}
export const checkCondition = (key: number, asc: number, information?: number): SrbOutcome => ({
  SrbStatus: SRB_STATUS.ERROR,
  ScsiStatus: SCSISTAT.CHECK_CONDITION,
  sense: fixedSense({ key, asc, ...(information !== undefined && { information }) }),
})

/** Log 10h. [ATA8-ACS] A.14: NQ says that no queued command failed; the page adds up to zero. */
export function parseNcqErrorLog(page: Uint8Array): QueuedError | undefined {
  let sum = 0
  for (const byte of page) sum += byte
  if (page.byteLength !== 512 || sum & 0xff || page[0] & 0x80) return undefined
  const lba =
    page[4] + page[5] * 0x100 + page[6] * 0x1_0000 + page[8] * 0x100_0000 + (page[9] + page[10] * 0x100) * 0x1_0000_0000
  return { tag: page[0] & 0x1f, status: page[2], error: page[3], lba }
}
