/**
 * A device process's side of the machine: register accesses in, interrupt lines and DMA out.
 *
 * Accesses reach the chip in the order the driver issued them: a request drains the ring of posted writes first. Bounds
 * were set by the kernel when it opened the session; an access outside is the driver's fault and never reaches the chip.
 */
import type { Chip, InterruptLine, Machine } from './api.ts'
import { DmaFault, SEL4_ERROR } from './api.ts'
import { IommuTable } from './memory/iommu.ts'
import { PhysicalMap } from './memory/physical-map.ts'
import { DeviceRegisters } from './memory/registers.ts'
import { PUSH_ONLY } from './access.ts'
import type { Runtime } from './runtime.ts'
import type { InSession } from './sessions.ts'
import type { MachineInfo } from './transport.ts'
import { ASK, decodeBody, FLAG, KIND, labelOf, OP, sequenceOf } from './wire.ts'

export class DeviceMachine implements Machine {
  private readonly runtime: Runtime
  private readonly info: MachineInfo
  private readonly frames: DeviceRegisters[]
  private readonly banks = new Map<string, Uint8Array>()
  private readonly physical: PhysicalMap
  private readonly iommu?: IommuTable
  private readonly regions: Uint8Array[]
  private chip?: Chip
  /** Interrupts raised and lowered while posted writes are taken. */
  private changes?: (() => void)[]

  constructor(runtime: Runtime, info: MachineInfo) {
    this.runtime = runtime
    this.info = info
    const map = runtime.transport.map.bind(runtime.transport)
    this.frames = info.frames.map(({ extent, length }) => new DeviceRegisters(map(extent), length))
    for (const bank of info.banks) this.banks.set(bank.path, map(bank))
    this.physical = new PhysicalMap(
      info.banks.map(({ path, physicalAddress, length }) => ({ name: path, physicalAddress, bytes: length })),
    )
    this.iommu = info.iommu && new IommuTable(map(info.iommu))
    this.regions = info.memory.map(map)
    for (const frame of this.frames) frame.reset()
    runtime.sessions.deviceOpened = ({ target, object }) =>
      target === 'mmio' ? this.frames[object].discard() : undefined
    runtime.sessions.deviceAccess = (session, message) => this.access(session, message)
    runtime.whenAsked(ASK.reset, () => this.reset())
    runtime.whenAsked(ASK.powerOff, () => this.powerOff())
  }

  attach(chip: Chip): void {
    this.chip = chip
    this.runtime.invoke(OP.attachChip, null).catch((error) => this.runtime.die(error))
  }
  irq(index: number): InterruptLine {
    if (index >= this.info.irqs)
      throw new RangeError(`device.json names ${this.info.irqs} interrupts, not ${index + 1}`)
    return {
      raise: () => this.afterDrain(() => this.raise(index)),
      lower: () => this.afterDrain(() => this.lower(index)),
    }
  }
  private raise(index: number): void {
    if (this.runtime.routes.interrupt(index)) return
    const { tracer } = this.runtime
    if (!tracer.enabled) return this.runtime.tell(KIND.IRQ, index, 1, null)
    const span = tracer.begin('→ interrupt', tracer.current(), { index })
    this.runtime.tell(KIND.IRQ, index, 1, null, span.context)
    span.end()
  }
  /** Only messages go directly, and a message is over when it is sent. */
  private lower(index: number): void {
    if (!this.runtime.routes.interruptsDirectly(index)) this.runtime.tell(KIND.IRQ, index, 0, null)
  }
  /** A driver that hears of an interrupt finds its writes consumed, and so can read from the shared page. */
  private afterDrain(change: () => void): void {
    if (this.changes) this.changes.push(change)
    else change()
  }
  private drain(chip: Chip, region: number): void {
    if (this.changes) return
    const changes: (() => void)[] = []
    this.changes = changes
    try {
      this.take(chip, region)
    } finally {
      this.changes = undefined
      for (const change of changes) change()
    }
  }
  publish(region: number, offset: number, value: number): void {
    this.frames[region].publish(offset, value)
  }
  quiet(region: number, offset: number): void {
    this.frames[region].quiet(offset)
  }
  dma(physicalAddress: number, length: number, access: 'read' | 'write'): readonly Uint8Array[] {
    const pieces = this.iommu?.allows(physicalAddress, length, access) && this.physical.pieces(physicalAddress, length)
    if (!pieces) throw new DmaFault(physicalAddress, length)
    return pieces.map(({ bank, offset, length: bytes }) =>
      (this.banks.get(bank) as Uint8Array).subarray(offset, offset + bytes),
    )
  }
  memory(index: number): Uint8Array {
    const region = this.regions[index]
    if (!region) throw new RangeError(`device.json names ${this.regions.length} memories, not ${index + 1}`)
    return region
  }

  private async reset(): Promise<null> {
    for (const frame of this.frames) frame.reset()
    await this.chip?.reset()
    return null
  }
  private async powerOff(): Promise<null> {
    await this.chip?.powerOff?.()
    return null
  }

  private access(session: InSession, message: Buffer): void {
    const { chip } = this
    if (!chip) return this.runtime.sessions.reject(session, message)
    if (session.info.target === 'mmio') return this.mmio(chip, session, message)
    const label = labelOf(message)
    const port = label & 0xffff
    const width = label >>> 16
    const { object: first, last } = session.info
    const value = decodeBody(message)
    const isOut = message[0] === KIND.PORT_OUT
    const known = width === 1 || width === 2 || width === 4
    if (!known || port < first || port + width - 1 > last)
      return this.refuse(session, message, SEL4_ERROR.seL4_IllegalOperation)
    if (isOut && !(Number.isInteger(value) && (value as number) >= 0 && (value as number) < 2 ** (8 * width)))
      return this.refuse(session, message)
    if (isOut) chip.portOut?.(port, width, value as number)
    if (isOut && this.runtime.tracer.enabled) this.runtime.tracer.note({ value })
    const read = isOut ? null : (chip.portIn?.(port, width) ?? 2 ** (8 * width) - 1) >>> 0
    this.runtime.sessions.answerSession(session, 0, 0, sequenceOf(message), read)
  }
  private refuse(session: InSession, message: Buffer, code: number = SEL4_ERROR.seL4_RangeError): void {
    this.runtime.sessions.answerSession(session, FLAG.ERROR, code, sequenceOf(message), 'no such register')
  }
  private mmio(chip: Chip, session: InSession, message: Buffer): void {
    const region = session.info.object
    this.drain(chip, region)
    if (message[0] !== KIND.MMIO_READ) return
    const offset = labelOf(message)
    if (offset !== PUSH_ONLY && (offset >= session.info.last || offset % 4)) return this.refuse(session, message)
    const value = offset === PUSH_ONLY ? null : (chip.mmioRead?.(region, offset) ?? 0xffffffff) >>> 0
    this.runtime.sessions.answerSession(session, 0, 0, sequenceOf(message), value)
  }
  /** Posted writes reach the chip; shown with what pushed them while somebody watches. */
  private take(chip: Chip, region: number): void {
    const { tracer } = this.runtime
    const writes: string[] = []
    this.frames[region].drain((offset, value) => {
      if (tracer.enabled) writes.push(`0x${offset.toString(16)}=0x${value.toString(16)}`)
      chip.mmioWrite?.(region, offset, value)
    })
    if (writes.length > 0) tracer.note({ writes })
  }
}
