import { expect } from 'chai'
import { keysOf, scancodesOf, TerminalKeys } from './keys.ts'

const names = (keys: readonly { name: string; ctrl?: boolean }[]) =>
  keys.map(({ name, ctrl }) => (ctrl ? `^${name}` : name))

describe('panel: keys', () => {
  it('presses and releases a plain key', () => {
    expect(scancodesOf({ name: 'a' })).deep.equal([0x1c, 0xf0, 0x1c])
    expect(scancodesOf({ name: 'Enter' })).deep.equal([0x5a, 0xf0, 0x5a])
  })
  it('holds Shift around a shifted character and Ctrl around a control letter', () => {
    expect(scancodesOf({ name: ':' })).deep.equal([0x12, 0x4c, 0xf0, 0x4c, 0xf0, 0x12])
    expect(scancodesOf({ name: 'd', ctrl: true })).deep.equal([0x14, 0x23, 0xf0, 0x23, 0xf0, 0x14])
  })
  it('keeps E0 in front of an extended key that is released', () => {
    expect(scancodesOf({ name: 'Left' })).deep.equal([0xe0, 0x6b, 0xe0, 0xf0, 0x6b])
  })
  it('has a key for every printable ASCII character, and each its own', () => {
    const printable = Array.from({ length: 0x7e - 0x20 + 1 }, (_, i) => String.fromCharCode(0x20 + i))
    const codes = printable.map((name) => scancodesOf({ name }).join(' '))
    expect(codes).not.include('')
    expect(new Set(codes).size).equal(printable.length)
  })
  it('says nothing for what no key prints', () => expect(scancodesOf({ name: 'ü' })).deep.equal([]))
  it('types a text with its newline', () => expect(names(keysOf('a\tb\n'))).deep.equal(['a', 'Tab', 'b', 'Enter']))

  it('reads what a terminal sends', () => {
    const keys = new TerminalKeys()
    expect(names(keys.read('dir\r'))).deep.equal(['d', 'i', 'r', 'Enter'])
    expect(names(keys.read('\x7f\b\t\x03'))).deep.equal(['Backspace', 'Backspace', 'Tab', '^c'])
    expect(names(keys.read('\x1b[A\x1b[B\x1bOC\x1b[D'))).deep.equal(['Up', 'Down', 'Right', 'Left'])
    expect(names(keys.read('\x1b[H\x1b[F\x1b[3~\x1b[1~\x1b[4~'))).deep.equal(['Home', 'End', 'Delete', 'Home', 'End'])
    expect(names(keys.read('\x1b[1;5C'))).deep.equal(['Right'])
  })
  it('waits for the rest of a sequence', () => {
    const keys = new TerminalKeys()
    expect(keys.read('\x1b')).deep.equal([])
    expect(keys.read('[')).deep.equal([])
    expect(names(keys.read('Ax'))).deep.equal(['Up', 'x'])
  })
  it('takes a lone ESC for the Escape key once nothing follows', () => {
    const keys = new TerminalKeys()
    expect(keys.read('\x1b')).deep.equal([])
    expect(names(keys.settle())).deep.equal(['Escape'])
    expect(keys.settle()).deep.equal([])
  })
  it('drops sequences and characters it does not know', () => {
    const keys = new TerminalKeys()
    expect(names(keys.read('\x1b[99~ä😀z'))).deep.equal(['z'])
    expect(names(keys.read(`\x1b[${'1;'.repeat(20)}`))).deep.equal([])
    expect(names(keys.read('q'))).deep.equal(['q'])
  })
})
