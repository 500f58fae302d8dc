/** The root task's side of the kernel. */
import type { CPtr, DeathReport, ManifestView, Memory, RootTask, SpawnRequest } from '../api.ts'
import type { FakeSel4 } from './ends.ts'

/** Records what the component asks of the kernel; every request succeeds. */
export class FakeRoot implements RootTask {
  readonly spawned: SpawnRequest[] = []
  readonly granted: { child: string; from: CPtr; badge?: number; to: CPtr }[] = []
  readonly revoked: CPtr[] = []
  readonly dma = new Map<string, { physicalAddress: number; length: number; access: string }[]>()
  readonly resets: string[] = []
  readonly resumed: string[] = []
  readonly manifest: ManifestView
  readonly numNodes = 1
  ended?: { code: number; reason: string }
  private readonly sel4: FakeSel4
  private readonly handlers: ((report: DeathReport) => void)[] = []
  private readonly living = new Map<string, number>()
  private nextPhysical = 0x8000000
  private nextPid = 100

  constructor(sel4: FakeSel4, manifest: ManifestView) {
    this.sel4 = sel4
    this.manifest = manifest
  }
  private memory(bytes: number): Memory {
    const physicalAddress = this.nextPhysical
    this.nextPhysical += Math.ceil(bytes / 0x200000) * 0x200000
    return { virtualAddress: physicalAddress, physicalAddress, length: bytes, bytes: new Uint8Array(bytes) }
  }
  async spawn(request: SpawnRequest) {
    this.spawned.push(request)
    const name = request.instance ?? request.image
    const generation = (this.living.get(name) ?? 0) + 1
    this.living.set(name, generation)
    const arena = request.arenaBytes ? this.memory(request.arenaBytes) : undefined
    return { name, pid: this.nextPid++, generation, arena }
  }
  async grant(child: string, from: CPtr, options: { badge?: number } = {}): Promise<CPtr> {
    const to = this.sel4.newCap()
    this.granted.push({ child, from, badge: options.badge, to })
    return to
  }
  async revoke(cap: CPtr): Promise<void> {
    this.revoked.push(cap)
  }
  /** A process ends: the handlers hear of it. */
  die(name: string, cause: DeathReport['cause'] = 'signal', detail = 'SIGKILL', epitaph?: string): void {
    const report = { name, generation: this.living.get(name) ?? 1, cause, detail, epitaph }
    for (const handler of this.handlers) handler(report)
  }
  async resume(name: string): Promise<void> {
    this.resumed.push(name)
  }
  async kill(name: string): Promise<void> {
    this.die(name)
  }
  onDeath(handler: (report: DeathReport) => void): void {
    this.handlers.push(handler)
  }
  readonly powerButton: (() => void)[] = []
  onReclaim(): void {}
  onPowerButton(handler: () => void): void {
    this.powerButton.push(handler)
  }
  async allocate(_domain: string, bytes: number): Promise<Memory> {
    return this.memory(bytes)
  }
  async ioPort(): Promise<CPtr> {
    return this.sel4.newCap()
  }
  async irqHandler(): Promise<CPtr> {
    return this.sel4.newCap()
  }
  async deviceFrame(): Promise<CPtr> {
    return this.sel4.newCap()
  }
  async deviceMemory(physicalAddress: number, length: number): Promise<Memory> {
    return { virtualAddress: physicalAddress, physicalAddress, length, bytes: new Uint8Array(length) }
  }
  async endpoint(): Promise<CPtr> {
    return this.sel4.newCap()
  }
  async notification(): Promise<CPtr> {
    return this.sel4.newCap()
  }
  async dmaMap(device: string, memory: { physicalAddress: number; length: number }, access: string): Promise<void> {
    const maps = this.dma.get(device) ?? []
    this.dma.set(device, [...maps, { ...memory, access }])
  }
  async dmaUnmap(device: string, memory: { physicalAddress: number; length: number }): Promise<void> {
    const maps = this.dma.get(device) ?? []
    this.dma.set(
      device,
      maps.filter((map) => map.physicalAddress !== memory.physicalAddress || map.length !== memory.length),
    )
  }
  async resetDevice(device: string): Promise<void> {
    this.resets.push(device)
  }
  shutdown(code: number, reason: string): Promise<never> {
    this.ended = { code, reason }
    return new Promise(() => {})
  }
  async processes() {
    return [...this.living].map(([name, generation]) => ({
      name,
      pid: 1,
      generation,
      state: 'running',
      cpuMs: 0,
      rssKb: 0,
    }))
  }
}
