/**
 * What a failed SRB means: a status, and whether and when to try again. Pure. classpnp's ClassInterpretSenseInfo
 *
 * Differs from NT: a busy port is waited for (NT spends all its retries at once); a write to a protected medium is
 * STATUS_MEDIA_WRITE_PROTECTED whatever its additional sense code.
 */
import { ASC, parseSense, SCSISTAT, SENSE_KEY, type Sense, SRB_STATUS, srbStatus } from '#drivers/lib/scsi'
import type { SRB_RESULT } from '#contracts/wdm'
import type { Of } from '#contracts/field'
import { NT_STATUS, type NTSTATUS } from '#rtl'

export type SrbResult = Of<typeof SRB_RESULT>
export interface Verdict {
  readonly status: NTSTATUS
  readonly retry: boolean
  /** Before the retry. */
  readonly seconds: number
  /** The unit wants START UNIT first. */
  readonly startUnit?: boolean
}
const final = (status: NTSTATUS): Verdict => ({ status, retry: false, seconds: 0 })
const again = (status: NTSTATUS, seconds: number): Verdict => ({ status, retry: true, seconds })

export function ClassInterpretSenseInfo(result: SrbResult, write: boolean): Verdict {
  const sense = result.SrbStatus & SRB_STATUS.AUTOSENSE_VALID ? parseSense(result.SenseInfo) : undefined
  return sense ? bySense(sense, write) : bySrbStatus(result)
}

function bySense({ key, asc }: Sense, write: boolean): Verdict {
  switch (key) {
    case SENSE_KEY.NO_SENSE:
      return again(NT_STATUS.STATUS_IO_DEVICE_ERROR, 0)
    case SENSE_KEY.RECOVERED_ERROR:
      return final(NT_STATUS.STATUS_SUCCESS)
    case SENSE_KEY.NOT_READY:
      return notReady(asc)
    case SENSE_KEY.MEDIUM_ERROR:
      if (asc === ASC.CANNOT_READ_MEDIUM || asc === ASC.CANNOT_READ_MEDIUM_UNKNOWN_FORMAT)
        return final(NT_STATUS.STATUS_UNRECOGNIZED_MEDIA)
      return final(NT_STATUS.STATUS_DEVICE_DATA_ERROR)
    case SENSE_KEY.HARDWARE_ERROR:
      return final(NT_STATUS.STATUS_IO_DEVICE_ERROR)
    case SENSE_KEY.ILLEGAL_REQUEST:
      return illegalRequest(asc)
    case SENSE_KEY.UNIT_ATTENTION:
      return again(NT_STATUS.STATUS_IO_DEVICE_ERROR, asc === ASC.CAPACITY_DATA_HAS_CHANGED ? 1 : 0)
    case SENSE_KEY.DATA_PROTECT:
      return final(write ? NT_STATUS.STATUS_MEDIA_WRITE_PROTECTED : NT_STATUS.STATUS_ACCESS_DENIED)
    case SENSE_KEY.BLANK_CHECK:
      return final(NT_STATUS.STATUS_DEVICE_DATA_ERROR)
    case SENSE_KEY.ABORTED_COMMAND:
      return again(NT_STATUS.STATUS_IO_DEVICE_ERROR, 1)
    default:
      return again(NT_STATUS.STATUS_IO_DEVICE_ERROR, 0)
  }
}
function notReady(asc: number): Verdict {
  if (asc === ASC.MEDIUM_NOT_PRESENT || asc === ASC.MANUAL_INTERVENTION_REQUIRED)
    return final(NT_STATUS.STATUS_NO_MEDIA_IN_DEVICE)
  if (asc === ASC.FORMAT_IN_PROGRESS) return final(NT_STATUS.STATUS_DEVICE_NOT_READY)
  if (asc === ASC.INITIALIZING_COMMAND_REQUIRED)
    return { ...again(NT_STATUS.STATUS_DEVICE_NOT_READY, 0), startUnit: true }
  return again(NT_STATUS.STATUS_DEVICE_NOT_READY, 10)
}
function illegalRequest(asc: number): Verdict {
  if (asc === ASC.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE) return final(NT_STATUS.STATUS_NONEXISTENT_SECTOR)
  if (asc === ASC.LOGICAL_UNIT_NOT_SUPPORTED) return final(NT_STATUS.STATUS_NO_SUCH_DEVICE)
  return final(NT_STATUS.STATUS_INVALID_DEVICE_REQUEST)
}
function bySrbStatus({ SrbStatus, ScsiStatus }: SrbResult): Verdict {
  switch (srbStatus(SrbStatus)) {
    case SRB_STATUS.SUCCESS:
      return final(NT_STATUS.STATUS_SUCCESS)
    case SRB_STATUS.ABORTED:
      return again(NT_STATUS.STATUS_IO_TIMEOUT, 1)
    case SRB_STATUS.TIMEOUT:
      return again(NT_STATUS.STATUS_IO_TIMEOUT, 1)
    case SRB_STATUS.BUSY:
      return again(NT_STATUS.STATUS_DEVICE_BUSY, 1)
    case SRB_STATUS.INVALID_REQUEST:
      return final(NT_STATUS.STATUS_INVALID_DEVICE_REQUEST)
    case SRB_STATUS.NO_DEVICE:
      return final(NT_STATUS.STATUS_DEVICE_REMOVED)
    case SRB_STATUS.SELECTION_TIMEOUT:
      return final(NT_STATUS.STATUS_DEVICE_NOT_CONNECTED)
    case SRB_STATUS.BUS_RESET:
      return again(NT_STATUS.STATUS_IO_DEVICE_ERROR, 0)
    case SRB_STATUS.DATA_OVERRUN:
      return again(NT_STATUS.STATUS_IO_DEVICE_ERROR, 0)
    default:
      if (ScsiStatus === SCSISTAT.RESERVATION_CONFLICT) return final(NT_STATUS.STATUS_DEVICE_BUSY)
      return again(NT_STATUS.STATUS_IO_DEVICE_ERROR, ScsiStatus === SCSISTAT.BUSY ? 1 : 0)
  }
}
