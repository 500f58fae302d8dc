/** No session without a capability, none without both ends; credits; interrupts' own sessions. */
import { isGone, RIGHT } from '../cspace.ts'
import { Endpoint } from '../endpoint.ts'
import { Irq } from '../irq.ts'
import type { Process } from '../process.ts'
import type { Session } from '../session.ts'
import { named, type Survey } from './survey.ts'

export function* sessions(all: Survey, quiet: boolean): Generator<string> {
  const { kernel } = all
  const known = new Set(kernel.sessions.all())
  for (const session of known) {
    yield* authority(all, session)
    yield* ends(session)
    yield* credits(session)
  }
  for (const process of kernel.processes.values()) yield* strangers(process, known)
  for (const session of kernel.sessions['draining'].values()) yield* draining(session)
  yield* interrupts(all, quiet)
}
const show = ({ id, sender, receivers }: Session): string =>
  `session ${id} of ${sender.name} to ${receivers.map(({ name }) => name).join(', ')}`

function* authority({ caps }: Survey, session: Session): Generator<string> {
  const { cap, receivers } = session
  if (!session.open) yield `${show(session)} is closed and still known`
  if (isGone(cap) || !caps.has(cap) || !cap.cnode) yield `${show(session)} has no capability in a CSpace: ${named(cap)}`
  for (const one of session.path)
    if (!one.onDelete?.has(session.withdraw)) yield `${show(session)} would outlive a capability: ${named(one)}`
  if (!(cap.object instanceof Endpoint)) return
  if (!(cap.rights & RIGHT.write)) yield `${show(session)} has a capability that may not send: ${named(cap)}`
  const { lent } = cap.object
  if (session.meets && session.slow) yield `${show(session)} meets a thread and goes through the kernel`
  for (const receiver of receivers)
    if (session.meets ? lent?.process !== receiver : !cap.object.receivers.has(receiver))
      yield `${show(session)}: ${receiver.name} does not receive there`
}
function* ends(session: Session): Generator<string> {
  const { sender, receivers } = session
  if (!sender.alive) yield `${show(session)} has a dead sender`
  if (!sender.sessionsOut.has(session)) yield `${show(session)} is not known to its sender`
  for (const receiver of receivers) {
    if (!receiver.alive) yield `${show(session)} has a dead receiver, ${receiver.name}`
    if (!receiver.sessionsIn.has(session)) yield `${show(session)} is not known to ${receiver.name}`
  }
}
function* strangers(process: Process, known: ReadonlySet<Session>): Generator<string> {
  for (const session of process.sessionsOut)
    if (!known.has(session) || session.sender !== process) yield `${process.name} sends on a stranger: ${show(session)}`
  for (const session of process.sessionsIn)
    if (!known.has(session) || !session.receivers.includes(process))
      yield `${process.name} receives on a stranger: ${show(session)}`
}
/** What the kernel counts, which is the slow path; a call holds a credit until its answer. */
function* credits(session: Session): Generator<string> {
  const { slow, outstanding, window, unanswered, receivers } = session
  if (outstanding > window) yield `${show(session)} has ${outstanding} messages under way; ${window} are allowed`
  if (outstanding < unanswered.size)
    yield `${show(session)} waits for ${unanswered.size} answers and has ${outstanding} messages under way`
  if (!slow && (outstanding || unanswered.size)) yield `${show(session)} passes the kernel by and is counted there`
  for (const receiver of unanswered.values())
    if (!receivers.includes(receiver)) yield `${show(session)} waits for ${receiver.name}, who is not of it`
}
/** Closed, but what its receiver had taken will still be answered. */
function* draining(session: Session): Generator<string> {
  const { open, sender, unanswered } = session
  if (open) yield `${show(session)} is open and drains`
  if (!sender.alive) yield `${show(session)} drains to the dead`
  if (!unanswered.size) yield `${show(session)} drains and nobody waits`
  for (const { alive, name } of unanswered.values()) if (!alive) yield `${show(session)} waits for ${name}, who is dead`
}
/** *Quiet*: who bound a vector is alive. */
function* interrupts({ kernel }: Survey, quiet: boolean): Generator<string> {
  for (const [irq, { binding, session }] of kernel.directIrqs['bindings']) {
    if (quiet && !binding.process.alive) yield `${irq.describe()} is bound by ${binding.process.name}, who is dead`
    if (session?.open && session.cap !== binding.handler) yield `${irq.describe()} goes along another's session`
  }
  for (const session of kernel.sessions.all()) {
    const { object } = session.cap
    if (object instanceof Irq && kernel.directIrqs['bindings'].get(object)?.session !== session)
      yield `${show(session)} is of an interrupt that is not bound so`
  }
}
