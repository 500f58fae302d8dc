/**
 * Untyped memory: a range of a bank, given out in large pages, that comes back when everything made of it is gone.
 *
 * Differs from seL4: an untyped keeps a list of free ranges instead of a watermark, so that processes may come and go in
 * any order; the root task's allocator above seL4 would do the same with a tree of untypeds.
 */
import { Sel4Error } from '../lib/sel4/api.ts'
import type { KernelObject } from './cspace.ts'

/** A large page: what a mapping costs does not depend on its size, and 2 MiB keep tables of them short. */
export const LARGE_PAGE = 2 * 1024 * 1024

export class Untyped implements KernelObject {
  readonly type = 'Untyped'
  references = 0
  readonly id: number
  readonly bank: string
  readonly path: string
  readonly physicalAddress: number
  readonly bytes: number
  /** Below this, memory has been somebody's; above, it is as the host made it: zero. */
  private used = 0
  private free: { offset: number; bytes: number }[]

  constructor(id: number, bank: { name: string; path: string; physicalAddress: number; bytes: number }) {
    this.id = id
    this.bank = bank.name
    this.path = bank.path
    this.physicalAddress = bank.physicalAddress
    this.bytes = bank.bytes
    this.free = [{ offset: 0, bytes: bank.bytes }]
  }
  describe(): string {
    return `bank ${this.bank} at 0x${this.physicalAddress.toString(16)} +0x${this.bytes.toString(16)}`
  }
  available(): number {
    return this.free.reduce((sum, range) => sum + range.bytes, 0)
  }
  /** How many bytes from `offset` on may hold somebody's data. */
  soiled(offset: number, bytes: number): number {
    return Math.max(0, Math.min(bytes, this.used - offset))
  }
  /** First fit, whole large pages. */
  take(bytes: number): number {
    if (!Number.isSafeInteger(bytes) || bytes <= 0) throw new Sel4Error('seL4_InvalidArgument', `${bytes} bytes`)
    const wanted = Math.ceil(bytes / LARGE_PAGE) * LARGE_PAGE
    const range = this.free.find((candidate) => candidate.bytes >= wanted)
    if (!range) throw new Sel4Error('seL4_NotEnoughMemory', `${wanted} bytes in bank ${this.bank}`)
    const { offset } = range
    range.offset += wanted
    range.bytes -= wanted
    this.free = this.free.filter((candidate) => candidate.bytes > 0)
    return offset
  }
  give(offset: number, bytes: number): void {
    this.used = Math.max(this.used, offset + bytes)
    this.free.push({ offset, bytes })
    this.free.sort((a, b) => a.offset - b.offset)
    const merged: typeof this.free = []
    for (const range of this.free) {
      const last = merged.at(-1)
      if (last && last.offset + last.bytes === range.offset) last.bytes += range.bytes
      else merged.push(range)
    }
    this.free = merged
  }
}
