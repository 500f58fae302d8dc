/**
 * An endpoint: who receives on it. One receiver: sessions go directly. More, or the slow path: the kernel hands each
 * message to the receiver with the fewest unanswered.
 */
import type { KernelObject } from './cspace.ts'
import type { Process } from './process.ts'

export class Endpoint implements KernelObject {
  readonly type = 'Endpoint'
  references = 0
  readonly id: number
  readonly label: string
  /** Counts the deaths of its receivers. */
  generation = 1
  readonly receivers = new Set<Process>()
  /** Its receiver died and nobody has promised another: callers hear so at once. */
  bereaved = false
  private waiting: (() => void)[] = []

  constructor(id: number, label = '') {
    this.id = id
    this.label = label
  }
  describe(): string {
    return this.label ? `Endpoint ${this.id} "${this.label}"` : `Endpoint ${this.id}`
  }
  bind(receiver: Process): void {
    this.receivers.add(receiver)
    this.bereaved = false
    this.wake()
  }
  lose(receiver: Process, reborn: boolean): void {
    if (!this.receivers.delete(receiver)) return
    this.generation++
    if (!this.receivers.size && !reborn) this.bereave()
  }
  bereave(): void {
    this.bereaved = true
    this.wake()
  }
  /** Resolves when there is a receiver, or none is to be hoped for. */
  ready(): Promise<void> {
    if (this.receivers.size || this.bereaved) return Promise.resolve()
    return new Promise((resolve) => this.waiting.push(resolve))
  }
  private wake(): void {
    for (const go of this.waiting.splice(0)) go()
  }
}
