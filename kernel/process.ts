/**
 * A process as the kernel sees it: CSpace, VSpace, TCB, its open sessions, and the questions it has yet to answer.
 *
 *   ask(op, body)   a request to its runtime; resolves with its answer, or undefined when it died first
 *   owing()         for the lease: how long it has not confirmed a change
 */
import { type Birth, type CapNames, type CPtr, type DeathReport, Sel4Error } from '../lib/sel4/api.ts'
import { ASK, encode, KIND } from '../lib/sel4/wire.ts'
import { type Capability, type CNode, lookup } from './cspace.ts'
import type { Device } from './device.ts'
import type { Endpoint } from './endpoint.ts'
import type { Lending } from './lending.ts'
import type { Limits } from './manifest/manifest.ts'
import { Pace, Rush } from './pace.ts'
import type { Session } from './session.ts'
import type { Tcb } from './tcb.ts'
import type { VSpace } from './vspace.ts'

/** Thread numbers are 16 bits in a message's header. */
const THREAD_NUMBERS = 0x10000
/** A number comes again only after all others: what a destroyed thread had under way is not taken for its successor's. */
const THREADS_MAX = 1024
export type DeathCause = DeathReport['cause']
export interface ProcessInit {
  readonly name: string
  readonly image: string
  readonly generation: number
  readonly birth: Birth
  readonly token: string
  /** Where its fast path listens. */
  readonly address: string
  readonly cspace: CNode
  readonly vspace: VSpace
  readonly tcb: Tcb
  readonly config: Readonly<Record<string, unknown>>
  readonly kind: 'device' | 'panel' | 'root' | 'image'
  readonly limits: Limits
  readonly device?: Device
}
interface Question {
  readonly op: number
  readonly resolve: (answer: unknown) => void
  /** Kernel ticks it has been waiting for its answer. */
  ticks: number
}
/**
 * Changes of what a process may do: its runtime confirms them at once, and whoever made them waits for it. Others (a chip's
 * reset, a route that waits for what is under way) take the time they take.
 */
const CONFIRMED_AT_ONCE = new Set<number>([
  ASK.sessionOpen,
  ASK.sessionClose,
  ASK.routeClosed,
  ASK.irqRoute,
  ASK.barrier,
  ASK.map,
  ASK.unmap,
  ASK.thread,
  ASK.statusBits,
])
export class Process {
  readonly init: ProcessInit
  readonly names: Record<string, CPtr> = {}
  readonly sessionsOut = new Set<Session>()
  readonly sessionsIn = new Set<Session>()
  readonly receivesOn = new Set<Endpoint>()
  /** Endpoints lent to its threads. */
  readonly loans = new Set<Lending>()
  /** By number; 0 is the first. */
  readonly threads = new Map<number, Tcb>()
  /** Identity under which it sends to a peer, by the peer's token. */
  readonly identities = new Map<string, string>()
  /** Receivers, by token, that have complained of it: what it sends them goes through the kernel. */
  readonly accusers = new Set<string>()
  readonly pace: Pace
  pid = 0
  /** Suspended: it has said hello, and is told who it is when its first thread is resumed. */
  state: 'starting' | 'suspended' | 'running' | 'dead' = 'starting'
  arena?: Capability
  epitaph?: string
  /** Why the kernel ended it, when the kernel did. */
  ended?: { cause: DeathCause; detail: string }
  /** Kernel ticks since it was heard last. */
  silent = 0
  /** Stopped by the kernel for a while: it used more than its share of the processor. */
  held = false
  onLost?: () => void
  /** Its first thread begins to run. */
  onBegin?: () => void
  private readonly send: (message: Buffer) => void
  private readonly questions = new Map<number, Question>()
  private sequence = 0
  private nextThread = 0
  /** Questions from before it could hear. */
  private readonly early: Buffer[] = []

  constructor(init: ProcessInit, send: (message: Buffer) => void) {
    this.init = init
    this.pace = new Pace(init.limits.requests, () => this.ask(ASK.barrier, null))
    this.send = send
  }
  readonly rush = new Rush()
  get name(): string {
    return this.init.name
  }
  get capNames(): CapNames {
    return this.names
  }
  get alive(): boolean {
    return this.state !== 'dead'
  }
  /** What the first thread finds at an address. */
  lookup(cptr: CPtr): Capability {
    return lookup(this.init.tcb.cspaceRoot, cptr)
  }
  addThread(thread: Tcb): number {
    if (this.threads.size < THREADS_MAX) {
      while (this.threads.has(this.nextThread)) this.nextThread = (this.nextThread + 1) % THREAD_NUMBERS
      const number = this.nextThread
      this.nextThread = (number + 1) % THREAD_NUMBERS
      this.threads.set(number, thread)
      return number
    }
    throw new Sel4Error('seL4_NotEnoughMemory', `${this.name} has ${THREADS_MAX} threads`)
  }
  tellThread(order: readonly unknown[]): Promise<unknown> {
    return this.alive ? this.ask(ASK.thread, order) : Promise.resolve()
  }
  /** Its first thread was destroyed. */
  lostFirstThread(): void {
    this.onLost?.()
  }
  install(name: string, cap: Capability): CPtr {
    return (this.names[name] = this.init.cspace.insert(cap))
  }
  tell(message: Buffer): void {
    if (this.state === 'running') this.send(message)
  }
  ask(op: number, body: unknown): Promise<unknown> {
    if (!this.alive) return Promise.resolve(undefined)
    return new Promise((resolve) => {
      const sequence = (this.sequence = (this.sequence + 1) >>> 0)
      this.questions.set(sequence, { op, resolve, ticks: 0 })
      const message = encode(KIND.INVOKE, 0, op, 0, sequence, body)
      if (this.state === 'running') this.send(message)
      else this.early.push(message)
    })
  }
  /** It has been told who it is: what was asked of it meanwhile follows. */
  born(): void {
    for (const message of this.early.splice(0)) this.send(message)
  }
  answered(sequence: number, answer: unknown): void {
    const question = this.questions.get(sequence)
    this.questions.delete(sequence)
    question?.resolve(answer)
  }
  /** A tick passes; how many it has owed a confirmation for. */
  owing(): number {
    let most = 0
    for (const question of this.questions.values())
      if (this.owesAtOnce(question.op)) most = Math.max(most, ++question.ticks)
    return most
  }
  /** The root task gives memory back when the IOs that name it have ended. */
  private owesAtOnce(op: number): boolean {
    return CONFIRMED_AT_ONCE.has(op) || (op === ASK.unmapMemory && this.init.kind !== 'root')
  }
  died(): void {
    this.state = 'dead'
    for (const { resolve } of this.questions.values()) resolve(undefined)
    this.questions.clear()
    for (const thread of this.threads.values()) thread.died()
  }
}
