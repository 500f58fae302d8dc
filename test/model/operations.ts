/** What a thread may do: how it is done in the system, and what it means in the model. Arguments are plain data. */
import type { IpcMessage, IpcReceived, Libsel4 } from '#sel4/threads'
import type { Slot } from './cnodes.ts'
import type { Model } from './model.ts'
import type { Packet, Path, Thread } from './threads.ts'
import { type Kind, PAGING } from './tree.ts'

/** Where a machine's first bank begins. */
export interface Machine {
  readonly base: number
}
interface Definition {
  readonly run: (sel4: Libsel4, args: any, machine: Machine) => Promise<unknown>
  readonly mean: (model: Model, thread: Thread, args: any) => unknown
  /** A system call: it takes place when it is made, and others wait for what comes of it. */
  readonly isCall?: true
}
/** What a thread runs: one entry for each, so that its faults tell it from others. */
export const entryOf = (who: number): string => `work ${who}`
const WORD_BYTES = 4
function bytesOf(value: number): Uint8Array {
  const bytes = new Uint8Array(WORD_BYTES)
  new DataView(bytes.buffer).setUint32(0, value)
  return bytes
}
/** The gate's number of the first system call there is not. */
const UNKNOWN_FIRST = 512
const message = ({ label, body, caps }: Packet): IpcMessage => ({ label, body, caps })
const plain = (received: IpcReceived | undefined): unknown =>
  received
    ? [
        received.badge,
        received.label,
        received.body,
        received.caps,
        received.unwrapped,
        received.badges,
        received.answerable,
      ]
    : null
function into(sel4: Libsel4, path: Path | undefined): Libsel4 {
  if (path) sel4.SetCapReceivePath(...path)
  return sel4
}
type Send = { cptr: number; packet: Packet }
type Receive = { cptr: number; path?: Path }
type Transfer = { root: number; to: Slot; from: number; at: Slot; rights: number; badge: number }
type Rotation = { root: number; to: Slot; db: number; pr: number; pivot: Slot; pb: number; sr: number; from: Slot }
type InSlot = { root: number; at: Slot }
type Retype = { untyped: number; type: number; size: number; root: number; node: Slot; offset: number; count: number }
type OnTcb = { tcb: number }

export const OPERATIONS = {
  Send: {
    isCall: true,
    run: (sel4, { cptr, packet }: Send) => sel4.Send(cptr, message(packet)).then(() => null),
    mean: (m, t, { cptr, packet }: Send) => m.send(t, cptr, packet, true, false),
  },
  NBSend: {
    isCall: true,
    run: (sel4, { cptr, packet }: Send) => sel4.NBSend(cptr, message(packet)).then(() => null),
    mean: (m, t, { cptr, packet }: Send) => m.trySend(t, cptr, packet),
  },
  Call: {
    isCall: true,
    run: (sel4, { cptr, packet }: Send) => into(sel4, packet.path).Call(cptr, message(packet)).then(plain),
    mean: (m, t, { cptr, packet }: Send) => m.send(t, cptr, packet, true, true),
  },
  Recv: {
    isCall: true,
    run: (sel4, { cptr, path }: Receive) => into(sel4, path).Recv(cptr).then(plain),
    mean: (m, t, { cptr, path }: Receive) => m.receive(t, cptr, path, true),
  },
  NBRecv: {
    isCall: true,
    run: (sel4, { cptr, path }: Receive) => into(sel4, path).NBRecv(cptr).then(plain),
    mean: (m, t, { cptr, path }: Receive) => m.receive(t, cptr, path, false),
  },
  Reply: {
    isCall: true,
    run: (sel4, { packet }: Send) => sel4.Reply(message(packet)).then(() => null),
    mean: (m, t, { packet }: Send) => m.answer(t, packet),
  },
  Signal: {
    isCall: true,
    run: (sel4, { cptr }: Send) => sel4.Signal(cptr).then(() => null),
    mean: (m, t, { cptr }: Send) => m.send(t, cptr, { label: 0, body: null, caps: [] }, false, false),
  },
  CNode_Copy: {
    run: (s, { root, to, from, at, rights }: Transfer) => s.CNode_Copy(root, ...to, from, ...at, rights),
    mean: (m, t, { root, to, from, at, rights }: Transfer) => m.CNode_Copy(t, root, to, from, at, rights),
  },
  CNode_Mint: {
    run: (s, { root, to, from, at, rights, badge }: Transfer) => s.CNode_Mint(root, ...to, from, ...at, rights, badge),
    mean: (m, t, { root, to, from, at, rights, badge }: Transfer) => m.CNode_Copy(t, root, to, from, at, rights, badge),
  },
  CNode_Move: {
    run: (s, { root, to, from, at }: Transfer) => s.CNode_Move(root, ...to, from, ...at),
    mean: (m, t, { root, to, from, at }: Transfer) => m.CNode_Move(t, root, to, from, at),
  },
  CNode_Mutate: {
    run: (s, { root, to, from, at, badge }: Transfer) => s.CNode_Mutate(root, ...to, from, ...at, badge),
    mean: (m, t, { root, to, from, at, badge }: Transfer) => m.CNode_Move(t, root, to, from, at, badge),
  },
  CNode_Rotate: {
    run: (s, { root, to, db, pr, pivot, pb, sr, from }: Rotation) =>
      s.CNode_Rotate(root, ...to, db, pr, ...pivot, pb, sr, ...from),
    mean: (m, t, { root, to, db, pr, pivot, pb, sr, from }: Rotation) =>
      m.CNode_Rotate(t, root, to, db, pr, pivot, pb, sr, from),
  },
  CNode_Delete: {
    run: (s, { root, at }: InSlot) => s.CNode_Delete(root, ...at),
    mean: (m, t, { root, at }: InSlot) => m.CNode_Delete(t, root, at),
  },
  CNode_Revoke: {
    run: (s, { root, at }: InSlot) => s.CNode_Revoke(root, ...at),
    mean: (m, t, { root, at }: InSlot) => m.CNode_Revoke(t, root, at),
  },
  CNode_CancelBadgedSends: {
    run: (s, { root, at }: InSlot) => s.CNode_CancelBadgedSends(root, ...at),
    mean: (m, t, { root, at }: InSlot) => m.CNode_CancelBadgedSends(t, root, at),
  },
  CNode_SaveCaller: {
    run: (s, { root, at }: InSlot) => s.CNode_SaveCaller(root, ...at),
    mean: (m, t, { root, at }: InSlot) => m.CNode_SaveCaller(t, root, at),
  },
  Untyped_Retype: {
    run: (s, { untyped, type, size, root, node, offset, count }: Retype) =>
      s.Untyped_Retype(untyped, type, size, root, ...node, offset, count),
    mean: (m, t, { untyped, type, size, root, node, offset, count }: Retype) =>
      m.Untyped_Retype(t, untyped, type, size, root, node, offset, count),
  },
  TCB_Configure: {
    run: (s, { tcb, faultEp, cspace, data, vspace, buffer, frame }) =>
      s.TCB_Configure(tcb, faultEp, cspace, data, vspace, 0, buffer, frame),
    mean: (m, t, { tcb, ...args }) => m.TCB_Configure(t, tcb, args),
  },
  TCB_SetSpace: {
    run: (s, { tcb, faultEp, cspace, data, vspace }) => s.TCB_SetSpace(tcb, faultEp, cspace, data, vspace, 0),
    mean: (m, t, { tcb, ...args }) => m.TCB_SetSpace(t, tcb, args),
  },
  TCB_SetIPCBuffer: {
    run: (s, { tcb, buffer, frame }) => s.TCB_SetIPCBuffer(tcb, buffer, frame),
    mean: (m, t, { tcb, ...args }) => m.TCB_SetIPCBuffer(t, tcb, args),
  },
  TCB_WriteRegisters: {
    run: (s, { tcb, resume, who }) => s.TCB_WriteRegisters(tcb, resume, entryOf(who), [who]),
    mean: (m, t, { tcb, resume, who }) => m.TCB_WriteRegisters(t, tcb, entryOf(who), resume),
  },
  TCB_Suspend: {
    run: (s, { tcb }: OnTcb) => s.TCB_Suspend(tcb),
    mean: (m, t, { tcb }: OnTcb) => m.TCB_Suspend(t, tcb),
  },
  TCB_Resume: { run: (s, { tcb }: OnTcb) => s.TCB_Resume(tcb), mean: (m, t, { tcb }: OnTcb) => m.TCB_Resume(t, tcb) },
  TCB_BindNotification: {
    run: (s, { tcb, bell }) => s.TCB_BindNotification(tcb, bell),
    mean: (m, t, { tcb, bell }) => m.TCB_BindNotification(t, tcb, bell),
  },
  TCB_UnbindNotification: {
    run: (s, { tcb }: OnTcb) => s.TCB_UnbindNotification(tcb),
    mean: (m, t, { tcb }: OnTcb) => m.TCB_UnbindNotification(t, tcb),
  },
  X86_Page_Map: {
    run: (s, { cap, vspace, vaddr, rights }) => s.X86_Page_Map(cap, vspace, vaddr, rights, 0),
    mean: (m, t, { cap, vspace, vaddr, rights }) => m.Page_Map(t, cap, vspace, vaddr, rights),
  },
  X86_Page_GetAddress: {
    run: async (s, { cap }, { base }) => ((await s.X86_Page_GetAddress(cap)) as number) - base,
    mean: (m, t, { cap }) => m.Page_GetAddress(t, cap),
  },
  X86_Paging_Map: {
    run: (s, { level, cap, vspace, vaddr }) => s[MAPS[level]](cap, vspace, vaddr, 0),
    mean: (m, t, { level, cap, vspace, vaddr }) => m.Paging_Map(t, level, cap, vspace, vaddr),
  },
  /** Level 3: a page; 4: a device's table. */
  X86_Unmap: {
    run: (s, { level, cap }) => s[UNMAPS[level]](cap),
    mean: (m, t, { level, cap }) => m.Unmap(t, cap, UNMAPPED[level]),
  },
  X86_IOPageTable_Map: {
    run: (s, { cap, iospace, ioaddr }, { base }) => s.X86_IOPageTable_Map(cap, iospace, base + ioaddr),
    mean: (m, t, { cap, iospace, ioaddr }) => m.IOPageTable_Map(t, cap, iospace, ioaddr),
  },
  X86_Page_MapIO: {
    run: (s, { cap, iospace, rights, ioaddr }, { base }) => s.X86_Page_MapIO(cap, iospace, rights, base + ioaddr),
    mean: (m, t, { cap, iospace, rights, ioaddr }) => m.Page_MapIO(t, cap, iospace, rights, ioaddr),
  },
  Load: {
    isCall: true,
    run: async (s, { vaddr }) => new DataView((await s.load(vaddr, WORD_BYTES)).buffer).getUint32(0),
    mean: (m, t, { vaddr }) => m.load(t, vaddr),
  },
  Store: {
    isCall: true,
    run: (s, { vaddr, value }) => s.store(vaddr, bytesOf(value)).then(() => null),
    mean: (m, t, { vaddr, value }) => m.store(t, vaddr, value),
  },
  UnknownSyscall: {
    isCall: true,
    run: (s, { number }) => s.unknownSyscall(number),
    mean: (m, t, { number }) => m.unknownSyscall(t, UNKNOWN_FIRST + number),
  },
  PortIn: {
    isCall: true,
    run: (s, { port }) => s.inb(port),
    mean: (m, t, { port }) => m.portIn(t, port),
  },
} as const satisfies Record<string, Definition>
const MAPS = ['X86_PDPT_Map', 'X86_PageDirectory_Map', 'X86_PageTable_Map'] as const
const UNMAPS = [
  'X86_PDPT_Unmap',
  'X86_PageDirectory_Unmap',
  'X86_PageTable_Unmap',
  'X86_Page_Unmap',
  'X86_IOPageTable_Unmap',
] as const
const UNMAPPED: readonly Kind[] = [...PAGING, 'Frame', 'IOPageTable']
export type OperationName = keyof typeof OPERATIONS

export interface Plan {
  readonly thread: Thread
  readonly name: OperationName
  readonly args: object
}
export const definitionOf = (name: OperationName): Definition => OPERATIONS[name]
/** What may end a thread's wait: it is not done at the same time as others while somebody waits. */
export const DISTURBS: ReadonlySet<OperationName> = new Set([
  'CNode_Delete',
  'CNode_Revoke',
  'CNode_CancelBadgedSends',
  'CNode_Move',
  'CNode_Mutate',
  'CNode_Rotate',
  'TCB_Configure',
  'TCB_SetSpace',
  'TCB_WriteRegisters',
  'TCB_Suspend',
  'TCB_Resume',
  'TCB_BindNotification',
] as const)
