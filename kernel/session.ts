/**
 * Sessions: a send capability in use. The kernel resolves the capability once, tells the receiver who will come, waits
 * for its confirmation, tells the sender where to go; afterwards it is asked no more until one of the three ends.
 *
 *   open(sender, cptr)       what the sender needs, or why not
 *   close(session, died)     resolves when the receiver has confirmed
 *   ofProcess(process)       its death: every peer is told
 *   relay(sender, message)   slow path: a message of a session that goes through the kernel
 */
import { type CPtr, SEL4_ERROR, Sel4Error } from '../lib/sel4/api.ts'
import type { RouteInfo, SessionInfo } from '../lib/sel4/transport.ts'
import { ASK, encode, FLAG, KIND, labelOf, sequenceOf, sessionOf, setLabel } from '../lib/sel4/wire.ts'
import { type Capability, isGone, RIGHT } from './cspace.ts'
import type { Device } from './device.ts'
import type { Binding } from './direct-irq.ts'
import { Endpoint } from './endpoint.ts'
import { DeviceFrame } from './frame.ts'
import { IoPort } from './ioport.ts'
import type { Process } from './process.ts'

export interface Session {
  readonly id: number
  readonly cap: Capability
  readonly sender: Process
  readonly receivers: readonly Process[]
  /** Through the kernel. */
  readonly slow: boolean
  readonly window: number
  readonly withdraw: () => void
  open: boolean
  /** Slow path: who has yet to answer which call. */
  readonly unanswered: Map<number, Process>
  outstanding: number
}
export interface SessionHost {
  readonly slowpath: boolean
  secret(): string
  processes(): Iterable<Process>
  /** The sender lies or babbles: it is ended. */
  faulted(sender: Process, why: string): void
  /** It sent what no credit bounds. */
  asked(sender: Process): void
}

export class SessionTable {
  private readonly host: SessionHost
  private readonly sessions = new Map<number, Session>()
  /** Slow sessions that are closed, with calls the receiver had taken and has yet to answer. */
  private readonly draining = new Map<number, Session>()
  private readonly closing = new Set<Promise<unknown>>()
  private nextId = 1

  constructor(host: SessionHost) {
    this.host = host
  }
  get(id: number): Session | undefined {
    return this.sessions.get(id)
  }
  all(): Iterable<Session> {
    return this.sessions.values()
  }

  async open(sender: Process, cptr: CPtr): Promise<RouteInfo> {
    for (;;) {
      const cap = sender.lookup(cptr)
      const receivers = await receiversOf(cap)
      if (isGone(cap)) throw new Sel4Error('seL4_InvalidCapability', 'it was revoked')
      if (!sender.alive) throw new Sel4Error('seL4_IllegalOperation', 'the sender is dead')
      if (!receivers.every((receiver) => receiver.state === 'running')) continue
      const session = this.make(cap, sender, receivers)
      const info = sessionInfo(session, this.identity(session))
      const confirmed = await Promise.all(receivers.map((receiver) => receiver.ask(ASK.sessionOpen, info)))
      if (session.open && confirmed.every((answer) => answer !== undefined))
        return { session: session.id, window: session.window, ...this.route(session, info) }
      if (isGone(cap)) throw new Sel4Error('seL4_InvalidCapability', 'it was revoked')
      await this.close(session, true)
    }
  }
  /** An MSI vector's: opened by the kernel itself, between a device and the driver that has bound the vector. */
  openIrq(device: Process, index: number, { process, handler, badge, cptr }: Binding): Session {
    const session = this.make(handler, device, [process])
    const info: SessionInfo = {
      session: session.id,
      target: 'irq',
      object: cptr,
      last: 0,
      badge: badge || 1,
      window: session.window,
      identity: this.identity(session),
    }
    void process.ask(ASK.sessionOpen, info).then((confirmed) => {
      if (!session.open || confirmed === undefined) return
      const route = { session: session.id, window: session.window, ...this.route(session, info) }
      void device.ask(ASK.irqRoute, [index, route])
    })
    return session
  }
  private make(cap: Capability, sender: Process, receivers: readonly Process[]): Session {
    const session: Session = {
      id: this.nextId++,
      cap,
      sender,
      receivers,
      slow: this.host.slowpath || receivers.length > 1 || receivers.some((one) => sender.accusers.has(one.init.token)),
      window: sender.init.limits.credits,
      withdraw: () => void this.close(session, false),
      open: true,
      unanswered: new Map(),
      outstanding: 0,
    }
    this.sessions.set(session.id, session)
    sender.sessionsOut.add(session)
    for (const receiver of receivers) receiver.sessionsIn.add(session)
    cap.onDelete ??= new Set()
    cap.onDelete.add(session.withdraw)
    return session
  }
  /** One identity for each pair of processes: a receiver's socket then knows who speaks. */
  private identity({ slow, sender, receivers }: Session): string {
    if (slow) return ''
    const { token } = receivers[0].init
    const known = sender.identities.get(token)
    if (known) return known
    const identity = this.host.secret()
    sender.identities.set(token, identity)
    return identity
  }
  private route(
    { cap, slow, receivers }: Session,
    { identity, target }: SessionInfo,
  ): Omit<RouteInfo, 'session' | 'window'> {
    const where = { target, address: slow ? '' : receivers[0].address, identity }
    if (!(cap.object instanceof DeviceFrame)) return where
    const { device, window, physicalAddress, bytes } = cap.object
    return { ...where, frame: { extent: device.frames[window].extent, physicalAddress, length: bytes } }
  }

  async close(session: Session, died: boolean): Promise<void> {
    if (!session.open) return
    this.forget(session)
    if (!died && session.unanswered.size) this.draining.set(session.id, session)
    const told = session.sender.ask(ASK.routeClosed, [[session.id], '', died])
    const confirmed = session.receivers.map((receiver) => receiver.ask(ASK.sessionClose, [session.id]))
    const all = Promise.all([told, ...confirmed])
    this.closing.add(all)
    await all
    this.closing.delete(all)
  }
  /** Resolves when every close begun so far is confirmed. */
  async settled(): Promise<void> {
    await Promise.all([...this.closing])
  }
  private forget(session: Session): void {
    session.open = false
    this.sessions.delete(session.id)
    session.sender.sessionsOut.delete(session)
    for (const receiver of session.receivers) receiver.sessionsIn.delete(session)
    session.cap.onDelete?.delete(session.withdraw)
  }

  /** The process is dead: its peers hear of it, each once, and confirm. */
  async ofProcess(process: Process): Promise<void> {
    const tasks: Promise<unknown>[] = []
    for (const [sender, sessions] of groupBy(process.sessionsIn, (session) => [session.sender])) {
      for (const session of sessions) this.forget(session)
      tasks.push(sender.ask(ASK.routeClosed, [sessions.map(({ id }) => id), process.address, true]))
      const others = groupBy(sessions, (session) => session.receivers.filter((receiver) => receiver !== process))
      for (const [other, shared] of others)
        tasks.push(
          other.ask(
            ASK.sessionClose,
            shared.map(({ id }) => id),
          ),
        )
    }
    for (const [receiver, sessions] of groupBy(process.sessionsOut, (session) => session.receivers)) {
      for (const session of sessions) this.forget(session)
      tasks.push(
        receiver.ask(
          ASK.sessionClose,
          sessions.map(({ id }) => id),
        ),
      )
    }
    tasks.push(...this.tellFormerSenders(process))
    this.abandon(process)
    await Promise.all(tasks)
  }
  /** Who ever sent to the dead may wait for an answer to a call taken before its session was closed. */
  private *tellFormerSenders(dead: Process): Generator<Promise<unknown>> {
    for (const process of this.host.processes()) {
      process.accusers.delete(dead.init.token)
      if (process.identities.delete(dead.init.token)) yield process.ask(ASK.routeClosed, [[], dead.address, true])
    }
  }
  /** What the dead had yet to answer will not be. */
  private abandon(process: Process): void {
    for (const session of this.draining.values()) {
      if (session.sender !== process && !session.receivers.includes(process)) continue
      this.draining.delete(session.id)
      for (const sequence of session.unanswered.keys())
        session.sender.tell(encode(KIND.REPLY, FLAG.ERROR, SEL4_ERROR.serverDied, session.id, sequence, null))
    }
  }

  // ------------------------------------------------------------ slow path

  relay(from: Process, message: Buffer): void {
    const session = this.sessions.get(sessionOf(message))
    const kind = message[0]
    if (kind === KIND.REPLY || kind === KIND.CREDIT)
      return this.relayBack(session ?? this.draining.get(sessionOf(message)), from, message)
    if (!session) return this.refuse(from, message)
    if (!session.slow || session.sender !== from) return this.host.faulted(from, 'a session that is not its own')
    if (kind === KIND.DOORBELL) return this.ring(session, message)
    if (++session.outstanding > session.window) return this.host.faulted(from, 'more messages than credits')
    const receiver = leastLoaded(session)
    if (kind !== KIND.SEND) session.unanswered.set(sequenceOf(message), receiver)
    receiver.tell(message)
  }
  private ring({ sender, receivers }: Session, message: Buffer): void {
    this.host.asked(sender)
    receivers[0].tell(message)
  }
  private relayBack(session: Session | undefined, from: Process, message: Buffer): void {
    if (!session?.slow || !session.receivers.includes(from)) return this.host.asked(from)
    const sequence = sequenceOf(message)
    if (message[0] === KIND.CREDIT) this.giveBack(session, from, message)
    else if (session.unanswered.get(sequence) !== from) return this.host.asked(from)
    else {
      session.unanswered.delete(sequence)
      session.outstanding--
      if (!session.unanswered.size) this.draining.delete(session.id)
    }
    session.sender.tell(message)
  }
  /** No more than were used: the sender would send what a receiver made it believe, and be ended for it. */
  private giveBack(session: Session, from: Process, message: Buffer): void {
    this.host.asked(from)
    const given = Math.min(labelOf(message), Math.max(session.outstanding, 0))
    session.outstanding -= given
    setLabel(message, given)
  }
  private refuse(from: Process, message: Buffer): void {
    this.host.asked(from)
    if (message[0] === KIND.SEND || message[0] === KIND.DOORBELL) return
    const { seL4_InvalidCapability } = SEL4_ERROR
    from.tell(encode(KIND.REPLY, FLAG.ERROR, seL4_InvalidCapability, sessionOf(message), sequenceOf(message), null))
  }
}

function leastLoaded(session: Session): Process {
  if (session.receivers.length === 1) return session.receivers[0]
  const load = (receiver: Process) => [...session.unanswered.values()].filter((other) => other === receiver).length
  return session.receivers.reduce((best, receiver) => (load(receiver) < load(best) ? receiver : best))
}
function groupBy<K>(sessions: Iterable<Session>, keys: (session: Session) => readonly K[]): Map<K, Session[]> {
  const groups = new Map<K, Session[]>()
  for (const session of sessions)
    for (const key of keys(session)) groups.set(key, [...(groups.get(key) ?? []), session])
  return groups
}
/** Waits for somebody to receive; a receiver that died and will not come back is an error at once. */
async function receiversOf(cap: Capability): Promise<readonly Process[]> {
  const { object } = cap
  if (object instanceof Endpoint) {
    if (!(cap.rights & RIGHT.write)) throw new Sel4Error('seL4_InvalidCapability', 'no right to send')
    await object.ready()
    if (object.meetsHere) throw new Sel4Error('meetsInKernel')
    if (!object.receivers.size) throw new Sel4Error('serverDied')
    return [...object.receivers]
  }
  if (object instanceof IoPort || object instanceof DeviceFrame) return [await processOf(object.device)]
  throw new Sel4Error('seL4_InvalidCapability', `${object.type} takes no messages`)
}
async function processOf(device: Device): Promise<Process> {
  await device.ready()
  if (!device.process || device.lost) throw new Sel4Error('serverDied')
  return device.process
}
function sessionInfo({ id, cap, window }: Session, identity: string): SessionInfo {
  const { object, badge } = cap
  const common = { session: id, badge, window, identity }
  if (object instanceof IoPort) return { ...common, target: 'port', object: object.first, last: object.last }
  if (object instanceof DeviceFrame) return { ...common, target: 'mmio', object: object.window, last: object.bytes }
  return { ...common, target: 'endpoint', object: object.id, last: 0 }
}
