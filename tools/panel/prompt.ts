/**
 * Is the system waiting for a command?
 *
 *   isAtPrompt(picture)    the last row that is not blank is a prompt and the cursor stands right behind it
 *   PromptWatch            whether the prompt has come back since a line was typed
 *
 * Pure: it sees what somebody in front of the screen sees, and nothing else.
 */
import { type Frame, type Picture, trimmed } from './rows.ts'

/** A drive and a path without the characters that a name cannot have: 'C:\DOCS>'. */
const PROMPT = /^[A-Za-z]:\\[^<>|*?"]*>$/
/** The prompt before there is a drive: '\Device>' or just '>'. */
const BARE_PROMPT = /^\\?[^<>|*?" ]*>$/

export function isAtPrompt({ rows, cursorRow, cursorColumn }: Picture): boolean {
  const row = trimmed(rows[cursorRow] ?? '')
  if (rows.slice(cursorRow + 1).some((below) => trimmed(below) !== '')) return false
  // One blank may stand between the prompt and the cursor.
  const behind = cursorColumn === row.length || cursorColumn === row.length + 1
  return behind && (PROMPT.test(row) || BARE_PROMPT.test(row))
}

export class PromptWatch {
  private top = 0
  private picture?: Picture
  /** The row, counted from power-on, that the prompt must be below. */
  private typedAt = -1

  take(frame: Frame): void {
    this.top += frame.lost + frame.scrolled.length
    // The screen was cleared: the cursor went up without anything having scrolled.
    if (this.typedAt >= 0 && this.top + frame.screen.cursorRow < this.typedAt)
      this.typedAt = this.top + frame.screen.cursorRow - 1
    this.picture = frame.screen
  }
  isReady(): boolean {
    return this.picture !== undefined && this.top + this.picture.cursorRow > this.typedAt && isAtPrompt(this.picture)
  }
  /** A line is about to be ended with Enter, at the cursor's row. */
  typed(): void {
    this.typedAt = this.top + (this.picture?.cursorRow ?? 0)
  }
}
