/**
 * What the manifest makes of the machine: banks as untypeds, devices with their lines and tables, and the authority over
 * them. Asked by the invocations; decides nothing the manifest does not say.
 */
import { Sel4Error } from '../lib/sel4/api.ts'
import { IommuTable, iommuTableBytes } from '../lib/sel4/memory/iommu.ts'
import { registersBytes } from '../lib/sel4/memory/registers.ts'
import type { Extent, MemoryExtent } from '../lib/sel4/transport.ts'
import { ASK } from '../lib/sel4/wire.ts'
import { type Capability, derive, isGone, makeCapability, remove } from './cspace.ts'
import { Device } from './device.ts'
import { IoSpace } from './iospace.ts'
import { DeviceFrame, Frame } from './frame.ts'
import { IoPort } from './ioport.ts'
import { Control, Irq } from './irq.ts'
import type { Kernel } from './kernel.ts'
import type { IrqLine, ManifestDevice } from './manifest/manifest.ts'
import { Notification } from './notification.ts'
import type { Process } from './process.ts'
import { type MemoryRegion, Untyped } from './untyped.ts'

const whole = (path: string, length: number, writable = true): Extent => ({ path, offset: 0, length, writable })
const PAGE = 4096
/** An IO that names memory of the dead has ended by then, or its own deadline is longer than anybody should wait here. */
const QUARANTINE_MS = 1000

export class Machine {
  readonly untypeds = new Map<string, Capability>()
  readonly devices = new Map<string, Device>()
  readonly ioSpaces = new Map<string, Capability>()
  readonly irqs = new Map<number, Irq>()
  readonly notifications = new Set<Notification>()
  readonly ioPorts = new Set<IoPort>()
  private readonly kernel: Kernel
  private readonly shares = new Map<Process, Capability[]>()

  constructor(kernel: Kernel) {
    this.kernel = kernel
    const { banks, devices } = kernel.manifest
    for (const bank of banks) {
      const path = kernel.host.makeMemory(bank.name, bank.bytes)
      const untyped = new Untyped(kernel.id(), { ...bank, path })
      this.untypeds.set(bank.name, makeCapability(untyped, { origin: 'manifest' }))
    }
    for (const spec of devices) this.devices.set(spec.name, this.makeDevice(spec))
    for (const device of this.devices.values())
      if (device.spec.dma)
        this.ioSpaces.set(
          device.spec.name,
          makeCapability(new IoSpace(kernel.id(), device, kernel.waits), { origin: 'manifest' }),
        )
  }
  controls() {
    const control = (type: Control['type']) =>
      makeCapability(new Control(this.kernel.id(), type), { origin: 'manifest' })
    return {
      irqControl: control('IRQControl'),
      ioPortControl: control('IOPortControl'),
      processControl: control('ProcessControl'),
    }
  }
  private makeDevice(spec: ManifestDevice): Device {
    const { host } = this.kernel
    const irqs = spec.irqs.map((line) => this.irq(line))
    const memory = spec.memory.map(({ base, length }, index) => {
      const bytes = Math.ceil(length / PAGE) * PAGE
      const path = host.makeMemory(`${spec.name}-memory-${index}`, bytes)
      return { ...whole(path, bytes), physicalAddress: base, virtualAddress: base }
    })
    const frames = spec.mmio.map(({ length }, index) => {
      const bytes = registersBytes(length)
      return { extent: whole(host.makeMemory(`${spec.name}-registers-${index}`, bytes), bytes), length }
    })
    return new Device(spec, irqs, memory, frames, spec.dma ? this.makeIommu(spec.name) : undefined)
  }
  private makeIommu(name: string): { extent: Extent; table: IommuTable } {
    const bytes = iommuTableBytes()
    const path = this.kernel.host.makeMemory(`${name}-iommu`, bytes, 'readable')
    return { extent: whole(path, bytes, false), table: new IommuTable(this.kernel.host.view(path, bytes)) }
  }
  private irq({ irq, trigger }: IrqLine): Irq {
    const known = this.irqs.get(irq)
    if (known) return known
    const made = new Irq(this.kernel.id(), irq, trigger)
    made.onBinding = () => this.kernel.directIrqs.consider(made)
    this.irqs.set(irq, made)
    return made
  }
  banks(): MemoryExtent[] {
    return [...this.untypeds.values()].map(({ object }) => {
      const { bank, bytes, physicalAddress } = object as Untyped
      return { ...whole(bank.path, bytes), physicalAddress, virtualAddress: physicalAddress }
    })
  }
  isRam(physicalAddress: number, length: number): boolean {
    return this.kernel.manifest.banks.some(
      (bank) =>
        bank.physicalAddress <= physicalAddress && physicalAddress + length <= bank.physicalAddress + bank.bytes,
    )
  }

  device(name: string): Device {
    const device = this.devices.get(name)
    if (!device) throw new Sel4Error('seL4_InvalidArgument', `no device ${name}`)
    return device
  }
  ioPort(first: number, last: number): IoPort {
    if (last < first) throw new Sel4Error('seL4_InvalidArgument', 'a range goes upwards')
    for (const device of this.devices.values())
      if (device.spec.ports.some((range) => range.first <= first && last <= range.last)) {
        const made: IoPort = new IoPort(this.kernel.id(), device, first, last, () => this.ioPorts.delete(made))
        this.ioPorts.add(made)
        return made
      }
    throw new Sel4Error('seL4_RangeError', `no device has ports 0x${first.toString(16)}–0x${last.toString(16)}`)
  }
  irqHandler(irq: number): Irq {
    const line = this.irqs.get(irq)
    if (!line) throw new Sel4Error('seL4_RangeError', `no device has IRQ ${irq}`)
    return line
  }
  deviceFrame(physicalAddress: number, length: number): DeviceFrame {
    for (const device of this.devices.values()) {
      const region = device.spec.mmio.findIndex((range) => range.base === physicalAddress && range.length === length)
      if (region >= 0) return new DeviceFrame(this.kernel.id(), device, region)
    }
    throw new Sel4Error('seL4_RangeError', `no device frame at 0x${physicalAddress.toString(16)} +${length}`)
  }
  deviceMemory(physicalAddress: number, length: number): MemoryExtent {
    for (const device of this.devices.values())
      for (const [index, range] of device.spec.memory.entries())
        if (range.base <= physicalAddress && physicalAddress + length <= range.base + range.length)
          return within(device.memory[index], physicalAddress, length)
    throw new Sel4Error('seL4_RangeError', `no device memory at 0x${physicalAddress.toString(16)} +${length}`)
  }
  /** Untyped_Retype into a run of large pages, zeroed. */
  frame(bank: string, bytes: number, origin: string): Capability {
    const parent = this.untypeds.get(bank)
    if (!parent) throw new Sel4Error('seL4_InvalidArgument', `no bank ${bank}`)
    const frame = new Frame(this.kernel.id(), (parent.object as Untyped).take(bytes), bytes)
    this.zero(frame)
    return makeCapability(frame, { origin, parent })
  }
  /** In a bank without room to spare, what a process left that died a moment ago is what the next one gets. */
  async roomFor(bank: string, bytes: number): Promise<void> {
    const untyped = this.untypeds.get(bank)?.object as Untyped | undefined
    if (!untyped || untyped.available() >= bytes) return
    const patience = new Promise<void>((resolve) => this.kernel.host.alarm(QUARANTINE_MS, resolve))
    await Promise.race([patience, Promise.all([...untyped.quarantine].map((region) => region.outOfReach()))])
  }
  /** Before memory changes hands. */
  zero({ untyped, region, bytes }: Frame): void {
    const soiled = untyped.soiled(region.offset, bytes)
    if (soiled) this.kernel.host.zero(untyped.bank.path, region.offset, soiled)
  }

  /** No device reaches the memory of the dead any more; each that did has confirmed. */
  async stopDma({ arena }: Process): Promise<void> {
    if (!(arena?.object instanceof Frame)) return
    const { physicalAddress, bytes } = arena.object
    const reached = [...this.devices.values()].filter((device) => device.ungrantAll(physicalAddress, bytes))
    await Promise.all(reached.flatMap(({ process }) => (process ? [process.ask(ASK.barrier, null)] : [])))
  }
  notification(region?: MemoryRegion): Notification {
    const made: Notification = new Notification(this.kernel.id(), () => this.notifications.delete(made), region)
    this.notifications.add(made)
    return made
  }
  unbind(notification: Notification): void {
    for (const irq of this.irqs.values()) irq.unbind(notification)
  }
  /** The owner's arena is mapped by another process as well, as long as the owner lives. */
  share(owner: Process, arena: Capability, other: Process): void {
    const cap = derive(arena, { origin: `arena of ${owner.name}` })
    other.init.cspace.insert(cap)
    this.shares.set(owner, [...(this.shares.get(owner) ?? []), cap])
    other.init.vspace.share(cap, owner.init.vspace.mappings[0].virtualAddress)
  }
  /** Behind the report of its death: until then its memory is as it left it. */
  unshare(owner: Process): void {
    for (const cap of this.shares.get(owner) ?? []) if (!isGone(cap)) remove(cap)
    this.shares.delete(owner)
  }
  /** A signal is not given to the dead: who else waits for it shall have it. */
  deafen(process: Process): void {
    for (const notification of this.notifications) notification.forget(process)
  }
}
/** A part of a memory, in whole pages; the caller's addresses stay its own. */
function within(memory: MemoryExtent, physicalAddress: number, length: number): MemoryExtent {
  const offset = physicalAddress - memory.physicalAddress
  if (offset % PAGE) throw new Sel4Error('seL4_AlignmentError', `0x${physicalAddress.toString(16)}`)
  const bytes = Math.ceil(length / PAGE) * PAGE
  return { ...memory, offset, length: bytes, physicalAddress, virtualAddress: physicalAddress }
}
