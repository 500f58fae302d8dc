/**
 * The run directory: all state of one running system, private to its user, removed at the end.
 *
 *   makeRunDirectory(wanted, bytes, shared)   makes and locks it; `bytes` is the memory that will be kept in it
 *   liveRuns()                        run directories of this user's running systems, newest first
 *
 * No list of running systems is kept anywhere: the kernel's command line names its run directory, and /proc is asked.
 */
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { commandLine, named } from '../processes.ts'
import { errorCode, UserError } from '../user-error.ts'
import { tryLock } from './file-lock.ts'

export interface RunDirectory {
  readonly path: string
  remove(): void
}
/** A unix socket's name has 108 bytes [unix(7)]; RUN/s/<process>.<endpoint> needs up to 44 of them. */
const LONGEST_PATH = 108 - 44
/** What is in a run directory besides the banks: logs, sockets. */
const SPARE_BYTES = 8 << 20

/** `shared`: other users of our group may enter, and open what they know the name of. */
export function makeRunDirectory(wanted: string | undefined, bytes: number, shared = false): RunDirectory {
  const directory = wanted === undefined ? makeFresh(bytes) : makeNamed(path.resolve(wanted), bytes)
  fs.chmodSync(directory, shared ? 0o710 : 0o700)
  return lockRun(directory, shared)
}

function makeFresh(bytes: number): string {
  const roots = ['/dev/shm', os.tmpdir()]
  const root = roots.find((candidate) => isWritable(candidate) && roomIn(candidate) >= bytes + SPARE_BYTES)
  if (!root)
    throw new UserError(
      `neither ${roots.join(' nor ')} has ${megabytes(bytes)} of room for the system's memory: free some, or pass --run with a directory that has it`,
    )
  return fs.mkdtempSync(path.join(root, `neptune-${os.userInfo().uid}-`))
}
function makeNamed(directory: string, bytes: number): string {
  if (Buffer.byteLength(directory) > LONGEST_PATH)
    throw new UserError(
      `the run directory's path is longer than ${LONGEST_PATH} bytes, too long for sockets in it: ${directory}`,
    )
  const made = makeDirectory(directory)
  try {
    checkNamed(directory, bytes)
  } catch (error) {
    if (made) fs.rmdirSync(directory)
    throw error
  }
  return directory
}
function checkNamed(directory: string, bytes: number): void {
  if (!isWritable(directory))
    throw new UserError(`the run directory ${directory} is not writable: choose one you may write to`)
  refuseStranger(directory)
  if (roomIn(directory) < bytes + SPARE_BYTES)
    throw new UserError(
      `the run directory ${directory} has too little room: the system's memory needs ${megabytes(bytes)} there; free some, or choose another`,
    )
}
/** False: it was there. Not with its parents: Node's recursive form never returns where the file system refuses with ENOENT, as /proc does. */
function makeDirectory(directory: string): boolean {
  try {
    fs.mkdirSync(directory, { mode: 0o700 })
    return true
  } catch (error) {
    if (errorCode(error) === 'EEXIST') {
      if (fs.statSync(directory).isDirectory()) return false
      throw new UserError(`the run directory ${directory} is a file: choose a directory, or a name that is not taken`)
    }
    throw new UserError(
      `the run directory ${directory} cannot be made (${errorCode(error)}): choose one in a directory that exists and that you may write to`,
    )
  }
}
/** A directory with somebody's files in it is not cleared; one that a dead system left is. */
function refuseStranger(directory: string): void {
  const entries = fs.readdirSync(directory)
  if (entries.length === 0 || entries.includes(LOCK)) return
  throw new UserError(
    `the run directory ${directory} is not empty and was not made by Neptune: choose an empty or new one`,
  )
}

const LOCK = 'lock'
/** Tells agents that have not been asked for anything yet that nobody will. */
export const OVER = 'over'
function lockRun(directory: string, shared: boolean): RunDirectory {
  const descriptor = fs.openSync(path.join(directory, LOCK), 'a', 0o600)
  if (!tryLock(descriptor, 'exclusive')) {
    fs.closeSync(descriptor)
    throw new UserError(`another system is running in ${directory}: stop it, or pass --run with another directory`)
  }
  clear(directory)
  // A shared one is a volume's root: it goes with the volume.
  const remove = () => {
    clear(directory)
    fs.writeFileSync(path.join(directory, OVER), '')
  }
  if (shared) return { path: directory, remove }
  return { path: directory, remove: () => fs.rmSync(directory, { recursive: true, force: true, maxRetries: 3 }) }
}
function clear(directory: string): void {
  for (const entry of fs.readdirSync(directory))
    if (entry !== LOCK) fs.rmSync(path.join(directory, entry), { recursive: true, force: true, maxRetries: 3 })
}

function isWritable(directory: string): boolean {
  try {
    fs.accessSync(directory, fs.constants.W_OK | fs.constants.X_OK)
    return true
  } catch {
    return false
  }
}
function roomIn(directory: string): number {
  const { bavail, bsize } = fs.statfsSync(directory)
  return bavail * bsize
}
const megabytes = (bytes: number) => `${Math.ceil(bytes / (1 << 20))} MiB`

export function liveRuns(kernelImage: string): string[] {
  return named(kernelImage, kernelImage)
    .map(({ pid, startTime }) => ({ run: runOf(pid, kernelImage), startTime }))
    .filter((found): found is { run: string; startTime: number } => found.run !== undefined)
    .sort((a, b) => b.startTime - a.startTime)
    .map(({ run }) => run)
}
function runOf(pid: number, kernelImage: string): string | undefined {
  const words = commandLine(pid)
  const run = words[words.indexOf(kernelImage) + 1]
  return run && fs.existsSync(path.join(run, 'control')) ? run : undefined
}
