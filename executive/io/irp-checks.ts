/**
 * What may be said of an IRP: which parameters suit a major function, which answers suit a request, and what may be done again
 * after the death of the driver that was doing it. Pure tables and predicates; a `string` answer is the reason of a refusal.
 */
import type { Of } from '#contracts/field'
import { IRP_MJ, IRP_MN, type MDL, type Parameters, type Response } from '#contracts/wdm'
import { NT_SUCCESS, type NTSTATUS } from '#rtl'
import type { DeviceObject } from './device.ts'

export type Mdl = Of<typeof MDL>
type Kind = Parameters['kind']
type Answer = Response['kind']

const PAGE = 4096
const M = IRP_MJ
const N = IRP_MN

const PARAMETERS_OF: Readonly<Record<number, readonly Kind[]>> = {
  [M.IRP_MJ_CREATE]: ['Create'],
  [M.IRP_MJ_CLOSE]: ['None'],
  [M.IRP_MJ_READ]: ['Read'],
  [M.IRP_MJ_WRITE]: ['Write'],
  [M.IRP_MJ_QUERY_INFORMATION]: ['QueryFile'],
  [M.IRP_MJ_SET_INFORMATION]: ['SetFile'],
  [M.IRP_MJ_FLUSH_BUFFERS]: ['None'],
  [M.IRP_MJ_QUERY_VOLUME_INFORMATION]: ['QueryVolume'],
  [M.IRP_MJ_SET_VOLUME_INFORMATION]: ['QueryVolume'],
  [M.IRP_MJ_DIRECTORY_CONTROL]: ['QueryDirectory'],
  [M.IRP_MJ_FILE_SYSTEM_CONTROL]: ['FileSystemControl', 'MountVolume', 'None'],
  [M.IRP_MJ_DEVICE_CONTROL]: ['DeviceIoControl'],
  [M.IRP_MJ_INTERNAL_DEVICE_CONTROL]: ['DeviceIoControl', 'Scsi'],
  [M.IRP_MJ_SHUTDOWN]: ['None'],
  [M.IRP_MJ_CLEANUP]: ['None'],
  [M.IRP_MJ_POWER]: ['Power'],
  [M.IRP_MJ_SYSTEM_CONTROL]: ['None', 'DeviceIoControl'],
  [M.IRP_MJ_ADD_DEVICE]: ['AddDevice'],
  [M.IRP_MJ_QUERY_EXTENTS]: ['QueryExtents'],
}
const PNP_PARAMETERS_OF: Readonly<Record<number, Kind>> = {
  [N.IRP_MN_START_DEVICE]: 'StartDevice',
  [N.IRP_MN_QUERY_DEVICE_RELATIONS]: 'QueryDeviceRelations',
  [N.IRP_MN_READ_CONFIG]: 'ReadWriteConfig',
  [N.IRP_MN_WRITE_CONFIG]: 'ReadWriteConfig',
  [N.IRP_MN_QUERY_ID]: 'QueryId',
}
const ANSWERS_OF: Readonly<Record<number, readonly Answer[]>> = {
  [M.IRP_MJ_CREATE]: ['Opened'],
  [M.IRP_MJ_READ]: ['Data', 'Sizes'],
  [M.IRP_MJ_WRITE]: ['Sizes'],
  [M.IRP_MJ_QUERY_INFORMATION]: ['Data'],
  [M.IRP_MJ_SET_INFORMATION]: ['Sizes'],
  [M.IRP_MJ_QUERY_VOLUME_INFORMATION]: ['Data'],
  [M.IRP_MJ_DIRECTORY_CONTROL]: ['Data'],
  [M.IRP_MJ_FILE_SYSTEM_CONTROL]: ['Data', 'VolumeMounted'],
  [M.IRP_MJ_DEVICE_CONTROL]: ['Data'],
  [M.IRP_MJ_INTERNAL_DEVICE_CONTROL]: ['Data', 'Srb'],
  [M.IRP_MJ_SYSTEM_CONTROL]: ['Data'],
  [M.IRP_MJ_QUERY_EXTENTS]: ['Extents'],
}
const PNP_ANSWERS_OF: Readonly<Record<number, Answer>> = {
  [N.IRP_MN_QUERY_DEVICE_RELATIONS]: 'Devices',
  [N.IRP_MN_QUERY_ID]: 'Ids',
  [N.IRP_MN_QUERY_RESOURCE_REQUIREMENTS]: 'Requirements',
  [N.IRP_MN_QUERY_RESOURCES]: 'Requirements',
  [N.IRP_MN_FILTER_RESOURCE_REQUIREMENTS]: 'Requirements',
  [N.IRP_MN_READ_CONFIG]: 'Data',
  [N.IRP_MN_QUERY_CAPABILITIES]: 'Data',
  [N.IRP_MN_QUERY_BUS_INFORMATION]: 'Data',
}
/** What a driver may ask of another on its own account. */
const DRIVER_MAJORS: ReadonlySet<number> = new Set([
  M.IRP_MJ_READ,
  M.IRP_MJ_WRITE,
  M.IRP_MJ_FLUSH_BUFFERS,
  M.IRP_MJ_DEVICE_CONTROL,
  M.IRP_MJ_INTERNAL_DEVICE_CONTROL,
  M.IRP_MJ_SHUTDOWN,
  M.IRP_MJ_POWER,
  M.IRP_MJ_SYSTEM_CONTROL,
])
const DRIVER_PNP_MINORS: ReadonlySet<number> = new Set([
  N.IRP_MN_READ_CONFIG,
  N.IRP_MN_WRITE_CONFIG,
  N.IRP_MN_QUERY_DEVICE_RELATIONS,
  N.IRP_MN_QUERY_CAPABILITIES,
  N.IRP_MN_QUERY_ID,
  N.IRP_MN_QUERY_BUS_INFORMATION,
  N.IRP_MN_QUERY_RESOURCES,
  N.IRP_MN_QUERY_RESOURCE_REQUIREMENTS,
])
export const mayOriginate = (major: number, minor: number): boolean =>
  DRIVER_MAJORS.has(major) || (major === M.IRP_MJ_PNP && DRIVER_PNP_MINORS.has(minor))

export function parametersSuit(major: number, minor: number, parameters: Parameters): boolean {
  if (major === M.IRP_MJ_PNP) return parameters.kind === (PNP_PARAMETERS_OF[minor] ?? 'None')
  return PARAMETERS_OF[major]?.includes(parameters.kind) ?? false
}
/** Bytes of the buffer the parameters speak of. */
export function lengthOf(parameters: Parameters): number {
  if (parameters.kind === 'Read' || parameters.kind === 'Write') return parameters.Length
  return parameters.kind === 'Scsi' ? parameters.Srb.DataTransferLength : 0
}
export function inputLengthOf(parameters: Parameters): number {
  return parameters.kind === 'DeviceIoControl' || parameters.kind === 'FileSystemControl'
    ? parameters.InputBufferLength
    : 0
}

export interface AskedFor {
  readonly major: number
  readonly minor: number
  readonly parameters: Parameters
  /** Bytes of the MDL window, or -1 when there is none. */
  readonly bufferLength: number
  readonly outputLength: number
}
/** Why an answer does not fit what was asked; undefined when it does. */
export function unfit(
  asked: AskedFor,
  status: NTSTATUS,
  information: number,
  response: Response | undefined,
): string | undefined {
  if (status === 0x103) return 'completed with STATUS_PENDING'
  const limit = asked.bufferLength >= 0 ? Math.max(asked.bufferLength, asked.outputLength) : asked.outputLength
  const transfers = asked.major === M.IRP_MJ_READ || asked.major === M.IRP_MJ_WRITE
  if (transfers && NT_SUCCESS(status)) {
    const most =
      asked.major === M.IRP_MJ_WRITE ? lengthOf(asked.parameters) : Math.min(limit, lengthOf(asked.parameters))
    if (information > most) return `Information ${information} of ${most} bytes asked for`
  }
  if (!response) return undefined
  if (response.kind === 'Data' && response.Bytes.byteLength > asked.outputLength)
    return `${response.Bytes.byteLength} bytes of output where ${asked.outputLength} fit`
  return answerSuits(asked, response) ? undefined : `${response.kind} answers no such request`
}
export function answerSuits(asked: Pick<AskedFor, 'major' | 'minor' | 'parameters'>, response: Response): boolean {
  if (asked.major === M.IRP_MJ_PNP) return PNP_ANSWERS_OF[asked.minor] === response.kind
  if (response.kind === 'VolumeMounted') return asked.parameters.kind === 'MountVolume'
  if (response.kind === 'Srb') return asked.parameters.kind === 'Scsi'
  return ANSWERS_OF[asked.major]?.includes(response.kind) ?? false
}

/** PnP steps that a recovery replays itself are never issued again. */
const REPEATABLE_MINORS: ReadonlySet<number> = new Set([
  N.IRP_MN_QUERY_DEVICE_RELATIONS,
  N.IRP_MN_QUERY_INTERFACE,
  N.IRP_MN_QUERY_CAPABILITIES,
  N.IRP_MN_QUERY_RESOURCES,
  N.IRP_MN_QUERY_RESOURCE_REQUIREMENTS,
  N.IRP_MN_FILTER_RESOURCE_REQUIREMENTS,
  N.IRP_MN_READ_CONFIG,
  N.IRP_MN_WRITE_CONFIG,
  N.IRP_MN_QUERY_ID,
  N.IRP_MN_QUERY_BUS_INFORMATION,
])
const ALWAYS_REPEATABLE: ReadonlySet<number> = new Set([
  M.IRP_MJ_READ,
  M.IRP_MJ_QUERY_INFORMATION,
  M.IRP_MJ_FLUSH_BUFFERS,
  M.IRP_MJ_QUERY_VOLUME_INFORMATION,
  M.IRP_MJ_DIRECTORY_CONTROL,
  M.IRP_MJ_SHUTDOWN,
  M.IRP_MJ_CLEANUP,
  M.IRP_MJ_QUERY_EXTENTS,
])
/** FILE_WRITE_ACCESS of a control code: it changes something. [CTL_CODE] */
const CONTROL_WRITES = 0x8000
/** Operation codes that mean the same twice. [SPC-4], [SBC-3] */
const REPEATABLE_CDB: ReadonlySet<number> = new Set([
  0x00, 0x03, 0x08, 0x0a, 0x12, 0x1a, 0x1b, 0x1e, 0x25, 0x28, 0x2a, 0x35, 0x5a, 0x88, 0x8a, 0x91, 0x9e, 0xa0, 0xa8,
  0xaa,
])
/** May the request be given again to the restarted driver of `device`? */
export function repeatable(
  device: DeviceObject,
  major: number,
  minor: number,
  parameters: Parameters,
  hasMdl: boolean,
): boolean {
  if (major === M.IRP_MJ_PNP) return REPEATABLE_MINORS.has(minor)
  if (major === M.IRP_MJ_ADD_DEVICE || major === M.IRP_MJ_POWER) return false
  // A file system's changes are published with the completion or not at all: whatever was not completed has not happened.
  if (device.isFileSystem || device.driver.isFileSystem) return true
  if (ALWAYS_REPEATABLE.has(major)) return true
  if (major === M.IRP_MJ_WRITE) return hasMdl
  if (parameters.kind === 'Scsi') return REPEATABLE_CDB.has(parameters.Srb.Cdb[0] ?? -1)
  if (parameters.kind === 'DeviceIoControl') return (parameters.IoControlCode & CONTROL_WRITES) === 0
  return major === M.IRP_MJ_CREATE
}

/** The MDL of [offset, +length) of another; the whole is the same object. */
export function sliceMdl(mdl: Mdl, offset: number, length: number): Mdl {
  if (offset === 0 && length === mdl.ByteCount) return mdl
  const first = mdl.ByteOffset + offset
  const ByteOffset = first % PAGE
  let skip = Math.floor(first / PAGE)
  let pages = length === 0 ? 0 : Math.ceil((ByteOffset + length) / PAGE)
  const Runs: number[] = []
  for (let i = 0; i < mdl.Runs.length && pages > 0; i += 2) {
    const inside = Math.min(mdl.Runs[i + 1] - skip, pages)
    if (inside > 0) {
      Runs.push(mdl.Runs[i] + skip, inside)
      pages -= inside
    }
    skip = Math.max(0, skip - mdl.Runs[i + 1])
  }
  return { ByteOffset, ByteCount: length, Runs }
}
/** The MDL of physically contiguous memory. */
export function namesAny(
  { Runs }: Mdl,
  memory: { readonly physicalAddress: number; readonly length: number },
): boolean {
  const first = memory.physicalAddress / PAGE
  const last = first + memory.length / PAGE
  for (let i = 0; i < Runs.length; i += 2) if (Runs[i] < last && first < Runs[i] + Runs[i + 1]) return true
  return false
}
export function mdlOf(physicalAddress: number, length: number): Mdl {
  const ByteOffset = physicalAddress % PAGE
  return {
    ByteOffset,
    ByteCount: length,
    Runs: [(physicalAddress - ByteOffset) / PAGE, Math.max(1, Math.ceil((ByteOffset + length) / PAGE))],
  }
}
