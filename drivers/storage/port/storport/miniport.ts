/**
 * The seam between storport and a miniport.
 *
 *   storport                                      miniport
 *   START_DEVICE ── HwFindAdapter(context) ─────► maps, resets, finds units
 *   interrupt ───── HwInterrupt ────────────────► acknowledges; context.requestDpc()
 *   DPC ─────────── HwDpc ──────────────────────► context.complete(request, outcome) …
 *   IRP_MJ_SCSI ─── HwBuildIo, queue, HwStartIo ► the registers
 *   watchdog ────── HwTimeout(requests) ────────► recovery, which completes them
 */
import type { Of } from '#contracts/field'
import type { SRB } from '#contracts/wdm'
import type { CM_PARTIAL_RESOURCE_DESCRIPTOR, DEVICE_OBJECT, DRIVER_OBJECT, IRP, MDL } from '#wdm'
import type { LunQueue, Queued } from './queue.ts'

export type Srb = Of<typeof SRB>

export interface StorRequest extends Queued {
  readonly Irp: IRP
  readonly Srb: Srb
  readonly Mdl: MDL | undefined
  readonly OutputLength: number
  readonly unit: LogicalUnit
  /** Times it was sent again through no fault of its own. */
  attempts: number
  /** What HwBuildIo made of the SRB. */
  MiniportContext: any
}
export interface SrbOutcome {
  readonly SrbStatus: number
  readonly ScsiStatus?: number
  /** Bytes transferred. */
  readonly transferred?: number
  readonly sense?: Uint8Array
  /** Answer of a command that moves no data through the device. */
  readonly output?: Uint8Array
}
export interface Inquiry {
  readonly vendor: string
  readonly product: string
  readonly revision: string
}
export interface LogicalUnit {
  /** Path (the controller's port), target, logical unit. */
  readonly address: readonly [number, number, number]
  readonly inquiry: Inquiry
  readonly queue: LunQueue<StorRequest>
  /** The outcome if the command needs no device; else prepares it, and says whether it must run alone. */
  HwBuildIo(request: StorRequest): SrbOutcome | undefined
  /** Commands past their deadlines; recovery completes them. */
  HwTimeout(requests: readonly StorRequest[]): void
}
export interface StorAdapter {
  /** The present ones; asked again after context.busChanged(). */
  readonly units: readonly LogicalUnit[]
  /** Interrupts are connected: enable them. */
  HwInitialize(): Promise<void>
  HwInterrupt(): Promise<boolean>
  HwDpc(): void | Promise<void>
  /** No command and no DMA afterwards; every request is completed. */
  HwStop(): Promise<void>
}
export interface AdapterContext {
  readonly DriverObject: DRIVER_OBJECT
  readonly DeviceObject: DEVICE_OBJECT
  readonly resources: readonly CM_PARTIAL_RESOURCE_DESCRIPTOR[]
  requestDpc(): void
  queueWork(routine: () => Promise<void>): void
  /** Ends a request: from HwDpc or recovery. */
  complete(request: StorRequest, outcome: SrbOutcome): void
  /** For LunQueue: a waiting request can be cancelled. */
  waits(request: StorRequest, waiting: boolean): void
  /** A unit came or went. */
  busChanged(): void
}
export interface HW_INITIALIZATION_DATA {
  HwFindAdapter(context: AdapterContext): Promise<StorAdapter>
}
