/** A range of IO ports of one device. */
import type { KernelObject } from './cspace.ts'
import type { Device } from './device.ts'

export class IoPort implements KernelObject {
  readonly type = 'IOPort'
  references = 0
  readonly id: number
  readonly device: Device
  readonly first: number
  readonly last: number
  readonly destroy: () => void

  constructor(id: number, device: Device, first: number, last: number, gone: () => void) {
    this.id = id
    this.device = device
    this.first = first
    this.last = last
    this.destroy = gone
  }
  describe(): string {
    return `ports 0x${this.first.toString(16)}–0x${this.last.toString(16)} (${this.device.spec.name})`
  }
}
