/** System services that go by a file's name: they open it, and some close it again. */
import {
  DELETE,
  FILE_DELETE_ON_CLOSE,
  FILE_READ_ATTRIBUTES,
  FILE_SHARE_ALL,
  FileBasicInformation,
} from '#contracts/information'
import { NT_STATUS } from '#rtl'
import type { Executive, Services } from '../executive.ts'
import type { Attributes } from '../ob/services.ts'
import type { Process } from '../ps/index.ts'
import { EXISTING, FileObject, type OpenRequest } from './file.ts'
import { outputOf } from './file-calls.ts'
import { queryInformation } from './information-services.ts'
import { openFile } from './open.ts'

type OpenServices = Pick<Services, 'NtCreateFile' | 'NtOpenFile' | 'NtQueryAttributesFile' | 'NtDeleteFile'>

export function openServices(ex: Executive): OpenServices {
  const { ps } = ex
  return {
    NtCreateFile: ({ ObjectAttributes, ...asked }, caller) =>
      open(ex, ps.byBadge(caller.badge), ObjectAttributes, {
        access: asked.DesiredAccess,
        share: asked.ShareAccess,
        disposition: asked.CreateDisposition,
        options: asked.CreateOptions,
        attributes: asked.FileAttributes,
        allocationSize: asked.AllocationSize ?? 0,
      }),
    NtOpenFile: ({ DesiredAccess, ObjectAttributes, ShareAccess, OpenOptions }, caller) =>
      open(ex, ps.byBadge(caller.badge), ObjectAttributes, {
        ...EXISTING,
        access: DesiredAccess,
        share: ShareAccess,
        options: OpenOptions,
      }),
    async NtQueryAttributesFile({ ObjectAttributes }, caller) {
      const { number, fixedLength } = FileBasicInformation
      const request = { ...EXISTING, access: FILE_READ_ATTRIBUTES, share: FILE_SHARE_ALL }
      const result = await withFile(ex, ps.byBadge(caller.badge), ObjectAttributes, request, (file) =>
        queryInformation(ex, file, number, fixedLength()),
      )
      return { FileInformation: outputOf(result) }
    },
    async NtDeleteFile({ ObjectAttributes }, caller) {
      const request = { ...EXISTING, access: DELETE, share: FILE_SHARE_ALL, options: FILE_DELETE_ON_CLOSE }
      await withFile(ex, ps.byBadge(caller.badge), ObjectAttributes, request, async () => undefined)
      return {}
    },
  }
}

async function open(ex: Executive, process: Process, attributes: Attributes, request: Omit<OpenRequest, 'path'>) {
  const { file, Information } = await openFile(ex, process, attributes, request)
  const FileHandle = await handleOf(ex, process, file, request.access)
  return { FileHandle, IoStatusBlock: { Status: NT_STATUS.STATUS_SUCCESS, Information } }
}
/** Closes the file again when no handle can be made: the table is full, or its process ended meanwhile. */
async function handleOf(ex: Executive, process: Process, file: FileObject, access: number): Promise<number> {
  try {
    return ex.ob.createHandle(process, file, access)
  } catch (error) {
    await file.lastHandleClosed()
    throw error
  } finally {
    ex.ob.dereference(file)
  }
}
/** Opens, does something, closes again. */
async function withFile<T>(
  ex: Executive,
  process: Process,
  attributes: Attributes,
  request: Omit<OpenRequest, 'path'>,
  section: (file: FileObject) => Promise<T>,
): Promise<T> {
  const { FileHandle } = await open(ex, process, attributes, request)
  try {
    return await section(ex.ob.fromHandle(process, FileHandle, FileObject))
  } finally {
    await ex.ob.close(process, FileHandle)
  }
}
