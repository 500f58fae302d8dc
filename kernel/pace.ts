/**
 * Who asks the kernel must listen to it: how far a process may run ahead with what no session's credits bound.
 *
 * Now and then its runtime is asked for a bare answer, which comes behind everything it has sent by then. A process that
 * waits for its answers sends about as much in between as it has requests under way, however fast it and the kernel are; one
 * that floods the gate sends all it can, and is found out by its limit. What waits to be read at the gate's socket has a
 * bound there (WAITING_MAX of lib/sel4/zeromq.ts); what the kernel has to tell it is bounded with what it asked.
 *
 *   sent()    false: it has sent more than its limit since it was asked
 *
 * Who listens may ask as fast as it can; Rush finds out whether that keeps the processors from the others.
 */
/** Questions cost: one in this part of the limit. */
const QUESTIONS = 16

export class Pace {
  private readonly limit: number
  private readonly ask: () => Promise<unknown>
  private ahead = 0
  private asking = false

  constructor(limit: number, ask: () => Promise<unknown>) {
    this.limit = limit
    this.ask = ask
  }
  sent(): boolean {
    this.ahead++
    if (this.asking) return this.ahead <= this.limit
    if (this.ahead >= this.limit / QUESTIONS) this.question()
    return true
  }
  private question(): void {
    this.asking = true
    this.ahead = 0
    void this.ask().then(() => {
      this.asking = false
      this.ahead = 0
    })
  }
}

/** Sixteen thousand in a second: more than ten times what any process of the system asks at its busiest. */
const RUSH = { requests: 4096, withinMs: 250 }

export class Rush {
  private requests = 0
  private since = 0
  private found = false

  /** One more request. True once: the first time that there were so many in so short a time. */
  counts(now: () => number): boolean {
    if (this.found || ++this.requests < RUSH.requests) return false
    const began = this.since
    this.since = now()
    this.requests = 0
    this.found = began > 0 && this.since - began < RUSH.withinMs
    return this.found
  }
}
