/**
 * An IRP as this process holds it, and the routines that look at its stack.
 *
 * Stack locations are local: the first is what the packet said (or what IoAllocateIrp was given), each IoCallDriver goes one further,
 * completion comes back up. `current` is the location of the driver that holds the IRP now; -1 is above the first, where an
 * originator stands, and a driver that has just skipped.
 *
 *   held       a driver of this process has it
 *   forwarded  the Executive has it and will bring it back
 *   done       completed, or passed on without asking for notice: never touch it again
 */
import type { Of } from '#contracts/field'
import type { BUFFER, Response } from '#contracts/wdm'
import { NT_STATUS, type NTSTATUS } from '#rtl'
import type { OpenSpan } from '#sel4/api'
import type {
  DEVICE_OBJECT,
  DRIVER_CANCEL,
  FILE_OBJECT,
  IO_COMPLETION_ROUTINE,
  IO_STACK_LOCATION,
  IRP,
  MDL,
} from './api.ts'
import type { FsCommit } from './fs-commit.ts'
import type { DriverHost } from './host.ts'
import { sliceMdl } from './mdl.ts'

export type Buffer = Of<typeof BUFFER>
export interface Window {
  readonly offset: number
  readonly length: number
}
export interface Completion {
  readonly routine: IO_COMPLETION_ROUTINE
  readonly context: unknown
  readonly onSuccess: boolean
  readonly onError: boolean
  readonly onCancel: boolean
}
export class StackLocation implements IO_STACK_LOCATION {
  MajorFunction = 0
  MinorFunction = 0
  Flags = 0
  Parameters: IO_STACK_LOCATION['Parameters'] = { kind: 'None' }
  DeviceObject?: DEVICE_OBJECT = undefined
  FileObject?: FILE_OBJECT = undefined
  /** Set by the driver above, to be called when this location is left upwards. */
  completion?: Completion = undefined
  /** The part of the IRP's whole buffer this location's driver sees. */
  window?: Window = undefined
}

/** Who wants to know of its end: the Executive (by Id), a routine of this process, or nobody (IRP_MJ_CLOSE). */
export type IrpOrigin = 'executive' | 'driver' | 'local'
export interface IrpFacts {
  readonly origin: IrpOrigin
  readonly id?: number
  readonly input?: Uint8Array
  readonly mdl?: MDL
  readonly buffer?: Buffer
  readonly outputLength?: number
  readonly flags?: number
}

export class Irp implements IRP {
  readonly host: DriverHost
  readonly origin: IrpOrigin
  /** The Executive's Id, or while a request of this driver's is out, its LocalId. */
  id: number
  readonly IoStatus: { Status: NTSTATUS; Information: number } = { Status: NT_STATUS.STATUS_SUCCESS, Information: 0 }
  readonly SystemBuffer?: Uint8Array
  readonly OutputLength: number
  readonly Flags: number
  /** Of a request of this driver's: how the Executive finds the pages. */
  readonly buffer: Buffer
  response?: Response = undefined
  Cancel = false
  CancelRoutine?: DRIVER_CANCEL = undefined
  DriverContext: any = undefined

  readonly stack: StackLocation[] = []
  current = -1
  state: 'held' | 'forwarded' | 'done' = 'held'
  /** Counts IoCallDriver and IoCompleteRequest: how a dispatch routine is found to have done neither. */
  progress = 0
  nextWindow?: Window = undefined
  /** IoSkipCurrentIrpStackLocation: the next driver reuses the location of the current one. */
  skipped = false
  commit?: FsCommit = undefined
  /** State for the driver's next life, parked by the completion. */
  park?: { readonly Key: string; readonly State: Uint8Array } = undefined
  ended?: () => void = undefined
  /** What a trace shows of it, while somebody watches. */
  span?: OpenSpan = undefined
  private readonly mdl?: MDL

  constructor(host: DriverHost, facts: IrpFacts) {
    this.host = host
    this.origin = facts.origin
    this.id = facts.id ?? 0
    this.SystemBuffer = facts.input
    this.OutputLength = facts.outputLength ?? 0
    this.Flags = facts.flags ?? 0
    this.buffer = facts.buffer ?? { kind: 'None' }
    this.mdl = facts.mdl
  }

  get MdlAddress(): MDL | undefined {
    const window = this.stack[this.current]?.window
    return this.mdl && window ? sliceMdl(this.mdl, window.offset, window.length) : this.mdl
  }
  /** Of the whole buffer, whatever a window shows. */
  get bufferLength(): number {
    return this.mdl?.ByteCount ?? Math.max(this.SystemBuffer?.length ?? 0, this.OutputLength)
  }
  get window(): Window {
    return this.stack[this.current]?.window ?? { offset: 0, length: this.bufferLength }
  }
  /** What the next driver sees unless IoSetBufferWindow narrows it. */
  get inheritedWindow(): Window {
    return (this.skipped ? this.next().window : undefined) ?? this.window
  }
  next(): StackLocation {
    return (this.stack[this.current + 1] ??= new StackLocation())
  }
  mustBeHeld(what: string): void {
    if (this.state !== 'held') throw new Error(`${what}: the ${describe(this)} is ${this.state}`)
  }
}

export function sliceBuffer(buffer: Buffer, window: Window): Buffer {
  if (buffer.kind === 'None') return buffer
  if (buffer.kind === 'Arena') return { kind: 'Arena', Address: buffer.Address + window.offset, Length: window.length }
  return { kind: 'Partial', Id: buffer.Id, Offset: buffer.Offset + window.offset, Length: window.length }
}

export const irpOf = (irp: IRP): Irp => irp as Irp

export function describe(irp: Irp): string {
  const location = irp.stack[Math.max(irp.current, 0)]
  const major = location
    ? `IRP_MJ 0x${location.MajorFunction.toString(16)}/0x${location.MinorFunction.toString(16)}`
    : ''
  return `${irp.origin} IRP ${irp.id} (${major})`
}

export function IoGetCurrentIrpStackLocation(Irp: IRP): IO_STACK_LOCATION {
  const irp = irpOf(Irp)
  const location = irp.stack[irp.current]
  if (!location) throw new Error(`the ${describe(irp)} has no current stack location`)
  return location
}
export function IoGetNextIrpStackLocation(Irp: IRP): IO_STACK_LOCATION {
  return irpOf(Irp).next()
}
export function IoSkipCurrentIrpStackLocation(Irp: IRP): void {
  const irp = irpOf(Irp)
  irp.mustBeHeld('IoSkipCurrentIrpStackLocation')
  if (irp.current < 0) throw new Error('IoSkipCurrentIrpStackLocation above the first stack location')
  irp.current--
  irp.skipped = true
}
export function IoCopyCurrentIrpStackLocationToNext(Irp: IRP): void {
  const { MajorFunction, MinorFunction, Flags, Parameters, FileObject } = IoGetCurrentIrpStackLocation(Irp)
  Object.assign(irpOf(Irp).next(), {
    MajorFunction,
    MinorFunction,
    Flags,
    Parameters,
    FileObject,
    completion: undefined,
  })
}
export function IoSetCompletionRoutine(
  Irp: IRP,
  CompletionRoutine: IO_COMPLETION_ROUTINE,
  Context: unknown,
  InvokeOnSuccess: boolean,
  InvokeOnError: boolean,
  InvokeOnCancel: boolean,
): void {
  irpOf(Irp).next().completion = {
    routine: CompletionRoutine,
    context: Context,
    onSuccess: InvokeOnSuccess,
    onError: InvokeOnError,
    onCancel: InvokeOnCancel,
  }
}
export function IoSetBufferWindow(Irp: IRP, offset: number, length: number): void {
  const irp = irpOf(Irp)
  const window = irp.inheritedWindow
  if (offset < 0 || length < 0 || offset + length > window.length)
    throw new Error(`window [${offset}, +${length}) of a buffer of ${window.length} bytes`)
  irp.nextWindow = { offset: window.offset + offset, length }
}
/** A returned STATUS_PENDING says the same; kept so that drivers read as NT's do. */
export function IoMarkIrpPending(Irp: IRP): void {
  irpOf(Irp).mustBeHeld('IoMarkIrpPending')
}
/**
 * Runs when a Cancel arrives from now on. A cancel that came earlier has set Irp.Cancel and found no routine: look at
 * Irp.Cancel before queueing an IRP.
 */
export function IoSetCancelRoutine(Irp: IRP, CancelRoutine: DRIVER_CANCEL | undefined): void {
  irpOf(Irp).CancelRoutine = CancelRoutine
}
export function IoSetOutput(Irp: IRP, bytes: Uint8Array): void {
  if (bytes.length > Irp.OutputLength)
    throw new Error(`${bytes.length} bytes of output in room for ${Irp.OutputLength} of the ${describe(irpOf(Irp))}`)
  Irp.response = { kind: 'Data', Bytes: bytes }
  Irp.IoStatus.Information = bytes.length
}
