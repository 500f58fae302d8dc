/** The IOMMU table against a set of pages. */
import { expect } from 'chai'
import fc from 'fast-check'
import { type DmaGrant, IommuTable, iommuTableBytes, PHYSICAL_LIMIT, pagesOf } from './iommu.ts'

const LIMIT = 64 * 4096
const table = (limit = LIMIT) => new IommuTable(new Uint8Array(iommuTableBytes(limit)), limit)

describe('IommuTable', () => {
  it('allows nothing at first and exactly what was granted afterwards', () => {
    const iommu = table()
    expect(iommu.allows(0, 1, 'read')).to.equal(false)
    iommu.grant(0x5000, 0x3000, 'write')
    expect(iommu.allows(0x5000, 0x3000, 'write')).to.equal(true)
    expect(iommu.allows(0x5000, 1, 'read')).to.equal(false)
    expect(iommu.allows(0x4fff, 2, 'write')).to.equal(false)
    expect(iommu.allows(0x7fff, 2, 'write')).to.equal(false)
    iommu.clear()
    expect(iommu.allows(0x5000, 1, 'write')).to.equal(false)
  })

  it('agrees with a set of pages for any sequence of grants and revokes', () => {
    const range = fc.record({
      page: fc.nat(63),
      pages: fc.integer({ min: 1, max: 40 }),
      access: fc.constantFrom<DmaGrant>('read', 'write', 'readwrite'),
      revoke: fc.boolean(),
    })
    fc.assert(
      fc.property(
        fc.array(range, { maxLength: 20 }),
        fc.nat(LIMIT - 1),
        fc.integer({ min: 1, max: LIMIT }),
        (steps, at, length) => {
          const iommu = table()
          const model = { read: new Set<number>(), write: new Set<number>() }
          for (const { page, pages, access, revoke } of steps) {
            const count = Math.min(pages, 64 - page)
            iommu[revoke ? 'revoke' : 'grant'](page * 4096, count * 4096, access)
            for (const kind of ['read', 'write'] as const)
              for (let i = page; i < page + count && (access === kind || access === 'readwrite'); i++)
                model[kind][revoke ? 'delete' : 'add'](i)
          }
          for (const kind of ['read', 'write'] as const) {
            const { first, end } = pagesOf(at, length) as { first: number; end: number }
            let expected = end <= 64
            for (let i = first; i < end; i++) expected &&= model[kind].has(i)
            expect(iommu.allows(at, length, kind)).to.equal(expected)
          }
        },
      ),
    )
  })

  it('answers false for numbers that are no range', () => {
    const iommu = table()
    iommu.grant(0, LIMIT, 'readwrite')
    expect(iommu.allows(0, LIMIT, 'write')).to.equal(true)
    for (const [address, length] of [
      [-1, 2],
      [0, 0],
      [0, -1],
      [0, LIMIT + 1],
      [Number.NaN, 1],
      [0.5, 1],
      [2 ** 53, 1],
      [2 ** 53 - 1, 1],
      [0, Number.POSITIVE_INFINITY],
    ])
      expect(iommu.allows(address, length, 'read'), `${address} +${length}`).to.equal(false)
    expect(() => iommu.grant(LIMIT, 1, 'read')).to.throw('not in the physical address space')
  })

  it('covers 1 GiB in 64 KiB', () => {
    expect(iommuTableBytes()).to.equal(65536)
    const iommu = table(PHYSICAL_LIMIT)
    iommu.grant(PHYSICAL_LIMIT - 1, 1, 'read')
    expect(iommu.allows(PHYSICAL_LIMIT - 4096, 4096, 'read')).to.equal(true)
    expect(() => new IommuTable(new Uint8Array(8))).to.throw('needs 65536 bytes')
  })
})
