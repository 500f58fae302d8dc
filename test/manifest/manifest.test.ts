/** The manifest's rules, each by a file that breaks it and the exact sentence it earns; and what follows from a valid one. */
import { readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { expect } from 'chai'
import fc from 'fast-check'
import { Check } from 'typebox/value'
import { capabilityTable, ManifestError } from '../../kernel/manifest/index.ts'
import { fits } from '../../kernel/manifest/fits.generated.ts'
import { SHAPES, schemaFiles } from '../../kernel/manifest/schema.ts'
import { casesOf, load, loadReal, textOf } from './support.ts'

const RENEW = 'run node -r ts-node/register/transpile-only test/manifest/renew.ts and look at the difference'

function problemsOf(patch: unknown): string {
  try {
    load(patch)
  } catch (error) {
    expect(error).to.be.instanceOf(ManifestError)
    return `${(error as Error).message}\n`
  }
  return 'no problem\n'
}

describe('an invalid manifest', () => {
  for (const { name, patch, expected } of casesOf('invalid'))
    it(`says so: ${name}`, () => {
      expect(problemsOf(patch)).to.equal(expected)
    })

  it('says all that is wrong at once', () => {
    const problems = problemsOf({
      'launch.json': { images: { storage: { arena: '3 MiB', limits: { credits: 0 } } } },
      'devices/bus/device.json': { ports: [{ first: '0x60', last: '0x60' }] },
    })
    expect(problems.trim().split('\n')).to.have.length(3)
  })
})

describe("the compiled check of a file's shape", () => {
  const real = [
    ['launch', 'launch.json'],
    ['device', 'devices/ahci/device.json'],
    ['needs', 'drivers/storage/miniport/storahci/driver.json'],
  ] as const
  /** Values of every kind in the place of any value, or beside it. */
  const intruder = fc.oneof(
    fc.jsonValue({ maxDepth: 1 }),
    fc.constantFrom('64 MiB', '0x60', 0, -1, 1e20, '', 'assigned'),
  )
  const paths = (value: unknown): string[][] =>
    typeof value === 'object' && value !== null
      ? Object.entries(value).flatMap(([key, inner]) => [[key], ...paths(inner).map((rest) => [key, ...rest])])
      : []
  for (const [shape, file] of real)
    it(`says what the library says of ${file}, whatever is put into it`, () => {
      const text = readFileSync(join(__dirname, '../..', file), 'utf8')
      expect(fits[shape](JSON.parse(text))).to.equal(true)
      const counts = { fit: 0, unfit: 0 }
      fc.assert(
        fc.property(fc.constantFrom(...paths(JSON.parse(text))), intruder, fc.boolean(), (path, value, beside) => {
          const changed = JSON.parse(text)
          const place = path.slice(0, -1).reduce((inner, key) => inner[key], changed)
          place[beside ? 'intruder' : (path.at(-1) as string)] = value
          const said = Check(SHAPES[shape], changed)
          counts[said ? 'fit' : 'unfit']++
          expect(fits[shape](changed)).to.equal(said)
        }),
        { numRuns: 500 },
      )
      expect(Math.min(counts.fit, counts.unfit), JSON.stringify(counts)).to.be.above(10)
    })
})

describe('a valid manifest', () => {
  for (const { name, patch, expected } of casesOf('valid'))
    it(`gives these capabilities: ${name}`, () => {
      expect(capabilityTable(load(patch))).to.equal(expected)
    })
})

describe("the system's manifest", () => {
  it('gives the capabilities of the golden table', () => {
    expect(capabilityTable(loadReal()), RENEW).to.equal(textOf('capabilities.golden.txt'))
  })

  it('lets one process besides the root task reach the keyboard', () => {
    const sections = capabilityTable(loadReal()).split('\n\n')
    const holders = sections
      .filter((text) => /^ {2}(port 0x6[04]|irq 1)$/m.test(text))
      .map((text) => text.split(' ')[0])
    expect(holders).to.deep.equal(['executive', 'i8042prt'])
  })

  it('needs less than 256 MiB of memory', () => {
    const bytes = loadReal().banks.reduce((sum, bank) => sum + bank.bytes, 0)
    expect(bytes).to.be.at.most(256 * 1024 * 1024)
  })
})

describe('the JSON Schemas', () => {
  for (const [name, text] of Object.entries(schemaFiles()))
    it(`are what the shapes say: ${name}`, () => {
      expect(JSON.parse(readFileSync(join(__dirname, '../../kernel/manifest', name), 'utf8')), RENEW).to.deep.equal(
        JSON.parse(text),
      )
    })

  it('are named by every file they are for, so that editors complete it', () => {
    const root = join(__dirname, '../..')
    const schemaOf = new Map([
      ['device.json', 'device'],
      ['driver.json', 'needs'],
      ['service.json', 'needs'],
    ])
    const files = ['devices', 'drivers', 'services', 'lab'].flatMap((room) =>
      readdirSync(join(root, room), { recursive: true, encoding: 'utf8' })
        .filter((file) => schemaOf.has(basename(file)))
        .map((file) => join(room, file)),
    )
    expect(files.length).to.be.above(15)
    const named = (file: string): string =>
      join(dirname(file), JSON.parse(readFileSync(join(root, file), 'utf8')).$schema ?? 'nothing')
    expect(named('launch.json')).to.equal('kernel/manifest/launch.schema.json')
    for (const file of files)
      expect(named(file), file).to.equal(`kernel/manifest/${schemaOf.get(basename(file))}.schema.json`)
  })
})
