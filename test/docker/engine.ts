/**
 * A Docker engine with compose: the one of this machine, or a private one where the means to start it lie beside the
 * repository (an engine's programs installed, none running: a CI machine without a registry).
 *
 *   before(async function () { engine = await Engine.find(this) })      `this`: mocha's context; skips when there is none
 *   engine.docker('ps', '-a')     its output; throws with its words
 *   engine.end()                  stops what find() started
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'
import { findProgram, oracle } from '../support/oracles.ts'
import { repository } from '../support/system.ts'

const STARTER = path.join(repository, '..', 'shared', 'ci', 'docker', 'with-engine.sh')
const SENTENCE_MAX = 4000

export class Engine {
  readonly environment: NodeJS.ProcessEnv
  private readonly starter?: ChildProcess

  private constructor(host?: string, starter?: ChildProcess) {
    this.environment = { ...process.env, ...(host && { DOCKER_HOST: host }) }
    this.starter = starter
  }
  static async find(test: { skip(): never }): Promise<Engine> {
    const running = new Engine()
    if (findProgram('docker') && running.answers()) return running
    if (findProgram('dockerd') && fs.existsSync(STARTER) && process.getuid?.() === 0) return Engine.start()
    if (findProgram('docker')) missing(test, 'no Docker engine with compose answers here')
    oracle(test, 'docker', 'docker.io (with docker-compose and docker-buildx)')
    return running
  }
  private answers(): boolean {
    const ask = (...args: string[]) =>
      spawnSync('docker', args, { env: this.environment, stdio: 'ignore' }).status === 0
    return ask('version') && ask('compose', 'version')
  }
  /** It lives until its standard input ends. */
  private static async start(): Promise<Engine> {
    const starter = spawn(STARTER, ['sh', '-c', 'echo "$DOCKER_HOST"; cat >/dev/null'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const [host] = (await Promise.race([once(starter.stdout, 'data'), once(starter, 'exit')])) as [Buffer | number]
    if (!Buffer.isBuffer(host)) throw new Error(`${STARTER} ended with ${host}`)
    return new Engine(host.toString().trim(), starter)
  }
  docker(...args: string[]): string {
    return this.dockerWith({}, ...args)
  }
  dockerWith(environment: NodeJS.ProcessEnv, ...args: string[]): string {
    const env = { ...this.environment, ...environment }
    const { status, stdout, stderr } = spawnSync('docker', args, {
      env,
      encoding: 'utf8',
      cwd: repository,
      maxBuffer: 1 << 26,
    })
    if (status === 0) return stdout
    throw new Error(`docker ${args.join(' ')} ended with ${status}:\n${(stdout + stderr).slice(-SENTENCE_MAX)}`)
  }
  async end(): Promise<void> {
    if (!this.starter || this.starter.exitCode !== null) return
    const ended = once(this.starter, 'exit')
    this.starter.stdin?.end()
    await ended
  }
}
function missing(test: { skip(): never }, sentence: string): never {
  if (process.env.NEPTUNE_REQUIRE_ORACLES === '1')
    throw new Error(`${sentence}, and NEPTUNE_REQUIRE_ORACLES asks for it`)
  console.log(`       ${sentence}; skipped what it would judge`)
  return test.skip()
}
