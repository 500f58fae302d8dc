/**
 * The slow path: messages of sessions that go through the kernel, and the place where they are interposed.
 *
 *   relay(from, message)   one message of a process along a session
 *
 * The kernel has checked each before it comes here, so that what a receiver says of it later proves nothing about the
 * sender.
 */
import { ASK, encode, FLAG, KIND, labelOf, sequenceOf, sessionOf, setLabel } from '../lib/sel4/wire.ts'
import { SEL4_ERROR } from '../lib/sel4/api.ts'
import { DeviceFrame } from './frame.ts'
import type { Direction, Interposer } from './interposer.ts'
import { IoPort } from './ioport.ts'
import { passing } from './passing.ts'
import type { Process } from './process.ts'
import type { Session, SessionTable } from './session.ts'

export interface RelayHost {
  /** The sender lies or babbles: it is ended. */
  faulted(sender: Process, why: string): void
  /** It sent what no credit bounds. */
  asked(sender: Process): void
}
export class Relay {
  private readonly sessions: SessionTable
  private readonly interposer: Interposer
  private readonly host: RelayHost

  constructor(sessions: SessionTable, interposer: Interposer, host: RelayHost) {
    this.sessions = sessions
    this.interposer = interposer
    this.host = host
  }
  relay(from: Process, message: Buffer): void {
    const session = this.sessions.get(sessionOf(message))
    const kind = message[0]
    if (kind === KIND.REPLY || kind === KIND.CREDIT)
      return this.back(session ?? this.sessions.drained(sessionOf(message)), from, message)
    if (!session) return this.refuse(from, message)
    if (!session.slow || session.sender !== from) return this.host.faulted(from, 'a session that is not its own')
    if (!KINDS[targetOf(session)].has(kind)) return this.host.faulted(from, 'not what the session is for')
    if (kind === KIND.FENCE) return void this.fence(session, sequenceOf(message))
    if (kind === KIND.DOORBELL) return this.ring(session, message)
    if (++session.outstanding > session.window) return this.host.faulted(from, 'more messages than credits')
    const receiver = leastLoaded(session)
    if (kind !== KIND.SEND) session.unanswered.set(sequenceOf(message), receiver)
    this.pass(session, message, (passed) => receiver.tell(passed), 'request')
  }
  private ring({ sender, receivers }: Session, message: Buffer): void {
    this.host.asked(sender)
    receivers[0].tell(message)
  }
  private pass(session: Session, message: Buffer, go: (message: Buffer) => void, direction: Direction): void {
    if (session.interposed) this.interposer.pass(passing(session, message, go, direction), direction)
    else go(message)
  }
  private back(session: Session | undefined, from: Process, message: Buffer): void {
    if (!session?.slow || !session.receivers.includes(from)) return this.host.asked(from)
    if (message[0] === KIND.CREDIT) return this.giveBack(session, from, message)
    const sequence = sequenceOf(message)
    if (session.unanswered.get(sequence) !== from) return this.host.asked(from)
    this.sessions.answered(session, sequence)
    this.pass(session, message, (passed) => session.sender.tell(passed), 'reply')
  }
  /**
   * No more than sends have used, for a call's comes back with its answer: the sender would send what a receiver made it
   * believe, and be ended for it; or call without end, if the two are of one mind.
   */
  private giveBack(session: Session, from: Process, message: Buffer): void {
    this.host.asked(from)
    const given = Math.min(labelOf(message), Math.max(session.outstanding - session.unanswered.size, 0))
    session.outstanding -= given
    setLabel(message, given)
    session.sender.tell(message)
  }
  /** Answered when everything before it has arrived, what was held on the way included. */
  private async fence(session: Session, sequence: number): Promise<void> {
    this.host.asked(session.sender)
    this.interposer.flush(session)
    await Promise.all(session.receivers.map((receiver) => receiver.ask(ASK.barrier, null)))
    session.sender.tell(encode(KIND.REPLY, 0, 0, session.id, sequence, null))
  }
  private refuse(from: Process, message: Buffer): void {
    this.host.asked(from)
    if (message[0] === KIND.SEND || message[0] === KIND.DOORBELL) return
    const { seL4_InvalidCapability } = SEL4_ERROR
    from.tell(encode(KIND.REPLY, FLAG.ERROR, seL4_InvalidCapability, sessionOf(message), sequenceOf(message), null))
  }
}

const targetOf = ({ cap: { object } }: Session): keyof typeof KINDS =>
  object instanceof IoPort ? 'port' : object instanceof DeviceFrame ? 'mmio' : 'endpoint'
/** What may go along a session, by what it leads to. */
const KINDS = {
  endpoint: new Set<number>([KIND.CALL, KIND.SEND, KIND.NBSEND, KIND.FENCE, KIND.CANCEL]),
  port: new Set<number>([KIND.PORT_IN, KIND.PORT_OUT, KIND.FENCE]),
  mmio: new Set<number>([KIND.MMIO_READ, KIND.DOORBELL, KIND.FENCE]),
}
function leastLoaded(session: Session): Process {
  if (session.receivers.length === 1) return session.receivers[0]
  const load = (receiver: Process) => [...session.unanswered.values()].filter((other) => other === receiver).length
  return session.receivers.reduce((best, receiver) => (load(receiver) < load(best) ? receiver : best))
}
