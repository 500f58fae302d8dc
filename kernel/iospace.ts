/**
 * A device's IO address space: which frames its DMA reaches, through tables of one page each.
 *
 * Differs from seL4: a device addresses memory physically, so a frame is mapped at its physical address only.
 * Differs from seL4: a table put in the place of another has the tables that were below that one.
 *
 * Three levels of tables, each resolving 9 bits above the page, the highest first, as VT-d with 39 address bits.
 */
import { X86_64 } from '#contracts/sel4'
import { Sel4Error } from '../lib/sel4/api.ts'
import type { DmaGrant } from '../lib/sel4/memory/iommu.ts'
import { ASK } from '../lib/sel4/wire.ts'
import { type Capability, type KernelObject, mapped, type Region, RIGHT } from './cspace.ts'
import type { Device } from './device.ts'
import type { Frame } from './frame.ts'

/** Address bits one table of each level covers. */
const COVERED = [39, 30, 21]
const baseOf = (address: number, bits: number): number => Math.floor(address / 2 ** bits) * 2 ** bits

export class IoPageTable implements KernelObject {
  readonly type = 'IOPageTable'
  references = 0
  readonly id: number
  readonly region?: Region
  constructor(id: number, region?: Region) {
    this.id = id
    this.region = region
  }
  describe(): string {
    return `IO page table ${this.id}`
  }
}
export class IoSpace implements KernelObject {
  readonly type = 'IOSpace'
  references = 0
  readonly id: number
  readonly device: Device
  private readonly waits: Set<Promise<unknown>>
  private readonly tables: Map<number, Capability>[] = COVERED.map(() => new Map())
  private readonly pages = new Map<number, Capability>()

  constructor(id: number, device: Device, waits: Set<Promise<unknown>>) {
    this.id = id
    this.device = device
    this.waits = waits
  }
  describe(): string {
    return `IO space of ${this.device.spec.name}`
  }
  /** At the first missing level. */
  enter(cap: Capability, address: number): void {
    if (cap.unmap) throw new Sel4Error('seL4_InvalidCapability', 'it is mapped already')
    const level = this.missing(address)
    if (level < 0) throw new Sel4Error('seL4_DeleteFirst', 'every level is there')
    const base = baseOf(address, COVERED[level])
    this.tables[level].set(base, cap)
    mapped(cap, this, () => {
      this.tables[level].delete(base)
      for (const [at, page] of this.pages) if (at >= base && at < base + 2 ** COVERED[level]) page.unmap?.()
    })
  }
  private missing(address: number): number {
    return COVERED.findIndex((bits, level) => !this.tables[level].has(baseOf(address, bits)))
  }
  map(cap: Capability, address: number, rights: number): Promise<unknown> {
    const { physicalAddress, bytes } = cap.object as Frame
    if (cap.unmap) throw new Sel4Error('seL4_InvalidCapability', 'the frame is mapped already')
    if (bytes !== 2 ** X86_64.pageBits) throw new Sel4Error('seL4_InvalidCapability', 'not a small page')
    if (address !== physicalAddress) throw new Sel4Error('seL4_InvalidArgument', 'an IO address is the physical one')
    if (this.missing(address) >= 0) throw new Sel4Error('seL4_FailedLookup', 'no IO page table')
    if (this.pages.has(address)) throw new Sel4Error('seL4_DeleteFirst', 'a page is there')
    const access = accessOf(cap.rights & rights)
    this.pages.set(address, cap)
    this.device.grant({ physicalAddress, length: bytes, access })
    mapped(cap, this, () => {
      this.pages.delete(address)
      this.device.ungrant(physicalAddress, bytes)
      void this.confirmed()
    })
    return this.confirmed()
  }
  /** The change is in force when the device has answered once more: nothing it began before is under way. */
  private confirmed(): Promise<unknown> {
    const asked = Promise.resolve(this.device.process?.ask(ASK.barrier, null))
    this.waits.add(asked)
    void asked.then(() => this.waits.delete(asked))
    return asked
  }
}
function accessOf(rights: number): DmaGrant {
  if (rights & RIGHT.write) return rights & RIGHT.read ? 'readwrite' : 'write'
  if (rights & RIGHT.read) return 'read'
  throw new Sel4Error('seL4_InvalidArgument', 'no right to read or write')
}
