/**
 * Driver objects and how they are loaded.
 *
 * A driver is loaded when it asks for packets the first time: DriverEntry has succeeded by then. Its object, devices and
 * queued requests outlive its process.
 *
 *   load(service)    starts the driver of a service key, or waits for whoever is starting it
 *   adopt(process)   the driver whose process calls, also before the spawn has been answered
 */
import type { ServerPacket } from '#contracts/wdm'
import type { Birth } from '#sel4/api'
import { NT_STATUS, type NTSTATUS, StatusError } from '#rtl'
import type { Executive } from '../executive.ts'
import { NtObject } from '../ob/index.ts'
import type { Process } from '../ps/process.ts'
import type { DeviceObject } from './device.ts'
import type { Irp } from './irp.ts'
import { type Delivery, PacketQueue } from './packets.ts'
import type { ServiceDatabase } from './pnp-match.ts'

export type DriverState = 'loading' | 'loaded' | 'dead' | 'failed'
/** States one driver may have parked: a page each. */
const PARKED_KEYS_MAX = 64
/** DriverEntry of a slow machine under load; a driver that needs longer hangs. */
export const LOAD_PATIENCE_MS = 30_000

export class DriverObject extends NtObject {
  readonly typeName = 'Driver'
  readonly image: string
  /** undefined of the Executive's own driver (the root's physical device) and while no process lives. */
  process!: Process
  state: DriverState = 'loading'
  readonly devices = new Set<DeviceObject>()
  readonly queue = new PacketQueue()
  /** IRPs this driver has a level of: it holds them, or waits for notice of them. */
  readonly irps = new Map<number, Irp>()
  /** Its own requests by LocalId. */
  readonly requests = new Map<number, Irp>()
  /** Handles of foreign devices it was told in this life. */
  readonly known = new Set<number>()
  private readonly parked = new Map<string, Uint8Array>()
  /** Counts its processes: what was begun for an earlier one must not go on. */
  life = 0
  /** Found lying or hung: nothing it still sends counts. */
  faulted = false
  /** Service calls of its that wait for something: it is not hung meanwhile. */
  calls = 0
  isFileSystem = false
  /** Resolved when its first pull arrived (true) or it never will (false). */
  ready = deferred<boolean>()
  loadStatus: NTSTATUS = NT_STATUS.STATUS_DRIVER_PROCESS_TERMINATED
  /** Resolved when it flows again (true) or was given up (false). */
  recovered: Deferred<boolean> | undefined
  readonly deaths: number[] = []
  /** Handles packets itself, without a process. */
  internal: ((irp: Irp) => void) | undefined
  /** What it is doing that makes unnamed devices its own again. */
  private contexts: { readonly key: string; made: number }[] = []

  constructor(name: string, image: string) {
    super()
    this.name = name
    this.image = image
  }
  send(packet: ServerPacket, delivery?: Delivery, urgent = false): void {
    if (this.state === 'failed') return
    this.queue.send(packet, delivery, urgent)
  }
  /** It need not be told now, but some time. */
  mention(packet: ServerPacket): void {
    if (this.state !== 'failed') this.queue.mention(packet)
  }
  /** Requests are accepted and, if need be, wait for its return. */
  get accepting(): boolean {
    return this.state !== 'failed'
  }
  get recovering(): boolean {
    return this.recovered !== undefined
  }
  /** Waits for others, so its own silence is no hang. */
  get waiting(): boolean {
    return this.requests.size > 0 || this.calls > 0
  }
  /** Runs while one request that may make devices is with the driver. */
  enterContext(key: string): { leave(): void } {
    const context = { key, made: 0 }
    this.contexts.push(context)
    return { leave: () => void (this.contexts = this.contexts.filter((other) => other !== context)) }
  }
  nextKey(): string {
    let context = this.contexts.at(-1)
    if (!context) {
      context = { key: 'entry', made: 0 }
      this.contexts.unshift(context)
    }
    return `${context.key}:${context.made++}`
  }
  /** For its next life; empty state is forgotten. False when it keeps too much. */
  park(key: string, state: Uint8Array): boolean {
    if (state.byteLength === 0) this.parked.delete(key)
    else if (!this.parked.has(key) && this.parked.size >= PARKED_KEYS_MAX) return false
    else this.parked.set(key, state.slice())
    return true
  }
  parkedState(key: string): Uint8Array {
    return this.parked.get(key) ?? new Uint8Array(0)
  }
  clearContexts(): void {
    this.contexts = []
  }
}

export interface Deferred<T> {
  readonly promise: Promise<T>
  resolve(value: T): void
}
export function deferred<T>(): Deferred<T> {
  let resolve!: (value: T) => void
  const promise = new Promise<T>((done) => {
    resolve = done
  })
  return { promise, resolve }
}

export class DriverTable {
  private readonly drivers = new Map<string, DriverObject>()
  private readonly loads = new Map<string, Promise<DriverObject>>()
  private readonly ex: Executive
  private readonly services: ServiceDatabase
  stopping = false

  constructor(ex: Executive, services: ServiceDatabase) {
    this.ex = ex
    this.services = services
  }
  all(): DriverObject[] {
    return [...this.drivers.values()].filter((driver) => !driver.internal)
  }
  find(name: string): DriverObject | undefined {
    return this.drivers.get(name.toUpperCase())
  }
  add(driver: DriverObject): void {
    this.drivers.set(driver.name.toUpperCase(), driver)
    this.ex.ob.insert(`\\Driver\\${driver.name}`, driver)
    this.ex.ob.reference(driver)
  }
  forget(driver: DriverObject): void {
    if (this.drivers.get(driver.name.toUpperCase()) !== driver) return
    this.drivers.delete(driver.name.toUpperCase())
    this.ex.ob.remove(driver)
    this.ex.ob.dereference(driver)
  }
  adopt(process: Process): DriverObject {
    const driver =
      process.driver ?? this.all().find((one) => one.state === 'loading' && one.image === process.image && !one.process)
    if (!driver) throw new StatusError('STATUS_ACCESS_DENIED', 'not a driver')
    process.driver = driver
    driver.process = process
    return driver
  }

  /** STATUS_SUCCESS again for one that is loaded; concurrent loads of one driver share their fate. */
  load(service: string): Promise<DriverObject> {
    const name = service.slice(service.lastIndexOf('\\') + 1)
    if (name === '') return Promise.reject(new StatusError('STATUS_INVALID_PARAMETER'))
    const key = name.toUpperCase()
    const loaded = this.drivers.get(key)
    if (loaded?.state === 'loaded' || loaded?.recovering) return Promise.resolve(loaded)
    const under = this.loads.get(key)
    if (under) return under
    const load = this.start(name).finally(() => this.loads.delete(key))
    this.loads.set(key, load)
    return load
  }
  private async start(name: string): Promise<DriverObject> {
    if (this.stopping) throw new StatusError('STATUS_DRIVER_UNABLE_TO_LOAD')
    const old = this.find(name)
    if (old) this.forget(old)
    const driver = new DriverObject(name, this.services.imageOf(name))
    this.add(driver)
    try {
      await this.spawn(driver, 'fresh')
      if (!(await driver.ready.promise)) throw new StatusError(driver.loadStatus, name)
    } catch (error) {
      driver.state = 'failed'
      this.forget(driver)
      throw error
    }
    driver.state = 'loaded'
    return driver
  }

  /** Starts a process for a driver object; resolves when the kernel has started it, not when it is ready. */
  async spawn(driver: DriverObject, birth: Birth): Promise<void> {
    const ready = deferred<boolean>()
    driver.ready = ready
    driver.process = undefined as never
    const alarm = this.ex.env.clock.alarm(LOAD_PATIENCE_MS, () => {
      if (driver.ready !== ready || !driver.process) return
      this.ex.env.log.error('driver hangs in DriverEntry', { driver: driver.name })
      void this.ex.ps.terminate(driver.process, NT_STATUS.STATUS_IO_TIMEOUT)
    })
    void ready.promise.then(() => alarm.cancel())
    const { life } = driver
    const process = await this.ex.ps.create({ image: driver.image, kind: 'driver', birth })
    if (driver.life !== life) return
    process.driver = driver
    driver.process = process
    if (this.ended(process)) ready.resolve(false)
  }
  /** Its death was reported before anybody knew it was a driver. */
  private ended(process: Process): boolean {
    return process.signalled || !this.ex.ps.all().includes(process)
  }
}
