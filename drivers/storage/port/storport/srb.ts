/** An SRB's outcome as an IRP's: the status map, and the completion. Called at DISPATCH_LEVEL or below. */
import { SCSISTAT, SRB_STATUS, srbStatus } from '#drivers/lib/scsi'
import { completeIrp, IoSetOutput } from '#wdm'
import { NT_STATUS, type NTSTATUS } from '#rtl'
import type { SrbOutcome, StorRequest } from './miniport.ts'

const STATUS_OF = new Map<number, NTSTATUS>([
  [SRB_STATUS.SUCCESS, NT_STATUS.STATUS_SUCCESS],
  [SRB_STATUS.BUSY, NT_STATUS.STATUS_DEVICE_BUSY],
  [SRB_STATUS.NO_DEVICE, NT_STATUS.STATUS_DEVICE_DOES_NOT_EXIST],
  [SRB_STATUS.TIMEOUT, NT_STATUS.STATUS_IO_TIMEOUT],
  [SRB_STATUS.SELECTION_TIMEOUT, NT_STATUS.STATUS_DEVICE_NOT_CONNECTED],
  [SRB_STATUS.INVALID_REQUEST, NT_STATUS.STATUS_INVALID_DEVICE_REQUEST],
  [SRB_STATUS.DATA_OVERRUN, NT_STATUS.STATUS_BUFFER_OVERFLOW],
  [SRB_STATUS.ABORTED, NT_STATUS.STATUS_CANCELLED],
])
export const statusOfSrb = (status: number): NTSTATUS =>
  STATUS_OF.get(srbStatus(status)) ?? NT_STATUS.STATUS_IO_DEVICE_ERROR

const NO_SENSE = new Uint8Array(0)
/** The request is the caller's no more. On success the answer is the bytes moved; only an error carries its SRB back. */
export function StorPortCompleteRequest({ Irp, OutputLength }: StorRequest, outcome: SrbOutcome): void {
  const Status = statusOfSrb(outcome.SrbStatus)
  const transferred = outcome.transferred ?? 0
  if (Status === NT_STATUS.STATUS_SUCCESS) {
    if (outcome.output === undefined) {
      completeIrp(Irp, Status, transferred)
    } else {
      const output = outcome.output.subarray(0, OutputLength)
      if (output.byteLength > 0) IoSetOutput(Irp, output)
      completeIrp(Irp, Status, output.byteLength)
    }
    return
  }
  const SenseInfo = outcome.sense ?? NO_SENSE
  const Result = {
    SrbStatus: outcome.SrbStatus | (SenseInfo.byteLength > 0 ? SRB_STATUS.AUTOSENSE_VALID : 0),
    ScsiStatus: outcome.ScsiStatus ?? SCSISTAT.GOOD,
    DataTransferLength: transferred,
    SenseInfo,
  }
  Irp.response = { kind: 'Srb', Result }
  completeIrp(Irp, Status, transferred)
}
