/**
 * Scan codes of set 1 become KEYBOARD_INPUT_DATA records, which wait here for a reader.
 *
 *   take(byte, sound)   a byte of the output buffer
 *   records(bytes)      as many whole records as fit, oldest first; they leave the queue
 *   save() / restored   what a next life must know: the queue, a prefix that waits for its code, and the byte taken last
 *   isFull              the keyboard must wait: a byte more would be dropped, and counted
 */
import {
  BREAK_BIT,
  KEY_BREAK,
  KEY_E0,
  KEY_E1,
  KEYBOARD_INPUT_DATA_SIZE,
  PREFIX_E0,
  PREFIX_E1,
  PROTOCOL_BYTES,
} from './hw.ts'

/** NT's KeyboardDataQueueSize. */
export const QUEUE_MAX = 100
/** Save format: prefix, the byte taken last, then (make code, flags) pairs. */
const HEAD = 2
const PAIR = 2

interface Key {
  readonly MakeCode: number
  readonly Flags: number
}

export class KeyQueue {
  private keys: Key[] = []
  /** KEY_E0 or KEY_E1 when the last byte was that prefix. */
  private prefix = 0
  /** None yet in any life: what the data port shows then is no key. */
  last: number | undefined
  lost = 0

  static restored(saved: Uint8Array): KeyQueue {
    const queue = new KeyQueue()
    if (saved.length === 0) return queue
    queue.prefix = saved[0] & (KEY_E0 | KEY_E1)
    queue.last = saved[1]
    const pairs = Math.min(QUEUE_MAX, Math.floor((saved.length - HEAD) / PAIR))
    queue.keys = Array.from({ length: pairs }, (_, i) => ({
      MakeCode: saved[HEAD + i * PAIR],
      Flags: saved[HEAD + 1 + i * PAIR],
    }))
    return queue
  }
  save(): Uint8Array {
    if (this.last === undefined) return new Uint8Array(0)
    return Uint8Array.from([this.prefix, this.last, ...this.keys.flatMap(({ MakeCode, Flags }) => [MakeCode, Flags])])
  }

  get length(): number {
    return this.keys.length
  }

  get isFull(): boolean {
    return this.keys.length >= QUEUE_MAX
  }

  take(byte: number, sound = true): void {
    this.last = byte
    if (!sound) return
    if (byte === PREFIX_E0) this.prefix = KEY_E0
    else if (byte === PREFIX_E1) this.prefix = KEY_E1
    else if (!PROTOCOL_BYTES.has(byte)) this.key(byte)
  }
  /** Pause is E1 1D 45: the prefix holds for the byte after it only, as in NT. */
  private key(byte: number): void {
    const Flags = this.prefix | (byte & BREAK_BIT ? KEY_BREAK : 0)
    this.prefix = 0
    if (this.isFull) this.lost++
    else this.keys.push({ MakeCode: byte & ~BREAK_BIT, Flags })
  }

  records(room: number): Uint8Array {
    const taken = this.keys.splice(0, Math.floor(room / KEYBOARD_INPUT_DATA_SIZE))
    const bytes = new Uint8Array(taken.length * KEYBOARD_INPUT_DATA_SIZE)
    const view = new DataView(bytes.buffer)
    for (const [i, { MakeCode, Flags }] of taken.entries()) {
      view.setUint16(i * KEYBOARD_INPUT_DATA_SIZE + 2, MakeCode, true)
      view.setUint16(i * KEYBOARD_INPUT_DATA_SIZE + 4, Flags, true)
    }
    return bytes
  }
}
