/**
 * IRPs that are not wanted any more.
 *
 *   cancel(irp)               asks the owner to give it up; taken back at once while undelivered
 *   ofRequestor(process)      a process is gone: all its requests
 *   ofFile(file, process)     NtCancelIoFile
 *
 * The last two resolve when all they cancelled is settled. What an owner does about a Cancel is its affair; its deadline is
 * not: from now on it has a short one.
 */
import { NT_STATUS } from '#rtl'
import type { Process } from '../ps/process.ts'
import type { Deadlines } from './deadline.ts'
import type { FileObject } from './file.ts'
import { type Irp, type IrpResult, result } from './irp.ts'

/** What is done with an IRP once it is decided. */
export interface IrpMoves {
  all(): readonly Irp[]
  ended(irp: Irp): Promise<void>
  /** Takes it from its owner; the result climbs. */
  settle(irp: Irp, outcome: IrpResult): void
}
export class IrpCancellation {
  private readonly irps: IrpMoves
  private readonly deadlines: Deadlines
  constructor(irps: IrpMoves, deadlines: Deadlines) {
    this.irps = irps
    this.deadlines = deadlines
  }

  /** The requestor wants it no more. Settled when the result arrives. */
  cancel(irp: Irp): void {
    if (irp.ended || irp.cancelled) return
    irp.cancelled = true
    this.tellOwner(irp)
  }
  tellOwner(irp: Irp): void {
    const level = irp.holder
    if (irp.ended || !level) return
    // Its driver is dead and the IRP not yet settled: what settles it sees that it is cancelled.
    if (level.life !== level.driver.life) return
    if (!level.sent) {
      this.irps.settle(irp, result(NT_STATUS.STATUS_CANCELLED))
      return
    }
    this.deadlines.grace(irp)
    irp.cancelSentTo = level
    level.driver.send({ kind: 'Cancel', Id: irp.id }, undefined, irp.request.recovery === true)
  }
  ofRequestor(process: Process): Promise<void> {
    return this.cancelAll((irp) => irp.request.requestor === process)
  }
  ofFile(file: FileObject, process: Process): Promise<void> {
    return this.cancelAll((irp) => irp.request.requestor === process && irp.request.file === file)
  }
  private async cancelAll(which: (irp: Irp) => boolean): Promise<void> {
    const mine = this.irps.all().filter((irp) => !irp.originator && which(irp))
    const ends = mine.map((irp) => this.irps.ended(irp))
    for (const irp of mine) this.cancel(irp)
    await Promise.all(ends)
  }
}
