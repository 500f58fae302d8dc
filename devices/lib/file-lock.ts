/**
 * Whole-file locks between processes: open file description locks, which Node does not offer.
 *
 *   lockFile(descriptor, 'exclusive' | 'shared')   true when taken; false when another process holds it
 *
 * The host drops the lock when the last descriptor of that open closes, so a killed process leaves none behind. These
 * are the locks QEMU takes, so an image it uses is refused too; flock(2), which whoever started us may hold on the same
 * file, is independent of them.
 *
 * [fcntl(2)] "Open file description locks"
 */
import koffi from 'koffi'

const F_OFD_SETLK = 37
const LOCK_TYPE = { shared: 0, exclusive: 1 } as const
/** Held by somebody else: the one or the other, says the manual. */
const EAGAIN = 11
const EACCES = 13
/** struct flock on 64-bit Linux: type and whence (16 bits each), start, length (64 bits), pid; all zero = whole file. */
const FLOCK_BYTES = 32

export function lockFile(descriptor: number, kind: 'exclusive' | 'shared'): boolean {
  const fcntl = koffi.load(null).func('int fcntl(int, int, ...)')
  const flock = new Uint8Array(FLOCK_BYTES)
  new DataView(flock.buffer).setInt16(0, LOCK_TYPE[kind], true)
  if (fcntl(descriptor, F_OFD_SETLK, 'void *', flock) === 0) return true
  const errno = koffi.errno()
  if (errno === EAGAIN || errno === EACCES) return false
  throw new Error(`the disk image cannot be locked (error ${errno}); put it on a local file system`)
}
