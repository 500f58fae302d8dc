/**
 * What every NT object is: a type, perhaps a name in a directory, and two counts.
 *
 * Handles count the ways user code reaches it; references count handles and every pointer the Executive keeps. When the
 * last handle goes, lastHandleClosed runs (and is awaited by NtClose); when the last reference goes, deleted runs, once.
 */
import type { Directory } from './directory.ts'

export abstract class NtObject {
  /** 'Directory', 'SymbolicLink', 'Device', 'File', 'Driver', 'Event', 'Process', 'Key' … as WinObj shows it. */
  abstract readonly typeName: string
  name = ''
  directory: Directory | undefined
  /** Keeps its name without handles. */
  permanent = false
  handleCount = 0
  referenceCount = 0

  lastHandleClosed(): Promise<void> | void {}
  deleted(): void {}

  /** Signalled objects can be waited for: the ones that can override these. */
  waitable(): Waitable | undefined {
    return undefined
  }
}
export interface Waitable {
  readonly signalled: boolean
  /** Takes what a satisfied wait takes (a synchronization event's state). */
  consume(): void
  onSignal(wake: () => void): { cancel(): void }
}
