/**
 * The driver's view of NT: the objects and routine types of wdm.h, in TypeScript.
 *
 * Differs from NT: a routine that reaches another process returns a promise; a port, a register window, a timer belongs to
 * the driver or device it was made for and is named by an object, because authority is a capability and nothing is global.
 */
import type { Of } from '#contracts/field'
import type {
  EXTENT,
  FILE_SIZES,
  MDL as MDL_WIRE,
  Parameters,
  RESOURCE,
  RESOURCE_REQUIREMENT,
  Response,
} from '#contracts/wdm'
import type { NTSTATUS } from '#rtl'

export type CM_PARTIAL_RESOURCE_DESCRIPTOR = Of<typeof RESOURCE>
export type IO_RESOURCE_DESCRIPTOR = Of<typeof RESOURCE_REQUIREMENT>
export type Extent = Of<typeof EXTENT>
export type FileSizes = Of<typeof FILE_SIZES>

export type DRIVER_DISPATCH = (DeviceObject: DEVICE_OBJECT, Irp: IRP) => NTSTATUS | Promise<NTSTATUS>
export type DRIVER_ADD_DEVICE = (DriverObject: DRIVER_OBJECT, PhysicalDeviceObject: DEVICE_OBJECT) => Promise<NTSTATUS>
export type DRIVER_UNLOAD = (DriverObject: DRIVER_OBJECT) => void | Promise<void>
export type DRIVER_INITIALIZE = (DriverObject: DRIVER_OBJECT, RegistryPath: string) => NTSTATUS | Promise<NTSTATUS>
/** Return STATUS_MORE_PROCESSING_REQUIRED to keep the IRP, anything else to let completion go on. */
export type IO_COMPLETION_ROUTINE = (
  DeviceObject: DEVICE_OBJECT,
  Irp: IRP,
  Context: unknown,
) => NTSTATUS | Promise<NTSTATUS>
export type DRIVER_CANCEL = (DeviceObject: DEVICE_OBJECT, Irp: IRP) => void

export interface DRIVER_OBJECT {
  readonly DriverName: string
  /** IRP_MJ_* → routine; an empty slot answers STATUS_INVALID_DEVICE_REQUEST (CREATE, CLEANUP, CLOSE: success). */
  readonly MajorFunction: Record<number, DRIVER_DISPATCH>
  DriverExtension: { AddDevice?: DRIVER_ADD_DEVICE }
  DriverUnload?: DRIVER_UNLOAD
  /** 'restart': an earlier life of this driver died; AddDevice, Start and mounts are replayed. */
  readonly birth: 'fresh' | 'restart'
  /** The `config` object of the manifest. */
  readonly config: Readonly<Record<string, unknown>>
  /** Seams: the only clock, chance and log a driver has. */
  readonly log: {
    debug(m: string, f?: object): void
    info(m: string, f?: object): void
    warn(m: string, f?: object): void
    error(m: string, f?: object): void
  }
  /** KeQueryPerformanceCounter: milliseconds, monotonic. */
  now(): number
  /** KeQuerySystemTime: 100 ns units since 1601 UTC. */
  systemTime(): number
}

export interface DEVICE_OBJECT {
  readonly DriverObject: DRIVER_OBJECT
  /** The Executive's number; equal in all processes. */
  readonly handle: number
  /** This driver made it (else it is a foreign device, known by a granted handle). */
  readonly own: boolean
  readonly DeviceType: number
  readonly Characteristics: number
  /** DO_*; clear DO_DEVICE_INITIALIZING when AddDevice or DriverEntry is done: that publishes Flags and StackSize. */
  Flags: number
  StackSize: number
  AlignmentRequirement: number
  /** The driver's own state of this device. */
  DeviceExtension: any
  /** WdmCreateDevice found the device of an earlier life. */
  readonly rebound: boolean
}

export interface FILE_OBJECT {
  readonly number: number
  readonly DeviceObject: DEVICE_OBJECT
  readonly FileName: string
  /** The file system's own state of the open. */
  FsContext: any
  FsContext2: any
}

/** Pages of a buffer. Never mapped here: a driver passes it on or turns it into physical addresses for DMA. */
export type MDL = Of<typeof MDL_WIRE>

export interface IO_STACK_LOCATION {
  MajorFunction: number
  MinorFunction: number
  Flags: number
  Parameters: Parameters
  DeviceObject?: DEVICE_OBJECT
  FileObject?: FILE_OBJECT
}

export interface IRP {
  readonly IoStatus: { Status: NTSTATUS; Information: number }
  /** Inline input (at most a page) of a control code or set-information; undefined if none. */
  readonly SystemBuffer?: Uint8Array
  /** DO_DIRECT_IO reads and writes: the pages. */
  readonly MdlAddress?: MDL
  /** Room for inline output (AssociatedIrp.SystemBuffer's way back): give it with IoSetOutput. */
  readonly OutputLength: number
  /** Typed answer instead of bytes: extents, relations, ids, mounted volume, sizes. */
  response?: Response
  readonly Cancel: boolean
  /** Set by IoSetCancelRoutine. */
  CancelRoutine?: DRIVER_CANCEL
  /** Free for the driver that holds the IRP, as Tail.Overlay.DriverContext. */
  DriverContext: any
  readonly Flags: number
}

export interface KEVENT {
  readonly kind: 'event'
}
export interface KTIMER {
  readonly kind: 'timer'
}
export interface KDPC {
  readonly kind: 'dpc'
}
export interface IO_WORKITEM {
  readonly kind: 'workitem'
}
export interface KINTERRUPT {
  readonly Vector: number
}
/** A granted port range. */
export interface PORT_RANGE {
  readonly Start: number
  readonly Length: number
}
/** A mapped register window. */
export interface REGISTER_WINDOW {
  readonly PhysicalAddress: number
  readonly Length: number
}
/** Memory of the driver's arena that a device may reach. */
export interface COMMON_BUFFER {
  readonly bytes: Uint8Array
  /** As the device sees it. */
  readonly LogicalAddress: number
  /** As messages name it (BUFFER.Arena). */
  readonly VirtualAddress: number
}
export interface SCATTER_GATHER_ELEMENT {
  readonly Address: number
  readonly Length: number
}
/** An exclusive/shared lock for coroutines of one driver. */
export interface ERESOURCE {
  readonly kind: 'resource'
}

/** What one IRP changes of a volume's metadata; goes out with the IRP's successful completion, or is dropped. */
export interface FS_COMMIT {
  /** The bytes as this commit sees them: its own writes over the cached volume. Whole sectors; read-only. */
  read(offset: number, length: number): Promise<Uint8Array>
  /** Replaces bytes (any offset, any length); stable on disk only after every lower phase of this commit is. */
  write(offset: number, bytes: Uint8Array, phase?: number): Promise<void>
  /** Declares a range of clusters free: its cached data is dropped. */
  free(offset: number, length: number): void
}
/** A mounted (or being mounted) storage device as a file system reads it. */
export interface FS_VOLUME {
  readonly StorageDevice: DEVICE_OBJECT
  readonly SectorSize: number
  /** Metadata through the Executive's cache, kept in a bounded private copy; whole sectors, read-only view. */
  read(offset: number, length: number): Promise<Uint8Array>
  /** Begins the commit of an IRP. One commit per volume may be open at a time; the caller serialises. */
  begin(Irp: IRP, VolumeDevice: DEVICE_OBJECT): FS_COMMIT
}
