/**
 * What a request at the gate is: a system call of a thread, a method of the object a capability names, or one of the
 * requests a process makes as a whole (invocations.ts). Whatever it is, its arguments are untrusted.
 */
import { argumentsOf, methodOfLabel, METHOD_LABEL_MIN } from '#contracts/sel4'
import { ARRAY, fromWire, MalformedError, OPTIONAL, STRUCT, ULONG, ULONGLONG } from '#contracts/field'
import { Sel4Error } from '../lib/sel4/api.ts'
import { encode, KIND, MESSAGE_MAX, OP, type TraceContext } from '../lib/sel4/wire.ts'
import { type Fault, raise, unknownSyscall, userException, vmFault } from './fault.ts'
import { INVOCATIONS } from './invocations.ts'
import { receive, reply, send } from './ipc.ts'
import type { Kernel } from './kernel.ts'
import { at, type MethodTable } from './methods/call.ts'
import { CNODE_METHODS } from './methods/cnode.ts'
import { MACHINE_METHODS } from './methods/machine.ts'
import { TCB_METHODS } from './methods/tcb.ts'
import { UNTYPED_METHODS } from './methods/untyped.ts'
import type { Process } from './process.ts'
import type { ReceivePath } from './rendezvous.ts'
import type { Tcb } from './tcb.ts'

const METHODS: MethodTable = { ...CNODE_METHODS, ...UNTYPED_METHODS, ...TCB_METHODS, ...MACHINE_METHODS }
const PATH = OPTIONAL(STRUCT('ReceivePath', { root: ULONG, index: ULONGLONG, depth: ULONG }))
const PAIR = STRUCT('Pair', { first: ULONGLONG, second: ULONG })
const RECEIVE = STRUCT('Receive', { flags: ULONG, path: PATH })
const CAPS = ARRAY(ULONG, 16)
const BLOCKS = 1
const IS_CALL = 2

export interface Request {
  readonly kernel: Kernel
  readonly process: Process
  readonly thread: Tcb
  readonly label: number
  /** The capability it is made on. */
  readonly service: number
  readonly body: unknown
  /** Of the whole request. */
  readonly bytes: number
  readonly context?: TraceContext
}
export async function perform(request: Request): Promise<unknown> {
  const { kernel, process, thread, label, body } = request
  try {
    if (thread.state !== 'running' && isOfThread(label)) throw new Sel4Error('restart')
    if (label >= METHOD_LABEL_MIN) return await method(request)
    const call = SYSTEM_CALLS.get(label)
    if (call) return await call(request)
    const invocation = INVOCATIONS.get(label)
    if (invocation) return await invocation(kernel, process, body, thread)
    return await faulted(kernel, thread, unknownSyscall(thread, label))
  } catch (error) {
    if (error instanceof MalformedError) throw new Sel4Error('seL4_InvalidArgument', error.message)
    throw error
  }
}
/** On its way when its thread was suspended, a call is made again when it is resumed. A runtime's own requests are its process's. */
const isOfThread = (label: number): boolean =>
  label >= METHOD_LABEL_MIN || (SYSTEM_CALLS.has(label) && label !== OP.signal)
async function method({ kernel, thread, label, service, body }: Request): Promise<unknown> {
  const declared = methodOfLabel(label)
  if (!declared) return faulted(kernel, thread, unknownSyscall(thread, label))
  const cap = at({ kernel, thread }, service)
  if (!declared.on.includes(cap.object.type))
    throw new Sel4Error('seL4_InvalidCapability', `${declared.name} on a ${cap.object.type}`)
  const result = await METHODS[declared.name]({ kernel, thread, cap }, argumentsOf(declared, body))
  return result ?? null
}

/**
 * What a message grows by at most when the kernel has read it and writes it again, for its receiver: a byte that is no text
 * becomes three, a short float a long one.
 */
const GROWTH = 3
/** What a receiver is told beside it: badge, label, capabilities. */
const BESIDE = 1024
/** A longer one would close its receiver's connection. */
const isTooLong = (content: unknown, bytes: number): boolean =>
  GROWTH * bytes + BESIDE > MESSAGE_MAX && encode(KIND.RESULT, 0, 0, 0, 0, content).length + BESIDE > MESSAGE_MAX

function message({ service, body, bytes }: Request) {
  const [label, content, caps, flags = 0, path = null] = Array.isArray(body) ? body : []
  if (isTooLong(content, bytes)) throw new Sel4Error('seL4_RangeError', 'message too long')
  return {
    cptr: service,
    label: fromWire(ULONG, label),
    body: content ?? null,
    caps: fromWire(CAPS, caps),
    blocks: (flags & BLOCKS) !== 0,
    call: (flags & IS_CALL) !== 0,
    path: fromWire(PATH, path) as ReceivePath | undefined,
  }
}
const SYSTEM_CALLS: ReadonlyMap<number, (call: Request) => unknown> = new Map([
  [OP.send, (call: Request) => send(call.kernel, call.thread, message(call))],
  [
    OP.receive,
    ({ kernel, thread, service, body }: Request) => {
      const { flags, path } = fromWire(RECEIVE, body)
      return receive(kernel, thread, service, (flags & BLOCKS) !== 0, path)
    },
  ],
  [OP.reply, (call: Request) => reply(call.thread, message(call))],
  [OP.signal, ({ kernel, process, service, context }: Request) => kernel.signal(process, service, context)],
  [OP.yield, () => null],
  [
    OP.vmFault,
    ({ kernel, thread, body }: Request) => {
      const { first, second } = fromWire(PAIR, body)
      return faulted(kernel, thread, vmFault(thread, first, second === 1))
    },
  ],
  [
    OP.userException,
    ({ kernel, thread, body }: Request) => {
      const { first, second } = fromWire(PAIR, body)
      return faulted(kernel, thread, userException(thread, first, second))
    },
  ],
])
/** Without a handler a thread stops, and does the same again if it is resumed; a process whose first thread does, ends. */
async function faulted(kernel: Kernel, thread: Tcb, fault: Fault): Promise<unknown> {
  const handled = raise(thread, fault)
  if (handled) return handled
  kernel.host.log('warn', `a thread of ${thread.name} faulted`, fault)
  if (thread.number === 0 && thread.process)
    kernel.end(thread.process, 'fault', `fault ${fault.label} without a handler`)
  await thread.suspend()
  throw new Sel4Error('restart')
}
