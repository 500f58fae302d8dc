/** Every attack of attacks/, by a real process: who makes it is ended or limited, and nobody else notices. */
import { expect } from 'chai'
import { isAtLeast } from '../support/scale.ts'
import { Arena } from './arena.ts'
import { ATTACKS } from './attacks/index.ts'

/** One whose baseline is never steady tells nothing and is skipped; where nothing may be skipped, most must tell something. */
const mustMeasure = process.env.NEPTUNE_REQUIRE_ORACLES === '1'
const MOST = 3 / 4
/** So many in a row without a baseline: the machine is busy for long, and looking on would take an hour. */
const UNSTEADY_MAX = 3
/** Two floods say most, where there is not time for all. */
const measured = ATTACKS.filter(
  ({ name }) => isAtLeast('ci') || ['a million messages at the gate', 'a million messages to a server'].includes(name),
)

/** One arena for all, and a new one when an attack has broken something: that is not the next one's. */
function arenas(slowpath: boolean): () => Arena {
  let arena: Arena | undefined
  beforeEach(async () => {
    arena ??= await Arena.open({ slowpath })
  })
  afterEach(async function () {
    if (this.currentTest?.state !== 'failed') return
    await arena?.close()
    arena = undefined
  })
  after(() => arena?.close())
  return () => arena as Arena
}

describe('a hostile process tries', function () {
  this.timeout(300_000)
  const arena = arenas(false)
  for (const attack of ATTACKS) it(attack.name, () => arena().make(attack))

  describe('and the others do not notice:', () => {
    let unsteady = 0
    let told = 0
    for (const attack of measured)
      it(attack.name, async function () {
        const latency = unsteady < UNSTEADY_MAX ? await arena().measure(attack) : 'unsteady'
        unsteady = latency === 'unsteady' ? unsteady + 1 : 0
        if (latency !== 'unsteady') told++
        else if (mustMeasure) return
        else return this.skip()
        expect(latency).to.equal('undisturbed')
      })
    if (mustMeasure)
      it('as was seen of most of them', () => expect(told).to.be.at.least(Math.ceil(MOST * measured.length)))
  })
})
if (isAtLeast('ci'))
  describe('a hostile process tries, where every message goes through the kernel,', function () {
    this.timeout(300_000)
    const arena = arenas(true)
    for (const attack of ATTACKS.filter(({ onSlowpath }) => onSlowpath !== 'none'))
      it(attack.name, () => arena().make(attack))
  })
