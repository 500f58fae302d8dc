/** What sync has promised: after it, any death, also of everyone at once, loses nothing that was there before. */
import { expect } from 'chai'
import { endAll, startTime } from '../../tools/processes.ts'
import { hashOf, noise } from '../support/disk-image.ts'
import { scaled } from '../support/scale.ts'
import { Stage } from '../support/stage.ts'
import type { System } from '../support/system.ts'
import { Copy } from '../support/watch.ts'

const MiB = 1 << 20
const BYTES = 6 * MiB
/** What fsck.fat may say of a volume whose system died: repairs that lose nothing. */
const HARMLESS: readonly RegExp[] = [
  /^Dirty bit is set\. Fs was not properly unmounted and some data may be corrupt\.$/,
  /^Automatically removing dirty bit\.$/,
  /^Reclaimed \d+ unused clusters? \(\d+ bytes\)\.?( in \d+ chains?)?\.?$/,
  /^Orphaned long file name part /,
  /^Free cluster summary (wrong|uninitialized)/,
  /^Auto-(correcting|setting)\.$/,
  /^Leaving filesystem unchanged\.$/,
]

/** No order, no chance to react: the launcher too, so that nobody tidies up before the others are dead. */
async function endEverybody(system: System): Promise<void> {
  const launcher = system.launcher.pid as number
  const everybody = [{ pid: launcher, startTime: startTime(launcher) ?? -1 }, ...system.processes()]
  expect(await endAll(everybody, 10_000)).deep.equal([])
}

describe('after sync, the death of everyone', function () {
  this.timeout(120_000)
  const stage = Stage.ofEachTest()

  const rounds = scaled(8, 1)
  for (let round = 0; round < rounds; round++)
    it(`leaves every byte on the disk (${round + 1} of ${rounds})`, async function () {
      const disk = stage.disk(this, { fat: 32, bytes: 64 * MiB })
      const source = noise(BYTES, `durability ${round}`)
      disk.put('Source.bin', source)
      disk.put('Old name.txt', noise(3000, 'old'))
      disk.put('Goes away.txt', noise(3000, 'gone'))
      const system = await stage.boot()
      for (const line of [
        'md Kept',
        'md "Kept\\A directory inside"',
        'copy Source.bin "Kept\\A directory inside\\The copy.bin"',
      ])
        expect(await system.enter(line)).match(/^( +1 file\(s\) copied\.)?$/)
      expect(await system.enter('ren "Old name.txt" "Kept\\New name.txt"')).equal('')
      expect(await system.enter('del "Goes away.txt"')).equal('')
      expect(await system.enter('sync')).equal('')
      // The next change is under way when everyone dies.
      const unsynced = new Copy(system, 'copy Source.bin Unsynced.bin', BYTES)
      await unsynced.reached((round % 8) / 10)
      await endEverybody(system)

      expect(disk.hash('Kept/A directory inside/The copy.bin')).equal(hashOf(source))
      expect(disk.hash('Kept/New name.txt')).equal(hashOf(noise(3000, 'old')))
      const names = disk.list()
      expect(names).include.members(['Source.bin', 'Kept/', 'Kept/A directory inside/'])
      expect(names).not.include.members(['Old name.txt'])
      expect(names).not.include.members(['Goes away.txt'])
      expect(disk.complaints().filter((line) => !HARMLESS.some((harmless) => harmless.test(line)))).deep.equal([])
      await system.expectNothingLeft()
    })
})
