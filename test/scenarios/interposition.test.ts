/** Messages of a running system delayed, traced and let go again, from another terminal, while a copy is under way. */
import { expect } from 'chai'
import { hashOf, noise } from '../support/disk-image.ts'
import { neptune } from '../support/neptune.ts'
import { Stage } from '../support/stage.ts'
import { Copy } from '../support/watch.ts'

const MiB = 1 << 20
const BYTES = 16 * MiB

describe('interposing', function () {
  this.timeout(120_000)
  const stage = Stage.ofEachTest()

  it('while a copy runs: it goes on, slower, and nothing is lost when paths change', async function () {
    const disk = stage.disk(this, { fat: 32, bytes: 96 * MiB })
    const source = noise(BYTES, 'interposing')
    disk.put('source.bin', source)
    disk.makeDirectory('Target')
    const system = await stage.boot()
    const { run } = system
    const command = (...args: string[]) => neptune('interpose', ...args, '--run', run)

    // So slow that the copy lasts while the commands start.
    const delayed = await command('storahci.executive', 'delay', '--ms', '20', '--direction', 'both', '--seed', '3')
    expect(delayed.out).match(/ storahci +delay +both +1 +20 +3 /)
    const copy = new Copy(system, 'copy source.bin \\Target\\copy.bin', BYTES)
    await copy.reached(1 / 16)
    expect((await command('fatfs.executive', 'trace')).code).equal(0)
    const seen = await command('--messages')
    expect(seen.out).match(/storahci +executive +CALL +WdmRequestIoPackets +\d+ +delay/)
    expect(seen.out).match(/executive +storahci +REPLY /)
    expect((await command('--off')).out).match(/\n +2 .* fatfs +trace/)
    expect((await copy.finish()).trim()).equal('1 file(s) copied.')
    expect((await command()).out).equal('nothing is interposed\n')
    expect((await neptune('check', '--run', run)).out).equal('every invariant holds\n')

    await stage.endWell()
    expect(disk.hash('Target/copy.bin')).equal(hashOf(source))
  })
  it('says in one sentence what was wrong with a rule', async () => {
    const { run } = await stage.boot()
    for (const [args, sentence] of [
      [
        ['storahci.executive'],
        /^neptune: which action\? trace, delay, drop, corrupt, duplicate or reorder; for example/,
      ],
      [['storahci.executive', 'lose'], /^neptune: action is lose; it may be trace, delay/],
      [['storahci.nothing', 'drop'], /^neptune: no endpoint storahci\.nothing: PROCESS\.CAPABILITY, as neptune caps/],
      [['storahci.executive', 'drop', '--rate', '2'], /^neptune: rate is 2; it may be from 0 to 1/],
      [['storahci.executive', 'delay', '--ms', 'long'], /^neptune: --ms long is not a number/],
      [['--off', '9'], /^neptune: no interposition 9/],
    ] as const) {
      const { code, err, out } = await neptune('interpose', ...args, '--run', run)
      expect([code, out]).deep.equal([2, ''])
      expect(err).match(sentence)
    }
  })
})
