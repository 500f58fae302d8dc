/**
 * Notifications as this process waits for them: from the kernel, or an interrupt straight from its device.
 *
 * A WAIT the kernel was given outlives its wait when an interrupt came along a session; a signal that nobody waited for
 * is kept for the next wait.
 */
import type { CPtr } from './api.ts'
import { sel4Error } from './errors.ts'
import type { Runtime } from './runtime.ts'
import { contextOf, encode, FLAG, flagsOf, KIND, labelOf, sequenceOf, sessionOf, traced } from './wire.ts'

export class Signals {
  private readonly runtime: Runtime
  private readonly waits = new Map<number, { resolve(word: number): void; reject(error: Error): void }>()
  private readonly waitAt = new Map<CPtr, number>()
  private readonly latched = new Map<CPtr, number>()
  /** What woke whoever waited for a notification last, while somebody watches. */
  private readonly contexts = new Map<CPtr, Uint8Array>()

  constructor(runtime: Runtime) {
    this.runtime = runtime
  }
  wait(notification: CPtr): Promise<number> {
    const word = this.latched.get(notification)
    if (word) {
      this.latched.delete(notification)
      return Promise.resolve(word)
    }
    return new Promise((resolve, reject) => {
      const asked = this.waitAt.get(notification)
      if (asked !== undefined && !this.waits.has(asked)) return void this.waits.set(asked, { resolve, reject })
      const sequence = this.runtime.nextSequence()
      this.waits.set(sequence, { resolve, reject })
      if (asked === undefined) this.waitAt.set(notification, sequence)
      this.runtime.transport.gate(encode(KIND.WAIT, 0, 0, notification, sequence, null))
    })
  }
  /** A device's interrupt, from the device itself: as the kernel's NOTIFY, which stays asked for. */
  interrupted(notification: CPtr, badge: number, message: Buffer): void {
    this.remember(notification, message)
    const sequence = this.waitAt.get(notification) ?? -1
    const wait = this.waits.get(sequence)
    if (!wait) return this.latch(notification, badge)
    this.waits.delete(sequence)
    wait.resolve(badge)
  }
  notified(message: Buffer): void {
    const sequence = sequenceOf(message)
    const notification = sessionOf(message)
    this.remember(notification, message)
    if (this.waitAt.get(notification) === sequence) this.waitAt.delete(notification)
    const wait = this.waits.get(sequence)
    if (!wait) return flagsOf(message) & FLAG.ERROR ? undefined : this.latch(notification, labelOf(message))
    this.waits.delete(sequence)
    if (flagsOf(message) & FLAG.ERROR) wait.reject(sel4Error(labelOf(message)))
    else wait.resolve(labelOf(message))
  }
  private remember(notification: CPtr, message: Buffer): void {
    if (this.runtime.tracer.enabled && traced(message))
      this.contexts.set(notification, Uint8Array.from(contextOf(message)))
  }
  private latch(notification: CPtr, word: number): void {
    this.latched.set(notification, ((this.latched.get(notification) ?? 0) | word) >>> 0)
  }
  signalledBy(notification: CPtr): Uint8Array | undefined {
    const context = this.contexts.get(notification)
    this.contexts.delete(notification)
    return context
  }
}
