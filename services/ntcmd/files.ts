/** Commands on files and directories. */
import { attributes, baseName, directoryOf, ntPath } from '#ntdll'
import {
  DELETE,
  type DirectoryRecord,
  FILE_ATTRIBUTE_DIRECTORY,
  FILE_CREATE,
  FILE_DIRECTORY_FILE,
  FILE_LIST_DIRECTORY,
  FILE_NON_DIRECTORY_FILE,
  FILE_OVERWRITE_IF,
  FILE_READ_DATA,
  FILE_SHARE_READ,
  FILE_WRITE_DATA,
  FileDispositionInformation,
  FileFsSizeInformation,
  FileFsVolumeInformation,
  FileRenameInformation,
  FileStandardInformation,
} from '#contracts/information'
import { NT_STATUS, StatusError } from '#rtl'
import {
  type Command,
  CommandError,
  createFile,
  entries,
  isDirectory,
  isDone,
  openFile,
  pathOf,
  type Shell,
  using,
} from './shell.ts'

/** 100 ns units between 1601 and 1970. */
const EPOCH = 116_444_736_000_000_000
const hasWildcard = (name: string): boolean => /[*?]/.test(name)
const two = (value: number): string => String(value).padStart(2, '0')
const grouped = (value: number): string => String(value).replace(/\B(?=(\d{3})+$)/g, ',')

function dateOf(time: number): string {
  if (time === 0) return ' '.repeat(17)
  const date = new globalThis.Date((time - EPOCH) / 10_000)
  return `${two(date.getUTCDate())}.${two(date.getUTCMonth() + 1)}.${date.getUTCFullYear()}  ${two(date.getUTCHours())}:${two(date.getUTCMinutes())}`
}
function row(record: DirectoryRecord): string {
  const directory = (record.FileAttributes & FILE_ATTRIBUTE_DIRECTORY) !== 0
  return `${dateOf(record.LastWriteTime)} ${directory ? '<DIR>'.padEnd(15) : grouped(record.EndOfFile).padStart(15)} ${record.FileName}\n`
}
/** A directory to list, and what to list of it. */
async function listed(
  shell: Shell,
  typed: string | undefined,
): Promise<{ directory: string; pattern: string | undefined }> {
  const path = pathOf(shell, typed ?? '.')
  if (typed !== undefined && (hasWildcard(baseName(path)) || !(await isDirectory(shell, path)))) {
    return { directory: directoryOf(path), pattern: baseName(path) }
  }
  return { directory: path, pattern: undefined }
}

const dir: Command = {
  usage: 'dir [PATH]',
  help: 'lists a directory, or the files that match a pattern',
  arguments: [0, 1],
  async run(shell, [typed]) {
    const { directory, pattern } = await listed(shell, typed)
    let files = 0
    let directories = 0
    let bytes = 0
    let text = ` Directory of ${directory}\n\n`
    for await (const record of entries(shell, directory, pattern)) {
      text += row(record)
      if (record.FileAttributes & FILE_ATTRIBUTE_DIRECTORY) directories++
      else files++
      bytes += record.EndOfFile
    }
    text += `${String(files).padStart(16)} File(s) ${grouped(bytes).padStart(15)} bytes\n`
    await shell.print(
      `${text}${String(directories).padStart(16)} Dir(s)  ${grouped(await freeBytes(shell, directory)).padStart(15)} bytes free\n`,
    )
  },
}
async function freeBytes(shell: Shell, directory: string): Promise<number> {
  return using(
    shell,
    await openFile(shell, directory, FILE_LIST_DIRECTORY, FILE_DIRECTORY_FILE, 7),
    async (FileHandle) => {
      const { FsInformation } = await shell.nt.NtQueryVolumeInformationFile({
        FileHandle,
        Length: 64,
        FsInformationClass: FileFsSizeInformation.number,
      })
      const size = FileFsSizeInformation.decode(FsInformation)
      return size.AvailableAllocationUnits * size.SectorsPerAllocationUnit * size.BytesPerSector
    },
  )
}

const cd: Command = {
  usage: 'cd [PATH]',
  help: 'changes the current directory, or shows it',
  arguments: [0, 1],
  async run(shell, [typed]) {
    if (typed === undefined) return shell.print(`${shell.cwd}\n`)
    const path = pathOf(shell, typed)
    await using(shell, await openFile(shell, path, FILE_LIST_DIRECTORY, FILE_DIRECTORY_FILE, 7), async () => undefined)
    shell.cwd = path
  },
}
const pwd: Command = {
  usage: 'pwd',
  help: 'shows the current directory',
  arguments: [0, 0],
  run: (shell) => shell.print(`${shell.cwd}\n`),
}

const type: Command = {
  usage: 'type FILE',
  help: 'prints a file',
  arguments: [1, 1],
  async run(shell, [typed]) {
    const decoder = new TextDecoder()
    let last = '\n'
    await using(shell, await openFile(shell, pathOf(shell, typed), FILE_READ_DATA), async (handle) => {
      for (let length = await readSome(shell, handle); length > 0; length = await readSome(shell, handle)) {
        const text = decoder.decode(shell.buffer.bytes.slice(0, length), { stream: true }).replaceAll('\r\n', '\n')
        last = text.at(-1) ?? last
        await shell.print(text)
      }
    })
    if (last !== '\n') await shell.print('\n')
  },
}
/** The next bytes into the shell's buffer; 0 at the end. */
async function readSome(shell: Shell, FileHandle: number): Promise<number> {
  const { Address, Length } = shell.buffer
  try {
    return (await shell.nt.NtReadFile({ FileHandle, Buffer: { Address, Length } })).IoStatusBlock.Information
  } catch (error) {
    if (error instanceof StatusError && error.status === NT_STATUS.STATUS_END_OF_FILE) return 0
    throw error
  }
}

const copy: Command = {
  usage: 'copy FROM TO',
  help: 'copies a file, or matching files into a directory',
  arguments: [2, 2],
  async run(shell, [fromTyped, toTyped]) {
    const from = pathOf(shell, fromTyped)
    const to = pathOf(shell, toTyped)
    const into = await isDirectoryNamed(shell, toTyped, to)
    const sources = hasWildcard(baseName(from)) ? await matching(shell, from) : [from]
    if (sources.length > 1 && !into) throw new CommandError(`${toTyped} is no directory: several files need one.`)
    for (const source of sources)
      await copyFile(shell, source, into ? `${to.replace(/\\$/, '')}\\${baseName(source)}` : to)
    await shell.print(`${String(sources.length).padStart(9)} file(s) copied.\n`)
  },
}
/** A backslash at the end says that it is one. */
async function isDirectoryNamed(shell: Shell, typed: string, path: string): Promise<boolean> {
  if (await isDirectory(shell, path)) return true
  if (/[\\/]$/.test(typed)) throw new StatusError('STATUS_OBJECT_PATH_NOT_FOUND')
  return false
}
async function matching(shell: Shell, pattern: string): Promise<string[]> {
  const directory = directoryOf(pattern)
  const found: string[] = []
  for await (const record of entries(shell, directory, baseName(pattern))) {
    if (!(record.FileAttributes & FILE_ATTRIBUTE_DIRECTORY))
      found.push(`${directory.replace(/\\$/, '')}\\${record.FileName}`)
  }
  return found
}
async function copyFile(shell: Shell, from: string, to: string): Promise<void> {
  if (from.toUpperCase() === to.toUpperCase()) throw new CommandError('A file cannot be copied onto itself.')
  await using(shell, await openFile(shell, from, FILE_READ_DATA, FILE_NON_DIRECTORY_FILE, FILE_SHARE_READ), (source) =>
    copyTo(shell, source, to),
  )
}
/** Its target is whole or not there: a part of a file looks like a file. */
async function copyTo(shell: Shell, source: number, to: string): Promise<void> {
  const size = await sizeOf(shell, source)
  const access = FILE_WRITE_DATA | DELETE
  const created = await createFile(shell, to, access, FILE_OVERWRITE_IF, FILE_NON_DIRECTORY_FILE, size)
  await using(shell, created, async (target) => {
    try {
      for (let length = await readSome(shell, source); length > 0; length = await readSome(shell, source)) {
        await shell.nt.NtWriteFile({ FileHandle: target, Buffer: { Address: shell.buffer.Address, Length: length } })
      }
    } catch (error) {
      if (error instanceof StatusError) await isDone(deleteOpen(shell, target))
      throw error
    }
  })
}
async function sizeOf(shell: Shell, FileHandle: number): Promise<number> {
  const { FileInformation } = await shell.nt.NtQueryInformationFile({
    FileHandle,
    Length: 64,
    FileInformationClass: FileStandardInformation.number,
  })
  return FileStandardInformation.decode(FileInformation).EndOfFile
}

const del: Command = {
  usage: 'del FILE',
  help: 'deletes a file, matching files, or an empty directory',
  arguments: [1, 1],
  async run(shell, [typed]) {
    const path = pathOf(shell, typed)
    if (path.endsWith(':\\')) throw new CommandError('A root directory cannot be deleted.')
    const targets = hasWildcard(baseName(path)) ? await matching(shell, path) : [path]
    for (const target of targets) await deleteOne(shell, target)
  },
}
async function deleteOne(shell: Shell, path: string): Promise<void> {
  await using(shell, await openFile(shell, path, DELETE, 0, 7), (FileHandle) => deleteOpen(shell, FileHandle))
}
/** It goes when its last handle is closed. */
async function deleteOpen(shell: Shell, FileHandle: number): Promise<void> {
  await shell.nt.NtSetInformationFile({
    FileHandle,
    FileInformation: FileDispositionInformation.encode({ DeleteFile: true }).bytes,
    FileInformationClass: FileDispositionInformation.number,
  })
}

const ren: Command = {
  usage: 'ren FROM TO',
  help: 'renames or moves a file or directory',
  arguments: [2, 2],
  async run(shell, [fromTyped, toTyped]) {
    const from = pathOf(shell, fromTyped)
    const bare = /[\\/:]/.test(toTyped) ? pathOf(shell, toTyped) : `${directoryOf(from).replace(/\\$/, '')}\\${toTyped}`
    const moves = (await isDirectoryNamed(shell, toTyped, bare)) && from.toUpperCase() !== bare.toUpperCase()
    const to = moves ? `${bare.replace(/\\$/, '')}\\${baseName(from)}` : bare
    await using(shell, await openFile(shell, from, DELETE, 0, 7), async (FileHandle) => {
      const { bytes } = FileRenameInformation.encode({ ReplaceIfExists: false, RootDirectory: 0, FileName: ntPath(to) })
      await shell.nt.NtSetInformationFile({
        FileHandle,
        FileInformation: bytes,
        FileInformationClass: FileRenameInformation.number,
      })
    })
  },
}
const md: Command = {
  usage: 'md DIRECTORY',
  help: 'makes a directory',
  arguments: [1, 1],
  async run(shell, [typed]) {
    await using(
      shell,
      await createFile(shell, pathOf(shell, typed), FILE_LIST_DIRECTORY, FILE_CREATE, FILE_DIRECTORY_FILE),
      async () => undefined,
    )
  },
}

/** The volume itself, not its root directory, which is opened before: that mounts what nobody has used yet. */
export async function openVolume(shell: Shell, letter: string, access: number): Promise<number> {
  const root = await openFile(shell, `${driveOf(letter)}\\`, FILE_LIST_DIRECTORY, FILE_DIRECTORY_FILE, 7)
  await shell.nt.NtClose({ Handle: root })
  const { FileHandle } = await shell.nt.NtOpenFile({
    DesiredAccess: access,
    ObjectAttributes: attributes(ntPath(driveOf(letter))),
    ShareAccess: 7,
    OpenOptions: 0,
  })
  return FileHandle
}
export function driveOf(typed: string): string {
  if (!/^[A-Za-z]:?\\?$/.test(typed)) throw new CommandError(`${typed} is no drive: say a letter, as in C.`)
  return `${typed[0].toUpperCase()}:`
}
export async function volumeInformation(shell: Shell, path: string): Promise<{ label: string; serial: number }> {
  return using(shell, await openFile(shell, path, FILE_LIST_DIRECTORY, FILE_DIRECTORY_FILE, 7), async (FileHandle) => {
    const { FsInformation } = await shell.nt.NtQueryVolumeInformationFile({
      FileHandle,
      Length: 256,
      FsInformationClass: FileFsVolumeInformation.number,
    })
    const { VolumeLabel, VolumeSerialNumber } = FileFsVolumeInformation.decode(FsInformation)
    return { label: VolumeLabel, serial: VolumeSerialNumber }
  })
}
export const fileCommands: Readonly<Record<string, Command>> = { dir, cd, pwd, type, copy, del, ren, md }
