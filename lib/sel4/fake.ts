/**
 * An Environment in memory, for the unit test of one component: virtual time, seeded chance, collected logs, and the
 * far ends of every capability played by the test.
 *
 *   const fake = fakeEnvironment({ name: 'disk', caps: { executive: 1 }, arenaBytes: 4 << 20 })
 *   fake.provide(1, ExecutiveServices, { … })          a typed server behind endpoint 1
 *   void main(fake); await fake.advance(10)            ten virtual milliseconds, with everything they cause
 *   await fake.deliver(7, DriverCalls, 'start', {…})   a request to what the component serves on endpoint 7
 *   fake.interrupt(notification)                       a signal
 *   fake.root.die('fatfs')                             a death report (with `root: true`)
 *
 * Messages go through the contracts' checks at both ends, as between processes; a MalformedError of the component
 * rejects the test's own promise. Nothing here keeps a test from ending: there are no real timers.
 */
import { fromWire, type MalformedError, toWire } from '#contracts/field'
import type { Handlers, Interface, Method } from '#contracts/interface'
import { NT_STATUS, StatusError, seededRandom } from '#rtl'
import type {
  Answer,
  Birth,
  Caller,
  CapNames,
  Chip,
  Clock,
  CPtr,
  DeathReport,
  Environment,
  InterruptLine,
  Machine,
  ManifestView,
  Memory,
  Received,
  Registers,
  ReplyHandle,
  RootTask,
  Sel4,
  SpawnRequest,
} from './api.ts'
import { DmaFault, Sel4Error } from './api.ts'
import { makeClient, ServiceTable } from './stub.ts'

export interface FakeOptions {
  readonly name?: string
  readonly birth?: Birth
  readonly generation?: number
  readonly caps?: CapNames
  readonly config?: Readonly<Record<string, unknown>>
  /** 0 or absent: no arena. Its physical address is `arenaPhysical` (0x2000000), its virtual 0x10000000. */
  readonly arenaBytes?: number
  readonly arenaPhysical?: number
  readonly seed?: number
  /** Answers every call that no `provide` covers. */
  readonly onCall?: (endpoint: CPtr, label: number, body: unknown) => Answer | Promise<Answer>
  readonly onSend?: (endpoint: CPtr, label: number, body: unknown) => void
  readonly onPortIn?: (port: number, width: 1 | 2 | 4, ioPort: CPtr) => number
  readonly onPortOut?: (port: number, width: 1 | 2 | 4, value: number, ioPort: CPtr) => void
  readonly onMapDevice?: (deviceFrame: CPtr) => Registers
  /** True, or parts that replace those of the fake root task. */
  readonly root?: boolean | Partial<RootTask>
  readonly manifest?: ManifestView
  /** A device process: bytes of each `memory` region, size of physical memory, what the IOMMU allows. */
  readonly machine?: {
    readonly memory?: readonly number[]
    readonly physicalBytes?: number
    readonly allows?: (physicalAddress: number, length: number, access: 'read' | 'write') => boolean
  }
}
export interface FakeLogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly message: string
  readonly fields?: object
}
export class FakeExit extends Error {
  readonly code: number
  readonly epitaph?: string
  constructor(code: number, epitaph?: string) {
    super(`exit ${code}${epitaph ? `: ${epitaph}` : ''}`)
    this.name = 'FakeExit'
    this.code = code
    this.epitaph = epitaph
  }
}

/** Lets every promise that can go on, go on. */
export const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** 2026-01-01 00:00 UTC in 100 ns units since 1601. */
const FAKE_EPOCH = 134_117_856_000_000_000

export class FakeClock implements Clock {
  private time = 0
  private order = 0
  private alarms: { at: number; order: number; expired: () => void }[] = []

  now(): number {
    return this.time
  }
  systemTime(): number {
    return FAKE_EPOCH + Math.round(this.time * 10_000)
  }
  sleep(milliseconds: number): Promise<void> {
    return new Promise((resolve) => this.alarm(milliseconds, resolve))
  }
  alarm(milliseconds: number, expired: () => void): { cancel(): void } {
    const entry = { at: this.time + Math.max(0, milliseconds), order: this.order++, expired }
    this.alarms.push(entry)
    return { cancel: () => void (this.alarms = this.alarms.filter((other) => other !== entry)) }
  }
  pending(): number {
    return this.alarms.length
  }
  /** Time of the next alarm, or undefined. */
  private next(limit: number): { at: number; expired: () => void } | undefined {
    this.alarms.sort((a, b) => a.at - b.at || a.order - b.order)
    return this.alarms[0] && this.alarms[0].at <= limit ? this.alarms.shift() : undefined
  }
  async advance(milliseconds: number): Promise<void> {
    const end = this.time + milliseconds
    await settle()
    for (let alarm = this.next(end); alarm; alarm = this.next(end)) {
      this.time = alarm.at
      alarm.expired()
      await settle()
    }
    this.time = end
    await settle()
  }
}

interface Waiter {
  resolve(word: number): void
}
interface FakeNotification {
  word: number
  waiters: Waiter[]
}
interface Inbox {
  queue: Received[]
  waiters: ((message: Received) => void)[]
  table?: ServiceTable
  watchers: (() => void)[]
}

/** The capabilities' far ends. */
export class FakeSel4 implements Sel4 {
  readonly acks: CPtr[] = []
  readonly bound = new Map<CPtr, CPtr>()
  readonly sent: { endpoint: CPtr; label: number; body: unknown }[] = []
  private readonly options: FakeOptions
  private readonly providers = new Map<CPtr, ServiceTable>()
  private readonly inboxes = new Map<CPtr, Inbox>()
  private readonly notifications = new Map<CPtr, FakeNotification>()
  private readonly replies = new Map<number, (answer: Answer) => void>()
  private nextReply = 1
  private nextCap = 1000

  constructor(options: FakeOptions) {
    this.options = options
  }

  newCap(): CPtr {
    return this.nextCap++
  }
  provide<I extends Interface<any>>(endpoint: CPtr, iface: I, handlers: Handlers<I, Caller>): void {
    this.providers.set(endpoint, new ServiceTable([{ iface, handlers }]))
  }
  async call(endpoint: CPtr, label: number, body: unknown): Promise<Answer> {
    const table = this.providers.get(endpoint)
    if (table) return answerOf(table, label, body, { badge: 0 })
    if (this.options.onCall) return this.options.onCall(endpoint, label, body)
    throw new Sel4Error('seL4_InvalidCapability', `nothing behind ${endpoint}`)
  }
  async send(endpoint: CPtr, label: number, body: unknown): Promise<void> {
    this.sent.push({ endpoint, label, body })
    this.options.onSend?.(endpoint, label, body)
    const table = this.providers.get(endpoint)
    if (table) await answerOf(table, label, body, { badge: 0 })
  }
  private inbox(endpoint: CPtr): Inbox {
    let inbox = this.inboxes.get(endpoint)
    if (!inbox) this.inboxes.set(endpoint, (inbox = { queue: [], waiters: [], watchers: [] }))
    return inbox
  }
  recv(endpoint: CPtr): Promise<Received> {
    const inbox = this.inbox(endpoint)
    const first = inbox.queue.shift()
    return first ? Promise.resolve(first) : new Promise((resolve) => inbox.waiters.push(resolve))
  }
  reply(to: ReplyHandle, label: number, body: unknown): void {
    const answer = this.replies.get(to.id)
    if (!answer) throw new Error(`reply ${to.id} was used before`)
    this.replies.delete(to.id)
    answer({ label, body })
  }
  serve<I extends Interface<any>>(
    endpoint: CPtr,
    parts: readonly { iface: I; handlers: Handlers<I, Caller> }[],
  ): Promise<never> {
    const inbox = this.inbox(endpoint)
    inbox.table = new ServiceTable(parts)
    for (const watcher of inbox.watchers.splice(0)) watcher()
    return new Promise(() => {})
  }
  /** A typed request to what the component serves on `endpoint`; waits until it serves. */
  async deliver<I extends Interface<any>, M extends keyof I['methods'] & string>(
    endpoint: CPtr,
    iface: I,
    name: M,
    args: object,
    badge = 0,
  ): Promise<any> {
    const method = iface.methods[name] as Method
    const inbox = this.inbox(endpoint)
    if (!inbox.table && !inbox.waiters.length) await new Promise<void>((resolve) => inbox.watchers.push(resolve))
    const answer = await this.request(endpoint, method.label, toWire(method.in, args as never), badge)
    if (answer.label !== 0) throw new StatusError(answer.label)
    return fromWire(method.out, answer.body)
  }
  /** The same without a contract. */
  request(endpoint: CPtr, label: number, body: unknown, badge = 0): Promise<Answer> {
    const inbox = this.inbox(endpoint)
    if (inbox.table) return answerOf(inbox.table, label, body, { badge })
    return new Promise((resolve) => {
      const reply = { id: this.nextReply++ }
      this.replies.set(reply.id, resolve)
      const message = { badge, label, body, reply }
      const waiter = inbox.waiters.shift()
      if (waiter) waiter(message)
      else inbox.queue.push(message)
    })
  }
  private notification(cap: CPtr): FakeNotification {
    let notification = this.notifications.get(cap)
    if (!notification) this.notifications.set(cap, (notification = { word: 0, waiters: [] }))
    return notification
  }
  interrupt(cap: CPtr, word = 1): void {
    const notification = this.notification(cap)
    notification.word |= word
    const waiter = notification.waiters.shift()
    if (!waiter) return
    const taken = notification.word
    notification.word = 0
    waiter.resolve(taken)
  }
  async signal(cap: CPtr): Promise<void> {
    this.interrupt(cap)
  }
  wait(cap: CPtr): Promise<number> {
    const notification = this.notification(cap)
    const { word } = notification
    notification.word = 0
    return word ? Promise.resolve(word) : new Promise((resolve) => notification.waiters.push({ resolve }))
  }
  client<I extends Interface<any>>(iface: I, endpoint: CPtr) {
    return makeClient((to, label, body) => this.call(to, label, body), iface, endpoint)
  }
  async portIn(ioPort: CPtr, port: number, width: 1 | 2 | 4): Promise<number> {
    return this.options.onPortIn?.(port, width, ioPort) ?? 2 ** (8 * width) - 1
  }
  async portOut(ioPort: CPtr, port: number, width: 1 | 2 | 4, value: number): Promise<void> {
    this.options.onPortOut?.(port, width, value, ioPort)
  }
  async mapDevice(deviceFrame: CPtr): Promise<Registers> {
    const registers = this.options.onMapDevice?.(deviceFrame)
    if (!registers) throw new Sel4Error('seL4_InvalidCapability', `no device frame ${deviceFrame}`)
    return registers
  }
  async irqAck(irqHandler: CPtr): Promise<void> {
    this.acks.push(irqHandler)
  }
  async irqSetNotification(irqHandler: CPtr, notification: CPtr): Promise<void> {
    this.bound.set(irqHandler, notification)
  }
  async makeNotification(): Promise<CPtr> {
    return this.newCap()
  }
}
/** Runs a handler as the runtime would: a StatusError is the answer's label; MalformedError goes to the test. */
async function answerOf(table: ServiceTable, label: number, body: unknown, caller: Caller): Promise<Answer> {
  try {
    return { label: 0, body: await table.dispatch(label, body, caller) }
  } catch (error) {
    if (error instanceof StatusError && error.status !== NT_STATUS.STATUS_SUCCESS)
      return { label: error.status, body: null }
    throw error as MalformedError | Error
  }
}

export interface FakeIrqEvent {
  readonly index: number
  readonly event: 'raise' | 'lower'
}
export class FakeMachine implements Machine {
  readonly physical: Uint8Array
  /** Every raise and lower, in order. */
  readonly irqs: FakeIrqEvent[] = []
  /** Lines asserted now. */
  readonly asserted = new Set<number>()
  /** `${region}:${offset}` → the last value published. */
  readonly published = new Map<string, number>()
  readonly quieted = new Set<string>()
  chip?: Chip
  private readonly regions: Uint8Array[]
  private readonly allows: (physicalAddress: number, length: number, access: 'read' | 'write') => boolean

  constructor(options: NonNullable<FakeOptions['machine']>) {
    this.physical = new Uint8Array(options.physicalBytes ?? 64 << 20)
    this.regions = (options.memory ?? []).map((length) => new Uint8Array(length))
    this.allows = options.allows ?? (() => true)
  }
  attach(chip: Chip): void {
    this.chip = chip
  }
  irq(index: number): InterruptLine {
    return {
      raise: () => {
        this.irqs.push({ index, event: 'raise' })
        this.asserted.add(index)
      },
      lower: () => {
        this.irqs.push({ index, event: 'lower' })
        this.asserted.delete(index)
      },
    }
  }
  publish(region: number, offset: number, value: number): void {
    this.published.set(`${region}:${offset}`, value >>> 0)
  }
  quiet(region: number, offset: number): void {
    this.quieted.add(`${region}:${offset}`)
  }
  dma(physicalAddress: number, length: number, access: 'read' | 'write'): readonly Uint8Array[] {
    const inside = physicalAddress >= 0 && physicalAddress + length <= this.physical.length
    if (!inside || !this.allows(physicalAddress, length, access)) throw new DmaFault(physicalAddress, length)
    return [this.physical.subarray(physicalAddress, physicalAddress + length)]
  }
  memory(index: number): Uint8Array {
    const region = this.regions[index]
    if (!region) throw new Error(`no memory region ${index}`)
    return region
  }
}

/** Records what the component asks of the kernel; every request succeeds. */
export class FakeRoot implements RootTask {
  readonly spawned: SpawnRequest[] = []
  readonly granted: { child: string; from: CPtr; badge?: number; to: CPtr }[] = []
  readonly revoked: CPtr[] = []
  readonly dma = new Map<string, { physicalAddress: number; length: number; access: string }[]>()
  readonly resets: string[] = []
  readonly manifest: ManifestView
  ended?: { code: number; reason: string }
  private readonly sel4: FakeSel4
  private readonly handlers: ((report: DeathReport) => void)[] = []
  private readonly living = new Map<string, number>()
  private nextPhysical = 0x8000000
  private nextPid = 100

  constructor(sel4: FakeSel4, manifest: ManifestView) {
    this.sel4 = sel4
    this.manifest = manifest
  }
  private memory(bytes: number): Memory {
    const physicalAddress = this.nextPhysical
    this.nextPhysical += Math.ceil(bytes / 0x200000) * 0x200000
    return { virtualAddress: physicalAddress, physicalAddress, length: bytes, bytes: new Uint8Array(bytes) }
  }
  async spawn(request: SpawnRequest) {
    this.spawned.push(request)
    const name = request.instance ?? request.image
    const generation = (this.living.get(name) ?? 0) + 1
    this.living.set(name, generation)
    const arena = request.arenaBytes ? this.memory(request.arenaBytes) : undefined
    return { name, pid: this.nextPid++, generation, arena }
  }
  async grant(child: string, from: CPtr, options: { badge?: number } = {}): Promise<CPtr> {
    const to = this.sel4.newCap()
    this.granted.push({ child, from, badge: options.badge, to })
    return to
  }
  async revoke(cap: CPtr): Promise<void> {
    this.revoked.push(cap)
  }
  /** A process ends: the handlers hear of it. */
  die(name: string, cause: DeathReport['cause'] = 'signal', detail = 'SIGKILL', epitaph?: string): void {
    const report = { name, generation: this.living.get(name) ?? 1, cause, detail, epitaph }
    for (const handler of this.handlers) handler(report)
  }
  async kill(name: string): Promise<void> {
    this.die(name)
  }
  onDeath(handler: (report: DeathReport) => void): void {
    this.handlers.push(handler)
  }
  readonly powerButton: (() => void)[] = []
  onReclaim(): void {}
  onPowerButton(handler: () => void): void {
    this.powerButton.push(handler)
  }
  async allocate(_domain: string, bytes: number): Promise<Memory> {
    return this.memory(bytes)
  }
  async ioPort(): Promise<CPtr> {
    return this.sel4.newCap()
  }
  async irqHandler(): Promise<CPtr> {
    return this.sel4.newCap()
  }
  async deviceFrame(): Promise<CPtr> {
    return this.sel4.newCap()
  }
  async deviceMemory(physicalAddress: number, length: number): Promise<Memory> {
    return { virtualAddress: physicalAddress, physicalAddress, length, bytes: new Uint8Array(length) }
  }
  async endpoint(): Promise<CPtr> {
    return this.sel4.newCap()
  }
  async notification(): Promise<CPtr> {
    return this.sel4.newCap()
  }
  async dmaMap(device: string, memory: { physicalAddress: number; length: number }, access: string): Promise<void> {
    const maps = this.dma.get(device) ?? []
    this.dma.set(device, [...maps, { ...memory, access }])
  }
  async dmaUnmap(device: string, memory: { physicalAddress: number; length: number }): Promise<void> {
    const maps = this.dma.get(device) ?? []
    this.dma.set(
      device,
      maps.filter((map) => map.physicalAddress !== memory.physicalAddress || map.length !== memory.length),
    )
  }
  async resetDevice(device: string): Promise<void> {
    this.resets.push(device)
  }
  shutdown(code: number, reason: string): Promise<never> {
    this.ended = { code, reason }
    return new Promise(() => {})
  }
  async processes() {
    return [...this.living].map(([name, generation]) => ({
      name,
      pid: 1,
      generation,
      state: 'running',
      cpuMs: 0,
      rssKb: 0,
    }))
  }
}

export interface FakeEnvironment extends Environment {
  readonly sel4: FakeSel4
  readonly clock: FakeClock
  readonly lines: FakeLogLine[]
  readonly machine?: FakeMachine & Machine
  readonly root?: FakeRoot & RootTask
  readonly ended?: FakeExit
  advance(milliseconds: number): Promise<void>
  provide: FakeSel4['provide']
  deliver: FakeSel4['deliver']
  interrupt: FakeSel4['interrupt']
}
function fakeArena(options: FakeOptions): Memory | undefined {
  if (!options.arenaBytes) return undefined
  const buffer = new ArrayBuffer(options.arenaBytes)
  const physicalAddress = options.arenaPhysical ?? 0x2000000
  return { virtualAddress: 0x10000000, physicalAddress, length: buffer.byteLength, bytes: new Uint8Array(buffer) }
}
function fakeRoot(options: FakeOptions, sel4: FakeSel4): FakeRoot | undefined {
  if (!options.root) return undefined
  const root = new FakeRoot(sel4, options.manifest ?? { images: {}, devices: {} })
  return options.root === true ? root : Object.assign(root, options.root)
}
export function fakeEnvironment(options: FakeOptions = {}): FakeEnvironment {
  const sel4 = new FakeSel4(options)
  const clock = new FakeClock()
  const lines: FakeLogLine[] = []
  const line = (level: FakeLogLine['level']) => (message: string, fields?: object) =>
    void lines.push({ level, message, ...(fields && { fields }) })
  const fake = {
    name: options.name ?? 'test',
    birth: options.birth ?? 'fresh',
    generation: options.generation ?? 1,
    caps: options.caps ?? {},
    config: options.config ?? {},
    arena: fakeArena(options),
    sel4,
    clock,
    lines,
    random: seededRandom(options.seed ?? 1),
    log: { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') },
    copied: { bytes: 0, calls: 0 },
    ended: undefined as FakeExit | undefined,
    exit(code: number, epitaph?: string): never {
      fake.ended = new FakeExit(code, epitaph)
      throw fake.ended
    },
    root: fakeRoot(options, sel4),
    machine: options.machine ? new FakeMachine(options.machine) : undefined,
    advance: (milliseconds: number) => clock.advance(milliseconds),
    provide: sel4.provide.bind(sel4) as FakeSel4['provide'],
    deliver: sel4.deliver.bind(sel4) as FakeSel4['deliver'],
    interrupt: sel4.interrupt.bind(sel4) as FakeSel4['interrupt'],
  }
  return fake as FakeEnvironment
}
