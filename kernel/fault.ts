/** Faults: what a thread did that it may not becomes a call, in its name, to its fault endpoint; the answer resumes it. */
import { FAULT } from '#contracts/sel4'
import { SEL4_ERROR, Sel4Error } from '../lib/sel4/api.ts'
import { type Capability, isGone, LookupFailure, lookup, mayBeAnswered, RIGHT } from './cspace.ts'
import { Endpoint } from './endpoint.ts'
import type { Tcb } from './tcb.ts'

export interface Fault {
  readonly label: number
  /** The message registers, as [seL4 manual] 6.2 lists them; there is no instruction pointer: the entry's name instead. */
  readonly body: readonly unknown[]
}
export const capFault = (thread: Tcb, inReceive: boolean, { address, failure }: LookupFailure): Fault => ({
  label: FAULT.seL4_Fault_CapFault,
  body: [thread.entry, address, inReceive ? 1 : 0, ...failure],
})
export const vmFault = (thread: Tcb, address: number, write: boolean): Fault => ({
  label: FAULT.seL4_Fault_VMFault,
  body: [thread.entry, address, 0, write ? 2 : 0],
})
export const unknownSyscall = (thread: Tcb, number: number): Fault => ({
  label: FAULT.seL4_Fault_UnknownSyscall,
  body: [thread.entry, number],
})
export const userException = (thread: Tcb, number: number, code: number): Fault => ({
  label: FAULT.seL4_Fault_UserException,
  body: [thread.entry, number, code],
})

/** [seL4 manual] 6.2.1, 6.2.4 */
const TRIED_AGAIN = new Set<number>([FAULT.seL4_Fault_CapFault, FAULT.seL4_Fault_VMFault])

/**
 * Resolves with the handler's answer when the thread is to go on; throws `restart` when it was withdrawn. Undefined: the
 * thread has no handler. What can only be tried again is, whatever the answer; the others' answers have label 0, or leave
 * the thread as it is: suspended.
 */
export function raise(thread: Tcb, { label, body }: Fault): Promise<unknown> | undefined {
  const handler = handlerOf(thread)
  if (!handler || isGone(handler)) return undefined
  thread.mustNotWait()
  return new Promise((resolve, reject) => {
    let over = false
    const restart = () => {
      over = true
      reject(new Sel4Error('restart'))
    }
    ;(handler.object as Endpoint).send(
      {
        badge: handler.badge,
        rights: handler.rights,
        message: { label, body, caps: () => [] },
        call: true,
        thread,
        taken: (leave = () => {}) => thread.block({ leave, restart }),
        answered: (answer) => {
          if (over) return
          over = true
          thread.unblock()
          if (answer.label === SEL4_ERROR.seL4_NoError || TRIED_AGAIN.has(label)) return resolve(answer.body)
          thread.state = 'suspended'
          void thread.order('suspend').then(restart)
        },
        restart,
      },
      true,
    )
  })
}
function handlerOf(thread: Tcb): Capability | undefined {
  if (!thread.faultEndpoint) return undefined
  try {
    const cap = lookup(thread.cspaceRoot, thread.faultEndpoint)
    const may = (cap.rights & RIGHT.write) !== 0 && mayBeAnswered(cap.rights)
    return cap.object instanceof Endpoint && may ? cap : undefined
  } catch (error) {
    if (error instanceof LookupFailure) return undefined
    throw error
  }
}
