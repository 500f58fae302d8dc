/**
 * What the Executive and a driver say to each other: IO packets, and the services only drivers may call.
 *
 *   Executive                                     driver
 *      │ ◄──── WdmRequestIoPackets([], Wait) ───────── │   parked until there is something to do
 *      │ ───── [Request, Request, Cancel …] ─────────► │
 *      │ ◄──── WdmRequestIoPackets([Complete …], Wait) │   results, and the next pull: one is still parked
 *      │ ◄──── WdmSubmitIoPackets([Complete, Forward]) │   results while PULLS_MAX are parked: a send, no answer
 *
 * An IRP has one Id for all its life in the Executive; a driver knows it from Request until it completes or forwards it
 * without asking for notice. A device handle is the Executive's number for a device object, granted to the driver by
 * naming it in an answer or a Request; a file is known to its driver by its File number from IRP_MJ_CREATE to CloseFile.
 * Buffers never travel: an MDL names physical pages; only up to a page of input or output is inline.
 */
import {
  ARRAY,
  BOOLEAN,
  BYTES,
  HANDLE,
  LARGE_INTEGER,
  NTSTATUS,
  OPTIONAL,
  type Of,
  PHYSICAL_ADDRESS,
  STRING,
  STRUCT,
  UCHAR,
  ULONG,
  ULONG_PTR,
  ULONGLONG,
  USHORT,
  VARIANT,
} from './field.ts'
import { INTERFACE } from './interface.ts'

export const IRP_MJ = {
  IRP_MJ_CREATE: 0x00,
  IRP_MJ_CLOSE: 0x02,
  IRP_MJ_READ: 0x03,
  IRP_MJ_WRITE: 0x04,
  IRP_MJ_QUERY_INFORMATION: 0x05,
  IRP_MJ_SET_INFORMATION: 0x06,
  IRP_MJ_FLUSH_BUFFERS: 0x09,
  IRP_MJ_QUERY_VOLUME_INFORMATION: 0x0a,
  IRP_MJ_SET_VOLUME_INFORMATION: 0x0b,
  IRP_MJ_DIRECTORY_CONTROL: 0x0c,
  IRP_MJ_FILE_SYSTEM_CONTROL: 0x0d,
  IRP_MJ_DEVICE_CONTROL: 0x0e,
  /** Also IRP_MJ_SCSI. */
  IRP_MJ_INTERNAL_DEVICE_CONTROL: 0x0f,
  IRP_MJ_SHUTDOWN: 0x10,
  IRP_MJ_CLEANUP: 0x12,
  IRP_MJ_POWER: 0x16,
  IRP_MJ_SYSTEM_CONTROL: 0x17,
  IRP_MJ_PNP: 0x1b,
  IRP_MJ_MAXIMUM_FUNCTION: 0x1b,
  /** Private: calls AddDevice; never seen by driver code. */
  IRP_MJ_ADD_DEVICE: 0x1c,
  /** Private: where on the volume a file's bytes are; what the cache reads and writes by. */
  IRP_MJ_QUERY_EXTENTS: 0x1d,
} as const
const MAJOR_NAMES = new Map<number, string>(
  Object.entries(IRP_MJ)
    .filter(([name]) => name !== 'IRP_MJ_MAXIMUM_FUNCTION')
    .map(([name, number]) => [number, name]),
)
export const majorName = (major: number): string => MAJOR_NAMES.get(major) ?? `IRP_MJ 0x${major.toString(16)}`
export const IRP_MN = {
  IRP_MN_START_DEVICE: 0x00,
  IRP_MN_QUERY_REMOVE_DEVICE: 0x01,
  IRP_MN_REMOVE_DEVICE: 0x02,
  IRP_MN_STOP_DEVICE: 0x04,
  IRP_MN_QUERY_DEVICE_RELATIONS: 0x07,
  IRP_MN_QUERY_INTERFACE: 0x08,
  IRP_MN_QUERY_CAPABILITIES: 0x09,
  IRP_MN_QUERY_RESOURCES: 0x0a,
  IRP_MN_QUERY_RESOURCE_REQUIREMENTS: 0x0b,
  IRP_MN_FILTER_RESOURCE_REQUIREMENTS: 0x0d,
  IRP_MN_READ_CONFIG: 0x0f,
  IRP_MN_WRITE_CONFIG: 0x10,
  IRP_MN_QUERY_ID: 0x13,
  IRP_MN_QUERY_BUS_INFORMATION: 0x15,
  IRP_MN_SURPRISE_REMOVAL: 0x17,
  IRP_MN_USER_FS_REQUEST: 0x00,
  IRP_MN_MOUNT_VOLUME: 0x01,
  IRP_MN_VERIFY_VOLUME: 0x02,
  IRP_MN_QUERY_DIRECTORY: 0x01,
} as const

// ---------------------------------------------------------------- resources
export const RESOURCE = VARIANT('CM_PARTIAL_RESOURCE_DESCRIPTOR', {
  Port: STRUCT('CM.Port', { Start: ULONG, Length: ULONG }),
  /** Vector is the Executive's number for WdmConnectInterrupt; Level the machine's line. */
  Interrupt: STRUCT('CM.Interrupt', {
    Level: ULONG,
    Vector: ULONG,
    Latched: BOOLEAN,
    Shared: BOOLEAN,
    Message: BOOLEAN,
  }),
  Memory: STRUCT('CM.Memory', { Start: PHYSICAL_ADDRESS, Length: ULONG }),
  BusNumber: STRUCT('CM.BusNumber', { Start: ULONG, Length: ULONG }),
})
/** What a device needs; Option 0 required, 1 preferred, 8 alternative. Fixed ones have Minimum = Maximum - Length + 1. */
export const RESOURCE_REQUIREMENT = STRUCT('IO_RESOURCE_DESCRIPTOR', {
  Option: UCHAR,
  Type: STRING(16),
  Minimum: ULONGLONG,
  Maximum: ULONGLONG,
  Length: ULONG,
  Alignment: ULONG,
  Shared: BOOLEAN,
  /** For Type 'Interrupt': message-signalled or edge or level. */
  Trigger: STRING(8),
})

// ---------------------------------------------------------------- buffers
/** Physical pages of a buffer: Runs is a flat list of (page frame number, count); at most 1 MiB + one page. */
export const MDL = STRUCT('MDL', { ByteOffset: USHORT, ByteCount: ULONG, Runs: ARRAY(ULONG, 1024) })
export const BUFFER = VARIANT('BUFFER', {
  None: STRUCT('BUFFER.None', {}),
  /** The driver's own arena. */
  Arena: STRUCT('BUFFER.Arena', { Address: ULONG_PTR, Length: ULONG }),
  /** A part of the buffer of an IRP the driver holds (partial MDL, associated IRP). */
  Partial: STRUCT('BUFFER.Partial', { Id: ULONG, Offset: ULONG, Length: ULONG }),
})

// ---------------------------------------------------------------- parameters
/** SCSI request block: a command to one logical unit. [SPC-4], ntddstor.h */
export const SRB = STRUCT('SCSI_REQUEST_BLOCK', {
  Function: UCHAR,
  Cdb: BYTES(16),
  /** SRB_FLAGS_DATA_IN 0x40, SRB_FLAGS_DATA_OUT 0x80. */
  SrbFlags: ULONG,
  DataTransferLength: ULONG,
  TimeOutValue: ULONG,
})
export const SRB_RESULT = STRUCT('SRB_RESULT', {
  SrbStatus: UCHAR,
  ScsiStatus: UCHAR,
  DataTransferLength: ULONG,
  SenseInfo: BYTES(255),
})

export const PARAMETERS = VARIANT('IO_STACK_LOCATION.Parameters', {
  None: STRUCT('None', {}),
  AddDevice: STRUCT('AddDevice', { PhysicalDevice: HANDLE, InstancePath: STRING(256), Restart: BOOLEAN }),
  Create: STRUCT('Create', {
    FileName: STRING(1024),
    DesiredAccess: ULONG,
    CreateDisposition: ULONG,
    CreateOptions: ULONG,
    FileAttributes: ULONG,
    ShareAccess: ULONG,
    AllocationSize: LARGE_INTEGER,
    /** SL_OPEN_TARGET_DIRECTORY: open the parent of FileName, for a rename. */
    OpenTargetDirectory: BOOLEAN,
    /** The driver was restarted: bind this already open file again; nothing is created, truncated or checked for sharing. */
    Rebind: BOOLEAN,
  }),
  Read: STRUCT('Read', { Length: ULONG, Key: ULONG, ByteOffset: LARGE_INTEGER }),
  Write: STRUCT('Write', { Length: ULONG, Key: ULONG, ByteOffset: LARGE_INTEGER }),
  QueryFile: STRUCT('QueryFile', { Length: ULONG, FileInformationClass: ULONG }),
  SetFile: STRUCT('SetFile', {
    Length: ULONG,
    FileInformationClass: ULONG,
    /** Rename: the target directory's File (opened with OpenTargetDirectory) and the new last component. */
    TargetDirectory: OPTIONAL(ULONG),
    TargetName: OPTIONAL(STRING(255)),
    ReplaceIfExists: BOOLEAN,
  }),
  QueryDirectory: STRUCT('QueryDirectory', {
    Length: ULONG,
    FileName: OPTIONAL(STRING(255)),
    FileInformationClass: ULONG,
    SingleEntry: BOOLEAN,
    RestartScan: BOOLEAN,
    /** SL_INDEX_SPECIFIED: go on behind the entry of this FileIndex; the place of a scan is the Executive's, not the driver's. */
    FileIndex: OPTIONAL(ULONG),
  }),
  QueryVolume: STRUCT('QueryVolume', { Length: ULONG, FsInformationClass: ULONG }),
  DeviceIoControl: STRUCT('DeviceIoControl', {
    OutputBufferLength: ULONG,
    InputBufferLength: ULONG,
    IoControlCode: ULONG,
  }),
  FileSystemControl: STRUCT('FileSystemControl', {
    OutputBufferLength: ULONG,
    InputBufferLength: ULONG,
    FsControlCode: ULONG,
  }),
  /** Rebind: the file system was restarted; mount what was mounted, the cache holds newer metadata than the disk. */
  MountVolume: STRUCT('MountVolume', { StorageDevice: HANDLE, Rebind: BOOLEAN }),
  QueryExtents: STRUCT('QueryExtents', { ByteOffset: LARGE_INTEGER, Length: LARGE_INTEGER }),
  StartDevice: STRUCT('StartDevice', {
    AllocatedResources: ARRAY(RESOURCE, 32),
    AllocatedResourcesTranslated: ARRAY(RESOURCE, 32),
  }),
  /** BusRelations 0. */
  QueryDeviceRelations: STRUCT('QueryDeviceRelations', { Type: ULONG }),
  /** BusQueryDeviceID 0, HardwareIDs 1, CompatibleIDs 2, InstanceID 3. */
  QueryId: STRUCT('QueryId', { IdType: ULONG }),
  ReadWriteConfig: STRUCT('ReadWriteConfig', { WhichSpace: ULONG, Offset: ULONG, Length: ULONG }),
  Power: STRUCT('Power', { Type: ULONG, State: ULONG, ShutdownType: ULONG }),
  Scsi: STRUCT('Scsi', { Srb: SRB }),
})
export type Parameters = Of<typeof PARAMETERS>

// ---------------------------------------------------------------- results
export const EXTENT = STRUCT('EXTENT', {
  FileOffset: LARGE_INTEGER,
  VolumeOffset: LARGE_INTEGER,
  Length: LARGE_INTEGER,
})
export const FILE_SIZES = STRUCT('FILE_SIZES', {
  AllocationSize: LARGE_INTEGER,
  FileSize: LARGE_INTEGER,
  ValidDataLength: LARGE_INTEGER,
  IsDirectory: BOOLEAN,
})
export const RESPONSE = VARIANT('RESPONSE', {
  Data: STRUCT('RESPONSE.Data', { Bytes: BYTES() }),
  /** Of CREATE on a file system. FileId is equal for all opens of one file, whatever the case or alias of the name. */
  Opened: STRUCT('RESPONSE.Opened', { Sizes: FILE_SIZES, FileId: ULONGLONG }),
  /** Of SET_INFORMATION that changed sizes. */
  Sizes: STRUCT('RESPONSE.Sizes', { Sizes: FILE_SIZES }),
  Extents: STRUCT('RESPONSE.Extents', { Extents: ARRAY(EXTENT, 512) }),
  VolumeMounted: STRUCT('RESPONSE.VolumeMounted', {
    VolumeDevice: HANDLE,
    VolumeSize: LARGE_INTEGER,
    AllocationUnit: ULONG,
    SectorSize: ULONG,
    SerialNumber: ULONG,
    Label: STRING(32),
    ReadOnly: BOOLEAN,
  }),
  Devices: STRUCT('RESPONSE.Devices', { Devices: ARRAY(HANDLE, 64) }),
  Ids: STRUCT('RESPONSE.Ids', { Ids: ARRAY(STRING(256), 32) }),
  Requirements: STRUCT('RESPONSE.Requirements', { Alternatives: ARRAY(ARRAY(RESOURCE_REQUIREMENT, 32), 8) }),
  Srb: STRUCT('RESPONSE.Srb', { Result: SRB_RESULT }),
})
export type Response = Of<typeof RESPONSE>

/**
 * Metadata one IRP changed, published as a whole with the IRP's completion or not at all. The Executive copies each range
 * out of the driver's arena into the volume's metadata cache; on disk, phases of one commit follow each other in order
 * (phase 0 is stable before phase 1 is written), and commits follow each other.
 */
export const COMMIT = STRUCT('COMMIT', {
  Volume: HANDLE,
  Writes: ARRAY(
    STRUCT('COMMIT.Write', { Phase: UCHAR, VolumeOffset: LARGE_INTEGER, Address: ULONG_PTR, Length: ULONG }),
    1024,
  ),
  /** Ranges of the volume that no longer belong to any file: their cached pages are dropped, never written. */
  Freed: ARRAY(STRUCT('COMMIT.Freed', { VolumeOffset: LARGE_INTEGER, Length: LARGE_INTEGER }), 1024),
})

/** When the forwarder (or originator) wants the IRP back: IoSetCompletionRoutine's three booleans. */
export const NOTIFY = { OnSuccess: 1, OnError: 2, OnCancel: 4 } as const

// ---------------------------------------------------------------- packets
/** The trace context of what made this packet, while somebody watches; judged by nobody, shown to people. */
const TRACE = OPTIONAL(BYTES(24))
export const SERVER_PACKET = VARIANT('SERVER_PACKET', {
  Request: STRUCT('Request', {
    Id: ULONG,
    Device: HANDLE,
    File: ULONG,
    MajorFunction: UCHAR,
    MinorFunction: UCHAR,
    /** SL_* of this stack location in the low byte; IRP_PAGING_IO 0x200, IRP_NOCACHE 0x100. */
    Flags: ULONG,
    Parameters: PARAMETERS,
    /** Input of a control code, set-information bytes. */
    Input: OPTIONAL(BYTES()),
    Mdl: OPTIONAL(MDL),
    /** Room for inline output. */
    OutputLength: ULONG,
    /** Process id of the thread that asked; 0 the system. */
    RequestorMode: ULONG,
    Trace: TRACE,
  }),
  Cancel: STRUCT('Cancel', { Id: ULONG }),
  /** Answer to NewRequest (Id = its LocalId, Local true) or to a Forward with notice (Local false). */
  IoCompleted: STRUCT('IoCompleted', {
    Id: ULONG,
    Local: BOOLEAN,
    Status: NTSTATUS,
    Information: ULONG_PTR,
    Response: OPTIONAL(RESPONSE),
    Trace: TRACE,
  }),
  /**
   * A forwarded IRP ended as its forwarder did not want to be told (NOTIFY): forget it. Travels only beside other packets, or in
   * numbers; nothing waits for it.
   */
  IrpOver: STRUCT('IrpOver', { Id: ULONG }),
  /** Last reference to a file is gone: run IRP_MJ_CLOSE, forget the number. No answer. */
  CloseFile: STRUCT('CloseFile', { File: ULONG }),
  /** A foreign device the driver knew is gone: forget the handle. */
  CloseDevice: STRUCT('CloseDevice', { Device: HANDLE }),
  /** A foreign device was bound again after its driver's restart, or a volume is dismounted by force. */
  ForceDismount: STRUCT('ForceDismount', { Volume: HANDLE }),
})
export type ServerPacket = Of<typeof SERVER_PACKET>

/** State for the driver's next life, as WdmParkState takes it. */
const PARK = STRUCT('PARK', { Key: STRING(64), State: BYTES() })
export const DRIVER_PACKET = VARIANT('DRIVER_PACKET', {
  Complete: STRUCT('Complete', {
    Id: ULONG,
    Status: NTSTATUS,
    Information: ULONG_PTR,
    Response: OPTIONAL(RESPONSE),
    Commit: OPTIONAL(COMMIT),
    /** Parked in the same moment as the IRP completes: what it hands out is no longer there. */
    Park: OPTIONAL(PARK),
    Trace: TRACE,
  }),
  Forward: STRUCT('Forward', {
    Id: ULONG,
    Device: HANDLE,
    MajorFunction: UCHAR,
    MinorFunction: UCHAR,
    Flags: ULONG,
    Parameters: PARAMETERS,
    /** The part of the IRP's own buffer the lower driver sees. */
    BufferOffset: ULONG,
    BufferLength: ULONG,
    /** NOTIFY bits; 0: this driver hears no more of the IRP. */
    Notify: UCHAR,
    Trace: TRACE,
  }),
  NewRequest: STRUCT('NewRequest', {
    /** The driver's own number, unique among its outstanding ones. */
    LocalId: ULONG,
    Device: HANDLE,
    MajorFunction: UCHAR,
    MinorFunction: UCHAR,
    Flags: ULONG,
    Parameters: PARAMETERS,
    Input: OPTIONAL(BYTES()),
    Buffer: BUFFER,
    OutputLength: ULONG,
    Trace: TRACE,
  }),
  /** IoCancelIrp on a NewRequest. */
  CancelRequest: STRUCT('CancelRequest', { LocalId: ULONG }),
})
export type DriverPacket = Of<typeof DRIVER_PACKET>

export const DEVICE_INFO = STRUCT('DEVICE_INFO', {
  Device: HANDLE,
  DeviceType: ULONG,
  Characteristics: ULONG,
  /** DO_* flags. */
  Flags: ULONG,
  StackSize: UCHAR,
  /** Sector size of a storage device, 0 if not one. */
  AlignmentRequirement: ULONG,
})
/** Packets of one exchange. */
export const PACKETS_MAX = 128
/**
 * Pulls a driver may park. With a second one parked it need not pull again before it has something to say: a request then
 * costs it one message, not two.
 */
export const PULLS_MAX = 2

const gone = 'STATUS_PORT_DISCONNECTED' as const
const badDevice = ['STATUS_INVALID_HANDLE', 'STATUS_ACCESS_DENIED'] as const

export const WdmServices = INTERFACE('WdmServices', {
  WdmRequestIoPackets: {
    doc: "Hands in the driver's packets, in order, and takes the next ones. With Wait the answer comes when there is at least one; the first such call tells the Executive that DriverEntry has succeeded. Two calls with Wait may be outstanding.",
    in: { Packets: ARRAY(DRIVER_PACKET, PACKETS_MAX), Wait: BOOLEAN },
    out: { Packets: ARRAY(SERVER_PACKET, PACKETS_MAX) },
    errors: [],
    onServerDeath: gone,
    parks: true,
  },
  WdmSubmitIoPackets: {
    doc: 'Hands in packets without taking any: what a DPC or work item completed while all pulls are parked. Sent without waiting for an answer.',
    in: { Packets: ARRAY(DRIVER_PACKET, PACKETS_MAX) },
    out: {},
    errors: [],
    onServerDeath: gone,
  },
  WdmDriverEntryFailed: {
    doc: 'Tells why DriverEntry failed; the process ends after it.',
    in: { Status: NTSTATUS },
    out: {},
    errors: [],
    onServerDeath: gone,
  },
  WdmCreateDevice: {
    doc: "Makes a device object owned by the caller, named or not. After the driver's restart a device of the same name (or, unnamed, of the same physical device, in order of creation) is bound again: Rebound is true and its handle is the old one.",
    in: {
      DeviceName: OPTIONAL(STRING(256)),
      DeviceType: ULONG,
      Characteristics: ULONG,
      Flags: ULONG,
      Exclusive: BOOLEAN,
    },
    out: { Device: HANDLE, Rebound: BOOLEAN },
    errors: [
      'STATUS_OBJECT_NAME_COLLISION',
      'STATUS_OBJECT_NAME_INVALID',
      'STATUS_OBJECT_PATH_NOT_FOUND',
      'STATUS_INSUFFICIENT_RESOURCES',
    ],
    onServerDeath: gone,
  },
  WdmSetDeviceFlags: {
    doc: "Publishes a device's DO_* flags, stack size and sector size after the driver changed them (once, when DO_DEVICE_INITIALIZING is cleared).",
    in: { Device: HANDLE, Flags: ULONG, StackSize: UCHAR, AlignmentRequirement: ULONG },
    out: {},
    errors: badDevice,
    onServerDeath: gone,
  },
  WdmDeleteDevice: {
    doc: "Removes a device of the caller's.",
    in: { Device: HANDLE },
    out: {},
    errors: badDevice,
    onServerDeath: gone,
  },
  WdmAttachDeviceToDeviceStack: {
    doc: "Attaches Source above the top of Target's stack; answers with the device that was the top. After a restart the old place in the stack is taken again.",
    in: { SourceDevice: HANDLE, TargetDevice: HANDLE },
    out: { LowerDevice: DEVICE_INFO },
    errors: [...badDevice, 'STATUS_NO_SUCH_DEVICE'],
    onServerDeath: gone,
  },
  WdmDetachDevice: {
    doc: "Takes the device attached above TargetDevice (the caller's own) off the stack.",
    in: { TargetDevice: HANDLE },
    out: {},
    errors: badDevice,
    onServerDeath: gone,
  },
  WdmGetDevice: {
    doc: 'What is to be known of a device handle that came in a packet.',
    in: { Device: HANDLE },
    out: { Info: DEVICE_INFO },
    errors: badDevice,
    onServerDeath: gone,
  },
  WdmGetDeviceObjectPointer: {
    doc: 'The top device of the stack a name leads to (IoGetDeviceObjectPointer).',
    in: { ObjectName: STRING(256) },
    out: { Info: DEVICE_INFO },
    errors: [
      'STATUS_OBJECT_NAME_NOT_FOUND',
      'STATUS_OBJECT_PATH_NOT_FOUND',
      'STATUS_OBJECT_TYPE_MISMATCH',
      'STATUS_OBJECT_NAME_INVALID',
    ],
    onServerDeath: gone,
  },
  WdmQueryDevices: {
    doc: 'The names of all named devices of one DeviceType (0: of all), as object paths.',
    in: { DeviceType: ULONG },
    out: { Names: ARRAY(STRING(256), 64) },
    errors: [],
    onServerDeath: gone,
  },
  WdmGetDeviceProperty: {
    doc: 'InstancePath, PhysicalDeviceObjectName or DeviceID of the stack a device is in.',
    in: { Device: HANDLE, Property: STRING(32) },
    out: { Value: STRING(256) },
    errors: [...badDevice, 'STATUS_NOT_FOUND'],
    onServerDeath: gone,
  },
  WdmConnectInterrupt: {
    doc: "The handler capability of an interrupt assigned to the caller's device; it binds its own notification to it.",
    in: { Device: HANDLE, Vector: ULONG },
    out: { IrqHandler: ULONG },
    errors: badDevice,
    onServerDeath: gone,
  },
  WdmEnablePort: {
    doc: "The capability of a port range assigned to the caller's device.",
    in: { Device: HANDLE, Start: ULONG, Length: ULONG },
    out: { IoPort: ULONG },
    errors: badDevice,
    onServerDeath: gone,
  },
  WdmMapIoMemory: {
    doc: "The capability of a register window assigned to the caller's device.",
    in: { Device: HANDLE, PhysicalAddress: PHYSICAL_ADDRESS, Length: ULONG },
    out: { DeviceFrame: ULONG },
    errors: badDevice,
    onServerDeath: gone,
  },
  WdmRegisterFileSystem: {
    doc: 'Offers a control device for mounting disks (FILE_DEVICE_DISK_FILE_SYSTEM).',
    in: { Device: HANDLE },
    out: {},
    errors: [...badDevice, 'STATUS_INVALID_DEVICE_REQUEST', 'STATUS_ALREADY_REGISTERED'],
    onServerDeath: gone,
  },
  WdmRegisterShutdownNotification: {
    doc: 'Sends IRP_MJ_SHUTDOWN to the device at shutdown.',
    in: { Device: HANDLE },
    out: {},
    errors: [...badDevice, 'STATUS_ALREADY_REGISTERED'],
    onServerDeath: gone,
  },
  WdmInvalidateDeviceRelations: {
    doc: 'A bus changed: its relations are asked again, the answer applied as a difference.',
    in: { Device: HANDLE },
    out: {},
    errors: badDevice,
    onServerDeath: gone,
  },
  WdmReadVolume: {
    doc: "Copies metadata of a volume through the cache (so with every commit in it) into the caller's arena. Only the file system that mounted, or is mounting, the storage device. Offset and length in whole sectors, 64 KiB at most.",
    in: { StorageDevice: HANDLE, Offset: LARGE_INTEGER, Address: ULONG_PTR, Length: ULONG },
    out: {},
    errors: [
      ...badDevice,
      'STATUS_INVALID_PARAMETER',
      'STATUS_IO_DEVICE_ERROR',
      'STATUS_DEVICE_DATA_ERROR',
      'STATUS_NONEXISTENT_SECTOR',
      'STATUS_DEVICE_REMOVED',
      'STATUS_DRIVER_PROCESS_TERMINATED',
      'STATUS_DEVICE_NOT_READY',
    ],
    onServerDeath: gone,
  },
  WdmFlushVolume: {
    doc: "Puts a file's data (File 0: every file's) and all committed metadata of a mounted volume on disk, in the order that keeps it consistent, then flushes the disk. What CcFlushCache is in NT.",
    in: { StorageDevice: HANDLE, File: ULONG },
    out: { Status: NTSTATUS },
    errors: badDevice,
    onServerDeath: gone,
  },
  WdmParkState: {
    doc: "Keeps up to a page under a key, for this driver's next life. Empty bytes forget it.",
    in: { Key: STRING(64), State: BYTES() },
    out: {},
    errors: ['STATUS_INSUFFICIENT_RESOURCES'],
    onServerDeath: gone,
  },
  WdmQueryParkedState: {
    doc: 'What an earlier life parked; empty when nothing.',
    in: { Key: STRING(64) },
    out: { State: BYTES() },
    errors: [],
    onServerDeath: gone,
  },
})
