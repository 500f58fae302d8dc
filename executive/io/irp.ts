/**
 * IRPs in flight.
 *
 * An IRP has one owner at a time: whoever asked, then the driver it is queued for or has been sent to, then, as completions
 * climb, each driver that wanted notice, then whoever asked again. Its levels are those drivers: the last one owns it, the
 * others wait for notice; a driver that forwarded without notice has no level any more.
 *
 *   submit(request)                    the Executive asks; resolves with the result, whatever it is
 *   newRequest(driver, packet)         a driver asks another
 *   forward / complete(driver, packet) what its owner did with it
 *   cancel(irp)                        asks the owner to give it up; taken back at once while undelivered
 *   orphan(driver), abandon(driver)    its driver died: first nothing reaches it any more, then each IRP is settled
 *
 * Whatever a driver says of an IRP is checked; `fault` ends the one that lies. Nothing here waits for a driver.
 */
import type { COMMIT, Parameters, Response } from '#contracts/wdm'
import { IRP_MJ, IRP_MN, NOTIFY } from '#contracts/wdm'
import type { Of } from '#contracts/field'
import { NT_STATUS, NT_SUCCESS, type NTSTATUS, StatusError } from '#rtl'
import type { Trace, TraceContext } from '#sel4/api'
import type { Executive } from '../executive.ts'
import type { Process } from '../ps/process.ts'
import { Deadlines, patienceOf } from './deadline.ts'
import type { DeviceObject } from './device.ts'
import type { DriverObject } from './driver.ts'
import type { FileObject } from './file.ts'
import { answerSuits, type Mdl, repeatable, sliceMdl } from './irp-checks.ts'
import { type Packet, PacketJudge, wantsAny } from './irp-judge.ts'
import type { Delivery } from './packets.ts'

export interface IrpRequest {
  readonly device: DeviceObject
  /** To the top of the device's stack, as PnP requests go. */
  readonly top?: boolean
  readonly major: number
  readonly minor?: number
  readonly parameters: Parameters
  readonly file?: FileObject
  readonly flags?: number
  readonly mdl?: Mdl
  readonly input?: Uint8Array
  readonly outputLength?: number
  readonly requestor: Process | 'system'
  /** 0: never. Absent: by major and device. */
  readonly deadlineMs?: number
  /** May it be issued again after its driver's death? Absent: by the table. */
  readonly idempotent?: boolean
  readonly signal?: CancelSignal
  /** Part of a driver's recovery: passes before all that waits for the recovery, and ends with its death. */
  readonly recovery?: boolean
}
/** An AbortSignal's shape. */
export interface CancelSignal {
  readonly aborted: boolean
  addEventListener(type: 'abort', listener: () => void): void
}
export interface IrpResult {
  readonly Status: NTSTATUS
  readonly Information: number
  readonly response?: Response
}
type Commit = Of<typeof COMMIT>

/** What a driver is asked of an IRP. */
interface View {
  readonly device: DeviceObject
  readonly major: number
  readonly minor: number
  readonly flags: number
  readonly parameters: Parameters
  /** Part of the IRP's buffer it sees. */
  readonly offset: number
  readonly length: number
}
/** One driver's view of an IRP. */
export class Level implements View, Delivery {
  readonly driver: DriverObject
  readonly device: DeviceObject
  readonly major: number
  readonly minor: number
  readonly flags: number
  readonly parameters: Parameters
  readonly offset: number
  readonly length: number
  notify = 0
  /** It forwarded the IRP and waits for notice. */
  waiting = false
  /** Its driver died while it waited. */
  orphaned = false
  sent = false
  recalled = false
  /** The driver's life the packet was queued for. */
  life = 0
  context: { leave(): void } | undefined = undefined
  /** What made it, while somebody watches. */
  readonly trace: TraceContext | undefined

  constructor(driver: DriverObject, view: View, trace: TraceContext | undefined) {
    this.driver = driver
    this.device = view.device
    this.major = view.major
    this.minor = view.minor
    this.flags = view.flags
    this.parameters = view.parameters
    this.offset = view.offset
    this.length = view.length
    this.trace = trace
  }
}
export class Irp {
  readonly id: number
  readonly request: IrpRequest
  readonly levels: Level[] = []
  /** A driver's own request: whom the result goes to, by the driver's number; `life` of the driver that asked. */
  readonly originator: DriverObject | undefined
  readonly localId: number
  originatorLives = true
  readonly parent: Irp | undefined
  /** Partial requests under way that point into this IRP's buffer. */
  children = 0
  /** Its result, while children are still under way. */
  deferred: IrpResult | undefined
  cancelled = false
  timedOut = false
  committed = false
  reissues = 0
  hops = 0
  extensions = 0
  deadline = 0
  /** Whom the last Cancel went to. */
  cancelSentTo: Level | undefined
  ended = false
  resolve: ((result: IrpResult) => void) | undefined
  readonly watchers: (() => void)[] = []

  constructor(id: number, request: IrpRequest, originator?: DriverObject, localId = 0, parent?: Irp) {
    this.id = id
    this.request = request
    this.originator = originator
    this.localId = localId
    this.parent = parent
  }
  get holder(): Level | undefined {
    return this.levels.at(-1)
  }
}

/** Poison is given up after as many deaths. */
const REISSUES_MAX = 3
/** Forwards of one IRP: deeper is a ring. */
const HOPS_MAX = 64

const result = (Status: NTSTATUS): IrpResult => ({ Status, Information: 0 })
const TERMINATED = result(NT_STATUS.STATUS_DRIVER_PROCESS_TERMINATED)

export class IrpTable {
  private readonly irps = new Map<number, Irp>()
  private readonly ex: Executive
  private readonly fault: (driver: DriverObject, why: string) => void
  private readonly judge: PacketJudge
  readonly deadlines: Deadlines
  private nextId = 1

  constructor(ex: Executive, fault: (driver: DriverObject, why: string) => void) {
    this.ex = ex
    this.fault = fault
    this.judge = new PacketJudge(ex)
    this.deadlines = new Deadlines(ex.env.clock, {
      cancel: (irp) => this.sendCancel(irp),
      hung: (irp, driver) => this.fault(driver, `silent for too long about IRP ${irp.id}`),
    })
  }
  private get trace(): Trace | undefined {
    return this.ex.env.sel4.trace
  }
  get size(): number {
    return this.irps.size
  }
  all(): Irp[] {
    return [...this.irps.values()]
  }

  // ---------------------------------------------------------------- requests
  submit(request: IrpRequest): Promise<IrpResult> {
    return new Promise((resolve) => {
      const irp = this.make(request)
      irp.resolve = resolve
      request.signal?.addEventListener('abort', () => void this.cancel(irp))
      this.push(irp, {
        device: request.top ? request.device.top() : request.device,
        major: request.major,
        minor: request.minor ?? 0,
        flags: request.flags ?? 0,
        parameters: request.parameters,
        offset: 0,
        length: request.mdl?.ByteCount ?? 0,
      })
      if (request.signal?.aborted) this.cancel(irp)
    })
  }
  /** AddDevice: a request to a driver, about a device that another made. */
  submitToDriver(driver: DriverObject, request: IrpRequest): Promise<IrpResult> {
    return new Promise((resolve) => {
      const irp = this.make(request)
      irp.resolve = resolve
      const { device, major, minor = 0, flags = 0, parameters } = request
      this.push(irp, { device, major, minor, flags, parameters, offset: 0, length: 0 }, driver)
    })
  }
  private make(request: IrpRequest, originator?: DriverObject, localId?: number, parent?: Irp): Irp {
    do this.nextId = this.nextId >= 0xffffffff ? 1 : this.nextId + 1
    while (this.irps.has(this.nextId))
    const irp = new Irp(this.nextId, request, originator, localId, parent)
    this.irps.set(irp.id, irp)
    return irp
  }

  /** A driver's own request. A refusal of the world's kind is its result; a lie is the driver's end. */
  newRequest(driver: DriverObject, packet: Packet<'NewRequest'>): void {
    const lie = this.judge.ofRequest(driver, packet)
    if (lie !== undefined) {
      this.fault(driver, lie)
      return
    }
    const device = this.ex.io.deviceByHandle(packet.Device)
    const parent = packet.Buffer.kind === 'Partial' ? driver.irps.get(packet.Buffer.Id) : undefined
    const mdl = this.judge.bufferOf(driver, packet)
    const request: IrpRequest = {
      device: device as DeviceObject,
      major: packet.MajorFunction,
      minor: packet.MinorFunction,
      flags: packet.Flags,
      parameters: packet.Parameters,
      requestor: 'system',
      mdl,
      input: packet.Input,
      outputLength: packet.OutputLength,
    }
    const irp = this.make(request, driver, packet.LocalId, parent)
    driver.requests.set(packet.LocalId, irp)
    if (parent) parent.children++
    if (!device) {
      this.unwind(irp, result(NT_STATUS.STATUS_DEVICE_REMOVED))
      return
    }
    this.push(irp, {
      device,
      major: request.major,
      minor: request.minor ?? 0,
      flags: packet.Flags,
      parameters: packet.Parameters,
      offset: 0,
      length: mdl?.ByteCount ?? 0,
    })
  }
  cancelRequest(driver: DriverObject, localId: number): void {
    const irp = driver.requests.get(localId)
    if (irp) this.cancel(irp)
  }

  // ---------------------------------------------------------------- down
  private push(irp: Irp, view: View, driver = view.device.driver): void {
    const { device } = view
    if (device.removed || !driver.accepting) {
      this.unwind(irp, result(statusOfRemoved(irp, device, driver)))
      return
    }
    if (driver.irps.has(irp.id) || ++irp.hops > HOPS_MAX) {
      this.unwind(irp, result(NT_STATUS.STATUS_INVALID_DEVICE_REQUEST))
      return
    }
    const level = new Level(driver, view, this.trace?.current())
    irp.levels.push(level)
    driver.irps.set(irp.id, irp)
    this.deadlines.arm(irp, irp.request.deadlineMs ?? patienceOf(device, view.major))
    this.deliver(irp, level)
  }
  /** Queues the request packet of a level, for the driver's present or next life. */
  private deliver(irp: Irp, level: Level): void {
    const { driver, device, parameters } = level
    level.sent = level.recalled = false
    level.life = driver.life
    this.grantNamed(driver, parameters)
    level.context?.leave()
    level.context = contextOf(level)
    if (driver.internal) {
      driver.internal(irp)
      return
    }
    const { request } = irp
    const { mdl, requestor } = request
    driver.send(
      {
        kind: 'Request',
        Id: irp.id,
        Device: device.handle,
        File: request.file && request.file.device?.driver === driver ? request.file.number : 0,
        MajorFunction: level.major,
        MinorFunction: level.minor,
        Flags: level.flags,
        Parameters: parameters,
        Input: request.input,
        Mdl: mdl && sliceMdl(mdl, level.offset, level.length),
        OutputLength: request.outputLength ?? 0,
        RequestorMode: requestor === 'system' ? 0 : requestor.pid,
        Trace: level.trace,
      },
      level,
      request.recovery === true && isKnown(level),
    )
  }
  private grantNamed(driver: DriverObject, parameters: Parameters): void {
    if (parameters.kind === 'AddDevice') this.grantHandle(driver, parameters.PhysicalDevice)
    else if (parameters.kind === 'MountVolume') this.grantHandle(driver, parameters.StorageDevice)
  }
  private grantHandle(driver: DriverObject, handle: number): void {
    const device = this.ex.io.deviceByHandle(handle)
    if (device) this.ex.io.devices.grant(driver, device)
  }

  forward(driver: DriverObject, packet: Packet<'Forward'>): void {
    const irp = driver.irps.get(packet.Id)
    const level = irp?.holder
    const lie = this.judge.ofForward(driver, packet, irp, level)
    if (lie !== undefined || !irp || !level) {
      this.fault(driver, lie ?? 'no such IRP')
      return
    }
    const device = this.ex.io.deviceByHandle(packet.Device)
    const hasBuffer = irp.request.mdl !== undefined
    if (!wantsAny(packet.Notify)) this.pop(irp)
    else {
      level.notify = packet.Notify
      level.waiting = true
    }
    if (!device) {
      this.unwind(irp, result(NT_STATUS.STATUS_DEVICE_REMOVED))
      return
    }
    this.push(irp, {
      device,
      major: packet.MajorFunction,
      minor: packet.MinorFunction,
      flags: packet.Flags,
      parameters: packet.Parameters,
      offset: hasBuffer ? level.offset + packet.BufferOffset : 0,
      length: hasBuffer ? packet.BufferLength : 0,
    })
    if (irp.cancelled || irp.timedOut) this.sendCancel(irp)
  }
  // ---------------------------------------------------------------- up
  complete(driver: DriverObject, packet: Packet<'Complete'>): void {
    const irp = driver.irps.get(packet.Id)
    const level = irp?.holder
    if (!irp || !level || level.driver !== driver || !level.sent) {
      this.fault(driver, `completes IRP ${packet.Id}, which it does not hold`)
      return
    }
    const lie =
      this.judge.ofCompletion(driver, packet, irp, level) ?? this.commit(driver, irp, packet) ?? park(driver, packet)
    if (lie !== undefined) {
      this.fault(driver, `completes IRP ${packet.Id}: ${lie}`)
      return
    }
    this.pop(irp)
    this.unwind(irp, { Status: packet.Status, Information: packet.Information, response: packet.Response })
  }
  /** Publishes what the IRP changed before anybody can see its result. */
  private commit(driver: DriverObject, irp: Irp, packet: Packet<'Complete'>): string | undefined {
    const { Commit } = packet
    if (!Commit) return undefined
    const volume = this.ex.io.deviceByHandle(Commit.Volume)
    if (!volume || volume.driver !== driver) return `commits to device ${Commit.Volume}, which is not its own`
    if (!NT_SUCCESS(packet.Status)) return 'commits what failed'
    try {
      this.ex.cc.commit(volume, Commit as Commit, driver.process)
    } catch (error) {
      if (error instanceof StatusError) return `commit refused: ${error.message}`
      throw error
    }
    irp.committed = true
    return undefined
  }
  /** The Executive's own driver has no process to answer from. */
  completeInternal(irp: Irp, Status: NTSTATUS, response?: Response): void {
    this.settle(irp, { Status, Information: 0, response })
  }
  /** Takes the last level off. */
  private pop(irp: Irp): void {
    const level = irp.levels.pop()
    level?.driver.irps.delete(irp.id)
    level?.context?.leave()
    if (level) level.recalled = true
  }
  /** A result climbs: to the next driver that wanted to hear of it, else to whoever asked. */
  private unwind(irp: Irp, outcome: IrpResult): void {
    for (let level = irp.holder; level; level = irp.holder) {
      if (level.orphaned && wantsNotice(level, irp, outcome)) {
        if (!irp.committed && !irp.cancelled && this.mayReissue(irp, level)) {
          this.reissue(irp, level)
          return
        }
        if (!irp.committed && !irp.cancelled) outcome = TERMINATED
      } else if (wantsNotice(level, irp, outcome)) {
        this.giveNotice(irp, level, outcome)
        return
      } else if (level.waiting && !level.orphaned) level.driver.mention({ kind: 'IrpOver', Id: irp.id })
      this.pop(irp)
    }
    this.end(irp, outcome)
  }
  private giveNotice(irp: Irp, level: Level, outcome: IrpResult): void {
    level.waiting = false
    const Response = this.visible(level.driver, outcome.response)
    this.deadlines.arm(irp, irp.request.deadlineMs ?? patienceOf(level.device, level.major))
    level.driver.send(
      {
        kind: 'IoCompleted',
        Id: irp.id,
        Local: false,
        Status: outcome.Status,
        Information: outcome.Information,
        Response,
        Trace: this.trace?.current(),
      },
      undefined,
      irp.request.recovery === true,
    )
  }
  /** Handles in an answer become known to its receiver. */
  private visible(driver: DriverObject, response: Response | undefined): Response | undefined {
    if (response?.kind === 'Devices') for (const handle of response.Devices) this.grantHandle(driver, handle)
    return response
  }
  /** The end, unless parts of its buffer are still being worked on. */
  private end(irp: Irp, outcome: IrpResult): void {
    if (irp.children > 0) {
      irp.deferred = outcome
      return
    }
    if (irp.ended) throw new Error(`IRP ${irp.id} ended twice`)
    irp.ended = true
    this.irps.delete(irp.id)
    this.deadlines.disarm(irp)
    const final = this.finalOf(irp, outcome)
    if (irp.originator) this.answerDriver(irp, irp.originator, final)
    else irp.resolve?.(final)
    for (const watcher of irp.watchers) watcher()
    const { parent } = irp
    if (parent && --parent.children === 0 && parent.deferred) this.end(parent, parent.deferred)
  }
  private finalOf(irp: Irp, outcome: IrpResult): IrpResult {
    const { request } = irp
    if (irp.timedOut && !irp.cancelled && outcome.Status === NT_STATUS.STATUS_CANCELLED)
      return result(NT_STATUS.STATUS_IO_TIMEOUT)
    const asked = { major: request.major, minor: request.minor ?? 0, parameters: request.parameters }
    if (!outcome.response || answerSuits(asked, outcome.response)) return outcome
    this.ex.env.log.warn('an answer of another kind was dropped', {
      major: request.major,
      answer: outcome.response.kind,
    })
    return { Status: outcome.Status, Information: outcome.Information }
  }
  private answerDriver(irp: Irp, driver: DriverObject, final: IrpResult): void {
    if (!irp.originatorLives) return
    driver.requests.delete(irp.localId)
    const { Status, Information } = final
    const Response = this.visible(driver, final.response)
    // Urgent: a driver that is being started again waits for its own requests in DriverEntry, AddDevice and START.
    const Trace = this.trace?.current()
    driver.send(
      { kind: 'IoCompleted', Id: irp.localId, Local: true, Status, Information, Response, Trace },
      undefined,
      true,
    )
  }

  // ---------------------------------------------------------------- cancelling
  /** The requestor wants it no more. Settled when the result arrives. */
  cancel(irp: Irp): void {
    if (irp.ended || irp.cancelled) return
    irp.cancelled = true
    this.sendCancel(irp)
  }
  private sendCancel(irp: Irp): void {
    const level = irp.holder
    if (irp.ended || !level) return
    // Its driver is dead and the IRP not yet settled: abandon sees that it is cancelled.
    if (level.life !== level.driver.life) return
    if (!level.sent) {
      this.pop(irp)
      this.unwind(irp, result(NT_STATUS.STATUS_CANCELLED))
      return
    }
    this.deadlines.grace(irp)
    irp.cancelSentTo = level
    level.driver.send({ kind: 'Cancel', Id: irp.id }, undefined, irp.request.recovery === true)
  }
  /** A process is gone: its requests are cancelled; resolves when all are settled. */
  async abandonRequestor(process: Process): Promise<void> {
    await this.cancelAll((irp) => irp.request.requestor === process)
  }
  /** NtCancelIoFile: the requestor's requests on one file; resolves when all are settled. */
  async cancelFile(file: FileObject, process: Process): Promise<void> {
    await this.cancelAll((irp) => irp.request.requestor === process && irp.request.file === file)
  }
  /** Resolves when an IRP has ended, whoever asked for it. */
  ended(irp: Irp): Promise<void> {
    if (irp.ended) return Promise.resolve()
    return new Promise((resolve) => irp.watchers.push(resolve))
  }
  private async cancelAll(which: (irp: Irp) => boolean): Promise<void> {
    const mine = this.all().filter((irp) => !irp.originator && which(irp))
    const ends = mine.map((irp) => this.ended(irp))
    for (const irp of mine) this.cancel(irp)
    await Promise.all(ends)
  }

  // ---------------------------------------------------------------- death
  /** At the moment of death: what waits for notice will not get it, and what the driver asked is not wanted any more. */
  orphan(driver: DriverObject): Irp[] {
    for (const irp of driver.irps.values())
      for (const level of irp.levels) if (level.driver === driver && level.waiting) level.orphaned = true
    const own = [...driver.requests.values()]
    driver.requests.clear()
    for (const irp of own) {
      irp.originatorLives = false
      this.cancel(irp)
    }
    return own.filter((irp) => !irp.ended)
  }
  /** When its hardware is quiet: what it held is queued for its next life, or ends. `last`: there is none. */
  abandon(driver: DriverObject, last = false): void {
    for (const irp of [...driver.irps.values()]) {
      const level = irp.holder
      if (irp.ended || level?.driver !== driver) continue
      if (last) this.settle(irp, TERMINATED)
      else if (level.life !== driver.life) this.reissueOrEnd(irp, level)
    }
  }
  private reissueOrEnd(irp: Irp, level: Level): void {
    if (irp.cancelled) {
      this.settle(irp, result(NT_STATUS.STATUS_CANCELLED))
      return
    }
    if (irp.committed) {
      this.settle(irp, TERMINATED)
      return
    }
    if (this.mayReissue(irp, level)) this.reissue(irp, level)
    else this.settle(irp, TERMINATED)
  }
  private settle(irp: Irp, outcome: IrpResult): void {
    this.pop(irp)
    this.unwind(irp, outcome)
  }
  private mayReissue(irp: Irp, level: Level): boolean {
    const { request } = irp
    if (!level.driver.accepting || level.device.removed || request.recovery || irp.reissues >= REISSUES_MAX)
      return false
    if (isReplayed(level)) return false
    if (!level.sent) return true
    const own = level.major === request.major && request.idempotent !== undefined
    return own
      ? request.idempotent === true
      : repeatable(level.device, level.major, level.minor, level.parameters, request.mdl !== undefined)
  }
  private reissue(irp: Irp, level: Level): void {
    if (level.sent) irp.reissues++
    level.waiting = level.orphaned = false
    level.notify = 0
    irp.timedOut = false
    irp.cancelSentTo = undefined
    this.deadlines.arm(irp, irp.request.deadlineMs ?? patienceOf(level.device, level.major))
    this.deliver(irp, level)
  }
}

/** What the IRP hands out and what the driver still has change hands at once. */
function park(driver: DriverObject, { Park }: Packet<'Complete'>): string | undefined {
  return !Park || driver.park(Park.Key, Park.State) ? undefined : 'parks more keys than it may'
}
/** A driver that is itself coming back hears of a device when it has made it again; of its removal in any case. */
function isKnown({ driver, device, major, minor }: Level): boolean {
  const removal = minor === IRP_MN.IRP_MN_REMOVE_DEVICE || minor === IRP_MN.IRP_MN_SURPRISE_REMOVAL
  return device.driver !== driver || device.bound || (major === IRP_MJ.IRP_MJ_PNP && removal)
}

/** The recovery does these itself, whether or not they were delivered. */
const isReplayed = ({ major, minor }: Level): boolean =>
  major === IRP_MJ.IRP_MJ_ADD_DEVICE || (major === IRP_MJ.IRP_MJ_PNP && minor === IRP_MN.IRP_MN_START_DEVICE)

function wantsNotice({ notify }: Level, irp: Irp, { Status }: IrpResult): boolean {
  if (irp.cancelled && notify & NOTIFY.OnCancel) return true
  return (notify & (NT_SUCCESS(Status) ? NOTIFY.OnSuccess : NOTIFY.OnError)) !== 0
}
function statusOfRemoved(irp: Irp, device: DeviceObject, driver: DriverObject): NTSTATUS {
  if (irp.request.file?.device === device) return NT_STATUS.STATUS_FILE_FORCED_CLOSED
  return driver.accepting ? NT_STATUS.STATUS_DEVICE_REMOVED : NT_STATUS.STATUS_DRIVER_PROCESS_TERMINATED
}
/** Requests in which drivers make unnamed devices; the key names the same occasion in every life. */
function contextOf({ driver, device, major, minor, parameters }: Level): { leave(): void } | undefined {
  if (parameters.kind === 'AddDevice') return driver.enterContext(`add:${parameters.PhysicalDevice}`)
  if (parameters.kind === 'MountVolume') return driver.enterContext(`mount:${parameters.StorageDevice}`)
  if (major !== IRP_MJ.IRP_MJ_PNP) return undefined
  if (minor === IRP_MN.IRP_MN_START_DEVICE) return driver.enterContext(`start:${device.handle}`)
  if (minor === IRP_MN.IRP_MN_QUERY_DEVICE_RELATIONS) return driver.enterContext(`relations:${device.handle}`)
  return undefined
}
