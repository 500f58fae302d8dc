/** Commands on volumes, processes, drivers and the system. */
import { FSCTL_DISMOUNT_VOLUME, FSCTL_LOCK_VOLUME, FSCTL_UNLOCK_VOLUME } from '#contracts/information'
import { decodeModules, decodeProcesses, SystemModuleInformation, SystemProcessInformation } from '#contracts/sysinfo'
import { NT_STATUS, StatusError, statusName } from '#rtl'
import { driveOf, openVolume, volumeInformation } from './files.ts'
import { type Command, CommandError, isDone, type Shell, using } from './shell.ts'

const GENERIC_READ_WRITE = 0xc0000000
const PROCESS_TERMINATE = 1
const ROOT_DEVICE = 'HTREE\\ROOT\\0'
const CHILD = 2
const SIBLING = 3
const TABLE_MAX = 32768

const mount: Command = {
  usage: 'mount DRIVE',
  help: 'mounts a volume',
  arguments: [1, 1],
  async run(shell, [typed]) {
    const drive = driveOf(typed)
    const { label, serial } = await volumeInformation(shell, `${drive}\\`)
    const number = serial.toString(16).toUpperCase().padStart(8, '0')
    await shell.print(`${drive} ${label || 'no label'}, serial number ${number.slice(0, 4)}-${number.slice(4)}\n`)
  },
}
const umount: Command = {
  usage: 'umount DRIVE',
  help: 'writes a volume back and dismounts it',
  arguments: [1, 1],
  async run(shell, [typed]) {
    await using(shell, await openVolume(shell, typed, GENERIC_READ_WRITE), async (FileHandle) => {
      for (const FsControlCode of [FSCTL_LOCK_VOLUME, FSCTL_DISMOUNT_VOLUME]) {
        await shell.nt.NtFsControlFile({ FileHandle, FsControlCode, OutputBufferLength: 0 })
      }
      // A dismounted volume has forgotten its lock.
      await isDone(shell.nt.NtFsControlFile({ FileHandle, FsControlCode: FSCTL_UNLOCK_VOLUME, OutputBufferLength: 0 }))
    })
  },
}
const sync: Command = {
  usage: 'sync [DRIVE]',
  help: 'puts everything written to a volume on its disk',
  arguments: [0, 1],
  async run(shell, [typed]) {
    await using(shell, await openVolume(shell, typed ?? shell.cwd.slice(0, 2), GENERIC_READ_WRITE), (FileHandle) =>
      shell.nt.NtFlushBuffersFile({ FileHandle }),
    )
  },
}

async function processes(shell: Shell) {
  const { SystemInformation } = await shell.nt.NtQuerySystemInformation({
    SystemInformationClass: SystemProcessInformation,
    SystemInformationLength: TABLE_MAX,
  })
  return decodeProcesses(SystemInformation)
}
const ps: Command = {
  usage: 'ps',
  help: 'lists processes',
  arguments: [0, 0],
  async run(shell) {
    let text = `${'PID'.padStart(5)}  ${'Name'.padEnd(16)}${'Handles'.padStart(8)}${'Memory'.padStart(12)}${'CPU'.padStart(10)}\n`
    for (const row of await processes(shell)) {
      const memory = `${Math.round(row.WorkingSetSize / 1024)} KiB`
      text += `${String(row.UniqueProcessId).padStart(5)}  ${row.ImageName.padEnd(16)}${String(row.HandleCount).padStart(8)}${memory.padStart(12)}${`${(row.UserTime / 1e7).toFixed(2)} s`.padStart(10)}\n`
    }
    await shell.print(text)
  },
}
const lm: Command = {
  usage: 'lm',
  help: 'lists drivers',
  arguments: [0, 0],
  async run(shell) {
    const { SystemInformation } = await shell.nt.NtQuerySystemInformation({
      SystemInformationClass: SystemModuleInformation,
      SystemInformationLength: TABLE_MAX,
    })
    const rows = decodeModules(SystemInformation)
    await shell.print(
      `List of driver objects (${rows.length} total):\n${rows.map((row) => `  ${row.FullPathName}\n`).join('')}`,
    )
  },
}
const kill: Command = {
  usage: 'kill NAME',
  help: 'ends a process, by name or number; drivers come back',
  arguments: [1, 1],
  async run(shell, [typed]) {
    const rows = await processes(shell)
    const found = rows.find(
      (row) => row.ImageName.toLowerCase() === typed.toLowerCase() || String(row.UniqueProcessId) === typed,
    )
    if (!found) throw new CommandError(`There is no process ${typed}: ps lists them.`)
    const { ProcessHandle } = await shell.nt.NtOpenProcess({
      DesiredAccess: PROCESS_TERMINATE,
      ClientId: { UniqueProcess: found.UniqueProcessId, UniqueThread: 0 },
    })
    await using(shell, ProcessHandle, () =>
      shell.nt.NtTerminateProcess({ ProcessHandle, ExitStatus: NT_STATUS.STATUS_PROCESS_IS_TERMINATING }),
    )
  },
}

async function related(shell: Shell, TargetDeviceInstance: string, Relation: number): Promise<string | undefined> {
  try {
    const { Result } = await shell.nt.NtPlugPlayControl({
      Control: { kind: 'GetRelatedDevice', TargetDeviceInstance, Relation },
    })
    return Result.RelatedDeviceInstance
  } catch (error) {
    if (
      error instanceof StatusError &&
      (error.status === NT_STATUS.STATUS_NO_SUCH_DEVICE || error.status === NT_STATUS.STATUS_NO_MORE_ENTRIES)
    )
      return undefined
    throw error
  }
}
async function tree(shell: Shell, instance: string, depth: number): Promise<string> {
  const { Result } = await shell.nt.NtPlugPlayControl({ Control: { kind: 'DeviceStatus', DeviceInstance: instance } })
  const problem = Result.Problem ? ` (${statusName(Result.Problem)})` : ''
  let text = `${'  '.repeat(depth)}${instance}  ${Result.Service ?? '-'}  ${Result.State ?? ''}${problem}\n`
  for (
    let child = await related(shell, instance, CHILD);
    child !== undefined;
    child = await related(shell, child, SIBLING)
  ) {
    text += await tree(shell, child, depth + 1)
  }
  return text
}
const devtree: Command = {
  usage: 'devtree',
  help: 'shows the device tree',
  arguments: [0, 0],
  run: async (shell) => shell.print(await tree(shell, ROOT_DEVICE, 0)),
}

const rem: Command = {
  usage: 'rem [TEXT]',
  help: 'does nothing: a remark in a script',
  arguments: [0, 100],
  async run() {},
}
const exit: Command = {
  usage: 'exit',
  help: 'leaves the shell',
  arguments: [0, 0],
  async run(shell) {
    shell.leave = 'exit'
  },
}
const shutdown: Command = {
  usage: 'shutdown',
  help: 'writes everything back and stops the system',
  arguments: [0, 0],
  async run(shell) {
    shell.leave = 'shutdown'
  },
}
export const systemCommands: Readonly<Record<string, Command>> = {
  mount,
  umount,
  sync,
  ps,
  lm,
  devtree,
  kill,
  rem,
  exit,
  shutdown,
}
