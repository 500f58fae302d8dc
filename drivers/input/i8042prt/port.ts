/**
 * One keyboard port: interrupts in, reads out.
 *
 *   IRQ 1 ─► service: output buffer ─► KeyQueue ─► DPC: serve ─► pended reads, oldest first
 *
 *   read(irp)       at once when there are keys, else pended with a cancel routine
 *   cleanup(file)   that file's pended reads end
 *
 * What nobody has read is parked in the Executive, so that the next life can hand it out.
 */
import { NT_STATUS, type NTSTATUS } from '#rtl'
import {
  completeIrp,
  type DEVICE_OBJECT,
  type DRIVER_OBJECT,
  type FILE_OBJECT,
  type IO_WORKITEM,
  IoAllocateWorkItem,
  IoGetCurrentIrpStackLocation,
  IoMarkIrpPending,
  type IRP,
  IoQueueWorkItem,
  IoSetCancelRoutine,
  IoSetOutput,
  KeInitializeDpc,
  KeInsertQueueDpc,
  type KDPC,
  parkState,
} from '#wdm'
import type { Controller } from './controller.ts'
import { KEYBOARD_INPUT_DATA_SIZE } from './hw.ts'
import { KeyQueue } from './keys.ts'

/** Bytes taken in one interrupt at most: a stuck OBF must not hold the processor. */
const BURST_MAX = 16
export const QUEUE_KEY = 'keys'

export class KeyboardPort {
  private readonly driver: DRIVER_OBJECT
  private readonly parkItem: IO_WORKITEM
  private readonly controller: Controller
  private readonly queue: KeyQueue
  private readonly dpc: KDPC
  private readonly pended: IRP[] = []
  private parked = ''
  private parking = false

  constructor(device: DEVICE_OBJECT, controller: Controller, saved: Uint8Array) {
    const driver = device.DriverObject
    this.driver = driver
    this.parkItem = IoAllocateWorkItem(device)
    this.controller = controller
    this.queue = KeyQueue.restored(saved)
    this.parked = saved.join()
    this.dpc = KeInitializeDpc(driver, () => this.serve(), undefined)
  }

  /** The service routine; also run once by START, for a byte whose edge went to an earlier life. */
  async service(): Promise<boolean> {
    let mine = false
    for (let i = 0; i < BURST_MAX; i++) {
      const byte = await this.controller.readByte()
      if (byte === undefined) break
      mine = true
      if (byte !== null) this.queue.take(byte)
    }
    if (mine) KeInsertQueueDpc(this.dpc)
    return mine
  }

  read(irp: IRP): NTSTATUS {
    const { Parameters } = IoGetCurrentIrpStackLocation(irp)
    const length = Parameters.kind === 'Read' ? Math.min(Parameters.Length, irp.OutputLength) : 0
    if (length < KEYBOARD_INPUT_DATA_SIZE) return completeIrp(irp, NT_STATUS.STATUS_BUFFER_TOO_SMALL, 0)
    if (irp.Cancel) return completeIrp(irp, NT_STATUS.STATUS_CANCELLED, 0)
    IoMarkIrpPending(irp)
    irp.DriverContext = length
    IoSetCancelRoutine(irp, (_device, cancelled) => this.end(cancelled))
    this.pended.push(irp)
    if (this.queue.length > 0) this.serve()
    return NT_STATUS.STATUS_PENDING
  }
  cleanup(file: FILE_OBJECT | undefined): void {
    for (const irp of [...this.pended]) if (file && IoGetCurrentIrpStackLocation(irp).FileObject === file) this.end(irp)
  }
  endAll(): void {
    for (const irp of [...this.pended]) this.end(irp)
  }
  private end(irp: IRP): void {
    this.pended.splice(this.pended.indexOf(irp), 1)
    completeIrp(irp, NT_STATUS.STATUS_CANCELLED, 0)
  }

  private serve(): void {
    while (this.queue.length > 0) {
      const irp = this.pended.shift()
      if (!irp) break
      IoSetOutput(irp, this.queue.records(irp.DriverContext as number))
      completeIrp(irp, NT_STATUS.STATUS_SUCCESS)
    }
    if (this.parking) return
    this.parking = true
    IoQueueWorkItem(this.parkItem, () => this.park(), undefined)
  }

  /** One at a time, until what is parked is what is there. */
  private async park(): Promise<void> {
    for (let state = this.queue.save(); state.join() !== this.parked; state = this.queue.save()) {
      this.parked = state.join()
      await parkState(this.driver, QUEUE_KEY, state)
    }
    this.parking = false
  }
}
