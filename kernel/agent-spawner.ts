/**
 * Processes in containers: instead of forking, the kernel tells an agent that waits in each container what to start.
 *
 *   agent ──connects──► RUN/agents/<name>      the kernel listens, one socket per container, and asks the host who came
 *   kernel ──spawn {life, image, token, address, terminal, heapBytes}──► agent ──started {life, pid}──► … ──exit {life, code, signal, heapIsFull}──►
 *   kernel ──kill {life, signal} · usage {life} · leave · renew──► agent ──usage {life, state, cpuMs, rssKb, ownKb} · leaving──►
 *
 *   open()              listens for all agents
 *   ready(ms)           waits for those that processes of the manifest need; the names of the missing
 *   start(order)        a life on the container of that name, else on a spare one; throws NoContainer when none is left
 *   kill · usage        of a life
 *
 * A life is a number that names one run of one process for ever; pids are each container's own and mean nothing outside.
 * A connection that ends takes its process with it: that is an exit. A container that went is waited for, since its
 * restart policy brings it back; an operator's `docker kill` or `stop` does not, so after a while a spare takes the process.
 * The agents are ours, but the processes beside them are not trusted: the host says which user connects, a line that is no
 * report or is too long closes the connection, and nobody replaces an agent that is there.
 */
import { chmodSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { peerUser, readLines } from './peer.ts'

/** One container, as the launcher wrote it to RUN/agents.json. */
export interface Container {
  readonly name: string
  /** The user its agent runs as: nobody else may speak for it. */
  readonly user: number
  /** own: for the process of that name, which may move to a spare; pinned: it may not; spare: for anybody, once. */
  readonly role: 'own' | 'pinned' | 'spare'
}
export interface Order {
  readonly name: string
  readonly image: string
  readonly token: string
  readonly address: string
  readonly terminal: boolean
  readonly heapBytes?: number
}
export interface Exit {
  readonly code: number | null
  readonly signal: string | null
  readonly heapIsFull?: boolean
}
export interface LifeUsage {
  readonly cpuMs: number
  readonly rssKb: number
  readonly ownKb: number
  readonly state: string
  /** In its container. */
  readonly pid: number
}
export interface AgentSpawnerOptions {
  readonly run: string
  readonly containers: readonly Container[]
  readonly onExit: (token: string, exit: Exit) => void
  /** A life has a pid now: what `whereabouts` says has changed. */
  readonly onStarted?: () => void
  readonly log: (message: string, fields: object) => void
  /** For tests, which have one user. */
  readonly userOf?: (socket: Socket) => number
  /** Other patiences than MOVE_MS and RENEW_MS; for tests. */
  readonly moveMs?: number
  readonly renewMs?: number
}
export class NoContainer extends Error {}

/** A restart policy brings a container back within a second, unless it ended often. */
const MOVE_MS = 3000
/** From the first kill of a stop in order to the kernel's end, on a small machine that stops thirty containers. */
const RENEW_MS = 4000
/** A process that was killed is gone in milliseconds; an agent that cannot say so is frozen, and counts as gone. */
const KILL_PATIENCE_MS = 5000
/** `docker compose stop` reaches the kernel and the agents within this time, and the kernel stops the system in order. */
const LEAVE_MS = 2500
/** Asked for again not sooner than this. */
const USAGE_MS = 250
/** An agent answers in milliseconds; one that has not for so long is frozen, and its process with it, or was stopped by it. */
const STILL_MS = 500
const LINE_MAX = 4096

interface Report {
  readonly op?: unknown
  readonly life?: unknown
  readonly [field: string]: unknown
}
class Life {
  readonly id: number
  readonly order: Order
  usage?: LifeUsage
  pid = 0
  asked = 0
  /** When the first question was asked that its agent has not answered. */
  unanswered = Number.POSITIVE_INFINITY
  timer?: NodeJS.Timeout

  constructor(id: number, order: Order) {
    this.id = id
    this.order = order
  }
  get isStill(): boolean {
    return Date.now() - this.unanswered > STILL_MS
  }
}
class Slot {
  readonly container: Container
  socket?: Socket
  life?: Life
  /** A spare that has served: it ends, and comes back with nothing of its process in it. */
  used = false
  constructor(container: Container) {
    this.container = container
  }
  get isFree(): boolean {
    return this.life === undefined && !this.used
  }
  get isHere(): boolean {
    return this.socket !== undefined
  }
  send(message: object): void {
    this.socket?.write(`${JSON.stringify(message)}\n`)
  }
  spawn(life: Life): void {
    const { image, token, address, terminal, heapBytes } = life.order
    this.send({ op: 'spawn', life: life.id, image, token, address, terminal, heapBytes })
  }
}

export class AgentSpawner {
  private readonly options: AgentSpawnerOptions
  private readonly slots = new Map<string, Slot>()
  private readonly lives = new Map<number, Slot>()
  private readonly servers: Server[] = []
  private lastLife = 0
  private arrived: () => void = () => {}

  constructor(options: AgentSpawnerOptions) {
    this.options = options
    for (const container of options.containers) this.slots.set(container.name, new Slot(container))
  }
  async open(): Promise<void> {
    await Promise.all([...this.slots.values()].map((slot) => this.listen(slot)))
  }
  private listen(slot: Slot): Promise<void> {
    const server = createServer((socket) => this.connected(slot, socket))
    this.servers.push(server)
    const path = join(this.options.run, 'agents', slot.container.name)
    return new Promise((resolve, reject) => {
      server.once('error', reject)
      server.listen(path, () => {
        chmodSync(path, 0o660)
        resolve()
      })
    })
  }
  /** Spares may come later: nobody waits for them. */
  async ready(patienceMs: number): Promise<string[]> {
    const missing = () =>
      [...this.slots.values()].filter((slot) => !slot.isHere && slot.container.role !== 'spare').map(nameOf)
    const limit = Date.now() + patienceMs
    while (missing().length > 0 && Date.now() < limit)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, limit - Date.now())
        this.arrived = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    return missing()
  }
  close(): void {
    for (const server of this.servers) server.close()
    for (const { socket } of this.slots.values()) socket?.destroy()
  }

  // ------------------------------------------------------------ connections

  private connected(slot: Slot, socket: Socket): void {
    socket.on('error', () => socket.destroy())
    const { name, user } = slot.container
    const came = (this.options.userOf ?? peerUser)(socket)
    if (came !== user || slot.socket) {
      const why = came === user ? 'there is one already' : `user ${came} is not ${user}`
      this.options.log('an agent is refused', { container: name, why })
      // It ends itself: the user is in the compose file, and a restart would not change it.
      return void socket.end(`${JSON.stringify({ op: 'refused', why })}\n`)
    }
    slot.socket = socket
    slot.used = false
    socket.on('close', () => this.lost(slot))
    readLines(socket, LINE_MAX, (line) => this.report(slot, line))
    this.options.log('a container is here', { container: name })
    if (slot.life) this.place(slot, slot.life)
    this.arrived()
  }
  private lost(slot: Slot): void {
    slot.socket = undefined
    this.options.log('a container is gone', { container: nameOf(slot) })
    const { life } = slot
    if (life) this.exited(slot, life, { code: null, signal: 'SIGKILL' })
  }
  private report(slot: Slot, line: string): void {
    const report = parse(line)
    if (report?.op === 'leaving') return this.leaving(slot)
    const { life } = slot
    // What a former life did after its end was noticed is of no interest.
    if (report && typeof report.life === 'number' && report.life !== life?.id) return
    if (!report || !life || !this.take(slot, life, report)) slot.socket?.destroy()
  }
  private take(
    slot: Slot,
    life: Life,
    { op, pid, state, cpuMs, rssKb, ownKb, code, signal, heapIsFull }: Report,
  ): boolean {
    if (op === 'started' && isCount(pid)) {
      life.pid = pid
      this.options.onStarted?.()
    } else if (op === 'usage' && [cpuMs, rssKb, ownKb].every(isCount) && typeof state === 'string') {
      life.usage = { state: state.slice(0, 1), cpuMs, rssKb, ownKb, pid: life.pid } as LifeUsage
      life.unanswered = Number.POSITIVE_INFINITY
    } else if (op === 'exit' && (code === null || isCount(code)) && (signal === null || isSignal(signal)))
      this.exited(slot, life, { code, signal, ...(heapIsFull === true && { heapIsFull }) })
    else return false
    return true
  }
  /** The operator stops this container: perhaps all, and then the kernel as well, which ends everything in order first. */
  private leaving(slot: Slot): void {
    setTimeout(() => slot.send({ op: 'leave' }), LEAVE_MS).unref()
  }

  // ------------------------------------------------------------ lives

  start(order: Order): number {
    const slot = this.slotFor(order)
    const life = new Life(++this.lastLife, order)
    this.place(slot, life)
    return life.id
  }
  private slotFor({ name }: Order): Slot {
    const own = this.slots.get(name)
    const slot = own?.isFree ? own : this.spare()
    if (!slot)
      throw new NoContainer(`no container is free for ${name}: docker-compose.yml has a fixed number of spares`)
    return slot
  }
  private spare(): Slot | undefined {
    return [...this.slots.values()].find((slot) => slot.container.role === 'spare' && slot.isFree && slot.isHere)
  }
  private place(slot: Slot, life: Life): void {
    clearTimeout(life.timer)
    slot.life = life
    this.lives.set(life.id, slot)
    if (slot.isHere) slot.spawn(life)
    else if (slot.container.role === 'own') life.timer = this.later(slot, life)
  }
  private later(slot: Slot, life: Life): NodeJS.Timeout {
    return setTimeout(() => this.move(slot, life), this.options.moveMs ?? MOVE_MS)
  }
  /** Its own container has not come back. The kernel's patience with a process that never speaks ends the wait. */
  private move(slot: Slot, life: Life): void {
    if (slot.life !== life || slot.isHere) return
    const spare = this.spare()
    if (!spare) return void (life.timer = this.later(slot, life))
    this.options.log('a process moves to a spare container', { process: life.order.name, container: nameOf(spare) })
    slot.life = undefined
    this.place(spare, life)
  }
  private exited(slot: Slot, life: Life, exit: Exit): void {
    clearTimeout(life.timer)
    slot.life = undefined
    if (slot.container.role === 'spare') this.renew(slot)
    this.lives.delete(life.id)
    this.options.onExit(life.order.token, exit)
  }
  /** Not at once: when the whole system stops, its agent ends with the connection and must not come back. */
  private renew(slot: Slot): void {
    const { socket } = slot
    slot.used = true
    const tell = () => slot.socket === socket && slot.send({ op: 'renew' })
    setTimeout(tell, this.options.renewMs ?? RENEW_MS).unref()
  }
  kill(id: number, signal: string): void {
    const slot = this.lives.get(id)
    const life = slot?.life
    if (!slot || !life) return
    if (!slot.isHere)
      return void setImmediate(() => slot.life === life && this.exited(slot, life, { code: null, signal }))
    slot.send({ op: 'kill', life: id, signal })
    // What was seen of it before is over: it would count as stopped again.
    if (signal === 'SIGCONT' && life.usage) life.usage = { ...life.usage, state: 'R' }
    if (signal !== 'SIGKILL') return
    clearTimeout(life.timer)
    life.timer = setTimeout(() => slot.life === life && this.giveUp(slot), life.isStill ? STILL_MS : KILL_PATIENCE_MS)
  }
  /** When it thaws it reads this behind the kill, and its container starts afresh. */
  private giveUp(slot: Slot): void {
    slot.send({ op: 'renew' })
    slot.socket?.destroy()
  }
  /** As of the last answer; asks for the next. undefined until the first. Of an agent that answers no more: stopped. */
  usage(id: number): LifeUsage | undefined {
    const slot = this.lives.get(id)
    const life = slot?.life
    if (!slot || !life) return undefined
    const now = Date.now()
    if (now - life.asked >= USAGE_MS) {
      life.asked = now
      if (slot.isHere) life.unanswered = Math.min(life.unanswered, now)
      slot.send({ op: 'usage', life: id })
    }
    return life.isStill ? { ...(life.usage ?? UNSEEN), state: 'T' } : life.usage
  }
  /** Where a life is, for whoever looks from outside. */
  whereabouts(id: number): { readonly container: string; readonly pid: number } | undefined {
    const slot = this.lives.get(id)
    return slot?.life && { container: nameOf(slot), pid: slot.life.pid }
  }
}
const UNSEEN = { cpuMs: 0, rssKb: 0, ownKb: 0, pid: 0 }
const nameOf = (slot: Slot): string => slot.container.name
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0
const isSignal = (value: unknown): value is string => typeof value === 'string' && /^SIG[A-Z0-9]{2,10}$/.test(value)

function parse(line: string): Report | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? (value as Report) : undefined
  } catch {
    return undefined
  }
}
