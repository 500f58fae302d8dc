/** The manifest's rules, each by a file that breaks it and the exact sentence it earns; and what follows from a valid one. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { capabilityTable, ManifestError } from '../../kernel/manifest/index.ts'
import { schemaFiles } from '../../kernel/manifest/schema.ts'
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
})
