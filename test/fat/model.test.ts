/** Any work on a volume against a map of names to bytes; then fsck.fat and a fresh mount must agree with the map. */
import * as nt from '#contracts/information'
import { expect } from 'chai'
import fc from 'fast-check'
import { mountImage, statusOf } from './harness.ts'
import { ImageFolder, toolPath } from './oracles.ts'
import { bareVolume } from './volume-maker.ts'

const SCALE = process.env.NEPTUNE_TEST_SCALE === 'nightly' ? 20 : process.env.NEPTUNE_TEST_SCALE === 'ci' ? 4 : 1
const NAMES = [
  'A.TXT',
  'lower.txt',
  'Mixed Case Name.txt',
  'a name that is long enough for four slots of a directory',
  'Ünïcode',
  'x',
]
const FOLDERS = ['', '\\One', '\\two with a long name', '\\One\\inner']

const name = fc.constantFrom(...NAMES)
const folder = fc.constantFrom(...FOLDERS)
const path = fc.tuple(folder, name).map(([above, last]) => `${above}\\${last}`)
const step = fc.oneof(
  fc.record({ kind: fc.constant('write' as const), path, offset: fc.nat(6000), length: fc.nat(9000) }),
  fc.record({ kind: fc.constant('resize' as const), path, size: fc.nat(20_000) }),
  fc.record({ kind: fc.constant('rename' as const), path, to: path, replace: fc.boolean() }),
  fc.record({ kind: fc.constant('remove' as const), path }),
  fc.record({ kind: fc.constant('remount' as const) }),
)
const resized = (data: Buffer, size: number) =>
  Buffer.concat([data.subarray(0, size), Buffer.alloc(Math.max(0, size - data.length))])

describe('fatfs against a model', () => {
  const oracle = toolPath('fsck.fat') ? new ImageFolder() : undefined
  after(() => oracle?.remove())

  for (const type of [12, 16, 32] as const)
    it(`FAT${type}: any sequence of changes`, async function () {
      this.timeout(60_000)
      const property = fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), async (steps) => {
        const parked = new Map<string, Uint8Array>()
        let fs = await mountImage(bareVolume(type), { parked })
        for (const directory of FOLDERS.slice(1)) await fs.mkdir(directory)
        const model = new Map<string, Buffer>()
        let fill = 0
        for (const one of steps) {
          if (one.kind === 'remount') {
            await fs.dismount()
            fs = await mountImage(fs.disk, { parked })
            continue
          }
          const data = model.get(one.path)
          if (one.kind === 'write') {
            const file = await fs.open(one.path, { disposition: nt.FILE_OPEN_IF })
            const end = one.offset + one.length
            const next = resized(data ?? Buffer.alloc(0), Math.max(end, data?.length ?? 0))
            next.fill(++fill & 0xff, one.offset, end)
            // The cache zeroes what it skips: here, all that is new.
            await file.write(0, next)
            await file.close()
            model.set(one.path, next)
          } else if (!data) expect(await statusOf(fs.open(one.path))).to.equal('STATUS_OBJECT_NAME_NOT_FOUND')
          else if (one.kind === 'remove') {
            await fs.remove(one.path)
            model.delete(one.path)
          } else if (one.kind === 'resize') {
            const file = await fs.open(one.path)
            const next = resized(data, one.size)
            await file.setEndOfFile(one.size)
            if (next.length) await file.write(0, next)
            await file.close()
            model.set(one.path, next)
          } else {
            const expected =
              one.to !== one.path && model.has(one.to) && !one.replace
                ? 'STATUS_OBJECT_NAME_COLLISION'
                : 'STATUS_SUCCESS'
            expect(await statusOf(fs.rename(one.path, one.to, one.replace))).to.equal(expected)
            if (expected === 'STATUS_SUCCESS') {
              model.delete(one.path)
              model.set(one.to, data)
            }
          }
        }
        await fs.dismount()
        const fresh = await mountImage(Buffer.from(fs.disk), { readOnly: true })
        const found: string[] = []
        for (const above of FOLDERS)
          for (const { FileName, FileAttributes } of await fresh.list(above || '\\'))
            if (!(FileAttributes & nt.FILE_ATTRIBUTE_DIRECTORY)) found.push(`${above}\\${FileName}`)
        expect(found.sort()).to.deep.equal([...model.keys()].sort())
        for (const [at, data] of model) expect((await fresh.readFile(at)).equals(data), at).to.equal(true)
        expect(await fresh.freeBytes()).to.equal(await fs.freeBytes())
        const lines = oracle
          ?.complaints(fs.disk)
          .lines.filter((line) => !/^Warning: Filesystem is FAT32|^but has only|^This may lead/.test(line))
        expect(lines ?? []).to.deep.equal([])
      })
      await fc.assert(property, { numRuns: 12 * SCALE })
    })
})
