/**
 * Which command slots the HBA has been given, and which of them it is done with.
 *
 *   issue(slot, queued)   PxSACT (queued), PxCI; no register is read
 *   look()                asks what is still active
 *   collect(look, …)      slots that are done since
 *
 * What is out is all queued, or one command that is not.
 */
import type { PortEngine } from './engine.ts'
import { PxCI, PxSACT } from './hw.ts'

/** What was out, and in which epoch, when the active register was asked. */
export interface Look {
  readonly epoch: number
  readonly issued: number
}
export class CommandSlots {
  /** Handed to the HBA, and not yet seen done. */
  issued = 0
  queued = false
  private readonly engine: PortEngine
  /** Counts collections that freed slots: what was read before one may not be collected after it. */
  private epoch = 0
  constructor(engine: PortEngine) {
    this.engine = engine
  }

  issue(slot: number, queued: boolean): void {
    const bit = 2 ** slot
    this.issued = (this.issued | bit) >>> 0
    this.queued = queued
    if (queued) this.engine.write(PxSACT, bit)
    this.engine.write(PxCI, bit)
  }
  /** To be called before the active register is asked. */
  look(): Look {
    return { epoch: this.epoch, issued: this.issued }
  }
  active(): Promise<number> {
    return this.engine.read(this.queued ? PxSACT : PxCI)
  }
  /**
   * Frees what is done. Undefined, and nothing freed, when slots were freed since the look: one of them may have a new user,
   * who would be taken for done.
   */
  collect({ epoch, issued }: Look, active: number): number[] | undefined {
    if (epoch !== this.epoch) return undefined
    const done = (issued & ~active) >>> 0
    if (done !== 0) this.epoch++
    this.issued = (this.issued & ~done) >>> 0
    return bitsOf(done)
  }
  /** The engine was stopped: nothing is out any more. */
  forget(): void {
    this.issued = 0
  }
}
function bitsOf(mask: number): number[] {
  const bits: number[] = []
  for (let left = mask; left !== 0; left &= left - 1) bits.push(31 - Math.clz32(left & -left))
  return bits
}
