import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect } from 'chai'
import { bootSystem, endAllSystems, images } from './support/system.ts'
import type { Row } from '../lab/bench/ratio.ts'

/** `neptune` with these arguments, to its end. */
function neptune(args: readonly string[], options: { input?: string; cwd?: string; env?: NodeJS.ProcessEnv } = {}) {
  const result = spawnSync(process.execPath, [path.join(images, 'cli.js'), ...args], {
    encoding: 'utf8',
    timeout: 60_000,
    input: '',
    ...options,
  })
  return { code: result.status, out: result.stdout, err: result.stderr }
}

describe('the neptune command', function () {
  this.timeout(60_000)
  let folder: string
  beforeEach(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'neptune-house-'))
  })
  afterEach(() => fs.rmSync(folder, { recursive: true, force: true }))

  it('explains itself', () => {
    for (const args of [['help'], ['--help'], []]) {
      const { code, out } = neptune(args)
      expect(code).equal(0)
      for (const word of [
        'boot',
        'run',
        'ps',
        'caps',
        'kill',
        'bench',
        'trace',
        'check',
        'compose',
        'graph',
        'Examples:',
      ])
        expect(out).include(word)
    }
  })

  it('prints what a benchmark measured as one object', () => {
    const env = { ...process.env, NEPTUNE_TEST_SCALE: 'quick' }
    const { code, out } = neptune(['bench', 'spawn', '--json'], { env })
    expect(code).equal(0)
    const { bench, rows } = JSON.parse(out)
    expect([bench, rows.map((row: Row) => row.case)]).deep.equal(['spawn', ['spawn', 'spawn-trimmed']])
    for (const row of rows) {
      expect(row).have.all.keys('case', 'value', 'unit', 'baseline', 'ratio')
      expect(row.unit).equal('ms')
      for (const key of ['value', 'baseline', 'ratio'] as const) expect(row[key]).above(0)
    }
  })

  const image = () => path.join(folder, 'disk.img')
  const MISTAKES: readonly (readonly [string, () => string[], RegExp])[] = [
    ['an unknown flag', () => ['boot', '--fast'], /unknown option '--fast'/],
    ['an unknown command', () => ['boil'], /unknown command 'boil'/],
    ['an unknown benchmark', () => ['bench', 'luck'], /there is no benchmark luck; there are ipc, boot, disk/],
    ['a missing image', () => ['boot', '--disk', `ahci:${image()}`], /there is no disk image .*: check the path/],
    [
      'a disk that is no disk',
      () => (fs.writeFileSync(image(), 'x'), ['boot', '--disk', `ahci:${image()}`]),
      /is no disk image: its size/,
    ],
    ['a directory for a disk', () => ['boot', '--disk', `ahci:${folder}`], /is not a file: give the path of an image/],
    ['two disks', () => ['boot', '--disk', 'ahci:a', '--disk', 'ahci:b'], /--disk may be given once/],
    [
      'a missing manifest',
      () => ['boot', '--manifest', path.join(folder, 'none.json')],
      /there is no manifest .*: check the path/,
    ],
    ['a missing script', () => ['run', '--script', path.join(folder, 'none')], /there is no script .*: check the path/],
    ['a directory for a script', () => ['run', '--script', folder], /is a directory: give the path of a file/],
    ['no script', () => ['run'], /--script/],
    [
      'a manifest that is no JSON',
      () => (fs.writeFileSync(path.join(folder, 'm.json'), '{'), ['boot', '--manifest', path.join(folder, 'm.json')]),
      /is not JSON: .*; correct it there/,
    ],
    [
      'a file for a run directory',
      () => (fs.writeFileSync(path.join(folder, 'f'), ''), ['boot', '--run', path.join(folder, 'f')]),
      /is a file: choose a directory/,
    ],
    ['a run directory that cannot be', () => ['boot', '--run', '/proc/nowhere'], /cannot be made/],
    ['a run directory without a system', () => ['ps', '--run', folder], /no system is running in/],
    ['a file that cannot be written', () => ['compose', '--out', folder], /cannot be written .*: choose another file/],
    ['a signal by its number', () => ['kill', 'x', '9', '--run', folder], /no system is running in/],
    ['an unknown signal', () => ['kill', 'x', 'WINK'], /there is no signal WINK|no system is running/],
  ]
  for (const [what, args, says] of MISTAKES)
    it(`answers ${what} with one sentence, and leaves nothing`, () => {
      const words = args()
      const before = fs.readdirSync(folder)
      const { code, out, err } = neptune(words, { cwd: folder })
      expect(err).match(says)
      expect(err.trim().split('\n')).lengthOf(1)
      expect({ code, out }).deep.equal({ code: 2, out: '' })
      expect(fs.readdirSync(folder)).deep.equal(before)
    })
  it('answers a manifest with an unknown key with one sentence, and leaves nothing', () => {
    const manifest = path.join(folder, 'launch.json')
    fs.writeFileSync(
      manifest,
      JSON.stringify({
        machine: 'pc',
        colour: 'blue',
        banks: {},
        devices: {},
        cables: {},
        root: { image: 'executive', banks: [] },
        images: {},
      }),
    )
    const { code, err } = neptune(['boot', '--manifest', manifest, '--run', path.join(folder, 'run')], { cwd: folder })
    expect(err).include('colour')
    expect(code).equal(2)
    expect(fs.existsSync(path.join(folder, 'run'))).equal(false)
  })
})

describe('a system from start to end', function () {
  this.timeout(120_000)
  afterEach(endAllSystems)

  it('boots to the prompt, types, prints each row once, shuts down and leaves nothing', async () => {
    const system = await bootSystem()
    expect(await system.enter('help')).include('copy FROM TO')
    const names = (await system.ps()).map(({ name }) => name)
    expect(names).include.members(['i8042', 'display', 'panel', 'executive', 'smss', 'ntcmd'])
    expect({ ...(await system.shutdown()), err: system.stderr.replace(/^neptune: made a .*\n/, '') }).deep.equal({
      code: 0,
      signal: null,
      err: '',
    })
    expect(system.screen().match(/>help$/gm)).lengthOf(1)
    await system.expectNothingLeft()
  })
  it('fails when its screen cannot be printed', () => {
    const full = fs.openSync('/dev/full', 'w')
    const args = [path.join(images, 'cli.js'), 'boot']
    const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', stdio: ['ignore', full, 'pipe'] })
    fs.closeSync(full)
    expect(stderr).match(/^neptune: stdout takes no more \(ENOSPC\)/m)
    expect(status).equal(1)
  })
  it('refuses a second system in its run directory', async () => {
    const system = await bootSystem()
    const { code, err } = neptune(['boot', '--run', system.run])
    expect(err).match(/another system is running/)
    expect(code).equal(2)
    await system.shutdown()
  })
  for (const who of ['kernel', 'launcher'] as const)
    it(`leaves nothing when the ${who} is killed`, async () => {
      const system = await bootSystem()
      const kernel = JSON.parse(fs.readFileSync(path.join(system.run, 'kernel.json'), 'utf8')) as { pid: number }
      process.kill(who === 'kernel' ? kernel.pid : (system.launcher.pid as number), 'SIGKILL')
      await system.expectNothingLeft()
    })
  it('stops in order on SIGTERM', async () => {
    const system = await bootSystem()
    system.launcher.kill('SIGTERM')
    expect((await system.ended).signal).equal(null)
    await system.expectNothingLeft()
  })
})
