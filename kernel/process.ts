/**
 * A process as the kernel sees it: CSpace, VSpace, TCB, its open sessions, and the questions it has yet to answer.
 *
 *   ask(op, body)   a request to its runtime; resolves with its answer, or undefined when it died first
 */
import type { Birth, CapNames, CPtr } from '../lib/sel4/api.ts'
import { encode, KIND } from '../lib/sel4/wire.ts'
import type { Capability, CNode } from './cspace.ts'
import type { Device } from './device.ts'
import type { Endpoint } from './endpoint.ts'
import type { Session } from './session.ts'
import type { Tcb } from './tcb.ts'
import type { VSpace } from './vspace.ts'

export type DeathCause = 'exit' | 'signal' | 'fault' | 'lease'
export interface ProcessInit {
  readonly name: string
  readonly image: string
  readonly generation: number
  readonly birth: Birth
  readonly token: string
  readonly cspace: CNode
  readonly vspace: VSpace
  readonly tcb: Tcb
  readonly config: Readonly<Record<string, unknown>>
  readonly kind: 'device' | 'panel' | 'root' | 'image'
  readonly leaseMs: number
  readonly window: number
  readonly device?: Device
}
export class Process {
  readonly init: ProcessInit
  readonly names: Record<string, CPtr> = {}
  readonly sessionsOut = new Set<Session>()
  readonly sessionsIn = new Set<Session>()
  readonly receivesOn = new Set<Endpoint>()
  /** Identity under which it sends to a peer, by the peer's token. */
  readonly identities = new Map<string, string>()
  pid = 0
  state: 'starting' | 'running' | 'dead' = 'starting'
  /** Where its fast path listens. */
  address = ''
  arena?: Capability
  epitaph?: string
  /** Why the kernel ended it, when the kernel did. */
  ended?: { cause: DeathCause; detail: string }
  /** Kernel ticks since it was heard last. */
  silent = 0
  cpuAtSilence = 0
  messages = 0
  private readonly send: (message: Buffer) => void
  private readonly questions = new Map<number, (answer: unknown) => void>()
  private sequence = 0

  constructor(init: ProcessInit, send: (message: Buffer) => void) {
    this.init = init
    this.send = send
  }
  get name(): string {
    return this.init.name
  }
  get capNames(): CapNames {
    return this.names
  }
  get alive(): boolean {
    return this.state !== 'dead'
  }
  install(name: string, cap: Capability): CPtr {
    return (this.names[name] = this.init.cspace.insert(cap))
  }
  tell(message: Buffer): void {
    if (this.state === 'running') this.send(message)
  }
  ask(op: number, body: unknown): Promise<unknown> {
    if (this.state !== 'running') return Promise.resolve(undefined)
    return new Promise((resolve) => {
      const sequence = (this.sequence = (this.sequence + 1) >>> 0)
      this.questions.set(sequence, resolve)
      this.send(encode(KIND.INVOKE, 0, op, 0, sequence, body))
    })
  }
  answered(sequence: number, answer: unknown): void {
    const resolve = this.questions.get(sequence)
    this.questions.delete(sequence)
    resolve?.(answer)
  }
  died(): void {
    this.state = 'dead'
    for (const resolve of this.questions.values()) resolve(undefined)
    this.questions.clear()
  }
}
