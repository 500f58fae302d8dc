/** Methods of a TCB capability. */
import type { Sel4Arguments } from '#contracts/sel4'
import { Sel4Error } from '../../lib/sel4/api.ts'
import { type Capability, CNode, derive, guardOf, RIGHT } from '../cspace.ts'
import { Frame } from '../frame.ts'
import { Notification } from '../notification.ts'
import { MAX_PRIORITY, Tcb } from '../tcb.ts'
import { VSpace } from '../vspace.ts'
import { at, type Call, type MethodTable, objectAt } from './call.ts'

const IPC_BUFFER_BYTES = 1024
const tcbOf = ({ cap }: Call): Tcb => cap.object as Tcb

function spaces(call: Call, args: Sel4Arguments<'TCB_SetSpace'>): { root: Capability; space: Capability } {
  const root = at(call, args.cspace_root)
  const space = at(call, args.vspace_root)
  if (!(root.object instanceof CNode)) throw new Sel4Error('seL4_IllegalOperation', 'the CSpace is no CNode')
  if (!(space.object instanceof VSpace)) throw new Sel4Error('seL4_IllegalOperation', 'the VSpace is none')
  const data = args.cspace_root_data
  const guard = data ? guardOf(root.object, data) : {}
  const origin = `configured by ${call.thread.name}`
  return { root: derive(root, { ...guard, origin }), space: derive(space, { origin }) }
}
/** A null capability is not looked up: it is no CSpace. */
function checkSpaces(call: Call, { cspace_root, vspace_root }: Sel4Arguments<'TCB_SetSpace'>): void {
  if (!cspace_root || !vspace_root) throw new Sel4Error('seL4_IllegalOperation', 'a thread needs a CSpace and a VSpace')
  const { number, process } = tcbOf(call)
  if (number === 0 && process) throw new Sel4Error('seL4_IllegalOperation', "a process's first thread keeps its spaces")
}
function setSpace(call: Call, args: Sel4Arguments<'TCB_SetSpace'>): void {
  checkSpaces(call, args)
  const { root, space } = spaces(call, args)
  const tcb = tcbOf(call)
  tcb.setSpace(root, space)
  tcb.faultEndpoint = args.fault_ep
}
function bufferFrame(call: Call, address: number, cptr: number): Capability | undefined {
  if (!address) return undefined
  const cap = at(call, cptr)
  if (!(cap.object instanceof Frame)) throw new Sel4Error('seL4_IllegalOperation', 'an IPC buffer lies in a RAM frame')
  if (address % IPC_BUFFER_BYTES) throw new Sel4Error('seL4_AlignmentError', `0x${address.toString(16)}`)
  return cap
}
const heldFrame = (frame: Capability | undefined): Capability | undefined =>
  frame && derive(frame, { origin: 'IPC buffer' })
/** Nothing is derived before everything is checked. */
function configure(call: Call, args: Sel4Arguments<'TCB_Configure'>): void {
  const frame = bufferFrame(call, args.buffer, args.bufferFrame)
  checkSpaces(call, args)
  const { root, space } = spaces(call, args)
  const held = heldFrame(frame)
  const tcb = tcbOf(call)
  tcb.setSpace(root, space)
  tcb.faultEndpoint = args.fault_ep
  tcb.setBuffer(held)
}
function within(call: Call, authority: number, priority: number): number {
  const { object } = objectAt(call, authority, Tcb)
  if (priority > MAX_PRIORITY || priority > object.mcp)
    throw new Sel4Error('seL4_RangeError', `priority ${priority}, at most ${object.mcp}`)
  return priority
}
/** What a bound thread hears, it hears in the kernel: messages and signals in their order. */
async function bindNotification(call: Call, { notification }: Sel4Arguments<'TCB_BindNotification'>): Promise<void> {
  const { object, rights } = at(call, notification)
  const tcb = tcbOf(call)
  const loans = [...(tcb.process?.loans ?? [])].filter(({ thread }) => thread === tcb)
  if (!(object instanceof Notification) || !(rights & RIGHT.read))
    throw new Sel4Error('seL4_IllegalOperation', 'no right to receive')
  if (object.isAwaited) throw new Sel4Error('seL4_IllegalOperation', 'somebody waits for it')
  if (tcb.bound || object.bound) throw new Sel4Error('seL4_IllegalOperation', 'bound already')
  object.bind(tcb)
  await Promise.all(loans.map((loan) => loan.recall()))
}

export const TCB_METHODS: MethodTable = {
  TCB_Configure: configure,
  TCB_SetSpace: setSpace,
  TCB_SetIPCBuffer: (call, { buffer: address, bufferFrame: frame }: Sel4Arguments<'TCB_SetIPCBuffer'>) =>
    tcbOf(call).setBuffer(heldFrame(bufferFrame(call, address, frame))),
  TCB_SetPriority: (call, { authority, priority }: Sel4Arguments<'TCB_SetPriority'>) =>
    tcbOf(call).setPriority(within(call, authority, priority)),
  TCB_SetMCPriority: (call, { authority, mcp }: Sel4Arguments<'TCB_SetMCPriority'>) =>
    void (tcbOf(call).mcp = within(call, authority, mcp)),
  TCB_WriteRegisters(call, args: Sel4Arguments<'TCB_WriteRegisters'>) {
    const tcb = tcbOf(call)
    if (tcb.number === 0 && tcb.process)
      throw new Sel4Error('seL4_IllegalOperation', "a process's first thread has one entry")
    tcb.writeRegisters(args.entry, args.arguments)
    if (args.resume_target) tcb.resume()
  },
  TCB_Suspend: (call) => tcbOf(call).suspend(),
  TCB_Resume(call) {
    const tcb = tcbOf(call)
    if (!tcb.cspaceRoot || !tcb.vspaceRoot) throw new Sel4Error('seL4_IllegalOperation', 'it was never configured')
    tcb.resume()
  },
  TCB_BindNotification: bindNotification,
  TCB_UnbindNotification(call) {
    const { bound } = tcbOf(call)
    if (!bound) throw new Sel4Error('seL4_IllegalOperation', 'nothing is bound')
    bound.unbind()
  },
}
