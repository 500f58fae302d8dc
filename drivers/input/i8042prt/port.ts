/**
 * One keyboard port: interrupts in, reads out.
 *
 *   IRQ 1 ─► service: output buffer ─► KeyQueue ─► DPC: serve ─► pended reads, oldest first
 *                                                       └─► work item: park, then let the keyboard send on
 *
 *   read(irp)       at once when there are keys, else pended with a cancel routine
 *   cleanup(file)   that file's pended reads end
 *
 * No key is lost or doubled when this process dies. A byte stays visible in the controller until the Executive has parked it;
 * what a read hands out leaves the parked queue in the moment the read completes; the keyboard waits while the queue is full.
 * Differs from NT: a key that repeats itself while held down may lose one repeat to a death, because its bytes are the same.
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
  parkWithCompletion,
} from '#wdm'
import type { Controller } from './controller.ts'
import { KEYBOARD_INPUT_DATA_SIZE } from './hw.ts'
import type { KeyQueue } from './keys.ts'

export const QUEUE_KEY = 'keys'

export class KeyboardPort {
  private readonly driver: DRIVER_OBJECT
  private readonly parkItem: IO_WORKITEM
  private readonly controller: Controller
  private readonly queue: KeyQueue
  private readonly dpc: KDPC
  private readonly pended: IRP[] = []
  /** The work item runs, and shall look once more. */
  private parking = false
  private again = false
  /** The keyboard waits for release. */
  private held = false
  /** Whoever talks to the controller has it alone: START's look and an interrupt would take one byte twice. */
  private turn: Promise<unknown> = Promise.resolve()

  constructor(device: DEVICE_OBJECT, controller: Controller, queue: KeyQueue) {
    const driver = device.DriverObject
    this.driver = driver
    this.parkItem = IoAllocateWorkItem(device)
    this.controller = controller
    this.queue = queue
    this.dpc = KeInitializeDpc(driver, () => this.serve(), undefined)
  }

  /** The service routine; also run once by START, for a byte whose edge went to an earlier life. */
  service(): Promise<boolean> {
    return this.inTurn(async () => {
      const taken = await this.controller.takeByte()
      if (!taken) return false
      this.held = true
      this.queue.take(taken.byte, taken.sound)
      KeInsertQueueDpc(this.dpc)
      return true
    })
  }
  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.turn.then(work)
    this.turn = mine.catch(() => {})
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
      parkWithCompletion(irp, QUEUE_KEY, this.queue.save())
      completeIrp(irp, NT_STATUS.STATUS_SUCCESS)
    }
    this.again = true
    if (this.parking) return
    this.parking = true
    IoQueueWorkItem(this.parkItem, () => this.parkAll(), undefined)
  }
  private async parkAll(): Promise<void> {
    while (this.again) {
      this.again = false
      await this.park()
      await this.inTurn(() => this.letOn())
    }
    this.parking = false
  }
  /** Unless something was taken since it was parked. */
  private async letOn(): Promise<void> {
    if (!this.held || this.again || this.queue.isFull) return
    this.held = false
    await this.controller.release()
  }
  /** Resolves when the Executive has it, and has done all that was said to it before. */
  park(): Promise<void> {
    return parkState(this.driver, QUEUE_KEY, this.queue.save())
  }
}
