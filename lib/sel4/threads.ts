/**
 * libsel4 as a thread has it: system calls, object methods, and the program-visible memory of its process.
 *
 *   env.libsel4                  the first thread's
 *   env.entry('server', main)    what TCB_WriteRegisters(tcb, resume, 'server', args) starts: main(sel4, args)
 *
 * A thread is an async task whose every blocking call names its TCB. Suspended, it stops at its next invocation; a call
 * that was withdrawn in the kernel is made again when the thread is resumed. Of those that may go on at the same moment
 * the one of the highest priority goes first. A task whose TCB is destroyed is never woken again.
 */
import { labelOfMethod, SEL4_METHODS, type Sel4MethodName, type Sel4Methods } from '#contracts/sel4'
import type { CPtr } from './api.ts'
import { SEL4_ERROR, Sel4Error } from './api.ts'
import type { Delivered, ReceivePath } from './meetings.ts'
import { ProgramMemory } from './program-memory.ts'
import type { Runtime } from './runtime.ts'
import type { Extent } from './transport.ts'
import { ASK, KIND, OP } from './wire.ts'

export interface IpcMessage {
  readonly label: number
  readonly body?: unknown
  /** Capabilities of the sender to go along: at most three. */
  readonly caps?: readonly CPtr[]
}
export interface IpcReceived {
  readonly badge: number
  readonly label: number
  readonly body: unknown
  /** How many capabilities came; bit n of `unwrapped`: the n-th was one to this endpoint, and `badges[n]` is its badge. */
  readonly caps: number
  readonly unwrapped: number
  readonly badges: readonly number[]
  /** The sender waits for an answer. */
  readonly answerable: boolean
}
export interface SystemCalls {
  Send(dest: CPtr, message: IpcMessage): Promise<void>
  NBSend(dest: CPtr, message: IpcMessage): Promise<void>
  Call(dest: CPtr, message: IpcMessage): Promise<IpcReceived>
  Recv(src: CPtr): Promise<IpcReceived>
  /** Undefined: nobody was sending. */
  NBRecv(src: CPtr): Promise<IpcReceived | undefined>
  Reply(message: IpcMessage): Promise<void>
  ReplyRecv(src: CPtr, message: IpcMessage): Promise<IpcReceived>
  NBSendRecv(dest: CPtr, message: IpcMessage, src: CPtr): Promise<IpcReceived>
  Signal(dest: CPtr): Promise<void>
  Wait(src: CPtr): Promise<number>
  /** 0: no signal. */
  Poll(src: CPtr): Promise<number>
  Yield(): Promise<void>
  /** A system call of that number: there is none, so it is a fault. Resolves with the handler's answer. */
  unknownSyscall(number: number): Promise<unknown>
  /** Where a received capability goes: a CNode of this CSpace, and a slot below it. */
  SetCapReceivePath(root: CPtr, index: number, depth: number): void
  /** Program-visible memory: faults as an MMU would, and goes on when the handler answers. */
  load(vaddr: number, length: number): Promise<Uint8Array>
  store(vaddr: number, bytes: Uint8Array): Promise<void>
  /** IN without a capability, as the bare instruction: a fault. */
  inb(port: number): Promise<unknown>
}
export type Libsel4 = SystemCalls & Sel4Methods
export type Entry = (sel4: Libsel4, args: readonly number[]) => Promise<void>

const received = (wire: Delivered | null): IpcReceived => {
  const [badge, label, body, caps, unwrapped, badges, answerable] = wire as Delivered
  return { badge, label, body, caps, unwrapped, badges, answerable }
}
/** The kernel's answer to a thread that may receive here: object and token. */
type Loan = readonly [object: number, token: number]
const isLoan = (wire: Delivered | Loan | null): wire is Loan => wire?.length === 2
/** Of a notification that was asked for signals and had none. */
const isSilence = (wire: Delivered | null): boolean => wire?.[7] === true && wire[0] === 0
/** Undelivered as yet: what Send and Call of the gate are given. */
const BLOCKS = 1
const IS_CALL = 2
/** How memory was accessed that faults. */
const READS = 0
const WRITES = 1
/** General protection. [Intel SDM 3] 6.15 */
const GP = 13

interface Thread {
  readonly number: number
  priority: number
  suspended: boolean
  dead: boolean
  waiting: (() => void)[]
}
export class Threads {
  private readonly runtime: Runtime
  private readonly threads = new Map<number, Thread>()
  private readonly entries = new Map<string, Entry>()
  readonly memory = new ProgramMemory()
  private readonly die: (error: unknown) => void
  private ready: { thread: Thread; go: () => void }[] = []

  constructor(runtime: Runtime, die: (error: unknown) => void) {
    this.runtime = runtime
    this.die = die
    runtime.whenAsked(ASK.thread, (body) => this.ordered(body as [number, string, unknown]))
    const { memory } = this
    runtime.whenAsked(ASK.map, (body) => {
      const [vaddr, extent] = body as [number, Extent]
      return memory.map(vaddr, runtime.transport.map(extent), extent.writable)
    })
    runtime.whenAsked(ASK.unmap, (body) => memory.unmap((body as [number])[0]))
    runtime.whenAsked(ASK.statusBits, (body) => memory.statusBits(body as number))
  }
  entry(name: string, main: Entry): void {
    this.entries.set(name, main)
  }
  first(): Libsel4 {
    return this.context(this.make(0, 0))
  }
  private make(number: number, priority: number): Thread {
    const thread = { number, priority, suspended: false, dead: false, waiting: [] }
    this.threads.set(number, thread)
    return thread
  }
  private context(thread: Thread): Libsel4 {
    return new ThreadContext(this, thread, this.runtime) as unknown as Libsel4
  }

  // ------------------------------------------------------------ the kernel's orders

  private ordered([number, order, detail]: [number, string, unknown]): Promise<null> | null {
    const thread = this.threads.get(number)
    if (order === 'start') this.start(number, detail as [string, number[], number])
    else if (!thread) return null
    else if (order === 'suspend') return this.suspend(thread)
    else if (order === 'resume') this.resume(thread)
    else if (order === 'priority') thread.priority = detail as number
    else return this.destroy(thread)
    return null
  }
  /** Confirmed when nothing it had under way can reach anybody any more. */
  private async suspend(thread: Thread): Promise<null> {
    thread.suspended = true
    this.runtime.meetings.suspend(thread.number)
    await this.runtime.routes.withdraw(thread.number)
    return null
  }
  private start(number: number, [name, args, priority]: [string, number[], number]): void {
    const main = this.entries.get(name)
    const thread = this.make(number, priority)
    if (!main) return this.die(new Error(`no thread entry ${name}`))
    void this.turn(thread)
      .then(() => main(this.context(thread), args))
      .catch((error) => {
        if (!thread.dead) this.die(error)
      })
  }
  private resume(thread: Thread): void {
    thread.suspended = false
    for (const go of thread.waiting.splice(0)) this.enqueue(thread, go)
  }
  private async destroy(thread: Thread): Promise<null> {
    thread.dead = true
    thread.waiting = []
    this.threads.delete(thread.number)
    this.runtime.meetings.forget(thread.number)
    await this.runtime.routes.withdraw(thread.number)
    return null
  }
  /** Resolves when the thread may run. */
  turn(thread: Thread): Promise<void> {
    return new Promise((go) => {
      if (thread.dead) return
      if (thread.suspended) thread.waiting.push(go)
      else this.enqueue(thread, go)
    })
  }
  private enqueue(thread: Thread, go: () => void): void {
    if (this.ready.push({ thread, go }) > 1) return
    queueMicrotask(() => {
      const ready = this.ready.sort((a, b) => b.thread.priority - a.thread.priority)
      this.ready = []
      for (const { thread: next, go: run } of ready) {
        if (next.suspended) next.waiting.push(run)
        else if (!next.dead) run()
      }
    })
  }
}

class ThreadContext implements SystemCalls {
  private readonly threads: Threads
  private readonly thread: Thread
  private readonly runtime: Runtime
  private path?: ReceivePath

  constructor(threads: Threads, thread: Thread, runtime: Runtime) {
    this.threads = threads
    this.thread = thread
    this.runtime = runtime
  }
  /** One system call of this thread; made again when it was withdrawn. */
  private async attempt<T>(act: () => Promise<T>): Promise<T> {
    for (;;) {
      await this.threads.turn(this.thread)
      const outcome = await act().then(
        (result) => ({ result }),
        (error: Error) => ({ error }),
      )
      if ('error' in outcome && isCode(outcome.error, SEL4_ERROR.restart)) continue
      await this.threads.turn(this.thread)
      if ('error' in outcome) throw outcome.error
      return outcome.result
    }
  }
  request(op: number, service: CPtr, body: unknown): Promise<unknown> {
    return this.attempt(() => this.runtime.invoke(op, body, this.thread.number, service))
  }

  // ------------------------------------------------------------ sending

  /** Along the session behind `dest` while there is one; else in the kernel, which may say that there should be one. */
  private async sendOnce(dest: CPtr, message: IpcMessage, kind: number): Promise<Delivered | null> {
    const { label, body = null, caps = [] } = message
    const plain = caps.length === 0 && !this.path
    if (plain && this.runtime.routes.opened(dest, this.thread.number)) {
      const answer = await this.along(dest, message, kind).catch(unlessMeetsInKernel)
      if (answer) return answer
    }
    const flags = kind === KIND.NBSEND ? 0 : kind === KIND.SEND ? BLOCKS : BLOCKS | IS_CALL
    const system = [label, body, caps, flags, this.path ?? null]
    return this.runtime.invoke(OP.send, system, this.thread.number, dest).catch((error: Error) => {
      if (!isCode(error, SEL4_ERROR.meetsInSession)) throw error
      return this.along(dest, message, kind).catch(onceMore)
    }) as Promise<Delivered | null>
  }
  private async along(dest: CPtr, { label, body = null }: IpcMessage, kind: number): Promise<Delivered> {
    // It may have been suspended since.
    await this.threads.turn(this.thread)
    const answer = await this.runtime.routes.request(dest, kind, label, body, {
      thread: this.thread.number,
      meets: true,
    })
    return [0, answer.label, answer.body, 0, 0, [], false]
  }
  async Send(dest: CPtr, message: IpcMessage): Promise<void> {
    await this.attempt(() => this.sendOnce(dest, message, KIND.SEND))
  }
  async NBSend(dest: CPtr, message: IpcMessage): Promise<void> {
    await this.attempt(() => this.sendOnce(dest, message, KIND.NBSEND)).catch(() => {})
  }
  async Call(dest: CPtr, message: IpcMessage): Promise<IpcReceived> {
    return received(await this.attempt(() => this.sendOnce(dest, message, KIND.CALL)))
  }

  // ------------------------------------------------------------ receiving

  /** Here, while the kernel has lent the endpoint to this thread; else in the kernel. */
  private receive(src: CPtr, blocks: boolean): Promise<Delivered | null> {
    return this.attempt(() => this.receiveOnce(src, blocks))
  }
  private async receiveOnce(src: CPtr, blocks: boolean): Promise<Delivered | null> {
    const { meetings } = this.runtime
    const { number: thread } = this.thread
    const path = this.path ?? null
    for (;;) {
      const lent = meetings.lent(thread, src)
      if (lent) return meetings.receive(lent, { thread, path }, blocks)
      const asked = this.runtime.invoke(OP.receive, [blocks ? BLOCKS : 0, path], thread, src)
      const wire = (await asked) as Delivered | Loan | null
      meetings.heardInKernel(thread, isLoan(wire) ? null : wire)
      if (!isLoan(wire)) return isSilence(wire) ? null : wire
      meetings.lend(thread, src, wire)
    }
  }
  async Recv(src: CPtr): Promise<IpcReceived> {
    return received(await this.receive(src, true))
  }
  async NBRecv(src: CPtr): Promise<IpcReceived | undefined> {
    const wire = await this.receive(src, false)
    return wire === null ? undefined : received(wire)
  }
  async Reply({ label, body = null, caps = [] }: IpcMessage): Promise<void> {
    const { meetings } = this.runtime
    const { number } = this.thread
    if (caps.length) await this.exportCaller()
    if (!meetings.caller(number)) return void (await this.request(OP.reply, 0, [label, body, caps]))
    await this.threads.turn(this.thread)
    meetings.reply(number, label, body)
  }
  /** A reply that is to be a capability, or to carry some, is the kernel's. */
  async exportCaller(): Promise<void> {
    const { meetings } = this.runtime
    const caller = meetings.caller(this.thread.number)
    if (!caller) return
    // At once: its caller may take the call back meanwhile.
    meetings.exported(this.thread.number)
    await this.request(OP.exportCaller, 0, [caller.session.info.session, caller.id])
  }
  async ReplyRecv(src: CPtr, message: IpcMessage): Promise<IpcReceived> {
    await this.Reply(message)
    return this.Recv(src)
  }
  async NBSendRecv(dest: CPtr, message: IpcMessage, src: CPtr): Promise<IpcReceived> {
    await this.NBSend(dest, message)
    return this.Recv(src)
  }

  // ------------------------------------------------------------ other calls

  async Signal(dest: CPtr): Promise<void> {
    await this.attempt(() => this.sendOnce(dest, { label: 0 }, KIND.NBSEND))
  }
  async Wait(src: CPtr): Promise<number> {
    return (await this.Recv(src)).badge
  }
  async Poll(src: CPtr): Promise<number> {
    return (await this.NBRecv(src))?.badge ?? 0
  }
  async Yield(): Promise<void> {
    await this.request(OP.yield, 0, null)
  }
  unknownSyscall(number: number): Promise<unknown> {
    return this.request(UNKNOWN_FIRST + number, 0, null)
  }
  SetCapReceivePath(root: CPtr, index: number, depth: number): void {
    this.path = [root, index, depth]
  }

  async load(vaddr: number, length: number): Promise<Uint8Array> {
    // Every byte is written before anybody sees one.
    const loaded = new Uint8Array(Buffer.allocUnsafeSlow(length).buffer)
    for (let done = 0; (done = this.threads.memory.read(vaddr, loaded, done)) < length; )
      await this.fault(vaddr + done, READS)
    return loaded
  }
  async store(vaddr: number, bytes: Uint8Array): Promise<void> {
    for (let done = 0; (done = this.threads.memory.write(vaddr, bytes, done)) < bytes.length; )
      await this.fault(vaddr + done, WRITES)
  }
  /** Answered or withdrawn: the access is made again. */
  private async fault(vaddr: number, access: number): Promise<void> {
    await this.threads.turn(this.thread)
    await this.runtime.invoke(OP.vmFault, [vaddr, access], this.thread.number, 0).catch((error: Error) => {
      if (!isCode(error, SEL4_ERROR.restart)) throw error
    })
    await this.threads.turn(this.thread)
  }
  inb(port: number): Promise<unknown> {
    return this.request(OP.userException, 0, [GP, port])
  }
}
/** Withdrawn between opening and sending: the thread begins anew. */
const onceMore = (error: Error): never => {
  throw isCode(error, SEL4_ERROR.meetsInKernel) ? new Sel4Error('restart') : error
}
const unlessMeetsInKernel = (error: Error): undefined => {
  if (!isCode(error, SEL4_ERROR.meetsInKernel)) throw error
}
const isCode = (error: unknown, code: number): boolean => error instanceof Sel4Error && error.code === code
/** Above every operation of the gate, below the methods' labels. */
const UNKNOWN_FIRST = 512

/** The stubs: one for each declared method. */
for (const name of Object.keys(SEL4_METHODS) as Sel4MethodName[]) {
  const label = labelOfMethod(name)
  const invoke = function (this: ThreadContext, service: CPtr, ...args: unknown[]) {
    return this.request(label, service, args)
  }
  const save = async function (this: ThreadContext, service: CPtr, ...args: unknown[]) {
    await this.exportCaller()
    await this.request(label, service, args)
  }
  Object.defineProperty(ThreadContext.prototype, name, { value: name === 'CNode_SaveCaller' ? save : invoke })
}
