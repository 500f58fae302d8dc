/**
 * The way of an IRP: down by IoCallDriver, up by completion.
 *
 *   packet ─► dispatch ─ IoCallDriver ─► own device: dispatch here
 *                                   └──► foreign device: Forward (an IRP received) or NewRequest (one of ours)
 *   IoCompleteRequest / IoCompleted ─► completion routines from the current location up ─► Complete, or the waiting originator
 *
 * A dispatch routine must have completed the IRP, passed it on, or answered STATUS_PENDING. What breaks that, or completes twice,
 * is a defect of the driver and ends the process.
 */
import { IRP_MJ, NOTIFY } from '#contracts/wdm'
import { NT_STATUS, NT_SUCCESS, type NTSTATUS, StatusError, statusName } from '#rtl'
import type { DEVICE_OBJECT, DRIVER_DISPATCH, IRP } from './api.ts'
import { DISPATCH_LEVEL, SL_MASK } from './constants.ts'
import {
  type Completion,
  describe,
  IoGetCurrentIrpStackLocation,
  type Irp,
  irpOf,
  type StackLocation,
  sliceBuffer,
} from './irp.ts'
import { departed, left, traceOf } from './watching.ts'

// ---------------------------------------------------------------- down

export function IoCallDriver(DeviceObject: DEVICE_OBJECT, Irp: IRP): NTSTATUS | Promise<NTSTATUS> {
  const irp = irpOf(Irp)
  irp.host.scheduler.require(DISPATCH_LEVEL, 'IoCallDriver')
  irp.mustBeHeld('IoCallDriver')
  const location = descend(irp, DeviceObject)
  if (!DeviceObject.own) return passOn(irp, DeviceObject, location)
  return callDispatch(irp, DeviceObject, location)
}

function descend(irp: Irp, device: DEVICE_OBJECT): StackLocation {
  const location = irp.next()
  const window = irp.nextWindow ?? irp.inheritedWindow
  irp.current++
  irp.progress++
  location.DeviceObject = device
  location.window = window
  irp.nextWindow = undefined
  irp.skipped = false
  irp.CancelRoutine = undefined
  return location
}

function callDispatch(irp: Irp, device: DEVICE_OBJECT, location: StackLocation): NTSTATUS | Promise<NTSTATUS> {
  const routine: DRIVER_DISPATCH = device.DriverObject.MajorFunction[location.MajorFunction] ?? defaultDispatch
  const depth = irp.current
  try {
    const result = routine(device, irp)
    if (!(result instanceof Promise)) return afterDispatch(irp, depth, result)
    return result.then(
      (status) => afterDispatch(irp, depth, status),
      (error) => failedDispatch(irp, depth, error),
    )
  } catch (error) {
    return failedDispatch(irp, depth, error)
  }
}

/** IO_STATUS_BLOCK.Information of an open. */
const FILE_OPENED = 1
/** What a driver answers without a routine of its own: open and close are nothing to refuse, the rest is not for it. */
const HARMLESS: readonly number[] = [IRP_MJ.IRP_MJ_CREATE, IRP_MJ.IRP_MJ_CLEANUP, IRP_MJ.IRP_MJ_CLOSE]
function defaultDispatch(_device: DEVICE_OBJECT, Irp: IRP): NTSTATUS {
  const { MajorFunction } = IoGetCurrentIrpStackLocation(Irp)
  const status = HARMLESS.includes(MajorFunction) ? NT_STATUS.STATUS_SUCCESS : NT_STATUS.STATUS_INVALID_DEVICE_REQUEST
  return completeIrp(Irp, status, MajorFunction === IRP_MJ.IRP_MJ_CREATE ? FILE_OPENED : 0)
}

const stillWith = (irp: Irp, depth: number): boolean => irp.state === 'held' && irp.current === depth

function afterDispatch(irp: Irp, depth: number, status: NTSTATUS): NTSTATUS {
  if (status !== NT_STATUS.STATUS_PENDING && stillWith(irp, depth))
    throw new Error(`dispatch returned ${statusName(status)} but neither completed nor passed on the ${describe(irp)}`)
  return status
}

/** The world's own failure is the IRP's status; anything else is a defect. */
function failedDispatch(irp: Irp, depth: number, error: unknown): NTSTATUS {
  if (!(error instanceof StatusError) || !stillWith(irp, depth)) throw error
  return completeIrp(irp, error.status)
}

function passOn(irp: Irp, device: DEVICE_OBJECT, location: StackLocation): NTSTATUS {
  if (irp.origin === 'executive') forward(irp, device, location)
  else if (irp.origin === 'driver') request(irp, device, location)
  else completeHere(irp)
  return NT_STATUS.STATUS_PENDING
}

function forward(irp: Irp, device: DEVICE_OBJECT, location: StackLocation): void {
  const { host, id: Id } = irp
  const window = irp.window
  const notify = noticeOf(irp)
  if (irp.commit && (notify & EITHER_END) !== EITHER_END)
    throw new Error(`the ${describe(irp)} has an open commit and was forwarded without notice`)
  host.outbox.post({
    kind: 'Forward',
    ...common(irp, device, location),
    Id,
    BufferOffset: window.offset,
    BufferLength: window.length,
    Notify: notify,
    Trace: traceOf(irp),
  })
  irp.state = notify ? 'forwarded' : 'done'
  if (!notify) host.held.delete(Id)
  if (!(notify & NOTIFY.OnSuccess)) left(irp, true)
}

const EITHER_END = NOTIFY.OnSuccess | NOTIFY.OnError
/** What any completion routine on the way up wants; of another end the Executive tells by IrpOver, when it has time. */
function noticeOf(irp: Irp): number {
  let notify = 0
  for (let i = 0; i <= irp.current; i++) {
    const { completion } = irp.stack[i]
    if (completion?.onSuccess) notify |= NOTIFY.OnSuccess
    if (completion?.onError) notify |= NOTIFY.OnError
    if (completion?.onCancel) notify |= NOTIFY.OnCancel
  }
  return notify
}

function common(irp: Irp, device: DEVICE_OBJECT, location: StackLocation) {
  const { MajorFunction, MinorFunction, Parameters } = location
  const Flags = ((irp.Flags & ~SL_MASK) | (location.Flags & SL_MASK)) >>> 0
  return { Device: device.handle, MajorFunction, MinorFunction, Flags, Parameters }
}

function request(irp: Irp, device: DEVICE_OBJECT, location: StackLocation): void {
  const { host } = irp
  irp.id = host.nextLocalId()
  host.requests.set(irp.id, irp)
  irp.state = 'forwarded'
  departed(irp, location)
  host.outbox.post({
    kind: 'NewRequest',
    ...common(irp, device, location),
    LocalId: irp.id,
    Input: irp.SystemBuffer,
    Buffer: sliceBuffer(irp.buffer, irp.window),
    OutputLength: irp.OutputLength,
    Trace: irp.span?.context,
  })
}

/** IRP_MJ_CLOSE and the like exist in this process only: below it there is nobody to tell. */
function completeHere(irp: Irp): void {
  irp.IoStatus.Status = NT_STATUS.STATUS_SUCCESS
  unwind(irp)
}

// ---------------------------------------------------------------- up

export function IoCompleteRequest(Irp: IRP, _PriorityBoost?: number): void {
  const irp = irpOf(Irp)
  irp.host.scheduler.require(DISPATCH_LEVEL, 'IoCompleteRequest')
  irp.mustBeHeld('IoCompleteRequest')
  if (irp.IoStatus.Status === NT_STATUS.STATUS_PENDING)
    throw new Error(`the ${describe(irp)} completed with STATUS_PENDING`)
  irp.progress++
  unwind(irp)
}
export function completeIrp(Irp: IRP, Status: NTSTATUS, Information?: number): NTSTATUS {
  Irp.IoStatus.Status = Status
  if (Information !== undefined) Irp.IoStatus.Information = Information
  IoCompleteRequest(Irp)
  return Status
}

function wanted({ onSuccess, onError, onCancel }: Completion, irp: Irp): boolean {
  if (irp.Cancel && onCancel) return true
  return NT_SUCCESS(irp.IoStatus.Status) ? onSuccess : onError
}

/** Calls completion routines from the current location up, until one keeps the IRP; then tells whoever asked. */
export function unwind(irp: Irp): void {
  irp.CancelRoutine = undefined
  irp.state = 'held'
  while (irp.current >= 0) {
    const location = irp.stack[irp.current--]
    const { completion } = location
    location.completion = undefined
    if (!completion || !wanted(completion, irp)) continue
    const result = callCompletion(irp, location, completion)
    if (result instanceof Promise) {
      result.then((goOn) => goOn && unwind(irp)).catch(irp.host.die)
      return
    }
    if (!result) return
  }
  finish(irp)
}

function callCompletion(irp: Irp, location: StackLocation, completion: Completion): boolean | Promise<boolean> {
  const device = irp.stack[irp.current]?.DeviceObject ?? location.DeviceObject
  const before = irp.progress
  const goesOn = (status: NTSTATUS) => {
    if (status === NT_STATUS.STATUS_MORE_PROCESSING_REQUIRED) return false
    if (irp.progress !== before)
      throw new Error(`a completion routine completed or reissued the ${describe(irp)} and let it go on`)
    return true
  }
  const status = completion.routine(device!, irp, completion.context)
  return status instanceof Promise ? status.then(goesOn) : goesOn(status)
}

function finish(irp: Irp): void {
  irp.state = 'done'
  const { host } = irp
  const { Status, Information } = irp.IoStatus
  const commit = irp.commit?.close(NT_SUCCESS(Status))
  if (irp.origin === 'executive') {
    host.held.delete(irp.id)
    const { MajorFunction, FileObject } = irp.stack[0] ?? {}
    if (MajorFunction === IRP_MJ.IRP_MJ_CREATE && FileObject && !NT_SUCCESS(Status))
      host.files.delete(FileObject.number)
    const Response = irp.response
    host.outbox.post(
      {
        kind: 'Complete',
        Id: irp.id,
        Status,
        Information,
        Response,
        Commit: commit?.packet,
        Park: irp.park,
        Trace: traceOf(irp),
      },
      commit?.processed,
    )
  }
  left(irp)
  irp.ended?.()
}

// ---------------------------------------------------------------- cancel

export function IoCancelIrp(Irp: IRP): void {
  const irp = irpOf(Irp)
  if (irp.state === 'done' || irp.Cancel) return
  if (irp.origin === 'driver' && irp.state === 'forwarded') {
    irp.Cancel = true
    irp.host.outbox.post({ kind: 'CancelRequest', LocalId: irp.id })
  } else cancel(irp)
}
/** Marks an IRP cancelled and lets the driver that holds it know. */
export function cancel(irp: Irp): void {
  irp.Cancel = true
  const { CancelRoutine } = irp
  irp.CancelRoutine = undefined
  if (CancelRoutine) CancelRoutine(irp.stack[irp.current].DeviceObject!, irp)
}
