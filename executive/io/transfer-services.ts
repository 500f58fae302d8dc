/**
 * NtReadFile and NtWriteFile.
 *
 *   a file on a volume        through the cache, one copy between cache and the caller's memory
 *   … opened uncached         the caller's pages are named to the file system, and by it to the disk: no copy
 *   a device with direct IO   the caller's pages are named to it
 *   any other device          up to a page inline
 */
import { INLINE_MAX } from '#contracts/field'
import {
  DO_DIRECT_IO,
  FILE_APPEND_DATA,
  FILE_NO_INTERMEDIATE_BUFFERING,
  FILE_READ_DATA,
  FILE_WRITE_DATA,
} from '#contracts/information'
import { IRP_MJ } from '#contracts/wdm'
import { NT_ERROR, NT_STATUS, NT_SUCCESS, StatusError } from '#rtl'
import type { Caller } from '#sel4/api'
import type { Executive, Services } from '../executive.ts'
import type { Process, UserBuffer } from '../ps/process.ts'
import type { FileObject } from './file.ts'
import { fileOf, outputOf } from './file-calls.ts'
import type { IrpResult } from './irp.ts'
import { mdlOf } from './irp-checks.ts'

type TransferServices = Pick<Services, 'NtReadFile' | 'NtWriteFile'>

const IRP_NOCACHE = 0x100
/** What one MDL may name. */
const DIRECT_MAX = 1024 * 1024
/** NT's ByteOffset that means the end of the file. */
const AT_END = -1

interface Transfer {
  readonly file: FileObject
  readonly process: Process
  readonly buffer: UserBuffer
  readonly offset: number
  /** Writes go to the end, wherever it is then. */
  readonly append: boolean
  readonly key: number
}

export function transferServices(ex: Executive): TransferServices {
  const prepare = (
    caller: Caller,
    handle: number,
    access: number,
    pointer: { Address: number; Length: number },
    ByteOffset: number | undefined,
    Key: number | undefined,
  ): Transfer => {
    const process = ex.ps.byBadge(caller.badge)
    const file = fileOf(ex, caller, handle, access)
    if (file.isDirectory) throw new StatusError('STATUS_FILE_IS_A_DIRECTORY')
    const offset = ByteOffset === AT_END ? (file.fcb?.sizes.FileSize ?? 0) : (ByteOffset ?? file.position)
    if (offset < 0) throw new StatusError('STATUS_INVALID_PARAMETER')
    const append = ByteOffset === AT_END || !(file.grantedAccess & FILE_WRITE_DATA)
    return { file, process, buffer: process.buffer(pointer.Address, pointer.Length), offset, append, key: Key ?? 0 }
  }
  const done = (transfer: Transfer, Information: number, offset = transfer.offset) => {
    transfer.file.position = offset + Information
    return { IoStatusBlock: { Status: NT_STATUS.STATUS_SUCCESS, Information } }
  }
  return {
    async NtReadFile({ FileHandle, Buffer, ByteOffset, Key }, caller) {
      const transfer = prepare(caller, FileHandle, FILE_READ_DATA, Buffer, ByteOffset, Key)
      if (Buffer.Length === 0) return done(transfer, 0)
      const length = await read(ex, transfer)
      if (length === 0) throw new StatusError('STATUS_END_OF_FILE')
      return done(transfer, length)
    },
    async NtWriteFile({ FileHandle, Buffer, ByteOffset, Key }, caller) {
      const transfer = prepare(caller, FileHandle, 0, Buffer, ByteOffset, Key)
      if (!(transfer.file.grantedAccess & (FILE_WRITE_DATA | FILE_APPEND_DATA)))
        throw new StatusError('STATUS_ACCESS_DENIED')
      if (transfer.file.vcb?.readOnly) throw new StatusError('STATUS_MEDIA_WRITE_PROTECTED')
      const { length, offset } = await write(ex, transfer)
      return done(transfer, length, offset)
    },
  }
}

const uncached = (file: FileObject): boolean => (file.open.options & FILE_NO_INTERMEDIATE_BUFFERING) !== 0

async function read(ex: Executive, transfer: Transfer): Promise<number> {
  const { file, buffer, offset } = transfer
  if (file.fcb && !uncached(file)) return file.fcb.read(offset, buffer.bytes)
  if (file.fcb?.cache.dirty) {
    const status = await file.fcb.flush()
    if (!NT_SUCCESS(status)) throw new StatusError(status)
  }
  if (file.vcb || file.device.Flags & DO_DIRECT_IO) return direct(ex, transfer, 'Read')
  const result = await inline(ex, transfer, 'Read')
  const bytes = outputOf(result)
  buffer.bytes.set(bytes.subarray(0, buffer.bytes.length))
  return bytes.length
}
async function write(ex: Executive, transfer: Transfer): Promise<{ length: number; offset: number }> {
  const { file, buffer, offset, append } = transfer
  const { fcb } = file
  const length = buffer.bytes.length
  if (fcb && length === 0) return { length, offset }
  if (fcb && !uncached(file)) return { length, offset: await fcb.write(append ? 'end' : offset, buffer) }
  if (fcb) {
    return fcb.bypassing(async () => {
      const at = append ? fcb.sizes.FileSize : offset
      return { length: await direct(ex, { ...transfer, offset: at }, 'Write'), offset: at }
    })
  }
  if (file.vcb || file.device.Flags & DO_DIRECT_IO) return { length: await direct(ex, transfer, 'Write'), offset }
  return { length: (await inline(ex, transfer, 'Write')).Information, offset }
}

/** Names the caller's pages; longer transfers go in pieces, and a short piece ends them. */
async function direct(
  ex: Executive,
  { file, process, buffer, offset, key }: Transfer,
  kind: 'Read' | 'Write',
): Promise<number> {
  let done = 0
  while (done < buffer.bytes.length) {
    buffer.check()
    const Length = Math.min(DIRECT_MAX, buffer.bytes.length - done)
    const result = await file.request(ex, {
      major: kind === 'Read' ? IRP_MJ.IRP_MJ_READ : IRP_MJ.IRP_MJ_WRITE,
      requestor: process,
      idempotent: true,
      flags: IRP_NOCACHE,
      parameters: { kind, Length, Key: key, ByteOffset: offset + done },
      mdl: mdlOf(buffer.physicalAddress + done, Length),
    })
    if (!NT_SUCCESS(result.Status)) {
      if (done > 0 && result.Status === NT_STATUS.STATUS_END_OF_FILE) break
      throw new StatusError(result.Status)
    }
    if (result.response?.kind === 'Sizes') file.fcb?.setSizes(result.response.Sizes)
    done += result.Information
    if (result.Information < Length) break
  }
  return done
}
async function inline(
  ex: Executive,
  { file, process, buffer, offset, key }: Transfer,
  kind: 'Read' | 'Write',
): Promise<IrpResult> {
  const Length = Math.min(INLINE_MAX, buffer.bytes.length)
  const result = await file.request(ex, {
    major: kind === 'Read' ? IRP_MJ.IRP_MJ_READ : IRP_MJ.IRP_MJ_WRITE,
    requestor: process,
    parameters: { kind, Length, Key: key, ByteOffset: offset },
    ...(kind === 'Read' ? { outputLength: Length } : { input: buffer.bytes.slice(0, Length) }),
  })
  if (NT_ERROR(result.Status)) throw new StatusError(result.Status)
  return result
}
