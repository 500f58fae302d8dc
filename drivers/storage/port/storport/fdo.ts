/**
 * The adapter's FDO: START to the miniport, the interrupt and its DPC, the watchdog, and the units as children.
 *
 * A command never outlives its deadline by more than the watchdog's period plus recovery; a silent controller is an error,
 * not a hang. The watchdog runs only while commands do.
 */
import {
  BusRelations,
  DO_DIRECT_IO,
  FILE_DEVICE_CONTROLLER,
  FILE_DEVICE_MASS_STORAGE,
  FILE_DEVICE_SECURE_OPEN,
} from '#drivers/lib/io'
import { forwardAndWait, type NumberBook, passDown, removeFdo } from '#drivers/lib/pnp'
import { IRP_MJ, IRP_MN, type Parameters } from '#contracts/wdm'
import {
  completeIrp,
  IoAllocateWorkItem,
  IoAttachDeviceToDeviceStack,
  IoConnectInterrupt,
  IoCreateDevice,
  IoDeviceInitialized,
  IoDisconnectInterrupt,
  IoGetCurrentIrpStackLocation,
  IoGetDeviceProperty,
  IoInvalidateDeviceRelations,
  IoQueueWorkItem,
  KeCancelTimer,
  KeInitializeDpc,
  KeInitializeTimer,
  KeInsertQueueDpc,
  KeSetTimer,
  type CM_PARTIAL_RESOURCE_DESCRIPTOR,
  type DEVICE_OBJECT,
  type DRIVER_OBJECT,
  type IRP,
  type KDPC,
  type KINTERRUPT,
  type KTIMER,
} from '#wdm'
import { NT_STATUS, type NTSTATUS, StatusError } from '#rtl'
import type { AdapterContext, HW_INITIALIZATION_DATA, LogicalUnit, StorAdapter } from './miniport.ts'
import { cancellableWhileWaiting, type PdoExtension, unitIds } from './pdo.ts'
import { StorPortCompleteRequest } from './srb.ts'

/** Deadlines are whole seconds; half of one is near enough. */
const WATCHDOG_MS = 500

export class FdoExtension {
  readonly kind = 'fdo'
  readonly DeviceObject: DEVICE_OBJECT
  readonly LowerDevice: DEVICE_OBJECT
  readonly number: number
  private readonly hw: HW_INITIALIZATION_DATA
  private readonly dpc: KDPC
  private readonly timer: KTIMER
  private readonly timerDpc: KDPC
  private watching = false
  private adapter: StorAdapter | undefined
  private interrupt: KINTERRUPT | undefined
  /** All there ever were; those of gone units without a unit. */
  private readonly pdos: DEVICE_OBJECT[] = []

  constructor(DeviceObject: DEVICE_OBJECT, LowerDevice: DEVICE_OBJECT, number: number, hw: HW_INITIALIZATION_DATA) {
    const { DriverObject } = DeviceObject
    this.DeviceObject = DeviceObject
    this.LowerDevice = LowerDevice
    this.number = number
    this.hw = hw
    this.dpc = KeInitializeDpc(DriverObject, () => this.adapter?.HwDpc(), undefined)
    this.timer = KeInitializeTimer(DriverObject)
    this.timerDpc = KeInitializeDpc(DriverObject, () => this.checkDeadlines(), undefined)
  }
  private get DriverObject(): DRIVER_OBJECT {
    return this.DeviceObject.DriverObject
  }

  // ---------------------------------------------------------------- life
  async start(resources: readonly CM_PARTIAL_RESOURCE_DESCRIPTOR[]): Promise<void> {
    await this.stop()
    const lines = resources.filter((resource) => resource.kind === 'Interrupt')
    const line = lines.find(({ Message }) => Message) ?? lines[0]
    if (!line) throw new StatusError('STATUS_INSUFFICIENT_RESOURCES', 'no interrupt was assigned')
    const adapter = await this.hw.HwFindAdapter(this.context(resources))
    this.adapter = adapter
    this.interrupt = await IoConnectInterrupt(this.DeviceObject, line, () => adapter.HwInterrupt(), undefined)
    await adapter.HwInitialize()
    await this.syncUnits()
  }
  async stop(): Promise<void> {
    const { adapter, interrupt } = this
    if (adapter) await adapter.HwStop()
    if (interrupt) await IoDisconnectInterrupt(interrupt)
    KeCancelTimer(this.timer)
    this.watching = false
    this.adapter = undefined
    this.interrupt = undefined
  }
  private context(resources: readonly CM_PARTIAL_RESOURCE_DESCRIPTOR[]): AdapterContext {
    return {
      DriverObject: this.DriverObject,
      DeviceObject: this.DeviceObject,
      resources,
      requestDpc: () => void KeInsertQueueDpc(this.dpc),
      queueWork: (routine) => IoQueueWorkItem(IoAllocateWorkItem(this.DeviceObject), routine, undefined),
      complete: StorPortCompleteRequest,
      waits: cancellableWhileWaiting,
      busChanged: () => this.busChanged(),
    }
  }

  // ---------------------------------------------------------------- children
  get children(): number[] {
    return this.pdos.filter((pdo) => (pdo.DeviceExtension as PdoExtension).unit).map((pdo) => pdo.handle)
  }
  /** The Executive takes a removed PDO away; a disk found in its place gets a new one. */
  forget(pdo: DEVICE_OBJECT): void {
    const at = this.pdos.indexOf(pdo)
    if (at >= 0) this.pdos.splice(at, 1)
  }
  private busChanged(): void {
    IoQueueWorkItem(
      IoAllocateWorkItem(this.DeviceObject),
      async () => {
        await this.syncUnits()
        await IoInvalidateDeviceRelations(this.DeviceObject)
      },
      undefined,
    )
  }
  /** A unit found again after STOP and START keeps its PDO; a gone one's PDO answers DEVICE_DOES_NOT_EXIST. */
  private async syncUnits(): Promise<void> {
    const missing = new Set(this.adapter?.units ?? [])
    for (const pdo of this.pdos) {
      const extension: PdoExtension = pdo.DeviceExtension
      extension.unit = [...missing].find((unit) => sameIds(extension, unitIds(this.number, unit)))
      if (extension.unit) missing.delete(extension.unit)
    }
    for (const unit of missing) this.pdos.push(await this.createPdo(unit))
  }
  /** Named, so that the next life finds it again; another disk in the same place is another device. */
  private async createPdo(unit: LogicalUnit): Promise<DEVICE_OBJECT> {
    const ids = unitIds(this.number, unit)
    const place = unit.address.map((n) => n.toString(16)).join('')
    const earlier = this.pdos.filter(
      (pdo) => (pdo.DeviceExtension as PdoExtension).ids.instanceId === ids.instanceId,
    ).length
    const name = `\\Device\\RaidPort${this.number}Lun${place}${earlier === 0 ? '' : `_${earlier}`}`
    const pdo = await IoCreateDevice(
      this.DriverObject,
      name,
      FILE_DEVICE_MASS_STORAGE,
      FILE_DEVICE_SECURE_OPEN,
      false,
      DO_DIRECT_IO,
    )
    pdo.DeviceExtension = { kind: 'pdo', adapter: this, ids, unit } satisfies PdoExtension
    await IoDeviceInitialized(pdo)
    return pdo
  }

  // ---------------------------------------------------------------- deadlines
  watch(): void {
    if (this.watching) return
    this.watching = true
    KeSetTimer(this.timer, WATCHDOG_MS, this.timerDpc)
  }
  private checkDeadlines(): void {
    this.watching = false
    const now = this.DriverObject.now()
    let busy = false
    for (const unit of this.adapter?.units ?? []) {
      const late = unit.queue.isPaused ? [] : unit.queue.expired(now)
      if (late.length > 0) unit.HwTimeout(late)
      busy ||= unit.queue.outstanding > 0 || unit.queue.waits > 0
    }
    if (busy) this.watch()
  }
}
const sameIds = ({ ids }: PdoExtension, other: PdoExtension['ids']): boolean =>
  ids.deviceId === other.deviceId && ids.instanceId === other.instanceId

export async function addAdapter(
  DriverObject: DRIVER_OBJECT,
  PhysicalDeviceObject: DEVICE_OBJECT,
  book: NumberBook,
  hw: HW_INITIALIZATION_DATA,
): Promise<NTSTATUS> {
  const number = await book.numberOf(await IoGetDeviceProperty(PhysicalDeviceObject, 'InstancePath'))
  const fdo = await IoCreateDevice(
    DriverObject,
    `\\Device\\RaidPort${number}`,
    FILE_DEVICE_CONTROLLER,
    FILE_DEVICE_SECURE_OPEN,
    false,
    DO_DIRECT_IO,
  )
  const lower = await IoAttachDeviceToDeviceStack(fdo, PhysicalDeviceObject)
  fdo.DeviceExtension = new FdoExtension(fdo, lower, number, hw)
  await IoDeviceInitialized(fdo)
  return NT_STATUS.STATUS_SUCCESS
}

export function fdoDispatch(DeviceObject: DEVICE_OBJECT, Irp: IRP): NTSTATUS | Promise<NTSTATUS> {
  const extension: FdoExtension = DeviceObject.DeviceExtension
  const { MajorFunction, MinorFunction, Parameters } = IoGetCurrentIrpStackLocation(Irp)
  if (MajorFunction === IRP_MJ.IRP_MJ_PNP) return fdoPnp(extension, Irp, MinorFunction, Parameters)
  if (MajorFunction === IRP_MJ.IRP_MJ_POWER || MajorFunction === IRP_MJ.IRP_MJ_SYSTEM_CONTROL) {
    return passDown(extension.LowerDevice, Irp)
  }
  return completeIrp(Irp, NT_STATUS.STATUS_INVALID_DEVICE_REQUEST)
}
async function fdoPnp(extension: FdoExtension, Irp: IRP, minor: number, Parameters: Parameters): Promise<NTSTATUS> {
  const { DeviceObject, LowerDevice } = extension
  switch (minor) {
    case IRP_MN.IRP_MN_START_DEVICE:
      return startAdapter(extension, Irp, Parameters)
    case IRP_MN.IRP_MN_QUERY_DEVICE_RELATIONS:
      if (Parameters.kind !== 'QueryDeviceRelations' || Parameters.Type !== BusRelations)
        return passDown(LowerDevice, Irp)
      Irp.response = { kind: 'Devices', Devices: extension.children }
      return completeIrp(Irp, NT_STATUS.STATUS_SUCCESS)
    case IRP_MN.IRP_MN_STOP_DEVICE:
    case IRP_MN.IRP_MN_SURPRISE_REMOVAL:
      await extension.stop()
      return passDown(LowerDevice, Irp)
    case IRP_MN.IRP_MN_REMOVE_DEVICE:
      await extension.stop()
      return removeFdo(DeviceObject, LowerDevice, Irp)
    default:
      return passDown(LowerDevice, Irp)
  }
}
async function startAdapter(extension: FdoExtension, Irp: IRP, Parameters: Parameters): Promise<NTSTATUS> {
  const { DriverObject } = extension.DeviceObject
  const lower = await forwardAndWait(DriverObject, extension.LowerDevice, Irp)
  if (lower >= 0x80000000) return completeIrp(Irp, lower)
  if (Parameters.kind !== 'StartDevice') return completeIrp(Irp, NT_STATUS.STATUS_INVALID_PARAMETER)
  try {
    await extension.start(Parameters.AllocatedResourcesTranslated)
    return completeIrp(Irp, NT_STATUS.STATUS_SUCCESS)
  } catch (error) {
    if (!(error instanceof StatusError)) throw error
    DriverObject.log.error('the adapter did not start', { why: error.message })
    return completeIrp(Irp, error.status)
  }
}
