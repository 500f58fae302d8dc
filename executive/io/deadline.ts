/**
 * Deadlines of IRPs: one alarm for all of them, and none while nothing is outstanding.
 *
 *   expired → Cancel to the owner → after a grace, with the same owner still holding it: that driver hangs
 *
 * Time does not count against a driver that is being restarted or that itself waits for another, within bounds.
 */
import type { Clock } from '#sel4/api'
import { IRP_MJ } from '#contracts/wdm'
import type { DeviceObject } from './device.ts'
import type { DriverObject } from './driver.ts'
import type { Irp, Level } from './irp.ts'

/** A disk may spin up, a file system may read a whole FAT; silence for longer is a defect. */
const STORAGE_PATIENCE_MS = 30_000
const PNP_PATIENCE_MS = 30_000
/** After a Cancel a driver needs no device to answer. */
const GRACE_MS = 5_000
/** Resolution; deadlines are coarse, and a tick costs a walk over what is outstanding. */
const TICK_MS = 250
/** Periods a driver may wait for others before that does not count any more. */
const EXTENSIONS_MAX = 10

/** 0: for ever, as a keyboard's read. */
function patienceOf(device: DeviceObject, major: number): number {
  if (major === IRP_MJ.IRP_MJ_PNP || major === IRP_MJ.IRP_MJ_ADD_DEVICE) return PNP_PATIENCE_MS
  if (device.isStorage || device.isFileSystem || device.driver.isFileSystem) return STORAGE_PATIENCE_MS
  const open = major === IRP_MJ.IRP_MJ_READ || major === IRP_MJ.IRP_MJ_WRITE
  const control = major === IRP_MJ.IRP_MJ_DEVICE_CONTROL || major === IRP_MJ.IRP_MJ_INTERNAL_DEVICE_CONTROL
  return open || control ? 0 : STORAGE_PATIENCE_MS
}

export interface DeadlineActions {
  cancel(irp: Irp): void
  hung(irp: Irp, driver: DriverObject): void
}
export class Deadlines {
  private readonly clock: Clock
  private readonly actions: DeadlineActions
  private readonly pending = new Set<Irp>()
  private alarm: { cancel(): void } | undefined

  constructor(clock: Clock, actions: DeadlineActions) {
    this.clock = clock
    this.actions = actions
  }
  /** Its owner has so long from now, by the request or by what is asked of which device. */
  arm(irp: Irp, { device, major }: Level): void {
    if (irp.cancelled || irp.timedOut) return
    const milliseconds = irp.request.deadlineMs ?? patienceOf(device, major)
    irp.deadline = this.clock.now() + milliseconds
    if (milliseconds > 0) this.watch(irp)
    else this.disarm(irp)
  }
  /** A Cancel went out. */
  grace(irp: Irp): void {
    irp.deadline = this.clock.now() + GRACE_MS
    this.watch(irp)
  }
  disarm(irp: Irp): void {
    this.pending.delete(irp)
  }
  private watch(irp: Irp): void {
    this.pending.add(irp)
    this.alarm ??= this.clock.alarm(TICK_MS, () => this.tick())
  }
  private tick(): void {
    this.alarm = undefined
    const now = this.clock.now()
    for (const irp of [...this.pending]) if (irp.deadline <= now && !irp.ended) this.expire(irp)
    if (this.pending.size > 0) this.alarm ??= this.clock.alarm(TICK_MS, () => this.tick())
  }
  private expire(irp: Irp): void {
    const level = irp.holder
    if (!level) return
    const { driver } = level
    const excused =
      driver.recovering || driver.internal !== undefined || (driver.waiting && irp.extensions++ < EXTENSIONS_MAX)
    if (excused) {
      irp.deadline = this.clock.now() + GRACE_MS
      return
    }
    if (irp.cancelSentTo === level) {
      this.disarm(irp)
      this.actions.hung(irp, driver)
      return
    }
    if (!irp.cancelled) irp.timedOut = true
    this.actions.cancel(irp)
  }
}
