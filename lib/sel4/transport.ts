/**
 * How one process reaches the kernel and its peers, and what the kernel tells it at birth. Implemented over ZeroMQ
 * (zeromq.ts) and in memory (sim.ts); the runtime above knows neither.
 *
 * Messages of one sender to one receiver arrive in order, whole, once, as long as both live. Sending never blocks: what
 * may be under way is bounded by the sessions' credits above.
 */
import type { Birth, CapNames, ManifestView } from './api.ts'

/** What a process of the host finds in NEPTUNE_BOOT. */
export interface BootEnvironment {
  readonly run: string
  /** Under which the kernel knows it. */
  readonly token: string
  /** Where it listens to its peers. */
  readonly address: string
  readonly parent: number
}
export interface ProcessTransport {
  /** To the kernel. */
  gate(message: Buffer): void
  /** A connection to a peer's address under the identity the kernel chose; `receive` gets its answers. */
  connect(address: string, identity: string, receive: (message: Buffer) => void): PeerLink
  /** An answer to whoever sent under that identity; silently nothing when it is gone. */
  answer(identity: Buffer, message: Buffer): void
  /** Starts delivering. Called once. */
  listen(gate: (message: Buffer) => void, peer: (identity: Buffer, message: Buffer) => void): void
  /** Maps shared memory the kernel named. */
  map(extent: Extent): Uint8Array
  /**
   * Takes such a mapping away: what anybody here does with it from now on reaches nobody else. In the simulator, where all
   * memory is one process's, it still would.
   */
  unmap(extent: Extent): void
}
export interface PeerLink {
  send(message: Buffer): void
  close(): void
}
/** A run of shared memory, by the name of its file. */
export interface Extent {
  readonly path: string
  readonly offset: number
  readonly length: number
  readonly writable: boolean
}
export interface MemoryExtent extends Extent {
  readonly physicalAddress: number
  readonly virtualAddress: number
}
export interface MachineInfo {
  readonly irqs: number
  /** Every bank, when the device does DMA. */
  readonly banks: readonly MemoryExtent[]
  readonly iommu?: Extent
  readonly memory: readonly MemoryExtent[]
  readonly frames: readonly { readonly extent: Extent; readonly length: number }[]
}
export interface BootInfo {
  readonly name: string
  readonly generation: number
  readonly birth: Birth
  readonly caps: CapNames
  readonly config: Readonly<Record<string, unknown>>
  readonly arena?: MemoryExtent
  /** The root task's. */
  readonly manifest?: ManifestView
  readonly numNodes?: number
  readonly machine?: MachineInfo
  readonly tracing?: boolean
}
/** What a session is opened on, as the receiver learns it. */
export interface SessionInfo {
  readonly session: number
  readonly target: 'endpoint' | 'port' | 'mmio' | 'irq'
  /** Endpoint: its object id. Port: first port. Device frame: its index in device.json. Interrupt: the receiver's notification. */
  readonly object: number
  /** Port: the last port. Device frame: its length. */
  readonly last: number
  readonly badge: number
  readonly window: number
  /** So many sends that were taken are given back in one word. */
  readonly givesBack: number
  /** The identity under which the sender's messages come; empty: through the kernel. */
  readonly identity: string
  /** A thread receives, as in the kernel: to meet it is what a Send waits for. */
  readonly meets: boolean
}
/** What the sender learns. */
export interface RouteInfo {
  readonly session: number
  readonly target: SessionInfo['target']
  readonly window: number
  /** Empty: through the kernel. */
  readonly address: string
  readonly identity: string
  readonly meets: boolean
  /** The capability's rights let a Call through it be answered. */
  readonly answers: boolean
  readonly frame?: { readonly extent: Extent; readonly physicalAddress: number; readonly length: number }
}
