/** System services on processes. */
import type { Caller } from '#sel4/api'
import type { Handlers } from '#contracts/interface'
import type { SystemServices } from '#contracts/nt'
import { NT_STATUS, StatusError } from '#rtl'
import type { Executive } from '../executive.ts'
import { Process } from './process.ts'

type Services = Handlers<typeof SystemServices, Caller>
type PsServices = Pick<
  Services,
  'NtCreateUserProcess' | 'NtResumeProcess' | 'NtOpenProcess' | 'NtTerminateProcess' | 'NtQueryInformationProcess'
>

const PROCESS_TERMINATE = 0x1
const PROCESS_SUSPEND_RESUME = 0x800
/** THREAD_CREATE_FLAGS_CREATE_SUSPENDED. */
const CREATE_SUSPENDED = 0x1
const CURRENT_PROCESS = 0xffffffff
const ProcessBasicInformation = 0
/** Ours: current directory, NUL, command line, in UTF-8; only of the caller itself. */
export const processParameters = 0x1000
/** sizeof(PROCESS_BASIC_INFORMATION), 64-bit: ExitStatus first, UniqueProcessId at 0x20. */
const BASIC = { size: 0x30, pid: 0x20 }

/** `\SystemRoot\ntcmd.exe`, `ntcmd.exe` and `ntcmd` name the same image. */
export const imageOf = (path: string): string =>
  path
    .slice(path.lastIndexOf('\\') + 1)
    .replace(/\.exe$/i, '')
    .toLowerCase()

export function psServices(ex: Executive): PsServices {
  const { ob, ps } = ex
  const target = (caller: Caller, handle: number, access: number): Process => {
    const process = ps.byBadge(caller.badge)
    return handle === 0 || handle === CURRENT_PROCESS ? process : ob.fromHandle(process, handle, Process, access)
  }
  /** Without the handle nothing is left of it. */
  const handleOf = async (caller: Caller, created: Process, access: number): Promise<number> => {
    try {
      return ob.createHandle(ps.byBadge(caller.badge), created, access)
    } catch (error) {
      await ps.terminate(created, NT_STATUS.STATUS_PROCESS_IS_TERMINATING)
      throw error
    }
  }
  return {
    async NtCreateUserProcess(request, caller) {
      const { ProcessDesiredAccess, ThreadFlags = 0, ImagePathName, CommandLine, CurrentDirectory } = request
      if (ThreadFlags & ~CREATE_SUSPENDED) throw new StatusError('STATUS_INVALID_PARAMETER')
      const created = await ps.create({
        image: imageOf(ImagePathName),
        kind: 'program',
        birth: 'fresh',
        commandLine: CommandLine,
        currentDirectory: CurrentDirectory,
        suspended: (ThreadFlags & CREATE_SUSPENDED) !== 0,
      })
      const ProcessHandle = await handleOf(caller, created, ProcessDesiredAccess)
      return { ProcessHandle, ClientId: { UniqueProcess: created.pid, UniqueThread: created.pid } }
    },
    async NtResumeProcess({ ProcessHandle }, caller) {
      await ps.resume(target(caller, ProcessHandle, PROCESS_SUSPEND_RESUME))
      return {}
    },
    NtOpenProcess: ({ DesiredAccess, ClientId }, caller) => ({
      ProcessHandle: ob.createHandle(ps.byBadge(caller.badge), ps.byBadge(ClientId.UniqueProcess), DesiredAccess),
    }),
    async NtTerminateProcess({ ProcessHandle, ExitStatus }, caller) {
      await ps.terminate(target(caller, ProcessHandle, PROCESS_TERMINATE), ExitStatus)
      return {}
    },
    NtQueryInformationProcess({ ProcessHandle, ProcessInformationClass, ProcessInformationLength }, caller) {
      const process = target(caller, ProcessHandle, 0)
      const bytes = information(process, ProcessInformationClass, process.pid === caller.badge)
      if (bytes.length > ProcessInformationLength) throw new StatusError('STATUS_INFO_LENGTH_MISMATCH')
      return { ProcessInformation: bytes, ReturnLength: bytes.length }
    },
  }
}

function information(process: Process, informationClass: number, own: boolean): Uint8Array {
  if (informationClass === ProcessBasicInformation) {
    const bytes = new Uint8Array(BASIC.size)
    const view = new DataView(bytes.buffer)
    view.setUint32(0, process.exitStatus, true)
    view.setBigUint64(BASIC.pid, BigInt(process.pid), true)
    return bytes
  }
  if (informationClass === processParameters && own) {
    return new TextEncoder().encode(`${process.currentDirectory}\0${process.commandLine}`)
  }
  throw new StatusError('STATUS_INVALID_INFO_CLASS')
}
