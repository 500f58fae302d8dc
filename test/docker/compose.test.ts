/** One container per process, and the same promise as on the bare machine: a copy survives the death of its drivers. */
import fs from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import { DiskImage, hashOf, noise } from '../support/disk-image.ts'
import { isAtLeast } from '../support/scale.ts'
import { Composition } from './composition.ts'
import { Engine } from './engine.ts'

const MiB = 1 << 20
const BYTES = isAtLeast('ci') ? 64 * MiB : 4 * MiB
const SOURCE = 'A rather long directory name/Source of the copy.bin'
const COPY = 'copy "A rather long directory name\\Source of the copy.bin" Target\\copy.bin'

describe('docker compose up', function () {
  this.timeout(300_000)
  let engine: Engine
  let disk: DiskImage
  let system: Composition
  const source = noise(BYTES, 'containers')

  before(async function () {
    engine = await Engine.find(this)
    // Killing a container's process from outside is the host's administrator's.
    if (process.getuid?.() !== 0) {
      console.log('       only root may kill a process in a container from outside; skipped')
      return this.skip()
    }
    disk = DiskImage.make(this, { fat: 32, bytes: 192 * MiB })
    disk.put(SOURCE, source)
    disk.makeDirectory('Target')
    // The containers' users are nobody here.
    fs.chmodSync(path.dirname(disk.path), 0o777)
    fs.chmodSync(disk.path, 0o666)
    system = Composition.up(engine, disk.path)
    await system.waitForPrompt()
  })
  after(async () => {
    system?.down()
    disk?.remove()
    await engine?.end()
  })

  const bytesRead = (pid: number): number =>
    Number(/rchar: (\d+)/.exec(fs.readFileSync(`/proc/${pid}/io`, 'latin1'))?.[1] ?? 0)

  it('gives every process a container, a user and no right of the host', () => {
    const lives = system.lives()
    expect(lives.length).above(15)
    expect(lives.filter(({ name, container }) => name !== container)).deep.equal([])
    const containers = system.services().map((service) => system.inspect(service))
    for (const { Name, HostConfig: host } of containers) {
      expect(host, Name).deep.include({ Privileged: false, ReadonlyRootfs: true, NetworkMode: 'none', PidMode: '' })
      expect([host.CapDrop, host.CapAdd ?? []], Name).deep.equal([['ALL'], []])
      expect(host.SecurityOpt, Name).deep.equal(['no-new-privileges:true'])
    }
    const users = containers.map(({ Config }) => Config.User)
    expect(new Set(users).size).equal(users.length)
    expect(users.filter((user) => user.startsWith('0') || !/^\d+:10000$/.test(user))).deep.equal([])
    expect(system.exec('fatfs', 'cat', '/proc/1/status')).match(/^CapBnd:\s+0+$/m)
  })
  it('shows a process no name it was not told', () => {
    const attempt = (script: string) => system.exec('fatfs', 'node', '-e', script).trim()
    for (const folder of ['', '/s', '/banks', '/agents', '/log'])
      expect(
        attempt(
          `try { fs.readdirSync('/run/neptune${folder}'); console.log('seen') } catch (e) { console.log(e.code) }`,
        ),
        folder,
      ).equal('EACCES')
    for (const file of ['launch.json', 'agents.json', 'kernel.json'])
      expect(
        attempt(
          `try { fs.readFileSync('/run/neptune/${file}'); console.log('read') } catch (e) { console.log(e.code) }`,
        ),
        file,
      ).equal('EACCES')
    const connect = (name: string) =>
      attempt(
        `const s = net.connect('/run/neptune/${name}').on('data', (d) => console.log(String(d))).on('error', (e) => console.log(e.code)).on('close', () => process.exit())`,
      )
    expect(connect('control')).equal('EACCES')
    expect(connect('panel/control')).equal('')
    expect(connect('agents/storahci')).include('is not')
  })
  it('has the prompt and the commands', async () => {
    expect(await system.enter('dir Target')).match(/0 File\(s\)/)
    expect(await system.enter('ps')).match(/storahci/)
  })
  it('completes a copy while the containers of its drivers are killed, unnoticed', async () => {
    const lives = [system.generationOf('storahci'), system.generationOf('fatfs')]
    const ahci = system.hostPid('ahci0', 'ahci')
    const target = { container: system.inspect('storahci').State.Pid, process: system.hostPid('fatfs') }
    const before = bytesRead(ahci)
    const reached = (part: number) => () => bytesRead(ahci) - before >= part * BYTES
    const struck: number[] = []
    const strike = (pid: number) => {
      struck.push((bytesRead(ahci) - before) / BYTES)
      process.kill(pid, 'SIGKILL')
    }
    const copy = system.enter(COPY)
    await system.until('a quarter of the source is read', reached(1 / 4), 1)
    // The container as a whole: its restart policy brings it back.
    strike(target.container)
    await system.until('half of the source is read', reached(1 / 2), 1)
    // The process in it: its agent starts the next.
    strike(target.process)
    expect((await copy).trim()).equal('1 file(s) copied.')
    expect(Math.max(...struck), 'struck while it was reading').below(1)
    expect([system.generationOf('storahci'), system.generationOf('fatfs')]).deep.equal(lives.map((n) => n + 1))
    expect(system.inspect('storahci').RestartCount).equal(1)
    expect(system.inspect('fatfs').RestartCount).equal(0)
  })
  it('gives a driver whose container the operator killed a spare one', async () => {
    engine.docker('kill', system.container('kbdclass'))
    const whereIs = (name: string) => system.lives().find((life) => life.name === name)
    await system.until('kbdclass is in a spare', () => /^spare/.test(whereIs('kbdclass')?.container ?? ''), 300)
    expect(await system.enter('dir Target')).match(/1 File\(s\)/)
    expect(system.inspect('kbdclass').State.Status).equal('exited')
  })
  it('leaves a clean disk, and nothing else', async () => {
    expect(await system.enter('umount C')).equal('')
    await system.shutdown()
    const codes = system.services().map((service) => [service, system.inspect(service).State.ExitCode])
    expect(codes.filter(([service, code]) => code !== 0 && service !== 'kbdclass')).deep.equal([])
    expect(disk.hash('Target/copy.bin')).equal(hashOf(source))
    expect(disk.hash(SOURCE)).equal(hashOf(source))
    expect(disk.complaints()).deep.equal([])
    system.down()
    expect(system.left()).deep.equal([])
  })
})
