import { type ChildProcess, spawn } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect } from 'chai'
import { AgentSpawner, type Exit } from '../../kernel/agent-spawner.ts'

describe('agents', () => {
  let run: string
  const agents: ChildProcess[] = []
  beforeEach(() => {
    run = fs.mkdtempSync(path.join(os.tmpdir(), 'neptune-agent-'))
    // The agent starts images beside itself: here, one that ends as its environment says.
    fs.writeFileSync(
      path.join(run, 'image.js'),
      `process.env.HOW === 'wait' ? setTimeout(() => {}, 1e6) : process.exit(Number(process.env.HOW))`,
    )
    const register = path.resolve(__dirname, '..', 'register.cjs')
    const text = `require(${JSON.stringify(register)})\nconst m = require('node:module')\nconst src = require('node:fs').readFileSync(${JSON.stringify(path.join(__dirname, 'main.ts'))}, 'utf8')\nconst code = require(${JSON.stringify(require.resolve('esbuild'))}).transformSync(src, { loader: 'ts', format: 'cjs' }).code\nmodule._compile(code, __filename)\n`
    fs.writeFileSync(path.join(run, 'agent.js'), text)
  })
  afterEach(() => {
    for (const agent of agents.splice(0)) agent.kill('SIGTERM')
    fs.rmSync(run, { recursive: true, force: true })
  })
  const start = (name: string) =>
    agents.push(spawn(process.execPath, [path.join(run, 'agent.js'), run, name], { stdio: 'inherit' }))

  it('start, report, are killed, and start again; a spare serves a name without a container', async () => {
    const spawner = new AgentSpawner(run)
    for (const name of ['disk', 'spare-1']) start(name)
    await spawner.open(['disk', 'spare-1'])
    const end = (how: string, name = 'disk') => {
      const spawned = spawner.spawn(name, 'image', { HOW: how })
      return { spawned, exit: new Promise<Exit>((resolve) => spawned.onExit(resolve)) }
    }
    expect(await end('3').exit).deep.equal({ code: 3, signal: null })
    const waiting = end('wait')
    expect(await waiting.spawned.pid).above(1)
    const spare = end('wait', 'diskbench')
    await spare.spawned.pid
    expect(() => end('0', 'another')).throw('no container is free for another')
    waiting.spawned.kill('SIGKILL')
    expect(await waiting.exit).deep.equal({ code: null, signal: 'SIGKILL' })
    agents[1].kill('SIGTERM')
    expect((await spare.exit).signal).equal('SIGKILL')
    spawner.close()
  })
})
