/**
 * ntdll: what a native program links to. System services, a heap in memory the system can be pointed at, text output.
 *
 *   nativeMain(program)      the main() of a program: runs it, then ends the process with its exit status
 *   NativeProcess            services, heap, print, parameters, and the seams for time and chance
 *
 * Knows of no program. A program never touches an endpoint: everything goes through here.
 */
import type { Client } from '#contracts/interface'
import { SystemServices } from '#contracts/nt'
import type { Environment, Main } from '#sel4/api'
import { type Buffer, Heap } from './heap.ts'

export type { Buffer } from './heap.ts'
export * from './path.ts'

/** NtCurrentProcess(). */
const CURRENT_PROCESS = 0xffffffff
const PROCESS_PARAMETERS = 0x1000
const OBJ_CASE_INSENSITIVE = 0x40

export interface NativeProcess {
  readonly nt: Client<typeof SystemServices>
  readonly commandLine: string
  readonly currentDirectory: string
  /** The manifest's `config` of this image. */
  readonly config: Readonly<Record<string, unknown>>
  allocate(length: number, alignment?: number): Buffer
  free(buffer: Buffer): void
  print(text: string): Promise<void>
  /** Milliseconds, monotonic. */
  now(): number
  sleep(milliseconds: number): Promise<void>
  random(): number
}

/** Attributes of an absolute or relative object name. */
export const attributes = (ObjectName: string, RootDirectory = 0) => ({
  RootDirectory,
  ObjectName,
  Attributes: OBJ_CASE_INSENSITIVE,
})

export function nativeMain(program: (process: NativeProcess) => Promise<number>): Main {
  return async (env) => {
    const process = await attach(env)
    const ExitStatus = await program(process)
    await process.nt.NtTerminateProcess({ ProcessHandle: CURRENT_PROCESS, ExitStatus })
    env.exit(0)
  }
}

async function attach(env: Environment): Promise<NativeProcess> {
  const nt = env.sel4.client(SystemServices, env.caps.executive)
  const { ProcessInformation } = await nt.NtQueryInformationProcess({
    ProcessHandle: CURRENT_PROCESS,
    ProcessInformationClass: PROCESS_PARAMETERS,
    ProcessInformationLength: 4096,
  })
  const [currentDirectory, commandLine] = new TextDecoder().decode(ProcessInformation).split('\0')
  const heap = env.arena && new Heap(env.arena)
  return {
    nt,
    commandLine,
    currentDirectory,
    config: env.config,
    allocate(length, alignment) {
      if (!heap) throw new Error('this program has no arena: give it one in the manifest')
      return heap.allocate(length, alignment)
    },
    free: (buffer) => heap?.free(buffer),
    async print(text) {
      for (let at = 0; at < text.length; at += 4000) await nt.NtDisplayString({ String: text.slice(at, at + 4000) })
    },
    now: () => env.clock.now(),
    sleep: (milliseconds) => env.clock.sleep(milliseconds),
    random: () => env.random.next(),
  }
}
