/**
 * Banks: RAM as files that several processes map.
 *
 *   checkSpace(directory, bytes)   one clear error when the file system cannot hold that much more
 *   createBank(path, bytes)        makes the sparse file (private, must not exist yet)
 *   openBank(path, bytes, …)       maps it, or an extent of it, into this process
 *   protectNone(range)             takes the pages of a range away: whoever touches them ends this process
 *   takeAway(bytes)                takes a whole mapping away: whoever touches it touches zeros that nobody else sees
 *
 * A mapping is never unmapped while JavaScript may hold a view: an address given back is given out again, so that a stale
 * view would write into somebody else's page. Closing maps PROT_NONE over the range: a system call handed such a view
 * gets EFAULT. What is taken away is given back to the host when V8 has found that nobody holds a view of it
 * (docs/adr/0014-taken-memory.md).
 *
 * Never decides who may map what: that is the kernel's, by the paths or descriptors it hands out.
 */
import { closeSync, constants, fstatSync, ftruncateSync, openSync, statfsSync } from 'node:fs'
import { dirname } from 'node:path'
import { libc } from './libc.ts'

export interface OpenBank {
  readonly bytes: Uint8Array
  /** Where the mapping starts in this process. */
  readonly address: number
  /** Takes the whole mapping away; `bytes` must not be touched afterwards. Does nothing a second time. */
  close(): void
}
export interface OpenOptions {
  readonly writable: boolean
  /** Where in the file the mapping starts, a multiple of the page; 0 by default. */
  readonly offset?: number
}

export const PAGE = 4096
const MIB = 1024 * 1024

// <sys/mman.h> on Linux, the same on x86-64 and arm64.
const PROT_NONE = 0
const PROT_READ = 1
const PROT_WRITE = 2
const MAP_SHARED = 0x01
const MAP_PRIVATE = 0x02
const MAP_FIXED = 0x10
const MAP_ANONYMOUS = 0x20
const MAP_NORESERVE = 0x4000

/** Where each mapped buffer lies: lets protectNone refuse anything that is not a bank (V8's heap, a Buffer's pool). */
const addresses = new WeakMap<ArrayBufferLike, number>()

const inMiB = (bytes: number): string => `${Number((bytes / MIB).toFixed(1))} MiB`

/** Throws when `directory`'s file system has less than `bytes` free. A tmpfs counts what is written, not what is made. */
export function checkSpace(directory: string, bytes: number): void {
  const { bavail, bsize } = statfsSync(directory)
  const free = bavail * bsize
  if (free >= bytes) return
  throw new Error(
    `Memory banks need ${inMiB(bytes)} in ${directory}, but only ${inMiB(free)} are free: ` +
      'make the banks in launch.json smaller, free some space there, or choose another place with --run DIR ' +
      '(in Docker: a larger shm_size)',
  )
}

const checkLength = (bytes: number, what: string): void => {
  if (!Number.isSafeInteger(bytes) || bytes <= 0 || bytes % PAGE !== 0)
    throw new RangeError(`${what} must be a positive multiple of ${PAGE} bytes, not ${bytes}`)
}

/** Makes a bank's file, all zeros, readable and writable by this user only. */
export function createBank(path: string, bytes: number): void {
  checkLength(bytes, 'A bank')
  checkSpace(dirname(path), bytes)
  const { O_CREAT, O_EXCL, O_RDWR, O_NOFOLLOW } = constants
  const file = openSync(path, O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW, 0o600)
  try {
    ftruncateSync(file, bytes)
  } finally {
    closeSync(file)
  }
}

/**
 * Maps `bytes` bytes of the bank at `path`. A file shorter than that is refused: touching a page beyond its end would
 * end this process with SIGBUS.
 */
export function openBank(path: string, bytes: number, { writable, offset = 0 }: OpenOptions): OpenBank {
  checkLength(bytes, 'A mapping')
  if (!Number.isSafeInteger(offset) || offset < 0 || offset % PAGE !== 0)
    throw new RangeError(`A mapping starts at a multiple of ${PAGE} bytes, not ${offset}`)
  const file = openSync(path, (writable ? constants.O_RDWR : constants.O_RDONLY) | constants.O_NOFOLLOW)
  try {
    const { size } = fstatSync(file)
    if (size < offset + bytes)
      throw new RangeError(`${path} has ${size} bytes, but ${offset + bytes} are to be mapped: it is not that bank`)
    return map(path, file, bytes, offset, writable)
  } finally {
    closeSync(file)
  }
}

function map(path: string, file: number, bytes: number, offset: number, writable: boolean): OpenBank {
  const { mapFile, errnoName } = libc()
  const mapped = mapFile(bytes, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, file, offset)
  if ('errno' in mapped) throw new Error(`${path} cannot be mapped (${inMiB(bytes)}): ${errnoName(mapped.errno)}`)
  addresses.set(mapped.memory, mapped.address)
  const view = new Uint8Array(mapped.memory)
  let open = true
  return {
    bytes: view,
    address: mapped.address,
    close() {
      if (open) protectNone(view)
      open = false
    },
  }
}

/** Views of what was taken away are gone: its addresses may be anybody's. */
const unreachable = new FinalizationRegistry<{ readonly address: number; readonly length: number }>(
  ({ address, length }) => libc().unmap(address, length),
)
/** `bytes` must be a whole mapping, as openBank gave it. */
export function takeAway(bytes: Uint8Array): void {
  const address = addresses.get(bytes.buffer)
  if (address === undefined || bytes.byteLength !== bytes.buffer.byteLength)
    throw new RangeError('takeAway takes a whole mapping of a bank')
  const length = bytes.byteLength
  if (!libc().mapOver(address, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE))
    throw new Error('The memory of a bank could not be taken away')
  unreachable.register(bytes.buffer, { address, length })
}
/**
 * Takes a range of an opened bank away from this process. The caller makes sure that nothing reads the range any more:
 * an access from JavaScript ends the process. The range must be whole pages.
 */
export function protectNone(range: Uint8Array): void {
  const base = addresses.get(range.buffer)
  if (base === undefined) throw new RangeError('protectNone takes a view of an opened bank, not of other memory')
  if (range.byteOffset % PAGE !== 0 || range.byteLength % PAGE !== 0 || range.byteLength === 0)
    throw new RangeError(`protectNone takes whole pages, not ${range.byteLength} bytes at ${range.byteOffset}`)
  const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE
  if (!libc().mapOver(base + range.byteOffset, range.byteLength, PROT_NONE, flags))
    throw new Error(`The pages at ${range.byteOffset} of a bank could not be taken away`)
}
