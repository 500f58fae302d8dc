import { expect } from 'chai'
import fc from 'fast-check'
import {
  BOOLEAN,
  HANDLE,
  LARGE_INTEGER,
  MalformedError,
  STRING,
  STRUCT,
  UCHAR,
  ULONG,
  ULONG_PTR,
  USHORT,
} from './field.ts'
import { layoutOf, readStruct, UCHARS, WCHARS, writeStruct } from './layout.ts'

const MIXED = STRUCT('MIXED', {
  A: UCHAR,
  B: LARGE_INTEGER,
  C: BOOLEAN,
  D: USHORT,
  E: HANDLE,
  F: ULONG,
  G: WCHARS(3),
  H: UCHARS(3),
})
const offsets = (model: 32 | 64) => layoutOf(MIXED, model).fields.map((field) => field.offset)

describe('C layouts', () => {
  it('align naturally in both data models', () => {
    expect(offsets(64)).to.deep.equal([0, 8, 16, 18, 24, 32, 36, 42])
    expect(layoutOf(MIXED, 64)).to.include({ size: 48, alignment: 8, end: 45 })
    expect(offsets(32)).to.deep.equal([0, 8, 16, 18, 20, 24, 28, 34])
    expect(layoutOf(MIXED, 32)).to.include({ size: 40, alignment: 8, end: 37 })
  })

  it('nest', () => {
    const outer = STRUCT('OUTER', {
      First: UCHAR,
      Inner: STRUCT('INNER', { Pointer: ULONG_PTR, Byte: UCHAR }),
      Last: UCHAR,
    })
    expect(layoutOf(outer, 64).fields.map((field) => field.offset)).to.deep.equal([0, 8, 24])
    const bytes = new Uint8Array(32).fill(0xaa)
    const value = { First: 1, Inner: { Pointer: 0x1122334455, Byte: 2 }, Last: 3 }
    writeStruct(bytes, 0, outer, value)
    expect(readStruct(bytes, 0, outer)).to.deep.equal(value)
    expect([...bytes.subarray(1, 8)]).to.deep.equal([0, 0, 0, 0, 0, 0, 0])
  })

  it('give back any value, in both models', () => {
    const values = fc.record({
      A: fc.integer({ min: 0, max: 255 }),
      B: fc.maxSafeInteger(),
      C: fc.boolean(),
      D: fc.integer({ min: 0, max: 0xffff }),
      E: fc.integer({ min: 0, max: 0xffffffff }),
      F: fc.integer({ min: 0, max: 0xffffffff }),
      G: fc.string({ unit: fc.constantFrom('a', 'é', '中'), maxLength: 3 }),
      H: fc.uint8Array({ minLength: 3, maxLength: 3 }),
    })
    fc.assert(
      fc.property(values, fc.constantFrom(32 as const, 64 as const), fc.nat(9), (value, model, offset) => {
        const bytes = new Uint8Array(offset + layoutOf(MIXED, model).size)
        writeStruct(bytes, offset, MIXED, value, model)
        expect(readStruct(bytes, offset, MIXED, model)).to.deep.equal(value)
      }),
    )
  })

  it('refuse bytes that are too few, numbers that are too large, and types without a layout', () => {
    const wide = STRUCT('WIDE', { Value: LARGE_INTEGER })
    expect(() => readStruct(new Uint8Array(7), 0, wide)).to.throw(MalformedError)
    expect(() => readStruct(new Uint8Array(8), -1, wide)).to.throw(MalformedError)
    expect(() => readStruct(new Uint8Array(8).fill(0x7f), 0, wide)).to.throw(MalformedError)
    expect(() => writeStruct(new Uint8Array(7), 0, wide, { Value: 1 })).to.throw(RangeError)
    expect(() => layoutOf(STRUCT('TEXT', { Text: STRING(3) }))).to.throw('no C layout')
  })
})
