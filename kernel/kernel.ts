/**
 * The kernel: every object, every process, the gate through which processes ask for something, and their ends.
 *
 *   new Kernel(host, manifest).boot()   makes memory and devices; everybody is born (birth.ts)
 *   onMessage(token, message)           from the host: a process spoke
 *   onExit(token, status)               from the host: a process ended
 *   shutdown(code, reason)              everything is stopped, the host is told
 *
 * Pure: all of the world comes through Host, so that the same core runs in the simulator. Knows no NT word.
 */
import { type ManifestView, SEL4_ERROR, Sel4Error } from '../lib/sel4/api.ts'
import {
  contextOf,
  decodeBody,
  encode,
  FLAG,
  isSound,
  KIND,
  labelOf,
  sequenceOf,
  sessionOf,
  type TraceContext,
  threadOf,
  traced,
} from '../lib/sel4/wire.ts'
import { type Capability, RIGHT } from './cspace.ts'
import { Births } from './birth.ts'
import { Burials } from './burial.ts'
import { Ceiling } from './ceiling.ts'
import { DataLimit } from './data-limit.ts'
import { DirectIrqs } from './direct-irq.ts'
import type { ExitStatus, Host } from './host.ts'
import { perform } from './gate.ts'
import { judge } from './judge.ts'
import { Lease } from './lease.ts'
import { Machine } from './machine.ts'
import { Interposer } from './interposer.ts'
import type { CheckedManifest } from './manifest/manifest.ts'
import { Notification } from './notification.ts'
import { Power } from './power.ts'
import type { DeathCause, Process } from './process.ts'
import { Relay } from './relay.ts'
import { SessionTable } from './session.ts'
import { Throttle } from './throttle.ts'

const EPITAPH_MAX = 4096

/** What passes between processes; everything else is for the kernel. */
const ALONG_SESSIONS = new Set<number>([
  KIND.CALL,
  KIND.SEND,
  KIND.REPLY,
  KIND.CREDIT,
  KIND.PORT_IN,
  KIND.PORT_OUT,
  KIND.MMIO_READ,
  KIND.DOORBELL,
  KIND.FENCE,
])
const HARDWARE = new Set(['IOPort', 'IRQHandler', 'DeviceFrame', 'IOSpace'])

export class Kernel {
  readonly host: Host
  readonly manifest: CheckedManifest
  readonly view: ManifestView
  readonly ceiling: Ceiling
  readonly machine: Machine
  readonly sessions: SessionTable
  readonly interposer: Interposer
  readonly directIrqs = new DirectIrqs(this)
  /** Living processes by name. */
  readonly processes = new Map<string, Process>()
  /** Changes that some process or device has yet to confirm. */
  readonly waits = new Set<Promise<unknown>>()
  readonly controls: ReturnType<Machine['controls']>
  root?: Process
  tracing = false
  private readonly byToken = new Map<string, Process>()
  readonly throttle: Throttle
  private readonly relay: Relay
  private readonly lease: Lease
  private readonly dataLimit: DataLimit
  readonly births = new Births(this)
  readonly burials = new Burials(this)
  private readonly power = new Power(this)
  private nextObject = 1

  constructor(host: Host, manifest: CheckedManifest, view: ManifestView) {
    this.host = host
    this.interposer = new Interposer(host)
    this.manifest = manifest
    this.view = view
    this.ceiling = new Ceiling(manifest)
    this.sessions = new SessionTable({
      slowpath: manifest.slowpath,
      secret: () => host.secret(),
      processes: () => this.processes.values(),
      isInterposed: (endpoint, sender) => this.interposer.isOn(endpoint, sender.name),
      checkCeiling: (sender, cap) => this.checkCeiling(sender, cap),
    })
    this.relay = new Relay(this.sessions, this.interposer, {
      faulted: (sender, why) => this.end(sender, 'fault', why),
      asked: (sender) => this.asked(sender),
    })
    this.machine = new Machine(this)
    this.controls = this.machine.controls()
    this.throttle = new Throttle(this)
    this.lease = new Lease(this)
    this.dataLimit = new DataLimit(this)
  }
  id(): number {
    return this.nextObject++
  }

  // ------------------------------------------------------------ birth

  boot(): void {
    this.root = this.births.all()
    this.lease.start()
    this.dataLimit.start()
  }
  /** It is made, and the host has started it. */
  admit(process: Process): void {
    this.processes.set(process.name, process)
    this.byToken.set(process.init.token, process)
    this.throttle.add(process)
    this.livingChanged()
  }
  private livingChanged(): void {
    this.host.living([...this.processes.values()].map(({ name, pid }) => ({ name, pid })))
  }

  // ------------------------------------------------------------ gate

  onMessage(token: string, message: Buffer): void {
    const process = this.byToken.get(token)
    if (!process?.alive || process.ended) return
    process.silent = 0
    if (!isSound(message)) return this.end(process, 'fault', 'malformed message to the kernel')
    const kind = message[0]
    if (ALONG_SESSIONS.has(kind)) return this.relay.relay(process, message)
    this.asked(process)
    if (kind === KIND.HELLO) return this.births.hello(process)
    if (process.state !== 'running') return this.end(process, 'fault', 'it spoke before it was born')
    this.request(process, kind, message)
  }
  /** Everything that no session's credits bound. */
  private asked(process: Process): void {
    if (!process.pace.sent())
      return this.end(
        process,
        'limit',
        `requests: more than ${process.init.limits.requests} without listening to an answer`,
      )
    if (!process.rush.counts(() => this.host.now())) return
    this.host.log('warn', `${process.name} asks without a pause: it goes behind the others`)
    this.host.yield(process.pid)
  }
  private request(process: Process, kind: number, message: Buffer): void {
    switch (kind) {
      case KIND.INVOKE:
        return void this.invoke(process, message)
      case KIND.RESULT:
        return process.answered(sequenceOf(message), decodeBody(message))
      case KIND.IRQ:
        return this.interrupt(process, labelOf(message), sessionOf(message) === 1, carriedBy(message))
      case KIND.WAIT:
        return this.wait(process, message)
      case KIND.FAULT:
        return judge(this, process, {
          session: sessionOf(message),
          offence: labelOf(message),
          raw: decodeBody(message),
        })
      case KIND.EPITAPH:
        return this.lastWords(process, decodeBody(message))
      case KIND.PONG:
        return
      default:
        return this.end(process, 'fault', `unknown system call ${kind}`)
    }
  }
  private lastWords(process: Process, text: unknown): void {
    if (typeof text === 'string') process.epitaph = text.slice(0, EPITAPH_MAX)
  }
  private async invoke(process: Process, message: Buffer): Promise<void> {
    const sequence = sequenceOf(message)
    const thread = process.threads.get(threadOf(message))
    // Destroyed while its request was under way: nobody waits for the answer.
    if (!thread) return
    let answer: Buffer
    try {
      const [label, service, body] = [labelOf(message), sessionOf(message), decodeBody(message)]
      const [bytes, context] = [message.length, carriedBy(message)]
      const result = await perform({ kernel: this, process, thread, label, service, body, bytes, context })
      answer = encode(KIND.RESULT, 0, 0, 0, sequence, result ?? null)
    } catch (error) {
      if (!(error instanceof Sel4Error)) throw error
      answer = encode(KIND.RESULT, FLAG.ERROR, error.code, 0, sequence, error.detail ?? null)
    }
    process.tell(answer)
  }
  /** Resolves when every change begun so far is confirmed. */
  async settled(): Promise<void> {
    await Promise.all([this.sessions.settled(), ...this.waits])
  }
  /** Lets every other request in. */
  breathe(): Promise<void> {
    return new Promise((resolve) => this.host.alarm(1, resolve))
  }
  /** Hardware is had and used only where the manifest allows, whoever hands it on and through whatever CNode. */
  mayHold(process: Process, { object, rights }: Capability): boolean {
    return !HARDWARE.has(object.type) || this.ceiling.allows(process, object, rights)
  }
  checkCeiling(process: Process | undefined, cap: Capability): void {
    if (process && !this.mayHold(process, cap))
      throw new Sel4Error('seL4_IllegalOperation', `${cap.object.describe()} is above the ceiling of ${process.name}`)
  }
  private interrupt(process: Process, index: number, raised: boolean, context: TraceContext | undefined): void {
    const irq = process.init.device?.irqs[index]
    if (!irq) return this.end(process, 'fault', `it raised an interrupt it does not have (${index})`)
    if (raised) irq.raise(process.init.device, context)
    else irq.lower(process.init.device)
  }
  private notificationAt(process: Process, cptr: number, right: number): { object: Notification; badge: number } {
    const { object, rights, badge } = process.lookup(cptr)
    if (object instanceof Notification && rights & right) return { object, badge }
    throw new Sel4Error('seL4_InvalidCapability', 'not a notification')
  }
  private wait(process: Process, message: Buffer): void {
    const [sequence, cptr] = [sequenceOf(message), sessionOf(message)]
    const refuse = (code: number) => process.tell(encode(KIND.NOTIFY, FLAG.ERROR, code, cptr, sequence, null))
    const deliver = (word: number, context: TraceContext | undefined) =>
      process.tell(encode(KIND.NOTIFY, 0, word, cptr, sequence, null, context))
    try {
      const { object } = this.notificationAt(process, cptr, RIGHT.read)
      if (!object.mayWait()) return refuse(SEL4_ERROR.seL4_NotEnoughMemory)
      object.wait({ process, deliver, withdraw: () => refuse(SEL4_ERROR.seL4_InvalidCapability) })
    } catch (error) {
      if (!(error instanceof Sel4Error)) throw error
      refuse(error.code)
    }
  }
  signal(process: Process, cptr: number, context: TraceContext | undefined): void {
    const { object, badge } = this.notificationAt(process, cptr, RIGHT.write)
    object.signal(badge, context)
  }

  // ------------------------------------------------------------ death

  /** Ends a process for a reason; its death report follows when the host tells of the exit. */
  end(process: Process, cause: DeathCause, detail: string): void {
    if (!process.alive) return
    process.ended ??= { cause, detail }
    this.host.log('warn', `${process.name} is ended`, { cause, detail })
    this.host.kill(process.pid, 'SIGKILL')
  }
  onExit(token: string, status: ExitStatus): void {
    const process = this.byToken.get(token)
    if (process?.alive) void this.burials.bury(process, status)
  }
  /** Nothing is known of it any more but how often its name was born. */
  forget({ name, init }: Process): void {
    this.byToken.delete(init.token)
    this.processes.delete(name)
    this.livingChanged()
  }
  watchDeaths(): void {
    this.burials.watchDeaths()
  }
  get isStopping(): boolean {
    return this.power.isStopping
  }
  /** At the end nobody is ended for being silent, large or busy. */
  stopWatching(): void {
    this.lease.stop()
    this.dataLimit.stop()
    this.throttle.stop()
  }
  pressPowerButton(code: number, reason: string): void {
    this.power.pressPowerButton(code, reason)
  }
  shutdown(code: number, reason: string): Promise<void> {
    return this.power.shutdown(code, reason)
  }
}
const carriedBy = (message: Buffer): TraceContext | undefined =>
  traced(message) ? Uint8Array.from(contextOf(message)) : undefined
