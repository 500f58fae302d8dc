/**
 * System calls of threads whose messages meet in the kernel: Send, NBSend, Call, Recv, NBRecv, Reply, Wait, Poll.
 *
 * Each is one request at the gate, answered when the thread may go on. What fails to be found is a cap fault, to the
 * thread's fault endpoint if it has one, else the error itself. A withdrawn call is answered with `restart`.
 */
import { SEL4_ERROR, Sel4Error } from '../lib/sel4/api.ts'
import { encode, FLAG, KIND } from '../lib/sel4/wire.ts'
import {
  type Capability,
  isGone,
  LookupFailure,
  lookup,
  makeCapability,
  mayBeAnswered,
  RIGHT,
  remove,
  type Slot,
} from './cspace.ts'
import { Endpoint, type Message, type Sender } from './endpoint.ts'
import { capFault, raise } from './fault.ts'
import type { Passing } from './interposer.ts'
import type { Kernel } from './kernel.ts'
import { lend, mayLend } from './lending.ts'
import { Notification } from './notification.ts'
import type { Process } from './process.ts'
import { Reply } from './reply.ts'
import { deliver, heard, type ReceivePath, receiveFrom, receiveSlot, signalled } from './rendezvous.ts'
import type { Session } from './session.ts'
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
/** Looks up; a failure becomes a cap fault when the thread has a handler, after whose answer it looks again. */
async function found(thread: Tcb, inReceive: boolean, look: () => Capability): Promise<Capability> {
  for (;;) {
    try {
      return look()
    } catch (error) {
      if (!(error instanceof LookupFailure)) throw error
      const handled = raise(thread, capFault(thread, inReceive, error))
      if (!handled) throw error
      await handled
    }
  }
}

/** What it is sent through; what is to go along must be there as well. */
function invoked(thread: Tcb, request: SendRequest): Capability {
  const cap = lookup(thread.cspaceRoot, request.cptr)
  messageOf(thread, request).caps()
  return cap
}
export async function send(kernel: Kernel, thread: Tcb, request: SendRequest): Promise<unknown> {
  const { blocks, call } = request
  const look = () => invoked(thread, request)
  const cap = blocks ? await found(thread, false, look) : look()
  const { object } = cap
  if (object instanceof Notification) return answered(call, signal(cap))
  if (object instanceof Reply) return answered(call, answerThrough(thread, cap, request))
  if (!(object instanceof Endpoint)) throw new Sel4Error('seL4_InvalidCapability', `${object.type} takes no messages`)
  if (!(cap.rights & RIGHT.write)) throw new Sel4Error('seL4_InvalidCapability', 'no right to send')
  await object.recalling
  if (object.receivers.size) throw new Sel4Error('meetsInSession')
  if (object.bereaved && !object.meetsHere) throw new Sel4Error('serverDied')
  if (object.lent?.takesFrom(thread.process) && isPlain(request, cap)) throw new Sel4Error('meetsInSession')
  await object.lent?.recall()
  if (isGone(cap) || !isRunning(thread)) throw new Sel4Error('restart')
  if (blocks || call) thread.mustNotWait()
  return new Promise((resolve, reject) => {
    const from = sender(kernel, thread, cap, request, resolve, reject)
    if (!kernel.interposer.isOn(object, thread.process?.name)) return object.send(from, blocks)
    if (!blocks) from.taken()
    kernel.interposer.pass(passing(object, from, blocks), 'request')
  })
}
/** A thread's message under interposition: while it is held its thread waits as if nobody received. */
function passing(endpoint: Endpoint, from: Sender, blocks: boolean): Passing {
  const { thread, message, call } = from
  const name = thread.process?.name ?? thread.name
  let withdrawn = false
  const leave = () => void (withdrawn = true)
  if (blocks) thread.block({ leave, restart: from.restart })
  return {
    line: thread,
    endpoint,
    user: name,
    from: name,
    to: endpoint.describe(),
    kind: call ? 'CALL' : blocks ? 'SEND' : 'NBSEND',
    label: message.label,
    bytes: 0,
    go() {
      if (withdrawn) return
      if (blocks) thread.unblock()
      endpoint.send(from, blocks)
    },
    corrupted: (random) => passing(endpoint, { ...from, message: corrupted(message, random) }, blocks),
    // Its thread has gone on: only who waits hears it a second time.
    twin: () => passing(endpoint, { ...from, call: false, taken() {}, answered() {} }, false),
    lost() {
      if (call) return () => void (withdrawn || from.bereaved?.())
      if (!withdrawn) from.taken()
      thread.unblock()
      return undefined
    },
  }
}
/** One bit of the label: what else a message carries has a shape of its own. */
const corrupted = (message: Message, random: { next(): number }): Message => ({
  ...message,
  label: (message.label ^ (1 << (random.next() % 32))) >>> 0,
})
/** It may have been suspended while the endpoint was taken back. */
const isRunning = ({ state }: Tcb): boolean => state === 'running'
/** Nothing that only the kernel can do goes with it. */
const isPlain = ({ caps, call, path }: SendRequest, { rights }: Capability): boolean =>
  !caps.length && !path && (!call || mayBeAnswered(rights))
/** Who calls what does not answer has an empty answer at once. */
const answered = (call: boolean, done: null): unknown => (call ? [0, 0, null, 0, 0, [], false] : done)
function signal({ object, badge, rights }: Capability): null {
  if (!(rights & RIGHT.write)) throw new Sel4Error('seL4_InvalidCapability', 'no right to signal')
  ;(object as Notification).signal(badge)
  return null
}
function sender(
  kernel: Kernel,
  thread: Tcb,
  cap: Capability,
  request: SendRequest,
  resolve: (answer: unknown) => void,
  reject: (error: Error) => void,
): Sender {
  const { call, path } = request
  let over = false
  const once =
    <A extends unknown[]>(act: (...args: A) => void) =>
    (...args: A) => {
      if (over) return
      over = true
      act(...args)
    }
  const restart = once(() => reject(new Sel4Error('restart')))
  return {
    badge: cap.badge,
    rights: cap.rights,
    message: messageOf(thread, request),
    call,
    thread,
    taken: (leave = () => {}) => (call ? thread.block({ leave, restart }) : once(() => resolve(null))()),
    answered: once((answer: Message, canGrant: boolean) => {
      thread.unblock()
      const from = { badge: 0, message: answer, rights: canGrant ? RIGHT.grant : 0 }
      resolve(deliver(thread, from, undefined, false, receiveSlot(thread, path), kernel))
    }),
    bereaved: once(() => {
      thread.unblock()
      reject(new Sel4Error('serverDied'))
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
  const cap = await found(thread, true, () => readable(thread, cptr))
  const { object } = cap
  if (object instanceof Notification) return waitOn(thread, object, blocks)
  const endpoint = object as Endpoint
  await endpoint.recalling
  if (endpoint.receivers.size) throw new Sel4Error('seL4_IllegalOperation', 'the endpoint is served by a process')
  dropCaller(thread)
  const pending = thread.bound?.take()
  if (pending) return heard(pending)
  if (!endpoint.lent?.mayTell(thread)) await endpoint.lent?.recall()
  if (isGone(cap) || !isRunning(thread)) throw new Sel4Error('restart')
  if (endpoint.lent || mayLend(kernel, endpoint, thread)) {
    endpoint.meets()
    return lend(kernel, endpoint, thread, cptr)
  }
  return receiveFrom(kernel, thread, endpoint, cap.rights, blocks, path)
}
function readable(thread: Tcb, cptr: number): Capability {
  const cap = lookup(thread.cspaceRoot, cptr)
  const { object, rights } = cap
  const another = object instanceof Notification && object.bound !== undefined && object.bound !== thread
  if ((object instanceof Endpoint || object instanceof Notification) && rights & RIGHT.read && !another) return cap
  throw new LookupFailure([2, 0], cptr, `nothing is received from ${object.describe()}`)
}
function waitOn(thread: Tcb, notification: Notification, blocks: boolean): unknown {
  if (!blocks) return signalled(notification.take())
  thread.mustNotWait()
  return new Promise((resolve, reject) => {
    const waiter = {
      process: thread.process as Process,
      thread,
      deliver: (word: number) => {
        thread.unblock()
        resolve(signalled(word))
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
  ;(cap.object as Reply).answer(messageOf(thread, request))
  remove(cap)
  return null
}
const messageOf = (thread: Tcb, { label, body, caps }: SendRequest): Message => ({
  label,
  body,
  caps: () => caps.slice(0, MAX_CAPS).map((cptr) => lookup(thread.cspaceRoot, cptr)),
})
/**
 * A call taken where the endpoint was lent to: its reply is the kernel's from now on. Its caller has no place for a
 * capability, or it would have called in the kernel: none goes along with the answer.
 */
export function adoptCaller(kernel: Kernel, thread: Tcb, session: Session, sequence: number): void {
  const answer = (flags: number, label: number, body: unknown) => {
    session.adopted.delete(sequence)
    session.sender.tell(encode(KIND.REPLY, flags, label, session.id, sequence, body))
  }
  // A call under way has a credit.
  if (session.adopted.size >= session.window && !session.adopted.has(sequence))
    throw new Sel4Error('seL4_IllegalOperation', 'it has not so many callers')
  dropCaller(thread)
  const reply = new Reply(kernel.id(), false, {
    answered: ({ label, body }) => answer(0, label, body),
    bereaved: () => answer(FLAG.ERROR, SEL4_ERROR.serverDied, null),
  })
  session.adopted.set(sequence, reply)
  thread.caller = reply
}
/** Its caller was suspended or destroyed: a saved reply goes as well. */
export function cancelCaller({ adopted }: Session, sequence: number): void {
  adopted.get(sequence)?.cancel()
  adopted.delete(sequence)
}
/** CNode_SaveCaller: without a caller nothing happens. */
export function saveCaller(thread: Tcb, { node, index }: Slot): void {
  const { caller } = thread
  if (!caller || caller.isUsed) return
  const cap = makeCapability(caller, { revocable: false, origin: 'SaveCaller' })
  node.put(index, cap)
  caller.cap = cap
  thread.caller = undefined
}
