/**
 * The screen as a stream of rows, when the display dies: whoever reads it sees each row once, those that were printed while the
 * display was away among them, and nothing that was never there.
 */
import { expect } from 'chai'
import { scaled } from '../support/scale.ts'
import { Dice } from './campaign.ts'
import { makeDisk } from './volume.ts'
import { World } from './world.ts'

/** More rows than video memory holds, and many more in one print than half of it. */
const MANY = Array.from({ length: 3000 }, (_, i) => `${i % 7 === 0 ? '' : i}`).join('\r\n')
const LINES = [
  'help',
  'copy MANY.TXT COPY.TXT',
  'type SHORT.TXT',
  'help',
  'md NEW',
  'type MIDDLE.TXT',
  'del COPY.TXT',
  'help',
]
/** Of the lines above, roughly: deaths are drawn from them. */
const EVENTS = 2600

function boot(seed: number): Promise<World> {
  const files = {
    'MANY.TXT': Buffer.from(MANY),
    'MIDDLE.TXT': Buffer.from(MANY.slice(0, 700)),
    'SHORT.TXT': Buffer.from('one\r\ntwo\r\n\r\nfour'),
  }
  const disk = makeDisk({ fat: 16, partitioned: false, files })
  const world = new World({ seed, disk, maxDelay: [0.05, 0.5, 4][seed % 3] })
  return world.boot().then(() => world)
}
/** Everything printed from power-on to the last prompt, blank rows included. */
async function session(world: World): Promise<string[]> {
  for (const line of LINES) await world.enter(line)
  const rows = [...world.rows]
  world.spareTheRest()
  await world.shutdown()
  return rows
}

describe('the rows of the screen', function () {
  this.timeout(60 * 60_000)

  it('are all there, whatever one command prints', async () => {
    const world = await boot(1)
    const said = await world.enter('type MANY.TXT')
    expect(said.split('\n').map((row) => row.trimEnd())).deep.equal(MANY.split('\r\n'))
  })
  it('come once each, and all of them, when the display dies at any moment', async () => {
    const undisturbed = await session(await boot(2))
    for (let seed = 1; seed <= scaled(100, 8); seed++) {
      const dice = new Dice(seed)
      const world = await boot(seed)
      let event = dice.below(EVENTS)
      for (let count = 1 + dice.below(3); count > 0; count--) {
        const signal = dice.chance(3) ? 'SIGSTOP' : 'SIGKILL'
        world.atEvent(event, () => world.kill('display', signal))
        event += dice.pick([3, 40, 400])
      }
      const rows = await session(world)
      const at = rows.findIndex((row, i) => row !== undisturbed[i])
      const around = (all: readonly string[]) => (at < 0 ? all.length : all.slice(Math.max(0, at - 3), at + 5))
      expect(around(rows), `seed ${seed}, row ${at}: ${world.died.join(' ')}`).deep.equal(around(undisturbed))
    }
  })
})
