/**
 * The WDM library: what a driver may call. Types are in api.ts; each routine's home is the file it is exported from.
 *
 * Semantics that differ from NT or are easily missed:
 *   IoCallDriver to another process answers STATUS_PENDING; the IRP is gone unless a completion routine was set.
 *   A dispatch routine may throw StatusError: the IRP it still holds completes with that status.
 *   A cancel that arrived before IoSetCancelRoutine shows in Irp.Cancel only.
 *   IRP_MJ_CLOSE and a forced dismount (FSCTL_DISMOUNT_VOLUME) arrive as IRPs that end in this process.
 */
import type { Main } from '#sel4/api'
import type { DRIVER_INITIALIZE, DRIVER_OBJECT } from './api.ts'
import { DriverHost } from './host.ts'
import { hostOf } from './objects.ts'
import type { IoServicesForDrivers } from './services.ts'

export * from './api.ts'
export * from './constants.ts'
export {
  IoAttachDeviceToDeviceStack,
  IoCreateDevice,
  IoCreateSymbolicLink,
  IoDeleteDevice,
  IoDeleteSymbolicLink,
  IoDetachDevice,
  IoDeviceInitialized,
  IoGetDevice,
  IoGetDeviceObjectPointer,
  IoGetDeviceProperty,
  IoInvalidateDeviceRelations,
  IoQueryDevices,
  IoRegisterFileSystem,
  IoRegisterShutdownNotification,
  parkedState,
  parkState,
  parkWithCompletion,
} from './device.ts'
export {
  IoCopyCurrentIrpStackLocationToNext,
  IoGetCurrentIrpStackLocation,
  IoGetNextIrpStackLocation,
  IoMarkIrpPending,
  IoSetBufferWindow,
  IoSetCancelRoutine,
  IoSetCompletionRoutine,
  IoSetOutput,
  IoSkipCurrentIrpStackLocation,
} from './irp.ts'
export {
  completeIrp,
  IoCallDriver,
  IoCancelIrp,
  IoCompleteRequest,
} from './call.ts'
export { IoAllocateIrp, IoCallDriverSynchronous } from './request.ts'
export { KeClearEvent, KeDelayExecutionThread, KeInitializeEvent, KeSetEvent, KeWaitForSingleObject } from './event.ts'
export { KeCancelTimer, KeInitializeTimer, KeSetTimer } from './timer.ts'
export { KeInitializeDpc, KeInsertQueueDpc } from './dpc.ts'
export { IoAllocateWorkItem, IoQueueWorkItem } from './workitem.ts'
export {
  ExAcquireResourceExclusive,
  ExAcquireResourceShared,
  ExInitializeResource,
  ExReleaseResource,
} from './resource.ts'
export { IoConnectInterrupt, IoDisconnectInterrupt } from './interrupt.ts'
export {
  IoEnablePorts,
  READ_PORT_UCHAR,
  READ_PORT_ULONG,
  READ_PORT_USHORT,
  WRITE_PORT_UCHAR,
  WRITE_PORT_ULONG,
  WRITE_PORT_USHORT,
} from './port.ts'
export { MmMapIoSpace, READ_REGISTER_ULONG, WRITE_REGISTER_ULONG } from './registers.ts'
export { AllocateCommonBuffer, FreeCommonBuffer } from './memory.ts'
export { GetScatterGatherList } from './mdl.ts'
export { CcFlushCache, FsOpenVolume } from './fs.ts'

/** The main() of a driver process: the WDM host around one DriverEntry. */
export function driverMain(DriverEntry: DRIVER_INITIALIZE): Main {
  return (env) => new DriverHost(env).run(DriverEntry)
}
/** System services a driver may use: registry, events. */
export function systemServices(DriverObject: DRIVER_OBJECT): IoServicesForDrivers {
  return hostOf(DriverObject).system
}
