/**
 * A function as a device: identity, resources, and the registers in configuration space that START programs.
 *
 *   START    base addresses as assigned · MSI address and data, or the line · then the command register, bus mastering last
 *   STOP, REMOVE, SURPRISE_REMOVAL   command register off: no DMA, no interrupt
 *
 * START may come again, to a function that never stopped: it writes what is there already.
 */
import { IRP_MN } from '#contracts/wdm'
import { type PdoIds, pdoPnp } from '#drivers/lib/pnp'
import { NT_STATUS, type NTSTATUS, StatusError } from '#rtl'
import {
  type CM_PARTIAL_RESOURCE_DESCRIPTOR,
  completeIrp,
  type DEVICE_OBJECT,
  IoGetCurrentIrpStackLocation,
  type IRP,
  IoSetOutput,
} from '#wdm'
import type { ConfigAccess } from './config.ts'
import {
  BAR0,
  BUS_MASTER,
  COMMAND,
  CONFIG_BYTES,
  INTERRUPT_DISABLE,
  INTERRUPT_LINE,
  IO_SPACE,
  MEMORY_SPACE,
  MESSAGE_ADDRESS,
  MSI_ADDRESS_64,
  MSI_ENABLE,
  MSI_MULTIPLE_ENABLE,
} from './hw.ts'
import { idsOf, requirementsOf } from './ids.ts'
import { type Bar, bars, type PciFunction } from './probe.ts'

type Resources = readonly CM_PARTIAL_RESOURCE_DESCRIPTOR[]
type Interrupt = CM_PARTIAL_RESOURCE_DESCRIPTOR & { kind: 'Interrupt' }

export class PciDevice {
  readonly kind = 'pdo'
  readonly device: DEVICE_OBJECT
  readonly pci: PciFunction
  private readonly config: ConfigAccess
  private readonly lengths: readonly number[]
  private readonly ids: PdoIds

  constructor(device: DEVICE_OBJECT, pci: PciFunction, config: ConfigAccess, lengths: readonly number[]) {
    this.device = device
    this.pci = pci
    this.config = config
    this.lengths = lengths
    this.ids = idsOf(pci)
  }

  async pnp(Irp: IRP): Promise<NTSTATUS> {
    const { MinorFunction, Parameters } = IoGetCurrentIrpStackLocation(Irp)
    switch (MinorFunction) {
      case IRP_MN.IRP_MN_START_DEVICE:
        await this.start(Parameters.kind === 'StartDevice' ? Parameters.AllocatedResources : [])
        break
      case IRP_MN.IRP_MN_STOP_DEVICE:
      case IRP_MN.IRP_MN_REMOVE_DEVICE:
      case IRP_MN.IRP_MN_SURPRISE_REMOVAL:
        await this.off()
        break
      case IRP_MN.IRP_MN_QUERY_RESOURCE_REQUIREMENTS:
        await this.queryRequirements(Irp)
        return completeIrp(Irp, NT_STATUS.STATUS_SUCCESS)
      case IRP_MN.IRP_MN_READ_CONFIG:
      case IRP_MN.IRP_MN_WRITE_CONFIG:
        return this.configSpace(Irp, MinorFunction === IRP_MN.IRP_MN_WRITE_CONFIG)
    }
    return pdoPnp(this.device, Irp, this.ids)
  }

  private async queryRequirements(Irp: IRP): Promise<void> {
    const list = requirementsOf(this.pci, await bars(this.config, this.pci.at, this.lengths))
    Irp.response = { kind: 'Requirements', Alternatives: list.length ? [list] : [] }
  }

  private async configSpace(Irp: IRP, write: boolean): Promise<NTSTATUS> {
    const { Parameters } = IoGetCurrentIrpStackLocation(Irp)
    if (Parameters.kind !== 'ReadWriteConfig') throw new StatusError('STATUS_INVALID_PARAMETER')
    const { Offset, Length } = Parameters
    if (Offset + Length > CONFIG_BYTES) throw new StatusError('STATUS_INVALID_PARAMETER', 'beyond configuration space')
    const given = Irp.SystemBuffer?.length ?? 0
    if (write ? given < Length : Irp.OutputLength < Length) throw new StatusError('STATUS_BUFFER_TOO_SMALL')
    if (write) await this.config.writeBytes(this.pci.at, Offset, Irp.SystemBuffer!.subarray(0, Length))
    else IoSetOutput(Irp, await this.config.readBytes(this.pci.at, Offset, Length))
    return completeIrp(Irp, NT_STATUS.STATUS_SUCCESS, Length)
  }

  // ------------------------------------------------------------ command register and what must stand before it

  private async start(resources: Resources): Promise<void> {
    const known = await bars(this.config, this.pci.at, this.lengths)
    const interrupt = resources.find((one): one is Interrupt => one.kind === 'Interrupt')
    for (const [bar, base] of placesOf(known, resources)) await this.place(bar, base)
    const message = await this.route(interrupt)
    const spaces = (known.some(({ io }) => io) ? IO_SPACE : 0) | (known.some(({ io }) => !io) ? MEMORY_SPACE : 0)
    await this.config.write16(this.pci.at, COMMAND, spaces | BUS_MASTER | (message ? INTERRUPT_DISABLE : 0))
  }
  private off(): Promise<void> {
    return this.config.write16(this.pci.at, COMMAND, INTERRUPT_DISABLE)
  }

  private async place(bar: Bar, base: number): Promise<void> {
    if (bar.base === base) return
    await this.off()
    await this.config.write32(this.pci.at, BAR0 + bar.index * 4, base % 2 ** 32)
    if (bar.wide) await this.config.write32(this.pci.at, BAR0 + bar.index * 4 + 4, Math.floor(base / 2 ** 32))
  }
  /** True: by message. */
  private async route(interrupt: Interrupt | undefined): Promise<boolean> {
    const { msi } = this.pci
    if (interrupt?.Message && msi !== undefined) {
      await this.programMessage(msi, interrupt.Vector)
      return true
    }
    if (interrupt) {
      const register = await this.config.read32(this.pci.at, INTERRUPT_LINE)
      await this.config.write32(this.pci.at, INTERRUPT_LINE, ((register & ~0xff) | (interrupt.Level & 0xff)) >>> 0)
    }
    return false
  }
  /** Address and data before the enable bit; one message. [PCI] 6.8.1 */
  private async programMessage(msi: number, Vector: number): Promise<void> {
    const { at } = this.pci
    const control = (await this.config.read32(at, msi)) >>> 16
    const wide = (control & MSI_ADDRESS_64) !== 0
    await this.config.write32(at, msi + 4, MESSAGE_ADDRESS)
    if (wide) await this.config.write32(at, msi + 8, 0)
    await this.config.write16(at, msi + (wide ? 12 : 8), Vector & 0xffff)
    await this.config.write16(at, msi + 2, (control & ~MSI_MULTIPLE_ENABLE) | MSI_ENABLE)
  }
}

/** Assigned ranges belong to base addresses of their kind in order: the order in which they were asked for. */
function placesOf(known: readonly Bar[], resources: Resources): [Bar, number][] {
  const places: [Bar, number][] = []
  for (const io of [false, true]) {
    const ranges = resources.filter((one) => one.kind === (io ? 'Port' : 'Memory')) as { Start: number }[]
    for (const [i, bar] of known.filter((one) => one.io === io).entries()) {
      if (!ranges[i]) throw new StatusError('STATUS_INVALID_PARAMETER', `no range for base address ${bar.index}`)
      places.push([bar, ranges[i].Start])
    }
  }
  return places
}
