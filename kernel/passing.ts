/** A session's message under interposition: what it is called, how it is spoiled, what its loss means. */
import { SEL4_ERROR } from '../lib/sel4/api.ts'
import { encode, FLAG, HEADER_BYTES, KIND, labelOf, sequenceOf } from '../lib/sel4/wire.ts'
import type { Direction, Passing, Random } from './interposer.ts'
import type { Session } from './session.ts'

const KIND_NAMES = new Map<number, string>(Object.entries(KIND).map(([name, kind]) => [kind, name]))
export function passing(
  session: Session,
  message: Buffer,
  go: (message: Buffer) => void,
  direction: Direction,
): Passing {
  const { sender, receivers, cap } = session
  const peers = receivers.map(({ name }) => name).join(' ')
  const [from, to] = direction === 'request' ? [sender.name, peers] : [peers, sender.name]
  return {
    line: session,
    endpoint: cap.object,
    user: sender.name,
    from,
    to,
    kind: KIND_NAMES.get(message[0]) ?? String(message[0]),
    label: labelOf(message),
    bytes: message.length,
    go: () => go(message),
    corrupted: (random) => passing(session, corrupted(message, random), go, direction),
    twin: () => passing(session, Buffer.from(message), go, direction),
    lost: () => lost(session, message),
  }
}
/** One bit of the body, anywhere: what the receiver makes of it is what the experiment is about. */
function corrupted(message: Buffer, random: Random): Buffer {
  const copy = Buffer.from(message)
  const at = HEADER_BYTES + (random.next() % (message.length - HEADER_BYTES))
  copy[at] ^= 1 << (random.next() % 8)
  return copy
}
/** A send's credit comes back at once; a call's caller waits until the interposition ends. */
function lost(session: Session, message: Buffer): (() => void) | undefined {
  const { sender, id } = session
  const answer = (flags: number, label: number, sequence: number) =>
    sender.tell(encode(message[0] === KIND.SEND ? KIND.CREDIT : KIND.REPLY, flags, label, id, sequence, null))
  if (message[0] === KIND.SEND) {
    session.outstanding = Math.max(0, session.outstanding - 1)
    answer(0, 1, 0)
    return undefined
  }
  const sequence = sequenceOf(message)
  return () => {
    session.unanswered.delete(sequence)
    answer(FLAG.ERROR, SEL4_ERROR.serverDied, sequence)
  }
}
