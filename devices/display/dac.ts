/**
 * The palette DAC: 256 entries of three 6-bit colours behind an auto-incrementing address. [VGA] "Video DAC"
 *
 * Owns ports 3C6–3C9. After every third access to PEL_DATA the address moves on.
 */
import { PORT } from './registers.ts'

const ENTRIES = 256
const COLOURS = 3
/** DAC state, bits 0–1: 3 = last prepared for reading, 0 = for writing. */
const STATE = { READ: 3, WRITE: 0 } as const

export class Dac {
  private readonly palette = new Uint8Array(ENTRIES * COLOURS)
  private mask = 0xff
  private readAt = 0
  private writeAt = 0
  private state: number = STATE.WRITE

  reset(): void {
    this.palette.fill(0)
    for (let i = 0; i < 64; i++) this.palette.set(egaColour(i), i * COLOURS)
    this.mask = 0xff
    this.readAt = this.writeAt = 0
    this.state = STATE.WRITE
  }
  owns(port: number): boolean {
    return port >= PORT.PEL_MASK && port <= PORT.PEL_DATA
  }
  read(port: number): number {
    if (port === PORT.PEL_MASK) return this.mask
    if (port === PORT.PEL_READ_ADDRESS) return this.state
    if (port === PORT.PEL_WRITE_ADDRESS) return Math.floor(this.writeAt / COLOURS)
    const value = this.palette[this.readAt]
    this.readAt = (this.readAt + 1) % this.palette.length
    return value
  }
  write(port: number, byte: number): void {
    if (port === PORT.PEL_MASK) this.mask = byte
    else if (port === PORT.PEL_READ_ADDRESS) this.prepare(STATE.READ, byte)
    else if (port === PORT.PEL_WRITE_ADDRESS) this.prepare(STATE.WRITE, byte)
    else {
      this.palette[this.writeAt] = byte & 0x3f
      this.writeAt = (this.writeAt + 1) % this.palette.length
    }
  }
  private prepare(state: number, entry: number): void {
    this.state = state
    if (state === STATE.READ) this.readAt = entry * COLOURS
    else this.writeAt = entry * COLOURS
  }
}
/** Bits 0–2 are two thirds of blue, green, red, bits 3–5 the last third: the palette of the EGA. [VGA] "Mode 3" */
function egaColour(i: number): readonly number[] {
  const level = (strong: number, weak: number) => (i & strong ? 0x2a : 0) + (i & weak ? 0x15 : 0)
  return [level(4, 32), level(2, 16), level(1, 8)]
}
