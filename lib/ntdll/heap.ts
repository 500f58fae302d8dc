/** A first-fit heap over a process's arena: memory whose address means something to the system. */
import type { Memory } from '#sel4/api'

export interface Buffer {
  readonly Address: number
  readonly Length: number
  readonly bytes: Uint8Array
}
interface Block {
  offset: number
  length: number
}
/** A page: what a device may be pointed at starts at one unless less is asked for. */
const PAGE = 4096

export class Heap {
  private readonly memory: Memory
  /** In order of address; neighbours are always joined. */
  private free_: Block[]

  constructor(memory: Memory) {
    this.memory = memory
    this.free_ = [{ offset: 0, length: memory.length }]
  }
  allocate(length: number, alignment = PAGE): Buffer {
    if (!Number.isInteger(length) || length < 0) throw new Error(`${length} is no length`)
    for (const block of this.free_) {
      const offset = Math.ceil(block.offset / alignment) * alignment
      if (offset + length > block.offset + block.length) continue
      this.carve(block, offset, length)
      return {
        Address: this.memory.virtualAddress + offset,
        Length: length,
        bytes: this.memory.bytes.subarray(offset, offset + length),
      }
    }
    throw new Error(`the arena has no ${length} free bytes: enlarge it in the manifest`)
  }
  private carve(block: Block, offset: number, length: number): void {
    const before = { offset: block.offset, length: offset - block.offset }
    const after = { offset: offset + length, length: block.offset + block.length - offset - length }
    this.free_.splice(this.free_.indexOf(block), 1, ...[before, after].filter((part) => part.length > 0))
  }
  free(buffer: Buffer): void {
    if (buffer.Length === 0) return
    const offset = buffer.Address - this.memory.virtualAddress
    const twice = this.free_.some(
      (block) => offset < block.offset + block.length && block.offset < offset + buffer.Length,
    )
    if (twice) throw new Error(`the memory at ${buffer.Address} is free already`)
    this.free_.push({ offset, length: buffer.Length })
    this.free_.sort((a, b) => a.offset - b.offset)
    this.free_ = this.free_.reduce<Block[]>((joined, block) => {
      const last = joined.at(-1)
      if (last && last.offset + last.length === block.offset) last.length += block.length
      else joined.push({ ...block })
      return joined
    }, [])
  }
}
