import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect } from 'chai'
import fc from 'fast-check'
import { ImageError, openImage } from './image.ts'

describe('disk images', () => {
  let directory = ''
  let file = ''
  const fresh = (bytes: number) => {
    fs.writeFileSync(
      file,
      Uint8Array.from({ length: bytes }, (_, i) => (i >> 9) & 0xff),
    )
    return file
  }
  before(() => {
    directory = fs.mkdtempSync(path.join(os.tmpdir(), 'image-'))
    file = path.join(directory, 'disk.img')
  })
  after(() => fs.rmSync(directory, { recursive: true }))

  it('says what is wrong with a bad image', () => {
    const refused =
      (file: string, mode: 'rw' | 'ro' = 'rw') =>
      () =>
        openImage({ path: file, mode })
    expect(refused(path.join(directory, 'none'))).to.throw(/There is no disk image .*check the path/)
    expect(refused(directory)).to.throw(/is a directory; name a disk image file/)
    expect(refused('/dev/null', 'ro')).to.throw(/not a regular file/)
    fs.writeFileSync(file, '')
    expect(refused(file)).to.throw(/is empty/)
    fs.writeFileSync(file, 'x'.repeat(513))
    expect(refused(file)).to.throw(/513 bytes, not a multiple of 512/)
  })

  it('is locked while open: one writer, or any number of readers', () => {
    fresh(1024)
    const writer = openImage({ path: file, mode: 'rw' })
    expect(() => openImage({ path: file, mode: 'rw' })).to.throw(/in use by another system; end it, or make a copy/)
    expect(() => openImage({ path: file, mode: 'snapshot' })).to.throw(/in use by another system; end it first/)
    writer.close()
    const readers = [openImage({ path: file, mode: 'ro' }), openImage({ path: file, mode: 'snapshot' })]
    expect(() => openImage({ path: file, mode: 'rw' })).to.throw(/in use/)
    for (const reader of readers) reader.close()
    openImage({ path: file, mode: 'rw' }).close()
  })

  it('reads and writes scattered memory', () => {
    const image = openImage({ path: fresh(8192), mode: 'rw' })
    const pieces = Array.from({ length: 3000 }, () => new Uint8Array(2))
    image.read(pieces, 512)
    expect(pieces[0][0]).to.equal(1)
    expect(pieces[2999][1]).to.equal((512 + 5999) >> 9)
    image.write([Uint8Array.of(7, 8), new Uint8Array(510).fill(9)], 1024)
    image.flush()
    image.close()
    expect([...fs.readFileSync(file).subarray(1024, 1028)]).to.deep.equal([7, 8, 9, 9])
  })

  it('says where an image ends that was cut while in use', () => {
    const image = openImage({ path: fresh(8192), mode: 'rw' })
    fs.truncateSync(file, 4096)
    expect(() => image.read([new Uint8Array(2048)], 3072))
      .to.throw(ImageError)
      .with.property('offset', 4096)
    image.close()
  })

  it('keeps a snapshot as a file would be, and the base untouched', () => {
    const size = 40 * 512
    const write = fc.record({
      at: fc.nat(39),
      sectors: fc.integer({ min: 1, max: 20 }),
      value: fc.integer({ min: 1, max: 255 }),
    })
    fc.assert(
      fc.property(fc.array(write, { maxLength: 8 }), (writes) => {
        const model = fs.readFileSync(fresh(size))
        const image = openImage({ path: file, mode: 'snapshot', overlayDirectory: directory })
        for (const { at, sectors, value } of writes) {
          const bytes = new Uint8Array(Math.min(sectors, 40 - at) * 512).fill(value)
          image.write([bytes.subarray(0, 100), bytes.subarray(100)], at * 512)
          model.set(bytes, at * 512)
        }
        const read = Buffer.alloc(size)
        image.read([read.subarray(0, 700), read.subarray(700)], 0)
        const part = new Uint8Array(1536)
        image.read([part], 5 * 512)
        image.close()
        expect(read.equals(model)).to.equal(true)
        expect(model.subarray(5 * 512, 8 * 512).equals(part)).to.equal(true)
        expect(fs.readFileSync(file)[39 * 512]).to.equal(39)
        expect(fs.readdirSync(directory)).to.deep.equal(['disk.img'])
      }),
      { numRuns: 40 },
    )
  })
})
