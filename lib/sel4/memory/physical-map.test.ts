/** Physical addresses and the banks behind them. */
import { expect } from 'chai'
import fc from 'fast-check'
import { PhysicalMap } from './physical-map.ts'

const map = new PhysicalMap([
  { name: 'b', physicalAddress: 0x2000, bytes: 0x1000 },
  { name: 'a', physicalAddress: 0x1000, bytes: 0x1000 },
  { name: 'far', physicalAddress: 0x9000, bytes: 0x2000 },
])

describe('PhysicalMap', () => {
  it('locates a range that lies in one bank', () => {
    expect(map.locate(0x1ffc, 4)).to.deep.equal({ bank: 'a', offset: 0xffc })
    expect(map.locate(0x1ffc, 5)).to.equal(undefined)
    expect(map.locate(0x3000)).to.equal(undefined)
    expect(map.locate(-1)).to.equal(undefined)
    expect(map.locate(0x1000, 0)).to.equal(undefined)
    expect(map.locate(0x1000, Number.POSITIVE_INFINITY)).to.equal(undefined)
  })

  it('cuts a range at the border of two banks, and refuses a hole', () => {
    expect(map.pieces(0x1f00, 0x200)).to.deep.equal([
      { bank: 'a', offset: 0xf00, length: 0x100 },
      { bank: 'b', offset: 0, length: 0x100 },
    ])
    expect(map.pieces(0x2f00, 0x200)).to.equal(undefined)
    expect(map.pieces(0x1000, 2 ** 53)).to.equal(undefined)
  })

  it('finds every address it gives', () => {
    fc.assert(
      fc.property(fc.constantFrom('a', 'b', 'far'), fc.nat(0xfff), (bank, offset) => {
        expect(map.locate(map.addressOf(bank, offset) as number)).to.deep.equal({ bank, offset })
      }),
    )
    expect(map.addressOf('a', 0x1000)).to.equal(undefined)
    expect(map.addressOf('none', 0)).to.equal(undefined)
  })

  it('refuses banks that overlap', () => {
    const ranges = [
      { name: 'a', physicalAddress: 0, bytes: 0x1001 },
      { name: 'b', physicalAddress: 0x1000, bytes: 1 },
    ]
    expect(() => new PhysicalMap(ranges)).to.throw('Banks a and b overlap')
  })
})
