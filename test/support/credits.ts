/**
 * Credits: whatever a session was granted at its opening is somewhere, between any two events of the simulator.
 *
 *   checkCredits(sim)    a sentence for every session of which that is not so; changes nothing
 *
 *   sender                       under way                   receiver
 *     credits it may use           sends and calls             sends it has, and those whose credits it has yet to give back
 *     calls and sends that wait    answers, credits            calls it has not answered
 *
 * A call holds its credit until its answer, wherever it is meanwhile: under way, at its receiver, with the kernel as a
 * reply, or its answer under way. So the sender's account of it is taken, and what else has it must have no second credit
 * for it. Through the kernel there are two such lines, one behind the other: what the kernel counts is the receiver's
 * side of the first and the sender's of the second.
 *
 * Reads what is private to the runtimes (as `routes['underWay']['pending']`, which the compiler checks): nothing is made public for it.
 * Not judged: a session whose messages an interposer loses and doubles, and one whose receiver has accused its sender, which
 * the kernel is about to close.
 */
import { isQuiet } from '../../kernel/invariants/index.ts'
import type { Process } from '../../kernel/process.ts'
import type { Session } from '../../kernel/session.ts'
import type { Route } from '../../lib/sel4/under-way.ts'
import type { Runtime } from '../../lib/sel4/runtime.ts'
import type { InSession } from '../../lib/sel4/sessions.ts'
import { KERNEL, type Letter, type SimProcess, type Simulator } from '../../lib/sel4/sim.ts'
import { KIND, labelOf, sequenceOf, sessionOf } from '../../lib/sel4/wire.ts'

/** What holds a credit on its way to the receiver. */
const REQUESTS = new Set<number>([KIND.CALL, KIND.SEND, KIND.NBSEND, KIND.PORT_IN, KIND.PORT_OUT, KIND.MMIO_READ])
const ALONG_SESSIONS = new Set<number>([...REQUESTS, KIND.REPLY, KIND.CREDIT, KIND.CANCEL])

/** One session as both its ends have it. */
interface Books {
  readonly session: Session
  readonly sender: Runtime
  readonly route: Route
  readonly receivers: readonly { readonly runtime: Runtime; readonly incoming: InSession }[]
  readonly letters: readonly Letter[]
}

export function checkCredits(sim: Simulator): string[] {
  const letters = lettersBySession(sim)
  const atRest = restOf(sim)
  const wrong = [...sim.kernel.sessions.all()].flatMap((session) => {
    const ends = endsOf(sim, session)
    const books = ends && bookOf(session, ends, letters.get(session.id) ?? [])
    if (typeof books === 'string') return ends?.every(atRest) ? books : []
    return books ? [...judge(books)] : []
  })
  return [...wrong, ...strangers(sim, atRest)]
}
function lettersBySession(sim: Simulator): Map<number, Letter[]> {
  const bySession = new Map<number, Letter[]>()
  for (const letter of sim.letters()) {
    if (!ALONG_SESSIONS.has(letter.message[0])) continue
    const id = sessionOf(letter.message)
    bySession.set(id, [...(bySession.get(id) ?? []), letter])
  }
  return bySession
}
/** Whether a process has heard everything the kernel had to say to it, and the other way round, and opens no session. */
function restOf(sim: Simulator): (end: SimProcess) => boolean {
  const talking = new Set(
    [...sim.letters()].flatMap(({ from, to }) => (from === KERNEL ? to : to === KERNEL ? from : [])),
  )
  const quiet = isQuiet(sim.kernel)
  return ({ request, alive, stopped, runtime }) =>
    quiet && alive && !stopped && !talking.has(request.token) && runtime?.routes['openings'] === 0
}
const nameOf = ({ id, sender, receivers }: Session): string =>
  `session ${id} of ${sender.name} to ${receivers.map(({ name }) => name).join(', ')}`

/** The sender, then the receivers; nothing when one of them has died, of which the kernel may not have heard. */
function endsOf({ processes }: Simulator, { sender, receivers }: Session): SimProcess[] | undefined {
  const ends = [sender, ...receivers].map(({ pid }) => processes.get(pid))
  return ends.every((end): end is SimProcess => end?.alive === true && end.runtime !== undefined) ? ends : undefined
}
/** Or who does not know of it: it is being opened, or closed. */
function bookOf(session: Session, [from, ...to]: SimProcess[], letters: Letter[]): Books | string {
  const sender = from.runtime as Runtime
  const route = [...sender.routes.values()].find((one) => one.session === session.id)
  if (!route) return `${nameOf(session)} is not known to its sender`
  const receivers = []
  for (const { runtime, request } of to) {
    const incoming = runtime?.sessions['sessions'].get(session.id)
    if (!runtime || !incoming) return `${nameOf(session)} is not known to ${request.name}`
    receivers.push({ runtime, incoming })
  }
  return { session, sender, route, receivers, letters }
}
/** What a runtime has open and the kernel has not. */
function* strangers({ kernel, processes }: Simulator, atRest: (end: SimProcess) => boolean): Generator<string> {
  for (const process of processes.values()) {
    const { runtime, request } = process
    if (!runtime || !atRest(process)) continue
    for (const { session, state } of runtime.routes.values())
      if (state === 'open' && kernel.sessions.get(session)?.sender.init.token !== request.token)
        yield `${request.name} sends along session ${session}, which the kernel does not have`
    for (const { info } of runtime.sessions.values())
      if (!kernel.sessions.get(info.session)?.receivers.some(({ init }) => init.token === request.token))
        yield `${request.name} receives along session ${info.session}, which the kernel does not have`
  }
}

// ------------------------------------------------------------ one session

function* judge(books: Books): Generator<string> {
  const { session, route, receivers } = books
  const { window, slow, interposed } = session
  if (route.credits < 0 || route.credits > window) yield `${nameOf(session)} has ${route.credits} credits of ${window}`
  if (interposed || receivers.some(({ incoming }) => incoming.accused)) return
  if (route.state === 'open' && route.credits > 0 && route.waiting.length)
    yield `${nameOf(session)} has ${route.credits} credits, and ${route.waiting.length} messages wait for one`
  const kept = receivers.reduce((sum, { incoming }) => sum + incoming.taken, 0)
  if (route.waiting.length && kept === window)
    yield `${nameOf(session)} has messages that wait for credits, and its receivers keep them all`
  for (const line of slow ? throughKernel(books) : [direct(books)]) {
    yield* unbalanced(session, line)
    yield* forgotten(session, line)
  }
}
/** Between two that count. */
interface Line {
  readonly where: string
  /** Credits the near one may use. */
  readonly free: number
  /** What the near one waits for an answer to, by sequence number. */
  readonly calls: ReadonlySet<number>
  /** Of those, the ones that are neither under way nor counted by the far one. */
  readonly elsewhere: ReadonlySet<number>
  readonly letters: readonly Letter[]
  /** Counted by the far one: what it has, and what it has yet to give back. */
  readonly held: number
  /** Of those, the calls it knows by their numbers. */
  readonly taken?: ReadonlySet<number>
}
function direct({ session, sender, route, receivers, letters }: Books): Line {
  const [{ runtime, incoming }] = receivers
  const calls = callsOf(sender, session)
  const exported = [...calls].filter((call) => runtime.meetings['exports'].has(`${session.id} ${call}`))
  const elsewhere = new Set([...exported, ...takenBack(sender, session, letters)])
  return { where: 'directly', free: route.credits, calls, elsewhere, letters, held: incoming.outstanding }
}
function throughKernel({ session, sender, route, receivers, letters }: Books): Line[] {
  const { window, outstanding } = session
  const toKernel = letters.filter(({ message, from, to }) => (isRequest(message) ? to : from) === KERNEL)
  const onward = letters.filter((letter) => !toKernel.includes(letter))
  const held = receivers.reduce((sum, { incoming }) => sum + incoming.outstanding, 0)
  const calls = callsOf(sender, session)
  const taken = new Set(session.unanswered.keys())
  const elsewhere = new Set<number>()
  return [
    {
      where: 'to the kernel',
      free: route.credits,
      calls,
      elsewhere,
      letters: toKernel,
      held: outstanding,
      taken,
    },
    {
      where: 'from the kernel on',
      free: window - outstanding,
      calls: taken,
      elsewhere,
      letters: onward,
      held,
    },
  ]
}
const isRequest = (message: Buffer): boolean => REQUESTS.has(message[0])
function callsOf({ routes }: Runtime, { id }: Session): Set<number> {
  return new Set(
    [...routes['underWay']['pending'].values()].filter(({ session }) => session === id).map(({ sequence }) => sequence),
  )
}
/** Calls whose receiver has given them up, and of which the sender has yet to hear that. */
function takenBack({ routes }: Runtime, { id }: Session, letters: readonly Letter[]): number[] {
  const asked = [...routes['underWay']['pending'].values()].filter(
    ({ message }) => message[0] === KIND.CANCEL && sessionOf(message) === id,
  )
  const unheard = new Set(
    letters.filter(({ message }) => message[0] === KIND.CANCEL).map(({ message }) => labelOf(message)),
  )
  return asked.map(({ message }) => labelOf(message)).filter((call) => !unheard.has(call))
}
function* unbalanced(session: Session, line: Line): Generator<string> {
  const { where, free, calls, letters, held } = line
  const given = letters.filter(({ message }) => message[0] === KIND.CREDIT).map(({ message }) => labelOf(message))
  const back = given.reduce((sum, credits) => sum + credits, 0)
  const sends = letters.filter(({ message }) => isRequest(message) && !calls.has(sequenceOf(message))).length
  const kept = held - (calls.size - locatedOf(line).size)
  const all = free + calls.size + sends + back + kept
  if (all === session.window && kept >= 0) return
  yield `${nameOf(session)}, ${where}, was granted ${session.window} credits and has ${all}: ${free} to use, ${calls.size} \
of calls, ${sends} of sends under way, ${back} on their way back, ${kept} of sends that arrived`
}
/** Calls that are anywhere but with the far one. */
function locatedOf({ calls, elsewhere, letters }: Line): Set<number> {
  const underWay = letters.map(({ message }) => sequenceOf(message))
  return new Set([...elsewhere, ...underWay].filter((call) => calls.has(call)))
}
/** Calls whose answers, and credits, will be nobody's; and such as nobody will answer. */
function* forgotten(session: Session, line: Line): Generator<string> {
  const { where, calls, letters, taken } = line
  const underWay = letters.filter(({ message }) => isRequest(message)).map(({ message }) => sequenceOf(message))
  for (const call of [...underWay, ...(taken ?? [])])
    if (call && !calls.has(call)) yield `${nameOf(session)}, ${where}, has call ${call}, for whose answer nobody waits`
  if (!taken) return
  const located = locatedOf(line)
  for (const call of calls)
    if (!located.has(call) && !taken.has(call))
      yield `${nameOf(session)}, ${where}, waits for call ${call}, which nobody has`
}
