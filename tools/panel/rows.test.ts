import { expect } from 'chai'
import { isAtPrompt, PromptWatch } from './prompt.ts'
import { type Frame, RowStream } from './rows.ts'

const HEIGHT = 5
function frame(rows: string[], cursorRow: number, scrolled: string[] = [], lost = 0): Frame {
  const screen = Array.from({ length: HEIGHT }, (_, i) => (rows[i] ?? '').padEnd(20))
  return { scrolled, lost, screen: { rows: screen, cursorRow, cursorColumn: (rows[cursorRow] ?? '').length } }
}

/** A screen that programs print on, seen only now and then: what any stream of frames may look like. */
class Teletype {
  readonly all: string[] = ['']
  private seen = 0
  print(line: string): void {
    this.all[this.all.length - 1] += line
    this.all.push('')
  }
  frame(): Frame {
    const top = Math.max(0, this.all.length - HEIGHT)
    const scrolled = this.all.slice(this.seen, top).map((row) => row.padEnd(20))
    this.seen = Math.max(this.seen, top)
    return frame(this.all.slice(top), this.all.length - 1 - top, scrolled)
  }
}

describe('panel: rows', () => {
  it('prints a row when the cursor has gone below it', () => {
    const rows = new RowStream()
    expect(rows.take(frame(['one', 'tw'], 1))).deep.equal(['one'])
    expect(rows.take(frame(['one', 'two', ''], 2))).deep.equal(['two'])
    expect(rows.finish()).deep.equal([])
  })
  it('prints the row under the cursor at the end, without the blank rows after it', () => {
    const rows = new RowStream()
    rows.take(frame(['one', '', 'C:\\>'], 2))
    expect(rows.finish()).deep.equal(['C:\\>'])
  })
  it('keeps blank rows between others', () => {
    expect(new RowStream().take(frame(['a', '', 'b', ''], 3))).deep.equal(['a', '', 'b'])
  })
  it('prints what scrolled off between two looks, once', () => {
    const rows = new RowStream()
    expect(rows.take(frame(['1', '2', '3', '4', ''], 4))).deep.equal(['1', '2', '3', '4'])
    expect(rows.take(frame(['4', '5', '6', '7', ''], 4, ['1', '2', '3']))).deep.equal(['5', '6', '7'])
    expect(rows.take(frame(['20', '21', '', '', ''], 2, ['4', '5', '6', '7', '8', '9']))).deep.equal([
      '8',
      '9',
      '20',
      '21',
    ])
  })
  it('prints a row again that was changed after it was printed', () => {
    const rows = new RowStream()
    rows.take(frame(['50 %', ''], 1))
    expect(rows.take(frame(['100 %', ''], 1))).deep.equal(['100 %'])
    expect(rows.take(frame(['100 %', ''], 1))).deep.equal([])
  })
  it('prints a screen that was cleared and written anew', () => {
    const rows = new RowStream()
    rows.take(frame(['old', 'older', 'C:\\>'], 2))
    expect(rows.take(frame(['', '', ''], 0))).deep.equal([])
    expect([...rows.take(frame(['new', 'C:\\>'], 1)), ...rows.finish()]).deep.equal(['new', 'C:\\>'])
  })
  it('says how many rows were lost', () => {
    expect(new RowStream().take(frame(['x', ''], 1, ['w'], 7))).deep.equal(['[7 rows were lost]', 'w', 'x'])
  })
  it('loses and repeats nothing, however seldom it looks', () => {
    for (let every = 1; every <= 17; every++) {
      const teletype = new Teletype()
      const rows = new RowStream()
      const lines: string[] = []
      for (let i = 0; i < 200; i++) {
        teletype.print(i % 7 === 0 ? '' : `line ${i}`)
        if (i % every === 0) lines.push(...rows.take(teletype.frame()))
      }
      lines.push(...rows.take(teletype.frame()), ...rows.finish())
      expect(lines).deep.equal(teletype.all.slice(0, -1))
    }
  })
})

describe('panel: prompt', () => {
  const picture = (rows: string[], cursorRow = rows.length - 1) => frame(rows, cursorRow).screen
  it('knows a prompt with nothing typed', () => {
    expect(isAtPrompt(picture(['boot', 'C:\\>']))).equal(true)
    expect(isAtPrompt(picture(['C:\\DOCS\\long name>']))).equal(true)
    expect(isAtPrompt({ ...picture(['C:\\>']), cursorColumn: 5 })).equal(true)
  })
  it('is not deceived by output, typing or a cursor elsewhere', () => {
    expect(isAtPrompt(picture(['C:\\>dir']))).equal(false)
    expect(isAtPrompt(picture(['<DIR>']))).equal(false)
    expect(isAtPrompt(picture(['C:\\>', 'below'], 0))).equal(false)
    expect(isAtPrompt({ ...picture(['C:\\>']), cursorColumn: 0 })).equal(false)
  })
  it('waits for a new prompt after a line', () => {
    const watch = new PromptWatch()
    watch.take(frame(['C:\\>'], 0))
    expect(watch.isReady()).equal(true)
    watch.take(frame(['C:\\>dir'], 0))
    watch.typed()
    watch.take(frame(['C:\\>'], 0))
    expect(watch.isReady()).equal(false)
    watch.take(frame(['C:\\>dir', 'a.txt', 'C:\\>'], 2))
    expect(watch.isReady()).equal(true)
  })
  it('counts rows that scrolled, and starts again when the screen was cleared', () => {
    const watch = new PromptWatch()
    watch.take(frame(['1', '2', '3', '4', 'C:\\>'], 4))
    watch.typed()
    watch.take(frame(['2', '3', '4', 'C:\\>x', 'C:\\>'], 4, ['1']))
    expect(watch.isReady()).equal(true)
    watch.typed()
    watch.take(frame(['C:\\>'], 0))
    expect(watch.isReady()).equal(true)
  })
})
