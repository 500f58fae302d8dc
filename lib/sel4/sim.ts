/**
 * The simulator: the same kernel core, runtime and images in one process, over an in-memory transport with virtual time
 * and a seeded scheduler. One seed is one interleaving; the same seed replays it exactly.
 *
 *   const sim = new Simulator({ seed: 7, manifest, view, images: { disk: main, … } })
 *   sim.boot()
 *   await sim.run(1000)                 a virtual second
 *   await sim.runUntil(() => …, 5000)   until a condition holds, at most so long
 *   sim.kill('disk')                    SIGKILL, now; SIGSTOP and SIGCONT too
 *   sim.lines                           what every process logged, with its name and time
 *   sim.letters()                       every message under way
 *
 * Messages on one channel keep their order and arrive after a random delay; between channels anything may happen. A dead
 * process's code may still run to its next await, but nothing it sends arrives and nothing wakes it again.
 */
import { Kernel } from '../../kernel/kernel.ts'
import type { ExitStatus, Host, StartRequest, Usage } from '../../kernel/host.ts'
import type { CheckedManifest } from '../../kernel/manifest/manifest.ts'
import type { Clock, Environment, Log, Main, ManifestView } from './api.ts'
import { connect } from './environment.ts'
import { seededRandom } from '#rtl'
import { settle } from './fake.ts'
import type { Runtime } from './runtime.ts'
import type { Extent, PeerLink, ProcessTransport } from './transport.ts'
import { encode, KIND, MESSAGE_MAX } from './wire.ts'

export interface SimulatorOptions {
  readonly seed: number
  readonly manifest: CheckedManifest
  readonly view: ManifestView
  readonly images: Readonly<Record<string, Main>>
  /** The longest a message is under way, in virtual milliseconds. */
  readonly maxDelay?: number
  /** Sees every message between two processes, and between a process and the kernel, as it is sent. */
  readonly tap?: (message: Buffer) => void
}
export interface SimLine {
  readonly at: number
  readonly name: string
  readonly level: string
  readonly message: string
  readonly fields?: object
}
/** A message under way, from and to a process, by its token, or the kernel. */
export interface Letter {
  readonly from: string
  readonly to: string
  readonly message: Buffer
}
export const KERNEL = 'kernel'
const NOBODY = ''
interface Event {
  readonly at: number
  readonly order: number
  readonly run: () => void
  readonly letter?: Letter
}
/** 2026-01-01 00:00 UTC in 100 ns units since 1601. */
const EPOCH = 134_117_856_000_000_000
const EX_SOFTWARE = 70
/** Thrown by exit() to leave the caller; nobody's error. */
class Leaving extends Error {}

export class Simulator {
  readonly kernel: Kernel
  readonly lines: SimLine[] = []
  ended?: { code: number; reason: string }
  readonly options: SimulatorOptions
  readonly processes = new Map<number, SimProcess>()
  readonly byAddress = new Map<string, SimProcess>()
  private readonly random: { next(): number }
  private readonly memory = new Map<string, Uint8Array>()
  private readonly channels = new Map<string, number>()
  private queue: Event[] = []
  private time = 0
  private order = 0

  constructor(options: SimulatorOptions) {
    this.options = options
    this.random = seededRandom(options.seed)
    this.kernel = new Kernel(new SimHost(this), options.manifest, options.view)
  }
  boot(): void {
    this.kernel.boot()
  }
  now(): number {
    return this.time
  }
  next(): number {
    return this.random.next()
  }
  secret(): string {
    return Array.from({ length: 4 }, () => this.next().toString(16).padStart(8, '0')).join('')
  }
  at(time: number, run: () => void, letter?: Letter): { cancel(): void } {
    const event = { at: Math.max(time, this.time), order: this.order++, run, letter }
    this.push(event)
    return { cancel: () => void (this.queue = this.queue.filter((other) => other !== event)) }
  }
  /** Sorted by time, then by age: binary insertion. */
  private push(event: Event): void {
    let low = 0
    let high = this.queue.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.queue[middle].at <= event.at) low = middle + 1
      else high = middle
    }
    this.queue.splice(low, 0, event)
  }
  /** After a random delay, but not before what went the same way earlier. */
  deliver(channel: string, run: () => void, letter?: Letter): void {
    const delay = (this.next() / 0x1_0000_0000) * (this.options.maxDelay ?? 1)
    const at = Math.max(this.time + delay, this.channels.get(channel) ?? 0)
    this.channels.set(channel, at)
    this.at(at, run, letter)
  }
  /** What travels is a copy, as over a socket, which would not take in more. */
  send(channel: string, { from, to, message }: Letter, arrived: (letter: Letter) => void): void {
    if (message.length > MESSAGE_MAX) throw new Error(`a message of ${message.length} bytes`)
    this.options.tap?.(message)
    const letter = { from, to, message: Buffer.from(message) }
    this.deliver(channel, () => arrived(letter), letter)
  }
  /** What lies before a stopped process is under way, too. */
  *letters(): Generator<Letter> {
    for (const { letter } of this.queue) if (letter) yield letter
    for (const { held } of this.processes.values()) for (const { letter } of held) if (letter) yield letter
  }
  makeMemory(name: string, bytes: number): string {
    this.memory.set(name, new Uint8Array(bytes))
    return name
  }
  map({ path, offset, length }: Extent): Uint8Array {
    const memory = this.memory.get(path)
    if (!memory || offset + length > memory.length) throw new RangeError(`no memory ${path} +${offset} +${length}`)
    return memory.subarray(offset, offset + length)
  }
  /** One event and all it causes at once; false when nothing is left. */
  async step(limit = Number.POSITIVE_INFINITY): Promise<boolean> {
    const event = this.queue[0]
    if (!event || event.at > limit) return false
    this.queue.shift()
    this.time = event.at
    event.run()
    await settle()
    return true
  }
  async run(milliseconds: number): Promise<void> {
    const end = this.time + milliseconds
    while (await this.step(end));
    this.time = end
  }
  async runUntil(condition: () => boolean, limit = 10_000): Promise<void> {
    const end = this.time + limit
    while (!condition())
      if (!(await this.step(end))) throw new Error(`seed ${this.options.seed}: not within ${limit} ms`)
  }
  said(name: string, message: string): SimLine[] {
    return this.lines.filter((line) => line.name === name && line.message === message)
  }
  kill(name: string, signal = 'SIGKILL'): void {
    const process = this.kernel.processes.get(name)
    if (!process) throw new Error(`no process ${name}`)
    this.processes.get(process.pid)?.signalled(signal)
  }
}

class SimHost implements Host {
  readonly numNodes = 2
  private readonly sim: Simulator
  private nextPid = 100
  private addresses = 0

  constructor(sim: Simulator) {
    this.sim = sim
  }
  now(): number {
    return this.sim.now()
  }
  alarm(milliseconds: number, expired: () => void): { cancel(): void } {
    return this.sim.at(this.sim.now() + milliseconds, expired)
  }
  secret(): string {
    return this.sim.secret()
  }
  private byToken(token: string): SimProcess | undefined {
    for (const process of this.sim.processes.values()) if (process.request.token === token) return process
    return undefined
  }
  send(token: string, message: Buffer): void {
    const letter = { from: KERNEL, to: token, message }
    this.sim.send(`kernel ${token}`, letter, (arrived) => this.byToken(token)?.fromKernel(arrived))
  }
  start(request: StartRequest): number {
    const pid = this.nextPid++
    const main = this.sim.options.images[request.image]
    const process = new SimProcess(this.sim, pid, request)
    this.sim.processes.set(pid, process)
    this.sim.deliver(`birth ${pid}`, () => (main ? process.run(main) : process.exited({ code: 127, signal: null })))
    return pid
  }
  kill(pid: number, signal: string): void {
    this.sim.processes.get(pid)?.signalled(signal)
  }
  yield(): void {}
  usage(pid: number): Usage | undefined {
    const process = this.sim.processes.get(pid)
    return process && { cpuMs: 0, rssKb: 0, state: process.stopped ? 'T' : 'S' }
  }
  newAddress(): string {
    return `sim-${++this.addresses}`
  }
  forget(): void {}
  ownKb(): number {
    return 0
  }
  makeMemory(name: string, bytes: number): string {
    return this.sim.makeMemory(name, bytes)
  }
  view(path: string, bytes: number): Uint8Array {
    return this.sim.map({ path, offset: 0, length: bytes, writable: true })
  }
  zero(path: string, offset: number, length: number): void {
    this.sim.map({ path, offset, length, writable: true }).fill(0)
  }
  log(level: string, message: string, fields?: object): void {
    this.sim.lines.push({ at: this.sim.now(), name: 'kernel', level, message, ...(fields && { fields }) })
  }
  living(): void {}
  ended(code: number, reason: string): void {
    this.sim.ended = { code, reason }
  }
}

/** One simulated process: its transport, clock, and end. */
export class SimProcess implements ProcessTransport {
  readonly request: StartRequest
  stopped = false
  alive = true
  /** From its birth on. */
  runtime?: Runtime
  /** What arrived while it was stopped. */
  held: { readonly work: () => void; readonly letter?: Letter }[] = []
  private readonly sim: Simulator
  private readonly pid: number
  private gateHandler?: (message: Buffer) => void
  private peerHandler?: (identity: Buffer, message: Buffer) => void
  private readonly links = new Map<string, (message: Buffer) => void>()

  constructor(sim: Simulator, pid: number, request: StartRequest) {
    this.sim = sim
    this.pid = pid
    this.request = request
    sim.byAddress.set(request.address, this)
  }
  /** Does something to this process if it still can be done. */
  wake(work: () => void, letter?: Letter): void {
    if (!this.alive) return
    if (this.stopped) return void this.held.push({ work, letter })
    try {
      work()
    } catch (error) {
      this.broken(error)
    }
  }

  // ------------------------------------------------------------ transport

  gate(message: Buffer): void {
    if (!this.alive) return
    const { token: from } = this.request
    this.sim.send(`${this.pid} kernel`, { from, to: KERNEL, message }, (arrived) =>
      this.sim.kernel.onMessage(from, arrived.message),
    )
  }
  fromKernel(letter: Letter): void {
    this.wake(() => this.gateHandler?.(letter.message), letter)
  }
  connect(address: string, identity: string, receive: (message: Buffer) => void): PeerLink {
    const to = this.sim.byAddress.get(address)
    const key = Buffer.from(identity)
    this.links.set(identity, receive)
    return {
      send: (message) => {
        if (!this.alive) return
        this.sim.send(`${this.pid} ${address}`, this.letterTo(to, message), (arrived) =>
          to?.wake(() => to.fromPeer(this, key, arrived.message), arrived),
        )
      },
      close: () => void this.links.delete(identity),
    }
  }
  private readonly senders = new Map<string, SimProcess>()
  private fromPeer(sender: SimProcess, identity: Buffer, message: Buffer): void {
    this.senders.set(identity.toString(), sender)
    this.peerHandler?.(identity, message)
  }
  answer(identity: Buffer, message: Buffer): void {
    const key = identity.toString()
    const to = this.senders.get(key)
    if (!this.alive) return
    this.sim.send(`${this.pid} back ${key}`, this.letterTo(to, message), (arrived) =>
      to?.wake(() => to.links.get(key)?.(arrived.message), arrived),
    )
  }
  private letterTo(to: SimProcess | undefined, message: Buffer): Letter {
    return { from: this.request.token, to: to?.request.token ?? NOBODY, message }
  }
  listen(gate: (message: Buffer) => void, peer: (identity: Buffer, message: Buffer) => void): void {
    this.gateHandler = gate
    this.peerHandler = peer
  }
  map(extent: Extent): Uint8Array {
    return this.sim.map(extent)
  }
  unmap(): void {}

  // ------------------------------------------------------------ life

  run(main: Main): void {
    if (!this.alive) return
    const env = connect({
      transport: this,
      clock: this.clock(),
      random: seededRandom(this.sim.next()),
      logFor: (name) => this.log(name),
      die: (error) => this.broken(error),
      exit: (code, epitaph) => {
        this.end(code, epitaph)
        throw new Leaving()
      },
    })
    const born = (environment: Environment) => {
      this.runtime = environment.sel4 as Runtime
      return main(environment)
    }
    env.then(born).catch((error) => this.broken(error))
  }
  private clock(): Clock {
    const start = this.sim.now()
    const alarm = (milliseconds: number, expired: () => void) =>
      this.sim.at(this.sim.now() + Math.max(0, milliseconds), () => this.wake(expired))
    return {
      now: () => this.sim.now() - start,
      systemTime: () => EPOCH + Math.round(this.sim.now() * 10_000),
      sleep: (milliseconds) => new Promise((resolve) => alarm(milliseconds, resolve)),
      alarm,
    }
  }
  private log(name: string): Log {
    const at = (level: string) => (message: string, fields?: object) =>
      void this.sim.lines.push({ at: this.sim.now(), name, level, message, ...(fields && { fields }) })
    return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
  }
  private broken(error: unknown): void {
    if (error instanceof Leaving) return
    this.end(EX_SOFTWARE, error instanceof Error ? (error.stack ?? error.message) : String(error))
  }
  private end(code: number, epitaph?: string): void {
    if (!this.alive) return
    if (epitaph) this.gate(encode(KIND.EPITAPH, 0, 0, 0, 0, epitaph))
    this.exited({ code, signal: null })
  }
  signalled(signal: string): void {
    if (!this.alive) return
    if (signal === 'SIGSTOP') this.stopped = true
    else if (signal === 'SIGCONT') {
      this.stopped = false
      for (const { work, letter } of this.held.splice(0)) this.wake(work, letter)
    } else if (signal === 'SIGTERM') this.exited({ code: 0, signal: null })
    else this.exited({ code: null, signal })
  }
  /** The kernel hears of it behind everything this process had sent. */
  exited(status: ExitStatus): void {
    if (!this.alive) return
    this.alive = false
    this.sim.byAddress.delete(this.request.address)
    this.sim.deliver(`${this.pid} kernel`, () => {
      this.sim.processes.delete(this.pid)
      this.sim.kernel.onExit(this.request.token, status)
    })
  }
}
