import { expect } from 'chai'
import fc from 'fast-check'
import { FakeClock, fakeEnvironment } from '#sel4/fake'
import { civilOf, secondsOf } from '../lib/calendar.ts'
import { main } from './index.ts'
import { Mc146818 } from './mc146818.ts'

/** Starts at 2026-01-01 00:00:00, a Thursday. */
class NewYearClock extends FakeClock {
  override systemTime(): number {
    return secondsOf({ year: 2026, month: 1, day: 1, hour: 0, minute: 0, second: 0 }) * 10_000_000 + this.now() * 10_000
  }
}
function bench() {
  const clock = new NewYearClock()
  const events: string[] = []
  const chip = new Mc146818({
    clock,
    irq: { raise: () => void events.push('+'), lower: () => void events.push('-') },
  })
  const get = (index: number) => {
    chip.portOut(0x70, 1, index)
    return chip.portIn(0x71, 1)
  }
  const set = (index: number, value: number) => {
    chip.portOut(0x70, 1, index)
    chip.portOut(0x71, 1, value)
  }
  const time = () => [9, 8, 7, 4, 2, 0].map((index) => get(index).toString(16).padStart(2, '0')).join(' ')
  return { chip, clock, events, get, set, time }
}

describe('rtc', () => {
  it('tells the system time in BCD and 24 hours', async () => {
    const { clock, time, get } = bench()
    await clock.advance(((13 * 60 + 45) * 60 + 30) * 1000)
    expect(time()).to.equal('26 01 01 13 45 30')
    expect(get(6)).to.equal(5)
    expect(get(0x32)).to.equal(0x20)
    expect(get(0x0d)).to.equal(0x80)
    expect(get(0x0b)).to.equal(0x02)
    expect(get(0x0a)).to.equal(0x26)
  })

  it('tells it in binary and 12 hours when told to', async () => {
    const { clock, get, set } = bench()
    await clock.advance(13 * 3600_000 + 45 * 60_000)
    set(0x0b, 0x04)
    expect(get(4)).to.equal(0x81)
    expect(get(2)).to.equal(45)
    set(0x0b, 0x00)
    expect(get(2)).to.equal(0x45)
  })

  it('is set through SET, and goes on from there', async () => {
    const { clock, set, time } = bench()
    set(0x0b, 0x82)
    for (const [index, value] of [
      [9, 0x24],
      [8, 0x02],
      [7, 0x28],
      [4, 0x23],
      [2, 0x59],
      [0, 0x58],
    ])
      set(index, value)
    await clock.advance(5000)
    expect(time()).to.equal('24 02 28 23 59 58')
    set(0x0b, 0x02)
    await clock.advance(2000)
    expect(time()).to.equal('24 02 29 00 00 00')
  })

  it('is set one register at a time without SET', async () => {
    const { set, time } = bench()
    set(4, 0x11)
    set(2, 0x30)
    expect(time()).to.equal('26 01 01 11 30 00')
  })

  it('stands still while the divider is held', async () => {
    const { clock, set, time } = bench()
    set(0x0a, 0x66)
    await clock.advance(10_000)
    expect(time()).to.equal('26 01 01 00 00 00')
    set(0x0a, 0x26)
    await clock.advance(1000)
    expect(time()).to.equal('26 01 01 00 00 01')
  })

  it('announces the update shortly before the second ends', async () => {
    const { clock, get } = bench()
    expect(get(0x0a) & 0x80).to.equal(0)
    await clock.advance(998)
    expect(get(0x0a) & 0x80).to.equal(0x80)
    await clock.advance(2)
    expect(get(0x0a) & 0x80).to.equal(0)
  })

  it('sets flags without enables, and clears them when read', async () => {
    const { clock, get, events } = bench()
    await clock.advance(1500)
    expect(get(0x0c)).to.equal(0x50)
    expect(get(0x0c)).to.equal(0x00)
    expect(events).to.deep.equal([])
    expect(clock.pending()).to.equal(0)
  })

  it('interrupts at the end of each update, once until C is read', async () => {
    const { clock, get, set, events } = bench()
    set(0x0b, 0x12)
    await clock.advance(3500)
    expect(events).to.deep.equal(['+'])
    expect(get(0x0c) & 0x90).to.equal(0x90)
    await clock.advance(1000)
    expect(events).to.deep.equal(['+', '-', '+'])
  })

  it('interrupts periodically at the rate of register A', async () => {
    const { clock, get, set, events } = bench()
    set(0x0a, 0x2f)
    set(0x0b, 0x42)
    let count = 0
    for (let i = 0; i < 8; i++) {
      await clock.advance(500)
      if (get(0x0c) & 0x40) count++
    }
    expect(count).to.equal(8)
    expect(events.filter((event) => event === '+')).to.have.length(8)
  })

  it('interrupts at the alarm, with bytes that match anything', async () => {
    const { clock, get, set, events } = bench()
    set(1, 0x10)
    set(3, 0xff)
    set(5, 0xc0)
    set(0x0b, 0x22)
    await clock.advance(9900)
    expect(events).to.deep.equal([])
    await clock.advance(200)
    expect(events).to.deep.equal(['+'])
    expect(get(0x0c) & 0xa0).to.equal(0xa0)
    await clock.advance(60_000)
    expect(events).to.deep.equal(['+', '-', '+'])
  })

  it('finds the alarm a clock would find that looks every second, wherever in the day it is', async () => {
    const bcd = (value: number) => (Math.floor(value / 10) << 4) | (value % 10)
    const byte = (most: number) => fc.option(fc.integer({ min: 0, max: most }), { freq: 2, nil: undefined })
    const alarm = fc.record({ hour: byte(24), minute: byte(59), second: byte(59) })
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 86_399 }), alarm, async (start, { hour, minute, second }) => {
        const { clock, set, events } = bench()
        await clock.advance(start * 1000)
        for (const [index, value] of [
          [5, hour],
          [3, minute],
          [1, second],
        ] as const)
          set(index, value === undefined ? 0xff : bcd(value))
        const fits = (at: number) =>
          (second ?? at % 60) === at % 60 &&
          (minute ?? Math.floor(at / 60) % 60) === Math.floor(at / 60) % 60 &&
          (hour ?? Math.floor(at / 3600) % 24) === Math.floor(at / 3600) % 24
        let ahead = 1
        while (ahead <= 86_400 && !fits(start + ahead)) ahead++
        set(0x0b, 0x22)
        expect(clock.pending()).to.equal(ahead <= 86_400 ? 1 : 0)
        await clock.advance(Math.min(ahead, 86_400) * 1000 - 1)
        expect(events).to.deep.equal([])
        await clock.advance(1)
        expect(events).to.deep.equal(ahead <= 86_400 ? ['+'] : [])
      }),
      { numRuns: 200 },
    )
  })

  it('keeps time and RAM over a reset, but no enables and flags', async () => {
    const { chip, clock, get, set, events } = bench()
    set(0x40, 0x5a)
    set(4, 0x11)
    set(0x0b, 0x52)
    await clock.advance(1000)
    chip.reset()
    expect(events).to.deep.equal(['+', '-'])
    expect(get(0x0b)).to.equal(0x02)
    expect(get(0x40)).to.equal(0x5a)
    expect(get(4)).to.equal(0x11)
    expect(clock.pending()).to.equal(0)
  })

  it('has 114 bytes of RAM and read-only C and D', () => {
    const { get, set } = bench()
    for (let index = 0x0e; index < 0x80; index++) set(index, index ^ 0x33)
    for (let index = 0x0e; index < 0x80; index++) expect(get(index | 0x80)).to.equal(index ^ 0x33)
    set(0x0d, 0)
    expect(get(0x0d)).to.equal(0x80)
  })

  it('has a calendar that is its own inverse', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 40_000_000_000 }), (seconds) => secondsOf(civilOf(seconds)) === seconds),
    )
    expect(civilOf(secondsOf({ year: 2000, month: 2, day: 29, hour: 1, minute: 2, second: 3 }))).to.include({
      year: 2000,
      month: 2,
      day: 29,
      weekday: 3,
    })
  })

  it('answers on its ports', () => {
    const env = fakeEnvironment({ name: 'rtc', machine: {} })
    void main(env)
    env.machine?.chip?.portOut?.(0x70, 1, 9)
    expect(env.machine?.chip?.portIn?.(0x71, 1)).to.equal(0x26)
  })
})
