import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect } from 'chai'
import { startTime } from '../processes.ts'
import { UserError } from '../user-error.ts'
import { type LaunchPlan, launch } from './launch.ts'
import { bankBytes, effectiveManifest, type Manifest, openDisk, parseDisk } from './options.ts'
import { makeRunDirectory } from './run-directory.ts'

const MANIFEST: Manifest = {
  machine: 'pc',
  banks: { cache: { bytes: '1 MiB' }, io: { bytes: 512 } },
  devices: { ahci0: { image: 'ahci', config: { ports: 1 } } },
  panel: { image: 'panel' },
}
/** The rejection's sentence; fails when nothing is rejected or it is no UserError. */
async function sentence(action: () => unknown): Promise<string> {
  try {
    await action()
  } catch (error) {
    expect(error).instanceOf(UserError)
    return (error as Error).message
  }
  throw new Error('nothing was refused')
}

describe('launcher', () => {
  let folder: string
  const said: string[] = []
  beforeEach(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'neptune-launch-'))
    fs.writeFileSync(path.join(folder, 'launch.json'), JSON.stringify(MANIFEST))
    said.length = 0
  })
  afterEach(() => fs.rmSync(folder, { recursive: true, force: true }))

  /** A launcher of a kernel that is these lines of JavaScript; `run` is its run directory. */
  function plan(kernel: string, more: Partial<LaunchPlan> = {}): LaunchPlan {
    const kernelImage = path.join(folder, 'kernel.js')
    fs.writeFileSync(kernelImage, `const fs = require('fs'), run = process.argv[2]\n${kernel}\n`)
    return {
      kernelImage,
      manifest: path.join(folder, 'launch.json'),
      run: path.join(folder, 'run'),
      say: (s) => said.push(s),
      ...more,
    }
  }
  const hasRun = () => fs.existsSync(path.join(folder, 'run'))

  it('ends with the kernel, with its code, and removes the run directory', async () => {
    const code = await launch(
      plan(`process.exitCode = JSON.parse(fs.readFileSync(run + '/launch.json')).slowpath ? 7 : 8`, { slowpath: true }),
    )
    expect(code).equal(7)
    expect(hasRun()).equal(false)
    expect(said).deep.equal([])
  })
  it('ends what a killed kernel left', async () => {
    const kernel = `
      const child = require('child_process').spawn('sleep', ['1000'], { stdio: 'ignore', detached: true })
      const stat = fs.readFileSync('/proc/' + child.pid + '/stat', 'utf8')
      const startTime = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19])
      fs.writeFileSync(run + '/pids.json', JSON.stringify([{ name: 'x', pid: child.pid, startTime }]))
      fs.writeFileSync(run + '/../child', String(child.pid))
      process.kill(process.pid, 'SIGKILL')`
    expect(await launch(plan(kernel))).equal(137)
    expect(startTime(Number(fs.readFileSync(path.join(folder, 'child'), 'utf8')))).equal(undefined)
    expect(hasRun()).equal(false)
    expect(said).deep.equal(['the kernel was ended by SIGKILL; everything it had started was ended with it'])
  })
  it('kills no process that only has the pid of a recorded one', async () => {
    const kernel = `fs.writeFileSync(run + '/pids.json', JSON.stringify([{ name: 'x', pid: ${process.ppid}, startTime: 1 }]))`
    expect(await launch(plan(kernel))).equal(0)
    expect(startTime(process.ppid)).not.equal(undefined)
  })
  it('closes descriptor 3 only when it is gone itself', async () => {
    const kernel = `
      const pipe = new (require('net').Socket)({ fd: 3 })
      pipe.on('close', () => process.exit(9)).resume()
      setTimeout(() => process.exit(0), 100)`
    expect(await launch(plan(kernel))).equal(0)
  })
  it('tells of a script that was not typed to its end', async () => {
    expect(await launch(plan(`fs.writeFileSync(run + '/unfinished', 'not typed: dir')`))).equal(1)
    expect(said).deep.equal(['not typed: dir'])
  })
  it('refuses a second system in one run directory, and leaves the first alone', async () => {
    const first = makeRunDirectory(path.join(folder, 'run'), 0)
    expect(await sentence(() => launch(plan('')))).match(/another system is running in .*: stop it, or pass --run/)
    expect(hasRun()).equal(true)
    first.remove()
  })
  it("refuses to clear somebody's directory", async () => {
    fs.writeFileSync(path.join(folder, 'thesis.txt'), 'x')
    expect(await sentence(() => makeRunDirectory(folder, 0))).include('is not empty')
    expect(fs.existsSync(path.join(folder, 'thesis.txt'))).equal(true)
  })
  it('refuses a run directory that is too small or whose path is too long for sockets', async () => {
    expect(await sentence(() => makeRunDirectory(path.join(folder, 'run'), 2 ** 50))).include('too little room')
    expect(hasRun()).equal(false)
    expect(await sentence(() => makeRunDirectory(path.join(folder, 'x'.repeat(90)), 0))).include('too long')
    expect(await sentence(() => makeRunDirectory(undefined, 2 ** 50))).include('room for the system')
    expect(await sentence(() => makeRunDirectory('/proc/nowhere', 0))).include('cannot be made')
  })
  it('refuses manifests that are missing or no JSON, and leaves nothing', async () => {
    expect(await sentence(() => launch(plan('', { manifest: path.join(folder, 'none') })))).match(
      /there is no manifest .*: check the path/,
    )
    expect(await sentence(() => launch(plan('', { manifest: folder })))).match(
      /is a directory: give the path of a file/,
    )
    fs.writeFileSync(path.join(folder, 'launch.json'), '{')
    expect(await sentence(() => launch(plan('')))).include('is not JSON')
    expect(hasRun()).equal(false)
  })

  describe('disks', () => {
    const image = () => path.join(folder, 'disk.img')
    const disk = (mode = '') => parseDisk(`ahci:${image()}${mode}`)
    it('are CONTROLLER:IMAGE[:MODE]', async () => {
      expect(parseDisk('ahci:/a:b:ro')).deep.equal({ controller: 'ahci', image: '/a:b', mode: 'ro' })
      expect(parseDisk('ahci:/x').mode).equal('rw')
      expect(await sentence(() => parseDisk('disk.img'))).include('is not CONTROLLER:IMAGE')
      expect(await sentence(() => parseDisk('nvme:x'))).include('there is no disk controller nvme')
    })
    it('must be there, whole, readable and not in use', async () => {
      expect(await sentence(() => openDisk(disk()))).include('there is no disk image')
      fs.writeFileSync(image(), 'no disk')
      expect(await sentence(() => openDisk(disk()))).include('is no disk image: its size, 7 bytes')
      fs.truncateSync(image(), 1024)
      openDisk(disk())
      expect(await sentence(() => openDisk(disk()))).include('is locked')
      expect(await sentence(() => openDisk(parseDisk(`ahci:${folder}`)))).include('is not a file')
    })
    it('may be shared by readers', () => {
      fs.writeFileSync(image(), new Uint8Array(512))
      openDisk(disk(':ro'))
      openDisk(disk(':snapshot'))
    })
    it('go into the controller of the manifest', async () => {
      const manifest = effectiveManifest(MANIFEST, { disk: disk(':ro'), slowpath: true, panel: { control: '/c' } })
      expect(manifest.devices?.ahci0.config).deep.equal({ ports: 1, image: image(), mode: 'ro' })
      expect(manifest).deep.include({ slowpath: true, panel: { image: 'panel', config: { control: '/c' } } })
      expect(await sentence(() => effectiveManifest({}, { disk: disk(), panel: {} }))).include('has no device ahci0')
      expect(bankBytes(MANIFEST)).equal((1 << 20) + 512)
    })
    it('are not opened for a system that cannot start', async () => {
      fs.writeFileSync(image(), new Uint8Array(512))
      expect(await sentence(() => launch(plan('', { disk: async () => parseDisk('ahci:/nowhere') })))).include(
        'no disk image',
      )
      expect(hasRun()).equal(false)
    })
  })
})
