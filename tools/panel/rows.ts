/**
 * The screen as a stream of rows: each printed once, when the cursor has gone below it or it has scrolled off.
 *
 *   take(frame)    rows that are final now
 *   finish()       the rest of the last picture
 *
 * Rows are counted from power-on, so that a row keeps its number while the picture scrolls. A program that goes back and
 * changes a row that was printed gets it printed again, as it then is: nothing on the screen is ever missing from the
 * stream. Pure.
 */
import type { Screen } from './paint.ts'

export type Picture = Pick<Screen, 'rows' | 'cursorRow' | 'cursorColumn'>
export interface Frame {
  /** Rows that scrolled off the top since the frame before, oldest first. */
  readonly scrolled: readonly string[]
  /** Rows that scrolled off and were dropped because nobody looked in time; they came before `scrolled`. */
  readonly lost: number
  readonly screen: Picture
}
export const trimmed = (row: string): string => row.trimEnd()

export class RowStream {
  /** The number of the row at the top of the picture. */
  private top = 0
  /** Rows before this number have been printed. */
  private next = 0
  /** What was printed of the rows that are still on the screen, by row number. */
  private printed = new Map<number, string>()
  private last?: Picture

  take(frame: Frame): string[] {
    const lines: string[] = []
    if (frame.lost > 0) {
      lines.push(`[${frame.lost} rows were lost]`)
      this.top += frame.lost
      this.next = Math.max(this.next, this.top)
    }
    frame.scrolled.forEach((row, i) => this.print(this.top + i, trimmed(row), lines))
    this.top += frame.scrolled.length
    this.next = Math.max(this.next, this.top)
    this.last = frame.screen
    this.reprintChanged(frame.screen, lines)
    for (let row = this.next; row < this.top + frame.screen.cursorRow; row++)
      this.print(row, trimmed(frame.screen.rows[row - this.top]), lines)
    this.forget()
    return lines
  }

  finish(): string[] {
    const rows = this.last?.rows ?? []
    const lines: string[] = []
    let end = rows.length
    while (end > 0 && trimmed(rows[end - 1]) === '') end--
    for (let row = this.next; row < this.top + end; row++) this.print(row, trimmed(rows[row - this.top]), lines)
    return lines
  }

  private print(row: number, text: string, lines: string[]): void {
    if (this.printed.get(row) === text) return
    // Printed already, with other words, and now gone blank: cleared, not said.
    if (row < this.next && text === '') return
    lines.push(text)
    this.printed.set(row, text)
    this.next = Math.max(this.next, row + 1)
  }
  private reprintChanged(screen: Picture, lines: string[]): void {
    for (let row = this.top; row < Math.min(this.next, this.top + screen.rows.length); row++)
      this.print(row, trimmed(screen.rows[row - this.top]), lines)
  }
  private forget(): void {
    for (const row of this.printed.keys()) if (row < this.top) this.printed.delete(row)
  }
}
