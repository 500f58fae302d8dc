/**
 * The boot console: a text screen in video memory, scrolled by the CRT controller's start address.
 *
 * The picture is a window of 25 rows that moves down video memory for ever: cell addresses wrap at its end, so that for the next
 * thousand rows the start address says which row is at the top. Text is written below the window, then the start address moves
 * down over it, so that whoever watches the display can see every row pass. [VGA] CRTC 0C–0F; a word written to the index port
 * sets index and data at once.
 *
 *   write(text)   in order of calls; resolves when the controller shows it
 *   repaint()     the display was restarted: all of video memory, and the window where it was
 *
 * Nothing is printed while the display is away, so that memory still has every row its watchers have not seen. Never reads the
 * keyboard, and knows nothing of who watches.
 */
import { type Clock, type CPtr, type Memory, type PortRange, type RootTask, type Sel4, Sel4Error } from '#sel4/api'

export const COLUMNS = 80
export const ROWS = 25
const VIDEO_MEMORY = 0xb8000
const VIDEO_LENGTH = 0x8000
const CELLS = VIDEO_LENGTH / 2
/**
 * Rows below the window before it moves: far less than half of memory, which would be taken for a move upwards, so that a
 * display that dies several moves ahead of its watchers still has their rows in memory.
 */
const AHEAD_ROWS = 25
/** A restart takes less than a second, also on a busy machine; who prints waits no longer for a display. */
const AWAY_MS = 10_000
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
  private readonly clock: Clock
  /** Cell address of the window, and the cursor relative to it. */
  private start = 0
  private row = 0
  private column = 0
  private queue: Promise<void> = Promise.resolve()
  /** What video memory holds: a display that was restarted has blanked it. */
  private readonly picture = new Uint8Array(VIDEO_LENGTH)
  /** The display died and may come back: who waits for that. */
  private away: (() => void)[] | undefined
  /** It did not come back in time. */
  private gone = false
  private repaints = 0

  constructor(sel4: Sel4, clock: Clock, memory: Memory, port: CPtr) {
    this.sel4 = sel4
    this.clock = clock
    this.memory = memory
    this.port = port
  }
  static async open(root: RootTask, sel4: Sel4, clock: Clock): Promise<Console> {
    const memory = await root.deviceMemory(VIDEO_MEMORY, VIDEO_LENGTH)
    const console = new Console(sel4, clock, memory, await root.ioPort(CRTC_INDEX, CRTC_INDEX + 1))
    for (let cell = 0; cell < CELLS; cell++) console.poke(cell, BLANK)
    await console.update()
    return console
  }

  write(text: string): Promise<void> {
    this.queue = this.queue.then(() => this.print(text))
    return this.queue
  }
  /**
   * The first register write waits until the display is back and has blanked its memory; the start address comes last, because
   * it is the sign that the picture is there.
   */
  async repaint(): Promise<void> {
    const repaint = ++this.repaints
    this.leave()
    const back = await this.attempt(async () => {
      await this.register(CURSOR_HIGH, this.cursor)
      this.memory.bytes.set(this.picture)
      await this.register(START_HIGH, this.start)
    })
    if (repaint === this.repaints) this.goOn(!back)
  }
  /** Whether a device of these ports is the console's display. */
  static isOn(ports: readonly PortRange[]): boolean {
    return ports.some(({ first, last }) => first <= CRTC_INDEX && CRTC_INDEX <= last)
  }

  // ------------------------------------------------------------ the display's absence
  private leave(): void {
    if (this.away) return
    this.away = []
    const { repaints } = this
    const late = this.clock.alarm(AWAY_MS, () => repaints === this.repaints && this.goOn(true))
    this.away.push(() => late.cancel())
  }
  private goOn(gone: boolean): void {
    this.gone = gone
    for (const go of this.away?.splice(0) ?? []) go()
    this.away = undefined
  }
  /** False: the display died meanwhile, which is no fault of whoever prints. */
  private async attempt(change: () => Promise<void>): Promise<boolean> {
    try {
      await change()
      return true
    } catch (error) {
      if (!(error instanceof Sel4Error)) throw error
      return false
    }
  }

  // ------------------------------------------------------------ text
  private async print(text: string): Promise<void> {
    for (const character of text) {
      this.put(character)
      if (this.row >= ROWS - 1 + AHEAD_ROWS) await this.update()
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
    this.poke(this.cursor, code)
    if (++this.column === COLUMNS) this.newLine()
  }
  private poke(cell: number, code: number): void {
    const { memory, picture } = this
    memory.bytes[cell * 2] = picture[cell * 2] = code
    memory.bytes[cell * 2 + 1] = picture[cell * 2 + 1] = ATTRIBUTE
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
    for (let column = 0; column < COLUMNS; column++) this.poke((this.cursor + column) % CELLS, BLANK)
  }
  private get cursor(): number {
    return (this.start + this.row * COLUMNS + this.column) % CELLS
  }
  /** The window ends at the cursor's row at the latest. */
  private settle(): void {
    const below = this.row - (ROWS - 1)
    if (below <= 0) return
    this.start = (this.start + below * COLUMNS) % CELLS
    this.row -= below
  }
  /** Shows what is in memory; again when the display was away meanwhile. */
  private async update(): Promise<void> {
    for (;;) {
      this.settle()
      const shown = await this.attempt(async () => {
        await this.register(START_HIGH, this.start, () => !this.away)
        await this.register(CURSOR_HIGH, this.cursor, () => !this.away)
      })
      if (!shown && !this.gone) this.leave()
      if (!this.away) return
      await new Promise<void>((resolve) => this.away?.push(resolve))
    }
  }
  /**
   * A pair of CRTC registers: high byte at `index`, low byte behind it. A write that waits when the display dies reaches its next
   * life, so `wanted` is asked before each: the start address must not be set by halves there.
   */
  private async register(index: number, value: number, wanted = () => true): Promise<void> {
    if (wanted()) await this.sel4.portOut(this.port, CRTC_INDEX, 2, index | (value & 0xff00))
    if (wanted()) await this.sel4.portOut(this.port, CRTC_INDEX, 2, (index + 1) | ((value & 0xff) << 8))
  }
}
