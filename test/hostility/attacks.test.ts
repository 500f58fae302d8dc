/** Every attack of attacks.ts, by a real process: who makes it is ended or limited, and nobody else notices. */
import { expect } from 'chai'
import { isAtLeast } from '../support/scale.ts'
import { Arena } from './arena.ts'
import { ATTACKS } from './attacks.ts'

/** One whose baseline is never steady tells nothing: skipped, and a failure where nothing may be skipped. */
const mustMeasure = process.env.NEPTUNE_REQUIRE_ORACLES === '1'
/** So many in a row without a baseline: the machine is busy for long, and looking on would take an hour. */
const UNSTEADY_MAX = 3
/** Two floods say most, where there is not time for all. */
const chosen = ATTACKS.filter(
  ({ name }) => isAtLeast('ci') || ['a million messages at the gate', 'a million messages to a server'].includes(name),
)

describe('a hostile process tries', function () {
  this.timeout(300_000)
  let arena: Arena
  let broken = true
  beforeEach(async () => {
    if (broken) arena = await Arena.open({ slowpath: false })
    broken = false
  })
  /** What one attack has broken is not the next one's. */
  afterEach(async function () {
    if (this.currentTest?.state !== 'failed') return
    broken = true
    await arena.close()
  })
  after(() => arena.close())

  for (const attack of ATTACKS) it(attack.name, () => arena.make(attack))

  describe('and the others do not notice:', () => {
    let unsteady = 0
    for (const attack of chosen)
      it(attack.name, async function () {
        const latency = unsteady < UNSTEADY_MAX ? await arena.measure(attack) : 'unsteady'
        unsteady = latency === 'unsteady' ? unsteady + 1 : 0
        if (latency === 'unsteady' && !mustMeasure) return this.skip()
        expect(latency).to.equal('undisturbed')
      })
  })
})
