/**
 * Information classes and file-system control: the bytes of NtQueryInformationFile and its relatives. [MS-FSCC] 2.4, 2.5
 *
 *   FileBasicInformation.encode(value, room, model)   → { bytes, whole }; whole is false when the text at the end was cut
 *                                                       (STATUS_BUFFER_OVERFLOW); throws STATUS_INFO_LENGTH_MISMATCH when
 *                                                       not even the fixed part fits
 *   FileBasicInformation.decode(bytes, model)         → value; throws the same when the bytes are too few or inconsistent
 *   encodeDirectory(records, room) / decodeDirectory(bytes)   lists of FileBothDirectoryInformation
 *
 * Lengths of text never appear in a value: they follow from the text. The constants are those of ntioapi.h and wdm.h.
 */
import { StatusError } from '#rtl'
import {
  BOOLEAN,
  type Fields,
  HANDLE,
  LARGE_INTEGER,
  LONG,
  MalformedError,
  STRUCT,
  type Struct,
  UCHAR,
  ULONG,
  type ValueOf,
} from './field.ts'
import {
  type DataModel,
  layoutOf,
  readStruct,
  readWide,
  SYSTEM_TIME,
  WCHARS,
  writeStruct,
  writeWide,
} from './layout.ts'

export interface Encoded {
  readonly bytes: Uint8Array
  readonly whole: boolean
}
export interface InformationClass<V> {
  readonly name: string
  readonly number: number
  /** Bytes of the fixed part: the least a caller must offer. */
  fixedLength(model?: DataModel): number
  encode(value: V, room?: number, model?: DataModel): Encoded
  decode(bytes: Uint8Array, model?: DataModel): V
}
export type InformationOf<I> = I extends InformationClass<infer V> ? V : never

function fixedClass<F extends Fields>(number: number, struct: Struct<F>): InformationClass<ValueOf<F>> {
  const fixedLength = (model: DataModel = 64) => layoutOf(struct, model).size
  return {
    name: struct.name,
    number,
    fixedLength,
    encode(value, room = Number.POSITIVE_INFINITY, model = 64) {
      if (room < fixedLength(model)) throw new StatusError('STATUS_INFO_LENGTH_MISMATCH', struct.name)
      const bytes = new Uint8Array(fixedLength(model))
      writeStruct(bytes, 0, struct, value, model)
      return { bytes, whole: true }
    },
    decode: (bytes, model = 64) => readFixed(bytes, struct, model, layoutOf(struct, model).size),
  }
}

function readFixed<F extends Fields>(
  bytes: Uint8Array,
  struct: Struct<F>,
  model: DataModel,
  least: number,
): ValueOf<F> {
  if (bytes.byteLength < least) throw new StatusError('STATUS_INFO_LENGTH_MISMATCH', struct.name)
  try {
    return readStruct(bytes, 0, struct, model)
  } catch (error) {
    if (error instanceof MalformedError) throw new StatusError('STATUS_INVALID_PARAMETER', struct.name)
    throw error
  }
}

/** A fixed part, and at its end a text whose length in bytes is the field `length`. */
function textClass<F extends Fields, L extends keyof F & string, T extends string>(
  number: number,
  struct: Struct<F>,
  length: L,
  text: T,
): InformationClass<Omit<ValueOf<F>, L> & Record<T, string>> {
  const fixedLength = (model: DataModel = 64) => textOffset(struct, model)
  return {
    name: struct.name,
    number,
    fixedLength,
    encode(value, room = Number.POSITIVE_INFINITY, model = 64) {
      const fixed = fixedLength(model)
      if (room < fixed) throw new StatusError('STATUS_INFO_LENGTH_MISMATCH', struct.name)
      const whole = value[text] as string
      const fits = whole.slice(0, Math.min(whole.length, Math.floor((room - fixed) / 2)))
      const bytes = new Uint8Array(fixed + 2 * fits.length)
      writeStruct(bytes, 0, struct, { ...value, [length]: 2 * whole.length } as unknown as ValueOf<F>, model)
      writeWide(new DataView(bytes.buffer), fixed, fits)
      return { bytes, whole: fits.length === whole.length }
    },
    decode(bytes, model = 64) {
      const { [length]: byteLength, ...rest } = readFixed(bytes, struct, model, fixedLength(model)) as Record<
        string,
        unknown
      >
      const at = fixedLength(model)
      if ((byteLength as number) % 2 || at + (byteLength as number) > bytes.byteLength)
        throw new StatusError('STATUS_INFO_LENGTH_MISMATCH', struct.name)
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
      return { ...rest, [text]: readWide(view, at, (byteLength as number) / 2) } as never
    },
  }
}
const textOffset = (struct: Struct<any>, model: DataModel) => Math.ceil(layoutOf(struct, model).end / 2) * 2

// ---------------------------------------------------------------- files [MS-FSCC] 2.4
const TIMES = {
  CreationTime: SYSTEM_TIME,
  LastAccessTime: SYSTEM_TIME,
  LastWriteTime: SYSTEM_TIME,
  ChangeTime: SYSTEM_TIME,
}
/** Setting: a time of 0 or -1 and attributes of 0 leave what is. */
export const FileBasicInformation = fixedClass(4, STRUCT('FILE_BASIC_INFORMATION', { ...TIMES, FileAttributes: ULONG }))
export const FileStandardInformation = fixedClass(
  5,
  STRUCT('FILE_STANDARD_INFORMATION', {
    AllocationSize: LARGE_INTEGER,
    EndOfFile: LARGE_INTEGER,
    NumberOfLinks: ULONG,
    DeletePending: BOOLEAN,
    Directory: BOOLEAN,
  }),
)
export const FileInternalInformation = fixedClass(
  6,
  STRUCT('FILE_INTERNAL_INFORMATION', { IndexNumber: LARGE_INTEGER }),
)
export const FileNameInformation = textClass(
  9,
  STRUCT('FILE_NAME_INFORMATION', { FileNameLength: ULONG }),
  'FileNameLength',
  'FileName',
)
export const FileRenameInformation = textClass(
  10,
  STRUCT('FILE_RENAME_INFORMATION', { ReplaceIfExists: BOOLEAN, RootDirectory: HANDLE, FileNameLength: ULONG }),
  'FileNameLength',
  'FileName',
)
export const FileDispositionInformation = fixedClass(
  13,
  STRUCT('FILE_DISPOSITION_INFORMATION', { DeleteFile: BOOLEAN }),
)
export const FilePositionInformation = fixedClass(
  14,
  STRUCT('FILE_POSITION_INFORMATION', { CurrentByteOffset: LARGE_INTEGER }),
)
export const FileAllocationInformation = fixedClass(
  19,
  STRUCT('FILE_ALLOCATION_INFORMATION', { AllocationSize: LARGE_INTEGER }),
)
export const FileEndOfFileInformation = fixedClass(
  20,
  STRUCT('FILE_END_OF_FILE_INFORMATION', { EndOfFile: LARGE_INTEGER }),
)
export const FileNetworkOpenInformation = fixedClass(
  34,
  STRUCT('FILE_NETWORK_OPEN_INFORMATION', {
    ...TIMES,
    AllocationSize: LARGE_INTEGER,
    EndOfFile: LARGE_INTEGER,
    FileAttributes: ULONG,
  }),
)

// ---------------------------------------------------------------- directories [MS-FSCC] 2.4.8
/** FileBothDirectoryInformation */
const FILE_BOTH_DIR_INFORMATION = STRUCT('FILE_BOTH_DIR_INFORMATION', {
  NextEntryOffset: ULONG,
  FileIndex: ULONG,
  ...TIMES,
  EndOfFile: LARGE_INTEGER,
  AllocationSize: LARGE_INTEGER,
  FileAttributes: ULONG,
  FileNameLength: ULONG,
  EaSize: ULONG,
  ShortNameLength: UCHAR,
  ShortName: WCHARS(12),
})
const bothDirectory = textClass(3, FILE_BOTH_DIR_INFORMATION, 'FileNameLength', 'FileName')
export type DirectoryRecord = Omit<
  InformationOf<typeof bothDirectory>,
  'NextEntryOffset' | 'ShortNameLength' | 'EaSize'
>
export const FILE_BOTH_DIRECTORY_INFORMATION_CLASS = 3
/** Records are linked at multiples of 8, so that their times are aligned. */
const RECORD_ALIGNMENT = 8

/**
 * As many records, in order, as fit whole into `room` bytes. Of the first one the name may be cut (whole: false), as NT does,
 * when the fixed part fits; `taken` tells how many records are in the bytes.
 */
export function encodeDirectory(records: Iterable<DirectoryRecord>, room: number): Encoded & { taken: number } {
  const parts: Uint8Array[] = []
  let used = 0
  for (const record of records) {
    const at = Math.ceil(used / RECORD_ALIGNMENT) * RECORD_ALIGNMENT
    const value = { ...record, NextEntryOffset: 0, EaSize: 0, ShortNameLength: 2 * record.ShortName.length }
    if (parts.length && at + bothDirectory.fixedLength() > room) break
    const { bytes, whole } = bothDirectory.encode(value, room - at)
    if (!whole && !parts.length) return { bytes, whole, taken: 1 }
    if (!whole) break
    parts.push(bytes)
    used = at + bytes.byteLength
  }
  return { bytes: linked(parts, used), whole: true, taken: parts.length }
}

function linked(parts: readonly Uint8Array[], length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  const view = new DataView(bytes.buffer)
  let at = 0
  parts.forEach((part, index) => {
    bytes.set(part, at)
    const next = Math.ceil(part.byteLength / RECORD_ALIGNMENT) * RECORD_ALIGNMENT
    if (index < parts.length - 1) view.setUint32(at, next, true)
    at += next
  })
  return bytes
}

/** The records of a query's bytes; throws STATUS_INFO_LENGTH_MISMATCH for bytes that are not a list. */
export function* decodeDirectory(bytes: Uint8Array): Generator<DirectoryRecord> {
  let at = 0
  while (at < bytes.byteLength) {
    const { NextEntryOffset, EaSize, ShortNameLength, ...record } = bothDirectory.decode(bytes.subarray(at))
    yield { ...record, ShortName: record.ShortName.slice(0, ShortNameLength / 2) }
    if (!NextEntryOffset) return
    at += NextEntryOffset
  }
}

// ---------------------------------------------------------------- volumes [MS-FSCC] 2.5
export const FileFsVolumeInformation = textClass(
  1,
  STRUCT('FILE_FS_VOLUME_INFORMATION', {
    VolumeCreationTime: SYSTEM_TIME,
    VolumeSerialNumber: ULONG,
    VolumeLabelLength: ULONG,
    SupportsObjects: BOOLEAN,
  }),
  'VolumeLabelLength',
  'VolumeLabel',
)
export const FileFsSizeInformation = fixedClass(
  3,
  STRUCT('FILE_FS_SIZE_INFORMATION', {
    TotalAllocationUnits: LARGE_INTEGER,
    AvailableAllocationUnits: LARGE_INTEGER,
    SectorsPerAllocationUnit: ULONG,
    BytesPerSector: ULONG,
  }),
)
export const FileFsDeviceInformation = fixedClass(
  4,
  STRUCT('FILE_FS_DEVICE_INFORMATION', { DeviceType: ULONG, Characteristics: ULONG }),
)
export const FileFsAttributeInformation = textClass(
  5,
  STRUCT('FILE_FS_ATTRIBUTE_INFORMATION', {
    FileSystemAttributes: ULONG,
    MaximumComponentNameLength: LONG,
    FileSystemNameLength: ULONG,
  }),
  'FileSystemNameLength',
  'FileSystemName',
)

// ---------------------------------------------------------------- constants
/** CreateDisposition. */
export const FILE_SUPERSEDE = 0
export const FILE_OPEN = 1
export const FILE_CREATE = 2
export const FILE_OPEN_IF = 3
export const FILE_OVERWRITE = 4
export const FILE_OVERWRITE_IF = 5

/** IoStatus.Information of a create. */
export const FILE_SUPERSEDED = 0
export const FILE_OPENED = 1
export const FILE_CREATED = 2
export const FILE_OVERWRITTEN = 3
export const FILE_EXISTS = 4
export const FILE_DOES_NOT_EXIST = 5

/** CreateOptions. */
export const FILE_DIRECTORY_FILE = 0x1
export const FILE_WRITE_THROUGH = 0x2
export const FILE_SEQUENTIAL_ONLY = 0x4
export const FILE_NO_INTERMEDIATE_BUFFERING = 0x8
export const FILE_SYNCHRONOUS_IO_ALERT = 0x10
export const FILE_SYNCHRONOUS_IO_NONALERT = 0x20
export const FILE_NON_DIRECTORY_FILE = 0x40
export const FILE_RANDOM_ACCESS = 0x800
export const FILE_DELETE_ON_CLOSE = 0x1000
export const FILE_OPEN_BY_FILE_ID = 0x2000
export const FILE_OPEN_FOR_BACKUP_INTENT = 0x4000

/** ShareAccess. */
export const FILE_SHARE_READ = 0x1
export const FILE_SHARE_WRITE = 0x2
export const FILE_SHARE_DELETE = 0x4
export const FILE_SHARE_ALL = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE

export const FILE_ATTRIBUTE_READONLY = 0x1
export const FILE_ATTRIBUTE_HIDDEN = 0x2
export const FILE_ATTRIBUTE_SYSTEM = 0x4
export const FILE_ATTRIBUTE_DIRECTORY = 0x10
export const FILE_ATTRIBUTE_ARCHIVE = 0x20
export const FILE_ATTRIBUTE_NORMAL = 0x80
export const FILE_ATTRIBUTE_TEMPORARY = 0x100

/** DesiredAccess. */
export const FILE_READ_DATA = 0x1
export const FILE_LIST_DIRECTORY = 0x1
export const FILE_WRITE_DATA = 0x2
export const FILE_ADD_FILE = 0x2
export const FILE_APPEND_DATA = 0x4
export const FILE_ADD_SUBDIRECTORY = 0x4
export const FILE_READ_EA = 0x8
export const FILE_WRITE_EA = 0x10
export const FILE_EXECUTE = 0x20
export const FILE_TRAVERSE = 0x20
export const FILE_DELETE_CHILD = 0x40
export const FILE_READ_ATTRIBUTES = 0x80
export const FILE_WRITE_ATTRIBUTES = 0x100
export const DELETE = 0x00010000
export const READ_CONTROL = 0x00020000
export const WRITE_DAC = 0x00040000
export const WRITE_OWNER = 0x00080000
export const SYNCHRONIZE = 0x00100000
export const MAXIMUM_ALLOWED = 0x02000000
export const GENERIC_ALL = 0x10000000
export const GENERIC_EXECUTE = 0x20000000
export const GENERIC_WRITE = 0x40000000
export const GENERIC_READ = 0x80000000
export const FILE_GENERIC_READ = 0x00120089
export const FILE_GENERIC_WRITE = 0x00120116
export const FILE_GENERIC_EXECUTE = 0x001200a0
export const FILE_ALL_ACCESS = 0x001f01ff

/** FileSystemAttributes. */
export const FILE_CASE_SENSITIVE_SEARCH = 0x1
export const FILE_CASE_PRESERVED_NAMES = 0x2
export const FILE_UNICODE_ON_DISK = 0x4
export const FILE_READ_ONLY_VOLUME = 0x00080000

/** DEVICE_OBJECT.Flags. */
export const DO_BUFFERED_IO = 0x4
export const DO_EXCLUSIVE = 0x8
export const DO_DIRECT_IO = 0x10
export const DO_MAP_IO_BUFFER = 0x20
export const DO_DEVICE_INITIALIZING = 0x80
export const DO_BUS_ENUMERATED_DEVICE = 0x1000
export const DO_POWER_PAGABLE = 0x2000

/** DEVICE_OBJECT.Characteristics. */
export const FILE_REMOVABLE_MEDIA = 0x1
export const FILE_READ_ONLY_DEVICE = 0x2
export const FILE_FLOPPY_DISKETTE = 0x4
export const FILE_DEVICE_IS_MOUNTED = 0x20
export const FILE_VIRTUAL_VOLUME = 0x40
export const FILE_AUTOGENERATED_DEVICE_NAME = 0x80
export const FILE_DEVICE_SECURE_OPEN = 0x100

export const FILE_DEVICE_BEEP = 0x01
export const FILE_DEVICE_CD_ROM = 0x02
export const FILE_DEVICE_CONTROLLER = 0x04
export const FILE_DEVICE_DISK = 0x07
export const FILE_DEVICE_DISK_FILE_SYSTEM = 0x08
export const FILE_DEVICE_FILE_SYSTEM = 0x09
export const FILE_DEVICE_KEYBOARD = 0x0b
export const FILE_DEVICE_MOUSE = 0x0f
export const FILE_DEVICE_NULL = 0x15
export const FILE_DEVICE_PHYSICAL_NETCARD = 0x17
export const FILE_DEVICE_8042_PORT = 0x27
export const FILE_DEVICE_BUS_EXTENDER = 0x2a
export const FILE_DEVICE_SCREEN = 0x1c
export const FILE_DEVICE_SOUND = 0x1d
export const FILE_DEVICE_UNKNOWN = 0x22
export const FILE_DEVICE_MASS_STORAGE = 0x2d
export const FILE_DEVICE_ACPI = 0x32
/** 'm', as mountmgr.h has it. */
export const FILE_DEVICE_MOUNTMGR = 0x6d

export const METHOD_BUFFERED = 0
export const METHOD_IN_DIRECT = 1
export const METHOD_OUT_DIRECT = 2
export const METHOD_NEITHER = 3
export const FILE_ANY_ACCESS = 0
export const FILE_READ_ACCESS = 1
export const FILE_WRITE_ACCESS = 2
export const CTL_CODE = (DeviceType: number, FunctionCode: number, Method: number, Access: number): number =>
  ((DeviceType << 16) | (Access << 14) | (FunctionCode << 2) | Method) >>> 0

const fsctl = (FunctionCode: number, Method: number = METHOD_BUFFERED) =>
  CTL_CODE(FILE_DEVICE_FILE_SYSTEM, FunctionCode, Method, FILE_ANY_ACCESS)
/** [MS-FSCC] 2.3, ntifs.h */
export const FSCTL_LOCK_VOLUME = fsctl(6)
export const FSCTL_UNLOCK_VOLUME = fsctl(7)
export const FSCTL_DISMOUNT_VOLUME = fsctl(8)
export const FSCTL_IS_VOLUME_MOUNTED = fsctl(10)
export const FSCTL_IS_PATHNAME_VALID = fsctl(11)
export const FSCTL_MARK_VOLUME_DIRTY = fsctl(12)
export const FSCTL_QUERY_RETRIEVAL_POINTERS = fsctl(14, METHOD_NEITHER)
export const FSCTL_GET_VOLUME_BITMAP = fsctl(27, METHOD_NEITHER)
export const FSCTL_GET_RETRIEVAL_POINTERS = fsctl(28, METHOD_NEITHER)
export const FSCTL_IS_VOLUME_DIRTY = fsctl(30)
