/**
 * Capabilities to registers, ports and interrupts, for drivers of started devices: only what was assigned to the node the device
 * is in, and only what the kernel's ceiling allows the image.
 *
 *   port / interrupt / memory   → the capability's number in the driver's CSpace
 *   withdraw(node)              the node is gone or its resources are released: nobody's copy works any more
 *   isOf(node, device)          whether the node's own registers are a device of the machine's
 */
import { type CPtr, type ManifestView, Sel4Error } from '#sel4/api'
import { StatusError } from '#rtl'
import type { Executive } from '../executive.ts'
import type { DeviceObject } from './device.ts'
import type { DriverObject } from './driver.ts'
import type { DeviceNode, Resource } from './pnp-node.ts'

export class HardwareGrants {
  private readonly ex: Executive
  /** The Executive's own capabilities, issued once for a node. */
  private readonly issued = new Map<DeviceNode, Map<string, Promise<CPtr>>>()

  constructor(ex: Executive) {
    this.ex = ex
  }
  port(driver: DriverObject, device: DeviceObject, start: number, length: number): Promise<CPtr> {
    const node = nodeWith(device, (one) => one.kind === 'Port' && covers(one, start, length))
    return this.grant(driver, node, `port ${start} ${length}`, () => this.ex.root.ioPort(start, start + length - 1))
  }
  memory(driver: DriverObject, device: DeviceObject, start: number, length: number): Promise<CPtr> {
    const node = nodeWith(device, (one) => one.kind === 'Memory' && covers(one, start, length))
    return this.grant(driver, node, `memory ${start} ${length}`, () => this.ex.root.deviceFrame(start, length))
  }
  interrupt(driver: DriverObject, device: DeviceObject, vector: number): Promise<CPtr> {
    let line = 0
    const node = nodeWith(device, (one) => {
      if (one.kind !== 'Interrupt' || one.Vector !== vector) return false
      line = one.Level
      return true
    })
    return this.grant(driver, node, `irq ${line}`, () => this.ex.root.irqHandler(line))
  }
  async withdraw(node: DeviceNode): Promise<void> {
    const caps = this.issued.get(node)
    if (!caps) return
    this.issued.delete(node)
    for (const cap of caps.values()) await this.ex.root.revoke(await cap)
  }
  private async grant(driver: DriverObject, node: DeviceNode, key: string, issue: () => Promise<CPtr>): Promise<CPtr> {
    let caps = this.issued.get(node)
    if (!caps) this.issued.set(node, (caps = new Map()))
    const { name } = driver.process
    let cap = caps.get(key)
    if (!cap) {
      cap = issue()
      caps.set(key, cap)
      cap.catch(() => caps.delete(key))
    }
    try {
      return await this.ex.root.grant(name, await cap)
    } catch (error) {
      // Above the image's ceiling, or the caller is dead by now.
      if (error instanceof Sel4Error) throw new StatusError('STATUS_ACCESS_DENIED', error.message)
      throw error
    }
  }
}

/** A bus has windows that others' registers are cut from; those are not its own. */
export function isOf({ resources }: DeviceNode, { ports, mmio }: ManifestView['devices'][string]): boolean {
  return resources.some((one) => {
    if (one.kind !== 'Port' && one.kind !== 'Memory') return false
    const last = one.Start + one.Length - 1
    if (one.kind === 'Port') return ports.some((range) => one.Start >= range.first && last <= range.last)
    return mmio.some(({ base, length }) => one.Start >= base && last < base + length)
  })
}

const covers = ({ Start, Length }: { Start: number; Length: number }, start: number, length: number): boolean =>
  length > 0 && start >= Start && start + length <= Start + Length
function nodeWith(device: DeviceObject, which: (resource: Resource) => boolean): DeviceNode {
  const node = device.deviceNode
  if (!node?.resources.some(which)) throw new StatusError('STATUS_ACCESS_DENIED', 'not assigned to this device')
  return node
}
