/** The host's random numbers: never a pattern, never the same pool twice. */
import { expect } from 'chai'
import { hostRandom, randomName } from './chance.ts'

describe('chance', () => {
  it('gives names of 128 bits, each once', () => {
    const names = new Set(Array.from({ length: 200 }, randomName))
    expect(names.size).equal(200)
    for (const name of names) expect(name).match(/^[0-9a-f]{32}$/)
  })
  it('gives words that fill 32 bits, across many pools', () => {
    const random = hostRandom()
    const words = Array.from({ length: 4096 }, () => random.next())
    expect(new Set(words).size).above(4080)
    for (let bit = 0; bit < 32; bit++) {
      const set = words.filter((word) => Math.floor(word / 2 ** bit) % 2 === 1).length
      // Seven standard deviations of a fair coin thrown 4096 times.
      expect(set, `bit ${bit}`).within(2048 - 224, 2048 + 224)
    }
  })
})
