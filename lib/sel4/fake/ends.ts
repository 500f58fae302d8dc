/** The far ends of a component's capabilities, played by the test: see ../fake.ts. */
import { fromWire, type MalformedError, toWire } from '#contracts/field'
import type { Handlers, Interface, Method } from '#contracts/interface'
import { NT_STATUS, StatusError } from '#rtl'
import type { Answer, Caller, CPtr, Received, Registers, ReplyHandle, Sel4 } from '../api.ts'
import { Sel4Error } from '../api.ts'
import { makeClient, ServiceTable } from '../stub.ts'

/** What answers behind capabilities that no `provide` covers. */
export interface FakeEnds {
  readonly onCall?: (endpoint: CPtr, label: number, body: unknown) => Answer | Promise<Answer>
  readonly onSend?: (endpoint: CPtr, label: number, body: unknown) => void
  readonly onPortIn?: (port: number, width: 1 | 2 | 4, ioPort: CPtr) => number
  readonly onPortOut?: (port: number, width: 1 | 2 | 4, value: number, ioPort: CPtr) => void
  readonly onMapDevice?: (deviceFrame: CPtr) => Registers
}
interface Waiter {
  resolve(word: number): void
}
interface FakeNotification {
  word: number
  waiters: Waiter[]
}
interface Inbox {
  queue: Received[]
  waiters: ((message: Received) => void)[]
  table?: ServiceTable
  watchers: (() => void)[]
}

/** The capabilities' far ends. */
export class FakeSel4 implements Sel4 {
  readonly acks: CPtr[] = []
  readonly bound = new Map<CPtr, CPtr>()
  readonly sent: { endpoint: CPtr; label: number; body: unknown }[] = []
  private readonly options: FakeEnds
  private readonly providers = new Map<CPtr, ServiceTable>()
  private readonly inboxes = new Map<CPtr, Inbox>()
  private readonly notifications = new Map<CPtr, FakeNotification>()
  private readonly replies = new Map<number, (answer: Answer) => void>()
  private nextReply = 1
  private nextCap = 1000

  constructor(options: FakeEnds) {
    this.options = options
  }

  newCap(): CPtr {
    return this.nextCap++
  }
  provide<I extends Interface<any>>(endpoint: CPtr, iface: I, handlers: Handlers<I, Caller>): void {
    this.providers.set(endpoint, new ServiceTable([{ iface, handlers }]))
  }
  async call(endpoint: CPtr, label: number, body: unknown): Promise<Answer> {
    const table = this.providers.get(endpoint)
    if (table) return answerOf(table, label, body, { badge: 0 })
    if (this.options.onCall) return this.options.onCall(endpoint, label, body)
    throw new Sel4Error('seL4_InvalidCapability', `nothing behind ${endpoint}`)
  }
  async send(endpoint: CPtr, label: number, body: unknown): Promise<void> {
    this.sent.push({ endpoint, label, body })
    this.options.onSend?.(endpoint, label, body)
    const table = this.providers.get(endpoint)
    if (table) await answerOf(table, label, body, { badge: 0 })
  }
  private inbox(endpoint: CPtr): Inbox {
    let inbox = this.inboxes.get(endpoint)
    if (!inbox) this.inboxes.set(endpoint, (inbox = { queue: [], waiters: [], watchers: [] }))
    return inbox
  }
  recv(endpoint: CPtr): Promise<Received> {
    const inbox = this.inbox(endpoint)
    const first = inbox.queue.shift()
    return first ? Promise.resolve(first) : new Promise((resolve) => inbox.waiters.push(resolve))
  }
  reply(to: ReplyHandle, label: number, body: unknown): void {
    const answer = this.replies.get(to.id)
    if (!answer) throw new Error(`reply ${to.id} was used before`)
    this.replies.delete(to.id)
    answer({ label, body })
  }
  serve<I extends Interface<any>>(
    endpoint: CPtr,
    parts: readonly { iface: I; handlers: Handlers<I, Caller> }[],
  ): Promise<never> {
    const inbox = this.inbox(endpoint)
    inbox.table = new ServiceTable(parts)
    for (const watcher of inbox.watchers.splice(0)) watcher()
    return new Promise(() => {})
  }
  /** A typed request to what the component serves on `endpoint`; waits until it serves. */
  async deliver<I extends Interface<any>, M extends keyof I['methods'] & string>(
    endpoint: CPtr,
    iface: I,
    name: M,
    args: object,
    badge = 0,
  ): Promise<any> {
    const method = iface.methods[name] as Method
    const inbox = this.inbox(endpoint)
    if (!inbox.table && !inbox.waiters.length) await new Promise<void>((resolve) => inbox.watchers.push(resolve))
    const answer = await this.request(endpoint, method.label, toWire(method.in, args as never), badge)
    if (answer.label !== 0) throw new StatusError(answer.label)
    return fromWire(method.out, answer.body)
  }
  /** The same without a contract. */
  request(endpoint: CPtr, label: number, body: unknown, badge = 0): Promise<Answer> {
    const inbox = this.inbox(endpoint)
    if (inbox.table) return answerOf(inbox.table, label, body, { badge })
    return new Promise((resolve) => {
      const reply = { id: this.nextReply++ }
      this.replies.set(reply.id, resolve)
      const message = { badge, label, body, reply }
      const waiter = inbox.waiters.shift()
      if (waiter) waiter(message)
      else inbox.queue.push(message)
    })
  }
  private notification(cap: CPtr): FakeNotification {
    let notification = this.notifications.get(cap)
    if (!notification) this.notifications.set(cap, (notification = { word: 0, waiters: [] }))
    return notification
  }
  interrupt(cap: CPtr, word = 1): void {
    const notification = this.notification(cap)
    notification.word |= word
    const waiter = notification.waiters.shift()
    if (!waiter) return
    const taken = notification.word
    notification.word = 0
    waiter.resolve(taken)
  }
  async signal(cap: CPtr): Promise<void> {
    this.interrupt(cap)
  }
  wait(cap: CPtr): Promise<number> {
    const notification = this.notification(cap)
    const { word } = notification
    notification.word = 0
    return word ? Promise.resolve(word) : new Promise((resolve) => notification.waiters.push({ resolve }))
  }
  client<I extends Interface<any>>(iface: I, endpoint: CPtr) {
    return makeClient((to, label, body) => this.call(to, label, body), iface, endpoint)
  }
  async portIn(ioPort: CPtr, port: number, width: 1 | 2 | 4): Promise<number> {
    return this.options.onPortIn?.(port, width, ioPort) ?? 2 ** (8 * width) - 1
  }
  async portOut(ioPort: CPtr, port: number, width: 1 | 2 | 4, value: number): Promise<void> {
    this.options.onPortOut?.(port, width, value, ioPort)
  }
  async mapDevice(deviceFrame: CPtr): Promise<Registers> {
    const registers = this.options.onMapDevice?.(deviceFrame)
    if (!registers) throw new Sel4Error('seL4_InvalidCapability', `no device frame ${deviceFrame}`)
    return registers
  }
  async irqAck(irqHandler: CPtr): Promise<void> {
    this.acks.push(irqHandler)
  }
  async irqSetNotification(irqHandler: CPtr, notification: CPtr): Promise<void> {
    this.bound.set(irqHandler, notification)
  }
  async makeNotification(): Promise<CPtr> {
    return this.newCap()
  }
}
/** Runs a handler as the runtime would: a StatusError is the answer's label; MalformedError goes to the test. */
async function answerOf(table: ServiceTable, label: number, body: unknown, caller: Caller): Promise<Answer> {
  try {
    return { label: 0, body: await table.dispatch(label, body, caller) }
  } catch (error) {
    if (error instanceof StatusError && error.status !== NT_STATUS.STATUS_SUCCESS)
      return { label: error.status, body: null }
    throw error as MalformedError | Error
  }
}
