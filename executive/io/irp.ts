/**
 * An IRP, as the Executive holds it.
 *
 * It has one owner at a time: whoever asked, then the driver it is queued for or has been sent to, then, as completions climb,
 * each driver that wanted notice, then whoever asked again. Its levels are those drivers: the last one owns it, the others wait
 * for notice; a driver that forwarded without notice has no level any more. What is done with it: irp-table.ts.
 */
import type { Parameters, Response } from '#contracts/wdm'
import { NT_STATUS, type NTSTATUS } from '#rtl'
import type { TraceContext } from '#sel4/api'
import type { Process } from '../ps/process.ts'
import type { DeviceObject } from './device.ts'
import type { DriverObject } from './driver.ts'
import type { FileObject } from './file.ts'
import type { Mdl } from './irp-checks.ts'
import type { Delivery } from './packets.ts'

export interface IrpRequest {
  readonly device: DeviceObject
  /** To the top of the device's stack, as PnP requests go. */
  readonly top?: boolean
  readonly major: number
  readonly minor?: number
  readonly parameters: Parameters
  readonly file?: FileObject
  readonly flags?: number
  readonly mdl?: Mdl
  readonly input?: Uint8Array
  readonly outputLength?: number
  readonly requestor: Process | 'system'
  /** 0: never. Absent: by major and device. */
  readonly deadlineMs?: number
  /** May it be issued again after its driver's death? Absent: by the table. */
  readonly idempotent?: boolean
  readonly signal?: CancelSignal
  /** Part of a driver's recovery: passes before all that waits for the recovery, and ends with its death. */
  readonly recovery?: boolean
}
/** An AbortSignal's shape. */
export interface CancelSignal {
  readonly aborted: boolean
  addEventListener(type: 'abort', listener: () => void): void
}
export interface IrpResult {
  readonly Status: NTSTATUS
  readonly Information: number
  readonly response?: Response
}
/** What a driver is asked of an IRP. */
export interface View {
  readonly device: DeviceObject
  readonly major: number
  readonly minor: number
  readonly flags: number
  readonly parameters: Parameters
  /** Part of the IRP's buffer it sees. */
  readonly offset: number
  readonly length: number
}
/** One driver's view of an IRP. */
export class Level implements View, Delivery {
  readonly driver: DriverObject
  readonly device: DeviceObject
  readonly major: number
  readonly minor: number
  readonly flags: number
  readonly parameters: Parameters
  readonly offset: number
  readonly length: number
  notify = 0
  /** It forwarded the IRP and waits for notice. */
  waiting = false
  /** Its driver died while it waited. */
  orphaned = false
  sent = false
  recalled = false
  /** The driver's life the packet was queued for. */
  life = 0
  context: { leave(): void } | undefined = undefined
  /** What made it, while somebody watches. */
  readonly trace: TraceContext | undefined

  constructor(driver: DriverObject, view: View, trace: TraceContext | undefined) {
    this.driver = driver
    this.device = view.device
    this.major = view.major
    this.minor = view.minor
    this.flags = view.flags
    this.parameters = view.parameters
    this.offset = view.offset
    this.length = view.length
    this.trace = trace
  }
}
export class Irp {
  readonly id: number
  readonly request: IrpRequest
  readonly levels: Level[] = []
  /** A driver's own request: whom the result goes to, by the driver's number; `life` of the driver that asked. */
  readonly originator: DriverObject | undefined
  readonly localId: number
  originatorLives = true
  readonly parent: Irp | undefined
  /** Partial requests under way that point into this IRP's buffer. */
  children = 0
  /** Its result, while children are still under way. */
  deferred: IrpResult | undefined
  cancelled = false
  timedOut = false
  committed = false
  reissues = 0
  hops = 0
  extensions = 0
  deadline = 0
  /** Whom the last Cancel went to. */
  cancelSentTo: Level | undefined
  ended = false
  resolve: ((result: IrpResult) => void) | undefined
  readonly watchers: (() => void)[] = []

  constructor(id: number, request: IrpRequest, originator?: DriverObject, localId = 0, parent?: Irp) {
    this.id = id
    this.request = request
    this.originator = originator
    this.localId = localId
    this.parent = parent
  }
  get holder(): Level | undefined {
    return this.levels.at(-1)
  }
}

export const result = (Status: NTSTATUS): IrpResult => ({ Status, Information: 0 })
/** Of a request that its driver's death ended. */
export const TERMINATED = result(NT_STATUS.STATUS_DRIVER_PROCESS_TERMINATED)
