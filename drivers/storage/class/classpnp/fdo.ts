/** A class driver's device: what classpnp knows of it, and what the class driver must tell it. */
import type { DEVICE_OBJECT, DRIVER_OBJECT, IRP } from '#wdm'
import type { NTSTATUS } from '#rtl'
import type { Medium } from './split.ts'

/** [NT] TimeOutValue of disks. */
export const TIMEOUT_S = 10
/** A cache of megabytes takes its time. */
export const FLUSH_TIMEOUT_S = 4 * TIMEOUT_S
/** The Executive's own limit of one request; ours for devices that state none. */
export const TRANSFER_MAX = 1024 * 1024

export interface ClassFdo {
  readonly DeviceObject: DEVICE_OBJECT
  readonly LowerDevice: DEVICE_OBJECT
  readonly number: number
  /** Undefined until START has succeeded. */
  medium: Medium | undefined
  /** Bytes of one command. */
  transferMax: number
  /** The device takes FUA. */
  forceUnitAccess: boolean
  /** The class driver's own. */
  classData: any
}
export interface CLASS_INIT_DATA {
  readonly DeviceType: number
  /** Names parked under this key; one number per instance path. */
  readonly book: string
  /** Makes the name's directory, if it needs one. */
  readonly ClassDeviceName: (DriverObject: DRIVER_OBJECT, number: number) => Promise<string>
  /** The lower devices are started: learn the medium. */
  readonly ClassStartDevice: (fdo: ClassFdo) => Promise<NTSTATUS>
  readonly ClassDeviceControl: (fdo: ClassFdo, Irp: IRP) => NTSTATUS | Promise<NTSTATUS>
}
