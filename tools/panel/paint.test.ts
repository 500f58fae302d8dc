import { expect } from 'chai'
import { Painter, paintRow, type Screen } from './paint.ts'

const attributes = (value: number, length: number) => String.fromCharCode(value).repeat(length)
function screen(rows: string[], columns: number, cursorRow = 0): Screen {
  return {
    columns,
    rows,
    attributes: rows.map((row) => attributes(7, row.length)),
    cursorRow,
    cursorColumn: 1,
    cursorVisible: true,
  }
}

describe('panel: paint', () => {
  it('writes a run of one colour with one sequence', () => {
    expect(paintRow('abc', attributes(0x1f, 3), 80)).equal('\x1b[0;97;44mabc\x1b[0m\x1b[K')
    expect(paintRow('ab', '\x07\x04', 80)).equal('\x1b[0ma\x1b[0;31;40mb\x1b[0m\x1b[K')
  })
  it('shows no control character', () =>
    expect(paintRow('\x1b[', attributes(7, 2), 80)).equal('\x1b[0m [\x1b[0m\x1b[K'))
  it('writes only rows that changed', () => {
    const painter = new Painter(4, 3)
    painter.paint(screen(['aaaa', 'bbbb', 'cccc'], 4))
    const second = painter.paint(screen(['aaaa', 'xxxx', 'cccc'], 4))
    expect(second).include('xxxx').not.include('aaaa').not.include('cccc')
  })
  it('puts the cursor where it is, or hides it', () => {
    expect(new Painter(4, 3).paint(screen(['a', 'b', 'c'], 1, 2))).match(/\x1b\[3;2H\x1b\[\?25h$/)
    expect(new Painter(4, 3).paint({ ...screen(['a'], 1), cursorVisible: false })).not.include('?25h')
  })
  it('shows the picture down to the cursor in a small terminal, under one line that says so', () => {
    const rows = ['aaaa', 'bbbb', 'cccc', 'dddd']
    const out = new Painter(80, 3).paint(screen(rows, 4, 3))
    expect(out).include('This terminal is 80x3; the screen is 4x4').include('cccc').include('dddd').not.include('bbbb')
    expect(out).match(/\x1b\[3;2H/)
    const top = new Painter(20, 3).paint(screen(rows, 4, 0))
    expect(top).include('Make this 4x4.').include('aaaa').include('bbbb').not.include('cccc')
    expect(top).match(/\x1b\[2;2H/)
  })
})
