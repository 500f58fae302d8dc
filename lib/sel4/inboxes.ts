/**
 * What has arrived for a server's endpoints and waits to be taken.
 *
 *   bind(endpoint)            the kernel lends this process the endpoint: its inbox from then on
 *   recv(endpoint)            the oldest message, or the next
 *   arrived(inbox, entry)     to the recv that waits for it, or behind the others
 *
 * Tells through `took` when a message that needs no answer has left its inbox. An inbox with a table has no queue: each message
 * is served at once (sessions.ts).
 */
import { type CPtr, type Received, Sel4Error } from './api.ts'
import type { Runtime } from './runtime.ts'
import type { InSession } from './sessions.ts'
import type { ServiceTable } from './stub.ts'
import { OP } from './wire.ts'

interface Entry {
  readonly received: Received
  readonly session: InSession
  readonly message: Buffer
}
export class Inbox {
  readonly queue: Entry[] = []
  waiter?: (received: Received) => void
  table?: ServiceTable

  /** What came along a session and was not taken is taken out. */
  without(session: InSession): Received[] {
    const isIts = (entry: Entry) => entry.session === session
    const out = this.queue.filter(isIts)
    if (out.length) this.queue.splice(0, this.queue.length, ...this.queue.filter((entry) => !isIts(entry)))
    return out.map(({ received }) => received)
  }
}

export class Inboxes {
  private readonly runtime: Runtime
  private readonly took: (session: InSession) => void
  /** By the kernel's number of the object: its sessions may be open before it is bound. */
  private readonly inboxes = new Map<number, Inbox>()
  private readonly binding = new Map<CPtr, Promise<Inbox>>()
  private readonly bound = new Map<CPtr, Inbox>()

  constructor(runtime: Runtime, took: (session: InSession) => void) {
    this.runtime = runtime
    this.took = took
  }
  of(object: number): Inbox {
    let inbox = this.inboxes.get(object)
    if (!inbox) this.inboxes.set(object, (inbox = new Inbox()))
    return inbox
  }
  queued(): number {
    let queued = 0
    for (const inbox of this.inboxes.values()) queued += inbox.queue.length
    return queued
  }
  bind(endpoint: CPtr): Promise<Inbox> {
    let binding = this.binding.get(endpoint)
    if (!binding) {
      binding = this.bindNow(endpoint)
      binding.catch(() => this.binding.delete(endpoint))
      this.binding.set(endpoint, binding)
    }
    return binding
  }
  private async bindNow(endpoint: CPtr): Promise<Inbox> {
    const inbox = this.of((await this.runtime.invoke(OP.bindReceiver, [endpoint])) as number)
    this.bound.set(endpoint, inbox)
    return inbox
  }
  /** Not an async function: each of those puts a received message off by three turns of the queue, and here are two. */
  recv(endpoint: CPtr): Promise<Received> {
    const inbox = this.bound.get(endpoint)
    return inbox ? this.next(inbox) : this.bind(endpoint).then((bound) => this.next(bound))
  }
  private next(inbox: Inbox): Promise<Received> {
    const first = inbox.queue.shift()
    if (first) {
      if (!first.received.reply) this.took(first.session)
      return Promise.resolve(first.received)
    }
    if (inbox.waiter)
      return Promise.reject(new Sel4Error('seL4_IllegalOperation', 'a recv is outstanding on this endpoint'))
    return new Promise((resolve) => (inbox.waiter = resolve))
  }
  arrived(inbox: Inbox, entry: Entry): void {
    const { waiter } = inbox
    if (!waiter) return void inbox.queue.push(entry)
    inbox.waiter = undefined
    if (!entry.received.reply) this.took(entry.session)
    waiter(entry.received)
  }
}
