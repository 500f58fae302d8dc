/**
 * One AHCI port as a logical unit: commands, completions, recovery. Its registers: engine.ts. [AHCI] 5.5, 6.2
 *
 *   issue:     FIS, PRDT, header → PxSACT (queued) → PxCI                    no register is read
 *   interrupt: PxIS, PxSACT or PxCI → finished = issued & ~active → clear PxIS, IS
 *
 * The active register is read before the clearing writes, because a read has to push them first. A command that ends
 * between that read and the clearing would be lost; so while any command is out after an interrupt, the DPC looks once
 * more, after the finished ones were completed. With one command at a time there is nothing left to look for.
 *
 * States: down (no device) · running · recovering (a work item owns the port; PxIE = 0; nothing new starts) · stopped.
 * Never completes an IRP before the engine that could still write its pages has let go of it.
 */
import { ASC, SCSISTAT, SENSE_KEY, SRB_STATUS } from '#drivers/lib/scsi'
import { GetScatterGatherList } from '#wdm'
import { deadlineOf, type LogicalUnit, LunQueue, type SrbOutcome, type StorRequest } from '../../port/storport/index.ts'
import { anyProtected, failed, type Losers, nobody, sentence, timedOut } from './blame.ts'
import { PortEngine } from './engine.ts'
import type { AtaCommand } from './fis.ts'
import {
  CONNECT,
  FATAL,
  INTERESTING,
  PRD_MAX,
  PxCI,
  PxIS,
  PxIS_TFES,
  PxSACT,
  PxTFD,
  type Registers,
  STS_BSY,
  STS_DRQ,
} from './hw.ts'
import { type Identity, inquiryOf } from './identify.ts'
import { type Allocate, PortMemory } from './memory.ts'
import { OwnCommands } from './own-commands.ts'
import { type Unit, translate } from './sat.ts'
import { checkCondition } from './sense.ts'
import { CommandSlots, type Look } from './slots.ts'

/** Which HBA the port belongs to. */
export interface PortHost {
  readonly hw: Registers
  readonly allocate: Allocate
  readonly slots: number
  readonly ncq: boolean
  readonly wide: boolean
  readonly clearBusy: boolean
  requestDpc(): void
  queueWork(routine: () => Promise<void>): void
  busChanged(): void
  complete(request: StorRequest, outcome: SrbOutcome): void
  /** A request begins or ends to wait in the queue. */
  waits(request: StorRequest, waiting: boolean): void
  log(what: string, facts: object): void
}
type Cause = 'error' | 'timeout' | 'connect'

const NO_DEVICE: SrbOutcome = { SrbStatus: SRB_STATUS.NO_DEVICE }

export class Port implements LogicalUnit, Unit {
  readonly number: number
  readonly address: readonly [number, number, number]
  identity!: Identity
  inquiry = { vendor: '', product: '', revision: '' }
  ncq = false
  writeProtected = false
  queue: LunQueue<StorRequest>
  private readonly host: PortHost
  private readonly memory: PortMemory
  private readonly engine: PortEngine
  private readonly own: OwnCommands
  private readonly slots: CommandSlots
  private state: 'down' | 'running' | 'recovering' | 'stopped' = 'down'
  private mustLook = false
  private recovery: Promise<void> | undefined
  private finished: StorRequest[] = []

  constructor(host: PortHost, number: number) {
    this.host = host
    this.number = number
    this.address = [number, 0, 0]
    this.memory = new PortMemory(host.allocate, host.slots, host.wide)
    this.engine = new PortEngine(host.hw, number, host.clearBusy)
    this.own = new OwnCommands(this.engine, this.memory, host.log)
    this.slots = new CommandSlots(this.engine)
    this.queue = this.newQueue(1)
  }
  get present(): boolean {
    return this.state === 'running' || this.state === 'recovering'
  }
  private newQueue(depth: number): LunQueue<StorRequest> {
    return new LunQueue<StorRequest>(depth, (request) => this.start(request), this.host.waits)
  }

  // ---------------------------------------------------------------- bring-up
  /** After the HBA's reset. True: a disk is there and identified; its interrupts are still off. */
  async bringUp(): Promise<boolean> {
    const identity = (await this.engine.bringUp(this.memory)) ? await this.own.disk() : undefined
    if (!identity || identity.sectors === 0) return false
    this.identity = identity
    this.inquiry = inquiryOf(identity)
    this.ncq = this.host.ncq && identity.queueDepth > 1 && identity.ext
    this.writeProtected = false
    this.queue = this.newQueue(this.ncq ? Math.min(this.host.slots, identity.queueDepth) : 1)
    this.state = 'running'
    return true
  }
  /** Interrupts of a port without a device tell of one that comes. */
  enableInterrupts(): void {
    this.engine.listen(this.present ? INTERESTING : CONNECT)
  }

  // ---------------------------------------------------------------- commands
  HwBuildIo(request: StorRequest): SrbOutcome | undefined {
    if (!this.present) return NO_DEVICE
    const translation = translate(this, request.Srb)
    if ('outcome' in translation) return translation.outcome
    const { ata } = translation
    if (ata.bytes > (request.Mdl?.ByteCount ?? 0))
      return checkCondition(SENSE_KEY.ILLEGAL_REQUEST, ASC.INVALID_FIELD_IN_CDB)
    request.MiniportContext = ata
    request.exclusive = !ata.ncq
    return undefined
  }
  private start(request: StorRequest): void {
    request.deadline = deadlineOf(this.host.hw.now(), request)
    this.send(request)
  }
  private send(request: StorRequest): void {
    const ata: AtaCommand = request.MiniportContext
    const elements = ata.bytes > 0 ? GetScatterGatherList(request.Mdl!, 0, ata.bytes, PRD_MAX) : []
    if (this.memory.fill(request.tag, ata, elements)) this.slots.issue(request.tag, ata.ncq)
    else this.refuse(request)
  }
  private refuse(request: StorRequest): void {
    request.MiniportContext = { refused: checkCondition(SENSE_KEY.ILLEGAL_REQUEST, ASC.INVALID_FIELD_IN_CDB) }
    this.finished.push(request)
    this.host.requestDpc()
  }

  // ---------------------------------------------------------------- interrupt
  async HwInterrupt(): Promise<boolean> {
    if (this.state === 'stopped') return false
    const look = this.slots.look()
    /** Both requests are on their way before the first answer. */
    const statusRead = this.engine.read(PxIS)
    const activeRead = this.slots.active()
    const status = await statusRead
    const active = await activeRead
    if (status === 0) return false
    if (status & (FATAL | CONNECT)) this.beginRecovery(status & CONNECT ? 'connect' : 'error', [])
    else if (this.state === 'running') {
      this.collect(look, active)
      this.engine.write(PxIS, status)
    }
    this.engine.acknowledge()
    this.mustLook = this.slots.issued !== 0
    if (this.finished.length > 0 || this.mustLook) this.host.requestDpc()
    return true
  }
  /** False when the look is out of date. */
  private collect(look: Look, active: number): boolean {
    const done = this.slots.collect(look, active)
    for (const slot of done ?? []) {
      const request = this.queue.byTag(slot)
      if (request) this.finished.push(request)
    }
    return done !== undefined
  }
  async HwDpc(): Promise<void> {
    this.completeFinished()
    while (this.mustLook && this.slots.issued !== 0 && this.state === 'running') {
      this.mustLook = false
      const look = this.slots.look()
      const active = await this.slots.active()
      if (this.isRunning() && !this.collect(look, active)) this.mustLook = true
      this.completeFinished()
    }
  }
  /** A call, because the state may have changed during an await. */
  private isRunning(): boolean {
    return this.state === 'running'
  }
  private completeFinished(): void {
    if (this.finished.length === 0) return
    const finished = this.finished
    this.finished = []
    for (const request of finished) this.queue.finish(request)
    /** The device works while IRPs travel back. */
    this.queue.drain()
    for (const request of finished) this.host.complete(request, this.outcomeOf(request))
  }
  private outcomeOf(request: StorRequest): SrbOutcome {
    const context: AtaCommand & { refused?: SrbOutcome } = request.MiniportContext
    return context.refused ?? { SrbStatus: SRB_STATUS.SUCCESS, ScsiStatus: SCSISTAT.GOOD, transferred: context.bytes }
  }

  // ---------------------------------------------------------------- recovery
  HwTimeout(requests: readonly StorRequest[]): void {
    this.host.log('commands past their deadline', { port: this.number, tags: requests.map(({ tag }) => tag) })
    this.beginRecovery('timeout', requests)
  }
  /** From an ISR or DPC: takes the port; the work item does the waiting. */
  private beginRecovery(cause: Cause, victims: readonly StorRequest[]): void {
    if (this.state === 'recovering' || this.state === 'stopped') return
    const before = this.state
    this.state = 'recovering'
    this.queue.pause()
    this.engine.quiet()
    this.recovery = new Promise((resolve) =>
      this.host.queueWork(async () => {
        await (before === 'down' ? this.arrive() : this.recover(cause, victims))
        resolve()
      }),
    )
  }
  /** A device where none was. */
  private async arrive(): Promise<void> {
    this.state = 'down'
    const found = await this.bringUp()
    this.enableInterrupts()
    if (found) this.host.busChanged()
  }
  private async recover(cause: Cause, victims: readonly StorRequest[]): Promise<void> {
    const { engine, slots } = this
    const active = ((await engine.read(PxSACT)) | (await engine.read(PxCI))) >>> 0
    const tfd = await engine.read(PxTFD)
    const status = await engine.read(PxIS)
    this.collect(slots.look(), active)
    const isOut = (request: StorRequest) => !this.finished.includes(request)
    const failing = this.queue.all().filter(isOut)
    const alive = await engine.restart(cause !== 'error' || (tfd & (STS_BSY | STS_DRQ)) !== 0)
    slots.forget()
    if (!alive || (cause === 'connect' && !(await this.isSameDevice()))) return this.depart()
    this.settle(failing, cause === 'timeout' ? timedOut(victims.filter(isOut)) : await this.blame(failing, tfd, status))
  }
  private async isSameDevice(): Promise<boolean> {
    const now = await this.own.disk()
    const { serial, model, sectors } = this.identity
    return now !== undefined && now.serial === serial && now.model === model && now.sectors === sectors
  }
  /** Who failed, and how. */
  private async blame(failing: readonly StorRequest[], tfd: number, status: number): Promise<Losers> {
    if ((status & PxIS_TFES) === 0) return nobody()
    if (!this.slots.queued) return failed(failing[0], { status: tfd & 0xff, error: (tfd >>> 8) & 0xff })
    const error = await this.own.queuedError()
    if (error)
      return failed(
        failing.find(({ tag }) => tag === error.tag),
        error,
      )
    if (!(await this.engine.restart(true))) this.host.log('no answer after a queued error', { port: this.number })
    return nobody()
  }
  /** Losers and the tired complete; the innocent go out again under the same tags. */
  private settle(failing: readonly StorRequest[], losers: Losers): void {
    if (anyProtected(losers)) this.writeProtected = true
    const { completed, again } = sentence(failing, losers)
    for (const [request] of completed) this.queue.finish(request)
    this.state = 'running'
    this.enableInterrupts()
    for (const request of again) this.start(request)
    this.completeFinished()
    this.queue.resume()
    for (const [request, outcome] of completed) this.host.complete(request, outcome)
  }
  /** The device is gone or is another one. The engine is off before anything completes. */
  private async depart(): Promise<void> {
    this.host.log('the device is gone', { port: this.number })
    this.state = 'down'
    if (!(await this.engine.stopCommands())) this.host.log('the command engine does not stop', { port: this.number })
    this.failAll(NO_DEVICE)
    this.enableInterrupts()
    this.host.busChanged()
  }
  private failAll(outcome: SrbOutcome): void {
    const finished = new Set(this.finished)
    this.finished = []
    this.slots.forget()
    for (const request of this.queue.empty()) {
      this.host.complete(request, finished.has(request) ? this.outcomeOf(request) : outcome)
    }
  }
  /** STOP, REMOVE or a surprise: no DMA afterwards. */
  async stop(): Promise<void> {
    await this.recovery
    this.state = 'stopped'
    this.queue.pause()
    this.engine.quiet()
    await this.engine.stop()
    this.failAll(NO_DEVICE)
  }
}
