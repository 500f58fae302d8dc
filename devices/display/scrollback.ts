/**
 * Rows that left the top of the screen and that the monitor has not seen yet.
 *
 *   append(sequence, rows)   rows that one move of the start address pushed out
 *   take(since)              forgets what a viewer of `since` has seen; the rest, oldest first, as much as one answer holds
 *
 * Rows are kept until a viewer says, by its next `since`, that it has them: a viewer that dies loses nothing.
 */
/** Rows kept while nobody looks. */
const KEPT_ROWS = 10_000
/** MonitorCable's bound of one answer. */
const ANSWER_ROWS = 4096

interface Batch {
  readonly sequence: number
  readonly rows: readonly string[]
}
export interface Scrolled {
  readonly rows: string[]
  readonly lost: number
  /** The last sequence number whose rows are in the answer; undefined when all are. */
  readonly until?: number
}

export class Scrollback {
  private batches: Batch[] = []
  private kept = 0
  private lost = 0

  clear(): void {
    this.batches = []
    this.kept = 0
    this.lost = 0
  }
  append(sequence: number, rows: readonly string[]): void {
    this.batches.push({ sequence, rows })
    this.kept += rows.length
    while (this.kept > KEPT_ROWS) this.lost += this.drop()
  }
  take(since: number): Scrolled {
    while (this.batches.length && this.batches[0].sequence <= since) this.drop()
    const { lost } = this
    this.lost = 0
    const rows: string[] = []
    for (const [i, batch] of this.batches.entries()) {
      if (rows.length + batch.rows.length > ANSWER_ROWS) return { rows, lost, until: this.batches[i - 1].sequence }
      rows.push(...batch.rows)
    }
    return { rows, lost }
  }
  private drop(): number {
    const dropped = this.batches.shift()?.rows.length ?? 0
    this.kept -= dropped
    return dropped
  }
}
