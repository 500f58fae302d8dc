/**
 * Where a sender and a receiver meet in the kernel: what the receiver sees, which capabilities move, who waits for what.
 *
 *   receiveFrom(…)   a thread's receive on an endpoint: now, or when a sender comes
 *   deliver(…)       a message as its receiver has it, with the capabilities that came along
 */
import { Sel4Error } from '../lib/sel4/api.ts'
import { type Capability, derive, lookup, mayBeAnswered, RIGHT, type Slot, slotAt } from './cspace.ts'
import type { Endpoint, Message, Receiver, Sender } from './endpoint.ts'
import type { Kernel } from './kernel.ts'
import type { Process } from './process.ts'
import { Reply } from './reply.ts'
import type { Tcb } from './tcb.ts'

/**
 * What a received message looks like at the gate: badge, label, body, caps received, bit mask of those unwrapped, badges
 * of those, whether it waits for an answer; of a notification, also that the caller before it is kept.
 */
export type Delivered = readonly [number, number, unknown, number, number, readonly number[], boolean, true?]
export interface ReceivePath {
  readonly root: number
  readonly index: number
  readonly depth: number
}

export function receiveFrom(
  kernel: Kernel,
  thread: Tcb,
  endpoint: Endpoint,
  rights: number,
  blocks: boolean,
  path: ReceivePath | undefined,
): Promise<unknown> {
  if (!endpoint.references || thread.state !== 'running') return Promise.reject(new Sel4Error('restart'))
  return new Promise((resolve, reject) => {
    thread.mustNotWait()
    const receiver: Receiver = {
      thread,
      rights,
      accept: (from) => resolve(accept(kernel, receiver, from, endpoint, path)),
      restart: () => reject(new Sel4Error('restart')),
      heard: (word) => resolve(heard(word)),
    }
    if (!endpoint.receive(receiver, blocks)) resolve(null)
  })
}
/** A bound notification's word, as a message. */
export const heard = (word: number): Delivered => [word, 0, null, 0, 0, [], false]
/** Waiting on a notification keeps the caller before it. */
export const signalled = (word: number): Delivered => [word, 0, null, 0, 0, [], false, true]

/** Found when the message is there, not when it was asked for. A slot that cannot be found is as none. */
export function receiveSlot({ cspaceRoot }: Tcb, path: ReceivePath | undefined): Slot | undefined {
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
  path: ReceivePath | undefined,
): Delivered {
  const { thread } = receiver
  const answerable = from.call && mayBeAnswered(from.rights)
  const reply = answerable ? new Reply(kernel.id(), (receiver.rights & RIGHT.grant) !== 0, from) : undefined
  if (from.call) from.taken(() => reply?.cancel())
  const delivered = deliver(thread, from, endpoint, answerable, receiveSlot(thread, path), kernel)
  if (reply) thread.caller = reply
  else if (from.call) void from.thread.suspend()
  return delivered
}
/** When one of them is gone, none goes along. */
function found({ caps }: Message): readonly Capability[] {
  try {
    return caps()
  } catch (error) {
    if (error instanceof Sel4Error) return []
    throw error
  }
}
/** Moves the capabilities the right allows: one into the receive slot; one to the endpoint itself shows its badge. */
export function deliver(
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
  for (const cap of rights & RIGHT.grant ? found(message) : []) {
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
  const owner = node.owner as Process | undefined
  if (kernel && owner && !kernel.mayHold(owner, cap)) return false
  try {
    node.put(index, derive(cap, { origin: `message to ${thread.name}` }))
    return true
  } catch (error) {
    if (error instanceof Sel4Error) return false
    throw error
  }
}
