/**
 * The queue of one logical unit: which request has which tag, which wait, and what may run beside what.
 *
 * Tagged requests run together up to the unit's depth. An exclusive one (a command the device cannot queue) waits until
 * nothing runs, runs alone, and nothing overtakes it. A request has one owner: waiting here, or running under its tag.
 *
 *   submit(r)      run it or let it wait          finish(r)   its tag is free; the next ones run
 *   pause/resume   recovery: nothing new runs     fail()      empties the queue; the unit is gone
 *
 * Pure: no IRP, no clock. `start` is called synchronously and must not throw.
 */
export interface Queued {
  tag: number
  exclusive: boolean
  /** When it must be done, in the caller's clock; set by `start`. */
  deadline: number
}

export class LunQueue<R extends Queued> {
  private readonly running: (R | undefined)[]
  private readonly waiting: R[] = []
  private free: number
  private count = 0
  private alone = false
  private paused = false
  private readonly start: (request: R) => void
  /** Told when a request begins or ends to wait: that is when it can be cancelled. */
  private readonly wait: (request: R, waits: boolean) => void

  constructor(depth: number, start: (request: R) => void, wait: (request: R, waits: boolean) => void) {
    if (depth < 1 || depth > 32) throw new RangeError(`a queue of ${depth}`)
    this.running = new Array(depth)
    this.free = depth === 32 ? 0xffffffff : 2 ** depth - 1
    this.start = start
    this.wait = wait
  }

  get outstanding(): number {
    return this.count
  }
  get isPaused(): boolean {
    return this.paused
  }
  get waits(): number {
    return this.waiting.length
  }
  byTag(tag: number): R | undefined {
    return this.running[tag]
  }
  all(): R[] {
    return this.running.filter((request) => request !== undefined)
  }
  expired(now: number): R[] {
    return this.count === 0 ? [] : this.all().filter((request) => request.deadline <= now)
  }

  submit(request: R): void {
    if (this.waiting.length === 0 && this.mayRun(request)) this.run(request)
    else {
      this.waiting.push(request)
      this.wait(request, true)
    }
  }
  finish(request: R): void {
    if (this.running[request.tag] !== request) throw new Error(`request of tag ${request.tag} is not running`)
    this.running[request.tag] = undefined
    this.free = (this.free | (1 << request.tag)) >>> 0
    this.count--
    if (request.exclusive) this.alone = false
  }
  /** Runs what may run now; after one or more finish(). */
  drain(): void {
    while (this.waiting.length > 0 && this.mayRun(this.waiting[0])) {
      const request = this.waiting.shift()!
      this.wait(request, false)
      this.run(request)
    }
  }
  /** False: it is not waiting (any more). */
  remove(request: R): boolean {
    const at = this.waiting.indexOf(request)
    if (at < 0) return false
    this.waiting.splice(at, 1)
    this.wait(request, false)
    return true
  }
  pause(): void {
    this.paused = true
  }
  resume(): void {
    this.paused = false
    this.drain()
  }
  /** All requests, running first, none of which is in the queue afterwards. */
  empty(): R[] {
    const running = this.all()
    for (const request of running) this.finish(request)
    const waiting = this.waiting.splice(0)
    for (const request of waiting) this.wait(request, false)
    return [...running, ...waiting]
  }

  private mayRun(request: R): boolean {
    if (this.paused || this.alone || this.free === 0) return false
    return !request.exclusive || this.count === 0
  }
  private run(request: R): void {
    const tag = 31 - Math.clz32(this.free & -this.free)
    this.free = (this.free & ~(1 << tag)) >>> 0
    request.tag = tag
    this.running[tag] = request
    this.count++
    if (request.exclusive) this.alone = true
    this.start(request)
  }
}
