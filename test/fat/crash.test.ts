/**
 * Power lost between any two steps: after every phase of every commit, fsck.fat finds nothing but the dirty mark, lost
 * clusters, and a wrong free count. A file that grows or shrinks may be seen with a chain longer than its size: the
 * clusters behind its end are then the lost ones, they still hang on the file.
 */
import * as nt from '#contracts/information'
import { expect } from 'chai'
import { type FakeFs, mountImage } from './harness.ts'
import { ImageFolder, needTools } from './oracles.ts'

const KIB = 1024
const ALLOWED = [
  /^0x[0-9a-f]+: Dirty bit is set|^Dirty bit is set|not properly unmounted|Automatically removing dirty bit|^\d\) |some data may be corrupt/i,
  /^Reclaimed \d+ unused clusters?( \(\d+ bytes\))?( in \d+ chains?)?\.?$/,
  /^Free cluster summary wrong|^Auto-correcting|Free cluster summary uninitialized/,
  /cluster chain length is > \d+ bytes|^Truncating file to \d+ bytes/,
  /^Leaving filesystem unchanged|^\//,
]

/** Of a volume made small on purpose. */
const SMALL_FAT32 = /^Warning: Filesystem is FAT32|^but has only \d+ clusters|^This may lead to problems/

/** Everything that changes a volume, growing directories and all. */
async function work(fs: FakeFs): Promise<void> {
  await fs.mkdir('\\dir')
  await fs.mkdir('\\dir\\sub directory')
  for (let i = 0; i < 12; i++) await fs.writeFile(`\\dir\\a file with a long name ${i}.txt`, Buffer.alloc(i * 700, i))
  const file = await fs.open('\\dir\\a file with a long name 3.txt')
  await file.setEndOfFile(20_000)
  await file.setEndOfFile(1)
  await file.setEndOfFile(0)
  await file.close()
  await fs.rename('\\dir\\a file with a long name 4.txt', '\\dir\\short.txt')
  await fs.rename('\\dir\\short.txt', '\\a very long name indeed, which needs many slots in the directory.text')
  await fs.rename('\\dir\\a file with a long name 5.txt', '\\dir\\a file with a long name 6.txt', true)
  await fs.rename('\\dir\\sub directory', '\\moved directory')
  const reopened = await fs.open('\\dir\\a file with a long name 7.txt', { disposition: nt.FILE_OVERWRITE })
  await reopened.write(0, Buffer.alloc(9000, 1))
  await reopened.close()
  for (let i = 8; i < 12; i++) await fs.remove(`\\dir\\a file with a long name ${i}.txt`)
  await fs.remove('\\moved directory')
}

describe('fatfs when the power goes', () => {
  let folder: ImageFolder
  before(function () {
    needTools(this, 'mkfs.fat', 'fsck.fat')
    folder = new ImageFolder()
  })
  after(() => folder?.remove())

  for (const [name, bytes, args] of [
    ['FAT12', 360 * KIB, ['-F', '12', '-s', '1']],
    ['FAT16', 2500 * KIB, ['-F', '16', '-s', '1']],
    ['FAT32', 1500 * KIB, ['-F', '32', '-s', '1']],
  ] as const)
    it(`needs no other repair on ${name}`, async function () {
      this.timeout(20_000)
      const image = folder.mkfs(bytes, ...args)
      const fs = await mountImage(Buffer.from(image))
      await work(fs)
      await fs.dismount()
      const disk = Buffer.from(image)
      const last = fs.events.length - 1
      for (const [i, { what, writes }] of fs.events.entries()) {
        for (const { offset, bytes: written } of writes) disk.set(written, offset)
        const lines = folder.complaints(disk).lines.filter((line) => !SMALL_FAT32.test(line))
        const others = lines.filter((line) => !ALLOWED.some((allowed) => allowed.test(line)))
        expect(others, `after ${what}: ${lines.join(' | ')}`).to.deep.equal([])
        if (i === last) expect(lines).to.deep.equal([])
      }
    })
})
