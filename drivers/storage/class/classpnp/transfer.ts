/**
 * SRBs on their way down: a client's IRP turned into one, or an SRB of the class driver's own.
 *
 *   ClassReadWrite(fdo, irp)             READ and WRITE: checked, sent down as they are, retried when they fail
 *   sendDown(fdo, irp, srb)              the same for any IRP that one SRB answers (FLUSH)
 *   ClassSendSrbSynchronous(fdo, srb, …) one of our own, with retries
 *
 * A successful IRP never comes back here: the completion routine is asked for on error and cancel only.
 */
import {
  readWriteCdb,
  SCSIOP,
  cdb,
  SRB_FLAGS_DATA_IN,
  SRB_FLAGS_DATA_OUT,
  SRB_FLAGS_NO_DATA,
  SRB_FUNCTION_EXECUTE_SCSI,
} from '#drivers/lib/scsi'
import { SL_WRITE_THROUGH } from '#drivers/lib/io'
import type { Of } from '#contracts/field'
import { IRP_MJ, type SRB } from '#contracts/wdm'
import {
  completeIrp,
  IoAllocateIrp,
  IoAllocateWorkItem,
  IoCallDriver,
  IoCallDriverSynchronous,
  IoGetCurrentIrpStackLocation,
  IoGetNextIrpStackLocation,
  IoMarkIrpPending,
  IoQueueWorkItem,
  IoSetCancelRoutine,
  IoSetCompletionRoutine,
  KeDelayExecutionThread,
  KeInitializeEvent,
  KeSetEvent,
  KeWaitForSingleObject,
  type DEVICE_OBJECT,
  type IRP,
} from '#wdm'
import { NT_STATUS, type NTSTATUS } from '#rtl'
import { type ClassFdo, TIMEOUT_S } from './fdo.ts'
import { ClassInterpretSenseInfo, type SrbResult, type Verdict } from './sense.ts'
import { checkTransfer, pieces } from './split.ts'

export type Srb = Of<typeof SRB>
/** NUM_IO_RETRIES and MAXIMUM_RETRIES of classpnp. */
const TRANSFER_RETRIES = 8
const OWN_RETRIES = 4

export const srb = (Cdb: Uint8Array, SrbFlags: number, DataTransferLength: number, TimeOutValue = TIMEOUT_S): Srb => ({
  Function: SRB_FUNCTION_EXECUTE_SCSI,
  Cdb,
  SrbFlags,
  DataTransferLength,
  TimeOutValue,
})
function transferSrb(fdo: ClassFdo, write: boolean, offset: number, length: number, flags: number): Srb {
  const { sectorSize } = fdo.medium!
  const fua = write && fdo.forceUnitAccess && (flags & SL_WRITE_THROUGH) !== 0
  const Cdb = readWriteCdb(write, offset / sectorSize, length / sectorSize, fua)
  return srb(Cdb, write ? SRB_FLAGS_DATA_OUT : SRB_FLAGS_DATA_IN, length)
}

// ---------------------------------------------------------------- a client's IRP
export function ClassReadWrite(fdo: ClassFdo, Irp: IRP): NTSTATUS | Promise<NTSTATUS> {
  const { Parameters, Flags, MajorFunction } = IoGetCurrentIrpStackLocation(Irp)
  if (Parameters.kind !== 'Read' && Parameters.kind !== 'Write')
    return completeIrp(Irp, NT_STATUS.STATUS_INVALID_PARAMETER)
  if (!fdo.medium) return completeIrp(Irp, NT_STATUS.STATUS_DEVICE_NOT_READY)
  const { ByteOffset, Length } = Parameters
  const wrong = checkTransfer(fdo.medium, ByteOffset, Length)
  if (wrong !== NT_STATUS.STATUS_SUCCESS || Length === 0) return completeIrp(Irp, wrong)
  const write = MajorFunction === IRP_MJ.IRP_MJ_WRITE
  if (Length > fdo.transferMax) return splitTransfer(fdo, Irp, write, ByteOffset, Length, Flags)
  return sendDown(fdo, Irp, transferSrb(fdo, write, ByteOffset, Length, Flags))
}
export function sendDown(fdo: ClassFdo, Irp: IRP, Srb: Srb): NTSTATUS | Promise<NTSTATUS> {
  const next = IoGetNextIrpStackLocation(Irp)
  next.MajorFunction = IRP_MJ.IRP_MJ_INTERNAL_DEVICE_CONTROL
  next.MinorFunction = 0
  next.Flags = IoGetCurrentIrpStackLocation(Irp).Flags
  next.Parameters = { kind: 'Scsi', Srb }
  IoSetCompletionRoutine(Irp, transferFailed, { fdo, Srb } satisfies Sent, false, true, true)
  return IoCallDriver(fdo.LowerDevice, Irp)
}
interface Sent {
  readonly fdo: ClassFdo
  readonly Srb: Srb
}
function transferFailed(_device: DEVICE_OBJECT, Irp: IRP, Context: unknown): NTSTATUS {
  const { fdo, Srb } = Context as Sent
  const { response } = Irp
  if (response?.kind !== 'Srb') return NT_STATUS.STATUS_SUCCESS
  /** A read's or a flush's client knows no SRBs. */
  Irp.response = undefined
  if (Irp.Cancel) return NT_STATUS.STATUS_SUCCESS
  const verdict = ClassInterpretSenseInfo(response.Result, Srb.SrbFlags === SRB_FLAGS_DATA_OUT)
  const tries: { count: number } = (Irp.DriverContext ??= { count: 0 })
  if (verdict.retry && tries.count++ < TRANSFER_RETRIES) {
    retryLater(fdo, Irp, Srb, verdict)
    return NT_STATUS.STATUS_MORE_PROCESSING_REQUIRED
  }
  settle(fdo, Irp, Srb, verdict.status)
  return NT_STATUS.STATUS_SUCCESS
}
function settle(fdo: ClassFdo, Irp: IRP, { Cdb, DataTransferLength }: Srb, status: NTSTATUS): void {
  Irp.IoStatus.Status = status
  Irp.IoStatus.Information = status === NT_STATUS.STATUS_SUCCESS ? DataTransferLength : 0
  if (status !== NT_STATUS.STATUS_SUCCESS) {
    fdo.DeviceObject.DriverObject.log.warn('a transfer failed', { disk: fdo.number, operation: Cdb[0], status })
  }
}
/** The IRP waits here, and may be cancelled meanwhile. */
function retryLater(fdo: ClassFdo, Irp: IRP, Srb: Srb, { seconds, startUnit }: Verdict): void {
  const { DeviceObject } = fdo
  const cancelled = KeInitializeEvent(DeviceObject.DriverObject, 'NotificationEvent', false)
  IoSetCancelRoutine(Irp, () => void KeSetEvent(cancelled))
  IoQueueWorkItem(
    IoAllocateWorkItem(DeviceObject),
    async () => {
      if (startUnit) await ClassSendSrbSynchronous(fdo, START_UNIT, { retries: 0 })
      if (seconds > 0) await KeWaitForSingleObject(cancelled, seconds * 1000)
      IoSetCancelRoutine(Irp, undefined)
      if (Irp.Cancel) completeIrp(Irp, NT_STATUS.STATUS_CANCELLED)
      else await sendDown(fdo, Irp, Srb)
    },
    undefined,
  )
}
/** START UNIT may spin a disk up. [NT] START_UNIT_TIMEOUT */
const START_UNIT = srb(cdb(SCSIOP.START_STOP_UNIT, 0, 0, 0, 1), SRB_FLAGS_NO_DATA, 0, 60 * 4)

/** Associated IRPs on parts of the master's buffer; the master ends with the last of them. */
async function splitTransfer(
  fdo: ClassFdo,
  Irp: IRP,
  write: boolean,
  start: number,
  length: number,
  flags: number,
): Promise<NTSTATUS> {
  IoMarkIrpPending(Irp)
  const results = await Promise.all(
    pieces(length, fdo.transferMax).map((piece) =>
      ClassSendSrbSynchronous(fdo, transferSrb(fdo, write, start + piece.offset, piece.length, flags), {
        partial: { Irp, ...piece },
        retries: TRANSFER_RETRIES,
      }),
    ),
  )
  const failed = results.find(({ Status }) => Status !== NT_STATUS.STATUS_SUCCESS)
  completeIrp(Irp, failed?.Status ?? NT_STATUS.STATUS_SUCCESS, failed ? 0 : length)
  return NT_STATUS.STATUS_PENDING
}

// ---------------------------------------------------------------- our own
export interface SendOptions {
  /** Room for an inline answer. */
  readonly outputLength?: number
  readonly partial?: { readonly Irp: IRP; readonly offset: number; readonly length: number }
  readonly retries?: number
}
export interface SrbAnswer {
  readonly Status: NTSTATUS
  readonly output: Uint8Array
  /** Of a failure that the unit explained. */
  readonly result?: SrbResult
}
const NOTHING = new Uint8Array(0)
export async function ClassSendSrbSynchronous(fdo: ClassFdo, Srb: Srb, options: SendOptions = {}): Promise<SrbAnswer> {
  const { DriverObject } = fdo.DeviceObject
  const { retries = OWN_RETRIES, ...buffers } = options
  for (let attempt = 0; ; attempt++) {
    const stack = { MajorFunction: IRP_MJ.IRP_MJ_INTERNAL_DEVICE_CONTROL, Parameters: { kind: 'Scsi', Srb } } as const
    const { Status, output, response } = await IoCallDriverSynchronous(
      fdo.LowerDevice,
      IoAllocateIrp(DriverObject, stack, buffers),
    )
    if (response?.kind !== 'Srb') return { Status, output: output ?? NOTHING }
    const verdict = ClassInterpretSenseInfo(response.Result, Srb.SrbFlags === SRB_FLAGS_DATA_OUT)
    if (!verdict.retry || attempt >= retries)
      return { Status: verdict.status, output: NOTHING, result: response.Result }
    if (verdict.startUnit) await ClassSendSrbSynchronous(fdo, START_UNIT, { retries: 0 })
    if (verdict.seconds > 0) await KeDelayExecutionThread(DriverObject, verdict.seconds * 1000)
  }
}
