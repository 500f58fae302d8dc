/**
 * System calls of threads whose messages meet in the kernel: Send, NBSend, Call, Recv, NBRecv, Reply, Wait, Poll.
 *
 * Each is one request at the gate, answered when the thread may go on. What fails to be found is a cap fault, to the
 * thread's fault endpoint if it has one, else the error itself. A withdrawn call is answered with `restart`.
 */
import { Sel4Error } from '../lib/sel4/api.ts'
import {
  type Capability,
  derive,
  LookupFailure,
  lookup,
  makeCapability,
  RIGHT,
  remove,
  type Slot,
  slotAt,
} from './cspace.ts'
import { Endpoint, type Message, mayBeAnswered, type Receiver, type Sender } from './endpoint.ts'
import { capFault, raise } from './fault.ts'
import type { Kernel } from './kernel.ts'
import { Notification } from './notification.ts'
import type { Process } from './process.ts'
import { Reply } from './reply.ts'
import type { Tcb } from './tcb.ts'

/** Message.caps at most. [seL4 manual] seL4_MsgMaxExtraCaps */
const MAX_CAPS = 3

export interface SendRequest {
  readonly cptr: number
  readonly label: number
  readonly body: unknown
  readonly caps: readonly number[]
  readonly blocks: boolean
  readonly call: boolean
  /** Where a capability that comes with the answer goes. */
  readonly path?: ReceivePath
}
/** What a received message looks like at the gate: badge, label, body, caps received, bit mask of those unwrapped, badges of those, whether it waits for an answer. */
type Delivered = readonly [number, number, unknown, number, number, readonly number[], boolean]
export interface ReceivePath {
  readonly root: number
  readonly index: number
  readonly depth: number
}

/** Looks up; a failure becomes a cap fault when the thread has a handler, after whose answer it looks again. */
async function found(
  thread: Tcb,
  cptr: number,
  inReceive: boolean,
  accepts: (cap: Capability) => boolean,
): Promise<Capability> {
  for (;;) {
    try {
      const cap = lookup(thread.cspaceRoot, cptr)
      if (accepts(cap)) return cap
      throw new LookupFailure([2, 0], `${cap.object.describe()} cannot be used for that`)
    } catch (error) {
      if (!(error instanceof LookupFailure)) throw error
      const handled = raise(thread, capFault(thread, cptr, inReceive, error))
      if (!handled) throw error
      await handled
    }
  }
}

export async function send(kernel: Kernel, thread: Tcb, request: SendRequest): Promise<unknown> {
  const { cptr, blocks, call } = request
  const cap = blocks
    ? await found(thread, cptr, false, ({ object }) => SENDABLE.has(object.type))
    : lookup(thread.cspaceRoot, cptr)
  const { object } = cap
  if (object instanceof Notification) return signal(cap)
  if (object instanceof Reply) return answerThrough(thread, cap, request)
  if (!(object instanceof Endpoint)) throw new Sel4Error('seL4_InvalidCapability', `${object.type} takes no messages`)
  if (!(cap.rights & RIGHT.write)) throw new Sel4Error('seL4_InvalidCapability', 'no right to send')
  if (object.receivers.size) throw new Sel4Error('meetsInSession')
  if (object.bereaved && !object.meetsHere) throw new Sel4Error('serverDied')
  return new Promise((resolve, reject) => object.send(sender(kernel, thread, cap, request, resolve, reject), blocks))
}
const SENDABLE = new Set(['Endpoint', 'Notification', 'Reply'])
function signal({ object, badge, rights }: Capability): null {
  if (!(rights & RIGHT.write)) throw new Sel4Error('seL4_InvalidCapability', 'no right to signal')
  ;(object as Notification).signal(badge)
  return null
}
function sender(
  kernel: Kernel,
  thread: Tcb,
  cap: Capability,
  { label, body, caps, call, path }: SendRequest,
  resolve: (answer: unknown) => void,
  reject: (error: Error) => void,
): Sender {
  let over = false
  const once =
    <A extends unknown[]>(act: (...args: A) => void) =>
    (...args: A) => {
      if (over) return
      over = true
      act(...args)
    }
  const restart = once(() => reject(new Sel4Error('restart')))
  const extra = caps.slice(0, MAX_CAPS).map((cptr) => lookup(thread.cspaceRoot, cptr))
  return {
    badge: cap.badge,
    rights: cap.rights,
    message: { label, body, caps: extra },
    call,
    thread,
    taken: () => (call ? thread.block({ leave() {}, restart }) : once(() => resolve(null))()),
    answered: once((answer: Message, canGrant: boolean) => {
      thread.unblock()
      const from = { badge: 0, message: answer, rights: canGrant ? RIGHT.grant : 0 }
      resolve(deliver(thread, from, undefined, false, receiveSlot(thread, path), kernel))
    }),
    restart,
  }
}

export async function receive(
  kernel: Kernel,
  thread: Tcb,
  cptr: number,
  blocks: boolean,
  path: ReceivePath | undefined,
): Promise<unknown> {
  const readable = ({ object, rights }: Capability) =>
    (object instanceof Endpoint || object instanceof Notification) && (rights & RIGHT.read) !== 0
  const cap = await found(thread, cptr, true, readable)
  const { object } = cap
  if (object instanceof Notification) return waitOn(thread, object, blocks)
  const endpoint = object as Endpoint
  if (endpoint.receivers.size) throw new Sel4Error('seL4_IllegalOperation', 'the endpoint is served by a process')
  dropCaller(thread)
  const pending = thread.bound?.take()
  if (pending) return heard(pending)
  const slot = receiveSlot(thread, path)
  return new Promise((resolve, reject) => {
    const receiver: Receiver = {
      thread,
      rights: cap.rights,
      accept: (from) => resolve(accept(kernel, receiver, from, endpoint, slot)),
      restart: () => reject(new Sel4Error('restart')),
      heard: (word) => resolve(heard(word)),
    }
    if (!endpoint.receive(receiver, blocks)) resolve(null)
  })
}
/** A notification's word, as a message. */
const heard = (word: number): Delivered => [word, 0, null, 0, 0, [], false]

function waitOn(thread: Tcb, notification: Notification, blocks: boolean): unknown {
  if (notification.bound && notification.bound !== thread)
    throw new Sel4Error('seL4_InvalidCapability', 'another thread is bound to it')
  if (!blocks) {
    const word = notification.take()
    return word ? heard(word) : null
  }
  return new Promise((resolve, reject) => {
    const waiter = {
      process: thread.process as Process,
      thread,
      deliver: (word: number) => {
        thread.unblock()
        resolve(heard(word))
      },
      withdraw: () => thread.withdraw(),
    }
    thread.block({
      on: notification,
      leave: () => notification.leave(waiter),
      restart: () => reject(new Sel4Error('restart')),
    })
    notification.wait(waiter)
  })
}

/** A slot that cannot be found is as none. */
function receiveSlot({ cspaceRoot }: Tcb, path: ReceivePath | undefined): Slot | undefined {
  if (!path) return undefined
  try {
    return slotAt(lookup(cspaceRoot, path.root), path.index, path.depth)
  } catch (error) {
    if (error instanceof Sel4Error) return undefined
    throw error
  }
}
function accept(
  kernel: Kernel,
  receiver: Receiver,
  from: Sender,
  endpoint: Endpoint,
  slot: Slot | undefined,
): Delivered {
  const { thread } = receiver
  const answerable = from.call && mayBeAnswered(from)
  if (from.call) {
    from.taken()
    if (answerable) thread.caller = new Reply(kernel.id(), (receiver.rights & RIGHT.grant) !== 0, from.answered)
    else void from.thread.suspend()
  }
  return deliver(thread, from, endpoint, answerable, slot, kernel)
}
/** Moves the capabilities the right allows: one into the receive slot; one to the endpoint itself shows its badge. */
function deliver(
  thread: Tcb,
  { badge, message, rights }: Pick<Sender, 'badge' | 'message' | 'rights'>,
  endpoint: Endpoint | undefined,
  answerable: boolean,
  slot?: Slot,
  kernel?: Kernel,
): Delivered {
  let count = 0
  let mask = 0
  let free = slot
  const badges: number[] = []
  for (const cap of rights & RIGHT.grant ? message.caps : []) {
    if (endpoint && cap.object === endpoint) {
      mask |= 1 << count
      badges.push(cap.badge)
    } else if (!free || !place(thread, cap, free, kernel)) break
    else {
      free = undefined
      badges.push(0)
    }
    count++
  }
  return [badge, message.label, message.body, count, mask, badges, answerable]
}
function place(thread: Tcb, cap: Capability, { node, index }: Slot, kernel: Kernel | undefined): boolean {
  if (node.at(index)) return false
  if (kernel && thread.process && !kernel.mayReceive(thread.process, cap)) return false
  try {
    node.put(index, derive(cap, { origin: `message to ${thread.name}` }))
    return true
  } catch (error) {
    if (error instanceof Sel4Error) return false
    throw error
  }
}

// ------------------------------------------------------------ answers

function dropCaller(thread: Tcb): void {
  thread.caller?.drop()
  thread.caller = undefined
}
export function reply(thread: Tcb, request: SendRequest): null {
  const { caller } = thread
  thread.caller = undefined
  caller?.answer(messageOf(thread, request))
  return null
}
/** Sending through a saved reply capability uses it up. */
function answerThrough(thread: Tcb, cap: Capability, request: SendRequest): null {
  const message = messageOf(thread, request)
  const to = cap.object as Reply
  remove(cap)
  to.answer(message)
  return null
}
const messageOf = (thread: Tcb, { label, body, caps }: SendRequest): Message => ({
  label,
  body,
  caps: caps.slice(0, MAX_CAPS).map((cptr) => lookup(thread.cspaceRoot, cptr)),
})
/** CNode_SaveCaller. */
export function saveCaller(thread: Tcb, { node, index }: Slot): void {
  const { caller } = thread
  if (!caller || caller.isUsed) throw new Sel4Error('seL4_IllegalOperation', 'there is no caller')
  node.put(index, makeCapability(caller, { revocable: false, origin: 'SaveCaller' }))
  thread.caller = undefined
}
