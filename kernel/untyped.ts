/**
 * Untyped memory: a range of a bank out of which objects are made.
 *
 * A bank's own untyped keeps a list of free ranges, so that processes may come and go in any order (Differs from seL4: a
 * root task's allocator would do that above it with a tree of untypeds). One made by Untyped_Retype has seL4's watermark:
 * it rises with every object and falls to the bottom when nothing derived from the capability is left.
 */
import { Sel4Error } from '../lib/sel4/api.ts'
import type { KernelObject, Region } from './cspace.ts'

/** A large page: what a mapping costs does not depend on its size, and 2 MiB keep tables of them short. */
export const LARGE_PAGE = 2 * 1024 * 1024
const alignUp = (value: number, size: number): number => Math.ceil(value / size) * size

export interface Bank {
  readonly name: string
  readonly path: string
  readonly physicalAddress: number
  readonly bytes: number
}
/** A range of a bank that an object has. */
export class MemoryRegion implements Region {
  readonly untyped: Untyped
  readonly offset: number
  readonly bytes: number
  private readonly kept = new Set<Promise<unknown>>()
  private released = false
  constructor(untyped: Untyped, offset: number, bytes: number) {
    this.untyped = untyped
    this.offset = offset
    this.bytes = bytes
  }
  get physicalAddress(): number {
    return this.untyped.bank.physicalAddress + this.offset
  }
  /** Somebody may still reach it: until then it is in quarantine, even without an object. */
  keep(until: Promise<unknown>): void {
    this.kept.add(until)
    void until.then(() => {
      this.kept.delete(until)
      this.giveBack()
    })
  }
  async outOfReach(): Promise<void> {
    await Promise.all(this.kept)
  }
  release(): void {
    this.released = true
    this.giveBack()
  }
  private giveBack(): void {
    if (!this.released) return
    const { quarantine } = this.untyped.root
    if (this.kept.size) return void quarantine.add(this)
    quarantine.delete(this)
    this.released = false
    this.untyped.give(this)
  }
}
export class Untyped implements KernelObject {
  readonly type = 'Untyped'
  references = 0
  readonly id: number
  readonly bank: Bank
  /** Where it was made of: none for a bank's own. */
  readonly region?: MemoryRegion
  readonly bytes: number
  private readonly offset: number
  private free: { offset: number; bytes: number }[]
  private watermark = 0
  /** Objects alive in it: their memory outlives the capability. */
  private living = 0
  /** Below this, memory of the bank has been somebody's; above, it is as the host made it: zero. */
  private used = 0
  readonly root: Untyped
  /** Of a bank: what nobody has and somebody may still reach. */
  readonly quarantine = new Set<MemoryRegion>()

  constructor(id: number, bank: Bank, region?: MemoryRegion) {
    this.id = id
    this.bank = bank
    this.offset = region?.offset ?? 0
    this.bytes = region?.bytes ?? bank.bytes
    this.root = region ? region.untyped.root : this
    this.free = region ? [] : [{ offset: 0, bytes: bank.bytes }]
    if (region) this.region = Object.assign(region, { release: () => this.abandoned() })
  }
  get physicalAddress(): number {
    return this.bank.physicalAddress + this.offset
  }
  describe(): string {
    return `memory of bank ${this.bank.name} at 0x${this.physicalAddress.toString(16)} +0x${this.bytes.toString(16)}`
  }
  available(): number {
    return this.region ? this.bytes - this.watermark : this.free.reduce((sum, range) => sum + range.bytes, 0)
  }
  /** How many bytes from `offset` of the bank on may hold somebody's data. */
  soiled(offset: number, bytes: number): number {
    return Math.max(0, Math.min(bytes, this.root.used - offset))
  }
  /** Nothing derived from it is left. */
  reset(): void {
    if (this.region && !this.living) this.watermark = 0
  }
  /** First fit. Sizes are whole large pages, or powers of two for objects of Untyped_Retype; aligned to `alignment`. */
  take(bytes: number, alignment = LARGE_PAGE): MemoryRegion {
    if (!Number.isSafeInteger(bytes) || bytes <= 0) throw new Sel4Error('seL4_InvalidArgument', `${bytes} bytes`)
    const wanted = alignUp(bytes, alignment)
    const offset = this.region ? this.rise(wanted, alignment) : this.fit(wanted, alignment)
    this.living++
    return new MemoryRegion(this, offset, wanted)
  }
  private rise(bytes: number, alignment: number): number {
    const start = alignUp(this.offset + this.watermark, alignment)
    if (start + bytes > this.offset + this.bytes) throw this.exhausted(bytes)
    this.watermark = start + bytes - this.offset
    return start
  }
  private fit(bytes: number, alignment: number): number {
    for (const range of this.free) {
      const start = alignUp(range.offset, alignment)
      const end = range.offset + range.bytes
      if (start + bytes > end) continue
      this.free = this.free.filter((other) => other !== range)
      if (start > range.offset) this.free.push({ offset: range.offset, bytes: start - range.offset })
      if (start + bytes < end) this.free.push({ offset: start + bytes, bytes: end - start - bytes })
      this.free.sort((a, b) => a.offset - b.offset)
      return start
    }
    throw this.exhausted(bytes)
  }
  private exhausted(bytes: number): Sel4Error {
    return new Sel4Error('seL4_NotEnoughMemory', `${bytes} bytes in bank ${this.bank.name}`)
  }
  /** A piece of a range that was taken whole: it comes back on its own. */
  part({ offset }: MemoryRegion, start: number, bytes: number): MemoryRegion {
    this.living++
    return new MemoryRegion(this, offset + start, bytes)
  }
  /** `divided`: the range lives on in its parts. */
  give({ offset, bytes }: MemoryRegion, divided = false): void {
    this.living--
    if (divided) return
    this.root.used = Math.max(this.root.used, offset + bytes)
    if (this.region) return void (this.references === 0 && this.abandoned())
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
  /** Its last capability is gone; its memory returns when the last object in it is gone as well. */
  private abandoned(): void {
    const { region } = this
    if (region && this.references === 0 && this.living === 0) region.untyped.give(region)
  }
}
