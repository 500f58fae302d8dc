/**
 * Line editing: what is typed, where the cursor is, what was typed before. Pure: each key answers with the text to print.
 */
import type { Key } from './keys.ts'

/** As upstream's line buffer. One character more is taken, so that a longer line is seen to be one. */
export const LINE_MAX = 1024
const HISTORY_MAX = 100

export class LineEditor {
  private text = ''
  private cursor = 0
  private readonly history: string[] = []
  private recalled = 0

  /** Text for the screen; `line` is set when Enter was pressed. */
  key(key: Key): { print: string; line?: string } {
    switch (key.kind) {
      case 'character':
        return { print: this.insert(key.text) }
      case 'enter':
        return this.enter()
      case 'backspace':
        return { print: this.cursor > 0 ? this.moveTo(this.cursor - 1) + this.remove() : '' }
      case 'delete':
        return { print: this.cursor < this.text.length ? this.remove() : '' }
      case 'left':
        return { print: this.moveTo(Math.max(0, this.cursor - 1)) }
      case 'right':
        return { print: this.moveTo(Math.min(this.text.length, this.cursor + 1)) }
      case 'home':
        return { print: this.moveTo(0) }
      case 'end':
        return { print: this.moveTo(this.text.length) }
      case 'up':
        return { print: this.recall(this.recalled - 1) }
      case 'down':
        return { print: this.recall(this.recalled + 1) }
      case 'escape':
        return { print: this.replace('') }
      case 'tab':
        return { print: '' }
    }
  }
  private insert(text: string): string {
    if (this.text.length > LINE_MAX) return ''
    const tail = this.text.slice(this.cursor)
    this.text = this.text.slice(0, this.cursor) + text + tail
    this.cursor += text.length
    return text + tail + '\b'.repeat(tail.length)
  }
  private remove(): string {
    const tail = this.text.slice(this.cursor + 1)
    this.text = this.text.slice(0, this.cursor) + tail
    return `${tail} ${'\b'.repeat(tail.length + 1)}`
  }
  private moveTo(position: number): string {
    const print = position < this.cursor ? '\b'.repeat(this.cursor - position) : this.text.slice(this.cursor, position)
    this.cursor = position
    return print
  }
  private enter(): { print: string; line: string } {
    const line = this.text
    const print = `${this.moveTo(line.length)}\n`
    if (line.trim() !== '' && this.history.at(-1) !== line) this.history.push(line)
    if (this.history.length > HISTORY_MAX) this.history.shift()
    this.text = ''
    this.cursor = 0
    this.recalled = this.history.length
    return { print, line }
  }
  private recall(index: number): string {
    if (index < 0 || index > this.history.length) return ''
    this.recalled = index
    return this.replace(this.history[index] ?? '')
  }
  private replace(text: string): string {
    const home = this.moveTo(0)
    const over = Math.max(0, this.text.length - text.length)
    this.text = text
    this.cursor = text.length
    return `${home}${text}${' '.repeat(over)}${'\b'.repeat(over)}`
  }
}

/** Words of a line; double quotes, also within a word, keep spaces. */
export function words(line: string): string[] {
  return [...line.matchAll(/(?:"[^"]*"?|[^\s"])+/g)].map(([word]) => word.replaceAll('"', ''))
}
