/**
 * What becomes of the IRPs of a driver that died.
 *
 *   orphan(driver)            at that moment: nothing of its old life is waited for any more
 *   abandon(driver, last)     when its hardware is quiet: what it held is queued for its next life, or ends
 *   mayReissue(irp, level)    may a level's driver be given the IRP again?
 *   reissue(irp, level)       gives it again
 *
 * Issued again is what may be done twice and was not done already: neither cancelled nor committed, and not more often than
 * poison deserves. The rest ends with STATUS_DRIVER_PROCESS_TERMINATED.
 */
import { IRP_MJ, IRP_MN } from '#contracts/wdm'
import { NT_STATUS } from '#rtl'
import type { Deadlines } from './deadline.ts'
import type { DriverObject } from './driver.ts'
import { type Irp, type IrpResult, type Level, result, TERMINATED } from './irp.ts'
import { repeatable } from './irp-checks.ts'
import type { IrpDelivery } from './irp-delivery.ts'

/** Poison is given up after as many deaths. */
const REISSUES_MAX = 3

export interface IrpEnds {
  cancel(irp: Irp): void
  /** Takes it from its owner; the result climbs. */
  settle(irp: Irp, outcome: IrpResult): void
}
export class IrpDeaths {
  private readonly delivery: IrpDelivery
  private readonly deadlines: Deadlines
  private readonly ends: IrpEnds
  constructor(delivery: IrpDelivery, deadlines: Deadlines, ends: IrpEnds) {
    this.delivery = delivery
    this.deadlines = deadlines
    this.ends = ends
  }

  /** What waits for notice will not get it, and what the driver asked is not wanted any more. Answers what of that has not ended. */
  orphan(driver: DriverObject): Irp[] {
    for (const irp of driver.irps.values())
      for (const level of irp.levels) if (level.driver === driver && level.waiting) level.orphaned = true
    const own = [...driver.requests.values()]
    driver.requests.clear()
    for (const irp of own) {
      irp.originatorLives = false
      this.ends.cancel(irp)
    }
    return own.filter((irp) => !irp.ended)
  }
  /** `last`: there is no next life. */
  abandon(driver: DriverObject, last = false): void {
    for (const irp of [...driver.irps.values()]) {
      const level = irp.holder
      if (irp.ended || level?.driver !== driver) continue
      if (last) this.ends.settle(irp, TERMINATED)
      else if (level.life !== driver.life) this.reissueOrEnd(irp, level)
    }
  }
  private reissueOrEnd(irp: Irp, level: Level): void {
    if (irp.cancelled) this.ends.settle(irp, result(NT_STATUS.STATUS_CANCELLED))
    else if (!irp.committed && this.mayReissue(irp, level)) this.reissue(irp, level)
    else this.ends.settle(irp, TERMINATED)
  }
  mayReissue(irp: Irp, level: Level): boolean {
    const { request } = irp
    if (!level.driver.accepting || level.device.removed || request.recovery || irp.reissues >= REISSUES_MAX)
      return false
    if (isReplayed(level)) return false
    if (!level.sent) return true
    const own = level.major === request.major && request.idempotent !== undefined
    return own
      ? request.idempotent === true
      : repeatable(level.device, level.major, level.minor, level.parameters, request.mdl !== undefined)
  }
  reissue(irp: Irp, level: Level): void {
    if (level.sent) irp.reissues++
    level.waiting = level.orphaned = false
    level.notify = 0
    irp.timedOut = false
    irp.cancelSentTo = undefined
    this.deadlines.arm(irp, level)
    this.delivery.request(irp, level)
  }
}
/** The recovery does these itself, whether or not they were delivered. */
const isReplayed = ({ major, minor }: Level): boolean =>
  major === IRP_MJ.IRP_MJ_ADD_DEVICE || (major === IRP_MJ.IRP_MJ_PNP && minor === IRP_MN.IRP_MN_START_DEVICE)
