/**
 * Scan code set 2 → set 1, one byte at a time, as the controller does it with CCB bit 6 set. [8042]
 *
 * The break prefix F0 is swallowed and sets bit 7 of the next code. The keyboard's own answers pass through the same
 * table: its identity AB 83 reads AB 41.
 */
import { BREAK, SET2_TO_SET1, SET2_TO_SET1_HIGH } from './registers.ts'

export class Translator {
  private breaking = false

  reset(): void {
    this.breaking = false
  }
  /** The translated byte, or undefined when it was swallowed. */
  translate(byte: number): number | undefined {
    if (byte === BREAK) {
      this.breaking = true
      return undefined
    }
    const code = byte < 0x80 ? SET2_TO_SET1[byte] : (SET2_TO_SET1_HIGH.get(byte) ?? byte)
    const translated = this.breaking ? code | 0x80 : code
    this.breaking = false
    return translated
  }
}
