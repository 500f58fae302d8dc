/**
 * The NT system services the Executive answers, in NT's parameter order, and the structures their arguments are made of.
 *
 * A program's buffers are addresses in its own IO arena (USER_BUFFER); information classes travel inline as bytes in NT's
 * C layout (lib/contracts/information.ts), a page at most.
 */
import {
  ACCESS_MASK,
  ARRAY,
  BOOLEAN,
  BYTES,
  HANDLE,
  LARGE_INTEGER,
  NTSTATUS,
  OPTIONAL,
  STRING,
  STRUCT,
  ULONG,
  ULONG_PTR,
  VARIANT,
} from './field.ts'
import { INTERFACE } from './interface.ts'
import { SYSTEM_TIME } from './layout.ts'

/** Longest object or file path, in UTF-16 units. */
export const PATH_MAX = 1024

export const IO_STATUS_BLOCK = STRUCT('IO_STATUS_BLOCK', { Status: NTSTATUS, Information: ULONG_PTR })
export const OBJECT_ATTRIBUTES = STRUCT('OBJECT_ATTRIBUTES', {
  RootDirectory: HANDLE,
  ObjectName: STRING(PATH_MAX),
  Attributes: ULONG,
})
/** Bytes of the caller's own arena, by address in the caller's address space. */
export const USER_BUFFER = STRUCT('USER_BUFFER', { Address: ULONG_PTR, Length: ULONG })
export const CLIENT_ID = STRUCT('CLIENT_ID', { UniqueProcess: ULONG, UniqueThread: ULONG })

/** NtPlugPlayControl's arguments; NT passes structures with UNICODE_STRINGs in them, we the strings themselves. */
export const PLUGPLAY_CONTROL = VARIANT('PLUGPLAY_CONTROL', {
  EnumerateDevice: STRUCT('PlugPlayControlEnumerateDevice', { DeviceInstance: STRING(256) }),
  GetRelatedDevice: STRUCT('PlugPlayControlGetRelatedDevice', {
    TargetDeviceInstance: STRING(256),
    /** 1 parent, 2 child, 3 sibling. */
    Relation: ULONG,
  }),
  DeviceStatus: STRUCT('PlugPlayControlDeviceStatus', { DeviceInstance: STRING(256) }),
  QueryHardwareIDs: STRUCT('PlugPlayControlQueryHardwareIDs', { DeviceInstance: STRING(256) }),
})
export const PLUGPLAY_RESULT = STRUCT('PLUGPLAY_RESULT', {
  RelatedDeviceInstance: OPTIONAL(STRING(256)),
  /** Of DeviceStatus: the node's state, its function driver's name and, when a step failed, why. */
  State: OPTIONAL(STRING(32)),
  Service: OPTIONAL(STRING(64)),
  Problem: OPTIONAL(NTSTATUS),
  Ids: OPTIONAL(ARRAY(STRING(256), 32)),
})

const handleErrors = ['STATUS_INVALID_HANDLE', 'STATUS_OBJECT_TYPE_MISMATCH', 'STATUS_ACCESS_DENIED'] as const
const nameErrors = [
  'STATUS_OBJECT_NAME_INVALID',
  'STATUS_OBJECT_PATH_INVALID',
  'STATUS_OBJECT_PATH_NOT_FOUND',
  'STATUS_OBJECT_NAME_NOT_FOUND',
  'STATUS_OBJECT_TYPE_MISMATCH',
  'STATUS_ACCESS_DENIED',
  'STATUS_INVALID_HANDLE',
] as const
const createErrors = [...nameErrors, 'STATUS_OBJECT_NAME_COLLISION', 'STATUS_INSUFFICIENT_RESOURCES'] as const
/** What a driver stack may answer to any IRP. */
export const ioErrors = [
  ...handleErrors,
  'STATUS_INVALID_PARAMETER',
  'STATUS_INVALID_DEVICE_REQUEST',
  'STATUS_IO_DEVICE_ERROR',
  'STATUS_DEVICE_REMOVED',
  'STATUS_DRIVER_PROCESS_TERMINATED',
  'STATUS_IO_TIMEOUT',
  'STATUS_CANCELLED',
  'STATUS_FILE_FORCED_CLOSED',
  'STATUS_VOLUME_DISMOUNTED',
  'STATUS_INSUFFICIENT_RESOURCES',
  'STATUS_MEDIA_WRITE_PROTECTED',
  'STATUS_DISK_FULL',
  'STATUS_NOT_SUPPORTED',
  'STATUS_NOT_IMPLEMENTED',
  'STATUS_DEVICE_DATA_ERROR',
  'STATUS_NONEXISTENT_SECTOR',
  'STATUS_DEVICE_NOT_READY',
  'STATUS_FILE_CORRUPT_ERROR',
  'STATUS_DISK_CORRUPT_ERROR',
  'STATUS_UNRECOGNIZED_VOLUME',
  'STATUS_NO_MEDIA_IN_DEVICE',
  'STATUS_UNSUCCESSFUL',
  'STATUS_INTERNAL_ERROR',
] as const
const fileErrors = [
  ...createErrors,
  ...ioErrors,
  'STATUS_SHARING_VIOLATION',
  'STATUS_FILE_IS_A_DIRECTORY',
  'STATUS_NOT_A_DIRECTORY',
  'STATUS_DELETE_PENDING',
  'STATUS_OBJECT_PATH_SYNTAX_BAD',
  'STATUS_NAME_TOO_LONG',
  'STATUS_CANNOT_DELETE',
  'STATUS_DIRECTORY_NOT_EMPTY',
  'STATUS_NOT_SAME_DEVICE',
] as const
const infoErrors = [
  ...ioErrors,
  'STATUS_INVALID_INFO_CLASS',
  'STATUS_INFO_LENGTH_MISMATCH',
  'STATUS_BUFFER_TOO_SMALL',
  'STATUS_BUFFER_OVERFLOW',
] as const
const gone = 'STATUS_PORT_DISCONNECTED' as const

export const SystemServices = INTERFACE('SystemServices', {
  // ------------------------------------------------------------ Ex
  NtDisplayString: {
    doc: 'Prints text on the boot console at the cursor; \\n starts a new row, \\b steps back, \\r returns to column 0.',
    in: { String: STRING(4096) },
    out: {},
    errors: [],
    onServerDeath: gone,
  },
  NtQuerySystemInformation: {
    doc: "System tables as bytes in NT's layout: SystemProcessInformation (5), SystemModuleInformation (11), SystemBootConsoleInformation (32: columns, rows as two ULONGs). Length is the caller's room; ReturnLength what the whole needs.",
    in: { SystemInformationClass: ULONG, SystemInformationLength: ULONG },
    out: { SystemInformation: BYTES(32768), ReturnLength: ULONG },
    errors: ['STATUS_INVALID_INFO_CLASS', 'STATUS_INFO_LENGTH_MISMATCH', 'STATUS_NOT_IMPLEMENTED'],
    onServerDeath: gone,
  },
  NtShutdownSystem: {
    doc: 'Stops the system in order: shutdown notifications, file systems flushed and dismounted, drivers, devices. Action 0 no reboot, 2 power off. Differs from NT: ExitStatus tells whoever started the system how the session went (0: well).',
    in: { Action: ULONG, ExitStatus: OPTIONAL(ULONG) },
    out: {},
    errors: ['STATUS_INVALID_PARAMETER', 'STATUS_NOT_SUPPORTED'],
    onServerDeath: gone,
  },
  NtQuerySystemTime: {
    doc: 'The time of day in 100 ns units since 1601-01-01 UTC.',
    in: {},
    out: { SystemTime: SYSTEM_TIME },
    errors: [],
    onServerDeath: gone,
  },
  NtCreateEvent: {
    doc: 'Makes an event; EventType 0 notification, 1 synchronization.',
    in: {
      DesiredAccess: ACCESS_MASK,
      ObjectAttributes: OPTIONAL(OBJECT_ATTRIBUTES),
      EventType: ULONG,
      InitialState: BOOLEAN,
    },
    out: { EventHandle: HANDLE },
    errors: [...createErrors, 'STATUS_INVALID_PARAMETER'],
    onServerDeath: gone,
  },
  NtOpenEvent: {
    doc: 'Opens an event by name.',
    in: { DesiredAccess: ACCESS_MASK, ObjectAttributes: OBJECT_ATTRIBUTES },
    out: { EventHandle: HANDLE },
    errors: nameErrors,
    onServerDeath: gone,
  },
  NtSetEvent: {
    doc: 'Signals an event; tells its state before.',
    in: { EventHandle: HANDLE },
    out: { PreviousState: ULONG },
    errors: handleErrors,
    onServerDeath: gone,
  },
  NtResetEvent: {
    doc: 'Clears an event; tells its state before.',
    in: { EventHandle: HANDLE },
    out: { PreviousState: ULONG },
    errors: handleErrors,
    onServerDeath: gone,
  },
  // ------------------------------------------------------------ Ke
  NtWaitForSingleObject: {
    doc: 'Waits until an event, process or thread is signalled. Timeout in 100 ns units, negative = relative; absent = for ever. Status says STATUS_SUCCESS or STATUS_TIMEOUT.',
    in: { Handle: HANDLE, Alertable: BOOLEAN, Timeout: OPTIONAL(SYSTEM_TIME) },
    out: { Status: NTSTATUS },
    errors: handleErrors,
    onServerDeath: gone,
  },
  NtDelayExecution: {
    doc: 'Sleeps; the interval as in NtWaitForSingleObject.',
    in: { Alertable: BOOLEAN, DelayInterval: SYSTEM_TIME },
    out: {},
    errors: [],
    onServerDeath: gone,
  },
  // ------------------------------------------------------------ Ob
  NtClose: {
    doc: 'Closes a handle. The last handle of a file sends IRP_MJ_CLEANUP and waits for it.',
    in: { Handle: HANDLE },
    out: {},
    errors: handleErrors,
    onServerDeath: gone,
  },
  NtCreateDirectoryObject: {
    doc: 'Makes an object directory.',
    in: { DesiredAccess: ACCESS_MASK, ObjectAttributes: OBJECT_ATTRIBUTES },
    out: { DirectoryHandle: HANDLE },
    errors: createErrors,
    onServerDeath: gone,
  },
  NtOpenDirectoryObject: {
    doc: 'Opens an object directory.',
    in: { DesiredAccess: ACCESS_MASK, ObjectAttributes: OBJECT_ATTRIBUTES },
    out: { DirectoryHandle: HANDLE },
    errors: nameErrors,
    onServerDeath: gone,
  },
  NtQueryDirectoryObject: {
    doc: 'Entries of an object directory from index Context on, as many as fit in 256; STATUS_NO_MORE_ENTRIES when none is left.',
    in: { DirectoryHandle: HANDLE, ReturnSingleEntry: BOOLEAN, RestartScan: BOOLEAN, Context: ULONG },
    out: {
      Entries: ARRAY(STRUCT('OBJECT_DIRECTORY_INFORMATION', { Name: STRING(256), TypeName: STRING(32) }), 256),
      Context: ULONG,
    },
    errors: [...handleErrors, 'STATUS_NO_MORE_ENTRIES'],
    onServerDeath: gone,
  },
  NtCreateSymbolicLinkObject: {
    doc: 'Makes a permanent symbolic link in the object namespace.',
    in: { DesiredAccess: ACCESS_MASK, ObjectAttributes: OBJECT_ATTRIBUTES, LinkTarget: STRING(PATH_MAX) },
    out: { LinkHandle: HANDLE },
    errors: createErrors,
    onServerDeath: gone,
  },
  NtOpenSymbolicLinkObject: {
    doc: 'Opens a symbolic link itself.',
    in: { DesiredAccess: ACCESS_MASK, ObjectAttributes: OBJECT_ATTRIBUTES },
    out: { LinkHandle: HANDLE },
    errors: nameErrors,
    onServerDeath: gone,
  },
  NtQuerySymbolicLinkObject: {
    doc: 'The target a symbolic link stands for.',
    in: { LinkHandle: HANDLE },
    out: { LinkTarget: STRING(PATH_MAX) },
    errors: handleErrors,
    onServerDeath: gone,
  },
  NtMakeTemporaryObject: {
    doc: "Lets an object's name vanish with its last handle (a symbolic link's way out of the namespace).",
    in: { Handle: HANDLE },
    out: {},
    errors: handleErrors,
    onServerDeath: gone,
  },
  // ------------------------------------------------------------ Ps
  NtCreateUserProcess: {
    doc: 'Starts a native program by its image name in the manifest (\\SystemRoot\\ntcmd.exe and ntcmd are the same). ThreadFlags 1 (CREATE_SUSPENDED): it is loaded, and begins with NtResumeProcess.',
    in: {
      ProcessDesiredAccess: ACCESS_MASK,
      ThreadFlags: OPTIONAL(ULONG),
      ImagePathName: STRING(256),
      CommandLine: STRING(1024),
      CurrentDirectory: STRING(PATH_MAX),
    },
    out: { ProcessHandle: HANDLE, ClientId: CLIENT_ID },
    errors: [
      'STATUS_OBJECT_NAME_NOT_FOUND',
      'STATUS_INSUFFICIENT_RESOURCES',
      'STATUS_IMAGE_ALREADY_LOADED',
      'STATUS_INVALID_PARAMETER',
    ],
    onServerDeath: gone,
  },
  NtResumeProcess: {
    doc: 'Lets a process begin that was made suspended; one that runs runs on.',
    in: { ProcessHandle: HANDLE },
    out: {},
    errors: handleErrors,
    onServerDeath: gone,
  },
  NtOpenProcess: {
    doc: 'Opens a process by its id.',
    in: { DesiredAccess: ACCESS_MASK, ClientId: CLIENT_ID },
    out: { ProcessHandle: HANDLE },
    errors: ['STATUS_INVALID_CID', 'STATUS_ACCESS_DENIED'],
    onServerDeath: gone,
  },
  NtTerminateProcess: {
    doc: 'Ends a process; handle 0 or 0xFFFFFFFF is the caller itself, which gets no answer.',
    in: { ProcessHandle: HANDLE, ExitStatus: NTSTATUS },
    out: {},
    errors: handleErrors,
    onServerDeath: gone,
  },
  NtQueryInformationProcess: {
    doc: "ProcessBasicInformation (0) as bytes in NT's layout; ProcessParameters (ours) as text for the caller itself.",
    in: { ProcessHandle: HANDLE, ProcessInformationClass: ULONG, ProcessInformationLength: ULONG },
    out: { ProcessInformation: BYTES(4096), ReturnLength: ULONG },
    errors: infoErrors,
    onServerDeath: gone,
  },
  // ------------------------------------------------------------ Io
  NtCreateFile: {
    doc: 'Creates or opens a file, directory, volume or device by name. Information: FILE_OPENED, FILE_CREATED … [NT] IO_STATUS_BLOCK.',
    in: {
      DesiredAccess: ACCESS_MASK,
      ObjectAttributes: OBJECT_ATTRIBUTES,
      AllocationSize: OPTIONAL(LARGE_INTEGER),
      FileAttributes: ULONG,
      ShareAccess: ULONG,
      CreateDisposition: ULONG,
      CreateOptions: ULONG,
    },
    out: { FileHandle: HANDLE, IoStatusBlock: IO_STATUS_BLOCK },
    errors: fileErrors,
    onServerDeath: gone,
  },
  NtOpenFile: {
    doc: 'NtCreateFile with FILE_OPEN.',
    in: { DesiredAccess: ACCESS_MASK, ObjectAttributes: OBJECT_ATTRIBUTES, ShareAccess: ULONG, OpenOptions: ULONG },
    out: { FileHandle: HANDLE, IoStatusBlock: IO_STATUS_BLOCK },
    errors: fileErrors,
    onServerDeath: gone,
  },
  NtReadFile: {
    doc: "Reads into the caller's memory, at the file's current offset unless ByteOffset is given. STATUS_END_OF_FILE at or beyond the end; fewer bytes than asked before it.",
    in: { FileHandle: HANDLE, Buffer: USER_BUFFER, ByteOffset: OPTIONAL(LARGE_INTEGER), Key: OPTIONAL(ULONG) },
    out: { IoStatusBlock: IO_STATUS_BLOCK },
    errors: [...ioErrors, 'STATUS_END_OF_FILE', 'STATUS_FILE_IS_A_DIRECTORY', 'STATUS_ACCESS_VIOLATION'],
    onServerDeath: gone,
  },
  NtWriteFile: {
    doc: "Writes the caller's memory, at the current offset unless ByteOffset is given (-1: at the end).",
    in: { FileHandle: HANDLE, Buffer: USER_BUFFER, ByteOffset: OPTIONAL(LARGE_INTEGER), Key: OPTIONAL(ULONG) },
    out: { IoStatusBlock: IO_STATUS_BLOCK },
    errors: [...ioErrors, 'STATUS_FILE_IS_A_DIRECTORY', 'STATUS_ACCESS_VIOLATION'],
    onServerDeath: gone,
  },
  NtDeviceIoControlFile: {
    doc: 'Sends a device control code with up to a page of input; up to a page of output comes back inline.',
    in: { FileHandle: HANDLE, IoControlCode: ULONG, InputBuffer: OPTIONAL(BYTES()), OutputBufferLength: ULONG },
    out: { IoStatusBlock: IO_STATUS_BLOCK, OutputBuffer: BYTES() },
    errors: infoErrors,
    onServerDeath: gone,
  },
  NtFsControlFile: {
    doc: 'Sends a file-system control code; as NtDeviceIoControlFile.',
    in: { FileHandle: HANDLE, FsControlCode: ULONG, InputBuffer: OPTIONAL(BYTES()), OutputBufferLength: ULONG },
    out: { IoStatusBlock: IO_STATUS_BLOCK, OutputBuffer: BYTES() },
    errors: infoErrors,
    onServerDeath: gone,
  },
  NtQueryInformationFile: {
    doc: "An information class of a file as bytes in NT's layout.",
    in: { FileHandle: HANDLE, Length: ULONG, FileInformationClass: ULONG },
    out: { IoStatusBlock: IO_STATUS_BLOCK, FileInformation: BYTES() },
    errors: infoErrors,
    onServerDeath: gone,
  },
  NtSetInformationFile: {
    doc: 'Sets an information class: FileRenameInformation (10), FileDispositionInformation (13), FileBasicInformation (4), FilePositionInformation (14), FileAllocationInformation (19), FileEndOfFileInformation (20).',
    in: { FileHandle: HANDLE, FileInformation: BYTES(), FileInformationClass: ULONG },
    out: { IoStatusBlock: IO_STATUS_BLOCK },
    errors: [...infoErrors, ...fileErrors],
    onServerDeath: gone,
  },
  NtQueryAttributesFile: {
    doc: 'FileBasicInformation of a file by name.',
    in: { ObjectAttributes: OBJECT_ATTRIBUTES },
    out: { FileInformation: BYTES(64) },
    errors: fileErrors,
    onServerDeath: gone,
  },
  NtQueryDirectoryFile: {
    doc: 'The next entries of a directory that match FileName (DOS wildcards), as FileBothDirectoryInformation (3) records. STATUS_NO_MORE_FILES at the end, STATUS_NO_SUCH_FILE when nothing ever matched.',
    in: {
      FileHandle: HANDLE,
      Length: ULONG,
      FileInformationClass: ULONG,
      ReturnSingleEntry: BOOLEAN,
      FileName: OPTIONAL(STRING(255)),
      RestartScan: BOOLEAN,
    },
    out: { IoStatusBlock: IO_STATUS_BLOCK, FileInformation: BYTES() },
    errors: [...infoErrors, 'STATUS_NO_MORE_FILES', 'STATUS_NO_SUCH_FILE', 'STATUS_OBJECT_NAME_INVALID'],
    onServerDeath: gone,
  },
  NtQueryVolumeInformationFile: {
    doc: 'An information class of the volume a file is on: FileFsVolumeInformation (1), FileFsSizeInformation (3), FileFsDeviceInformation (4), FileFsAttributeInformation (5).',
    in: { FileHandle: HANDLE, Length: ULONG, FsInformationClass: ULONG },
    out: { IoStatusBlock: IO_STATUS_BLOCK, FsInformation: BYTES() },
    errors: infoErrors,
    onServerDeath: gone,
  },
  NtFlushBuffersFile: {
    doc: "Puts all that was written to the file, or through a volume handle to the whole volume, on stable storage: data first, then the metadata that names it, then the disk's own cache.",
    in: { FileHandle: HANDLE },
    out: { IoStatusBlock: IO_STATUS_BLOCK },
    errors: ioErrors,
    onServerDeath: gone,
  },
  NtDeleteFile: {
    doc: 'Deletes a file or an empty directory by name.',
    in: { ObjectAttributes: OBJECT_ATTRIBUTES },
    out: {},
    errors: fileErrors,
    onServerDeath: gone,
  },
  NtCancelIoFile: {
    doc: "Cancels the caller's pending IRPs on a file and waits until they are settled.",
    in: { FileHandle: HANDLE },
    out: { IoStatusBlock: IO_STATUS_BLOCK },
    errors: ioErrors,
    onServerDeath: gone,
  },
  NtLoadDriver: {
    doc: 'Loads the driver of a service key (\\Registry\\Machine\\System\\CurrentControlSet\\Services\\fatfs) and waits for its DriverEntry. Loading a loaded one succeeds.',
    in: { DriverServiceName: STRING(256) },
    out: {},
    errors: [
      'STATUS_OBJECT_NAME_NOT_FOUND',
      'STATUS_INVALID_PARAMETER',
      'STATUS_FAILED_DRIVER_ENTRY',
      'STATUS_DRIVER_UNABLE_TO_LOAD',
      'STATUS_DRIVER_PROCESS_TERMINATED',
      'STATUS_OBJECT_NAME_INVALID',
    ],
    onServerDeath: gone,
  },
  // ------------------------------------------------------------ Cm
  NtCreateKey: {
    doc: 'Creates or opens a key. Disposition 1 created, 2 opened.',
    in: { DesiredAccess: ACCESS_MASK, ObjectAttributes: OBJECT_ATTRIBUTES, CreateOptions: ULONG },
    out: { KeyHandle: HANDLE, Disposition: ULONG },
    errors: [...createErrors, 'STATUS_INVALID_PARAMETER'],
    onServerDeath: gone,
  },
  NtOpenKey: {
    doc: 'Opens a key.',
    in: { DesiredAccess: ACCESS_MASK, ObjectAttributes: OBJECT_ATTRIBUTES },
    out: { KeyHandle: HANDLE },
    errors: nameErrors,
    onServerDeath: gone,
  },
  NtSetValueKey: {
    doc: "Sets a value; Type is REG_SZ 1, REG_EXPAND_SZ 2, REG_BINARY 3, REG_DWORD 4, REG_MULTI_SZ 7, REG_QWORD 11; Data in NT's bytes (UTF-16LE strings with their NUL).",
    in: { KeyHandle: HANDLE, ValueName: STRING(255), Type: ULONG, Data: BYTES() },
    out: {},
    errors: [...handleErrors, 'STATUS_INVALID_PARAMETER'],
    onServerDeath: gone,
  },
  NtQueryValueKey: {
    doc: 'Type and data of a value.',
    in: { KeyHandle: HANDLE, ValueName: STRING(255) },
    out: { Type: ULONG, Data: BYTES() },
    errors: [...handleErrors, 'STATUS_OBJECT_NAME_NOT_FOUND'],
    onServerDeath: gone,
  },
  NtEnumerateKey: {
    doc: 'Name of the Index-th subkey.',
    in: { KeyHandle: HANDLE, Index: ULONG },
    out: { Name: STRING(255) },
    errors: [...handleErrors, 'STATUS_NO_MORE_ENTRIES'],
    onServerDeath: gone,
  },
  NtEnumerateValueKey: {
    doc: 'Name, type and data of the Index-th value.',
    in: { KeyHandle: HANDLE, Index: ULONG },
    out: { Name: STRING(255), Type: ULONG, Data: BYTES() },
    errors: [...handleErrors, 'STATUS_NO_MORE_ENTRIES'],
    onServerDeath: gone,
  },
  // ------------------------------------------------------------ Pnp
  NtPlugPlayControl: {
    doc: 'Drives and queries the device tree. EnumerateDevice loads, starts and enumerates a node and all below it.',
    in: { Control: PLUGPLAY_CONTROL },
    out: { Result: PLUGPLAY_RESULT },
    errors: [
      'STATUS_NO_SUCH_DEVICE',
      'STATUS_INVALID_DEVICE_STATE',
      'STATUS_NOT_SUPPORTED',
      'STATUS_INVALID_PARAMETER',
      'STATUS_NO_MORE_ENTRIES',
    ],
    onServerDeath: gone,
  },
})
