/**
 * The few calls of the C library that Node does not offer: mmap and prctl.
 *
 *   libc()        the calls, loaded on first use; throws one clear sentence where they cannot be had
 *   errnoName(n)  'ENOMEM' for 12
 *
 * Addresses are numbers: a user address on the 64-bit Linux machines we run on is below 2^48, so nothing is rounded.
 * Never loaded by a process that maps nothing: the simulator needs no native code.
 */
import type koffiModule from 'koffi'

type Koffi = typeof koffiModule

export interface Libc {
  /** Maps `length` bytes of an open file; returns the address and the memory itself, or the error's number. */
  mapFile(length: number, protection: number, flags: number, file: number, offset: number): Mapped | { errno: number }
  /** Maps over an address range already mapped; false when refused. */
  mapOver(address: number, length: number, protection: number, flags: number): boolean
  unmap(address: number, length: number): void
  prctl(option: number, value: number): number
  getppid(): number
  errnoName(errno: number): string
}
export interface Mapped {
  readonly address: number
  readonly memory: ArrayBuffer
}

/** MAP_FAILED is (void *)-1. */
const MAP_FAILED = 0xffff_ffff_ffff_ffffn

/** glibc's name first, then musl's on the two processors we know. */
const LIBRARIES = ['libc.so.6', 'libc.musl-x86_64.so.1', 'libc.musl-aarch64.so.1']

const unsupported = (why: string): Error =>
  new Error(
    `Shared memory needs 64-bit Linux and its C library, but ${why}; run Neptune on Linux (x86-64 or arm64), or in a container`,
  )

function loadKoffi(): Koffi {
  try {
    return require('koffi') as Koffi
  } catch (error) {
    throw unsupported(`the native module koffi does not load here (${(error as Error).message.split('\n')[0]})`)
  }
}

function openLibrary(koffi: Koffi): ReturnType<Koffi['load']> {
  for (const name of LIBRARIES) {
    try {
      return koffi.load(name)
    } catch {
      // Not this system's name for it: the next one is tried, and the end of the list is the error.
    }
  }
  throw unsupported(`none of ${LIBRARIES.join(', ')} could be opened`)
}

/** Exported for its test: the machine's name and processor are arguments. */
export function checkPlatform(platform: string, architecture: string): void {
  const known = platform === 'linux' && (architecture === 'x64' || architecture === 'arm64')
  if (!known) throw unsupported(`this is ${platform} on ${architecture}`)
}

function load(): Libc {
  checkPlatform(process.platform, process.arch)
  const koffi = loadKoffi()
  const library = openLibrary(koffi)
  const mmap = library.func('void *mmap(void *, size_t, int, int, int, int64_t)')
  const remap = library.func('uintptr_t mmap(uintptr_t, size_t, int, int, int, int64_t)')
  const munmap = library.func('int munmap(uintptr_t, size_t)')
  // Variadic in the header; on Linux x86-64 and arm64 integers are passed the same way either way.
  const prctl = library.func('int prctl(int, unsigned long, unsigned long, unsigned long, unsigned long)')
  const getppid = library.func('int getppid()')
  return {
    mapFile(length, protection, flags, file, offset) {
      const pointer = mmap(null, length, protection, flags, file, offset)
      const address = koffi.address(pointer)
      if (address === MAP_FAILED) return { errno: koffi.errno() }
      return { address: Number(address), memory: koffi.view(pointer, length) }
    },
    mapOver: (address, length, protection, flags) =>
      Number(remap(address, length, protection, flags, -1, 0)) === address,
    unmap: (address, length) => void munmap(address, length),
    prctl: (option, value) => prctl(option, value, 0, 0, 0),
    getppid: () => getppid(),
    errnoName: (errno) => Object.entries(koffi.os.errno).find(([, value]) => value === errno)?.[0] ?? `errno ${errno}`,
  }
}

/** Remembers the library once it is open: the same value every time, so no state anybody could observe. */
const loaded: { libc?: Libc } = {}
export function libc(): Libc {
  loaded.libc ??= load()
  return loaded.libc
}
