/** Keys while the keyboard's drivers die: each arrives once, in order, whatever had been read of it. */
import { expect } from 'chai'
import { scaled } from '../support/scale.ts'
import { Dice } from './campaign.ts'
import { makeDisk } from './volume.ts'
import { World } from './world.ts'

const LINES = [
  'rem the quick brown fox jumps over 13 lazy dogs',
  'rem AAAA aaaa ---- "quoted; (and) so on" %&/=?',
  'rem and once more: 0123456789',
]
/** Of the lines above, roughly: deaths are drawn from them. */
const EVENTS = 5000

describe('keys', function () {
  this.timeout(60 * 60_000)

  it('arrive once each while the drivers of the keyboard die', async () => {
    for (let seed = 1; seed <= scaled(60, 8); seed++) {
      const dice = new Dice(seed)
      const disk = makeDisk({ fat: 12, partitioned: false, files: {} })
      const world = new World({ seed, disk, maxDelay: [0.05, 0.5, 4][seed % 3] })
      await world.boot()
      const from = world.rows.length
      let event = dice.below(EVENTS)
      for (let count = 1 + dice.below(4); count > 0; count--) {
        const name = dice.pick(['i8042prt', 'i8042prt', 'kbdclass'])
        world.atEvent(event, () => world.kill(name))
        event += dice.pick([3, 40, 400])
      }
      for (const line of LINES) await world.enter(line)
      expect(world.rows.slice(from), `seed ${seed}: ${world.died.join(' ')}`).deep.equal(
        LINES.map((line) => `C:\\>${line}`),
      )
    }
  })
  it('wait when nobody reads them', async () => {
    const world = new World({ seed: 3, disk: makeDisk({ fat: 12, partitioned: false, files: {} }) })
    await world.boot()
    // The prompt hangs in its echo while the display does: far more keys than any queue has room for.
    world.kill('display', 'SIGSTOP')
    const line = `rem ${'0123456789'.repeat(6)}`
    await world.enter(line)
    await world.enter(line)
    expect(world.rows.slice(-2)).deep.equal([`C:\\>${line}`, `C:\\>${line}`])
  })
})
