/**
 * A machine that cannot run Neptune is told so by the door itself, before anything is installed, built or started. The door is
 * the real one; only the facts that Node tells of its machine are others.
 */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect } from 'chai'
import { repository } from '../support/system.ts'

/** What Node says of the machine, before the door asks. */
const pretend = (facts: string) => `
const set = (object, name, value) => Object.defineProperty(object, name, { value })
const versions = (node) => set(process, 'versions', { ...process.versions, node })
const machine = (platform, arch) => { set(process, 'platform', platform); set(process, 'arch', arch) }
const noGlibc = () => {
  const report = process.report.getReport()
  delete report.header.glibcVersionRuntime
  set(process, 'report', { getReport: () => report })
}
${facts}`

describe('a machine that cannot run Neptune', function () {
  this.timeout(60_000)
  let folder: string
  beforeEach(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'neptune-platform-'))
  })
  afterEach(() => fs.rmSync(folder, { recursive: true, force: true }))

  function door(facts: string, args: readonly string[]) {
    const lie = path.join(folder, 'lie.cjs')
    fs.writeFileSync(lie, pretend(facts))
    const copy = path.join(folder, 'clone', 'tools')
    // Nothing but the door: what it reached for would fail in its own words.
    fs.mkdirSync(copy, { recursive: true })
    for (const file of ['bootstrap.mjs', 'platform.mjs'])
      fs.copyFileSync(path.join(repository, 'tools', file), path.join(copy, file))
    const result = spawnSync(process.execPath, ['--require', lie, path.join(copy, 'bootstrap.mjs'), ...args], {
      encoding: 'utf8',
      timeout: 30_000,
      input: '',
      cwd: folder,
    })
    const left = fs.readdirSync(folder, { recursive: true }).length
    return { code: result.status, out: result.stdout, err: result.stderr, left }
  }
  const REFUSED: readonly (readonly [string, string, string])[] = [
    ['an old Node', "versions('18.20.4')", 'Node 18.20.4 is too old: install Node 20.19 or later'],
    ['a Node just too old', "versions('20.18.9')", 'Node 20.18.9 is too old: install Node 20.19 or later'],
    ['macOS', "machine('darwin', 'arm64')", 'darwin arm64 is not supported: use Linux with glibc on x64 or arm64'],
    ['Windows', "machine('win32', 'x64')", 'win32 x64 is not supported: use Linux with glibc on x64 or arm64'],
    [
      'another processor',
      "machine('linux', 'ia32')",
      'linux ia32 is not supported: use Linux with glibc on x64 or arm64',
    ],
    [
      'musl',
      'noGlibc()',
      'this Linux has no glibc, which the native packages need: use a glibc distribution such as Debian',
    ],
  ]
  for (const [what, facts, sentence] of REFUSED)
    it(`is told: ${what}`, () => {
      const { code, out, err, left } = door(facts, ['start'])
      expect({ code, out, err }).deep.equal({ code: 2, out: '', err: `neptune: ${sentence}\n` })
      expect(left).equal(5)
    })
  it('and one that can is not', async () => {
    const { platformFacts, unsupported } = await import(path.join(repository, 'tools', 'platform.mjs'))
    expect(unsupported(platformFacts())).equal(undefined)
    for (const node of ['20.19.0', '22.0.0', '24.1.0'])
      for (const machine of ['linux x64', 'linux arm64'])
        expect(unsupported({ node, machine, glibc: '2.36' })).equal(undefined)
  })
})
