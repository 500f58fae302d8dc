/**
 * Lending: an endpoint on which one thread alone receives is lent to that thread's process. Messages then go there along
 * sessions, one hop, and meet the thread in its runtime; whatever is more than a plain message takes the endpoint back.
 *
 *   thread                kernel                              senders
 *     │ Recv ───────────────► │                                  │
 *     │ ◄── [object, token] ──│ ◄─────────────── openSession ────│
 *     │ ◄───────────────────────────────────────────── CALL ─────│
 *     │                       │  a second receiver, a capability to move, a fault, a bound notification …
 *     │ ◄── recall ───────────│ ── sessions closed ────────────► │  what was not taken: made again, in the kernel
 *     │ ── who waits ───────► │                                  │
 *
 * An endpoint taken back is lent again only after some plain messages met in the kernel, the more the oftener it was.
 */
import type { Sel4Error } from '../lib/sel4/api.ts'
import { ASK, encode, FLAG, KIND } from '../lib/sel4/wire.ts'
import { type Capability, hangOn, letGo, walk } from './cspace.ts'
import type { Endpoint } from './endpoint.ts'
import { type ReceivePath, receiveFrom } from './rendezvous.ts'
import type { Kernel } from './kernel.ts'
import type { Process } from './process.ts'
import type { Tcb } from './tcb.ts'

/** Plain receives in a row before an endpoint that was often taken back is lent again. */
const RELUCTANCE_MAX = 64

export class Lending {
  readonly process: Process
  readonly thread: Tcb
  private readonly kernel: Kernel
  private readonly endpoint: Endpoint
  /** Of the capability it receives through: whether answers may carry capabilities. */
  private readonly rights: number
  private readonly path: readonly Capability[]
  private readonly tokens: number[] = []
  private readonly takeBack = () => void this.recall()

  constructor(kernel: Kernel, endpoint: Endpoint, thread: Tcb, path: readonly Capability[]) {
    this.kernel = kernel
    this.endpoint = endpoint
    this.thread = thread
    this.process = thread.process as Process
    this.path = path
    this.rights = path[path.length - 1].rights
    hangOn(path, this.takeBack)
    this.process.loans.add(this)
    endpoint.lent = this
  }
  /** Whom its process accused of something speaks to it through the kernel. */
  takesFrom(sender: Process | undefined): boolean {
    return sender !== undefined && !sender.accusers.has(this.process.init.token)
  }
  /** Another thread's it is not; and who asks again and again what it knows is lent it anew. */
  mayTell(thread: Tcb): boolean {
    return this.thread === thread && this.tokens.length < this.process.init.limits.capabilities
  }
  /** What the thread is told: once for each capability through which it receives. */
  token(): readonly [number, number] {
    const token = this.kernel.id()
    this.tokens.push(token)
    return [this.endpoint.id, token]
  }
  /** The endpoint is the kernel's again: nothing is under way to the process any more. */
  recall(): Promise<void> {
    if (this.endpoint.lent !== this) return this.endpoint.recalling ?? Promise.resolve()
    this.end()
    this.endpoint.reluctance = Math.min(RELUCTANCE_MAX, this.endpoint.reluctance * 2 || 1)
    const recalling = this.retrieve().finally(() => {
      if (this.endpoint.recalling === recalling) this.endpoint.recalling = undefined
    })
    this.endpoint.recalling = recalling
    this.kernel.waits.add(recalling)
    void recalling.then(() => this.kernel.waits.delete(recalling))
    return recalling
  }
  /** Its process died, or it is taken back. */
  end(): void {
    if (this.endpoint.lent === this) this.endpoint.lent = undefined
    this.process.loans.delete(this)
    letGo(this.path, this.takeBack)
  }
  private async retrieve(): Promise<void> {
    const { endpoint, process, tokens } = this
    for (const session of this.kernel.sessions.on(endpoint)) void this.kernel.sessions.close(session, false)
    const waiting = await process.ask(ASK.recall, [endpoint.id, tokens])
    for (const one of Array.isArray(waiting) ? waiting : []) this.resume(one)
  }
  /** `[sequence, thread, receive path]` of a Recv that goes on in the kernel. Untrusted: only its own thread has one. */
  private resume(waiting: unknown): void {
    const [sequence, number, path] = Array.isArray(waiting) ? waiting : []
    const { kernel, process, thread } = this
    if (number !== thread.number || !Number.isSafeInteger(sequence) || thread.process !== process) return
    const answer = (flags: number, label: number, body: unknown) =>
      process.tell(encode(KIND.RESULT, flags, label, 0, sequence >>> 0, body))
    receiveFrom(kernel, thread, this.endpoint, this.rights, true, pathOf(path)).then(
      (delivered) => answer(0, 0, delivered),
      (error: Sel4Error) => answer(FLAG.ERROR, error.code, null),
    )
  }
}
/** As the runtime was given it by the thread; what makes no sense is found nowhere. */
function pathOf(path: unknown): ReceivePath | undefined {
  const [root, index, depth] = Array.isArray(path) ? path : []
  return [root, index, depth].every((part) => Number.isSafeInteger(part) && part >= 0)
    ? { root, index, depth }
    : undefined
}

/** Whether a thread that is about to receive may do so in its own process. */
export function mayLend(kernel: Kernel, endpoint: Endpoint, thread: Tcb): boolean {
  if (kernel.manifest.slowpath || thread.bound || kernel.interposer.isOn(endpoint)) return false
  return endpoint.isQuiet && endpoint.metPlainly(thread) && thread.process?.state === 'running'
}
export const lend = (kernel: Kernel, endpoint: Endpoint, thread: Tcb, cptr: number): readonly [number, number] =>
  (endpoint.lent ?? new Lending(kernel, endpoint, thread, walk(thread.cspaceRoot, cptr))).token()
