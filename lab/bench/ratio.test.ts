import { expect } from 'chai'
import { alternate, median, middleOf, row } from './ratio.ts'

describe('lab: ratio', () => {
  it('takes the middle', () => {
    expect(median([3, 1, 2])).equal(2)
    expect(median([4, 1, 2, 3])).equal(2.5)
  })
  it('divides neighbours, so a machine that slows down for both changes nothing', async () => {
    let slow = 1
    const block = (us: number) => async () => us * (slow *= 1.01)
    const { ratio } = await alternate({ value: block(30), baseline: block(20), blocks: 30 })
    expect(ratio).within(1.48, 1.52)
  })
  it('runs both as often, in turn', async () => {
    const order: string[] = []
    const block = (name: string) => async (operations: number) => order.push(`${name}${operations}`)
    await alternate({ value: block('v'), baseline: block('b'), blocks: 3, operations: 7 })
    expect(order).deep.equal(['v7', 'b7', 'b7', 'v7', 'v7', 'b7'])
  })
  it('warms up in blocks as those that count, and does not count them', async () => {
    const asked: number[] = []
    const cold = async (operations: number) => (asked.push(operations) > 2 ? 1 : 1000)
    const { value } = await alternate({ value: cold, baseline: async () => 1, warmUp: 2, blocks: 3, operations: 7 })
    expect(value).equal(1)
    expect(asked).deep.equal([7, 7, 7, 7, 7])
  })
  it('takes several pairs of processes together, block by block', () => {
    const measured = middleOf([
      { values: [30, 40], baselines: [10, 20] },
      { values: [50], baselines: [50] },
    ])
    expect(measured).deep.equal({ value: 40, baseline: 20, ratio: 2 })
  })
  it('rounds to four digits', () =>
    expect(row('x', 'us', { value: 12.34567, baseline: 10, ratio: 1.234567 })).deep.equal({
      case: 'x',
      value: 12.35,
      unit: 'us',
      baseline: 10,
      ratio: 1.235,
    }))
})
