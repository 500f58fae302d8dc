/** Untyped memory: whole large pages, exhaustion, ranges that come back and join. */
import { expect } from 'chai'
import { LARGE_PAGE, Untyped } from './untyped.ts'

describe('Untyped', () => {
  const bank = { name: 'drivers', path: 'drivers', physicalAddress: 0x1000000, bytes: 4 * LARGE_PAGE }
  it('gives large pages until there are none', () => {
    const untyped = new Untyped(1, bank)
    expect([untyped.take(1).offset, untyped.take(LARGE_PAGE + 1).offset]).to.deep.equal([0, LARGE_PAGE])
    expect(() => untyped.take(2 * LARGE_PAGE)).to.throw(/seL4_NotEnoughMemory/)
    expect(() => untyped.take(0)).to.throw(/seL4_InvalidArgument/)
  })
  it('joins what comes back', () => {
    const untyped = new Untyped(1, bank)
    const offsets = [0, 1, 2, 3].map(() => untyped.take(LARGE_PAGE))
    for (const index of [2, 0, 3, 1]) untyped.give(offsets[index])
    expect(untyped.take(4 * LARGE_PAGE).offset).to.equal(0)
  })
})
