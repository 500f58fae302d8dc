/** What is written past the library is what the library would have written, and is read as it would be. */
import { expect } from 'chai'
import * as fc from 'fast-check'
import { Packr } from 'msgpackr'
import { decodePlain, encodePlain, NOT_PLAIN } from './plain.ts'

const ROOM = 40
const packr = new Packr({ useRecords: false, moreTypes: false, encodeUndefinedAsNil: true })
const plain = (value: unknown) => encodePlain(value, ROOM)?.subarray(ROOM)

describe('plain bodies', () => {
  it('are written as the library writes them', () => {
    const bytes = fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ minLength: 65_530, maxLength: 65_540 }))
    const values = fc.oneof(
      fc.constantFrom(null, undefined, -0),
      fc.integer({ min: 0, max: 300 }),
      fc.nat({ max: 0xffff_ffff }),
      bytes,
    )
    fc.assert(
      fc.property(values, (value) => void expect(plain(value)).to.deep.equal(packr.encode(value))),
      {
        numRuns: 500,
        examples: [
          [0],
          [127],
          [128],
          [255],
          [256],
          [65_535],
          [65_536],
          [0xffff_ffff],
          [new Uint8Array(255)],
          [new Uint8Array(256)],
          [new Uint8Array(65_536)],
        ],
      },
    )
  })
  it('are read as the library reads them', () => {
    for (const value of [
      null,
      0,
      127,
      128,
      255,
      256,
      0xffff,
      0x10000,
      0xffff_ffff,
      new Uint8Array(),
      new Uint8Array([1, 2]),
      new Uint8Array(256),
      Buffer.alloc(70_000),
    ]) {
      const message = encodePlain(value, ROOM) as Buffer
      expect(decodePlain(message, ROOM)).to.deep.equal(packr.decode(message.subarray(ROOM)))
    }
  })
  it('are no others', () => {
    for (const value of [-1, 2 ** 32, 0.5, Number.NaN, 2 ** 40, 'text', true, [], {}, 5n]) {
      expect(plain(value), String(value)).to.equal(undefined)
      const message = Buffer.concat([Buffer.alloc(ROOM), packr.encode(value)])
      expect(decodePlain(message, ROOM), String(value)).to.equal(NOT_PLAIN)
    }
  })
})
