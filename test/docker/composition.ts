/**
 * The system in containers, driven as a script would: docker-compose.yml as it is, under a project name of its own.
 *
 *   const system = Composition.up(engine, diskFile, over)      builds the image, starts every container; `over`: a compose file
 *                                           that changes docker-compose.yml
 *   await system.waitForPrompt()
 *   await system.enter('dir')               types a line at the panel, waits for the prompt, returns what was printed
 *   system.hostPid('ahci0')                 of the process in that container: what a SIGKILL from outside needs
 *   system.lives()                          which process is in which container
 *   await system.shutdown()                 types shutdown, waits until every container has ended by itself
 *   system.down()                           removes containers and volumes
 */
import { type ChildProcess, spawn } from 'node:child_process'
import path from 'node:path'
import type { ProcessInfo } from '../../lib/sel4/api.ts'
import { until } from '../support/until.ts'
import type { Engine } from './engine.ts'

export interface Life {
  readonly name: string
  readonly life: number
  readonly container?: string
  readonly pid?: number
}
export interface Inspected {
  readonly Name: string
  readonly RestartCount: number
  readonly State: { readonly Pid: number; readonly ExitCode: number; readonly Status: string }
  readonly Config: { readonly User: string }
  readonly HostConfig: {
    readonly CapDrop: string[] | null
    readonly CapAdd: string[] | null
    readonly Privileged: boolean
    readonly ReadonlyRootfs: boolean
    readonly NetworkMode: string
    readonly PidMode: string
    readonly IpcMode: string
    readonly SecurityOpt: string[] | null
  }
}
export interface KernelLine {
  readonly time: number
  readonly msg: string
  readonly [field: string]: unknown
}
const PATIENCE_MS = 120_000
const LOOK_MS = 25
/** Typed after a line: its echo proves that the prompt came back. */
const MARK = 'pwd'
const MARKED = />pwd$/m
const CLI = '/neptune/dist/images/cli.js'
const RUN = '/run/neptune'

export class Composition {
  readonly project: string
  private readonly engine: Engine
  private readonly environment: NodeJS.ProcessEnv
  private readonly files: readonly string[]
  private readonly followers: ChildProcess[] = []
  private keyboard?: ChildProcess
  private output = ''

  private constructor(engine: Engine, disk: string, over?: string) {
    this.engine = engine
    this.files = ['docker-compose.yml', ...(over ? [over] : [])].flatMap((file) => ['--file', file])
    this.project = `neptune-test-${process.pid}`
    this.environment = {
      NEPTUNE_TTY: 'false',
      NEPTUNE_DISK_FOLDER: path.dirname(disk),
      NEPTUNE_DISK: path.basename(disk),
    }
  }
  static up(engine: Engine, disk: string, over?: string): Composition {
    const system = new Composition(engine, disk, over)
    try {
      system.compose('up', '--detach', '--quiet-pull')
      system.follow()
    } catch (error) {
      system.down()
      throw error
    }
    return system
  }
  compose(...args: string[]): string {
    const project = ['--project-name', this.project, ...this.files]
    return this.engine.dockerWith(this.environment, 'compose', ...project, ...args)
  }
  /** Output from its beginning, by the log; input as by anybody who attaches. */
  private follow(): void {
    const { environment: env } = this.engine
    const panel = this.container('panel')
    const log = spawn('docker', ['logs', '--follow', panel], { env, stdio: ['ignore', 'pipe', 'ignore'] })
    log.stdout.on('data', (data) => {
      this.output += String(data)
    })
    this.keyboard = spawn('docker', ['attach', '--sig-proxy=false', panel], {
      env,
      stdio: ['pipe', 'ignore', 'ignore'],
    })
    this.keyboard.stdin?.on('error', () => {})
    this.followers.push(log, this.keyboard)
  }
  container(service: string): string {
    return `${this.project}-${service}-1`
  }

  // ------------------------------------------------------------ the prompt

  screen(): string {
    return this.output
  }
  type(line: string): void {
    this.keyboard?.stdin?.write(`${line}\n`)
  }
  async until(what: string, condition: () => boolean, lookMs = LOOK_MS): Promise<void> {
    await until(what, condition, { patienceMs: PATIENCE_MS, lookMs, report: () => this.tail() })
  }
  tail(): string {
    const logs = this.compose('logs', '--no-color', '--tail', '15')
    return `${this.output.slice(-2000)}\n--- logs\n${logs.slice(-6000)}`
  }
  async waitForPrompt(): Promise<void> {
    this.type(MARK)
    await this.until('the first prompt', () => MARKED.test(this.output))
  }
  /** Types a short line; what it printed: the rows between its echo and the next prompt. */
  async enter(line: string): Promise<string> {
    const from = this.output.length
    this.type(line)
    this.type(MARK)
    await this.until(line, () => MARKED.test(this.output.slice(from)))
    const rows = this.output.slice(from).split('\n')
    const echo = rows.findIndex((row) => row.endsWith(`>${line}`))
    return rows
      .slice(
        echo + 1,
        rows.findIndex((row) => MARKED.test(row)),
      )
      .join('\n')
  }

  // ------------------------------------------------------------ from outside

  inspect(service: string): Inspected {
    return (JSON.parse(this.engine.docker('inspect', this.container(service))) as Inspected[])[0]
  }
  services(): string[] {
    return this.compose('config', '--services').trim().split('\n')
  }
  exec(service: string, ...command: string[]): string {
    return this.compose('exec', '--no-TTY', service, ...command)
  }
  ps(): ProcessInfo[] {
    return JSON.parse(this.exec('kernel', 'node', CLI, 'ps', '--json', '--run', RUN)) as ProcessInfo[]
  }
  generationOf(name: string): number {
    return this.ps().find((info) => info.name === name)?.generation ?? 0
  }
  lives(): Life[] {
    return JSON.parse(this.exec('kernel', 'cat', `${RUN}/lives.json`)) as Life[]
  }
  /** The container of a process. */
  whereIs(name: string): string {
    return this.lives().find((life) => life.name === name)?.container ?? ''
  }
  kernelLog(): KernelLine[] {
    const lines = this.exec('kernel', 'cat', `${RUN}/log/kernel.log`).split('\n').filter(Boolean)
    return lines.map((line) => JSON.parse(line) as KernelLine)
  }
  /** Throws with what is not true of the kernel that must be. */
  check(): void {
    this.exec('kernel', 'node', CLI, 'check', '--run', RUN)
  }
  /** The image's process in a container, as the host sees it. */
  hostPid(service: string, image = service): number {
    const rows = this.engine.docker('top', this.container(service), '-eo', 'pid,args').split('\n')
    const row = rows.find((each) => each.includes(`/${image}.js`))
    return Number(row?.trim().split(/\s+/)[0] ?? 0)
  }

  // ------------------------------------------------------------ the end

  async shutdown(): Promise<void> {
    this.type('shutdown')
    await this.until('every container has ended', () => this.compose('ps', '--quiet').trim() === '', 200)
  }
  down(): void {
    for (const follower of this.followers.splice(0)) follower.kill('SIGKILL')
    this.compose('down', '--volumes', '--remove-orphans', '--timeout', '5')
  }
  /** What docker still has of this project: containers, volumes, networks. */
  left(): string[] {
    const filter = ['--filter', `label=com.docker.compose.project=${this.project}`, '--quiet']
    return [
      this.engine.docker('ps', '--all', ...filter),
      this.engine.docker('volume', 'ls', ...filter),
      this.engine.docker('network', 'ls', ...filter),
    ].flatMap((text) => text.split('\n').filter(Boolean))
  }
}
