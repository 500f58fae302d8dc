/** Frames: memory a process may map. RAM is a run of pages of an untyped; a device frame is a chip's registers. */
import type { Extent } from '../lib/sel4/transport.ts'
import type { KernelObject } from './cspace.ts'
import type { Device } from './device.ts'
import type { MemoryRegion, Untyped } from './untyped.ts'

export class Frame implements KernelObject {
  readonly type = 'Frame'
  references = 0
  readonly id: number
  readonly region: MemoryRegion
  readonly bytes: number

  constructor(id: number, region: MemoryRegion, bytes = region.bytes) {
    this.id = id
    this.region = region
    this.bytes = bytes
  }
  get untyped(): Untyped {
    return this.region.untyped
  }
  get bank(): string {
    return this.untyped.bank.name
  }
  get physicalAddress(): number {
    return this.region.physicalAddress
  }
  describe(): string {
    return `memory 0x${this.physicalAddress.toString(16)} +0x${this.bytes.toString(16)} (bank ${this.bank})`
  }
  extent(writable = true): Extent {
    return { path: this.untyped.bank.path, offset: this.region.offset, length: this.bytes, writable }
  }
}

export class DeviceFrame implements KernelObject {
  readonly type = 'DeviceFrame'
  references = 0
  readonly id: number
  readonly device: Device
  /** Index in the device's `mmio`. */
  readonly window: number
  readonly physicalAddress: number
  readonly bytes: number

  constructor(id: number, device: Device, index: number) {
    this.id = id
    this.device = device
    this.window = index
    this.physicalAddress = device.spec.mmio[index].base
    this.bytes = device.spec.mmio[index].length
  }
  describe(): string {
    return `registers 0x${this.physicalAddress.toString(16)} +0x${this.bytes.toString(16)} (${this.device.spec.name})`
  }
}
