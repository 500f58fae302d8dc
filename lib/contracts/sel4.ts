/**
 * libsel4's object methods, declared once: arguments in libsel4's order and spelling, the type they are invoked on, the
 * errors each may answer. From it: the typed stubs (`Libsel4`) and the kernel's checks.
 *
 *   SEL4_METHODS             name → declaration
 *   Sel4Methods              the stubs' type: sel4.CNode_Mint(root, dest_index, …)
 *   methodOfLabel(label)     the kernel's way in
 *   OBJECT_TYPE, sizeBitsOf  what Untyped_Retype makes, and how many bytes that takes
 *
 * What depends on the architecture stands in X86_64 below and nowhere else.
 */
import { ARRAY, type Field, fromWire, type Of, STRING, STRUCT, type Struct, ULONG, ULONGLONG } from './field.ts'
import { labelOf } from './interface.ts'

/** A capability address is one 32-bit word; Differs from seL4 on x86-64, where it has 64. */
export const WORD_BITS = 32

/** The slots of a process's CSpace that are filled at its birth. */
export const seL4_CapInitThreadTCB = 1
export const seL4_CapInitThreadCNode = 2
export const seL4_CapInitThreadVSpace = 3
export const seL4_CapIRQControl = 4
export const seL4_CapIOPortControl = 7
/** Ours: the authority to start, feed and end processes, which a kernel below ours would find in Untyped and TCB caps. */
export const CapProcessControl = 8
/** Slots below are never given out by the kernel on its own. */
export const FIRST_FREE_SLOT = 16

export const OBJECT_TYPE = {
  seL4_UntypedObject: 0,
  seL4_TCBObject: 1,
  seL4_EndpointObject: 2,
  seL4_NotificationObject: 3,
  seL4_CapTableObject: 4,
  seL4_X86_PDPTObject: 5,
  seL4_X64_PML4Object: 6,
  seL4_X86_4K: 8,
  seL4_X86_LargePageObject: 9,
  seL4_X86_PageTableObject: 10,
  seL4_X86_PageDirectoryObject: 11,
  seL4_X86_IOPageTableObject: 12,
} as const
export type ObjectType = keyof typeof OBJECT_TYPE

/** x86-64: sizes as powers of two, and the paging levels from the root down with the bits each resolves above a page. */
export const X86_64 = {
  pageBits: 12,
  largePageBits: 21,
  slotBits: 5,
  sizeBits: {
    seL4_TCBObject: 11,
    seL4_EndpointObject: 4,
    seL4_NotificationObject: 5,
    seL4_X86_PDPTObject: 12,
    seL4_X64_PML4Object: 12,
    seL4_X86_4K: 12,
    seL4_X86_LargePageObject: 21,
    seL4_X86_PageTableObject: 12,
    seL4_X86_PageDirectoryObject: 12,
    seL4_X86_IOPageTableObject: 12,
  } as Readonly<Partial<Record<ObjectType, number>>>,
  /** Smallest and largest untyped. */
  untypedBits: { least: 4, most: 40 },
  /** Smallest and largest CNode, in bits of a slot's index: 2^24 slots take half a GiB, more than any bank has. */
  radixBits: { least: 1, most: 24 },
  /** What one structure of each level covers, in bits of address. */
  levels: { seL4_X86_PDPTObject: 39, seL4_X86_PageDirectoryObject: 30, seL4_X86_PageTableObject: 21 },
} as const

const CPTR = ULONG
const WORD = ULONGLONG
const DEPTH = ULONG
type Arg = readonly [name: string, field: Field<any>]
export interface Sel4Method {
  readonly doc: string
  /** The object types it is invoked on. */
  readonly on: readonly string[]
  readonly args: readonly Arg[]
  readonly errors: readonly string[]
}
const INVOCATION = ['seL4_InvalidCapability', 'seL4_FailedLookup', 'seL4_InvalidArgument'] as const
const DESTINATION = [
  ['root', CPTR],
  ['node_index', WORD],
  ['node_depth', DEPTH],
] as const
const SOURCE = [
  ['dest_index', WORD],
  ['dest_depth', DEPTH],
  ['src_root', CPTR],
  ['src_index', WORD],
  ['src_depth', DEPTH],
] as const
const SLOT = [
  ['index', WORD],
  ['depth', DEPTH],
] as const
/** A depth is from 1 to the word's bits. */
const AT_SLOT = [...INVOCATION, 'seL4_RangeError'] as const
/** seL4_NotEnoughMemory: the CSpace holds as many capabilities as it may. */
const SLOT_ERRORS = [...AT_SLOT, 'seL4_DeleteFirst', 'seL4_IllegalOperation', 'seL4_NotEnoughMemory'] as const
const CNODE = ['CNode'] as const

const declared = {
  Untyped_Retype: {
    doc: 'Makes objects of the untyped memory; their capabilities fill consecutive empty slots.',
    on: ['Untyped'],
    args: [
      ['type', ULONG],
      ['size_bits', ULONG],
      ['root', CPTR],
      ['node_index', WORD],
      ['node_depth', DEPTH],
      ['node_offset', ULONG],
      ['num_objects', ULONG],
    ],
    errors: [...SLOT_ERRORS, 'seL4_RevokeFirst'],
  },
  CNode_Copy: {
    doc: 'Copies a capability with at most the given rights.',
    on: CNODE,
    args: [...SOURCE, ['rights', ULONG]],
    errors: [...SLOT_ERRORS, 'seL4_RevokeFirst'],
  },
  CNode_Mint: {
    doc: 'Copies a capability with at most the given rights and sets its badge (of a CNode: its guard).',
    on: CNODE,
    args: [...SOURCE, ['rights', ULONG], ['badge', WORD]],
    errors: [...SLOT_ERRORS, 'seL4_RevokeFirst'],
  },
  CNode_Move: { doc: 'Moves a capability to an empty slot.', on: CNODE, args: SOURCE, errors: SLOT_ERRORS },
  CNode_Mutate: {
    doc: 'Moves a capability to an empty slot and sets its badge (of a CNode: its guard).',
    on: CNODE,
    args: [...SOURCE, ['badge', WORD]],
    errors: SLOT_ERRORS,
  },
  CNode_Rotate: {
    doc: 'Moves src to pivot and pivot to dest at once.',
    on: CNODE,
    args: [
      ['dest_index', WORD],
      ['dest_depth', DEPTH],
      ['dest_badge', WORD],
      ['pivot_root', CPTR],
      ['pivot_index', WORD],
      ['pivot_depth', DEPTH],
      ['pivot_badge', WORD],
      ['src_root', CPTR],
      ['src_index', WORD],
      ['src_depth', DEPTH],
    ],
    errors: SLOT_ERRORS,
  },
  CNode_Delete: {
    doc: 'Deletes the capability in a slot; an empty slot stays so.',
    on: CNODE,
    args: SLOT,
    errors: AT_SLOT,
  },
  CNode_Revoke: {
    doc: 'Deletes everything derived from a capability. Returns when nothing of it works any more; others run meanwhile.',
    on: CNODE,
    args: SLOT,
    errors: AT_SLOT,
  },
  CNode_CancelBadgedSends: {
    doc: "Takes all waiting sends of an endpoint capability's badge out of the endpoint; they start again.",
    on: CNODE,
    args: SLOT,
    errors: [...AT_SLOT, 'seL4_IllegalOperation'],
  },
  CNode_SaveCaller: {
    doc: "Moves the calling thread's reply capability into an empty slot.",
    on: CNODE,
    args: SLOT,
    errors: SLOT_ERRORS,
  },
  TCB_Configure: {
    doc: 'Sets fault endpoint (an address in the CSpace of the thread), CSpace, VSpace and IPC buffer.',
    on: ['TCB'],
    args: [
      ['fault_ep', CPTR],
      ['cspace_root', CPTR],
      ['cspace_root_data', WORD],
      ['vspace_root', CPTR],
      ['vspace_root_data', WORD],
      ['buffer', WORD],
      ['bufferFrame', CPTR],
    ],
    errors: [...INVOCATION, 'seL4_IllegalOperation', 'seL4_AlignmentError'],
  },
  TCB_SetSpace: {
    doc: 'Sets fault endpoint, CSpace and VSpace.',
    on: ['TCB'],
    args: [
      ['fault_ep', CPTR],
      ['cspace_root', CPTR],
      ['cspace_root_data', WORD],
      ['vspace_root', CPTR],
      ['vspace_root_data', WORD],
    ],
    errors: [...INVOCATION, 'seL4_IllegalOperation'],
  },
  TCB_SetIPCBuffer: {
    doc: 'Sets the IPC buffer: an address and the RAM frame behind it.',
    on: ['TCB'],
    args: [
      ['buffer', WORD],
      ['bufferFrame', CPTR],
    ],
    errors: [...INVOCATION, 'seL4_IllegalOperation', 'seL4_AlignmentError'],
  },
  TCB_SetPriority: {
    doc: "Sets the priority, at most the authority's.",
    on: ['TCB'],
    args: [
      ['authority', CPTR],
      ['priority', ULONG],
    ],
    errors: [...INVOCATION, 'seL4_RangeError'],
  },
  TCB_SetMCPriority: {
    doc: "Sets the highest priority the thread may give, at most the authority's.",
    on: ['TCB'],
    args: [
      ['authority', CPTR],
      ['mcp', ULONG],
    ],
    errors: [...INVOCATION, 'seL4_RangeError'],
  },
  TCB_WriteRegisters: {
    doc: 'Sets the entry (a number its program registered) and its arguments; resumes it if asked. Stops what it did before.',
    on: ['TCB'],
    args: [
      ['resume_target', ULONG],
      ['entry', STRING(64)],
      ['arguments', ARRAY(WORD, 16)],
    ],
    errors: [...INVOCATION, 'seL4_IllegalOperation'],
  },
  TCB_Suspend: {
    doc: 'Stops the thread; what it waits for in the kernel is withdrawn and starts again at its resumption.',
    on: ['TCB'],
    args: [],
    errors: INVOCATION,
  },
  TCB_Resume: { doc: 'Lets the thread run.', on: ['TCB'], args: [], errors: [...INVOCATION, 'seL4_IllegalOperation'] },
  TCB_BindNotification: {
    doc: 'Lets the thread hear the notification while it receives on an endpoint.',
    on: ['TCB'],
    args: [['notification', CPTR]],
    errors: [...INVOCATION, 'seL4_IllegalOperation'],
  },
  TCB_UnbindNotification: {
    doc: 'Ends that.',
    on: ['TCB'],
    args: [],
    errors: [...INVOCATION, 'seL4_IllegalOperation'],
  },
  X86_PDPT_Map: paging('a page-directory-pointer table', 'PDPT'),
  X86_PDPT_Unmap: unmapping('PDPT'),
  X86_PageDirectory_Map: paging('a page directory', 'PageDirectory'),
  X86_PageDirectory_Unmap: unmapping('PageDirectory'),
  X86_PageTable_Map: paging('a page table', 'PageTable'),
  X86_PageTable_Unmap: unmapping('PageTable'),
  X86_Page_Map: {
    doc: 'Maps the frame; the same capability may be mapped again at the same address with other rights.',
    on: ['Frame'],
    args: [
      ['vspace', CPTR],
      ['vaddr', WORD],
      ['rights', ULONG],
      ['attr', ULONG],
    ],
    errors: [...INVOCATION, 'seL4_AlignmentError', 'seL4_DeleteFirst', 'seL4_IllegalOperation', 'seL4_NotEnoughMemory'],
  },
  X86_Page_Unmap: {
    doc: 'Takes the frame out of its VSpace, or IO space.',
    on: ['Frame'],
    args: [],
    errors: INVOCATION,
  },
  X86_Page_GetAddress: { doc: 'The physical address.', on: ['Frame', 'DeviceFrame'], args: [], errors: INVOCATION },
  X86_Page_MapIO: {
    doc: 'Lets the device reach the frame. Differs from seL4: the IO address must be the physical address.',
    on: ['Frame'],
    args: [
      ['iospace', CPTR],
      ['rights', ULONG],
      ['ioaddr', WORD],
    ],
    errors: [...INVOCATION, 'seL4_DeleteFirst'],
  },
  X86_IOPageTable_Map: {
    doc: 'Puts an IO page table at the next missing level.',
    on: ['IOPageTable'],
    args: [
      ['iospace', CPTR],
      ['ioaddr', WORD],
    ],
    errors: [...INVOCATION, 'seL4_DeleteFirst'],
  },
  X86_IOPageTable_Unmap: { doc: 'Takes it out again.', on: ['IOPageTable'], args: [], errors: INVOCATION },
  X64_VSpace_GetStatusBits: {
    doc: 'Bit 0: the page was accessed; bit 1: written. Clears both.',
    on: ['VSpace'],
    args: [['vaddr', WORD]],
    errors: [...INVOCATION, 'seL4_RangeError'],
  },
  IRQControl_Get: {
    doc: 'Makes the handler of an interrupt.',
    on: ['IRQControl'],
    args: [['irq', ULONG], ...DESTINATION],
    errors: [...SLOT_ERRORS, 'seL4_RevokeFirst'],
  },
  IRQHandler_Ack: { doc: 'Lets the next interrupt through.', on: ['IRQHandler'], args: [], errors: INVOCATION },
  IRQHandler_SetNotification: {
    doc: 'Sets the notification that is signalled.',
    on: ['IRQHandler'],
    args: [['notification', CPTR]],
    errors: INVOCATION,
  },
  IRQHandler_Clear: { doc: 'Takes the notification away.', on: ['IRQHandler'], args: [], errors: INVOCATION },
  X86_IOPortControl_Issue: {
    doc: "Makes a capability to ports of one device's.",
    on: ['IOPortControl'],
    args: [['first_port', ULONG], ['last_port', ULONG], ...DESTINATION],
    errors: [...SLOT_ERRORS, 'seL4_RevokeFirst'],
  },
} as const satisfies Record<string, Sel4Method>

function paging(what: string, type: string) {
  return {
    doc: `Puts ${what} into the VSpace.`,
    on: [type],
    args: [
      ['vspace', CPTR],
      ['vaddr', WORD],
      ['attr', ULONG],
    ],
    errors: [...INVOCATION, 'seL4_DeleteFirst'],
  } as const
}
function unmapping(type: string) {
  return { doc: 'Takes it out again, and what hangs below it.', on: [type], args: [], errors: INVOCATION } as const
}

export type Sel4MethodName = keyof typeof declared
export const SEL4_METHODS: Readonly<Record<Sel4MethodName, Sel4Method>> = declared

type ArgsOf<A extends readonly Arg[]> = { [K in keyof A]: Of<A[K][1]> }
export type Sel4Methods = {
  [K in Sel4MethodName]: (service: number, ...args: ArgsOf<(typeof declared)[K]['args']>) => Promise<unknown>
}
export type Sel4Arguments<K extends Sel4MethodName> = {
  readonly [A in (typeof declared)[K]['args'][number] as A[0]]: Of<A[1]>
}
/** Method labels lie above all operations of the gate. */
export const METHOD_LABEL_MIN = 1024
export const labelOfMethod = (name: string): number => METHOD_LABEL_MIN + (labelOf(name) >>> 4)

interface Checked {
  readonly name: Sel4MethodName
  readonly on: readonly string[]
  readonly args: Struct<any>
}
const byLabel: ReadonlyMap<number, Checked> = new Map(
  Object.entries(SEL4_METHODS).map(([name, { on, args }]) => [
    labelOfMethod(name),
    { name: name as Sel4MethodName, on, args: STRUCT(name, Object.fromEntries(args)) },
  ]),
)
export const methodOfLabel = (label: number): Checked | undefined => byLabel.get(label)
/** Throws MalformedError. */
export const argumentsOf = (method: Checked, body: unknown): Record<string, never> => fromWire<any>(method.args, body)

/** How many bits of address an object takes; or why there is none such. */
export function sizeBitsOf(type: number, size_bits: number): number | 'seL4_InvalidArgument' | 'seL4_RangeError' {
  const { untypedBits, slotBits, radixBits, sizeBits } = X86_64
  const within = ({ least, most }: { least: number; most: number }) =>
    size_bits < least ? 'seL4_InvalidArgument' : size_bits > most ? 'seL4_RangeError' : size_bits
  if (type === OBJECT_TYPE.seL4_UntypedObject) return within(untypedBits)
  if (type === OBJECT_TYPE.seL4_CapTableObject) {
    const radix = within(radixBits)
    return typeof radix === 'number' ? radix + slotBits : radix
  }
  const name = (Object.keys(OBJECT_TYPE) as ObjectType[]).find((key) => OBJECT_TYPE[key] === type)
  return (name && sizeBits[name]) ?? 'seL4_InvalidArgument'
}

/** A guard, as CNode_Mint's badge has it. [seL4 manual] 3.1.3 */
export const cnodeData = (guard: number, guardSize: number): number => guard * 64 + guardSize

export const RIGHTS = { read: 1, write: 2, grant: 4, grantReply: 8, all: 15 } as const
export const FAULT = {
  seL4_Fault_NullFault: 0,
  seL4_Fault_CapFault: 1,
  seL4_Fault_UnknownSyscall: 2,
  seL4_Fault_UserException: 3,
  seL4_Fault_VMFault: 5,
} as const
/** Kinds of failed lookup, as a cap fault names them. */
export const LOOKUP_FAILURE = { invalidRoot: 1, missingCapability: 2, depthMismatch: 3, guardMismatch: 4 } as const
