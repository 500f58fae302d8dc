/** Frames: memory a process may map. RAM is a run of large pages of an untyped; a device frame is a chip's registers. */
import type { Extent } from '../lib/sel4/transport.ts'
import type { KernelObject } from './cspace.ts'
import type { Device } from './device.ts'
import type { Untyped } from './untyped.ts'

export class Frame implements KernelObject {
  readonly type = 'Frame'
  references = 0
  readonly id: number
  readonly untyped: Untyped
  readonly offset: number
  readonly bytes: number

  constructor(id: number, untyped: Untyped, bytes: number) {
    this.id = id
    this.untyped = untyped
    this.offset = untyped.take(bytes)
    this.bytes = bytes
  }
  get physicalAddress(): number {
    return this.untyped.physicalAddress + this.offset
  }
  describe(): string {
    return `memory 0x${this.physicalAddress.toString(16)} +0x${this.bytes.toString(16)} (bank ${this.untyped.bank})`
  }
  extent(writable = true): Extent {
    return { path: this.untyped.path, offset: this.offset, length: this.bytes, writable }
  }
  /** Back to its untyped, in whole large pages. */
  destroy(): void {
    const pages = Math.ceil(this.bytes / 0x200000) * 0x200000
    this.untyped.give(this.offset, pages)
  }
}

export class DeviceFrame implements KernelObject {
  readonly type = 'DeviceFrame'
  references = 0
  readonly id: number
  readonly device: Device
  /** Index in the device's `mmio`. */
  readonly region: number
  readonly physicalAddress: number
  readonly bytes: number

  constructor(id: number, device: Device, region: number) {
    this.id = id
    this.device = device
    this.region = region
    this.physicalAddress = device.spec.mmio[region].base
    this.bytes = device.spec.mmio[region].length
  }
  describe(): string {
    return `registers 0x${this.physicalAddress.toString(16)} +0x${this.bytes.toString(16)} (${this.device.spec.name})`
  }
}
