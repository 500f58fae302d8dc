/**
 * Sessions: a send capability in use. The kernel resolves the capability once, tells the receiver who will come, waits
 * for its confirmation, tells the sender where to go; afterwards it is asked no more until one of the three ends.
 *
 *   open(sender, …)          what the sender needs, or why not
 *   close(session, died)     resolves when the receiver has confirmed
 *   move(sessions)           each is opened anew, perhaps by another way; nothing is lost, none overtakes another
 *   ofProcess(process)       its death: every peer is told
 *
 * A session hangs on its capability and on those of the CNodes it was found through. Its messages go directly, or through
 * the kernel (relay.ts) when several processes receive, when somebody interposes, or when all do.
 */
import { type CPtr, SEL4_ERROR, Sel4Error } from '../lib/sel4/api.ts'
import type { RouteInfo, SessionInfo } from '../lib/sel4/transport.ts'
import { ASK, encode, FLAG, KIND } from '../lib/sel4/wire.ts'
import { type Capability, hangOn, isGone, type KernelObject, letGo, mayBeAnswered, RIGHT, walk } from './cspace.ts'
import type { Device } from './device.ts'
import type { Binding } from './direct-irq.ts'
import { Endpoint } from './endpoint.ts'
import { DeviceFrame } from './frame.ts'
import { IoPort } from './ioport.ts'
import type { Process } from './process.ts'
import type { Reply } from './reply.ts'
import type { Tcb } from './tcb.ts'

export interface Session {
  readonly id: number
  readonly cap: Capability
  /** The capabilities it hangs on: `cap` and the CNodes' above it. */
  readonly path: readonly Capability[]
  readonly sender: Process
  readonly receivers: readonly Process[]
  /** Through the kernel. */
  readonly slow: boolean
  /** Of those, through the interposer. */
  readonly interposed: boolean
  /** A thread receives. */
  readonly meets: boolean
  readonly window: number
  readonly withdraw: () => void
  open: boolean
  /** Slow path: who has yet to answer which call. */
  readonly unanswered: Map<number, Process>
  /** A thread's: calls whose reply is the kernel's. */
  readonly adopted: Map<number, Reply>
  outstanding: number
}
export interface SessionHost {
  readonly slowpath: boolean
  secret(): string
  processes(): Iterable<Process>
  isInterposed(endpoint: unknown, sender: Process): boolean
  /** Throws when the sender may not use it. */
  checkCeiling(sender: Process, cap: Capability): void
}
/** Closed sessions of threads remembered: a reply may become a capability after its session is gone. */
const FORMER_MAX = 4096

export class SessionTable {
  private readonly host: SessionHost
  private readonly sessions = new Map<number, Session>()
  /** Slow sessions that are closed, with calls the receiver had taken and has yet to answer. */
  private readonly draining = new Map<number, Session>()
  private readonly former = new Map<number, Session>()
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
  on(object: unknown): Session[] {
    return [...this.sessions.values()].filter(({ cap }) => cap.object === object)
  }
  /** One that is closed, with calls the receiver had taken and has yet to answer. */
  drained(id: number): Session | undefined {
    return this.draining.get(id)
  }
  /** A thread's session, open or not. */
  met(id: number): Session | undefined {
    return this.sessions.get(id) ?? this.former.get(id)
  }
  answered(session: Session, sequence: number): void {
    session.unanswered.delete(sequence)
    session.outstanding--
    if (!session.unanswered.size) this.draining.delete(session.id)
  }

  /** `meets`: the sender is ready for a thread at the other end. */
  async open(sender: Process, thread: Tcb, cptr: CPtr, meets: boolean): Promise<RouteInfo> {
    for (;;) {
      const path = walk(thread.cspaceRoot, cptr)
      const cap = path[path.length - 1]
      this.host.checkCeiling(sender, cap)
      const receivers = await receiversOf(cap, meets ? sender : undefined)
      if (path.some(isGone)) throw new Sel4Error('seL4_InvalidCapability', 'it was revoked')
      if (!sender.alive) throw new Sel4Error('seL4_IllegalOperation', 'the sender is dead')
      // One for each capability is what a runtime needs; each costs its receiver memory, too.
      if (sender.sessionsOut.size >= sender.init.limits.capabilities)
        throw new Sel4Error('seL4_NotEnoughMemory', 'as many sessions as it may have capabilities')
      if (!receivers.every((receiver) => receiver.state === 'running' && receives(cap.object, receiver))) continue
      const session = this.make(path, sender, receivers)
      const info = sessionInfo(session, this.identity(session))
      const confirmed = await Promise.all(receivers.map((receiver) => receiver.ask(ASK.sessionOpen, info)))
      if (session.open && confirmed.every((answer) => answer !== undefined))
        return { session: session.id, window: session.window, ...this.route(session, info) }
      if (isGone(cap)) throw new Sel4Error('seL4_InvalidCapability', 'it was revoked')
      await this.close(session, true)
    }
  }
  /** An MSI vector's: opened by the kernel itself, between a device and the driver that has bound the vector. */
  openIrq(device: Process, index: number, { process, handler, held, cptr }: Binding): Session {
    const session = this.make([handler], device, [process])
    const info: SessionInfo = {
      session: session.id,
      target: 'irq',
      object: cptr,
      last: 0,
      badge: held.badge || 1,
      window: session.window,
      givesBack: givesBack(session),
      identity: this.identity(session),
      meets: false,
    }
    void process.ask(ASK.sessionOpen, info).then((confirmed) => {
      if (!session.open || confirmed === undefined) return
      const route = { session: session.id, window: session.window, ...this.route(session, info) }
      void device.ask(ASK.irqRoute, [index, route])
    })
    return session
  }
  private make(path: readonly Capability[], sender: Process, receivers: readonly Process[]): Session {
    const cap = path[path.length - 1]
    const interposed = this.host.isInterposed(cap.object, sender)
    const session: Session = {
      id: this.nextId++,
      cap,
      path,
      sender,
      receivers,
      slow:
        this.host.slowpath ||
        interposed ||
        receivers.length > 1 ||
        receivers.some((one) => sender.accusers.has(one.init.token)),
      interposed,
      meets: cap.object instanceof Endpoint && cap.object.lent !== undefined,
      window: sender.init.limits.credits,
      withdraw: () => void this.close(session, false),
      open: true,
      unanswered: new Map(),
      adopted: new Map(),
      outstanding: 0,
    }
    this.sessions.set(session.id, session)
    sender.sessionsOut.add(session)
    for (const receiver of receivers) receiver.sessionsIn.add(session)
    hangOn(path, session.withdraw)
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
    { identity, target, meets }: SessionInfo,
  ): Omit<RouteInfo, 'session' | 'window'> {
    const answers = mayBeAnswered(cap.rights)
    const where = { target, address: slow ? '' : receivers[0].init.address, identity, meets, answers }
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
  /** Their senders hold what is new, wait until what is under way has arrived, and open them anew. */
  async move(sessions: readonly Session[]): Promise<void> {
    const all = [...groupBy(sessions, ({ sender }) => [sender])].map(async ([sender, moving]) => {
      await sender.ask(
        ASK.routeMove,
        moving.map(({ id }) => id),
      )
      await Promise.all(moving.map((session) => this.moved(session)))
    })
    const done = Promise.all(all)
    this.closing.add(done)
    await done
    this.closing.delete(done)
  }
  private async moved(session: Session): Promise<void> {
    if (!session.open) return
    this.forget(session)
    if (session.unanswered.size) this.draining.set(session.id, session)
    await Promise.all(session.receivers.map((receiver) => receiver.ask(ASK.sessionMoved, [session.id])))
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
    letGo(session.path, session.withdraw)
    if (session.meets) this.remember(session)
  }
  private remember(session: Session): void {
    this.former.set(session.id, session)
    for (const id of this.former.keys()) {
      if (this.former.size <= FORMER_MAX) break
      this.former.delete(id)
    }
  }

  /** The process is dead: its peers hear of it, each once, and confirm. */
  async ofProcess(process: Process): Promise<void> {
    this.cancelAdopted(process)
    const tasks: Promise<unknown>[] = []
    for (const [sender, sessions] of groupBy(process.sessionsIn, (session) => [session.sender])) {
      for (const session of sessions) this.forget(session)
      tasks.push(sender.ask(ASK.routeClosed, [sessions.map(({ id }) => id), process.init.address, true]))
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
  /** A saved reply goes with its caller. */
  private cancelAdopted(caller: Process): void {
    for (const sessions of [this.sessions.values(), this.former.values()])
      for (const { sender, adopted } of sessions) {
        if (sender !== caller) continue
        for (const reply of adopted.values()) reply.cancel()
        adopted.clear()
      }
  }
  /** Who ever sent to the dead may wait for an answer to a call taken before its session was closed. */
  private *tellFormerSenders(dead: Process): Generator<Promise<unknown>> {
    for (const process of this.host.processes()) {
      process.accusers.delete(dead.init.token)
      if (process.identities.delete(dead.init.token)) yield process.ask(ASK.routeClosed, [[], dead.init.address, true])
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
}

function groupBy<K>(sessions: Iterable<Session>, keys: (session: Session) => readonly K[]): Map<K, Session[]> {
  const groups = new Map<K, Session[]>()
  for (const session of sessions)
    for (const key of keys(session)) groups.set(key, [...(groups.get(key) ?? []), session])
  return groups
}
/** Waits for somebody to receive; a receiver that died and will not come back is an error at once. */
async function receiversOf(cap: Capability, meeting: Process | undefined): Promise<readonly Process[]> {
  const { object } = cap
  if (object instanceof Endpoint) {
    if (!(cap.rights & RIGHT.write)) throw new Sel4Error('seL4_InvalidCapability', 'no right to send')
    await object.ready()
    await object.recalling
    if (object.lent?.takesFrom(meeting)) return [object.lent.process]
    if (object.meetsHere) throw new Sel4Error('meetsInKernel')
    if (!object.receivers.size) throw new Sel4Error('serverDied')
    return [...object.receivers]
  }
  if (object instanceof IoPort || object instanceof DeviceFrame) return [await processOf(object.device)]
  throw new Sel4Error('seL4_InvalidCapability', `${object.type} takes no messages`)
}
/** It may have changed while others ran. */
const receives = (object: KernelObject, process: Process): boolean =>
  !(object instanceof Endpoint) || object.receivers.has(process) || object.lent?.process === process
async function processOf(device: Device): Promise<Process> {
  await device.ready()
  if (!device.process || device.lost) throw new Sel4Error('serverDied')
  return device.process
}
/** What its receivers keep of a window, together, is less than half of it: the sender can always go on. */
const givesBack = ({ window, receivers }: Session): number => Math.ceil(window / (2 * receivers.length))
/** An interposer may double messages. */
function sessionInfo(session: Session, identity: string): SessionInfo {
  const { id, cap, window, interposed, meets } = session
  const { object, badge } = cap
  const bounds = { window: interposed ? 2 * window : window, givesBack: givesBack(session) }
  const common = { session: id, badge, ...bounds, identity, meets }
  if (object instanceof IoPort) return { ...common, target: 'port', object: object.first, last: object.last }
  if (object instanceof DeviceFrame) return { ...common, target: 'mmio', object: object.window, last: object.bytes }
  return { ...common, target: 'endpoint', object: object.id, last: 0 }
}
