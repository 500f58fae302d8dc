import { expect } from 'chai'
import { Budget } from './budget.ts'

describe('a process and what it may cost the kernel', () => {
  let now = 0
  const clock = () => now
  beforeEach(() => {
    now = 0
  })
  const budget = (perSecond: number, probe: () => Promise<unknown> = async () => null) => new Budget(perSecond, probe)

  it('asks as often as its limit in every second', () => {
    const one = budget(100)
    for (let i = 0; i < 1000; i++) {
      now += 10
      expect(one.spend(clock)).equal(true)
    }
  })
  it('and not more often', () => {
    const one = budget(100)
    let asked = 0
    while (one.spend(clock)) {
      now += 9
      asked++
    }
    expect(asked).equal(100)
  })
  it('a flood after an hour of peace costs no more than two windows', () => {
    const one = budget(100)
    for (let i = 0; i < 99; i++) expect(one.spend(clock)).equal(true)
    now = 3_600_000
    let asked = 0
    while (one.spend(clock)) asked++
    expect(asked).within(100, 200)
  })
  it('is told on and on as long as it reads', async () => {
    const one = budget(100)
    for (let i = 0; i < 100_000; i++) {
      expect(one.told(60)).equal(true)
      if (i % 1000 === 0) await Promise.resolve()
    }
  })
  it('is told no more when it reads nothing', () => {
    const one = budget(100, () => new Promise(() => {}))
    let told = 0
    while (one.told(60)) told++
    expect(told).within(16_000, 33_000)
  })
  it('long messages weigh more', () => {
    const one = budget(100, () => new Promise(() => {}))
    let bytes = 0
    while (one.told(640 * 1024)) bytes += 640 * 1024
    expect(bytes).within(100 * 2 ** 20, 300 * 2 ** 20)
  })
})
