/**
 * A thread control block: whose code runs (its VSpace's process), with which capabilities, at what priority, and what it
 * waits for in the kernel.
 *
 *   configure(…)      TCB_Configure and TCB_SetSpace
 *   suspend, resume   a suspended thread's system call is withdrawn and starts again when it is resumed
 *   block(wait)       the system call under way; withdraw() ends it
 *   mustNotWait()     refuses another that would wait, or take the place of that
 *
 * Differs from seL4: the host's scheduler decides when a process runs; within one, lib/sel4 starts ready threads by
 * priority. A process's first thread (number 0) is the process: its end is the process's.
 */
import { type CPtr, Sel4Error } from '../lib/sel4/api.ts'
import { type Capability, type KernelObject, type Region, remove } from './cspace.ts'
import type { Receiver } from './endpoint.ts'
import type { Notification } from './notification.ts'
import type { Process } from './process.ts'
import type { Reply } from './reply.ts'
import type { VSpace } from './vspace.ts'

/** A system call that waits. */
export interface Wait {
  /** In whose queue; absent: it waits for an answer. */
  readonly on?: KernelObject
  /** Takes it out of the object's queue. */
  leave(): void
  /** Answers that it was withdrawn: the thread makes it again when it is resumed. */
  restart(): void
}
export type ThreadOrder = 'start' | 'suspend' | 'resume' | 'priority' | 'destroy'
export const MAX_PRIORITY = 255

export class Tcb implements KernelObject {
  readonly type = 'TCB'
  references = 0
  readonly id: number
  readonly name: string
  readonly region?: Region
  state: 'inactive' | 'running' | 'suspended' = 'inactive'
  cspaceRoot?: Capability
  vspaceRoot?: Capability
  bufferFrame?: Capability
  faultEndpoint: CPtr = 0
  priority = 0
  mcp = 0
  /** Which of its process's threads. */
  number = 0
  process?: Process
  entry = ''
  arguments: readonly number[] = []
  caller?: Reply
  bound?: Notification
  /** It waits in a Recv on an endpoint: a signal of its bound notification ends that. */
  receiving?: { readonly receiver: Receiver; leave(): void }
  private waiting?: Wait
  private started = false

  constructor(id: number, name: string, region?: Region) {
    this.id = id
    this.name = name
    this.region = region
  }
  describe(): string {
    return `TCB of ${this.name}, ${this.state}`
  }
  get vspace(): VSpace | undefined {
    return this.vspaceRoot?.object as VSpace | undefined
  }
  setSpace(cspaceRoot: Capability, vspaceRoot: Capability): void {
    const old = [this.cspaceRoot, this.vspaceRoot]
    this.cspaceRoot = this.keep(cspaceRoot, () => {
      if (this.cspaceRoot === cspaceRoot) this.cspaceRoot = undefined
    })
    this.vspaceRoot = this.keep(vspaceRoot, () => {
      if (this.vspaceRoot !== vspaceRoot) return
      this.vspaceRoot = undefined
      this.leaveSpace()
    })
    for (const cap of old) if (cap) remove(cap)
    this.enterSpace()
  }
  setBuffer(frame: Capability | undefined): void {
    if (this.bufferFrame) remove(this.bufferFrame)
    this.bufferFrame = frame && this.keep(frame, () => (this.bufferFrame = undefined))
  }
  private keep(cap: Capability, lost: () => void): Capability {
    cap.onDelete = new Set([lost])
    return cap
  }
  private enterSpace(): void {
    const process = this.vspace?.process
    if (process === this.process) return
    this.leaveSpace()
    this.process = process
    if (process) this.number = process.addThread(this)
  }
  private leaveSpace(): void {
    if (!this.process) return
    // Nobody would take what it waits for.
    this.withdraw()
    void this.order('destroy')
    this.process.threads.delete(this.number)
    this.process = undefined
    this.started = false
  }

  // ------------------------------------------------------------ life

  /** TCB_WriteRegisters: what it did before is forgotten. */
  writeRegisters(entry: string, args: readonly number[]): void {
    this.withdraw()
    if (this.started) this.renumber()
    this.started = false
    this.entry = entry
    this.arguments = args
    if (this.state !== 'inactive') this.state = 'suspended'
  }
  /** What it did before may have sent a request that has yet to come: that is nobody's. */
  private renumber(): void {
    void this.order('destroy')
    this.process?.threads.delete(this.number)
    if (this.process) this.number = this.process.addThread(this)
  }
  resume(): void {
    if (this.state === 'running') return
    this.state = 'running'
    if (!this.started && this.number !== 0) void this.order('start', [this.entry, this.arguments, this.priority])
    else if (this.started) void this.order('resume')
    else this.process?.onBegin?.()
    this.started = true
  }
  async suspend(): Promise<void> {
    if (this.state === 'running') this.state = 'suspended'
    const told = this.order('suspend')
    this.withdraw()
    await told
  }
  setPriority(priority: number): void {
    this.priority = priority
    void this.order('priority', priority)
  }
  /** To its process's runtime. */
  order(order: ThreadOrder, detail: unknown = null): Promise<unknown> {
    const { process } = this
    return process ? process.tellThread([this.number, order, detail]) : Promise.resolve()
  }

  // ------------------------------------------------------------ system calls

  block(wait: Wait): void {
    this.waiting = wait
  }
  unblock(): void {
    this.waiting = undefined
    this.receiving = undefined
  }
  get isBlocked(): boolean {
    return this.waiting !== undefined
  }
  /** Its process may say anything in its name; but it waits for one thing, and what does so holds no more of the kernel. */
  mustNotWait(): void {
    if (this.isBlocked) throw new Sel4Error('seL4_IllegalOperation', 'the thread waits already')
  }
  withdraw(): void {
    const { waiting } = this
    this.unblock()
    waiting?.leave()
    waiting?.restart()
  }
  /** Its process is gone: whoever waits for its answer hears so. */
  died(): void {
    this.caller?.bereave()
    this.abandon()
  }
  private abandon(): void {
    this.waiting?.leave()
    this.unblock()
    this.caller?.drop()
    this.caller = undefined
    this.bound?.unbind()
    this.state = 'inactive'
  }
  destroy(): void {
    if (this.number === 0 && this.process?.alive) this.process.lostFirstThread()
    this.abandon()
    this.release()
  }
  /** Nothing it was configured with is kept alive by it any more. */
  release(): void {
    for (const cap of [this.cspaceRoot, this.vspaceRoot, this.bufferFrame]) if (cap) remove(cap)
  }
}
