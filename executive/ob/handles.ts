/**
 * A process's handles: numbers that name an object and the access granted when it was opened.
 *
 * Access is checked at every use against what was granted, never asked again of the object. Handles are multiples of 4;
 * a closed number is reused last.
 */
import { StatusError } from '#rtl'
import type { NtObject } from './object.ts'

export interface HandleEntry {
  readonly object: NtObject
  readonly grantedAccess: number
}
/** A process that leaks is stopped here, not by the machine's memory. */
const HANDLES_MAX = 16_384

export class HandleTable {
  private readonly entries = new Map<number, HandleEntry>()
  private readonly free: number[] = []
  private next = 4
  /** Its process has ended: nothing is added any more. */
  closed = false

  get size(): number {
    return this.entries.size
  }
  add(object: NtObject, grantedAccess: number): number {
    if (this.closed || this.entries.size >= HANDLES_MAX) throw new StatusError('STATUS_INSUFFICIENT_RESOURCES')
    const handle = this.next <= HANDLES_MAX * 4 ? this.next : (this.free.shift() as number)
    if (handle === this.next) this.next += 4
    this.entries.set(handle, { object, grantedAccess })
    return handle
  }
  get(handle: number): HandleEntry {
    const entry = this.entries.get(handle)
    if (!entry) throw new StatusError('STATUS_INVALID_HANDLE')
    return entry
  }
  remove(handle: number): HandleEntry {
    const entry = this.get(handle)
    this.entries.delete(handle)
    this.free.push(handle)
    return entry
  }
  all(): number[] {
    return [...this.entries.keys()]
  }
}
