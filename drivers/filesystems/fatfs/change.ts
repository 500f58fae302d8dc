/**
 * What one IRP changes: writes in their phases, FAT entries set and freed, and what the driver's memory learns of it
 * once the commit is made. Dropped as a whole when the IRP fails; nothing in memory has changed then.
 *
 * Phases are stable on disk in order. Between any two the volume is sound but for lost or surplus clusters:
 *   fresh    contents of clusters nothing refers to yet
 *   link     FAT entries of clusters allocated, FSInfo
 *   remove   the old entry of a file that moves to another sector
 *   entry    directory entries
 *   free     FAT entries of clusters freed
 */
import type { FS_COMMIT } from '#wdm'

export const PHASE = { fresh: 0, link: 1, remove: 2, entry: 3, free: 4 } as const

export class Change {
  /** Cluster → FAT value, of clusters allocated or linked on; of clusters freed or made an end. */
  readonly links = new Map<number, number>()
  readonly frees = new Map<number, number>()
  /** How many clusters become free, less those that are taken. */
  freed = 0
  freedRanges = 0
  readonly commit: FS_COMMIT
  private readonly afters: (() => void)[] = []

  constructor(commit: FS_COMMIT) {
    this.commit = commit
  }

  write(offset: number, bytes: Uint8Array, phase: number): Promise<void> {
    return this.commit.write(offset, bytes, phase)
  }

  /** Runs when everything has been staged without failure, in order of registration. */
  after(action: () => void): void {
    this.afters.push(action)
  }

  settle(): void {
    for (const action of this.afters) action()
  }
}
