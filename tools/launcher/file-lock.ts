/**
 * flock(2): keeps two systems from writing one disk image or living in one run directory. Node has no call for it.
 * The lock is this process's: it ends with the descriptor, so also with a SIGKILL.
 */
import koffi from 'koffi'

/** [flock(2)] */
const LOCK_SH = 1
const LOCK_EX = 2
const LOCK_NB = 4

/** False when somebody else holds a lock that excludes this one. */
export function tryLock(descriptor: number, kind: 'shared' | 'exclusive'): boolean {
  const flock = koffi.load('libc.so.6').func('int flock(int fd, int operation)')
  return flock(descriptor, (kind === 'shared' ? LOCK_SH : LOCK_EX) | LOCK_NB) === 0
}
