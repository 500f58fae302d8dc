/**
 * Random operations of eight processes against the model of who can reach what: every outcome and, again and again, all
 * that each can reach. NEPTUNE_SEED=n runs that seed alone.
 */
import { scaled } from '../support/scale.ts'
import { Run } from './run.ts'

const OPERATIONS = 10_000
const FIRST_SEED = 1
const only = process.env.NEPTUNE_SEED === undefined ? undefined : [Number(process.env.NEPTUNE_SEED)]
const SEEDS = only ?? Array.from({ length: scaled(20) }, (_, i) => FIRST_SEED + i)

describe('the kernel and the model of it', function () {
  this.timeout(10 * 60_000)
  for (const seed of SEEDS)
    it(`agree over ${OPERATIONS} operations, seed ${seed}`, async () => {
      const run = new Run(seed, { slowpath: seed % 2 === 1, maxDelay: 1 + (seed % 3) })
      await run.go(OPERATIONS)
    })
})
