/** What a user may get wrong about disks and places: one clear sentence that says what to do, and nothing left behind. */
import { spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect } from 'chai'
import { bootSystem, endAllSystems, images } from '../support/system.ts'
import { noise } from '../support/disk-image.ts'

const CLI = path.join(images, 'cli.js')
function neptune(args: readonly string[], options: { cwd: string; uid?: number }) {
  const result = spawnSync(process.execPath, [CLI, ...args], {
    encoding: 'utf8',
    timeout: 60_000,
    input: '',
    ...options,
  })
  return { code: result.status, out: result.stdout, err: result.stderr }
}
const MiB = 1 << 20
/** Debian's user for nobody's files. */
const NOBODY = 65534

describe('mistakes', function () {
  this.timeout(120_000)
  let folder: string
  let image: string
  beforeEach(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'neptune-mistakes-'))
    image = path.join(folder, 'disk.img')
  })
  afterEach(async () => {
    await endAllSystems()
    fs.rmSync(folder, { recursive: true, force: true })
  })
  function expectRefusal(args: readonly string[], says: RegExp, options: { uid?: number } = {}): void {
    const before = fs.readdirSync(folder)
    const { code, out, err } = neptune(args, { cwd: folder, ...options })
    expect(err).match(says)
    expect(err.trim().split('\n')).lengthOf(1)
    expect(out).equal('')
    expect(code).not.equal(0)
    expect(fs.readdirSync(folder)).deep.equal(before)
  }

  it('an image that another program has locked', async () => {
    fs.writeFileSync(image, noise(MiB, 'locked'))
    const holder = spawn('flock', ['--exclusive', image, 'sh', '-c', 'echo held; read -r end'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    await new Promise((resolve) => holder.stdout.once('data', resolve))
    try {
      expectRefusal(['boot', '--disk', `ahci:${image}`], /locked|in use/)
    } finally {
      const ended = new Promise((resolve) => holder.once('exit', resolve))
      holder.stdin.end('\n')
      await ended
    }
  })
  it('an image that a running system writes to', async () => {
    fs.writeFileSync(image, noise(MiB, 'in use'))
    const system = await bootSystem({ disk: `ahci:${image}` })
    expectRefusal(['boot', '--disk', `ahci:${image}`], /locked|in use/)
    await system.shutdown()
  })
  it('an image that is no disk: the system runs, says so when asked, and does not touch it', async () => {
    const bytes = noise(2 * MiB, 'no disk')
    fs.writeFileSync(image, bytes)
    const system = await bootSystem({ disk: `ahci:${image}` })
    expect(await system.enter('dir C:\\')).equal('The volume does not contain a recognized file system.')
    expect(await system.enter('copy C:\\a C:\\b')).match(/^The .*\.$/)
    expect(await system.shutdown()).deep.equal({ code: 1, signal: null })
    await system.expectNothingLeft()
    expect(fs.readFileSync(image).equals(bytes)).equal(true)
  })
  it('a file that is no whole number of sectors', () => {
    fs.writeFileSync(image, 'hello')
    expectRefusal(['boot', '--disk', `ahci:${image}`], /is no disk image/)
  })
  it('a run directory that may not be written', function () {
    const run = path.join(folder, 'run')
    fs.mkdirSync(run, { mode: 0o555 })
    const root = process.getuid?.() === 0
    fs.chmodSync(folder, 0o755)
    const probe = spawnSync(process.execPath, ['-e', `require('fs').accessSync(${JSON.stringify(images)})`], {
      ...(root && { uid: NOBODY }),
      cwd: '/',
    })
    // A clone below a home directory that only root may enter.
    if (probe.status !== 0) this.skip()
    expectRefusal(
      ['boot', '--run', run],
      /^neptune: the run directory \S+ is not writable: choose one you may write to$/m,
      {
        ...(root && { uid: NOBODY }),
      },
    )
  })
  it("a run directory with somebody's files in it", () => {
    fs.mkdirSync(path.join(folder, 'run'))
    fs.writeFileSync(path.join(folder, 'run', 'thesis.txt'), 'x')
    expectRefusal(['boot', '--run', path.join(folder, 'run')], /is not empty/)
    expect(fs.readFileSync(path.join(folder, 'run', 'thesis.txt'), 'utf8')).equal('x')
  })
  it('more memory than the machine has room for', () => {
    const manifest = JSON.parse(fs.readFileSync(path.join(images, '..', '..', 'launch.json'), 'utf8'))
    manifest.banks.cache.bytes = '1000000 GiB'
    delete manifest.$schema
    fs.writeFileSync(path.join(folder, 'launch.json'), JSON.stringify(manifest))
    expectRefusal(['boot', '--manifest', path.join(folder, 'launch.json')], /room|memory|at most|GiB/)
  })
  it('too little shared memory, as a container has when nobody asked for more', function () {
    // Mounts of our own, where the host lets us have them: /dev/shm and all else that could hold the memory are small.
    const script = `mount -t tmpfs -o size=64m none /dev/shm && mount -t tmpfs -o size=64m none "$0" || exit 99
      TMPDIR="$0" "$@"; echo "code $?"; ls -A /dev/shm "$0"
      "$@" --run "$0/run"; echo "code $?"; ls -A "$0"`
    const args = ['-rm', 'sh', '-c', script, folder, process.execPath, CLI, 'boot']
    const { status, stdout, stderr } = spawnSync('unshare', args, { encoding: 'utf8', timeout: 60_000, input: '' })
    if (status === 99 || /unshare: /.test(stderr)) this.skip()
    expect(
      stderr
        .trim()
        .split('\n')
        .map((line) => line.replaceAll(folder, 'DIR')),
    ).deep.equal([
      "neptune: neither /dev/shm nor DIR has 192 MiB of room for the system's memory: free some, or pass --run with a directory that has it",
      "neptune: the run directory DIR/run has too little room: the system's memory needs 192 MiB there; free some, or choose another",
    ])
    expect(stdout).equal(`code 2\n/dev/shm:\n\n${folder}:\ncode 2\n`)
  })
})
