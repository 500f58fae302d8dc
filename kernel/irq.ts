/**
 * Interrupts: routing and masks.
 *
 * Edge and MSI: each raise signals; what nobody waits for latches in the notification's word, or here while masked or
 * unbound. Level: a raise signals and masks until IRQHandler_Ack; still asserted then, it signals again. A line may be
 * shared by devices: it is asserted while any of them asserts it. An MSI vector may go past all this (direct-irq.ts).
 */
import { Sel4Error } from '../lib/sel4/api.ts'
import type { TraceContext } from '../lib/sel4/wire.ts'
import { type Capability, derive, type KernelObject, remove, RIGHT } from './cspace.ts'
import { Notification } from './notification.ts'

export type Trigger = 'edge' | 'level' | 'msi'
export class Irq implements KernelObject {
  readonly type = 'IRQHandler'
  references = 0
  readonly id: number
  readonly irq: number
  readonly trigger: Trigger
  private readonly asserted = new Set<unknown>()
  private bound?: Capability
  /** It signals something else from now on, or nothing. */
  onBinding?: () => void
  private pending = false
  /** A level interrupt delivered and not yet acknowledged. */
  private unacknowledged = false
  private masked = false
  /** Of what raised it last: goes along with the signal. */
  private context?: TraceContext
  raised = 0

  constructor(id: number, irq: number, trigger: Trigger) {
    this.id = id
    this.irq = irq
    this.trigger = trigger
  }
  describe(): string {
    return `IRQ ${this.irq} (${this.trigger})`
  }
  raise(source: unknown, context?: TraceContext): void {
    this.raised++
    this.context = context
    this.asserted.add(source)
    this.pending = true
    this.deliver()
  }
  lower(source: unknown): void {
    this.asserted.delete(source)
    if (this.trigger === 'level' && !this.asserted.size) this.pending = false
  }
  acknowledge(): void {
    this.unacknowledged = false
    if (this.trigger === 'level') this.pending = this.asserted.size > 0
    this.deliver()
  }
  /**
   * IRQHandler_SetNotification. The capability it signals through is its own: a revoke finds it, the other's deletion does not
   * matter.
   */
  bind(cap: Capability): Capability {
    if (!(cap.object instanceof Notification) || !(cap.rights & RIGHT.write))
      throw new Sel4Error('seL4_InvalidCapability', 'no right to signal')
    const held = derive(cap, { origin: this.describe() })
    this.unbind()
    held.onDelete = new Set([() => this.isBoundBy(held) && this.setBound(undefined)])
    this.setBound(held)
    if (this.trigger === 'level') this.pending = this.asserted.size > 0
    this.deliver()
    return held
  }
  /** The driver is gone: interrupts wait for the next one. */
  unbind(notification: KernelObject | undefined = this.bound?.object): void {
    if (this.bound && this.bound.object === notification) remove(this.bound)
  }
  private setBound(bound: Capability | undefined): void {
    this.bound = bound
    this.unacknowledged = false
    this.onBinding?.()
  }
  setMask(masked: boolean): void {
    this.masked = masked
    this.deliver()
  }
  get isMasked(): boolean {
    return this.masked
  }
  isBoundBy(held: Capability): boolean {
    return this.bound === held
  }
  /** What was on its way along a closed session may be lost: one interrupt too many is none too few. */
  suspect(): void {
    this.pending = true
    this.deliver()
  }
  /** Its last handler is gone. */
  destroy(): void {
    this.unbind()
  }
  private deliver(): void {
    if (!this.pending || this.masked || this.unacknowledged || !this.bound) return
    this.pending = false
    if (this.trigger === 'level') this.unacknowledged = true
    ;(this.bound.object as Notification).signal(this.bound.badge, this.context)
  }
}
/** An authority nobody can make: to interrupts, to IO ports, to processes. At first the root task's. */
export class Control implements KernelObject {
  references = 0
  readonly id: number
  readonly type: 'IRQControl' | 'IOPortControl' | 'ProcessControl'
  constructor(id: number, type: Control['type']) {
    this.id = id
    this.type = type
  }
  describe(): string {
    return this.type
  }
}
