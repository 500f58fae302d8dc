import { expect } from 'chai'
import fc from 'fast-check'
import { type Key, KEYBOARD_INPUT_DATA_SIZE, KeyTranslator } from './keys.ts'
import { LINE_MAX, LineEditor, words } from './line.ts'

/** Records of KEYBOARD_INPUT_DATA: [make code, flags]. */
function records(...keys: [number, number][]): Uint8Array {
  const bytes = new Uint8Array(keys.length * KEYBOARD_INPUT_DATA_SIZE)
  const view = new DataView(bytes.buffer)
  keys.forEach(([code, flags], i) => {
    view.setUint16(i * KEYBOARD_INPUT_DATA_SIZE + 2, code, true)
    view.setUint16(i * KEYBOARD_INPUT_DATA_SIZE + 4, flags, true)
  })
  return bytes
}
const textOf = (keys: Key[]): string =>
  keys.map((key) => (key.kind === 'character' ? key.text : `<${key.kind}>`)).join('')
const typed = (...keys: [number, number][]): string => textOf(new KeyTranslator().translate(records(...keys)))

describe('keys', () => {
  it("are a US keyboard's, with shift and caps lock", () => {
    expect(
      typed(
        [0x1e, 0],
        [0x1e, 1],
        [0x30, 0],
        [0x02, 0],
        [0x35, 0],
        [0x2b, 0],
        [0x39, 0],
        [0x1c, 0],
        [0x0e, 0],
        [0x0f, 0],
        [0x01, 0],
      ),
    ).to.equal('ab1/\\ <enter><backspace><tab><escape>')
    expect(typed([0x2a, 0], [0x1e, 0], [0x02, 0], [0x2a, 1], [0x1e, 0])).to.equal('A!a')
    expect(typed([0x3a, 0], [0x3a, 1], [0x1e, 0], [0x02, 0], [0x36, 0], [0x1e, 0], [0x27, 0])).to.equal('A1a:')
    expect(typed([0x1d, 0], [0x1e, 0], [0x1d, 1], [0x1e, 0])).to.equal('a')
  })
  it('with the prefix E0 are others; a fake shift changes nothing', () => {
    expect(typed([0x48, 2], [0x4b, 2], [0x53, 2], [0x35, 2], [0x1c, 2], [0x47, 2], [0x1e, 2])).to.equal(
      '<up><left><delete>/<enter><home>',
    )
    expect(typed([0x2a, 2], [0x1e, 0])).to.equal('a')
    expect(typed([0x2a, 0], [0x2a, 3], [0x48, 2], [0x1e, 0])).to.equal('<up>A')
    expect(typed([0x2a, 0], [0x36, 0], [0x2a, 1], [0x1e, 0])).to.equal('A')
  })
  it('never fall over what a keyboard sends', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        expect(new KeyTranslator().translate(bytes)).to.be.an('array')
      }),
    )
  })
})

/** A terminal of one endless row. */
class Terminal {
  cells: string[] = []
  cursor = 0
  print(text: string): void {
    for (const c of text) {
      if (c === '\b') this.cursor--
      else if (c !== '\n') this.cells[this.cursor++] = c
      if (this.cursor < 0) throw new Error('left of the row')
    }
  }
  get text(): string {
    return this.cells.join('').trimEnd()
  }
}
describe('line editor', () => {
  const key = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom('a', 'b', 'c', 'd').map((text): Key => ({ kind: 'character', text })) },
    {
      weight: 2,
      arbitrary: fc
        .constantFrom('backspace', 'delete', 'left', 'right', 'up', 'down', 'home', 'end', 'escape', 'tab')
        .map((kind) => ({ kind }) as Key),
    },
    { weight: 1, arbitrary: fc.constant({ kind: 'enter' } as Key) },
  )
  it('shows what it answers with', () => {
    fc.assert(
      fc.property(fc.array(key, { maxLength: 80 }), (keys) => {
        const editor = new LineEditor()
        let terminal = new Terminal()
        for (const k of keys) {
          const { print, line } = editor.key(k)
          const before = terminal.text
          terminal.print(print)
          if (line === undefined) continue
          expect(terminal.text).to.equal(line)
          expect(before).to.equal(line)
          expect(terminal.cursor).to.equal(line.length)
          terminal = new Terminal()
        }
      }),
      { numRuns: 300 },
    )
  })
  it('recalls lines, the last first, none twice in a row', () => {
    const editor = new LineEditor()
    const enter = (text: string) => {
      for (const c of text) editor.key({ kind: 'character', text: c })
      return editor.key({ kind: 'enter' }).line
    }
    for (const text of ['one', 'two', 'two', '  ']) enter(text)
    editor.key({ kind: 'up' })
    expect(enter('!')).to.equal('two!')
    for (let i = 0; i < 3; i++) editor.key({ kind: 'up' })
    expect(enter('')).to.equal('one')
  })
  it('keeps a line within its bound', () => {
    const editor = new LineEditor()
    for (let i = 0; i < 2000; i++) editor.key({ kind: 'character', text: 'x' })
    expect(editor.key({ kind: 'enter' }).line).to.have.length(LINE_MAX + 1)
  })
  it('parts words at spaces, quotes keep them', () => {
    expect(words('copy "C:\\My File" D:\\')).to.deep.equal(['copy', 'C:\\My File', 'D:\\'])
    expect(words('  type   a ')).to.deep.equal(['type', 'a'])
    expect(words('echo ""')).to.deep.equal(['echo', ''])
    expect(words('type "open end')).to.deep.equal(['type', 'open end'])
    expect(words('copy C:\\"My File".txt x')).to.deep.equal(['copy', 'C:\\My File.txt', 'x'])
  })
})
