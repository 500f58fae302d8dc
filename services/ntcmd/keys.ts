/**
 * From KEYBOARD_INPUT_DATA to keys, US layout, scan code set 1 as i8042prt delivers it.
 *
 * Keeps the state of shift, control and caps lock; a released key gives nothing.
 */
export type Key =
  | { readonly kind: 'character'; readonly text: string }
  | {
      readonly kind:
        | 'enter'
        | 'backspace'
        | 'delete'
        | 'tab'
        | 'left'
        | 'right'
        | 'up'
        | 'down'
        | 'home'
        | 'end'
        | 'escape'
    }

/** sizeof(KEYBOARD_INPUT_DATA): UnitId, MakeCode, Flags, Reserved as USHORTs, ExtraInformation as ULONG. */
export const KEYBOARD_INPUT_DATA_SIZE = 12
const KEY_BREAK = 1
const KEY_E0 = 2

const PLAIN = "\0\x1b1234567890-=\b\tqwertyuiop[]\n\0asdfghjkl;'`\0\\zxcvbnm,./\0*\0 "
const SHIFTED = '\0\x1b!@#$%^&*()_+\b\tQWERTYUIOP{}\n\0ASDFGHJKL:"~\0|ZXCVBNM<>?\0*\0 '
const LEFT_SHIFT = 0x2a
const RIGHT_SHIFT = 0x36
const CONTROL = 0x1d
const CAPS_LOCK = 0x3a
const EXTENDED: Readonly<Record<number, Key>> = {
  28: { kind: 'enter' },
  53: { kind: 'character', text: '/' },
  71: { kind: 'home' },
  72: { kind: 'up' },
  75: { kind: 'left' },
  77: { kind: 'right' },
  79: { kind: 'end' },
  80: { kind: 'down' },
  83: { kind: 'delete' },
}
const NAMED: Readonly<Record<string, Key>> = {
  '\n': { kind: 'enter' },
  '\b': { kind: 'backspace' },
  '\t': { kind: 'tab' },
  '\x1b': { kind: 'escape' },
}

export class KeyTranslator {
  private readonly held = new Set<number>()
  private capsLock = false

  translate(records: Uint8Array): Key[] {
    const keys: Key[] = []
    const view = new DataView(records.buffer, records.byteOffset, records.byteLength)
    for (let at = 0; at + KEYBOARD_INPUT_DATA_SIZE <= records.length; at += KEYBOARD_INPUT_DATA_SIZE) {
      const key = this.one(view.getUint16(at + 2, true), view.getUint16(at + 4, true))
      if (key) keys.push(key)
    }
    return keys
  }
  private one(code: number, flags: number): Key | undefined {
    const released = (flags & KEY_BREAK) !== 0
    const extended = (flags & KEY_E0) !== 0
    // E0 2A and E0 36 are no shift keys: a keyboard sends them around other keys, to undo shift or num lock.
    if (extended && code !== CONTROL) return released ? undefined : EXTENDED[code]
    if (this.modifier(code, released) || released) return undefined
    const shift = this.held.has(LEFT_SHIFT) || this.held.has(RIGHT_SHIFT)
    const plain = PLAIN[code]
    if (plain === undefined || plain === '\0') return undefined
    if (NAMED[plain]) return NAMED[plain]
    const upper = /[a-z]/.test(plain) ? shift !== this.capsLock : shift
    const text = upper ? SHIFTED[code] : plain
    return this.held.has(CONTROL) ? undefined : { kind: 'character', text }
  }
  private modifier(code: number, released: boolean): boolean {
    if (code === CAPS_LOCK) {
      if (!released) this.capsLock = !this.capsLock
      return true
    }
    if (code !== LEFT_SHIFT && code !== RIGHT_SHIFT && code !== CONTROL) return false
    if (released) this.held.delete(code)
    else this.held.add(code)
    return true
  }
}
