/** The promise of the whole: a copy under way survives the death of the disk's driver, then of the file system, unnoticed. */
import { expect } from 'chai'
import { isAtLeast } from '../support/scale.ts'
import { type DiskOptions, hashOf, noise } from '../support/disk-image.ts'
import { Stage } from '../support/stage.ts'
import { Copy, generationOf } from '../support/watch.ts'

const MiB = 1 << 20
interface Case {
  readonly what: string
  readonly disk: DiskOptions
  readonly bytes: number
  readonly slowpath?: boolean
  readonly always?: boolean
}
const CASES: readonly Case[] = [
  { what: 'FAT32, 64 MiB', disk: { fat: 32, bytes: 192 * MiB }, bytes: 64 * MiB, always: true },
  {
    what: 'FAT32, 64 MiB, every message through the kernel',
    disk: { fat: 32, bytes: 192 * MiB },
    bytes: 64 * MiB,
    slowpath: true,
  },
  { what: 'FAT32 in a GPT', disk: { fat: 32, bytes: 96 * MiB, table: 'gpt' }, bytes: 24 * MiB, always: true },
  {
    what: 'FAT16 in an MBR',
    disk: { fat: 16, bytes: 96 * MiB, table: 'mbr' },
    bytes: 24 * MiB,
    slowpath: true,
    always: true,
  },
  { what: 'FAT16', disk: { fat: 16, bytes: 64 * MiB }, bytes: 24 * MiB },
  { what: 'FAT12', disk: { fat: 12, bytes: 32 * MiB, sectorsPerCluster: 64 }, bytes: 12 * MiB, always: true },
]
const SOURCE = 'A rather long directory name/Nested one deeper/The source of the copy.bin'
const SMALL = 'A rather long directory name/Ångström & Müller.txt'

describe('a copy while its drivers are killed', function () {
  this.timeout(180_000)
  const stage = Stage.ofEachTest()

  for (const { what, disk: options, bytes, slowpath, always } of CASES)
    it(`completes, unnoticed: ${what}`, async function () {
      if (!always && !isAtLeast('ci')) this.skip()
      const disk = stage.disk(this, options)
      const source = noise(bytes, what)
      disk.put(SOURCE, source)
      disk.put(SMALL, noise(5000, 'small'))
      disk.makeDirectory('Target')
      const system = await stage.boot({ slowpath })
      const lives = [await generationOf(system, 'storahci'), await generationOf(system, 'fatfs')]

      const copy = new Copy(system, `copy "${SOURCE.replaceAll('/', '\\')}" \\Target\\copy.bin`, bytes)
      await copy.reached(1 / 4)
      await copy.strikeAndReturn('storahci')
      await copy.reached(1 / 2)
      await copy.strikeAndReturn('fatfs')
      expect((await copy.finish()).trim()).equal('1 file(s) copied.')

      expect([await generationOf(system, 'storahci'), await generationOf(system, 'fatfs')]).deep.equal(
        lives.map((n) => n + 1),
      )
      await stage.endWell()
      expect(disk.hash('Target/copy.bin')).equal(hashOf(source))
      expect(disk.hash(SOURCE)).equal(hashOf(source))
    })
})
