/**
 * IRP_MN_QUERY_DIRECTORY: the entries of a directory that match an expression, as FILE_BOTH_DIR_INFORMATION records.
 *
 * The place of a scan is a slot number, so that entries coming and going during the scan neither repeat nor hide others.
 * [MS-FSA] 2.1.5.6.3
 */
import {
  type DirectoryRecord,
  encodeDirectory,
  type Encoded,
  FILE_BOTH_DIRECTORY_INFORMATION_CLASS,
} from '#contracts/information'
import { StatusError } from '#rtl'
import type { Directory } from './directory.ts'
import { attributesOf, timesOf } from './info.ts'
import { fold, isLegalExpression, isNameInExpression } from './names.ts'
import { type Ccb, type Fcb, isDirectory, type Volume } from './volume.ts'

export interface DirectoryRequest {
  readonly FileName?: string
  readonly FileInformationClass: number
  readonly SingleEntry: boolean
  readonly RestartScan: boolean
  /** The entry behind which to go on; absent: where this open's last query ended. */
  readonly FileIndex?: number
  readonly room: number
}
/** `.` and `..` come before the slots. */
const DOTS = 2
interface Placed {
  readonly record: DirectoryRecord
  /** Where a scan goes on behind this one. */
  readonly next: number
}

export async function queryDirectory(volume: Volume, ccb: Ccb, request: DirectoryRequest): Promise<Encoded> {
  const { fcb } = ccb
  if (ccb.isVolume || !isDirectory(fcb)) throw new StatusError('STATUS_INVALID_PARAMETER')
  if (fcb.deleted) throw new StatusError('STATUS_FILE_DELETED')
  if (request.FileInformationClass !== FILE_BOTH_DIRECTORY_INFORMATION_CLASS)
    throw new StatusError('STATUS_INVALID_INFO_CLASS')
  const directory = await volume.directoryOf(fcb.entry)
  const scan = scanOf(ccb, request)
  const { records, nexts } = collect(volume, directory, fcb, scan, request)
  if (records.length === 0) throw new StatusError(scan.matched ? 'STATUS_NO_MORE_FILES' : 'STATUS_NO_SUCH_FILE')
  const encoded = encodeDirectory(records, request.room)
  scan.matched = true
  scan.position = nexts[encoded.taken - 1]
  return encoded
}

/** The expression of the first query holds for all that follow on this handle. */
function scanOf(ccb: Ccb, request: DirectoryRequest): NonNullable<Ccb['scan']> {
  if (!ccb.scan) {
    const expression = request.FileName || '*'
    if (!isLegalExpression(expression)) throw new StatusError('STATUS_OBJECT_NAME_INVALID', expression)
    ccb.scan = { expression: fold(expression), position: 0, matched: false }
  } else if (request.RestartScan) {
    ccb.scan.position = 0
    if (request.FileName && isLegalExpression(request.FileName)) ccb.scan.expression = fold(request.FileName)
  }
  if (request.FileIndex !== undefined) {
    ccb.scan.position = request.FileIndex + 1
    ccb.scan.matched = true
  }
  return ccb.scan
}

/** No more than fit: the shortest record has 96 bytes. */
function collect(
  volume: Volume,
  directory: Directory,
  fcb: Fcb,
  scan: NonNullable<Ccb['scan']>,
  request: DirectoryRequest,
): { records: DirectoryRecord[]; nexts: number[] } {
  const most = request.SingleEntry ? 1 : Math.max(1, Math.ceil(request.room / 96))
  const records: DirectoryRecord[] = []
  const nexts: number[] = []
  for (const { record, next } of candidates(volume, directory, fcb, scan.position)) {
    const { FileName, ShortName } = record
    const matches =
      isNameInExpression(scan.expression, fold(FileName)) ||
      (ShortName !== '' && isNameInExpression(scan.expression, fold(ShortName)))
    if (!matches) continue
    records.push(record)
    nexts.push(next)
    if (records.length === most) break
  }
  return { records, nexts }
}

function* candidates(volume: Volume, directory: Directory, fcb: Fcb, position: number): Generator<Placed> {
  if (fcb.entry)
    for (let dot = position; dot < DOTS; dot++) {
      const of = dot === 0 ? fcb.entry : fcb.parent?.entry
      const sizes = { EndOfFile: 0, AllocationSize: 0, FileAttributes: attributesOf(of) }
      const record = { FileIndex: dot, ...timesOf(of), ...sizes, ShortName: '', FileName: dot === 0 ? '.' : '..' }
      yield { record, next: dot + 1 }
    }
  const { BytsPerClus } = volume.geometry
  for (const entry of directory.from(Math.max(0, position - DOTS))) {
    const { size, name, shortName, slot } = entry
    const record = {
      FileIndex: slot + DOTS,
      ...timesOf(entry),
      EndOfFile: size,
      AllocationSize: Math.ceil(size / BytsPerClus) * BytsPerClus,
      FileAttributes: attributesOf(entry),
      ShortName: fold(name) === fold(shortName) ? '' : shortName,
      FileName: name,
    }
    yield { record, next: slot + DOTS + 1 }
  }
}
