/**
 * Whole-file locks between processes: flock(2), which Node does not offer.
 *
 *   lockFile(descriptor, 'exclusive' | 'shared')   true when taken; false when another process holds it
 *
 * The kernel of the host drops the lock when the last descriptor closes, so a killed process leaves none behind.
 */
import koffi from 'koffi'

/** <sys/file.h>, the same on every processor Linux runs on. */
const LOCK = { shared: 1, exclusive: 2, nonBlocking: 4 } as const
const EWOULDBLOCK = 11

export function lockFile(descriptor: number, kind: 'exclusive' | 'shared'): boolean {
  const flock = koffi.load(null).func('int flock(int, int)')
  if (flock(descriptor, LOCK[kind] | LOCK.nonBlocking) === 0) return true
  const errno = koffi.errno()
  if (errno === EWOULDBLOCK) return false
  throw new Error(`flock failed with error ${errno}`)
}
