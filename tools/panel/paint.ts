/**
 * The picture as terminal output.
 *
 *   new Painter(columns, rows).paint(screen)   escape sequences that turn the last picture into this one
 *
 * Only rows that changed are written. A terminal that is too small shows the left of the picture, from the cursor's row
 * up, under one line that says so. Pure.
 *
 * [VGA] attribute byte: bits 0–3 foreground, 4–6 background, 7 blink or bright background
 * [ECMA-48] 8.3.117 SGR
 */
import type { Of } from '#contracts/field'
import type { SCREEN } from '#contracts/machine'

export type Screen = Omit<Of<typeof SCREEN>, 'sequence' | 'start'>
/** VGA's colours are blue = 1, red = 4; a terminal's are red = 1, blue = 4. */
const TERMINAL_COLOUR = [0, 4, 2, 6, 1, 5, 3, 7]
/** Light grey on black: what the terminal's own default looks like, so its own is taken. */
const PLAIN = 0x07
const HOME = (row: number, column = 0) => `\x1b[${row + 1};${column + 1}H`

function sgr(attribute: number): string {
  if (attribute === PLAIN) return '\x1b[0m'
  const foreground = TERMINAL_COLOUR[attribute & 0x07] + (attribute & 0x08 ? 90 : 30)
  const background = TERMINAL_COLOUR[(attribute >> 4) & 0x07] + 40
  return `\x1b[0;${foreground};${background}m`
}
/** One row with its colours, cut at `width`. */
export function paintRow(text: string, attributes: string, width: number): string {
  let out = ''
  let current = -1
  for (let column = 0; column < Math.min(text.length, width); column++) {
    const attribute = attributes.charCodeAt(column) || PLAIN
    if (attribute !== current) out += sgr(attribute)
    current = attribute
    out += text[column] < ' ' ? ' ' : text[column]
  }
  return `${out}\x1b[0m\x1b[K`
}

export class Painter {
  private readonly width: number
  private readonly height: number
  private shown: string[] = []

  constructor(width: number, height: number) {
    this.width = width
    this.height = height
  }

  paint(screen: Screen): string {
    const lines = this.lines(screen)
    let out = '\x1b[?25l'
    lines.forEach((line, row) => {
      if (this.shown[row] !== line) out += HOME(row) + line
    })
    this.shown = lines
    return out + this.cursor(screen)
  }
  private isSmall(screen: Screen): boolean {
    return this.width < screen.columns || this.height < screen.rows.length
  }
  /** How many rows there is room for below the notice. */
  private get below(): number {
    return Math.max(1, this.height - 1)
  }
  /** The first row of the picture that is shown. */
  private firstRow(screen: Screen): number {
    return this.isSmall(screen) ? Math.max(0, screen.cursorRow + 1 - this.below) : 0
  }
  private lines(screen: Screen): string[] {
    const first = this.firstRow(screen)
    const shown = this.isSmall(screen) ? screen.rows.slice(first, first + this.below) : screen.rows
    const body = shown.map((row, i) => paintRow(row, screen.attributes[first + i] ?? '', this.width))
    return this.isSmall(screen) ? [this.notice(screen), ...body] : body
  }
  private notice(screen: Screen): string {
    const whole = `${screen.columns}x${screen.rows.length}`
    const text = `This terminal is ${this.width}x${this.height}; the screen is ${whole}: make it larger to see all.`
    const fitting = text.length <= this.width ? text : `Make this ${whole}.`
    return `\x1b[7m${fitting.slice(0, this.width)}\x1b[0m\x1b[K`
  }
  private cursor(screen: Screen): string {
    const row = screen.cursorRow - this.firstRow(screen) + (this.isSmall(screen) ? 1 : 0)
    if (!screen.cursorVisible || row < 0 || screen.cursorColumn >= this.width) return ''
    return `${HOME(row, screen.cursorColumn)}\x1b[?25h`
  }
}
