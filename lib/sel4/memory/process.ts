/**
 * What a process asks of the host about its parent.
 *
 *   dieWithParent(parent)   the host ends this process when the parent's does, for whatever reason
 *   parentPid()             who the parent is now
 *
 * PR_SET_PDEATHSIG also ends a stopped process, which a signal handler or a closed pipe cannot do.
 */
import { libc } from './libc.ts'

/** <sys/prctl.h> */
const PR_SET_PDEATHSIG = 1
const SIGKILL = 9

export const parentPid = (): number => libc().getppid()

/**
 * Asks for SIGKILL at the parent's death. The parent may have died before the request took hold, in which case no signal
 * comes: false then, and the caller ends itself.
 */
export function dieWithParent(parent: number): boolean {
  if (libc().prctl(PR_SET_PDEATHSIG, SIGKILL) !== 0)
    throw new Error('The host refuses PR_SET_PDEATHSIG: this process could outlive the kernel')
  return parentPid() === parent
}
