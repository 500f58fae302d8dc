/**
 * A bus: the functional device of a PCI root, and the devices it finds.
 *
 *   START              ports, then a first enumeration, so that a next life knows its devices before anyone names one
 *   BusRelations       enumerates again; a function that was there before keeps its device object
 *
 * Base address sizes are asked once, when a function is seen for the first time, and parked: a next life must not size a function that
 * is at work.
 */
import { BusRelations } from '#drivers/lib/io'
import { forwardAndWait, type NumberBook, passDown, removeFdo } from '#drivers/lib/pnp'
import { IRP_MN } from '#contracts/wdm'
import { NT_STATUS, NT_SUCCESS, type NTSTATUS, StatusError } from '#rtl'
import {
  type CM_PARTIAL_RESOURCE_DESCRIPTOR,
  completeIrp,
  type DEVICE_OBJECT,
  FILE_DEVICE_CONTROLLER,
  IoCreateDevice,
  IoDeviceInitialized,
  IoEnablePorts,
  IoGetCurrentIrpStackLocation,
  type IRP,
  parkedState,
  parkState,
} from '#wdm'
import { ConfigAccess } from './config.ts'
import { PciDevice } from './pdo.ts'
import { type PciFunction, scan, sizes } from './probe.ts'

type Resources = readonly CM_PARTIAL_RESOURCE_DESCRIPTOR[]
type Resource<K> = CM_PARTIAL_RESOURCE_DESCRIPTOR & { kind: K }
/** Address → lengths of its base address registers. */
type Sizes = Record<string, readonly number[]>

export class PciBus {
  readonly kind = 'fdo'
  private readonly device: DEVICE_OBJECT
  private readonly lower: DEVICE_OBJECT
  private readonly numbers: NumberBook
  private config?: ConfigAccess
  private bus = 0
  private children: PciDevice[] = []
  private enumeration: Promise<unknown> = Promise.resolve()

  constructor(device: DEVICE_OBJECT, lower: DEVICE_OBJECT, numbers: NumberBook) {
    this.device = device
    this.lower = lower
    this.numbers = numbers
  }

  pnp(Irp: IRP): NTSTATUS | Promise<NTSTATUS> {
    const { MinorFunction, Parameters } = IoGetCurrentIrpStackLocation(Irp)
    if (MinorFunction === IRP_MN.IRP_MN_START_DEVICE) return this.start(Irp)
    if (MinorFunction === IRP_MN.IRP_MN_REMOVE_DEVICE) return this.remove(Irp)
    const bus = Parameters.kind === 'QueryDeviceRelations' && Parameters.Type === BusRelations
    return bus ? this.relations(Irp) : passDown(this.lower, Irp)
  }
  passDown(Irp: IRP): NTSTATUS | Promise<NTSTATUS> {
    return passDown(this.lower, Irp)
  }

  private async start(Irp: IRP): Promise<NTSTATUS> {
    const { Parameters } = IoGetCurrentIrpStackLocation(Irp)
    const resources = Parameters.kind === 'StartDevice' ? Parameters.AllocatedResourcesTranslated : []
    const status = await forwardAndWait(this.device.DriverObject, this.lower, Irp)
    if (NT_SUCCESS(status)) await this.open(resources)
    return completeIrp(Irp, status)
  }
  private async open(resources: Resources): Promise<void> {
    const ports = resources.find((one): one is Resource<'Port'> => one.kind === 'Port')
    const bus = resources.find((one): one is Resource<'BusNumber'> => one.kind === 'BusNumber')
    if (!ports || ports.Length < 8) throw new StatusError('STATUS_INVALID_PARAMETER', 'no configuration ports')
    this.bus = bus?.Start ?? 0
    this.config ??= new ConfigAccess(await IoEnablePorts(this.device, ports))
    await this.enumerate()
  }

  private async relations(Irp: IRP): Promise<NTSTATUS> {
    if (!this.config) return completeIrp(Irp, NT_STATUS.STATUS_DEVICE_NOT_READY)
    await this.enumerate()
    Irp.response = { kind: 'Devices', Devices: this.children.map(({ device }) => device.handle) }
    return completeIrp(Irp, NT_STATUS.STATUS_SUCCESS)
  }

  private remove(Irp: IRP): Promise<NTSTATUS> {
    return removeFdo(this.device, this.lower, Irp, () => this.children.splice(0).map(({ device }) => device))
  }

  // ------------------------------------------------------------ enumeration

  /** One after the other: two at once would make two devices of one function. */
  private enumerate(): Promise<void> {
    const next = this.enumeration.then(() => this.enumerateNow(this.config!))
    this.enumeration = next.catch(() => undefined)
    return next
  }
  private async enumerateNow(config: ConfigAccess): Promise<void> {
    const functions = await scan(config, this.bus)
    const before = this.children
    const known = await this.parkedSizes()
    this.children = []
    for (const pci of functions) {
      const old = before.find((child) => isSame(child.pci, pci))
      this.children.push(old ?? (await this.discover(config, pci, known)))
    }
    await this.parkSizes(known)
  }
  private async discover(config: ConfigAccess, pci: PciFunction, known: Sizes): Promise<PciDevice> {
    const key = keyOf(pci)
    known[key] ??= await sizes(config, pci.at, pci.headerType)
    const name = `\\Device\\NTPNP_PCI${String(await this.numbers.numberOf(key)).padStart(4, '0')}`
    const device = await IoCreateDevice(this.device.DriverObject, name, FILE_DEVICE_CONTROLLER, 0, false)
    const child = new PciDevice(device, pci, config, known[key])
    device.DeviceExtension = child
    await IoDeviceInitialized(device)
    return child
  }

  private get sizesKey(): string {
    return `sizes ${this.bus}`
  }
  private async parkedSizes(): Promise<Sizes> {
    const bytes = await parkedState(this.device.DriverObject, this.sizesKey)
    return bytes.length ? JSON.parse(new TextDecoder().decode(bytes)) : {}
  }
  private async parkSizes(known: Sizes): Promise<void> {
    const present = Object.fromEntries(
      this.children.map(({ pci }) => [keyOf(pci), known[keyOf(pci)]]).filter(([, value]) => value),
    )
    await parkState(this.device.DriverObject, this.sizesKey, new TextEncoder().encode(JSON.stringify(present)))
  }
}

/** Another card in the same slot is another device. */
const keyOf = ({ at, vendorId, deviceId }: PciFunction): string =>
  [at.bus, at.device, at.function, vendorId, deviceId].map((part) => part.toString(16)).join('.')
const isSame = (a: PciFunction, b: PciFunction): boolean => keyOf(a) === keyOf(b)
