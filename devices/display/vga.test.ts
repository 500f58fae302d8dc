import { expect } from 'chai'
import { MonitorCable } from '#contracts/machine'
import { FakeClock, fakeEnvironment } from '#sel4/fake'
import { CODE_PAGE_437 } from './code-page-437.ts'
import { main } from './index.ts'
import { type Frame, Vga } from './vga.ts'

function bench({ restarted = false } = {}) {
  const clock = new FakeClock()
  const memory = new Uint8Array(32768)
  const chip = new Vga({ clock, memory, restarted })
  const crtc = (index: number, value?: number) => {
    chip.portOut(0x3d4, 1, index)
    if (value !== undefined) chip.portOut(0x3d5, 1, value)
    return chip.portIn(0x3d5, 1)
  }
  const pair = (high: number, value: number) => {
    crtc(high, value >> 8)
    crtc(high + 1, value & 0xff)
  }
  const start = (address: number) => pair(0x0c, address)
  const cursor = (address: number) => pair(0x0e, address)
  const print = (row: number, text: string, attribute = 7) => {
    for (const [i, character] of [...text].entries())
      memory.set([character.charCodeAt(0), attribute], (row * 80 + i) * 2)
  }
  return { chip, clock, memory, crtc, start, cursor, print }
}
const trimmed = (rows: readonly string[]) => rows.map((row) => row.trimEnd())

describe('display', () => {
  it('starts in mode 3 with a blank screen and the cursor at home', async () => {
    const { chip, crtc } = bench()
    const { screen, scrolled } = await chip.frame(0)
    expect(scrolled).to.deep.equal([])
    expect(screen.columns).to.equal(80)
    expect(screen.rows).to.deep.equal(new Array(25).fill(' '.repeat(80)))
    expect(screen.attributes[24]).to.equal('\u0007'.repeat(80))
    expect(screen).to.include({ cursorRow: 0, cursorColumn: 0, cursorVisible: true })
    expect(crtc(0x01)).to.equal(79)
    expect(crtc(0x12)).to.equal(0x8f)
  })

  it('shows a change of memory at the next refresh, and not before', async () => {
    const { chip, clock, print } = bench()
    const { screen } = await chip.frame(0)
    let shown: Frame | undefined
    void chip.frame(screen.sequence).then((frame) => (shown = frame))
    await clock.advance(100)
    expect(shown).to.equal(undefined)
    print(2, 'hello', 0x1e)
    await clock.advance(16)
    expect(shown?.screen.rows[2].trimEnd()).to.equal('hello')
    expect(shown?.screen.attributes[2].slice(0, 6)).to.equal('\x1e\x1e\x1e\x1e\x1e\x07')
    await clock.advance(100)
    expect(clock.pending()).to.equal(0)
  })

  it('looks seldom at a picture that stands still, and often again once a register is written', async () => {
    const { chip, clock, crtc, print } = bench()
    const watch = async () => {
      const { screen } = await chip.frame(0)
      const seen: Frame[] = []
      void chip.frame(screen.sequence).then((frame) => seen.push(frame))
      await clock.advance(3000)
      print(2, `at ${clock.now()}`)
      await clock.advance(20)
      expect(seen).to.deep.equal([])
      return seen
    }
    const alone = await watch()
    await clock.advance(250)
    expect(alone).to.have.length(1)
    const stirred = await watch()
    print(2, 'was')
    crtc(0x0c, 0)
    expect(stirred).to.deep.equal([])
    crtc(0x0a, 0x0d)
    await clock.advance(0)
    expect(stirred).to.have.length(1)
    void chip.frame(stirred[0].screen.sequence).then((frame) => stirred.push(frame))
    print(3, 'at work')
    await clock.advance(16)
    expect(stirred).to.have.length(2)
  })

  it('never shows a start address of which only one byte was written', async () => {
    const { chip, crtc, start, print } = bench()
    start(240)
    print(3, 'top')
    crtc(0x0c, 320 >> 8)
    expect((await chip.frame(0)).screen.rows[0].trimEnd()).to.equal('top')
    crtc(0x0d, 320 & 0xff)
    expect((await chip.frame(0)).screen.rows[0].trimEnd()).to.equal('')
  })

  it('shows a change at once when a register is written, the cursor by its low byte', async () => {
    const { chip, clock, crtc } = bench()
    const { screen } = await chip.frame(0)
    let shown: Frame | undefined
    void chip.frame(screen.sequence).then((frame) => (shown = frame))
    crtc(0x0e, 0x01)
    await clock.advance(0)
    expect(shown).to.equal(undefined)
    crtc(0x0f, 0x43)
    await clock.advance(0)
    expect(shown?.screen).to.include({ cursorRow: 4, cursorColumn: 3, cursorVisible: true })
  })

  it('logs the rows that leave the top when the start address moves on', async () => {
    const { chip, start, print } = bench()
    for (let row = 0; row < 30; row++) print(row, `row ${row}`)
    const first = await chip.frame(0)
    start(80)
    start(5 * 80)
    const { scrolled, screen, lost } = await chip.frame(first.screen.sequence)
    expect(trimmed(scrolled)).to.deep.equal(['row 0', 'row 1', 'row 2', 'row 3', 'row 4'])
    expect(trimmed(screen.rows).slice(0, 2)).to.deep.equal(['row 5', 'row 6'])
    expect(screen.rows[24].trimEnd()).to.equal('row 29')
    expect(lost).to.equal(0)
    start(6 * 80)
    expect(trimmed((await chip.frame(screen.sequence)).scrolled)).to.deep.equal(['row 5'])
  })

  it('keeps rows for a viewer that did not get them', async () => {
    const { chip, start, print } = bench()
    print(0, 'first')
    const { screen } = await chip.frame(0)
    start(80)
    expect(trimmed((await chip.frame(screen.sequence)).scrolled)).to.deep.equal(['first'])
    expect(trimmed((await chip.frame(screen.sequence)).scrolled)).to.deep.equal(['first'])
  })

  it('takes a move backwards, or by part of a row, for another page', async () => {
    const { chip, start } = bench()
    start(160)
    const { screen } = await chip.frame(0)
    start(0)
    start(40)
    start(200 * 80)
    expect((await chip.frame(screen.sequence)).scrolled).to.deep.equal([])
  })

  it('after a restart tells who knew the life before what came since, once software has put the window back', async () => {
    const { chip, clock, crtc, start, print } = bench({ restarted: true })
    const seen: Frame[] = []
    void chip.frame(0, 80 * 200).then((frame) => seen.push(frame))
    for (const row of [200, 201, 202, 203]) print(row, `row ${row}`)
    // A low byte alone is what was on its way to the life before.
    crtc(0x0d, 80)
    await clock.advance(100)
    expect(seen).to.deep.equal([])
    start(80 * 203)
    await clock.advance(1)
    expect(trimmed(seen[0].scrolled)).to.deep.equal(['row 200', 'row 201', 'row 202'])
    expect(seen[0].screen.start).to.equal(80 * 203)
    expect(seen[0].screen.rows[0].trimEnd()).to.equal('row 203')
    start(80 * 204)
    const { scrolled } = await chip.frame(seen[0].screen.sequence, 80 * 203)
    expect(trimmed(scrolled)).to.deep.equal(['row 203'])
    expect((await chip.frame(0)).scrolled).to.have.lengthOf(1)
  })
  it('after a restart joins what was in memory then to what has scrolled since', async () => {
    const { chip, memory, start, print } = bench({ restarted: true })
    for (let row = 0; row < 10; row++) print(row, `row ${row}`)
    start(80 * 4)
    start(80 * 8)
    memory.fill(0x20)
    const { scrolled } = await chip.frame(0, 80 * 2)
    expect(trimmed(scrolled)).to.deep.equal([2, 3, 4, 5, 6, 7].map((row) => `row ${row}`))
  })
  it('after a restart has no rows for a window that went back, or too far', async () => {
    const { chip, start } = bench({ restarted: true })
    start(80 * 3)
    expect((await chip.frame(0, 80 * 5)).scrolled).to.deep.equal([])
  })
  it('counts what was lost when nobody looked', async () => {
    const { chip, start } = bench()
    for (let turn = 0; turn < 110; turn++) {
      start(100 * 80)
      start(0)
    }
    const frames: Frame[] = []
    for (let since = 0; frames.length < 3; since = frames[frames.length - 1].screen.sequence)
      frames.push(await chip.frame(since))
    expect(frames.map(({ scrolled }) => scrolled.length)).to.deep.equal([4000, 4000, 2000])
    expect(frames.map(({ lost }) => lost)).to.deep.equal([1000, 0, 0])
  })

  it('hides the cursor when it is off, off the screen, or has no lines', async () => {
    const { chip, crtc, cursor } = bench()
    const visible = async () => (await chip.frame(0)).screen.cursorVisible
    crtc(0x0a, 0x2d)
    expect(await visible()).to.equal(false)
    crtc(0x0a, 0x0d)
    expect(await visible()).to.equal(true)
    cursor(25 * 80)
    expect(await visible()).to.equal(false)
    cursor(0)
    crtc(0x0b, 0x0c)
    expect(await visible()).to.equal(false)
  })

  it('protects CRTC registers 0 to 7 but for line compare', () => {
    const { crtc } = bench()
    expect(crtc(0x01, 0x27)).to.equal(0x4f)
    expect(crtc(0x07, 0x00)).to.equal(0x0f)
    crtc(0x11, 0x0e)
    expect(crtc(0x01, 0x27)).to.equal(0x27)
  })

  it('takes index and data in one word write', () => {
    const { chip, crtc } = bench()
    chip.portOut(0x3d4, 2, 0x120f)
    expect(crtc(0x0f)).to.equal(0x12)
    expect(chip.portIn(0x3d4, 2)).to.equal(0x120f)
  })

  it('reads back sequencer, graphics, attribute, misc and palette registers', () => {
    const { chip } = bench()
    chip.portOut(0x3c4, 2, 0x0f02)
    expect(chip.portIn(0x3c5, 1)).to.equal(0x0f)
    chip.portOut(0x3ce, 2, 0xff05)
    expect(chip.portIn(0x3cf, 1)).to.equal(0x7b)
    chip.portIn(0x3da, 1)
    chip.portOut(0x3c0, 1, 0x31)
    chip.portOut(0x3c0, 1, 0x55)
    expect(chip.portIn(0x3c1, 1)).to.equal(0x55)
    chip.portOut(0x3c2, 1, 0x63)
    expect(chip.portIn(0x3cc, 1)).to.equal(0x63)
    chip.portOut(0x3c8, 1, 5)
    for (const colour of [1, 2, 0xff]) chip.portOut(0x3c9, 1, colour)
    chip.portOut(0x3c7, 1, 5)
    expect([0, 1, 2].map(() => chip.portIn(0x3c9, 1))).to.deep.equal([1, 2, 0x3f])
    expect(chip.portIn(0x3c7, 1)).to.equal(3)
  })

  it('has a vertical retrace in every frame of 14.27 ms', () => {
    const { chip, clock } = bench()
    let retraces = 0
    let before = 0
    for (let i = 0; i < 4000; i++) {
      clockStep(clock)
      const now = chip.portIn(0x3da, 1) & 8
      if (now && !before) retraces++
      before = now
    }
    expect(retraces).to.equal(Math.round((4000 * 0.03) / 14.268))
  })

  it('maps every code to one character', () => {
    expect(CODE_PAGE_437).to.have.length(256)
    expect(CODE_PAGE_437[0x41]).to.equal('A')
    expect(CODE_PAGE_437[0xb0]).to.equal('░')
    expect(CODE_PAGE_437[0xc4]).to.equal('─')
    expect(CODE_PAGE_437[0xe1]).to.equal('ß')
    expect(CODE_PAGE_437[0xfb]).to.equal('√')
    expect(CODE_PAGE_437[0x7f]).to.equal('⌂')
  })

  it('serves the monitor cable', async () => {
    const env = fakeEnvironment({ name: 'display', caps: { monitor: 9 }, machine: { memory: [32768] } })
    void main(env)
    const { screen } = await env.deliver(9, MonitorCable, 'frame', { since: 0 })
    const waiting = env.deliver(9, MonitorCable, 'frame', { since: screen.sequence })
    env.machine?.memory(0).set([0x41, 7])
    await env.advance(20)
    expect((await waiting).screen.rows[0][0]).to.equal('A')
  })
})

/** Time passes without the detour over the event loop that FakeClock.advance takes. */
function clockStep(clock: FakeClock): void {
  ;(clock as unknown as { time: number }).time += 0.03
}
