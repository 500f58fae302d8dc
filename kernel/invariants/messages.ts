/** Who waits where: endpoints, notifications and the threads in their queues; interrupts and what they signal. */
import { isGone } from '../cspace.ts'
import { Endpoint } from '../endpoint.ts'
import { Notification } from '../notification.ts'
import { Tcb } from '../tcb.ts'
import type { Survey } from './survey.ts'

export function* messages(all: Survey): Generator<string> {
  const queued = new Map<Tcb, string>()
  for (const endpoint of all.of(Endpoint)) {
    yield* queues(all, endpoint, queued)
    yield* receivers(endpoint)
    yield* lending(endpoint)
  }
  for (const notification of all.of(Notification)) yield* notifications(all, notification, queued)
  for (const notification of all.kernel.machine.notifications)
    if (!all.objects.has(notification)) yield `${notification.describe()} is gone and still known to the machine`
  for (const thread of all.of(Tcb)) yield* threads(all, thread, queued)
}
function* queues(all: Survey, endpoint: Endpoint, queued: Map<Tcb, string>): Generator<string> {
  const { senders, waiting } = { senders: endpoint.senders, waiting: endpoint['waiting'] }
  const where = endpoint.describe()
  if (senders.length && waiting.length) yield `senders and receivers of ${where} wait for each other`
  for (const { thread } of [...senders, ...waiting]) {
    yield* enqueued(all, thread, where, queued)
    if (thread['waiting']?.on !== endpoint)
      yield `${thread.describe()} is queued at ${where} and waits for something else`
  }
}
/** A thread in a queue is alive, blocked, and in no other. */
function* enqueued(all: Survey, thread: Tcb, where: string, queued: Map<Tcb, string>): Generator<string> {
  const before = queued.get(thread)
  queued.set(thread, where)
  if (before) yield `${thread.describe()} is queued twice: at ${before} and at ${where}`
  if (!all.objects.has(thread)) yield `${thread.describe()} is gone and queued at ${where}`
  if (thread.state !== 'running') yield `${thread.describe()} is queued at ${where}`
  if (!thread.process?.alive) yield `${thread.describe()} is of no living process and queued at ${where}`
}
function* receivers(endpoint: Endpoint): Generator<string> {
  for (const process of endpoint.receivers) {
    if (!process.alive) yield `${process.name} is dead and receives on ${endpoint.describe()}`
    if (!process.receivesOn.has(endpoint))
      yield `${process.name} does not know that it receives on ${endpoint.describe()}`
  }
}
/** Lent to one thread alone, with nothing left in the kernel; taken back as soon as the way to it is gone. */
function* lending(endpoint: Endpoint): Generator<string> {
  const { lent } = endpoint
  if (!lent) return
  const what = `${endpoint.describe()}, lent to ${lent.process.name},`
  if (!endpoint.isQuiet) yield `${what} has messages in the kernel`
  if (!lent.process.loans.has(lent)) yield `${what} is not known there`
  if (lent.thread.process !== lent.process) yield `${what} is received on by nobody there`
  if (lent.thread.bound) yield `${what} would not hear signals`
  for (const cap of lent['path']) if (isGone(cap)) yield `${what} is reached through a capability that is gone`
}
function* notifications(all: Survey, notification: Notification, queued: Map<Tcb, string>): Generator<string> {
  const { waiters, word } = { waiters: notification['waiters'], word: notification['word'] }
  const { bound } = notification
  const what = notification.describe()
  if (!all.kernel.machine.notifications.has(notification)) yield `${what} is not known to the machine`
  if (word && waiters.length) yield `${what} was signalled and has waiters`
  if (bound && bound.bound !== notification) yield `${what} is bound to ${bound.describe()}, which is not bound to it`
  if (bound && !all.objects.has(bound)) yield `${what} is bound to a thread that is gone`
  for (const { process, thread } of waiters) {
    if (!process.alive) yield `${process.name} is dead and waits for ${what}`
    if (thread) yield* enqueued(all, thread, what, queued)
    if (thread && thread['waiting']?.on !== notification)
      yield `${thread.describe()} waits for ${what} and something else`
  }
}
function* threads({ objects }: Survey, thread: Tcb, queued: ReadonlyMap<Tcb, string>): Generator<string> {
  const { process, number, vspace, bound } = thread
  const on = thread['waiting']?.on
  const who = thread.describe()
  if (on && !queued.has(thread)) yield `${who} waits for ${on.describe()} and is in no queue`
  if (on && !objects.has(on)) yield `${who} waits for what is gone: ${on.describe()}`
  if (bound && bound.bound !== thread) yield `${who} is bound to ${bound.describe()}, which is not bound to it`
  if (process && process.threads.get(number) !== thread) yield `${who} is not thread ${number} of ${process.name}`
  if (process && vspace?.process !== process) yield `${who} runs in ${process.name} and not in its own VSpace`
}
