/**
 * From what a terminal sends to what a keyboard sends.
 *
 *   new TerminalKeys().read(bytes)   terminal bytes → keys; keeps the beginning of a sequence that is not complete yet
 *   scancodesOf(key)                 the key's make and break codes, set 2, with Shift or Ctrl around them; none: unknown
 *   keysOf(text)                     keys that type a text
 *   keyless(text)                    what of a text no key prints
 *
 * Pure. US layout.
 *
 * [KBD] IBM PS/2 Hardware Interface Technical Reference, "Keyboard (101/102-Key)", scan code set 2
 * [ECMA-48] control sequences; the letters are xterm's
 */
export interface Key {
  /** A printable character, or the name of a key: 'Enter', 'Up'. */
  readonly name: string
  readonly ctrl?: boolean
}

/** Make codes of the keys that print, row by row: without and with Shift. [KBD] "Scan Code Set 2" */
const ROWS: readonly (readonly [plain: string, shifted: string, codes: readonly number[]])[] = [
  ['`1234567890-=', '~!@#$%^&*()_+', [0x0e, 0x16, 0x1e, 0x26, 0x25, 0x2e, 0x36, 0x3d, 0x3e, 0x46, 0x45, 0x4e, 0x55]],
  ['qwertyuiop[]\\', 'QWERTYUIOP{}|', [0x15, 0x1d, 0x24, 0x2d, 0x2c, 0x35, 0x3c, 0x43, 0x44, 0x4d, 0x54, 0x5b, 0x5d]],
  ["asdfghjkl;'", 'ASDFGHJKL:"', [0x1c, 0x1b, 0x23, 0x2b, 0x34, 0x33, 0x3b, 0x42, 0x4b, 0x4c, 0x52]],
  ['zxcvbnm,./', 'ZXCVBNM<>?', [0x1a, 0x22, 0x21, 0x2a, 0x32, 0x31, 0x3a, 0x41, 0x49, 0x4a]],
  [' ', '', [0x29]],
]
const EXTENDED = 0xe0
const BREAK = 0xf0
const SHIFT = 0x12
const CTRL = 0x14
const NAMED: Readonly<Record<string, readonly number[]>> = {
  Enter: [0x5a],
  Backspace: [0x66],
  Tab: [0x0d],
  Escape: [0x76],
  Up: [EXTENDED, 0x75],
  Down: [EXTENDED, 0x72],
  Left: [EXTENDED, 0x6b],
  Right: [EXTENDED, 0x74],
  Home: [EXTENDED, 0x6c],
  End: [EXTENDED, 0x69],
  Delete: [EXTENDED, 0x71],
  Insert: [EXTENDED, 0x70],
  PageUp: [EXTENDED, 0x7d],
  PageDown: [EXTENDED, 0x7a],
  F1: [0x05],
  F2: [0x06],
  F3: [0x04],
  F4: [0x0c],
  F5: [0x03],
  F6: [0x0b],
  F7: [0x83],
  F8: [0x0a],
  F9: [0x01],
  F10: [0x09],
}

interface Stroke {
  readonly make: readonly number[]
  readonly shift: boolean
}
const STROKES: ReadonlyMap<string, Stroke> = new Map<string, Stroke>([
  ...ROWS.flatMap(([plain, shifted, codes]) => [
    ...[...plain].map((name, i) => [name, { make: [codes[i]], shift: false }] as const),
    ...[...shifted].map((name, i) => [name, { make: [codes[i]], shift: true }] as const),
  ]),
  ...Object.entries(NAMED).map(([name, make]) => [name, { make, shift: false }] as const),
])

/** F0 before the code releases a key; the E0 of an extended key stays in front. */
const released = (make: readonly number[]): number[] =>
  make[0] === EXTENDED ? [EXTENDED, BREAK, make[1]] : [BREAK, make[0]]
const held = (modifier: number, inner: readonly number[]) => [modifier, ...inner, ...released([modifier])]

export function scancodesOf(key: Key): readonly number[] {
  const stroke = STROKES.get(key.name)
  if (!stroke) return []
  const codes = [...stroke.make, ...released(stroke.make)]
  if (key.ctrl) return held(CTRL, codes)
  return stroke.shift ? held(SHIFT, codes) : codes
}
/** A character no key prints becomes nothing; a tab or newline its key. */
export const keysOf = (text: string): Key[] =>
  [...text].map((name) => ({ name: name === '\n' ? 'Enter' : name === '\t' ? 'Tab' : name }))
/** The characters of a text that no key prints, each once. */
export const keyless = (text: string): string[] => [...new Set(text)].filter((name) => !STROKES.has(name))

/** What follows ESC [ or ESC O, as xterm and the Linux console send it. */
const SEQUENCES: Readonly<Record<string, string>> = {
  A: 'Up',
  B: 'Down',
  C: 'Right',
  D: 'Left',
  H: 'Home',
  F: 'End',
  '1~': 'Home',
  '2~': 'Insert',
  '3~': 'Delete',
  '4~': 'End',
  '5~': 'PageUp',
  '6~': 'PageDown',
  '7~': 'Home',
  '8~': 'End',
  P: 'F1',
  Q: 'F2',
  R: 'F3',
  S: 'F4',
  '15~': 'F5',
  '17~': 'F6',
  '18~': 'F7',
  '19~': 'F8',
  '20~': 'F9',
  '21~': 'F10',
}
/** No key's sequence is longer; more without an end is noise. */
const LONGEST_SEQUENCE = 12
const CONTROL: Readonly<Record<string, string>> = {
  '\r': 'Enter',
  '\n': 'Enter',
  '\t': 'Tab',
  '\x7f': 'Backspace',
  '\b': 'Backspace',
}

export class TerminalKeys {
  private pending = ''

  read(bytes: string): Key[] {
    let text = this.pending + bytes
    const keys: Key[] = []
    this.pending = ''
    while (text !== '') {
      const taken = takeKey(text)
      if (!taken) {
        this.pending = text
        break
      }
      if (taken.key) keys.push(taken.key)
      text = text.slice(taken.length)
    }
    return keys
  }
  /** Nothing followed for a while: a lone ESC was the Escape key. */
  settle(): Key[] {
    const lone = this.pending === '\x1b'
    this.pending = ''
    return lone ? [{ name: 'Escape' }] : []
  }
}
/** The first key of a text and how much of it that took; undefined when the text may go on. */
function takeKey(text: string): { key?: Key; length: number } | undefined {
  const first = text[0]
  if (first === '\x1b') return takeSequence(text)
  if (CONTROL[first]) return { key: { name: CONTROL[first] }, length: 1 }
  // Ctrl-A … Ctrl-Z are 1 … 26.
  if (first <= '\x1a' && first > '\0')
    return { key: { name: String.fromCharCode(first.charCodeAt(0) + 0x60), ctrl: true }, length: 1 }
  const length = [...text][0].length
  return { key: STROKES.has(first) ? { name: first } : undefined, length }
}
function takeSequence(text: string): { key?: Key; length: number } | undefined {
  if (text.length === 1) return undefined
  if (text[1] !== '[' && text[1] !== 'O') return { key: { name: 'Escape' }, length: 1 }
  const match = /^\x1b[[O]([0-9;]*[A-Za-z~])/.exec(text)
  if (!match) return text.length > LONGEST_SEQUENCE ? { length: text.length } : undefined
  // Modifiers ("1;5A") are dropped: the plain key is the best guess.
  const name = SEQUENCES[match[1].replace(/;\d+/, '').replace(/^1([A-H])$/, '$1')]
  return { key: name ? { name } : undefined, length: match[0].length }
}
