/**
 * Volumes that lie: boot sectors, tables and directories with any bytes changed. Whatever is asked of them ends, with success
 * or a declared status, and writes stay inside the volume (the harness sees to that).
 */
import * as nt from '#contracts/information'
import { SystemServices } from '#contracts/nt'
import { StatusError, statusName } from '#rtl'
import { expect } from 'chai'
import fc from 'fast-check'
import { parseBootSector } from '../../drivers/filesystems/fatfs/boot.ts'
import { type FakeFs, mountImage } from './harness.ts'
import { bareVolume } from './volume-maker.ts'

const DECLARED = new Set<string>([
  ...SystemServices.methods.NtCreateFile.spec.errors,
  ...SystemServices.methods.NtSetInformationFile.spec.errors,
  ...SystemServices.methods.NtQueryDirectoryFile.spec.errors,
])
const SCALE = process.env.NEPTUNE_TEST_SCALE === 'nightly' ? 20 : process.env.NEPTUNE_TEST_SCALE === 'ci' ? 5 : 1

async function attempt(work: () => Promise<unknown>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof StatusError)) throw error
    expect(DECLARED, statusName(error.status)).to.include(statusName(error.status))
  }
}

async function filled(type: 12 | 16 | 32): Promise<Buffer> {
  const fs = await mountImage(bareVolume(type))
  await fs.mkdir('\\sub')
  await fs.writeFile('\\sub\\a longer file name.txt', Buffer.alloc(5000, 1))
  await fs.writeFile('\\FILE.TXT', Buffer.alloc(3000, 2))
  await fs.mkdir('\\sub\\deeper')
  for (let i = 0; i < 20; i++) await fs.writeFile(`\\sub\\deeper\\number ${i}`, Buffer.alloc(i * 100))
  await fs.dismount()
  return fs.disk
}

async function exercise(fs: FakeFs): Promise<void> {
  for (const path of ['\\', '\\sub', '\\sub\\deeper']) await attempt(() => fs.list(path))
  await attempt(() => fs.readFile('\\sub\\a longer file name.txt'))
  await attempt(() => fs.readFile('\\FILE.TXT'))
  await attempt(() => fs.freeBytes())
  await attempt(() => fs.writeFile('\\sub\\new file with a name', Buffer.alloc(4000)))
  await attempt(() => fs.mkdir('\\sub\\deeper\\directory'))
  await attempt(() => fs.rename('\\FILE.TXT', '\\sub\\moved to here.txt'))
  await attempt(() => fs.rename('\\sub\\deeper', '\\away'))
  await attempt(() => fs.remove('\\sub\\a longer file name.txt'))
  await attempt(() => fs.open('\\sub', { disposition: nt.FILE_OVERWRITE_IF }))
  await attempt(() => fs.dismount())
}

describe('fatfs on volumes that lie', () => {
  for (const type of [12, 16, 32] as const)
    it(`FAT${type}: any metadata bytes changed`, async function () {
      this.timeout(60_000)
      const image = await filled(type)
      const { dataOffset } = parseBootSector(image, image.length)
      const places = fc.array(fc.tuple(fc.nat(dataOffset + 20_000), fc.nat(255)), { minLength: 1, maxLength: 40 })
      const near = fc.array(fc.tuple(fc.nat(600), fc.nat(255)), { maxLength: 6 })
      await fc.assert(
        fc.asyncProperty(places, near, async (anywhere, inTables) => {
          const disk = Buffer.from(image)
          const { fatOffset } = parseBootSector(image, image.length)
          for (const [at, value] of anywhere) disk[at] = value
          for (const [at, value] of inTables) disk[fatOffset + at] = value
          await attempt(async () => exercise(await mountImage(disk)))
        }),
        { numRuns: 60 * SCALE },
      )
    })

  it('any boot sector at all is refused or has its structures inside the device', () => {
    const plausible = bareVolume(16).subarray(0, 512)
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 11, max: 70 }), fc.nat(255)), { maxLength: 8 }), (changes) => {
        const bytes = Buffer.from(plausible)
        for (const [at, value] of changes) bytes[at] = value
        try {
          const geometry = parseBootSector(bytes, 4 << 20)
          expect(geometry.volumeSize).to.be.at.most(4 << 20)
          expect(geometry.dataOffset + geometry.CountOfClusters * geometry.BytsPerClus).to.be.at.most(
            geometry.volumeSize,
          )
          expect(geometry.rootOffset + geometry.rootBytes).to.be.at.most(geometry.dataOffset)
        } catch (error) {
          expect(error).to.be.instanceOf(StatusError)
        }
      }),
      { numRuns: 1000 * SCALE },
    )
    expect(() => parseBootSector(new Uint8Array(511), 1 << 20)).to.throw(StatusError, 'STATUS_UNRECOGNIZED_VOLUME')
  })

  it('chains that run in a circle, leave the volume or end early are damage, not a hang', async () => {
    for (const value of [0x0fff, 2, 3, 0, 1, 0xff7, 0xabc]) {
      const image = await filled(12)
      const { fatOffset } = parseBootSector(image, image.length)
      // Entries 2 and 3 of FAT12 share three bytes.
      image[fatOffset + 3] = value & 0xff
      image[fatOffset + 4] = (value >> 8) | ((value & 0xf) << 4)
      image[fatOffset + 5] = value >> 4
      await attempt(async () => exercise(await mountImage(image)))
    }
  })
})
