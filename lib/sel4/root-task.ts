/**
 * The root task's requests of the kernel, and the deaths it hears of. Each method is one request; the kernel turns it
 * into the libsel4 invocations it stands for, on capabilities the manifest gave the root task.
 */
import type {
  Child,
  CPtr,
  DeathReport,
  ManifestView,
  Memory,
  ProcessInfo,
  RootTask,
  Sel4Right,
  SpawnRequest,
} from './api.ts'
import type { Runtime } from './runtime.ts'
import type { MemoryExtent, ProcessTransport } from './transport.ts'
import { ASK, OP } from './wire.ts'

interface Mint {
  readonly badge?: number
  readonly rights?: readonly Sel4Right[]
}
interface Range {
  readonly physicalAddress: number
  readonly length: number
}
export function mapMemory(transport: ProcessTransport, extent: MemoryExtent): Memory {
  const { physicalAddress, virtualAddress, length } = extent
  return { physicalAddress, virtualAddress, length, bytes: transport.map(extent) }
}

export class KernelRootTask implements RootTask {
  readonly manifest: ManifestView
  readonly numNodes: number
  private readonly runtime: Runtime
  private readonly handlers: ((report: DeathReport) => void)[] = []
  private readonly powerButton: (() => void)[] = []
  private readonly users: ((memory: Range) => Promise<void>)[] = []

  constructor(runtime: Runtime, manifest: ManifestView, numNodes = 1) {
    this.runtime = runtime
    this.manifest = manifest
    this.numNodes = numNodes
    runtime.whenAsked(ASK.death, (body) => {
      for (const handler of this.handlers) handler(body as DeathReport)
    })
    runtime.whenAsked(ASK.unmapMemory, (body) => this.reclaimed(body as [MemoryExtent]))
    runtime.whenAsked(ASK.powerButton, () => {
      for (const press of this.powerButton) press()
      return this.powerButton.length > 0
    })
  }
  private async memory(op: number, body: unknown): Promise<Memory> {
    return mapMemory(this.runtime.transport, (await this.runtime.invoke(op, body)) as MemoryExtent)
  }
  private async cap(op: number, body: unknown): Promise<CPtr> {
    return (await this.runtime.invoke(op, body)) as CPtr
  }
  async spawn(request: SpawnRequest): Promise<Child> {
    const child = (await this.runtime.invoke(OP.spawn, request)) as Omit<Child, 'arena'> & {
      arena?: MemoryExtent | null
    }
    const { name, pid, generation, arena, caps } = child
    return {
      name,
      pid,
      generation,
      ...(caps && { caps }),
      ...(arena && { arena: mapMemory(this.runtime.transport, arena) }),
    }
  }
  grant(child: string, from: CPtr, options: Mint = {}): Promise<CPtr> {
    return this.cap(OP.grant, [child, from, options.badge ?? null, options.rights ?? null])
  }
  async revoke(cap: CPtr): Promise<void> {
    await this.runtime.invoke(OP.revoke, [cap])
  }
  async resume(name: string): Promise<void> {
    await this.runtime.invoke(OP.resume, [name])
  }
  async kill(name: string): Promise<void> {
    await this.runtime.invoke(OP.kill, [name])
  }
  onDeath(handler: (report: DeathReport) => void): void {
    if (this.handlers.push(handler) === 1) void this.runtime.invoke(OP.watchDeaths, null)
  }
  onReclaim(handler: (memory: Range) => Promise<void>): void {
    this.users.push(handler)
  }
  private async reclaimed([extent]: [MemoryExtent]): Promise<null> {
    await Promise.all(this.users.map((used) => used(extent)))
    this.runtime.transport.unmap(extent)
    return null
  }
  onPowerButton(handler: () => void): void {
    this.powerButton.push(handler)
  }
  allocate(domain: string, bytes: number): Promise<Memory> {
    return this.memory(OP.allocate, [domain, bytes])
  }
  ioPort(first: number, last: number): Promise<CPtr> {
    return this.cap(OP.ioPort, [first, last])
  }
  irqHandler(irq: number): Promise<CPtr> {
    return this.cap(OP.irqHandler, [irq])
  }
  deviceFrame(physicalAddress: number, length: number): Promise<CPtr> {
    return this.cap(OP.deviceFrame, [physicalAddress, length])
  }
  deviceMemory(physicalAddress: number, length: number): Promise<Memory> {
    return this.memory(OP.deviceMemory, [physicalAddress, length])
  }
  endpoint(): Promise<CPtr> {
    return this.cap(OP.endpoint, null)
  }
  notification(): Promise<CPtr> {
    return this.cap(OP.notification, null)
  }
  async dmaMap(device: string, memory: Range, access: 'read' | 'write' | 'readwrite'): Promise<void> {
    await this.runtime.invoke(OP.dmaMap, [device, memory.physicalAddress, memory.length, access])
  }
  async dmaUnmap(device: string, memory: Range): Promise<void> {
    await this.runtime.invoke(OP.dmaUnmap, [device, memory.physicalAddress, memory.length])
  }
  async resetDevice(device: string): Promise<void> {
    await this.runtime.invoke(OP.resetDevice, [device])
  }
  async shutdown(code: number, reason: string): Promise<never> {
    await this.runtime.invoke(OP.shutdown, [code, reason])
    return new Promise(() => {})
  }
  async processes(): Promise<readonly ProcessInfo[]> {
    return (await this.runtime.invoke(OP.processes, null)) as ProcessInfo[]
  }
}
