/**
 * The command prompt: reads the keyboard device, edits a line, runs a command.
 *
 * A command that fails prints one sentence and counts; the count is the shell's exit status.
 */
import { attributes, type NativeProcess, nativeMain } from '#ntdll'
import { NT_STATUS, StatusError } from '#rtl'
import { fileCommands } from './files.ts'
import { KEYBOARD_INPUT_DATA_SIZE, KeyTranslator } from './keys.ts'
import { LINE_MAX, LineEditor, words } from './line.ts'
import { type Command, CommandError, messageOf, type Shell } from './shell.ts'
import { systemCommands } from './system.ts'

/** One transfer of copy and type: large enough that a hop costs little, small enough to show progress in a trace. */
const BUFFER_BYTES = 1024 * 1024
const RECORDS = 32
const GENERIC_READ = 0x80000000
const POWER_OFF = 2
const EVERYTHING = 0x1fffff

const help: Command = {
  usage: 'help',
  help: 'shows this list',
  arguments: [0, 0],
  async run(shell) {
    const rows = Object.values(commands).map((command) => `  ${command.usage.padEnd(18)}${command.help}\n`)
    await shell.print(
      `${rows.join('')}  NAME [ARGUMENTS]  runs a program\nWrites reach the disk a little later; sync, umount and shutdown wait for them.\n`,
    )
  },
}
const commands: Readonly<Record<string, Command>> = { help, ...fileCommands, ...systemCommands }

export const main = nativeMain(async (process) => {
  const shell: Shell = {
    ...process,
    cwd: process.currentDirectory || 'C:\\',
    failures: 0,
    buffer: process.allocate(BUFFER_BYTES),
  }
  await shell.print('\nNeptune OS command prompt. Type help for the commands.\n\n')
  const keyboard = await openKeyboard(shell)
  const lines = readLines(shell, keyboard)
  while (!shell.leave) {
    await shell.print(`${shell.cwd}>`)
    await execute(shell, (await lines.next()).value as string)
  }
  await shell.nt.NtClose({ Handle: keyboard })
  const status = shell.failures === 0 ? NT_STATUS.STATUS_SUCCESS : NT_STATUS.STATUS_UNSUCCESSFUL
  if (shell.leave === 'shutdown') await shell.nt.NtShutdownSystem({ Action: POWER_OFF, ExitStatus: status })
  return status
})

async function openKeyboard({ nt }: NativeProcess): Promise<number> {
  const { FileHandle } = await nt.NtOpenFile({
    DesiredAccess: GENERIC_READ,
    ObjectAttributes: attributes('\\Device\\KeyboardClass0'),
    ShareAccess: 3,
    OpenOptions: 0,
  })
  return FileHandle
}
async function* readLines(shell: Shell, FileHandle: number): AsyncGenerator<string, never> {
  const keys = new KeyTranslator()
  const editor = new LineEditor()
  const buffer = shell.allocate(RECORDS * KEYBOARD_INPUT_DATA_SIZE, 16)
  for (;;) {
    const { IoStatusBlock } = await shell.nt.NtReadFile({
      FileHandle,
      Buffer: { Address: buffer.Address, Length: buffer.Length },
    })
    let echo = ''
    for (const key of keys.translate(buffer.bytes.slice(0, IoStatusBlock.Information))) {
      const { print, line } = editor.key(key)
      echo += print
      if (line === undefined) continue
      await shell.print(echo)
      echo = ''
      yield line
    }
    if (echo) await shell.print(echo)
  }
}

async function execute(shell: Shell, line: string): Promise<void> {
  const [name, ...args] = words(line)
  if (name === undefined) return
  try {
    // What is cut off could make another command of it.
    if (line.length > LINE_MAX)
      throw new CommandError(`The line is longer than ${LINE_MAX} characters: nothing was done.`)
    const command = commands[name.toLowerCase()]
    if (/^[A-Za-z]:$/.test(name)) await commands.cd.run(shell, [`${name}\\`])
    else if (!command) await runProgram(shell, name, line)
    else if (args.length < command.arguments[0] || args.length > command.arguments[1])
      throw new CommandError(`Usage: ${command.usage}`)
    else await command.run(shell, args)
  } catch (error) {
    shell.failures++
    if (error instanceof StatusError) await shell.print(`${messageOf(error.status)}\n`)
    else if (error instanceof CommandError) await shell.print(`${error.message}\n`)
    else throw error
  }
}
async function runProgram(shell: Shell, name: string, line: string): Promise<void> {
  const process = await startProgram(shell, name, line)
  await shell.nt.NtWaitForSingleObject({ Handle: process, Alertable: false })
  const { ProcessInformation } = await shell.nt.NtQueryInformationProcess({
    ProcessHandle: process,
    ProcessInformationClass: 0,
    ProcessInformationLength: 0x30,
  })
  await shell.nt.NtClose({ Handle: process })
  const status = new DataView(ProcessInformation.buffer, ProcessInformation.byteOffset).getUint32(0, true)
  if (status !== NT_STATUS.STATUS_SUCCESS) throw new StatusError(status)
}
async function startProgram(shell: Shell, name: string, CommandLine: string): Promise<number> {
  try {
    const { ProcessHandle } = await shell.nt.NtCreateUserProcess({
      ProcessDesiredAccess: EVERYTHING,
      ImagePathName: name,
      CommandLine,
      CurrentDirectory: shell.cwd,
    })
    return ProcessHandle
  } catch (error) {
    if (!(error instanceof StatusError) || error.status !== NT_STATUS.STATUS_OBJECT_NAME_NOT_FOUND) throw error
    throw new CommandError(`'${name}' is neither a command nor a program: type help for the list.`)
  }
}
