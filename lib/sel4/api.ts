/**
 * What a process may see of the kernel: types only. lib/sel4 implements them twice, over ZeroMQ between OS processes
 * and in memory for the simulator; no other room knows which.
 *
 *   Environment   handed to an image's main(): its capabilities, memory, clock, chance, log and exit
 *   Sel4          send, call, receive, reply, signal, wait, and the hardware a capability opens
 *   RootTask      what the root task (the Executive) may do besides: make processes, mint capabilities, hear of deaths
 *   Machine       what a device process gets: its registers' requests in, its interrupt lines and DMA out
 *
 * Every blocking call may reject with Sel4Error (the kernel's refusal) — see SEL4_ERROR.
 */
import type { Client, Interface, Served } from '#contracts/interface'
import type { Entry, Libsel4 } from './threads.ts'

/** libsel4's error numbers. */
export const SEL4_ERROR = {
  seL4_NoError: 0,
  seL4_InvalidArgument: 1,
  seL4_InvalidCapability: 2,
  seL4_IllegalOperation: 3,
  seL4_RangeError: 4,
  seL4_AlignmentError: 5,
  seL4_FailedLookup: 6,
  seL4_TruncatedMessage: 7,
  seL4_DeleteFirst: 8,
  seL4_RevokeFirst: 9,
  seL4_NotEnoughMemory: 10,
  /** Ours: the server behind the endpoint died (its generation changed) before it answered. */
  serverDied: 100,
  /** Between kernel and lib/sel4 only: the endpoint's messages meet in the kernel; the call was withdrawn, make it again. */
  meetsInKernel: 101,
  restart: 102,
  /** Between kernel and lib/sel4 only: the endpoint is served by its process's runtime, through a session. */
  meetsInSession: 103,
} as const
export type Sel4ErrorName = keyof typeof SEL4_ERROR

/** A capability's address in the caller's CSpace. */
export type CPtr = number

/** Where a capability handed to a new process is found: by the name its manifest gives it. */
export type CapNames = Readonly<Record<string, CPtr>>

/**
 * A physically contiguous run of frames mapped into this process.
 * `bytes` is the memory itself (shared with whoever else maps those frames), never a copy.
 */
export interface Memory {
  /** The run's address in this process's address space: what a pointer in a message means. */
  readonly virtualAddress: number
  readonly physicalAddress: number
  readonly length: number
  readonly bytes: Uint8Array
}

export interface Clock {
  /** Milliseconds since this process's start of time; monotonic, fractional. */
  now(): number
  /** 100 ns units since 1601-01-01 UTC. */
  systemTime(): number
  sleep(milliseconds: number): Promise<void>
  /** Runs `expired` once, `milliseconds` from now, unless cancelled. */
  alarm(milliseconds: number, expired: () => void): { cancel(): void }
}
export interface Random {
  /** An integer in [0, 2^32). */
  next(): number
}
export interface Log {
  debug(message: string, fields?: object): void
  info(message: string, fields?: object): void
  warn(message: string, fields?: object): void
  error(message: string, fields?: object): void
}

/** One message taken from an endpoint. */
export interface Received {
  /** The badge of the capability it was sent through: the sender's identity, as the receiver minted it. */
  readonly badge: number
  readonly label: number
  /** Decoded msgpack, bounded in size and nesting, not yet checked against a contract. */
  readonly body: unknown
  /** Present when the sender waits for an answer; use once, with Sel4.reply. */
  readonly reply?: ReplyHandle
}
export interface ReplyHandle {
  readonly id: number
}
/** A message's answer. */
export interface Answer {
  /** 0 or an NTSTATUS, by the interface's rule. */
  readonly label: number
  readonly body: unknown
}

/** A trace context as it travels: 16 bytes name the request, 8 the span that caused what follows. */
export type TraceContext = Uint8Array
/** A span under way. */
export interface OpenSpan {
  readonly context: TraceContext
  end(args?: object): void
}
/**
 * Watching: what this process does becomes spans of the request it is done for. Whoever hands work on in a message takes
 * current() along; whoever takes it up begins a span under it. Test `enabled` first, so that nothing is done for nobody.
 */
export interface Trace {
  readonly enabled: boolean
  /** The context of what runs now; undefined while nobody watches. */
  current(): TraceContext | undefined
  /** For work that began under `context` and is handed on now: the current context if it is of the same request, else that one. */
  currentOf(context: TraceContext | undefined): TraceContext | undefined
  begin(name: string, parent?: TraceContext, args?: object): OpenSpan
  within<T>(span: OpenSpan, work: () => T): T
  /** begin, within and end; a promise ends it when it settles. */
  span<T>(name: string, parent: TraceContext | undefined, args: object | undefined, work: () => T): T
  /** More to be shown with the span that is current. */
  note(args: object): void
}

export interface Sel4 {
  /** Absent where nothing is ever watched. */
  readonly trace?: Trace
  /** What the last wait for a notification was ended by: the context of the interrupt or signal. */
  signalledBy?(notification: CPtr): TraceContext | undefined
  /** Sends and waits for the answer. Rejects with Sel4Error(serverDied) when the server dies meanwhile. */
  call(endpoint: CPtr, label: number, body: unknown): Promise<Answer>
  /** Completes when the message has been taken into the receiver's bounded queue. */
  send(endpoint: CPtr, label: number, body: unknown): Promise<void>
  /** Waits for the next message. Only one recv per endpoint may be outstanding in a thread. */
  recv(endpoint: CPtr): Promise<Received>
  /** Answers a call; a second answer through the same handle is an error of ours. */
  reply(to: ReplyHandle, label: number, body: unknown): void
  signal(notification: CPtr): Promise<void>
  /** Waits until the notification's word is non-zero; returns and clears it. */
  wait(notification: CPtr): Promise<number>

  /** A typed client: every method is one call; a non-zero answer label is thrown as StatusError. */
  client<I extends Interface<any>>(iface: I, endpoint: CPtr): Client<I>
  /**
   * Serves interfaces on one endpoint until the process ends: receives, checks against the contract, runs the handler
   * (many may run at once, in order of arrival up to their first await), answers. StatusError → the answer's label;
   * a MalformedError of the sender is reported to the kernel and never reaches a handler; any other error ends the
   * process with an epitaph. A handler that answers later returns a promise; replies may be out of order.
   */
  serve(endpoint: CPtr, parts: readonly Served<Caller>[]): Promise<never>

  /** IN and OUT through an IO-port capability; `width` in bytes. Posted writes are ordered before later reads. */
  portIn(ioPort: CPtr, port: number, width: 1 | 2 | 4): Promise<number>
  portOut(ioPort: CPtr, port: number, width: 1 | 2 | 4, value: number): Promise<void>
  /** Maps a device frame: registers behind it are read and written with Registers. */
  mapDevice(deviceFrame: CPtr): Promise<Registers>
  /** Re-arms an interrupt after its notification was delivered (IRQHandler_Ack), after posted writes were flushed. */
  irqAck(irqHandler: CPtr): Promise<void>
  /** Binds an interrupt to a notification (IRQHandler_SetNotification). */
  irqSetNotification(irqHandler: CPtr, notification: CPtr): Promise<void>
  /** Asks the kernel for a notification object of this process's own. */
  makeNotification(): Promise<CPtr>
}
export interface Caller {
  readonly badge: number
  readonly reply?: ReplyHandle
}

/** Memory-mapped registers of one device frame. Offsets in bytes, values unsigned. */
export interface Registers {
  readonly physicalAddress: number
  readonly length: number
  /** Pushes earlier posted writes first; from the shared page when the device has consumed them all, else a request. */
  read32(offset: number): Promise<number>
  /** Posted, in order. */
  write32(offset: number, value: number): void
  /** Resolves when the device has consumed every write posted so far. */
  flush(): Promise<void>
}

/** How a process came to be; 'restart' means an earlier generation died. */
export type Birth = 'fresh' | 'restart'

export interface Environment {
  /** The instance's name in the manifest: 'storahci'. */
  readonly name: string
  readonly birth: Birth
  readonly generation: number
  readonly caps: CapNames
  /** The manifest's `config` object of this process, opaque to the kernel. */
  readonly config: Readonly<Record<string, unknown>>
  /** This process's own memory that others can be pointed at; absent if the manifest gives none. */
  readonly arena?: Memory
  readonly sel4: Sel4
  /** libsel4 as the first thread has it: system calls and object methods. */
  readonly libsel4: Libsel4
  /** What TCB_WriteRegisters starts in this process by that name. */
  entry(name: string, main: Entry): void
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** Counts every byte a copy helper moves; a direct read adds nothing here. */
  readonly copied: { bytes: number; calls: number }
  /** Ends this process. The epitaph reaches the kernel's death report. */
  exit(code: number, epitaph?: string): never
  /** Only the root task has it. */
  readonly root?: RootTask
  /** Only device processes have it. */
  readonly machine?: Machine
}
export type Main = (env: Environment) => Promise<void>

// ---------------------------------------------------------------- root task

export type Sel4Right = 'read' | 'write' | 'grant' | 'grantReply'

export interface DeathReport {
  readonly name: string
  readonly generation: number
  /**
   * 'exit' with code; 'signal' with its name; 'fault' when the kernel ended it for what it sent; 'lease' when it hung; 'limit'
   * when it used up what the manifest allows it, with the limit's name.
   */
  readonly cause: 'exit' | 'signal' | 'fault' | 'lease' | 'limit'
  readonly detail: string
  readonly epitaph?: string
}
export interface SpawnRequest {
  /** An image's name in launch.json: 'storahci'; one process of it at a time unless `instance` is given. */
  readonly image: string
  readonly instance?: string
  readonly birth: Birth
  /** Capabilities of the caller's CSpace to copy into the child's, by the name the child finds them under. */
  readonly caps: Readonly<Record<string, { from: CPtr; badge?: number; rights?: readonly Sel4Right[] }>>
  /** Bytes of IO arena, a multiple of 2 MiB; 0 for none. The caller gets it mapped as well. */
  readonly arenaBytes: number
  /** The caller is given capabilities to the child's thread, CSpace and VSpace. */
  readonly control?: boolean
  /** It is made and its image loaded; its first thread runs when it is resumed. */
  readonly suspended?: boolean
  readonly config: Readonly<Record<string, unknown>>
}
export interface Child {
  readonly name: string
  readonly pid: number
  readonly generation: number
  /** The child's arena as the root task sees it; its `virtualAddress` here is the CHILD's. */
  readonly arena?: Memory
  /** When asked for with `control`. */
  readonly caps?: { readonly tcb: CPtr; readonly cnode: CPtr; readonly vspace: CPtr }
}
/**
 * The root task's part. Everything here is a sequence of libsel4 invocations (Untyped_Retype, CNode_Mint, TCB_Configure,
 * TCB_Resume …) on capabilities the manifest gave the root task; the kernel checks the ceiling of each image.
 */
export interface RootTask {
  /** Makes CSpace, VSpace, arena and TCB, and starts the image. Rejects: image unknown, cap above its ceiling, no memory. */
  spawn(request: SpawnRequest): Promise<Child>
  /**
   * Copies a capability of the caller into a running child's CSpace (CNode_Mint); returns its address there. The kernel
   * refuses what the child's ceiling does not allow (seL4_IllegalOperation).
   */
  grant(child: string, from: CPtr, options?: { badge?: number; rights?: readonly Sel4Right[] }): Promise<CPtr>
  /** CNode_Revoke on a capability of the caller: when it resolves no descendant works any more, anywhere. */
  revoke(cap: CPtr): Promise<void>
  /** TCB_Resume of the first thread of a process that was spawned suspended; of another, nothing. */
  resume(name: string): Promise<void>
  /** Stops a process and reclaims all it had; a death report follows. */
  kill(name: string): Promise<void>
  /** Called for every death of a spawned process, after its sessions are closed, its DMA is off and its frames reclaimed. */
  onDeath(handler: (report: DeathReport) => void): void
  /**
   * Called behind the report of a death, before the dead one's memory is taken from the caller's address space and may be
   * somebody else's: whoever still names it (an IO under way) is waited for.
   */
  onReclaim(handler: (memory: { physicalAddress: number; length: number }) => Promise<void>): void
  /** Called when somebody outside asks the system to stop: the root task ends it in order, with shutdown(). */
  onPowerButton(handler: () => void): void
  /** Allocates memory of a protection domain ('cache', …) for the root task itself. */
  allocate(domain: string, bytes: number): Promise<Memory>
  /** Issues the capability of a port range, interrupt or device frame into the caller's CSpace (IOPortControl, IRQControl, Untyped). */
  ioPort(first: number, last: number): Promise<CPtr>
  irqHandler(irq: number): Promise<CPtr>
  deviceFrame(physicalAddress: number, length: number): Promise<CPtr>
  /** Maps memory that belongs to a device but that software reads and writes (video memory): device.json `memory`. */
  deviceMemory(physicalAddress: number, length: number): Promise<Memory>
  endpoint(): Promise<CPtr>
  notification(): Promise<CPtr>
  /** Lets a device reach memory by DMA (an IOMMU mapping), or no longer; resolves when the device has confirmed. Unmapping what is not mapped is no error. */
  dmaMap(
    device: string,
    memory: { physicalAddress: number; length: number },
    access: 'read' | 'write' | 'readwrite',
  ): Promise<void>
  dmaUnmap(device: string, memory: { physicalAddress: number; length: number }): Promise<void>
  /** Puts a device back to its power-on state; resolves when it is, with no DMA under way. */
  resetDevice(device: string): Promise<void>
  /** The manifest as the kernel checked it: images, their sections for NT (opaque to the kernel), the devices. */
  readonly manifest: ManifestView
  /** Processors that processes share. [seL4_BootInfo] numNodes */
  readonly numNodes: number
  /** The end: everything is stopped in order and the launcher ends with this code. */
  shutdown(code: number, reason: string): Promise<never>
  /** What `ps` shows: name, pid, generation, state of each process. */
  processes(): Promise<readonly ProcessInfo[]>
}
export interface ProcessInfo {
  readonly name: string
  readonly pid: number
  readonly generation: number
  readonly state: string
  readonly cpuMs: number
  readonly rssKb: number
}
export interface ManifestView {
  readonly images: Readonly<
    Record<string, { readonly nt?: Readonly<Record<string, unknown>>; readonly arena?: number }>
  >
  readonly devices: Readonly<
    Record<
      string,
      {
        readonly device: string
        readonly dma?: boolean
        readonly ports: readonly PortRange[]
        readonly irqs: readonly number[]
        readonly mmio: readonly MmioRange[]
      }
    >
  >
}
export interface PortRange {
  readonly first: number
  readonly last: number
}
export interface MmioRange {
  readonly base: number
  readonly length: number
}

// ---------------------------------------------------------------- devices

/** A chip's face to its process: called by the machine, in the order the driver issued accesses. */
export interface Chip {
  portIn?(port: number, width: 1 | 2 | 4): number
  portOut?(port: number, width: 1 | 2 | 4, value: number): void
  /** `region` is the index in device.json's `mmio`. */
  mmioRead?(region: number, offset: number): number
  mmioWrite?(region: number, offset: number, value: number): void
  /** Power-on reset: registers to the datasheet's defaults, DMA stopped, lines low. Also runs when a driver died. */
  reset(): void | Promise<void>
  /** The system stops: close files. */
  powerOff?(): void | Promise<void>
}
/** One interrupt line of this device, by index in device.json's `irqs`. */
export interface InterruptLine {
  /** Level: asserted until lower(). Edge and MSI: each raise() is one interrupt. */
  raise(): void
  lower(): void
}
export interface Machine {
  /** Plugs the chip in: from now on accesses reach it. */
  attach(chip: Chip): void
  irq(index: number): InterruptLine
  /**
   * Publishes a register's current value in the shared page, so that a read costs no message. Call it for every register
   * whose read has no side effect whenever its value changes; a register never published is always read by request.
   */
  publish(region: number, offset: number, value: number): void
  /** A write to this register only acknowledges, and may wait for the driver's next access. Holds until a reset. */
  quiet(region: number, offset: number): void
  /**
   * Views of memory a DMA may touch: the pieces, in order, of [physicalAddress, +length) as the IOMMU lets this device see
   * them. Throws DmaFault when any byte is not granted for that direction. 'write' = the device writes memory.
   */
  dma(physicalAddress: number, length: number, access: 'read' | 'write'): readonly Uint8Array[]
  /** Video and other memory that belongs to the device but software maps (device.json `memory`), by index. */
  memory(index: number): Uint8Array
}
export class DmaFault extends Error {
  readonly physicalAddress: number
  constructor(physicalAddress: number, length: number) {
    super(`DMA fault at 0x${physicalAddress.toString(16)} +${length}`)
    this.name = 'DmaFault'
    this.physicalAddress = physicalAddress
  }
}
export class Sel4Error extends Error {
  readonly code: number
  readonly detail?: string
  constructor(name: Sel4ErrorName, detail?: string) {
    super(detail ? `${name}: ${detail}` : name)
    this.detail = detail
    this.name = 'Sel4Error'
    this.code = SEL4_ERROR[name]
  }
}
