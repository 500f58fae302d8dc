/** A device process's side of the machine: its lines, its registers as published, memory it may reach. */
import type { Chip, InterruptLine, Machine } from '../api.ts'
import { DmaFault } from '../api.ts'

export interface FakeMachineOptions {
  /** Bytes of each `memory` region. */
  readonly memory?: readonly number[]
  readonly physicalBytes?: number
  /** What the IOMMU allows. */
  readonly allows?: (physicalAddress: number, length: number, access: 'read' | 'write') => boolean
}
export interface FakeIrqEvent {
  readonly index: number
  readonly event: 'raise' | 'lower'
}
export class FakeMachine implements Machine {
  readonly physical: Uint8Array
  /** Every raise and lower, in order. */
  readonly irqs: FakeIrqEvent[] = []
  /** Lines asserted now. */
  readonly asserted = new Set<number>()
  /** `${region}:${offset}` → the last value published. */
  readonly published = new Map<string, number>()
  readonly quieted = new Set<string>()
  chip?: Chip
  private readonly regions: Uint8Array[]
  private readonly allows: NonNullable<FakeMachineOptions['allows']>

  constructor(options: FakeMachineOptions) {
    this.physical = new Uint8Array(options.physicalBytes ?? 64 << 20)
    this.regions = (options.memory ?? []).map((length) => new Uint8Array(length))
    this.allows = options.allows ?? (() => true)
  }
  attach(chip: Chip): void {
    this.chip = chip
  }
  irq(index: number): InterruptLine {
    return {
      raise: () => {
        this.irqs.push({ index, event: 'raise' })
        this.asserted.add(index)
      },
      lower: () => {
        this.irqs.push({ index, event: 'lower' })
        this.asserted.delete(index)
      },
    }
  }
  publish(region: number, offset: number, value: number): void {
    this.published.set(`${region}:${offset}`, value >>> 0)
  }
  quiet(region: number, offset: number): void {
    this.quieted.add(`${region}:${offset}`)
  }
  dma(physicalAddress: number, length: number, access: 'read' | 'write'): readonly Uint8Array[] {
    const inside = physicalAddress >= 0 && physicalAddress + length <= this.physical.length
    if (!inside || !this.allows(physicalAddress, length, access)) throw new DmaFault(physicalAddress, length)
    return [this.physical.subarray(physicalAddress, physicalAddress + length)]
  }
  memory(index: number): Uint8Array {
    const region = this.regions[index]
    if (!region) throw new Error(`no memory region ${index}`)
    return region
  }
}
