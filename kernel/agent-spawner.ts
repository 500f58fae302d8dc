/**
 * Processes in containers: instead of forking, the kernel tells an agent that waits in each container what to start.
 *
 *   agent ──connects──► RUN/agents/<name>      the kernel listens, one socket per container
 *   kernel ──{"op":"spawn","image","env"}──► agent ──{"op":"started","pid"}──► … ──{"op":"exit","code","signal"}──►
 *   kernel ──{"op":"kill","signal"}──► agent
 *
 *   AgentSpawner.open(names)                     listens for the agents; resolves when all are there
 *   spawn(name, image, env) → Spawned            on the container of that name, else on a spare one; throws when none is left
 *
 * A pid is the container's own and means nothing outside it. An agent that goes takes its process with it: that is an exit.
 * JSON lines, bounded; the agents are ours, but a line that is none closes its connection.
 */
import { chmodSync, mkdirSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

export interface Exit {
  readonly code: number | null
  readonly signal: string | null
}
export interface Spawned {
  /** Resolves to the pid in its container; rejects when the image could not be started. */
  readonly pid: Promise<number>
  onExit(handler: (exit: Exit) => void): void
  kill(signal: string): void
}
export interface Spawner {
  spawn(name: string, image: string, env: Readonly<Record<string, string>>): Spawned
}
interface Report {
  readonly op?: string
  readonly pid?: number
  readonly code?: number | null
  readonly signal?: string | null
}
const SPARE = /^spare-\d+$/

class Agent {
  readonly name: string
  private socket?: Socket
  private current?: { started(pid: number): void; exited(exit: Exit): void }
  private greet: () => void = () => {}
  readonly here: Promise<void>

  constructor(name: string) {
    this.name = name
    this.here = new Promise((resolve) => {
      this.greet = resolve
    })
  }
  get isFree(): boolean {
    return this.socket !== undefined && this.current === undefined
  }
  connect(socket: Socket): void {
    this.socket?.destroy()
    this.socket = socket
    socket.on('error', () => socket.destroy())
    socket.on('close', () => this.socket === socket && this.lost())
    createInterface({ input: socket }).on('line', (line) => this.report(line))
    this.greet()
  }
  private lost(): void {
    this.socket = undefined
    this.exited({ code: null, signal: 'SIGKILL' })
  }
  private exited(exit: Exit): void {
    const { current } = this
    this.current = undefined
    current?.exited(exit)
  }
  private report(line: string): void {
    const report = parse(line)
    if (report?.op === 'started' && Number.isInteger(report.pid)) this.current?.started(report.pid as number)
    else if (report?.op === 'exit') this.exited({ code: report.code ?? null, signal: report.signal ?? null })
    else this.socket?.destroy()
  }
  spawn(image: string, env: Readonly<Record<string, string>>): Spawned {
    const handlers: ((exit: Exit) => void)[] = []
    const pid = new Promise<number>((resolve, reject) => {
      const exited = (exit: Exit) => {
        reject(new Error(`the container ${this.name} could not start ${image}`))
        for (const handler of handlers) handler(exit)
      }
      this.current = { started: resolve, exited }
    })
    // Whoever only watches for the exit hears of the failure there.
    pid.catch(() => {})
    this.send({ op: 'spawn', image, env })
    return { pid, onExit: (handler) => handlers.push(handler), kill: (signal) => this.send({ op: 'kill', signal }) }
  }
  private send(message: object): void {
    this.socket?.write(`${JSON.stringify(message)}\n`)
  }
}
function parse(line: string): Report | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? value : undefined
  } catch {
    return undefined
  }
}

export class AgentSpawner implements Spawner {
  private readonly agents = new Map<string, Agent>()
  private readonly servers: Server[] = []
  private readonly folder: string

  constructor(run: string) {
    this.folder = join(run, 'agents')
  }
  async open(names: readonly string[]): Promise<void> {
    mkdirSync(this.folder, { mode: 0o770, recursive: true })
    await Promise.all(names.map((name) => this.listen(name)))
    await Promise.all([...this.agents.values()].map(({ here }) => here))
  }
  private listen(name: string): Promise<void> {
    const agent = new Agent(name)
    this.agents.set(name, agent)
    const server = createServer((socket) => agent.connect(socket))
    this.servers.push(server)
    const path = join(this.folder, name)
    return new Promise((resolve, reject) => {
      server.once('error', reject)
      server.listen(path, () => {
        chmodSync(path, 0o660)
        resolve()
      })
    })
  }
  spawn(name: string, image: string, env: Readonly<Record<string, string>>): Spawned {
    const own = this.agents.get(name)
    const agent = own?.isFree ? own : [...this.agents.values()].find((each) => SPARE.test(each.name) && each.isFree)
    if (!agent) throw new Error(`no container is free for ${name}`)
    return agent.spawn(image, env)
  }
  close(): void {
    for (const server of this.servers) server.close()
  }
}
