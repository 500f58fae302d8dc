import { expect } from 'chai'
import fc from 'fast-check'
import { checksumOf, encodeNameSlots, fromDosTime, NameCollector, toDosTime } from './dirent.ts'

const UNIX_EPOCH = 116_444_736_000_000_000
const raw = Uint8Array.from('LONGNA~1TEX', (unit) => unit.charCodeAt(0))
const collect = (slots: Uint8Array[]) => {
  const collector = new NameCollector()
  for (const slot of slots) collector.add(slot, 0)
  return collector.take(raw)
}

describe('fatfs directory entries', () => {
  it('gives back any long name', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('a', 'é', '名', ' ', '.'), minLength: 1, maxLength: 255 }),
        (name) => {
          const slots = encodeNameSlots(name, raw)
          expect(slots.length).to.equal(Math.ceil(name.length / 13))
          expect(collect(slots)).to.deep.equal({ name, slots: slots.length })
        },
      ),
    )
  })

  it('takes no name of slots that are missing, out of order or of another entry', () => {
    const slots = encodeNameSlots('a name that takes three of the slots', raw)
    expect(collect(slots.slice(1))).to.equal(undefined)
    expect(collect(slots.slice(0, 2))).to.equal(undefined)
    expect(collect([slots[1], slots[0], slots[2]])).to.equal(undefined)
    expect(collect(slots.map((slot) => Uint8Array.from(slot).fill(1, 13, 14)))).to.equal(undefined)
    expect(collect([slots[0], ...slots])?.name).to.equal('a name that takes three of the slots')
  })

  it('has the checksum of the specification', () => {
    let sum = 0
    for (const byte of raw) sum = (((sum & 1) << 7) + (sum >> 1) + byte) & 0xff
    expect(checksumOf(raw)).to.equal(sum)
  })

  it('keeps times from 1980 to 2107 to 2 s, creation to 10 ms', () => {
    fc.assert(
      fc.property(fc.integer({ min: 315_532_800_00, max: 4_354_819_199_99 }), (hundredths) => {
        const time = UNIX_EPOCH + hundredths * 100_000
        const dos = toDosTime(time)
        const date = new Date(hundredths * 10)
        expect([1980 + (dos.date >> 9), (dos.date >> 5) & 15, dos.date & 31]).to.deep.equal([
          date.getUTCFullYear(),
          date.getUTCMonth() + 1,
          date.getUTCDate(),
        ])
        expect(fromDosTime(dos.date, dos.time, dos.tenths)).to.equal(time)
        expect(time - fromDosTime(dos.date, dos.time)).to.be.within(0, 19_999_999)
      }),
    )
    expect(fromDosTime(0, 0)).to.equal(0)
    expect(toDosTime(0).date).to.equal(0x21)
    expect(toDosTime(1e18).date >> 9).to.equal(127)
  })
})
