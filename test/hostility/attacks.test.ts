/** Every attack of attacks.ts, by a real process: who makes it is ended or limited, and nobody else notices. */
import { expect } from 'chai'
import { isAtLeast } from '../support/scale.ts'
import { Arena } from './arena.ts'
import { ATTACKS } from './attacks.ts'

/** One whose baseline is never steady tells nothing: skipped, and a failure where nothing may be skipped. */
const mustMeasure = process.env.NEPTUNE_REQUIRE_ORACLES === '1'

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
    for (const attack of ATTACKS.filter(({ loud }) => loud || isAtLeast('ci')))
      it(attack.name, async function () {
        const latency = await arena.measure(attack)
        if (latency === 'unsteady' && !mustMeasure) return this.skip()
        expect(latency).to.equal('undisturbed')
      })
  })
})
