/** The header's fields survive; a body that lies about its size or nests too deep is refused before decoding. */
import { expect } from 'chai'
import * as fc from 'fast-check'
import { decodeBody, encode, HEADER_BYTES, isSound, KIND, kindOf, labelOf, sequenceOf, sessionOf } from './wire.ts'

const raw = (...bytes: number[]) => Buffer.concat([Buffer.alloc(HEADER_BYTES), Buffer.from(bytes)])

describe('wire', () => {
  it('carries a header and a body', () => {
    const message = encode(KIND.CALL, 0, 0xfffffff, 7, 0xffffffff, [1, 'two', Buffer.from([3]), null, 2 ** 40, -5])
    expect([kindOf(message), labelOf(message), sessionOf(message), sequenceOf(message)]).to.deep.equal([
      KIND.CALL,
      0xfffffff,
      7,
      0xffffffff,
    ])
    const body = decodeBody(message) as unknown[]
    expect(body.slice(0, 2)).to.deep.equal([1, 'two'])
    expect(Buffer.from(body[2] as Uint8Array)).to.deep.equal(Buffer.from([3]))
    expect(body.slice(3)).to.deep.equal([null, 2 ** 40, -5])
  })
  /** A key of this name is not carried: set on a plain object it would be the object's prototype. */
  const hasPrototypeKey = (value: unknown) => JSON.stringify(value).includes('"__proto__"')
  it('accepts whatever it encodes', () => {
    const values = fc.jsonValue({ maxDepth: 8 }).filter((value) => !hasPrototypeKey(value))
    fc.assert(
      fc.property(values, (value) => {
        const message = encode(1, 0, 0, 0, 0, value)
        expect(isSound(message)).to.equal(true)
        expect(JSON.stringify(decodeBody(message))).to.equal(JSON.stringify(value))
      }),
      { numRuns: 300 },
    )
  })
  it('refuses claims beyond the buffer, extensions, trailing bytes and deep nests', () => {
    expect(isSound(raw(0xdd, 0xff, 0xff, 0xff, 0xff))).to.equal(false)
    expect(isSound(raw(0xc6, 0x7f, 0xff, 0xff, 0xff, 1))).to.equal(false)
    expect(isSound(raw(0xd4, 0, 0))).to.equal(false)
    expect(isSound(raw(1, 1))).to.equal(false)
    expect(isSound(raw(...new Array(40).fill(0x91), 1))).to.equal(false)
    expect(isSound(raw(...new Array(20).fill(0x91), 1))).to.equal(true)
    expect(isSound(Buffer.alloc(HEADER_BYTES))).to.equal(false)
  })
  it('refuses keys that are no text', () => {
    expect(isSound(raw(0x82, 0xa1, 0x61, 0x90, 0xd9, 1, 0x62, 1))).to.equal(true)
    for (const key of [[1], [0x90], [0x80], [0xc0], [0xc4, 0], [0xcb, 0, 0, 0, 0, 0, 0, 0, 0]]) {
      expect(isSound(raw(0x81, ...key, 1)), `a map with key ${key}`).to.equal(false)
      expect(isSound(raw(0x82, 0xa1, 0x61, 0x81, 0xa0, 1, ...key, 1)), `a map with a map and key ${key}`).to.equal(
        false,
      )
      expect(isSound(raw(0x81, 0xa1, 0x61, ...key)), `a map with value ${key}`).to.equal(true)
    }
  })
  it('never throws on noise', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        const message = raw(...bytes)
        if (isSound(message)) decodeBody(message)
      }),
      { numRuns: 2000 },
    )
  })
})
