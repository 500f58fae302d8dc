/** A child dies with its parent, even a stopped one. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import { parentPid } from './process.ts'

const onLinux = process.platform === 'linux' ? describe : describe.skip

/** The letter /proc gives a process: T stopped, Z ended and not yet collected; undefined when it is gone. */
const stateOf = (pid: number): string | undefined => {
  try {
    return /\) (\S)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1]
  } catch {
    return undefined
  }
}
async function until(what: () => boolean): Promise<boolean> {
  for (let tries = 0; tries < 400; tries++) {
    if (what()) return true
    await sleep(5)
  }
  return false
}

onLinux('dieWithParent', () => {
  it('ends a stopped child when its parent is killed', async () => {
    const child = `require('ts-node/register/transpile-only'); const { dieWithParent } = require(${JSON.stringify(join(__dirname, 'process.ts'))})
      console.log(JSON.stringify({ pid: process.pid, mine: dieWithParent(process.ppid), others: dieWithParent(1) })); process.kill(process.pid, 'SIGSTOP')`
    const parent = `require('node:child_process').spawn(process.execPath, ['-e', ${JSON.stringify(child)}], { stdio: 'inherit' }); setInterval(() => {}, 1000)`
    const running = spawn(process.execPath, ['-e', parent], { stdio: ['ignore', 'pipe', 'inherit'] })
    try {
      const [line] = (await once(running.stdout, 'data')) as [Buffer]
      const { pid, mine, others } = JSON.parse(line.toString())
      expect([mine, others]).to.deep.equal([true, false])
      expect(await until(() => stateOf(pid) === 'T'), 'the child stops').to.equal(true)
      running.kill('SIGKILL')
      expect(await until(() => [undefined, 'Z', 'X'].includes(stateOf(pid))), 'the child ends').to.equal(true)
    } finally {
      running.kill('SIGKILL')
    }
  }).timeout(10_000)

  it('knows the parent', () => {
    expect(parentPid()).to.equal(process.ppid)
  })
})
