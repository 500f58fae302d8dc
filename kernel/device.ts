/**
 * A device of the machine: its process, resources, interrupt lines, and the IOMMU table that says what its DMA may reach.
 *
 * A page is granted as long as one grant covers it: taking one away leaves what others still cover.
 */
import type { DmaGrant, IommuTable } from '../lib/sel4/memory/iommu.ts'
import type { Extent, MachineInfo, MemoryExtent } from '../lib/sel4/transport.ts'
import type { Irq } from './irq.ts'
import type { ManifestDevice } from './manifest/manifest.ts'
import type { Process } from './process.ts'

interface Grant {
  readonly physicalAddress: number
  readonly length: number
  readonly access: DmaGrant
}
const overlap = (a: Grant | { physicalAddress: number; length: number }, b: Grant): boolean =>
  a.physicalAddress < b.physicalAddress + b.length && b.physicalAddress < a.physicalAddress + a.length

export class Device {
  readonly spec: ManifestDevice
  readonly irqs: readonly Irq[]
  readonly memory: readonly MemoryExtent[]
  readonly frames: readonly { extent: Extent; length: number }[]
  readonly iommuExtent?: Extent
  process?: Process
  /** It will not be restarted any more. */
  lost = false
  private attached = false
  private waiting: (() => void)[] = []
  private grants: Grant[] = []
  private readonly table?: IommuTable

  constructor(
    spec: ManifestDevice,
    irqs: readonly Irq[],
    memory: readonly MemoryExtent[],
    frames: readonly { extent: Extent; length: number }[],
    iommu?: { extent: Extent; table: IommuTable },
  ) {
    this.spec = spec
    this.irqs = irqs
    this.memory = memory
    this.frames = frames
    this.iommuExtent = iommu?.extent
    this.table = iommu?.table
  }
  info(banks: readonly MemoryExtent[]): MachineInfo {
    const { spec, memory, frames, iommuExtent: iommu } = this
    return { irqs: spec.irqs.length, banks: spec.dma ? banks : [], memory, frames, ...(iommu && { iommu }) }
  }
  get isAttached(): boolean {
    return this.attached
  }
  attach(): void {
    this.attached = true
    this.wake()
  }
  /** Its process died: lines fall, accesses wait for the next. */
  detach(): void {
    this.attached = false
    for (const irq of this.irqs) irq.lower(this)
  }
  giveUp(): void {
    this.lost = true
    this.wake()
  }
  ready(): Promise<void> {
    if (this.attached || this.lost) return Promise.resolve()
    return new Promise((resolve) => this.waiting.push(resolve))
  }
  private wake(): void {
    for (const go of this.waiting.splice(0)) go()
  }

  grant(grant: Grant): void {
    this.grants.push(grant)
    this.table?.grant(grant.physicalAddress, grant.length, grant.access)
  }
  /** Takes away the one grant of exactly this range, if there is one. */
  ungrant(physicalAddress: number, length: number): void {
    const at = this.grants.findIndex((one) => one.physicalAddress === physicalAddress && one.length === length)
    if (at >= 0) this.withdraw(this.grants.splice(at, 1))
  }
  /** Takes away all that touches a range: its memory is going. */
  ungrantAll(physicalAddress: number, length: number): boolean {
    const gone = this.grants.filter((one) => overlap({ physicalAddress, length }, one))
    this.grants = this.grants.filter((one) => !gone.includes(one))
    this.withdraw(gone)
    return gone.length > 0
  }
  private withdraw(gone: readonly Grant[]): void {
    for (const { physicalAddress, length } of gone) this.table?.revoke(physicalAddress, length, 'readwrite')
    for (const kept of this.grants)
      if (gone.some((one) => overlap(kept, one))) this.table?.grant(kept.physicalAddress, kept.length, kept.access)
  }
}
