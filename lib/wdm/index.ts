/** The WDM library: what a driver may call. Declarations first; see api.ts for the types. */
import type { IoServicesForDrivers } from './services.ts'
import type {
  COMMON_BUFFER, CM_PARTIAL_RESOURCE_DESCRIPTOR, DEVICE_OBJECT, DRIVER_CANCEL, DRIVER_INITIALIZE, DRIVER_OBJECT, ERESOURCE, FS_VOLUME,
  FILE_OBJECT, IO_COMPLETION_ROUTINE, IO_STACK_LOCATION, IO_WORKITEM, IRP, KDPC, KEVENT, KINTERRUPT, KTIMER, MDL, PORT_RANGE, REGISTER_WINDOW,
  SCATTER_GATHER_ELEMENT,
} from './api.ts'
import type { Main } from '#sel4/api'
import type { NTSTATUS } from '#rtl'

export * from './api.ts'

/** The main() of a driver process: the WDM host around one DriverEntry. */
export declare function driverMain(DriverEntry: DRIVER_INITIALIZE): Main

// ---- devices
export declare function IoCreateDevice(DriverObject: DRIVER_OBJECT, DeviceName: string | undefined, DeviceType: number, Characteristics: number, Exclusive: boolean, Flags?: number): Promise<DEVICE_OBJECT>
export declare function IoDeleteDevice(DeviceObject: DEVICE_OBJECT): Promise<void>
/** Publishes Flags, StackSize and AlignmentRequirement and clears DO_DEVICE_INITIALIZING. */
export declare function IoDeviceInitialized(DeviceObject: DEVICE_OBJECT): Promise<void>
export declare function IoAttachDeviceToDeviceStack(SourceDevice: DEVICE_OBJECT, TargetDevice: DEVICE_OBJECT): Promise<DEVICE_OBJECT>
export declare function IoDetachDevice(TargetDevice: DEVICE_OBJECT): Promise<void>
export declare function IoGetDeviceObjectPointer(DriverObject: DRIVER_OBJECT, ObjectName: string): Promise<DEVICE_OBJECT>
/** A foreign device by the handle a packet named. */
export declare function IoGetDevice(DriverObject: DRIVER_OBJECT, handle: number): Promise<DEVICE_OBJECT>
export declare function IoQueryDevices(DriverObject: DRIVER_OBJECT, DeviceType: number): Promise<readonly string[]>
export declare function IoGetDeviceProperty(DeviceObject: DEVICE_OBJECT, Property: 'InstancePath' | 'PhysicalDeviceObjectName' | 'DeviceID'): Promise<string>
export declare function IoCreateSymbolicLink(DriverObject: DRIVER_OBJECT, SymbolicLinkName: string, DeviceName: string): Promise<void>
export declare function IoDeleteSymbolicLink(DriverObject: DRIVER_OBJECT, SymbolicLinkName: string): Promise<void>
export declare function IoInvalidateDeviceRelations(DeviceObject: DEVICE_OBJECT): Promise<void>
export declare function IoRegisterShutdownNotification(DeviceObject: DEVICE_OBJECT): Promise<void>
export declare function IoRegisterFileSystem(DeviceObject: DEVICE_OBJECT): Promise<void>
/** State for this driver's next life (at most a page); empty when none was parked. */
export declare function parkState(DriverObject: DRIVER_OBJECT, key: string, state: Uint8Array): Promise<void>
export declare function parkedState(DriverObject: DRIVER_OBJECT, key: string): Promise<Uint8Array>

// ---- IRPs
export declare function IoGetCurrentIrpStackLocation(Irp: IRP): IO_STACK_LOCATION
export declare function IoGetNextIrpStackLocation(Irp: IRP): IO_STACK_LOCATION
export declare function IoSkipCurrentIrpStackLocation(Irp: IRP): void
export declare function IoCopyCurrentIrpStackLocationToNext(Irp: IRP): void
export declare function IoSetCompletionRoutine(Irp: IRP, CompletionRoutine: IO_COMPLETION_ROUTINE, Context: unknown, InvokeOnSuccess: boolean, InvokeOnError: boolean, InvokeOnCancel: boolean): void
/** Narrows what the lower driver sees of the IRP's buffer to [offset, +length). */
export declare function IoSetBufferWindow(Irp: IRP, offset: number, length: number): void
/** Passes the IRP down. To a foreign device it travels through the Executive; the answer is STATUS_PENDING then. */
export declare function IoCallDriver(DeviceObject: DEVICE_OBJECT, Irp: IRP): NTSTATUS | Promise<NTSTATUS>
export declare function IoMarkIrpPending(Irp: IRP): void
export declare function IoSetCancelRoutine(Irp: IRP, CancelRoutine: DRIVER_CANCEL | undefined): void
export declare function IoCompleteRequest(Irp: IRP, PriorityBoost?: number): void
/** Sets status and information and completes; returns the status, for `return completeIrp(Irp, …)`. */
export declare function completeIrp(Irp: IRP, Status: NTSTATUS, Information?: number): NTSTATUS
/** Inline output, at most OutputLength bytes; also sets IoStatus.Information. */
export declare function IoSetOutput(Irp: IRP, bytes: Uint8Array): void
/** A new IRP of this driver's own; complete ones are awaited with IoCallDriverSynchronous. */
export declare function IoAllocateIrp(DriverObject: DRIVER_OBJECT, stack: Partial<IO_STACK_LOCATION> & Pick<IO_STACK_LOCATION, 'MajorFunction' | 'Parameters'>, options?: { input?: Uint8Array; outputLength?: number; buffer?: COMMON_BUFFER | { bytes: Uint8Array; VirtualAddress: number }; partial?: { Irp: IRP; offset: number; length: number } }): IRP
/** Sends an IRP of this driver's own to a device and waits for its end. Never throws for the IRP's status. */
export declare function IoCallDriverSynchronous(DeviceObject: DEVICE_OBJECT, Irp: IRP): Promise<{ Status: NTSTATUS; Information: number; output?: Uint8Array; response?: IRP['response'] }>
export declare function IoCancelIrp(Irp: IRP): void

// ---- waiting, time, deferred work
export declare function KeInitializeEvent(DriverObject: DRIVER_OBJECT, type: 'NotificationEvent' | 'SynchronizationEvent', state: boolean): KEVENT
export declare function KeSetEvent(Event: KEVENT): boolean
export declare function KeClearEvent(Event: KEVENT): void
/** timeoutMs undefined: for ever. STATUS_SUCCESS or STATUS_TIMEOUT. */
export declare function KeWaitForSingleObject(Event: KEVENT, timeoutMs?: number): Promise<NTSTATUS>
export declare function KeInitializeTimer(DriverObject: DRIVER_OBJECT): KTIMER
export declare function KeSetTimer(Timer: KTIMER, dueMs: number, Dpc: KDPC, periodMs?: number): void
export declare function KeCancelTimer(Timer: KTIMER): boolean
export declare function KeDelayExecutionThread(DriverObject: DRIVER_OBJECT, milliseconds: number): Promise<void>
export declare function KeInitializeDpc(DriverObject: DRIVER_OBJECT, DeferredRoutine: (Dpc: KDPC, Context: unknown) => void | Promise<void>, DeferredContext: unknown): KDPC
export declare function KeInsertQueueDpc(Dpc: KDPC): boolean
export declare function IoAllocateWorkItem(DeviceObject: DEVICE_OBJECT): IO_WORKITEM
export declare function IoQueueWorkItem(WorkItem: IO_WORKITEM, Routine: (DeviceObject: DEVICE_OBJECT, Context: unknown) => void | Promise<void>, Context: unknown): void
export declare function ExInitializeResource(DriverObject: DRIVER_OBJECT): ERESOURCE
export declare function ExAcquireResourceExclusive(Resource: ERESOURCE): Promise<void>
export declare function ExAcquireResourceShared(Resource: ERESOURCE): Promise<void>
export declare function ExReleaseResource(Resource: ERESOURCE): void

// ---- hardware
/** The routine runs at device IRQL, before any DPC; it acknowledges the device and returns whether the interrupt was its own. */
export declare function IoConnectInterrupt(DeviceObject: DEVICE_OBJECT, resource: CM_PARTIAL_RESOURCE_DESCRIPTOR & { kind: 'Interrupt' }, ServiceRoutine: (Interrupt: KINTERRUPT, Context: unknown) => Promise<boolean>, ServiceContext: unknown): Promise<KINTERRUPT>
export declare function IoDisconnectInterrupt(Interrupt: KINTERRUPT): Promise<void>
export declare function IoEnablePorts(DeviceObject: DEVICE_OBJECT, resource: CM_PARTIAL_RESOURCE_DESCRIPTOR & { kind: 'Port' }): Promise<PORT_RANGE>
export declare function READ_PORT_UCHAR(Ports: PORT_RANGE, Offset: number): Promise<number>
export declare function READ_PORT_USHORT(Ports: PORT_RANGE, Offset: number): Promise<number>
export declare function READ_PORT_ULONG(Ports: PORT_RANGE, Offset: number): Promise<number>
export declare function WRITE_PORT_UCHAR(Ports: PORT_RANGE, Offset: number, Value: number): Promise<void>
export declare function WRITE_PORT_USHORT(Ports: PORT_RANGE, Offset: number, Value: number): Promise<void>
export declare function WRITE_PORT_ULONG(Ports: PORT_RANGE, Offset: number, Value: number): Promise<void>
export declare function MmMapIoSpace(DeviceObject: DEVICE_OBJECT, resource: CM_PARTIAL_RESOURCE_DESCRIPTOR & { kind: 'Memory' }): Promise<REGISTER_WINDOW>
export declare function READ_REGISTER_ULONG(Window: REGISTER_WINDOW, Offset: number): Promise<number>
/** Posted, in order. */
export declare function WRITE_REGISTER_ULONG(Window: REGISTER_WINDOW, Offset: number, Value: number): void
/** Memory of the arena a device may reach, zeroed, aligned (power of two). */
export declare function AllocateCommonBuffer(DriverObject: DRIVER_OBJECT, Length: number, Alignment?: number): COMMON_BUFFER
export declare function FreeCommonBuffer(Buffer: COMMON_BUFFER): void
/** Physical runs of [offset, +length) of an MDL, merged where contiguous, none longer than maxElement. */
export declare function GetScatterGatherList(Mdl: MDL, offset: number, length: number, maxElement?: number): SCATTER_GATHER_ELEMENT[]

// ---- file systems
export declare function FsOpenVolume(DriverObject: DRIVER_OBJECT, StorageDevice: DEVICE_OBJECT, SectorSize: number): FS_VOLUME
/** What CcFlushCache is in NT: data of a file (or, without one, of the volume), then metadata, then the disk's cache. */
export declare function CcFlushCache(StorageDevice: DEVICE_OBJECT, FileObject: FILE_OBJECT | undefined): Promise<NTSTATUS>
/** System services a driver may use: registry, events. */
export declare function systemServices(DriverObject: DRIVER_OBJECT): IoServicesForDrivers
