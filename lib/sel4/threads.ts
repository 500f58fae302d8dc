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
import type { Answer, CPtr } from './api.ts'
import { SEL4_ERROR, Sel4Error } from './api.ts'
import type { Runtime } from './runtime.ts'
import type { Extent } from './transport.ts'
import { ASK, OP } from './wire.ts'

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

type Delivered = [number, number, unknown, number, number, number[], boolean]
const received = (wire: unknown): IpcReceived => {
  const [badge, label, body, caps, unwrapped, badges, answerable] = wire as Delivered
  return { badge, label, body, caps, unwrapped, badges, answerable }
}
/** Undelivered as yet: what Send and Call of the gate are given. */
const BLOCKS = 1
const IS_CALL = 2
const PAGE = 4096
/** General protection. [Intel SDM 3] 6.15 */
const GP = 13

interface Thread {
  readonly number: number
  priority: number
  suspended: boolean
  dead: boolean
  waiting: (() => void)[]
}
interface Page {
  readonly bytes: Uint8Array
  readonly writable: boolean
  status: number
}

export class Threads {
  private readonly runtime: Runtime
  private readonly threads = new Map<number, Thread>()
  private readonly entries = new Map<string, Entry>()
  private readonly pages = new Map<number, Page>()
  private readonly die: (error: unknown) => void
  private ready: { thread: Thread; go: () => void }[] = []

  constructor(runtime: Runtime, die: (error: unknown) => void) {
    this.runtime = runtime
    this.die = die
    runtime.whenAsked(ASK.thread, (body) => this.ordered(body as [number, string, unknown]))
    runtime.whenAsked(ASK.map, (body) => this.map(body as [number, Extent]))
    runtime.whenAsked(ASK.unmap, (body) => this.unmap(body as [number]))
    runtime.whenAsked(ASK.statusBits, (body) => this.statusBits(body as number))
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

  private ordered([number, order, detail]: [number, string, unknown]): null {
    const thread = this.threads.get(number)
    if (order === 'start') this.start(number, detail as [string, number[], number])
    else if (!thread) return null
    else if (order === 'suspend') thread.suspended = true
    else if (order === 'resume') this.resume(thread)
    else if (order === 'priority') thread.priority = detail as number
    else this.destroy(thread)
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
  private destroy(thread: Thread): void {
    thread.dead = true
    thread.waiting = []
    this.threads.delete(thread.number)
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

  // ------------------------------------------------------------ memory

  private map([vaddr, extent]: [number, Extent]): null {
    const bytes = this.runtime.transport.map(extent)
    const { writable } = extent
    for (let at = 0; at < extent.length; at += PAGE)
      this.pages.set(vaddr + at, { bytes: bytes.subarray(at, at + PAGE), writable, status: 0 })
    this.extents.set(vaddr, extent.length)
    return null
  }
  private readonly extents = new Map<number, number>()
  private unmap([vaddr]: [number]): null {
    for (let at = 0; at < (this.extents.get(vaddr) ?? 0); at += PAGE) this.pages.delete(vaddr + at)
    this.extents.delete(vaddr)
    return null
  }
  private statusBits(vaddr: number): number | null {
    const page = this.pages.get(vaddr - (vaddr % PAGE))
    if (!page) return null
    const { status } = page
    page.status = 0
    return status
  }
  /** The part of a page from an address on, or undefined: a fault. */
  piece(vaddr: number, write: boolean): Uint8Array | undefined {
    const page = this.pages.get(vaddr - (vaddr % PAGE))
    if (!page || (write && !page.writable)) return undefined
    page.status |= write ? 3 : 1
    return page.bytes.subarray(vaddr % PAGE)
  }
}

class ThreadContext implements SystemCalls {
  private readonly threads: Threads
  private readonly thread: Thread
  private readonly runtime: Runtime
  private path?: readonly [CPtr, number, number]

  constructor(threads: Threads, thread: Thread, runtime: Runtime) {
    this.threads = threads
    this.thread = thread
    this.runtime = runtime
  }
  /** One request of this thread; made again when the kernel withdrew it. */
  async request(op: number, service: CPtr, body: unknown): Promise<unknown> {
    for (;;) {
      await this.threads.turn(this.thread)
      const outcome = await this.runtime.invoke(op, body, this.thread.number, service).then(
        (result) => ({ result }),
        (error: Error) => ({ error }),
      )
      if ('error' in outcome && isCode(outcome.error, SEL4_ERROR.restart)) continue
      await this.threads.turn(this.thread)
      if ('error' in outcome) throw outcome.error
      return outcome.result
    }
  }
  private sending(dest: CPtr, { label, body = null, caps = [] }: IpcMessage, flags: number): Promise<unknown> {
    return this.request(OP.send, dest, [label, body, caps, flags, this.path ?? null])
  }
  /** What a server's runtime receives goes along a session. */
  private async alongSession(error: unknown, act: () => Promise<unknown>): Promise<unknown> {
    if (!isCode(error, SEL4_ERROR.meetsInSession)) throw error
    const result = await act()
    await this.threads.turn(this.thread)
    return result
  }
  async Send(dest: CPtr, message: IpcMessage): Promise<void> {
    await this.sending(dest, message, BLOCKS).catch((error) =>
      this.alongSession(error, () => this.runtime.send(dest, message.label, message.body ?? null)),
    )
  }
  async NBSend(dest: CPtr, message: IpcMessage): Promise<void> {
    await this.sending(dest, message, 0)
      .catch((error) => this.alongSession(error, () => this.runtime.send(dest, message.label, message.body ?? null)))
      .catch(() => {})
  }
  async Call(dest: CPtr, message: IpcMessage): Promise<IpcReceived> {
    const answer = await this.sending(dest, message, BLOCKS | IS_CALL).catch((error) =>
      this.alongSession(error, async () => {
        const { label, body }: Answer = await this.runtime.call(dest, message.label, message.body ?? null)
        return [0, label, body, 0, 0, [], false]
      }),
    )
    return received(answer)
  }
  async Recv(src: CPtr): Promise<IpcReceived> {
    return received(await this.request(OP.receive, src, [BLOCKS, this.path ?? null]))
  }
  async NBRecv(src: CPtr): Promise<IpcReceived | undefined> {
    const wire = await this.request(OP.receive, src, [0, this.path ?? null])
    return wire === null ? undefined : received(wire)
  }
  async Reply({ label, body = null, caps = [] }: IpcMessage): Promise<void> {
    await this.request(OP.reply, 0, [label, body, caps])
  }
  async ReplyRecv(src: CPtr, message: IpcMessage): Promise<IpcReceived> {
    await this.Reply(message)
    return this.Recv(src)
  }
  async NBSendRecv(dest: CPtr, message: IpcMessage, src: CPtr): Promise<IpcReceived> {
    await this.NBSend(dest, message)
    return this.Recv(src)
  }
  async Signal(dest: CPtr): Promise<void> {
    await this.request(OP.send, dest, [0, null, [], 0, null])
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
    const loaded = new Uint8Array(length)
    for (let done = 0; done < length; ) {
      const piece = this.threads.piece(vaddr + done, false)
      if (!piece) await this.request(OP.vmFault, 0, [vaddr + done, 0])
      else {
        const part = piece.subarray(0, length - done)
        loaded.set(part, done)
        done += part.length
      }
    }
    return loaded
  }
  async store(vaddr: number, bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const piece = this.threads.piece(vaddr + done, true)
      if (!piece) await this.request(OP.vmFault, 0, [vaddr + done, 1])
      else {
        const part = bytes.subarray(done, done + piece.length)
        piece.set(part)
        done += part.length
      }
    }
  }
  inb(port: number): Promise<unknown> {
    return this.request(OP.userException, 0, [GP, port])
  }
}
const isCode = (error: unknown, code: number): boolean => error instanceof Sel4Error && error.code === code
/** Above every operation of the gate, below the methods' labels. */
const UNKNOWN_FIRST = 512

/** The stubs: one for each declared method. */
for (const name of Object.keys(SEL4_METHODS) as Sel4MethodName[]) {
  const label = labelOfMethod(name)
  Object.defineProperty(ThreadContext.prototype, name, {
    value(this: ThreadContext, service: CPtr, ...args: unknown[]) {
      return this.request(label, service, args)
    },
  })
}
