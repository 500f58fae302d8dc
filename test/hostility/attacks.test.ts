/** Every attack of attacks.ts, by a real process: who makes it is ended or limited, and nobody else notices. */
import { Arena } from './arena.ts'
import { ATTACKS } from './attacks.ts'

describe('a hostile process tries', function () {
  this.timeout(180_000)
  let arena: Arena | undefined
  beforeEach(async () => {
    arena ??= await Arena.open({ slowpath: false })
  })
  /** What one attack has broken is not the next one's. */
  afterEach(async function () {
    if (this.currentTest?.state === 'passed') return
    await arena?.close()
    arena = undefined
  })
  after(() => arena?.close())

  for (const attack of ATTACKS) it(attack.name, () => arena?.make(attack))
})
