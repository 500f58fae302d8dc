/**
 * What one process may cost the kernel: requests in a second, and answers it leaves unread.
 *
 *   spend(now)       false: more requests than its limit in less than a second
 *   told(bytes)      false: it reads nothing of what it is told; `probe` asks it to prove that it does
 *
 * What a session lets through the kernel is not counted here: its credits are its bound. What waits to be read at the
 * gate's socket has a bound there (WAITING_MAX of lib/sel4/zeromq.ts).
 */
const SECOND_MS = 1000
/**
 * Told without a sign that any of it was read: more than three sessions' windows of the longest messages weigh. Asking
 * costs one message in so many; twice as many small ones are some megabytes, which is all the kernel ever holds for a
 * process that never reads.
 */
const UNREAD_MAX = 16_384
/** A message weighs one, and one more for each of these: a page inline is nothing special, half a mebibyte is. */
const WEIGHT_BYTES = 8 * 1024

export class Budget {
  private readonly perSecond: number
  private readonly probe: () => Promise<unknown>
  private spent = 0
  private since = 0
  private unread = 0
  private probing = false

  constructor(perSecond: number, probe: () => Promise<unknown>) {
    this.perSecond = perSecond
    this.probe = probe
  }
  /** The clock is read once in `perSecond` requests: a window is as long as they took. */
  spend(now: () => number): boolean {
    if (this.spent === 0) this.since = now()
    if (++this.spent <= this.perSecond) return true
    const at = now()
    const tooSoon = at - this.since < SECOND_MS
    this.spent = 1
    this.since = at
    return !tooSoon
  }
  told(bytes: number): boolean {
    this.unread += 1 + Math.floor(bytes / WEIGHT_BYTES)
    if (this.unread < UNREAD_MAX) return true
    this.unread = 0
    if (this.probing) return false
    this.probing = true
    void this.probe().then(() => (this.probing = false))
    return true
  }
}
