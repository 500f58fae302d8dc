import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import { AgentSpawner, type Container, type Exit, NoContainer } from '../../kernel/agent-spawner.ts'
import { peerUser } from '../../kernel/peer.ts'
import { commandLine, endAll, startTime } from '../processes.ts'

const user = os.userInfo().uid
const container = (name: string, role: Container['role'], as = user): Container => ({ name, role, user: as })

describe('agents', () => {
  let run: string
  let spawner: AgentSpawner
  const agents: ChildProcess[] = []
  const exits: (Exit & { token: string })[] = []
  beforeEach(() => {
    run = fs.mkdtempSync(path.join(os.tmpdir(), 'neptune-agent-'))
    fs.mkdirSync(path.join(run, 'agents'))
    fs.mkdirSync(path.join(run, 'log'))
    exits.length = 0
    // The agent starts images beside itself: here, one that ends at once with code 3, one that waits.
    fs.writeFileSync(path.join(run, 'three.js'), 'process.exit(3)')
    fs.writeFileSync(path.join(run, 'wait.js'), 'setTimeout(() => {}, 1e6)')
    fs.writeFileSync(
      path.join(run, 'hoard.js'),
      'const all = []; for (;;) all.push({ of: new Array(100).fill(all.length) })',
    )
    ;(require('esbuild') as typeof import('esbuild')).buildSync({
      entryPoints: [path.join(__dirname, 'main.ts')],
      outfile: path.join(run, 'agent.js'),
      bundle: true,
      platform: 'node',
      format: 'cjs',
    })
  })
  afterEach(async () => {
    spawner?.close()
    for (const agent of agents.splice(0)) {
      agent.kill('SIGKILL')
      if (agent.exitCode === null && agent.signalCode === null) await once(agent, 'exit')
    }
    // A real image dies with its parent, these do not.
    const left = fs.readdirSync('/proc').filter(startedHere).map(Number)
    await endAll(
      left.map((pid) => ({ pid, startTime: startTime(pid) ?? -1 })),
      2000,
    )
    fs.rmSync(run, { recursive: true, force: true })
  })
  const startedHere = (entry: string) =>
    /^\d+$/.test(entry) && commandLine(entry).some((word) => word.startsWith(`${run}/`))
  const open = async (...containers: Container[]) => {
    const onExit = (token: string, exit: Exit) => exits.push({ token, ...exit })
    spawner = new AgentSpawner({ run, containers, onExit, log: () => {}, moveMs: 300, renewMs: 50 })
    await spawner.open()
  }
  const agent = (name: string) => {
    const child = spawn(process.execPath, [path.join(run, 'agent.js'), run, name], { stdio: 'ignore' })
    agents.push(child)
    return child
  }
  const start = (name: string, image: string, token = name) =>
    spawner.start({ name, image, token, address: '', terminal: false, heapBytes: 64 << 20 })
  async function until(condition: () => boolean): Promise<void> {
    for (const limit = Date.now() + 5000; !condition(); await sleep(5))
      if (Date.now() > limit) throw new Error(`it did not come: ${condition}`)
  }

  it('start, report, are killed, and start again', async () => {
    await open(container('disk', 'own'))
    agent('disk')
    expect(await spawner.ready(5000)).deep.equal([])
    start('disk', 'three', 'a')
    await until(() => exits.length === 1)
    expect(exits[0]).deep.equal({ token: 'a', code: 3, signal: null })
    const life = start('disk', 'wait', 'b')
    await until(() => (spawner.whereabouts(life)?.pid ?? 0) > 1)
    spawner.usage(life)
    await until(() => spawner.usage(life)?.state === 'S')
    spawner.kill(life, 'SIGKILL')
    await until(() => exits.length === 2)
    expect(exits[1]).deep.equal({ token: 'b', code: null, signal: 'SIGKILL' })
    expect(spawner.usage(life)).equal(undefined)
  })
  it('that are frozen count as stopped, and as gone when they are to be killed; thawed, they start afresh', async () => {
    await open(container('disk', 'own'))
    const frozen = agent('disk')
    const life = start('disk', 'wait')
    const state = () => spawner.usage(life)?.state
    await until(() => state() === 'S')
    frozen.kill('SIGSTOP')
    await until(() => state() === 'T')
    const before = Date.now()
    spawner.kill(life, 'SIGKILL')
    await until(() => exits.length === 1)
    expect(exits[0].signal).equal('SIGKILL')
    expect(Date.now() - before).below(2000)
    frozen.kill('SIGCONT')
    expect((await once(frozen, 'exit'))[0]).equal(75)
  })
  it('that have not come yet are not taken for frozen', async () => {
    await open(container('disk', 'pinned'))
    const life = start('disk', 'wait')
    for (const limit = Date.now() + 800; Date.now() < limit; await sleep(50))
      expect(spawner.usage(life)).equal(undefined)
    agent('disk')
    await until(() => spawner.usage(life)?.state === 'S')
  })
  it('a process that goes on is no longer stopped', async () => {
    await open(container('disk', 'own'))
    agent('disk')
    const life = start('disk', 'wait')
    const state = () => spawner.usage(life)?.state
    await until(() => state() === 'S')
    spawner.kill(life, 'SIGSTOP')
    await until(() => state() === 'T')
    spawner.kill(life, 'SIGCONT')
    expect(state()).equal('R')
    await until(() => state() === 'S')
  })
  it('tell of a heap that was full', async () => {
    await open(container('disk', 'own'))
    agent('disk')
    expect(await spawner.ready(5000)).deep.equal([])
    start('disk', 'hoard', 'a')
    await until(() => exits.length === 1)
    expect(exits[0]).deep.equal({ token: 'a', code: null, signal: 'SIGABRT', heapIsFull: true })
  })
  it('wait for a container that is killed and comes back', async () => {
    await open(container('disk', 'own'))
    const first = agent('disk')
    start('disk', 'wait', 'a')
    await until(() => spawner.whereabouts(1)?.pid !== 0)
    first.kill('SIGKILL')
    await until(() => exits.length === 1)
    expect(exits[0]).deep.equal({ token: 'a', code: null, signal: 'SIGKILL' })
    start('disk', 'three', 'b')
    agent('disk')
    await until(() => exits.length === 2)
    expect(exits[1]).deep.equal({ token: 'b', code: 3, signal: null })
  })
  it('serve names without a container once, as spares; one too many is refused', async () => {
    await open(container('spare-1', 'spare'))
    const spare = agent('spare-1')
    await until(() => {
      try {
        return start('diskbench', 'three') > 0
      } catch (error) {
        expect(error).instanceOf(NoContainer)
        return false
      }
    })
    expect(() => start('another', 'three')).throw(NoContainer, 'no container is free for another')
    await until(() => exits.length === 1)
    expect(() => start('another', 'three')).throw(NoContainer)
    expect((await once(spare, 'exit'))[0]).equal(75)
  })
  it('take over for a container that does not come back', async () => {
    await open(container('disk', 'own'), container('ahci0', 'pinned'), container('spare-1', 'spare'))
    agent('spare-1')
    start('disk', 'three')
    start('ahci0', 'three')
    await until(() => exits.length === 1)
    expect(exits[0].token).equal('disk')
    expect(spawner.whereabouts(2)).deep.equal({ container: 'ahci0', pid: 0 })
    spawner.kill(2, 'SIGKILL')
    await until(() => exits.length === 2)
  })
  it('end with the kernel', async () => {
    await open(container('disk', 'own'))
    const child = agent('disk')
    start('disk', 'wait')
    await until(() => (spawner.whereabouts(1)?.pid ?? 0) > 1)
    const pid = spawner.whereabouts(1)?.pid as number
    spawner.close()
    expect((await once(child, 'exit'))[0]).equal(0)
    await until(() => !fs.existsSync(`/proc/${pid}`) || / Z /.test(fs.readFileSync(`/proc/${pid}/stat`, 'latin1')))
  })
  it('end when the system was over before it began', async () => {
    const over = path.join(run, 'over')
    fs.writeFileSync(over, '')
    // Later than the agent's start, however slow that is.
    fs.utimesSync(over, new Date(), new Date(Date.now() + 60_000))
    const child = agent('disk')
    expect((await once(child, 'exit'))[0]).equal(0)
  })

  describe('are not anybody', () => {
    const connect = async (name: string) => {
      const socket = net.connect(path.join(run, 'agents', name))
      socket.on('error', () => {})
      await once(socket, 'connect')
      return socket
    }
    const said = async (socket: net.Socket) => {
      let text = ''
      socket.on('data', (data) => {
        text += String(data)
      })
      await once(socket, 'close')
      return text
    }
    it('the host says which user is there', async () => {
      const file = path.join(run, 'socket')
      const server = net.createServer().listen(file)
      const client = net.connect(file)
      const [socket] = (await once(server, 'connection')) as [net.Socket]
      expect(peerUser(socket)).equal(user)
      client.destroy()
      server.close()
    })
    it('another user is refused', async () => {
      await open(container('disk', 'own', user + 1))
      expect(await said(await connect('disk'))).include(`user ${user} is not ${user + 1}`)
    })
    it('an agent that is there is not replaced', async () => {
      await open(container('disk', 'own'))
      agent('disk')
      await spawner.ready(5000)
      expect(await said(await connect('disk'))).include('there is one already')
    })
    for (const [what, line] of Object.entries({
      'what is no JSON': 'x\n',
      'what is no report': '{"op":"spawn"}\n',
      'an exit of nobody': '{"op":"exit","code":0,"signal":null}\n',
      'a line without an end': 'x'.repeat(5000),
    }))
      it(`${what} ends the connection`, async () => {
        await open(container('disk', 'own'))
        const socket = await connect('disk')
        socket.write(line)
        expect(await said(socket)).equal('')
        expect(exits).deep.equal([])
      })
    it('wrong numbers end the connection, and with it the life', async () => {
      await open(container('disk', 'own'))
      start('disk', 'wait')
      const socket = await connect('disk')
      socket.write('{"op":"exit","life":1,"code":"0","signal":null}\n')
      await until(() => exits.length === 1)
      expect(exits[0].signal).equal('SIGKILL')
    })
  })
})
