/** What is parsed comes from somewhere: of any bytes at all, a parser makes an answer or a StatusError, and nothing else. */
import { expect } from 'chai'
import fc from 'fast-check'
import { StatusError } from '#rtl'

export function expectSenseOfAnyBytes(parse: (bytes: Uint8Array) => unknown, maxLength: number): void {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength }), (bytes) => {
      try {
        parse(bytes)
      } catch (error) {
        expect(error).to.be.instanceOf(StatusError)
      }
    }),
  )
}
