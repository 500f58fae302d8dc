import { createHash } from 'node:crypto'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect } from 'chai'
import { ask, oracle } from '../../test/support/oracles.ts'
import { layoutOf } from './fat16.ts'
import { FIRST_DISK, makeDiskImage, pattern, welcomeTree } from './image.ts'

const sha = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

describe('disk images', () => {
  let folder: string
  let image: string
  beforeEach(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'neptune-image-'))
    image = path.join(folder, 'disk.img')
  })
  afterEach(() => fs.rmSync(folder, { recursive: true }))

  it('has a layout that covers the volume and no more', () => {
    for (const sectors of [65536, 63488, 20000, 250000]) {
      const { dataSector, clusters, FATSz16 } = layoutOf(sectors)
      expect(dataSector + clusters * 4).within(sectors - 3, sectors)
      expect((clusters + 2) * 2).at.most(FATSz16 * 512)
    }
    expect(() => layoutOf(1000)).throw(RangeError)
  })
  it('never overwrites a file', () => {
    fs.writeFileSync(image, 'mine')
    expect(() => makeDiskImage(image, { tree: {} })).throw(/EEXIST/)
    expect(fs.readFileSync(image, 'utf8')).equal('mine')
  })
  it('leaves no file when the files do not fit', () => {
    expect(() => makeDiskImage(image, { tree: { BIG: new Uint8Array(40 << 20) } })).throw(RangeError)
    expect(fs.existsSync(image)).equal(false)
  })
  it('is clean for fsck.fat', function () {
    const fsck = oracle(this, 'fsck.fat', 'dosfstools')
    makeDiskImage(image, { tree: welcomeTree(FIRST_DISK.big), bytes: FIRST_DISK.bytes })
    expect(ask(fsck, ['-n', image])).include('clusters')
  })
  it('holds its files for mtools, whole or partitioned', function () {
    const mcopy = oracle(this, 'mcopy', 'mtools')
    for (const partitioned of [false, true]) {
      fs.rmSync(image, { force: true })
      makeDiskImage(image, { tree: welcomeTree(), partitioned })
      const drive = partitioned ? `${image}@@1M` : image
      ask(mcopy, ['-n', '-i', drive, '::big.bin', path.join(folder, 'big')])
      expect(sha(fs.readFileSync(path.join(folder, 'big')))).equal(sha(pattern(4 << 20)))
      fs.rmSync(path.join(folder, 'big'))
      expect(
        ask(mcopy, ['-n', '-i', drive, '::docs/a rather long directory name/and a file inside it.txt', '-']),
      ).match(/Nested/)
    }
  })
  it('has a partition table that sfdisk reads', function () {
    const sfdisk = oracle(this, 'sfdisk', 'fdisk')
    makeDiskImage(image, { tree: {}, partitioned: true })
    expect(ask(sfdisk, ['--dump', image])).match(/start=\s*2048, size=\s*63488, type=6, bootable/)
  })
})
