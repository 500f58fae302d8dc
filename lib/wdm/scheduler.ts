/**
 * Who runs next inside a driver process: ISR, then DPC, then work item, then dispatch.
 *
 *   isr(routine)       runs as soon as no other service routine does; resolves when it is done
 *   dpc(job)           one at a time, in order of insertion, never while a service routine runs
 *   work(job)          started in order, before any queued dispatch; many may be under way
 *   dispatch(job)      the same, last
 *   requirePassive(w)  throws unless the caller may wait
 *
 * A JavaScript turn is never interrupted, so "running" means: until the routine's promise settles. The IRQL that is checked is that of
 * the synchronous part of a routine: code after an `await` cannot be told apart from other tasks.
 * Differs from NT: a passive task that is already under way may go on while a DPC awaits a register.
 */
import { DEVICE_LEVEL, DISPATCH_LEVEL, PASSIVE_LEVEL } from './constants.ts'

export type Job = () => void | Promise<unknown>

export class Scheduler {
  private irql: number = PASSIVE_LEVEL
  private readonly isrs: (() => void)[] = []
  private readonly dpcs: Job[] = []
  private readonly works: Job[] = []
  private readonly dispatches: Job[] = []
  private isrActive = false
  private dpcActive = false
  private pumping = false
  private stopped = false
  private readonly die: (error: unknown) => void

  constructor(die: (error: unknown) => void) {
    this.die = die
  }

  stop(): void {
    this.stopped = true
  }

  require(highest: number, what: string): void {
    if (this.irql > highest) throw new Error(`${what} at IRQL ${this.irql}, ${highest} is the highest allowed`)
  }
  requirePassive(what: string): void {
    this.require(PASSIVE_LEVEL, what)
  }

  /** The synchronous part of a routine at a level. */
  private at(level: number, routine: () => unknown): unknown {
    const before = this.irql
    this.irql = level
    try {
      return routine()
    } finally {
      this.irql = before
    }
  }

  async isr(routine: () => Promise<boolean>): Promise<void> {
    if (this.isrActive) await new Promise<void>((resolve) => this.isrs.push(resolve))
    this.isrActive = true
    try {
      await this.at(DEVICE_LEVEL, routine)
    } finally {
      const next = this.isrs.shift()
      if (next) next()
      else this.isrActive = false
      this.pump()
    }
  }

  dpc(job: Job): void {
    this.dpcs.push(job)
    this.pumpSoon()
  }
  work(job: Job): void {
    this.works.push(job)
    this.pumpSoon()
  }
  /** Does not start it: the caller queues a batch, then pumps. */
  dispatch(job: Job): void {
    this.dispatches.push(job)
  }

  private pumpSoon(): void {
    if (!this.pumping && !this.isrActive && !this.dpcActive) void Promise.resolve().then(() => this.pump())
  }

  pump(): void {
    if (this.pumping) return
    this.pumping = true
    while (this.runOne());
    this.pumping = false
  }

  private runOne(): boolean {
    if (this.stopped || this.isrActive || this.dpcActive) return false
    const dpc = this.dpcs.shift()
    if (dpc) {
      this.runDpc(dpc)
      return true
    }
    const job = this.works.shift() ?? this.dispatches.shift()
    if (job) this.start(job)
    return job !== undefined
  }

  private runDpc(job: Job): void {
    try {
      const result = this.at(DISPATCH_LEVEL, job)
      if (!(result instanceof Promise)) return
      this.dpcActive = true
      result.then(() => {
        this.dpcActive = false
        this.pump()
      }, this.die)
    } catch (error) {
      this.die(error)
    }
  }

  private start(job: Job): void {
    try {
      const result = job()
      if (result instanceof Promise) result.catch(this.die)
    } catch (error) {
      this.die(error)
    }
  }
}
