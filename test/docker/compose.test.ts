/** One container per process, and the same promise as on the bare machine: a copy survives the death of its drivers. */
import fs from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import { DiskImage, hashOf, noise } from '../support/disk-image.ts'
import { isAtLeast } from '../support/scale.ts'
import { Composition } from './composition.ts'
import { Engine } from './engine.ts'
import { glutton, LIMITS } from './glutton.ts'

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
    disk = DiskImage.make(this, { fat: 32, bytes: 448 * MiB })
    disk.put(SOURCE, source)
    for (const name of ['Unread.bin', 'Untouched.bin']) disk.put(name, source)
    disk.makeDirectory('Target')
    // The containers' users are nobody here.
    fs.chmodSync(path.dirname(disk.path), 0o777)
    fs.chmodSync(disk.path, 0o666)
    system = Composition.up(engine, disk.path, await glutton(path.dirname(disk.path)))
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
    await system.until('kbdclass is in a spare', () => /^spare/.test(system.whereIs('kbdclass')), 300)
    expect(await system.enter('dir Target')).match(/1 File\(s\)/)
    expect(system.inspect('kbdclass').State.Status).equal('exited')
  })
  /** What the kernel said when it ended that process, by when, and how long after `since` that was. */
  const endOf = async (name: string, since: number) => {
    const ends = () => system.kernelLog().filter(({ msg, time }) => msg === `${name} is ended` && time >= since)
    await system.until(`${name} is ended`, () => ends().length > 0, 200)
    const [{ cause, detail, time }] = ends()
    return { cause, detail, after: time - since }
  }
  const logged = (what: string, container: string, since: number) =>
    system.kernelLog().some(({ msg, time, ...line }) => msg === what && line.container === container && time >= since)
  /** Four looks half a second apart, and before the first a question its agent has half a second to answer; and a busy machine. */
  const expectStopped = async (name: string, since: number) => {
    const { after, ...why } = await endOf(name, since)
    expect(why).deep.equal({ cause: 'lease', detail: 'it was stopped' })
    expect(after, 'milliseconds until it was ended').below(5000)
    // Thawed sooner than it is given up, its agent would end the process as it was told, and stay.
    await system.until(`the container of ${name} is given up`, () => logged('a container is gone', name, since), 200)
  }
  const pause = (service: string): number => {
    const before = Date.now()
    engine.docker('pause', system.container(service))
    return before
  }
  const thaw = async (service: string) => {
    const since = Date.now()
    engine.docker('unpause', system.container(service))
    await system.until(`the container of ${service} is back`, () => logged('a container is here', service, since), 200)
  }
  it('gives a process its share of the processor, by what its agent sees, and does not take it for hung', async function () {
    if (!isAtLeast('ci')) this.skip()
    const since = Date.now()
    const states = new Set<string>()
    const spun = system.enter('diskbench spin')
    await system.until(
      'it is throttled',
      () => system.ps().some(({ name, state }) => name === 'diskbench' && states.add(state).has('throttled')),
      100,
    )
    const [, used] = /^spun (\d+) ms$/m.exec(await spun) ?? []
    // 4 s at its share, and what it used in a quarter of a second before anybody looked, and at its start.
    expect(Number(used)).within(100, 4000 * (LIMITS.cpuShare / 100) + 800)
    expect(system.kernelLog().filter(({ msg, time }) => msg === 'diskbench is ended' && time >= since)).deep.equal([])
  })
  it('ends a process that has more memory of its own than its limit, by what its agent sees', async () => {
    const since = Date.now()
    const hoarded = system.enter('diskbench hoard')
    expect(await endOf('diskbench', since)).include({
      cause: 'limit',
      detail: 'data: more than 64 MiB beside its heap',
    })
    await hoarded
    expect(await system.enter('dir Target')).match(/1 File\(s\)/)
  })
  it('ends a driver whose container is paused within its lease; the copy goes on in a spare, and thawed it serves again', async () => {
    const life = system.generationOf('fatfs')
    const ahci = system.hostPid('ahci0', 'ahci')
    const before = bytesRead(ahci)
    const copy = system.enter('copy Unread.bin Target')
    await system.until('some of it is read', () => bytesRead(ahci) - before >= BYTES / 8, 1)
    await expectStopped('fatfs', pause('fatfs'))
    expect((await copy).trim()).equal('1 file(s) copied.')
    expect(system.generationOf('fatfs')).equal(life + 1)
    await thaw('fatfs')
    process.kill(system.hostPid(system.whereIs('fatfs'), 'fatfs'), 'SIGKILL')
    await system.until('fatfs is in its own container', () => system.whereIs('fatfs') === 'fatfs', 200)
    expect(await system.enter('dir Target')).match(/2 File\(s\)/)
  })
  it('goes on with a paused device when it is thawed', async () => {
    const paused = pause('ahci0')
    const copy = system.enter('copy Untouched.bin Target')
    await expectStopped('ahci0', paused)
    await thaw('ahci0')
    expect((await copy).trim()).equal('1 file(s) copied.')
  })
  it('blames nobody for a pause of the kernel', async function () {
    if (!isAtLeast('ci')) this.skip()
    const lives = () => system.ps().map(({ name, generation }) => [name, generation])
    const before = lives()
    pause('kernel')
    const dir = system.enter('dir Target')
    await sleep(4000)
    engine.docker('unpause', system.container('kernel'))
    expect(await dir).match(/3 File\(s\)/)
    expect(lives()).deep.equal(before)
    system.check()
  })
  it('leaves a clean disk, and nothing else', async () => {
    expect(await system.enter('umount C')).equal('')
    await system.shutdown()
    const codes = system.services().map((service) => [service, system.inspect(service).State.ExitCode])
    // The launcher's says that a command had failed: the one that was ended for its memory.
    expect(
      codes.filter(([service, code]) => code !== 0 && service !== 'kbdclass'),
      system.tail(),
    ).deep.equal([['kernel', 1]])
    for (const name of ['copy.bin', 'Unread.bin', 'Untouched.bin'])
      expect(disk.hash(`Target/${name}`), name).equal(hashOf(source))
    expect(disk.hash(SOURCE)).equal(hashOf(source))
    expect(disk.complaints()).deep.equal([])
    system.down()
    expect(system.left()).deep.equal([])
  })
})
