/** Waiting for what happens outside: looks again and again, and says what did not come. */
import { setTimeout as sleep } from 'node:timers/promises'

export interface Patience {
  /** How long at the most; by default a minute, for a machine that does other things as well. */
  readonly patienceMs?: number
  readonly lookMs?: number
  /** What else is known, when it did not come. */
  readonly report?: () => string
}
/** What the first look that finds something has found. */
export async function until<T>(
  what: string,
  look: () => T | Promise<T>,
  { patienceMs = 60_000, lookMs = 2, report }: Patience = {},
): Promise<Exclude<T, undefined | false>> {
  for (const limit = Date.now() + patienceMs; ; await sleep(lookMs)) {
    const found = await look()
    if (found !== undefined && found !== false) return found as Exclude<T, undefined | false>
    if (Date.now() > limit) throw new Error(`not in ${patienceMs} ms: ${what}${report ? `\n${report()}` : ''}`)
  }
}
