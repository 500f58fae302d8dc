/**
 * A receiver complains of a sender. Its word alone ends nobody, for the bytes it shows may be of its own making: the session ends,
 * and whatever the sender sends it from now on goes through the kernel, which judges every message itself. So one that
 * babbles is convicted by its next message, and an honest one goes on a little slower.
 *
 * Who holds ProcessControl could end the sender anyway, and is believed.
 */
import { CapProcessControl } from '#contracts/sel4'
import { isSound, OFFENCE } from '../lib/sel4/wire.ts'
import { Irq } from './irq.ts'
import type { Kernel } from './kernel.ts'
import type { Process } from './process.ts'

export interface Accusation {
  readonly session: number
  readonly offence: number
  /** The message, when its bytes are the offence. */
  readonly raw: unknown
}
export function judge(kernel: Kernel, reporter: Process, { session: id, offence, raw }: Accusation): void {
  if (offence === OFFENCE.stranger) return stranger(kernel, reporter, raw)
  const session = kernel.sessions.get(id)
  if (!session?.receivers.includes(reporter) || kernel.interposer.corrupts(session.cap.object, session.sender.name))
    return
  const { sender, cap } = session
  kernel.host.log('warn', `${reporter.name} refused a message of ${sender.name}`, { session: id })
  sender.accusers.add(reporter.init.token)
  const closed = kernel.sessions.close(session, false)
  const { object } = cap
  if (object instanceof Irq) void closed.then(() => object.suspect())
  const guilt = isBelieved(reporter) ? verdict(offence, raw) : undefined
  if (guilt) kernel.end(sender, 'fault', `${guilt} to ${reporter.name}`)
}
const isBelieved = ({ init }: Process): boolean => init.cspace.at(CapProcessControl)?.object.type === 'ProcessControl'
/** Somebody sends along no session: the identity is one of ours, or nobody's. */
function stranger(kernel: Kernel, reporter: Process, raw: unknown): void {
  if (!(raw instanceof Uint8Array)) return
  const identity = Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength).toString('latin1')
  for (const sender of kernel.processes.values())
    if (sender.identities.get(reporter.init.token) === identity) {
      kernel.host.log('warn', `${sender.name} sends to ${reporter.name} along no session`)
      if (isBelieved(reporter)) kernel.end(sender, 'fault', `messages along no session to ${reporter.name}`)
    }
}
function verdict(offence: number, raw: unknown): string | undefined {
  if (offence === OFFENCE.credits) return 'more messages than credits'
  if (!(raw instanceof Uint8Array)) return undefined
  return isSound(Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength)) ? undefined : 'malformed message'
}
