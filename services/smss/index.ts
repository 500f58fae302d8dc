/**
 * The session manager: brings the device tree up, loads what no device asks for, gives volumes their letters, and starts
 * the shell. When the shell is left, the system is shut down; when it dies, it is started again.
 */
import { attributes, type NativeProcess, nativeMain } from '#ntdll'
import { NT_STATUS, NT_SUCCESS, StatusError, statusName } from '#rtl'

const SERVICES = '\\Registry\\Machine\\System\\CurrentControlSet\\Services\\'
const ROOT_DEVICE = 'HTREE\\ROOT\\0'
/** CTL_CODE(MOUNTMGRCONTROLTYPE, 5, METHOD_BUFFERED, FILE_READ_ACCESS | FILE_WRITE_ACCESS). */
const IOCTL_MOUNTMGR_AUTO_DL_ASSIGNMENTS = 0x6dc014
const SHELL = '\\SystemRoot\\ntcmd.exe'
/** A shell that dies this often is broken, not unlucky. */
const SHELL_STARTS_MAX = 10
const CREATE_SUSPENDED = 1
const POWER_OFF = 2
const EVERYTHING = 0x1fffff

async function loadDriver({ nt, print }: NativeProcess, name: string): Promise<void> {
  await print(`Loading driver ${name} ... `)
  try {
    await nt.NtLoadDriver({ DriverServiceName: SERVICES + name })
    await print('OK\n')
  } catch (error) {
    if (!(error instanceof StatusError)) throw error
    await print(`${statusName(error.status)}\n`)
  }
}

async function startDevices({ nt, print }: NativeProcess): Promise<void> {
  await print('Starting devices ... ')
  await nt.NtPlugPlayControl({ Control: { kind: 'EnumerateDevice', DeviceInstance: ROOT_DEVICE } })
  await print('OK\n')
}

/** Drive letters for the volumes there are; none is no error. */
async function mountDrives({ nt, print }: NativeProcess): Promise<void> {
  try {
    const { FileHandle } = await nt.NtOpenFile({
      DesiredAccess: 0xc0000000,
      ObjectAttributes: attributes('\\Device\\MountPointManager'),
      ShareAccess: 3,
      OpenOptions: 0,
    })
    await nt.NtDeviceIoControlFile({
      FileHandle,
      IoControlCode: IOCTL_MOUNTMGR_AUTO_DL_ASSIGNMENTS,
      OutputBufferLength: 0,
    })
    await nt.NtClose({ Handle: FileHandle })
  } catch (error) {
    if (!(error instanceof StatusError)) throw error
    await print(`No drive letters: ${statusName(error.status)}\n`)
  }
}

/** A shell in memory; it begins when it is resumed. */
async function loadShell({ nt }: NativeProcess): Promise<number> {
  const { ProcessHandle } = await nt.NtCreateUserProcess({
    ProcessDesiredAccess: EVERYTHING,
    ThreadFlags: CREATE_SUSPENDED,
    ImagePathName: SHELL,
    CommandLine: 'ntcmd',
    CurrentDirectory: 'C:\\',
  })
  return ProcessHandle
}
async function exitStatus({ nt }: NativeProcess, ProcessHandle: number): Promise<number> {
  await nt.NtWaitForSingleObject({ Handle: ProcessHandle, Alertable: false })
  const { ProcessInformation } = await nt.NtQueryInformationProcess({
    ProcessHandle,
    ProcessInformationClass: 0,
    ProcessInformationLength: 0x30,
  })
  await nt.NtClose({ Handle: ProcessHandle })
  return new DataView(ProcessInformation.buffer, ProcessInformation.byteOffset).getUint32(0, true)
}
/** The shell's exit status; a shell that was killed comes back. */
async function runShell(process: NativeProcess, first: Promise<number>): Promise<number> {
  for (let starts = 0; starts < SHELL_STARTS_MAX; starts++) {
    const ProcessHandle = await (starts === 0 ? first : loadShell(process))
    await process.nt.NtResumeProcess({ ProcessHandle })
    const status = await exitStatus(process, ProcessHandle)
    if (status !== NT_STATUS.STATUS_PROCESS_IS_TERMINATING) return status
    await process.print('\nThe shell ended unexpectedly; starting it again.\n')
  }
  return NT_STATUS.STATUS_UNSUCCESSFUL
}

export const main = nativeMain(async (process) => {
  await process.print('Neptune OS Session Manager\n')
  const shell = loadShell(process)
  await startDevices(process)
  await loadDriver(process, 'fatfs')
  await loadDriver(process, 'mountmgr')
  await mountDrives(process)
  const status = await runShell(process, shell)
  await process.nt.NtShutdownSystem({ Action: POWER_OFF, ExitStatus: NT_SUCCESS(status) && status === 0 ? 0 : 1 })
  return status
})
