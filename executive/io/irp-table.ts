/**
 * IRPs in flight: down to the drivers, up to whoever asked.
 *
 *   submit(request)                    the Executive asks; resolves with the result, whatever it is
 *   newRequest(driver, packet)         a driver asks another
 *   forward / complete(driver, packet) what its owner did with it
 *   cancellation, deaths               see irp-cancel.ts and irp-death.ts; what drivers are told, irp-delivery.ts
 *
 * Whatever a driver says of an IRP is checked; `fault` ends the one that lies. Nothing here waits for a driver.
 */
import { type COMMIT, NOTIFY, type Response } from '#contracts/wdm'
import type { Of } from '#contracts/field'
import { NT_STATUS, NT_SUCCESS, type NTSTATUS, StatusError } from '#rtl'
import type { Executive } from '../executive.ts'
import { Deadlines } from './deadline.ts'
import type { DeviceObject } from './device.ts'
import type { DriverObject } from './driver.ts'
import { Irp, type IrpRequest, type IrpResult, Level, result, TERMINATED, type View } from './irp.ts'
import { IrpCancellation } from './irp-cancel.ts'
import { answerSuits, namesAny } from './irp-checks.ts'
import { IrpDeaths } from './irp-death.ts'
import { IrpDelivery } from './irp-delivery.ts'
import { type Packet, PacketJudge, wantsAny } from './irp-judge.ts'

type Commit = Of<typeof COMMIT>
/** Forwards of one IRP: deeper is a ring. */
const HOPS_MAX = 64

export class IrpTable {
  private readonly irps = new Map<number, Irp>()
  private readonly ex: Executive
  private readonly fault: (driver: DriverObject, why: string) => void
  private readonly judge: PacketJudge
  private readonly delivery: IrpDelivery
  private readonly deadlines: Deadlines
  readonly cancellation: IrpCancellation
  readonly deaths: IrpDeaths
  private nextId = 1

  constructor(ex: Executive, fault: (driver: DriverObject, why: string) => void) {
    this.ex = ex
    this.fault = fault
    this.judge = new PacketJudge(ex)
    this.delivery = new IrpDelivery(ex)
    this.deadlines = new Deadlines(ex.env.clock, {
      cancel: (irp) => this.cancellation.tellOwner(irp),
      hung: (irp, driver) => this.fault(driver, `silent for too long about IRP ${irp.id}`),
    })
    this.cancellation = new IrpCancellation(this, this.deadlines)
    this.deaths = new IrpDeaths(this.delivery, this.deadlines, {
      cancel: (irp) => this.cancellation.cancel(irp),
      settle: (irp, outcome) => this.settle(irp, outcome),
    })
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
      request.signal?.addEventListener('abort', () => void this.cancellation.cancel(irp))
      this.push(irp, {
        device: request.top ? request.device.top() : request.device,
        major: request.major,
        minor: request.minor ?? 0,
        flags: request.flags ?? 0,
        parameters: request.parameters,
        offset: 0,
        length: request.mdl?.ByteCount ?? 0,
      })
      if (request.signal?.aborted) this.cancellation.cancel(irp)
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
    if (irp) this.cancellation.cancel(irp)
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
    const level = new Level(driver, view, this.ex.env.sel4.trace?.current())
    irp.levels.push(level)
    driver.irps.set(irp.id, irp)
    this.deadlines.arm(irp, level)
    this.delivery.request(irp, level)
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
    if (irp.cancelled || irp.timedOut) this.cancellation.tellOwner(irp)
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
  settle(irp: Irp, outcome: IrpResult): void {
    this.pop(irp)
    this.unwind(irp, outcome)
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
        if (!irp.committed && !irp.cancelled && this.deaths.mayReissue(irp, level)) {
          this.deaths.reissue(irp, level)
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
    this.deadlines.arm(irp, level)
    this.delivery.notice(irp, level.driver, outcome)
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
    this.delivery.answer(irp, driver, final)
  }
  /** Resolves when an IRP has ended, whoever asked for it. */
  ended(irp: Irp): Promise<void> {
    if (irp.ended) return Promise.resolve()
    return new Promise((resolve) => irp.watchers.push(resolve))
  }
  /** Resolves when no IRP names any of that memory, so that somebody else may have it. */
  async released(memory: { readonly physicalAddress: number; readonly length: number }): Promise<void> {
    const naming = this.all().filter(({ request: { mdl } }) => mdl && namesAny(mdl, memory))
    await Promise.all(naming.map((irp) => this.ended(irp)))
  }
}

/** What the IRP hands out and what the driver still has change hands at once. */
function park(driver: DriverObject, { Park }: Packet<'Complete'>): string | undefined {
  return !Park || driver.park(Park.Key, Park.State) ? undefined : 'parks more keys than it may'
}
function wantsNotice({ notify }: Level, irp: Irp, { Status }: IrpResult): boolean {
  if (irp.cancelled && notify & NOTIFY.OnCancel) return true
  return (notify & (NT_SUCCESS(Status) ? NOTIFY.OnSuccess : NOTIFY.OnError)) !== 0
}
function statusOfRemoved(irp: Irp, device: DeviceObject, driver: DriverObject): NTSTATUS {
  if (irp.request.file?.device === device) return NT_STATUS.STATUS_FILE_FORCED_CLOSED
  return driver.accepting ? NT_STATUS.STATUS_DEVICE_REMOVED : NT_STATUS.STATUS_DRIVER_PROCESS_TERMINATED
}
