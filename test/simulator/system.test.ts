/**
 * The whole system under seeded scheduling: a story of commands, deaths at drawn moments, and a disk that is judged after
 * it. A failure names its seed; NEPTUNE_SEED=n runs that one alone.
 */
import { expect } from 'chai'
import { scaled } from '../support/scale.ts'
import { bootWithDeath, controllerDeaths, crash, KEYBOARD, STORAGE, survive } from './campaign.ts'

/** Seeds that found a defect once. */
const SURVIVED = [70, 1045, 1102, 1121, 2005, 2058, 2122, 3074]
const CRASHED = [62, 70, 146]
const BOOTED = [105]
const FIRST_SEED = 100_000
const MATRIX_SEED = 7
/** In the middle of the copy of the matrix' story. */
const MIDDLE = 900

const only = process.env.NEPTUNE_SEED === undefined ? undefined : [Number(process.env.NEPTUNE_SEED)]
const seeds = (count: number): number[] => only ?? Array.from({ length: count }, (_, i) => FIRST_SEED + i)

describe('the whole system in the simulator', function () {
  this.timeout(60 * 60_000)

  it('is the same twice for one seed', async () => {
    const [one, two] = [await survive(MATRIX_SEED), await survive(MATRIX_SEED)]
    expect(one.log).equal(two.log)
    expect(one.events).equal(two.events)
  })
  it('hides the death of any one part', async () => {
    for (const name of [...STORAGE, ...KEYBOARD, 'display', 'rtc'])
      await survive(MATRIX_SEED, [{ at: MIDDLE, name, signal: 'SIGKILL' }])
  })
  it('keeps what it learned', async () => {
    const share = (list: readonly number[]) => list.slice(0, scaled(list.length, 2))
    for (const seed of share(SURVIVED)) await survive(seed)
    for (const seed of share(CRASHED)) await crash(seed)
    for (const seed of BOOTED) await bootWithDeath(seed)
  })
  it('hides deaths at any moment', async () => {
    for (const seed of seeds(scaled(40))) await survive(seed)
  })
  it("hides the deaths of the disk's controller", async () => {
    for (const seed of seeds(scaled(200))) await survive(seed, controllerDeaths(seed))
  })
  it('comes up although somebody dies meanwhile', async () => {
    for (const seed of seeds(scaled(30))) await bootWithDeath(seed)
  })
  it('keeps what was synced when the machine stops at any moment', async () => {
    for (const seed of seeds(scaled(40))) await crash(seed)
  })
})
