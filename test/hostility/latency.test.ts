import { expect } from 'chai'
import { isSteady, judge, type Sample, spanOf, windows } from './latency.ts'

/** A call every millisecond that takes so long; every hundredth ten times that. */
const calls = (from: number, until: number, took: number, tail = 10 * took): Sample[] =>
  Array.from({ length: until - from }, (_, i) => [from + i, i % 100 === 0 ? tail : took])

describe('latency', () => {
  const baseline = [spanOf(calls(0, 2000, 100), 0, 2000), spanOf(calls(9000, 11_000, 100, 1200), 9000, 11_000)]
  const after = spanOf(calls(5000, 7000, 110), 5000, 7000)
  const during = (took: number) => windows(calls(3000, 4000, took), 3000, 4000)

  it('is steady where the parts of a baseline are alike', () => {
    expect(isSteady(baseline)).equal(true)
    expect(isSteady([spanOf([...calls(0, 1500, 100), ...calls(1500, 2000, 200)], 0, 2000)])).equal(false)
    expect(isSteady([baseline[0], spanOf(calls(9000, 11_000, 100, 5000), 9000, 11_000)])).equal(false)
    expect(isSteady([spanOf(calls(0, 1400, 100), 0, 2000)]), 'half a second without a call').equal(false)
  })
  it('may double, not more', () => {
    expect(judge(baseline, during(190), after)).equal(undefined)
    expect(judge(baseline, during(210), after)).match(/^a median of 210,210 us during it, 100 us before, in 2 of 2/)
  })
  it('must have its 99th percentile back afterwards', () => {
    const late = spanOf(calls(5000, 7000, 110, 3000), 5000, 7000)
    expect(judge(baseline, during(100), late)).match(/^a 99th percentile of 3000 us a second after it, 1200 us/)
  })
  it('is endless where nobody was served', () => {
    expect(judge(baseline, windows([], 3000, 4000), after)).match(/^a median of Infinity,Infinity us during it/)
  })
})
