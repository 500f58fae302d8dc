/**
 * The driver's IO arena: memory a device, or the Executive, can be pointed at.
 *
 *   allocate(length, alignment)     zeroed; throws STATUS_INSUFFICIENT_RESOURCES
 *   allocateSoon(…)                 not zeroed; waits while memory that is sure to come back is out, fails when there is none such
 *   willReturn(buffer)              from now on it is sure to come back, without the waiting task doing anything
 *   free(buffer)                    by the object that allocate gave; twice is an error of ours
 *
 * First fit over a sorted list of free ranges, merged when freed. Alignment is of the physical address.
 */
import { StatusError } from '#rtl'
import type { Memory } from '#sel4/api'
import type { COMMON_BUFFER } from './api.ts'

/** A cache line, so that buffers of two devices never share one. */
const DEFAULT_ALIGNMENT = 64

interface Range {
  start: number
  end: number
}

export class ArenaBuffer implements COMMON_BUFFER {
  readonly arena: Arena
  readonly offset: number
  readonly bytes: Uint8Array
  readonly LogicalAddress: number
  readonly VirtualAddress: number

  constructor(arena: Arena, memory: Memory, offset: number, length: number) {
    this.arena = arena
    this.offset = offset
    this.bytes = memory.bytes.subarray(offset, offset + length)
    this.LogicalAddress = memory.physicalAddress + offset
    this.VirtualAddress = memory.virtualAddress + offset
  }
}

export class Arena {
  private readonly memory?: Memory
  private ranges: Range[]
  /** Whether it is sure to come back. */
  private readonly live = new Map<ArenaBuffer, boolean>()
  private returning = 0
  private waiting: (() => void)[] = []

  constructor(memory: Memory | undefined) {
    this.memory = memory
    this.ranges = memory ? [{ start: 0, end: memory.length }] : []
  }

  get length(): number {
    return this.memory?.length ?? 0
  }
  /** The physical address of an address in this process's arena. */
  physical(virtualAddress: number, length: number): number {
    const offset = virtualAddress - (this.memory?.virtualAddress ?? 0)
    if (!this.memory || offset < 0 || offset + length > this.memory.length)
      throw new Error(`0x${virtualAddress.toString(16)} +${length} is not in the arena`)
    return this.memory.physicalAddress + offset
  }

  allocate(length: number, alignment: number = DEFAULT_ALIGNMENT): ArenaBuffer {
    const buffer = this.tryAllocate(length, alignment)
    if (!buffer) throw new StatusError('STATUS_INSUFFICIENT_RESOURCES', `arena has no ${length} bytes`)
    buffer.bytes.fill(0)
    this.live.set(buffer, false)
    return buffer
  }

  async allocateSoon(length: number, alignment: number = DEFAULT_ALIGNMENT): Promise<ArenaBuffer> {
    for (;;) {
      const buffer = this.tryAllocate(length, alignment)
      if (buffer) {
        this.live.set(buffer, false)
        return buffer
      }
      if (this.returning === 0) throw new StatusError('STATUS_INSUFFICIENT_RESOURCES', `arena has no ${length} bytes`)
      await new Promise<void>((resolve) => this.waiting.push(resolve))
    }
  }
  willReturn(buffer: ArenaBuffer): void {
    if (this.live.get(buffer) !== false) throw new Error('willReturn of memory that is not kept')
    this.live.set(buffer, true)
    this.returning++
  }

  private tryAllocate(length: number, alignment: number): ArenaBuffer | undefined {
    if (!this.memory) return undefined
    for (let i = 0; i < this.ranges.length; i++) {
      const range = this.ranges[i]
      const physical = this.memory.physicalAddress + range.start
      const start = range.start + (Math.ceil(physical / alignment) * alignment - physical)
      if (start + length > range.end) continue
      this.carve(i, start, start + length)
      return new ArenaBuffer(this, this.memory, start, length)
    }
    return undefined
  }

  private carve(index: number, start: number, end: number): void {
    const range = this.ranges[index]
    const rest = [
      { start: range.start, end: start },
      { start: end, end: range.end },
    ]
    this.ranges.splice(index, 1, ...rest.filter((part) => part.end > part.start))
  }

  free(buffer: ArenaBuffer): void {
    const returning = this.live.get(buffer)
    if (returning === undefined) throw new Error('FreeCommonBuffer of memory that is not allocated')
    this.live.delete(buffer)
    this.restore({ start: buffer.offset, end: buffer.offset + buffer.bytes.length })
    if (returning) this.returning--
    for (const wake of this.waiting.splice(0)) wake()
  }

  private restore(freed: Range): void {
    const at = this.ranges.findIndex((range) => range.start >= freed.end)
    const index = at < 0 ? this.ranges.length : at
    const before = this.ranges[index - 1]
    const after = this.ranges[index]
    if (before?.end === freed.start) freed.start = before.start
    if (after?.start === freed.end) freed.end = after.end
    const from = before && freed.start === before.start ? index - 1 : index
    const to = after && freed.end === after.end ? index + 1 : index
    this.ranges.splice(from, to - from, freed)
  }
}
