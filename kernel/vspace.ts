/** A process's address space: which frames it was given, and at which address it sees each. */
import type { MemoryExtent } from '../lib/sel4/transport.ts'
import type { Capability, KernelObject } from './cspace.ts'
import type { Frame } from './frame.ts'

/** Above anything a null pointer with an offset reaches. */
const FIRST_ADDRESS = 0x1000_0000
const LARGE_PAGE = 0x20_0000

export class VSpace implements KernelObject {
  readonly type = 'VSpace'
  references = 0
  readonly id: number
  readonly mappings: { readonly cap: Capability; readonly virtualAddress: number }[] = []
  private nextAddress = FIRST_ADDRESS

  constructor(id: number) {
    this.id = id
  }
  describe(): string {
    return `VSpace ${this.id} with ${this.mappings.length} mappings`
  }
  /** Page_Map of a run of frames at the next free address. */
  map(cap: Capability): MemoryExtent {
    const frame = cap.object as Frame
    const virtualAddress = this.nextAddress
    this.nextAddress += Math.ceil(frame.bytes / LARGE_PAGE) * LARGE_PAGE
    this.mappings.push({ cap, virtualAddress })
    return { ...frame.extent(), physicalAddress: frame.physicalAddress, virtualAddress }
  }
}
