/** What every command has: the process, where it stands, and the words for a status. */
import { attributes, type Buffer, fullPath, type NativeProcess, ntPath } from '#ntdll'
import { NT_STATUS, type NTSTATUS, StatusError, statusName } from '#rtl'
import {
  decodeDirectory,
  type DirectoryRecord,
  FILE_DIRECTORY_FILE,
  FILE_LIST_DIRECTORY,
  FILE_NON_DIRECTORY_FILE,
  FILE_OPEN,
  FILE_SYNCHRONOUS_IO_NONALERT,
  SYNCHRONIZE,
} from '#contracts/information'

export interface Shell extends NativeProcess {
  cwd: string
  /** Becomes the exit status: 0 while no command has failed. */
  failures: number
  /** The copy buffer: one for the life of the shell. */
  readonly buffer: Buffer
  leave?: 'exit' | 'shutdown'
}
export interface Command {
  readonly usage: string
  readonly help: string
  /** Fewest and most arguments. */
  readonly arguments: readonly [number, number]
  run(shell: Shell, args: readonly string[]): Promise<void>
}
/** A command's own complaint, one sentence. */
export class CommandError extends Error {}

const MESSAGES: Readonly<Partial<Record<number, string>>> = {
  [NT_STATUS.STATUS_OBJECT_NAME_NOT_FOUND]: 'The system cannot find the file specified.',
  [NT_STATUS.STATUS_NO_SUCH_FILE]: 'File Not Found',
  [NT_STATUS.STATUS_OBJECT_PATH_NOT_FOUND]: 'The system cannot find the path specified.',
  [NT_STATUS.STATUS_OBJECT_NAME_COLLISION]: 'A file or directory with that name already exists.',
  [NT_STATUS.STATUS_OBJECT_NAME_INVALID]: 'The file name, directory name, or volume label syntax is incorrect.',
  [NT_STATUS.STATUS_OBJECT_PATH_SYNTAX_BAD]: 'The file name, directory name, or volume label syntax is incorrect.',
  [NT_STATUS.STATUS_NAME_TOO_LONG]: 'The file name is too long.',
  [NT_STATUS.STATUS_INVALID_PARAMETER]: 'The parameter is incorrect.',
  [NT_STATUS.STATUS_ACCESS_DENIED]: 'Access is denied.',
  [NT_STATUS.STATUS_CANNOT_DELETE]: 'Access is denied.',
  [NT_STATUS.STATUS_SHARING_VIOLATION]: 'The file is in use.',
  [NT_STATUS.STATUS_FILE_IS_A_DIRECTORY]: 'That is a directory.',
  [NT_STATUS.STATUS_NOT_A_DIRECTORY]: 'The directory name is invalid.',
  [NT_STATUS.STATUS_DIRECTORY_NOT_EMPTY]: 'The directory is not empty.',
  [NT_STATUS.STATUS_DISK_FULL]: 'There is not enough space on the disk.',
  [NT_STATUS.STATUS_MEDIA_WRITE_PROTECTED]: 'The disk is write-protected.',
  [NT_STATUS.STATUS_UNRECOGNIZED_VOLUME]: 'The volume does not contain a recognized file system.',
  [NT_STATUS.STATUS_VOLUME_DISMOUNTED]: 'The volume was dismounted.',
  [NT_STATUS.STATUS_NOT_SAME_DEVICE]: 'The system cannot move the file to a different disk drive.',
  [NT_STATUS.STATUS_FILE_CORRUPT_ERROR]: 'The file or directory is corrupted and unreadable.',
  [NT_STATUS.STATUS_IO_DEVICE_ERROR]: 'The request could not be performed because of an I/O device error.',
  [NT_STATUS.STATUS_INSUFFICIENT_RESOURCES]: 'There is not enough memory.',
  [NT_STATUS.STATUS_IMAGE_ALREADY_LOADED]: 'That program runs already, and can run once.',
  [NT_STATUS.STATUS_INVALID_CID]: 'There is no such process.',
}
export const messageOf = (status: NTSTATUS): string => MESSAGES[status] ?? statusName(status)

export const pathOf = (shell: Shell, typed: string): string => fullPath(shell.cwd, typed)

export async function openFile(
  shell: Shell,
  path: string,
  access: number,
  options = FILE_NON_DIRECTORY_FILE,
  share = 3,
): Promise<number> {
  const { FileHandle } = await shell.nt.NtOpenFile({
    DesiredAccess: access | SYNCHRONIZE,
    ObjectAttributes: attributes(ntPath(path)),
    ShareAccess: share,
    OpenOptions: options | FILE_SYNCHRONOUS_IO_NONALERT,
  })
  return FileHandle
}
export async function createFile(
  shell: Shell,
  path: string,
  access: number,
  disposition: number,
  options: number,
  allocation = 0,
): Promise<number> {
  const { FileHandle } = await shell.nt.NtCreateFile({
    DesiredAccess: access | SYNCHRONIZE,
    ObjectAttributes: attributes(ntPath(path)),
    AllocationSize: allocation,
    FileAttributes: 0x80,
    ShareAccess: 3,
    CreateDisposition: disposition,
    CreateOptions: options | FILE_SYNCHRONOUS_IO_NONALERT,
  })
  return FileHandle
}
/** Runs with an open handle and closes it, whatever happens. */
export async function using<T>(shell: Shell, handle: number, section: (handle: number) => Promise<T>): Promise<T> {
  try {
    return await section(handle)
  } finally {
    await shell.nt.NtClose({ Handle: handle })
  }
}
/** False: a status said no. */
export async function isDone(attempt: Promise<unknown>): Promise<boolean> {
  try {
    await attempt
    return true
  } catch (error) {
    if (error instanceof StatusError) return false
    throw error
  }
}
export const isDirectory = (shell: Shell, path: string): Promise<boolean> => isDone(openDirectory(shell, path))
async function openDirectory(shell: Shell, path: string): Promise<void> {
  const Handle = await openFile(shell, path, FILE_LIST_DIRECTORY, FILE_DIRECTORY_FILE, 7)
  await shell.nt.NtClose({ Handle })
}
/** The entries of a directory that match a pattern. */
export async function* entries(
  shell: Shell,
  directory: string,
  pattern: string | undefined,
): AsyncGenerator<DirectoryRecord> {
  const handle = await openFile(shell, directory, FILE_LIST_DIRECTORY, FILE_DIRECTORY_FILE, 7)
  try {
    for (let RestartScan = true; ; RestartScan = false) {
      const { FileInformation } = await shell.nt.NtQueryDirectoryFile({
        FileHandle: handle,
        Length: 4096,
        FileInformationClass: 3,
        ReturnSingleEntry: false,
        RestartScan,
        ...(pattern !== undefined && { FileName: pattern }),
      })
      yield* decodeDirectory(FileInformation)
    }
  } catch (error) {
    if (!(error instanceof StatusError) || error.status !== NT_STATUS.STATUS_NO_MORE_FILES) throw error
  } finally {
    await shell.nt.NtClose({ Handle: handle })
  }
}
export { FILE_OPEN }
