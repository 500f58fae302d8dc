/** What the services on files share: the file behind a handle, and what an IRP's result is to the caller. */
import { NT_ERROR, NT_STATUS, StatusError } from '#rtl'
import type { Caller } from '#sel4/api'
import type { Executive } from '../executive.ts'
import { FileObject } from './file.ts'
import type { IrpResult } from './irp.ts'

const NO_BYTES = new Uint8Array(0)

export function fileOf(ex: Executive, caller: Caller, handle: number, access = 0): FileObject {
  const file = ex.ob.fromHandle(ex.ps.byBadge(caller.badge), handle, FileObject, access)
  if (file.forcedClosed) throw new StatusError('STATUS_FILE_FORCED_CLOSED')
  return file
}
/** Errors are thrown; warnings such as STATUS_BUFFER_OVERFLOW come with data. */
export function checked(result: IrpResult): IrpResult {
  if (NT_ERROR(result.Status) || result.Status === NT_STATUS.STATUS_NO_MORE_FILES) throw new StatusError(result.Status)
  return result
}
export const outputOf = ({ response }: IrpResult): Uint8Array => (response?.kind === 'Data' ? response.Bytes : NO_BYTES)
export const blockOf = ({ Status, Information }: IrpResult) => ({ Status, Information })
