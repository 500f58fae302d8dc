/**
 * The boot console: a text screen in video memory, scrolled by the CRT controller's start address.
 *
 * The picture is a window of 25 rows in 204 rows of memory. Text is written below the window, then the start address moves
 * down over it, so that whoever watches the display can see every row pass. At the end of memory the window is copied to
 * the top. [VGA] CRTC 0C–0F; a word written to the index port sets index and data at once.
 *
 *   repaint()     after the display's restart
 *   write(text)   in order of calls; resolves when the controller shows it
 *
 * Never reads the keyboard, and knows nothing of who watches.
 */
import { type CPtr, type Memory, type PortRange, type RootTask, type Sel4, Sel4Error } from '#sel4/api'

export const COLUMNS = 80
export const ROWS = 25
const VIDEO_MEMORY = 0xb8000
const VIDEO_LENGTH = 0x8000
const MEMORY_ROWS = Math.floor(VIDEO_LENGTH / 2 / COLUMNS)
const CRTC_INDEX = 0x3d4
const START_HIGH = 0x0c
const CURSOR_HIGH = 0x0e
/** Light grey on black. */
const ATTRIBUTE = 0x07
const BLANK = 0x20
const TAB = 8

/** Code page 437 for what lies above ASCII; unknown characters print as '?'. */
const CP437_HIGH =
  'ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0'
export function toCodePage437(character: string): number {
  const code = character.codePointAt(0) as number
  if (code < 0x80) return code
  const index = CP437_HIGH.indexOf(character)
  return index < 0 ? 0x3f : 0x80 + index
}

export class Console {
  private readonly memory: Memory
  private readonly sel4: Sel4
  private readonly port: CPtr
  /** First memory row of the window, and the cursor relative to it. */
  private start = 0
  private row = 0
  private column = 0
  private queue: Promise<void> = Promise.resolve()
  /** What video memory holds: a display that was restarted has blanked it. */
  private readonly picture = new Uint8Array(VIDEO_LENGTH)

  constructor(sel4: Sel4, memory: Memory, port: CPtr) {
    this.sel4 = sel4
    this.memory = memory
    this.port = port
  }
  static async open(root: RootTask, sel4: Sel4): Promise<Console> {
    const memory = await root.deviceMemory(VIDEO_MEMORY, VIDEO_LENGTH)
    const console = new Console(sel4, memory, await root.ioPort(CRTC_INDEX, CRTC_INDEX + 1))
    for (let row = 0; row < MEMORY_ROWS; row++) console.clearRow(row)
    await console.update()
    return console
  }

  write(text: string): Promise<void> {
    return this.inTurn(() => this.print(text))
  }
  /**
   * The display was restarted: its memory is blank and its start address 0. The first register write waits until it is
   * back; then the window is put at the top, so that nothing scrolls past a second time.
   */
  repaint(): Promise<void> {
    return this.inTurn(async () => {
      await this.register(CURSOR_HIGH, 0)
      this.settle()
      this.toTop()
      this.memory.bytes.set(this.picture)
      await this.update()
    })
  }
  /** Whether a device of these ports is the console's display. */
  static isOn(ports: readonly PortRange[]): boolean {
    return ports.some(({ first, last }) => first <= CRTC_INDEX && CRTC_INDEX <= last)
  }
  /** A display that is gone shows nothing, which is no fault of whoever prints. */
  private inTurn(change: () => Promise<void>): Promise<void> {
    this.queue = this.queue.then(change).catch((error: unknown) => {
      if (!(error instanceof Sel4Error)) throw error
    })
    return this.queue
  }

  private async print(text: string): Promise<void> {
    for (const character of text) {
      this.put(character)
      if (this.start + this.row >= MEMORY_ROWS - 1) await this.rewind()
    }
    await this.update()
  }
  private put(character: string): void {
    if (character === '\n') this.newLine()
    else if (character === '\r') this.column = 0
    else if (character === '\b') this.back()
    else if (character === '\t')
      do this.cell(BLANK)
      while (this.column % TAB !== 0)
    else this.cell(toCodePage437(character))
  }
  private cell(code: number): void {
    const at = ((this.start + this.row) * COLUMNS + this.column) * 2
    this.poke(at, code)
    if (++this.column === COLUMNS) this.newLine()
  }
  private poke(at: number, code: number): void {
    const { memory, picture } = this
    memory.bytes[at] = picture[at] = code
    memory.bytes[at + 1] = picture[at + 1] = ATTRIBUTE
  }
  private back(): void {
    if (this.column > 0) this.column--
    else if (this.row > 0) {
      this.row--
      this.column = COLUMNS - 1
    }
  }
  private newLine(): void {
    this.column = 0
    this.row++
    this.clearRow(this.start + this.row)
  }
  private clearRow(row: number): void {
    for (let column = 0; column < COLUMNS; column++) this.poke((row * COLUMNS + column) * 2, BLANK)
  }
  /** Moves the window down to the cursor, then to the top of memory. */
  private async rewind(): Promise<void> {
    await this.update()
    this.toTop()
    await this.update()
  }
  private toTop(): void {
    const from = this.start * COLUMNS * 2
    for (const bytes of [this.memory.bytes, this.picture]) bytes.copyWithin(0, from, from + ROWS * COLUMNS * 2)
    this.start = 0
  }
  /** The window ends at the cursor's row at the latest. */
  private settle(): void {
    const below = this.row - (ROWS - 1)
    if (below <= 0) return
    this.start += below
    this.row -= below
  }
  private async update(): Promise<void> {
    this.settle()
    await this.register(START_HIGH, this.start * COLUMNS)
    await this.register(CURSOR_HIGH, (this.start + this.row) * COLUMNS + this.column)
  }
  /** A pair of CRTC registers: high byte at `index`, low byte behind it. */
  private async register(index: number, value: number): Promise<void> {
    await this.sel4.portOut(this.port, CRTC_INDEX, 2, index | (value & 0xff00))
    await this.sel4.portOut(this.port, CRTC_INDEX, 2, (index + 1) | ((value & 0xff) << 8))
  }
}
