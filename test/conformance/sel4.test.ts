/** The conformance cases by their public names: in the simulator, between real processes, and there on the slow path. */
import { expect } from 'chai'
import type { Findings } from '../../kernel/invariants/index.ts'
import { Simulator } from '../../lib/sel4/sim.ts'
import { System } from '../kernel/system.ts'
import { checkSystem, expectInvariants } from '../support/invariants.ts'
import { CASES, helper, tester } from './cases/index.ts'
import { described } from './simulated.ts'
import { CHIP, chip, HELPER, LAUNCH } from './system.ts'

interface Outcome {
  readonly case: string
  readonly error: string | null
}
type Outcomes = ReadonlyMap<string, string | null>
const byCase = (lines: readonly Outcome[]): Outcomes => new Map(lines.map((line) => [line.case, line.error]))

async function simulated(slowpath: boolean): Promise<Outcomes> {
  const sim = new Simulator({ seed: 7, ...described(slowpath), images: { tester, helper, chip } })
  sim.boot()
  let judged = 0
  const done = () => {
    const cases = sim.said('tester', 'case')
    for (; judged < cases.length; judged++) broken(checkSystem(sim), cases[judged].fields as Outcome)
    return sim.said('tester', 'done').length > 0 || sim.ended !== undefined
  }
  await sim.runUntil(done, 400_000)
  await expectInvariants(sim)
  return byCase(sim.said('tester', 'case').map(({ fields }) => fields as Outcome))
}
function broken({ broken }: Findings, after: Outcome): void {
  if (broken.length) throw new Error(`after ${after.case}: ${broken.join('\n')}`)
}
const image = (name: string, from: string) =>
  `import { start } from './lib/sel4/start.ts'\nimport { ${name} } from './test/conformance/${from}.ts'\nstart(${name})`
async function real(slowpath: boolean): Promise<Outcomes> {
  const system = await System.start({
    images: {
      tester: image('tester', 'cases/index'),
      helper: image('helper', 'cases/index'),
      chip: image('chip', 'system'),
    },
    descriptions: { 'devices/chip/device.json': CHIP, 'services/helper/service.json': HELPER },
    launch: { ...LAUNCH, slowpath },
  })
  try {
    await system.until('tester', 'done', 1, 60_000)
    broken((await system.control({ op: 'check' })) as Findings, { case: 'all of them', error: null })
    return byCase(system.lines('tester').filter(({ msg }) => msg === 'case') as unknown as Outcome[])
  } finally {
    await system.stop()
  }
}
for (const [way, run] of [
  ['in the simulator', () => simulated(false)],
  ['between processes', () => real(false)],
  ['between processes, slow path', () => real(true)],
] as const)
  describe(`seL4 conformance, ${way}`, function () {
    this.timeout(90_000)
    let outcomes: Outcomes
    before(async () => {
      outcomes = await run()
    })
    for (const { name, doc } of CASES)
      it(`${name} ${doc}`, () => {
        expect(outcomes.has(name), 'it ran').to.equal(true)
        expect(outcomes.get(name)).to.equal(null)
      })
  })
