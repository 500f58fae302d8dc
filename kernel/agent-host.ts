/**
 * The kernel's world when each process has a container of its own: OsHost, but processes are lives of agents (see
 * agent-spawner.ts), and what lies in the run directory can be used by other users that were told its name.
 *
 *   readContainers(run)   RUN/agents.json, which the launcher wrote; undefined: processes are this kernel's children
 *
 * A bank's name has 128 random bits and its directory cannot be listed, so a process opens only banks it was told of.
 * Pids that the kernel's core sees are numbers of lives.
 */
import { chmodSync, existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Sel4Error } from '../lib/sel4/api.ts'
import { AgentSpawner, type Container, NoContainer } from './agent-spawner.ts'
import type { StartRequest, Usage } from './host.ts'
import { OsHost, type OsHostOptions } from './os-host.ts'

const USABLE = 0o660
const READABLE = 0o640

export function readContainers(run: string): readonly Container[] | undefined {
  const file = join(run, 'agents.json')
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Container[]) : undefined
}

export class AgentHost extends OsHost {
  private readonly spawner: AgentSpawner
  private readonly run: string
  private processes: readonly { readonly name: string; readonly pid: number }[] = []

  constructor(options: OsHostOptions, containers: readonly Container[]) {
    super(options)
    this.run = options.run
    // Sockets are for the group of the containers' users; files say so one by one.
    process.umask(0o007)
    this.spawner = new AgentSpawner({
      run: options.run,
      containers,
      onExit: options.onExit,
      onStarted: () => this.writeLives(),
      log: (message, fields) => this.log('info', message, fields),
    })
  }
  override async open(): Promise<void> {
    await super.open()
    await this.spawner.open()
  }
  /** The containers that have not come. */
  missing(patienceMs: number): Promise<string[]> {
    return this.spawner.ready(patienceMs)
  }
  override start(request: StartRequest): number {
    try {
      return this.spawner.start(request)
    } catch (error) {
      throw error instanceof NoContainer ? new Sel4Error('seL4_NotEnoughMemory', error.message) : error
    }
  }
  override kill(life: number, signal: string): void {
    this.spawner.kill(life, signal)
  }
  override usage(life: number): Usage | undefined {
    return this.spawner.usage(life)
  }
  override ownKb(life: number): number | undefined {
    return this.spawner.usage(life)?.ownKb
  }
  override makeMemory(name: string, bytes: number, sharing?: 'readable'): string {
    const path = super.makeMemory(`${name}-${this.secret()}`, bytes)
    chmodSync(path, sharing === 'readable' ? READABLE : USABLE)
    return path
  }
  /** RUN/lives.json, for people and tests: which process is where. The launcher ends no process by these. */
  override living(processes: readonly { readonly name: string; readonly pid: number }[]): void {
    this.processes = processes
    this.writeLives()
  }
  private writeLives(): void {
    const list = this.processes.map(({ name, pid }) => ({ name, life: pid, ...this.spawner.whereabouts(pid) }))
    const path = join(this.run, 'lives.json')
    writeFileSync(`${path}.new`, JSON.stringify(list), { mode: 0o600 })
    renameSync(`${path}.new`, path)
  }
}
