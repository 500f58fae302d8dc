/**
 * One driver process: its event loop, its tables, its end.
 *
 *   run(DriverEntry)   calls it, then pulls packets until the process ends
 *   die(error)         a defect: nothing more leaves, the process ends with an epitaph
 *   services, system   clients of the Executive; a call never overtakes packets produced before it
 *   foreign(handle)    a device of another driver, asked for once
 *
 * Tables hold what the Executive named: `devices` by handle, `files` by number, `held` IRPs by Id, `requests` of this driver's own by
 * LocalId. Packets become jobs of the scheduler in packets.ts.
 */
import type { Client } from '#contracts/interface'
import { SystemServices } from '#contracts/nt'
import { WdmServices } from '#contracts/wdm'
import { NT_SUCCESS, type NTSTATUS, StatusError, statusName } from '#rtl'
import type { Environment } from '#sel4/api'
import type { DRIVER_INITIALIZE } from './api.ts'
import { Arena } from './arena.ts'
import { DO_DEVICE_INITIALIZING } from './constants.ts'
import type { Irp } from './irp.ts'
import { Device, Driver, type File } from './objects.ts'
import { Outbox } from './outbox.ts'
import { receivePackets } from './packets.ts'
import { MappedWindows } from './registers.ts'
import { Scheduler } from './scheduler.ts'

/** An epitaph is for a reader of a log line and of a death report. */
const EPITAPH_MAX = 2000

export class DriverHost {
  readonly env: Environment
  readonly driver: Driver
  readonly scheduler: Scheduler
  readonly outbox: Outbox
  readonly arena: Arena
  readonly windows = new MappedWindows()
  readonly devices = new Map<number, Device>()
  readonly files = new Map<number, File>()
  readonly held = new Map<number, Irp>()
  readonly requests = new Map<number, Irp>()
  /** Ends the process; safe to hand around as a rejection handler. */
  readonly die: (error: unknown) => void
  private readonly failure: Promise<never>
  private readonly client: Client<typeof WdmServices>
  private readonly systemClient: Client<typeof SystemServices>
  private lastLocalId = 0

  constructor(env: Environment) {
    const { sel4 } = env
    const { executive } = env.caps
    this.env = env
    let fail: (error: unknown) => void
    this.failure = new Promise((_, reject) => (fail = reject))
    this.failure.catch(() => {})
    this.die = (error) => {
      this.stop()
      fail(error)
    }
    this.client = sel4.client(WdmServices, executive)
    this.systemClient = sel4.client(SystemServices, executive)
    this.driver = new Driver(this)
    this.arena = new Arena(env.arena)
    this.scheduler = new Scheduler(this.die)
    this.outbox = new Outbox(sel4, executive, this.client, (packets) => receivePackets(this, packets), this.die)
  }

  get services(): Client<typeof WdmServices> {
    this.outbox.flush()
    return this.client
  }
  get system(): Client<typeof SystemServices> {
    this.outbox.flush()
    return this.systemClient
  }

  private stop(): void {
    this.scheduler.stop()
    this.outbox.stop()
  }

  async run(DriverEntry: DRIVER_INITIALIZE): Promise<void> {
    let epitaph: string
    try {
      epitaph = await Promise.race([this.live(DriverEntry), this.failure])
    } catch (error) {
      this.stop()
      epitaph = epitaphOf(error)
    }
    this.env.exit(1, epitaph)
  }

  private async live(DriverEntry: DRIVER_INITIALIZE): Promise<string> {
    const Status = await this.enter(DriverEntry)
    if (!NT_SUCCESS(Status)) {
      await this.services.WdmDriverEntryFailed({ Status })
      return `DriverEntry: ${statusName(Status)}`
    }
    await this.publishDevices()
    this.outbox.open()
    return this.failure
  }

  private async enter(DriverEntry: DRIVER_INITIALIZE): Promise<NTSTATUS> {
    const path = `\\Registry\\Machine\\System\\CurrentControlSet\\Services\\${this.env.name}`
    try {
      return await DriverEntry(this.driver, path)
    } catch (error) {
      if (error instanceof StatusError) return error.status
      throw error
    }
  }

  /** DO_DEVICE_INITIALIZING ends with DriverEntry or AddDevice, whether or not the driver said so. */
  async publishDevices(): Promise<void> {
    for (const device of this.devices.values()) {
      if (device.own) device.Flags &= ~DO_DEVICE_INITIALIZING
      await device.publication
    }
  }

  async foreign(handle: number): Promise<Device> {
    const known = this.devices.get(handle)
    if (known) return known
    const { Info } = await this.services.WdmGetDevice({ Device: handle })
    return this.adopt(Info)
  }
  /** A device by the facts an answer gave; the object already known, if there is one. */
  adopt(info: {
    Device: number
    DeviceType: number
    Characteristics: number
    Flags: number
    StackSize: number
    AlignmentRequirement: number
  }): Device {
    const known = this.devices.get(info.Device)
    if (known) return known
    const device = new Device(this.driver, { ...info, handle: info.Device, own: false, rebound: false })
    this.devices.set(info.Device, device)
    return device
  }

  nextLocalId(): number {
    do this.lastLocalId = (this.lastLocalId + 1) >>> 0 || 1
    while (this.requests.has(this.lastLocalId))
    return this.lastLocalId
  }

  /** Every copy of data goes through here. */
  copy(target: Uint8Array, source: Uint8Array, at: number): void {
    target.set(source, at)
    this.env.copied.bytes += source.length
    this.env.copied.calls++
  }
}

function epitaphOf(error: unknown): string {
  const text = error instanceof Error ? (error.stack ?? String(error)) : String(error)
  return text.slice(0, EPITAPH_MAX)
}
