import { expect } from 'chai'
import fc from 'fast-check'
import type { Memory } from '#sel4/api'
import { Sel4Error } from '#sel4/api'
import { fakeEnvironment } from '#sel4/fake'
import { COLUMNS, Console, ROWS, toCodePage437 } from './console.ts'

const CELLS = 0x4000

async function setup() {
  const registers = new Uint8Array(256)
  let broken = false
  let memory: Memory | undefined
  const env = fakeEnvironment({
    root: true,
    onPortOut(_port, width, value) {
      if (broken) throw new Sel4Error('serverDied')
      expect(width).to.equal(2)
      registers[value & 0xff] = value >> 8
    },
  })
  const root = env.root as NonNullable<typeof env.root>
  const allocate = root.deviceMemory.bind(root)
  root.deviceMemory = async (...args) => (memory = await allocate(...args))
  const console = await Console.open(root, env.sel4, env.clock)
  const word = (index: number) => (registers[index] << 8) | registers[index + 1]
  const screen = () => {
    const start = word(0x0c)
    return Array.from({ length: ROWS }, (_, row) =>
      Array.from({ length: COLUMNS }, (_, column) =>
        String.fromCharCode((memory as Memory).bytes[((start + row * COLUMNS + column) % CELLS) * 2]),
      )
        .join('')
        .trimEnd(),
    )
  }
  const cursor = () => {
    const at = (word(0x0e) - word(0x0c) + CELLS) % CELLS
    return [Math.floor(at / COLUMNS), at % COLUMNS]
  }
  /** What a display does that died: blank memory, registers as at power-on. */
  const restart = () => {
    ;(memory as Memory).bytes.fill(0)
    registers.fill(0)
  }
  return { console, env, screen, cursor, start: () => word(0x0c), restart, break: (on: boolean) => (broken = on) }
}
/** What a screen of endless paper would show at its foot. */
function paper(text: string): { rows: string[]; row: number; column: number } {
  const rows: string[][] = [[]]
  let [row, column, top] = [0, 0, 0]
  const down = () => {
    row++
    column = 0
    rows[row] = []
    top = Math.max(top, row - ROWS + 1)
  }
  for (const c of text) {
    if (c === '\n') down()
    else if (c === '\r') column = 0
    else if (c === '\b') {
      if (column > 0) column--
      else if (row > top) [row, column] = [row - 1, COLUMNS - 1]
    } else {
      rows[row][column] = c
      if (++column === COLUMNS) down()
    }
  }
  const shown = Array.from({ length: ROWS }, (_, i) =>
    Array.from({ length: COLUMNS }, (_, c) => rows[top + i]?.[c] ?? ' ')
      .join('')
      .trimEnd(),
  )
  return { rows: shown, row: row - top, column }
}

describe('console', () => {
  it('wraps at 80, steps back over the wrap, scrolls', async () => {
    const { console, screen, cursor } = await setup()
    await console.write('x'.repeat(80))
    expect(cursor()).to.deep.equal([1, 0])
    await console.write('\by')
    expect(screen()[0]).to.equal(`${'x'.repeat(79)}y`)
    await console.write(`a\tb\n${'\n'.repeat(30)}end`)
    expect(screen()[ROWS - 1]).to.equal('end')
  })
  it('goes round video memory, by less than half of it at a time, and loses no row of the picture', async () => {
    const { console, screen, start } = await setup()
    let wrapped = 0
    let last = 0
    for (let i = 0; i < 50; i++) {
      await console.write(Array.from({ length: i }, (_, line) => `row ${i}.${line}\n`).join(''))
      expect((start() - last + CELLS) % CELLS).to.be.lessThan(CELLS / 2)
      if (start() < last) wrapped++
      last = start()
    }
    expect(wrapped).to.be.greaterThan(1)
    expect(screen().slice(0, ROWS - 1)).to.deep.equal(Array.from({ length: ROWS - 1 }, (_, i) => `row 49.${25 + i}`))
  })
  it('moves the window before half of memory is below it', async () => {
    const { console, env, start } = await setup()
    const moves: number[] = []
    const out = env.sel4.portOut.bind(env.sel4)
    env.sel4.portOut = async (port, register, width, value) => {
      await out(port, register, width, value)
      if ((value & 0xff) === 0x0d) moves.push(start())
    }
    await console.write('\n'.repeat(2000))
    moves.forEach((to, i) => expect((to - (moves[i - 1] ?? 0) + CELLS) % CELLS).to.be.lessThan(CELLS / 2))
  })
  it('shows what endless paper would', async () => {
    const piece = fc.oneof(
      fc.constantFrom('\n', '\b', '\r', '\b\b\b', '\n\n\n\n\n'),
      fc.string({ unit: fc.constantFrom('a', 'b', 'c', ' '), maxLength: 100 }),
      fc.constant('z'.repeat(900)),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 40 }), async (pieces) => {
        const { console, screen, cursor } = await setup()
        let text = ''
        for (const p of pieces) {
          // The window moves when a write ends: within one, a step back may still reach a row that paper has rolled away.
          for (const part of p.split(/(?<=\n)/)) await console.write(part)
          text += p
        }
        const expected = paper(text)
        expect(screen()).to.deep.equal(expected.rows)
        expect(cursor()).to.deep.equal([expected.row, expected.column])
      }),
      { numRuns: 30 },
    )
  })
  it('prints code page 437 and a question mark for the rest', () => {
    expect([...'Aé█≥☃'].map(toCodePage437)).to.deep.equal([0x41, 0x82, 0xdb, 0xf2, 0x3f])
    expect(toCodePage437('\u00a0')).to.equal(0xff)
  })
  it('waits for a display that died, and not for one that stays away', async () => {
    const { console, env, screen, restart, break: breakDisplay } = await setup()
    breakDisplay(true)
    let printed = 0
    void console.write('first\n').then(() => printed++)
    void console.write('second\n').then(() => printed++)
    await env.advance(1000)
    expect(printed).to.equal(0)
    breakDisplay(false)
    restart()
    await console.repaint()
    await env.advance(1)
    expect([printed, ...screen().slice(0, 2)]).to.deep.equal([2, 'first', 'second'])
    breakDisplay(true)
    void console.write('third\n').then(() => printed++)
    await env.advance(20_000)
    await console.write('fourth\n')
    expect(printed).to.equal(3)
  })
  it('puts the picture back when the display was restarted: where it was, and with the rows above it', async () => {
    const { console, screen, cursor, start, restart } = await setup()
    for (let line = 0; line < 40; line++) await console.write(`line ${line}\n`)
    await console.write('C:\\>')
    const before = { rows: screen(), cursor: cursor(), start: start() }
    restart()
    await console.repaint()
    expect({ rows: screen(), cursor: cursor(), start: start() }).deep.equal(before)
    await console.write('dir\n')
    expect(screen()[ROWS - 2]).equal('C:\\>dir')
  })
  it('shows the cursor behind what was printed while the display was away', async () => {
    const { console, env, cursor, restart } = await setup()
    await console.write('line\n')
    let back = () => {}
    const out = env.sel4.portOut.bind(env.sel4)
    env.sel4.portOut = (...args) => new Promise<void>((go) => (back = go)).then(() => out(...args))
    const repainted = console.repaint()
    const printed = console.write('C:\\>')
    restart()
    env.sel4.portOut = out
    back()
    await repainted
    await printed
    expect(cursor()).deep.equal([1, 4])
  })
})
