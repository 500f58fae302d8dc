/**
 * What stands behind DRIVER_OBJECT, DEVICE_OBJECT and FILE_OBJECT, and the way from any of them to its host.
 *
 * Only this library looks behind the interfaces of api.ts; a driver never does.
 */
import type {
  DEVICE_OBJECT,
  DRIVER_ADD_DEVICE,
  DRIVER_DISPATCH,
  DRIVER_OBJECT,
  DRIVER_UNLOAD,
  FILE_OBJECT,
} from './api.ts'
import { DO_DEVICE_INITIALIZING } from './constants.ts'
import type { DriverHost } from './host.ts'

export class Driver implements DRIVER_OBJECT {
  readonly host: DriverHost
  readonly DriverName: string
  readonly MajorFunction: Record<number, DRIVER_DISPATCH> = {}
  DriverExtension: { AddDevice?: DRIVER_ADD_DEVICE } = {}
  DriverUnload?: DRIVER_UNLOAD

  constructor(host: DriverHost) {
    this.host = host
    this.DriverName = `\\Driver\\${host.env.name}`
  }
  get birth(): 'fresh' | 'restart' {
    return this.host.env.birth
  }
  get config(): Readonly<Record<string, unknown>> {
    return this.host.env.config
  }
  get log() {
    return this.host.env.log
  }
  now(): number {
    return this.host.env.clock.now()
  }
  systemTime(): number {
    return this.host.env.clock.systemTime()
  }
}

interface DeviceFacts {
  readonly handle: number
  readonly own: boolean
  readonly DeviceType: number
  readonly Characteristics: number
  readonly Flags: number
  readonly StackSize: number
  readonly AlignmentRequirement: number
  readonly rebound: boolean
}
export class Device implements DEVICE_OBJECT {
  readonly DriverObject: Driver
  readonly handle: number
  readonly own: boolean
  readonly DeviceType: number
  readonly Characteristics: number
  readonly rebound: boolean
  StackSize: number
  AlignmentRequirement: number
  DeviceExtension: any = undefined
  /** Under way since DO_DEVICE_INITIALIZING was cleared. */
  publication?: Promise<void>
  private flags: number

  constructor(driver: Driver, facts: DeviceFacts) {
    this.DriverObject = driver
    this.handle = facts.handle
    this.own = facts.own
    this.DeviceType = facts.DeviceType
    this.Characteristics = facts.Characteristics
    this.rebound = facts.rebound
    this.StackSize = facts.StackSize
    this.AlignmentRequirement = facts.AlignmentRequirement
    this.flags = facts.Flags
  }
  get Flags(): number {
    return this.flags
  }
  /** Clearing DO_DEVICE_INITIALIZING publishes; the call leaves before any packet produced later. */
  set Flags(value: number) {
    const initialized = this.flags & DO_DEVICE_INITIALIZING & ~value
    this.flags = value >>> 0
    if (initialized && this.own) this.publish()
  }
  publish(): void {
    const { host } = this.DriverObject
    const { handle: Device, StackSize, AlignmentRequirement } = this
    this.publication = host.services
      .WdmSetDeviceFlags({ Device, Flags: this.flags, StackSize, AlignmentRequirement })
      .then(() => undefined)
    this.publication.catch(host.die)
  }
}

export class File implements FILE_OBJECT {
  readonly number: number
  readonly DeviceObject: DEVICE_OBJECT
  readonly FileName: string
  FsContext: any = undefined
  FsContext2: any = undefined

  constructor(number: number, device: DEVICE_OBJECT, name: string) {
    this.number = number
    this.DeviceObject = device
    this.FileName = name
  }
}

export const hostOf = (driver: DRIVER_OBJECT): DriverHost => (driver as Driver).host
export const hostOfDevice = (device: DEVICE_OBJECT): DriverHost => (device as Device).DriverObject.host
