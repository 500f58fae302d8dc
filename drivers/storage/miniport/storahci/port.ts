/**
 * One AHCI port: bring-up, commands, completions, recovery. [AHCI] 5.5, 6.2, 10.1, 10.3, 10.4
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
import { highHalf, lowHalf } from '#drivers/lib/bytes'
import { ASC, SCSISTAT, SENSE_KEY, SRB_STATUS } from '#drivers/lib/scsi'
import { StatusError } from '#rtl'
import { GetScatterGatherList } from '#wdm'
import { deadlineOf, type LogicalUnit, LunQueue, type SrbOutcome, type StorRequest } from '../../port/storport/index.ts'
import type { AtaCommand } from './fis.ts'
import {
  ATA,
  CONNECT,
  det,
  DET_PRESENT,
  FATAL,
  INTERESTING,
  IS,
  LOG_NCQ_COMMAND_ERROR,
  portBase,
  PRD_MAX,
  PxCI,
  PxCLB,
  PxCLBU,
  PxCMD,
  PxCMD_CLO,
  PxCMD_CR,
  PxCMD_FR,
  PxCMD_FRE,
  PxCMD_POD,
  PxCMD_ST,
  PxCMD_SUD,
  PxFB,
  PxFBU,
  PxIE,
  PxIS,
  PxIS_TFES,
  PxSACT,
  PxSCTL,
  PxSERR,
  PxSIG,
  PxSSTS,
  PxTFD,
  type Registers,
  SCTL_COMRESET,
  SCTL_IDLE,
  SERR_ALL,
  SIG_ATA,
  STS_BSY,
  STS_DF,
  STS_DRQ,
  STS_ERR,
  waitUntil,
} from './hw.ts'
import { type Identity, inquiryOf, parseIdentify } from './identify.ts'
import { type Allocate, PortMemory } from './memory.ts'
import { type Unit, translate } from './sat.ts'
import { type AtaError, checkCondition, outcomeOfError, parseNcqErrorLog } from './sense.ts'

/** [AHCI] 10.1.2: the engines stop within 500 ms or the port is stuck. */
const ENGINE_STOP_MS = 500
/** [AHCI] 10.4.2: COMRESET is held for at least 1 ms. */
const COMRESET_MS = 1
/** [AHCI] 10.1: a device answers COMRESET with COMINIT within 10 ms; three times that, the host schedules. */
const DETECT_MS = 30
const PHY_READY_MS = 1000
/** A disk has to spin up; [ATA8-ACS] gives it 31 s after power-on, but START_DEVICE itself must end within 30 s. */
const READY_MS = 20_000
const OWN_COMMAND_MS = 5_000
/** An innocent command is sent again this often when it is unclear which one failed. */
const ATTEMPTS_MAX = 3

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
const GONE_BY_RESET: SrbOutcome = { SrbStatus: SRB_STATUS.BUS_RESET }
const CANCELLED: SrbOutcome = { SrbStatus: SRB_STATUS.ABORTED }
const TIMED_OUT: SrbOutcome = { SrbStatus: SRB_STATUS.TIMEOUT }

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
  private readonly base: number
  private state: 'down' | 'running' | 'recovering' | 'stopped' = 'down'
  /** Slots handed to the HBA, and not yet seen done. All queued, or one that is not. */
  private issued = 0
  private queued = false
  /** Counts collections that freed slots: what was read before one may not be collected after it. */
  private epoch = 0
  private mustLook = false
  private recovery: Promise<void> | undefined
  private finished: StorRequest[] = []

  constructor(host: PortHost, number: number) {
    this.host = host
    this.number = number
    this.address = [number, 0, 0]
    this.base = portBase(number)
    this.memory = new PortMemory(host.allocate, host.slots, host.wide)
    this.queue = this.newQueue(1)
  }
  get present(): boolean {
    return this.state === 'running' || this.state === 'recovering'
  }
  private newQueue(depth: number): LunQueue<StorRequest> {
    return new LunQueue<StorRequest>(depth, (request) => this.start(request), this.host.waits)
  }
  private read(register: number): Promise<number> {
    return this.host.hw.read(this.base + register)
  }
  private write(register: number, value: number): void {
    this.host.hw.write(this.base + register, value >>> 0)
  }
  private until(register: number, done: (value: number) => boolean, milliseconds: number): Promise<boolean> {
    return waitUntil(this.host.hw, this.base + register, done, milliseconds)
  }

  // ---------------------------------------------------------------- bring-up
  /** After the HBA's reset. True: a disk is there and identified; its interrupts are still off. */
  async bringUp(): Promise<boolean> {
    this.write(PxIE, 0)
    if (!(await this.stopEngines())) return false
    this.write(PxCLB, lowHalf(this.memory.listAddress))
    this.write(PxCLBU, highHalf(this.memory.listAddress))
    this.write(PxFB, lowHalf(this.memory.fisAddress))
    this.write(PxFBU, highHalf(this.memory.fisAddress))
    this.write(PxCMD, (await this.read(PxCMD)) | PxCMD_FRE | PxCMD_SUD | PxCMD_POD)
    if (!(await this.reset())) return false
    return this.adopt()
  }
  /** Interrupts of a port without a device tell of one that comes. */
  enableInterrupts(): void {
    this.write(PxSERR, SERR_ALL)
    this.write(PxIS, 0xffffffff)
    this.host.hw.write(IS, 2 ** this.number)
    this.write(PxIE, this.present ? INTERESTING : CONNECT)
  }
  private async adopt(): Promise<boolean> {
    if ((await this.read(PxSIG)) !== SIG_ATA) return false
    const identity = await this.identify()
    if (!identity || identity.sectors === 0) return false
    this.identity = identity
    this.inquiry = inquiryOf(identity)
    this.ncq = this.host.ncq && identity.queueDepth > 1 && identity.ext
    this.writeProtected = false
    this.queue = this.newQueue(this.ncq ? Math.min(this.host.slots, identity.queueDepth) : 1)
    this.state = 'running'
    return true
  }
  private async identify(): Promise<Identity | undefined> {
    const bytes = await this.own({ command: ATA.IDENTIFY_DEVICE, lba: 0, count: 0, ext: false })
    if (!bytes) return undefined
    try {
      return parseIdentify(bytes)
    } catch (error) {
      if (!(error instanceof StatusError)) throw error
      this.host.log('a device that cannot be used', { port: this.number, why: error.message })
      return undefined
    }
  }
  /** ST off, then FRE: PxCLB and PxFB may change only then. [AHCI] 10.1.2 */
  private async stopEngines(): Promise<boolean> {
    if (!(await this.stopCommands())) return false
    this.write(PxCMD, (await this.read(PxCMD)) & ~PxCMD_FRE)
    return this.until(PxCMD, (cmd) => (cmd & PxCMD_FR) === 0, ENGINE_STOP_MS)
  }
  private async stopCommands(): Promise<boolean> {
    this.write(PxCMD, (await this.read(PxCMD)) & ~PxCMD_ST)
    return this.until(PxCMD, (cmd) => (cmd & PxCMD_CR) === 0, ENGINE_STOP_MS)
  }
  /** COMRESET, and the engine on again when the device is ready. [AHCI] 10.4.2, 10.3.1 */
  private async reset(): Promise<boolean> {
    this.write(PxSCTL, SCTL_COMRESET)
    /** Read once, so that the delay begins after the write took effect. */
    await this.read(PxSCTL)
    await this.host.hw.delay(COMRESET_MS)
    this.write(PxSCTL, SCTL_IDLE)
    if (!(await this.until(PxSSTS, (ssts) => det(ssts) !== 0, DETECT_MS))) return false
    if (!(await this.until(PxSSTS, (ssts) => det(ssts) === DET_PRESENT, PHY_READY_MS))) return false
    this.write(PxSERR, SERR_ALL)
    if (!(await this.until(PxTFD, (tfd) => (tfd & (STS_BSY | STS_DRQ)) === 0, READY_MS))) return false
    return this.startEngine()
  }
  private async startEngine(): Promise<boolean> {
    this.write(PxSERR, SERR_ALL)
    this.write(PxIS, 0xffffffff)
    const cmd = (await this.read(PxCMD)) | PxCMD_FRE
    this.write(PxCMD, cmd)
    this.write(PxCMD, cmd | PxCMD_ST)
    return true
  }
  /** A command of the driver's own, polled in slot 0 while nothing else is out; 512 bytes or undefined. */
  private async own(part: Pick<AtaCommand, 'command' | 'lba' | 'count' | 'ext'>): Promise<Uint8Array | undefined> {
    this.memory.fillOwn(0, { ...part, ncq: false, write: false, fua: false, bytes: 512 })
    this.write(PxCI, 1)
    const settled = await this.ownSettles()
    const status = await this.read(PxIS)
    this.write(PxIS, status)
    const bad = !settled || (status & FATAL) !== 0 || ((await this.read(PxTFD)) & (STS_ERR | STS_DF)) !== 0
    return bad ? undefined : this.memory.answerBytes(512)
  }
  /** An error leaves PxCI set, and PxIS says so. */
  private async ownSettles(): Promise<boolean> {
    const { hw } = this.host
    const end = hw.now() + OWN_COMMAND_MS
    for (;;) {
      const late = hw.now() >= end
      if (((await this.read(PxCI)) & 1) === 0) return true
      if (late || (await this.read(PxIS)) & FATAL) return false
      await hw.delay(1)
    }
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
    const slot = request.tag
    if (!this.memory.fill(slot, ata, elements)) {
      this.refuse(request)
      return
    }
    const bit = 2 ** slot
    this.issued = (this.issued | bit) >>> 0
    this.queued = ata.ncq
    if (ata.ncq) this.write(PxSACT, bit)
    this.write(PxCI, bit)
  }
  private refuse(request: StorRequest): void {
    request.MiniportContext = { refused: checkCondition(SENSE_KEY.ILLEGAL_REQUEST, ASC.INVALID_FIELD_IN_CDB) }
    this.finished.push(request)
    this.host.requestDpc()
  }

  // ---------------------------------------------------------------- interrupt
  async HwInterrupt(): Promise<boolean> {
    if (this.state === 'stopped') return false
    const { epoch, issued } = this
    /** Both requests are on their way before the first answer. */
    const statusRead = this.read(PxIS)
    const activeRead = this.read(this.queued ? PxSACT : PxCI)
    const status = await statusRead
    const active = await activeRead
    if (status === 0) return false
    if (status & (FATAL | CONNECT)) this.beginRecovery(status & CONNECT ? 'connect' : 'error', [])
    else if (this.state === 'running') {
      this.collect(epoch, issued, active)
      this.write(PxIS, status)
    }
    this.host.hw.write(IS, 2 ** this.number)
    this.mustLook = this.issued !== 0
    if (this.finished.length > 0 || this.mustLook) this.host.requestDpc()
    return true
  }
  /**
   * `active` was read when `epoch` was current, after all of `candidates` were issued. False, and nothing done, when slots
   * were freed since: one of them may have a new user, who would be taken for done.
   */
  private collect(epoch: number, candidates: number, active: number): boolean {
    if (epoch !== this.epoch) return false
    const done = (candidates & ~active) >>> 0
    if (done !== 0) this.epoch++
    this.issued = (this.issued & ~done) >>> 0
    for (let left = done; left !== 0; left &= left - 1) {
      const request = this.queue.byTag(31 - Math.clz32(left & -left))
      if (request) this.finished.push(request)
    }
    return true
  }
  async HwDpc(): Promise<void> {
    this.completeFinished()
    while (this.mustLook && this.issued !== 0 && this.state === 'running') {
      this.mustLook = false
      const { epoch, issued } = this
      const active = await this.read(this.queued ? PxSACT : PxCI)
      if (this.isRunning() && !this.collect(epoch, issued, active)) this.mustLook = true
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
    this.write(PxIE, 0)
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
    const active = ((await this.read(PxSACT)) | (await this.read(PxCI))) >>> 0
    const tfd = await this.read(PxTFD)
    const status = await this.read(PxIS)
    this.collect(this.epoch, this.issued, active)
    const failing = this.queue.all().filter((request) => !this.finished.includes(request))
    const wasQueued = this.queued
    const alive = await this.revive(cause === 'connect' || cause === 'timeout' || (tfd & (STS_BSY | STS_DRQ)) !== 0)
    this.issued = 0
    if (!alive || (cause === 'connect' && !(await this.isSameDevice()))) return this.depart()
    const losers =
      cause === 'timeout' ? timedOut(victims, this.finished) : await this.blame(failing, wasQueued, tfd, status)
    this.settle(failing, losers)
  }
  /** Stops the engine, resets the interface where a stop is not enough, and starts it. [AHCI] 6.2.2.1, 6.2.2.2 */
  private async revive(hard: boolean): Promise<boolean> {
    const stopped = await this.stopCommands()
    if (!hard && stopped) return this.startEngine()
    if (!stopped && this.host.clearBusy) this.write(PxCMD, (await this.read(PxCMD)) | PxCMD_CLO)
    return this.reset()
  }
  private async isSameDevice(): Promise<boolean> {
    if ((await this.read(PxSIG)) !== SIG_ATA) return false
    const now = await this.identify()
    const { serial, model, sectors } = this.identity
    return now !== undefined && now.serial === serial && now.model === model && now.sectors === sectors
  }
  /** Who failed, and how. A queued error is asked for by READ LOG EXT, which also lets the device queue again. */
  private async blame(
    failing: readonly StorRequest[],
    wasQueued: boolean,
    tfd: number,
    status: number,
  ): Promise<Map<StorRequest, SrbOutcome>> {
    const losers = new Map<StorRequest, SrbOutcome>()
    const blameOne = (request: StorRequest | undefined, failure: AtaError) => {
      if (!request) return
      const { write }: AtaCommand = request.MiniportContext
      const outcome = outcomeOfError(failure, write)
      if (outcome.sense && (outcome.sense[2] & 0xf) === SENSE_KEY.DATA_PROTECT) this.writeProtected = true
      losers.set(request, outcome)
    }
    if ((status & PxIS_TFES) === 0) return losers
    if (!wasQueued) {
      blameOne(failing[0], { status: tfd & 0xff, error: (tfd >>> 8) & 0xff })
      return losers
    }
    const page = await this.own({ command: ATA.READ_LOG_EXT, lba: LOG_NCQ_COMMAND_ERROR, count: 1, ext: true })
    const failure = page && parseNcqErrorLog(page)
    if (failure)
      blameOne(
        failing.find(({ tag }) => tag === failure.tag),
        failure,
      )
    else if (!(await this.revive(true))) this.host.log('no answer after a queued error', { port: this.number })
    return losers
  }
  /** Losers and the tired complete; the innocent go out again under the same tags. */
  private settle(failing: readonly StorRequest[], losers: ReadonlyMap<StorRequest, SrbOutcome>): void {
    const completed: [StorRequest, SrbOutcome][] = []
    const again: StorRequest[] = []
    for (const request of failing) {
      const outcome = losers.get(request) ?? this.verdict(request, losers.size > 0)
      if (outcome) completed.push([request, outcome])
      else again.push(request)
    }
    for (const [request] of completed) this.queue.finish(request)
    this.state = 'running'
    this.enableInterrupts()
    for (const request of again) this.start(request)
    this.completeFinished()
    this.queue.resume()
    for (const [request, outcome] of completed) this.host.complete(request, outcome)
  }
  private verdict(request: StorRequest, culpritKnown: boolean): SrbOutcome | undefined {
    if (request.Irp.Cancel) return CANCELLED
    return culpritKnown || ++request.attempts <= ATTEMPTS_MAX ? undefined : GONE_BY_RESET
  }
  /** The device is gone or is another one. The engine is off before anything completes. */
  private async depart(): Promise<void> {
    this.host.log('the device is gone', { port: this.number })
    this.state = 'down'
    if (!(await this.stopCommands())) this.host.log('the command engine does not stop', { port: this.number })
    this.failAll(NO_DEVICE)
    this.enableInterrupts()
    this.host.busChanged()
  }
  private failAll(outcome: SrbOutcome): void {
    const finished = new Set(this.finished)
    this.finished = []
    this.issued = 0
    for (const request of this.queue.empty()) {
      this.host.complete(request, finished.has(request) ? this.outcomeOf(request) : outcome)
    }
  }
  /** STOP, REMOVE or a surprise: no DMA afterwards. */
  async stop(): Promise<void> {
    await this.recovery
    this.state = 'stopped'
    this.queue.pause()
    this.write(PxIE, 0)
    await this.stopEngines()
    this.failAll(NO_DEVICE)
  }
}
function timedOut(victims: readonly StorRequest[], finished: readonly StorRequest[]): Map<StorRequest, SrbOutcome> {
  return new Map(victims.filter((request) => !finished.includes(request)).map((request) => [request, TIMED_OUT]))
}
