/**
 * MSI vectors that go from the device to its driver directly, one socket hop instead of two and no work here.
 *
 *   bound(irq, receiver)   IRQHandler_SetNotification: from now on the driver's session follows this binding
 *   consider(irq)          opens the session if it may be open; closes it if it may not
 *
 * The session hangs on the driver's IRQHandler capability: revoking that closes it, as the death of either side does. While there
 * is none (masked, a device starting again, slow path) the device tells the kernel, as for every other line.
 */
import type { CPtr } from '../lib/sel4/api.ts'
import type { Capability } from './cspace.ts'
import { isGone } from './cspace.ts'
import type { Device } from './device.ts'
import type { Irq } from './irq.ts'
import type { Kernel } from './kernel.ts'
import type { Process } from './process.ts'
import type { Session } from './session.ts'

export interface Binding {
  readonly process: Process
  readonly handler: Capability
  /** The line's own capability to the notification. */
  readonly held: Capability
  /** The notification's name in the driver. */
  readonly cptr: CPtr
}
interface Direct {
  readonly binding: Binding
  session?: Session
}

export class DirectIrqs {
  private readonly kernel: Kernel
  private readonly bindings = new Map<Irq, Direct>()

  constructor(kernel: Kernel) {
    this.kernel = kernel
  }
  bound(irq: Irq, binding: Binding): void {
    const { manifest } = this.kernel
    if (irq.trigger !== 'msi' || manifest.slowpath || manifest.slowirq) return
    this.close(irq)
    this.bindings.set(irq, { binding })
    this.consider(irq)
  }
  ofDevice({ irqs }: Device): void {
    for (const irq of irqs) this.consider(irq)
  }
  consider(irq: Irq): void {
    const direct = this.bindings.get(irq)
    if (!direct) return
    if (irq.isMasked || !this.holds(irq, direct.binding)) return this.close(irq)
    const device = this.deviceOf(irq)
    if (!device?.process || direct.session?.open || device.process.accusers.has(direct.binding.process.init.token))
      return
    direct.session = this.kernel.sessions.openIrq(device.process, device.irqs.indexOf(irq), direct.binding)
  }
  /** What the dead had bound; its sessions are closed with it. */
  forget(process: Process): void {
    for (const [irq, { binding }] of this.bindings) if (binding.process === process) this.bindings.delete(irq)
  }
  /** A vector of one device that is there; what several share goes through the kernel. */
  private deviceOf(irq: Irq): Device | undefined {
    const devices = [...this.kernel.machine.devices.values()].filter((device) => device.irqs.includes(irq))
    return devices.length === 1 && devices[0].isAttached ? devices[0] : undefined
  }
  private holds(irq: Irq, { process, handler, held }: Binding): boolean {
    return process.alive && !isGone(handler) && irq.isBoundBy(held)
  }
  private close(irq: Irq): void {
    const direct = this.bindings.get(irq)
    const session = direct?.session
    if (direct) direct.session = undefined
    if (session?.open) void this.kernel.sessions.close(session, false).then(() => irq.suspect())
  }
}
