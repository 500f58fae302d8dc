/**
 * An endpoint: where a message and a receiver meet.
 *
 * Threads that Recv meet senders in the kernel's queues, first come, first served, or, while one of them alone receives,
 * in its own process (lending.ts). A server whose runtime receives for it (`serve`, `recv`) is bound instead: sessions
 * then go to its process directly, or through the kernel when there are more of them. The first receiver decides which of
 * the two an endpoint is; when its last receiver is gone it is neither.
 *
 *   send(sender, blocks)       meets a waiting receiver, else waits or is dropped
 *   receive(receiver, blocks)  meets the first sender, else waits or hears that there is none
 *   cancelBadged(badge)        CNode_CancelBadgedSends
 */
import type { Capability, KernelObject, Region } from './cspace.ts'
import type { Lending } from './lending.ts'
import type { Process } from './process.ts'
import type { Tcb } from './tcb.ts'

export interface Message {
  readonly label: number
  readonly body: unknown
  /** As found in the sender's CSpace when the message is handed over; throws when one is not there any more. */
  readonly caps: () => readonly Capability[]
}
export interface Sender {
  readonly badge: number
  /** Rights of the capability it was sent through. */
  readonly rights: number
  readonly message: Message
  /** It waits for an answer. */
  readonly call: boolean
  readonly thread: Tcb
  /** Met: the message is with the receiver. `withdrawn`: what is called when a caller waits for the answer no more. */
  taken(withdrawn?: () => void): void
  answered(message: Message, canGrant: boolean): void
  /** Whoever was to answer died. */
  bereaved?(): void
  /** Withdrawn. */
  restart(): void
}
export interface Receiver {
  readonly thread: Tcb
  readonly rights: number
  accept(sender: Sender): void
  restart(): void
  heard(word: number): void
}

export class Endpoint implements KernelObject {
  readonly type = 'Endpoint'
  references = 0
  readonly id: number
  readonly label: string
  readonly region?: Region
  /** Counts the deaths of its receivers. */
  generation = 1
  /** Processes whose runtime receives. */
  readonly receivers = new Set<Process>()
  /** Its receiver died and nobody has promised another: callers hear so at once. */
  bereaved = false
  /** Threads receive: messages meet in the kernel, or where it is lent to. */
  meetsHere = false
  lent?: Lending
  /** It is being taken back: nothing new begins. */
  recalling?: Promise<void>
  /** Plain receives in a row that it takes to lend it again. */
  reluctance = 0
  private plain = 0
  private lastReceiver?: Tcb
  senders: Sender[] = []
  private waiting: Receiver[] = []
  private wakes: (() => void)[] = []

  constructor(id: number, label = '', region?: Region) {
    this.id = id
    this.label = label
    this.region = region
  }
  describe(): string {
    return this.label ? `Endpoint ${this.id} "${this.label}"` : `Endpoint ${this.id}`
  }
  bind(receiver: Process): void {
    this.receivers.add(receiver)
    this.bereaved = false
    this.wake()
    this.cancelAll()
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
    if (this.receivers.size || this.bereaved || this.meetsHere) return Promise.resolve()
    return new Promise((resolve) => this.wakes.push(resolve))
  }
  private wake(): void {
    for (const go of this.wakes.splice(0)) go()
  }

  /** Threads receive on it from now on. */
  meets(): void {
    if (this.meetsHere) return
    this.meetsHere = true
    this.wake()
  }
  /** Nobody waits at it. */
  get isQuiet(): boolean {
    return this.senders.length === 0 && this.waiting.length === 0
  }
  /** A thread receives once more: whether it alone did so often enough. */
  metPlainly(thread: Tcb): boolean {
    this.plain = this.lastReceiver === thread ? this.plain + 1 : 0
    this.lastReceiver = thread
    return this.plain >= this.reluctance
  }

  // ------------------------------------------------------------ meeting

  send(sender: Sender, blocks: boolean): void {
    const receiver = this.waiting.shift()
    if (receiver) return this.meet(sender, receiver)
    if (!blocks) return sender.taken()
    void this.lent?.recall()
    this.senders.push(sender)
    sender.thread.block({ on: this, leave: () => this.leave(sender), restart: () => sender.restart() })
  }
  /** False: nobody was there, and it did not wait. */
  receive(receiver: Receiver, blocks: boolean): boolean {
    this.meets()
    const sender = this.senders.shift()
    if (sender) {
      sender.thread.unblock()
      this.meet(sender, receiver)
    } else if (blocks) {
      this.waiting.push(receiver)
      const leave = () => this.leave(receiver)
      receiver.thread.block({ on: this, leave, restart: () => receiver.restart() })
      receiver.thread.receiving = { receiver, leave }
    }
    return sender !== undefined || blocks
  }
  private meet(sender: Sender, receiver: Receiver): void {
    receiver.thread.unblock()
    receiver.accept(sender)
    if (!sender.call) sender.taken()
  }
  private leave(who: Sender | Receiver): void {
    this.senders = this.senders.filter((other) => other !== who)
    this.waiting = this.waiting.filter((other) => other !== who)
  }
  cancelBadged(badge: number): void {
    for (const sender of this.senders.filter((waiting) => waiting.badge === badge)) sender.thread.withdraw()
  }
  private cancelAll(): void {
    for (const { thread } of [...this.senders, ...this.waiting]) thread.withdraw()
  }
  destroy(): void {
    void this.lent?.recall()
    this.cancelAll()
    this.bereave()
  }
}
