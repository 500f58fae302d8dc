/**
 * The IO manager: drivers, devices, IRPs, plug and play, and what happens when a driver dies.
 *
 *   irps.submit(request)         one request to a device; the result never rejects
 *   loadDriver(service)          starts a driver process, resolves when DriverEntry has succeeded
 *   driverDied(driver, report)   accounts for every IRP, restarts the driver, replays, re-issues
 *   pnp.control(…)               the device tree
 *   dma                          which memory a started device may reach
 *   wdmHandlers()                what drivers may call
 *
 * Files and volumes are next door (file.ts, volume.ts); they use this through `Executive.io`.
 */
import type { DeathReport, Caller } from '#sel4/api'
import type { Handlers } from '#contracts/interface'
import type { WdmServices } from '#contracts/wdm'
import { NT_STATUS, StatusError } from '#rtl'
import type { Executive } from '../executive.ts'
import { Recovery } from './death.ts'
import { type DeviceObject, DeviceTable } from './device.ts'
import { type DriverObject, DriverTable } from './driver.ts'
import { IrpTable } from './irp-table.ts'
import { DmaManager } from './pnp-dma.ts'
import { HardwareGrants } from './pnp-hardware.ts'
import { ServiceDatabase } from './pnp-match.ts'
import { PlugAndPlay } from './pnp.ts'
import { ResourceArbiter } from './resources.ts'
import { shutdownIo } from './shutdown.ts'
import { VolumeManager } from './volume.ts'
import { wdmHandlers } from './wdm-services.ts'

export { DeviceObject } from './device.ts'
export { DriverObject, type DriverState } from './driver.ts'
export type { CancelSignal, Irp, IrpRequest, IrpResult } from './irp.ts'
export { type Mdl, mdlOf, sliceMdl } from './irp-checks.ts'

export class IoManager {
  readonly devices: DeviceTable
  readonly irps: IrpTable
  readonly pnp: PlugAndPlay
  readonly dma: DmaManager
  readonly arbiter: ResourceArbiter
  readonly hardware: HardwareGrants
  readonly services: ServiceDatabase
  readonly driverTable: DriverTable
  readonly recovery: Recovery
  readonly volumes: VolumeManager
  private fileNumber = 0
  private readonly ex: Executive

  constructor(ex: Executive) {
    this.ex = ex
    this.arbiter = new ResourceArbiter(Object.values(ex.root.manifest.devices).flatMap(({ mmio }) => mmio))
    this.services = new ServiceDatabase(ex)
    this.devices = new DeviceTable(ex)
    this.driverTable = new DriverTable(ex, this.services)
    this.irps = new IrpTable(ex, (driver, why) => this.faultDriver(driver, why))
    this.dma = new DmaManager(ex)
    this.hardware = new HardwareGrants(ex)
    this.pnp = new PlugAndPlay(ex)
    this.recovery = new Recovery(ex)
    this.volumes = new VolumeManager(ex)
  }

  /** Loaded or loading drivers, in order of loading. */
  drivers(): DriverObject[] {
    return this.driverTable.all()
  }
  loadDriver(service: string): Promise<DriverObject> {
    return this.driverTable.load(service)
  }
  /**
   * As a boot loader does: beside each other, but not more at a time than keep the processors busy, so that the first ones
   * work while others load. One that is needed earlier is loaded then; one that fails is met again by whoever needs it.
   */
  loadBootDrivers(): void {
    const services = this.services.bootDrivers().values()
    const loader = async () => {
      for (const service of services) await this.loadDriver(service).catch(refusedLater)
    }
    for (let i = 0; i <= this.ex.root.numNodes; i++) void loader()
  }
  driverDied(driver: DriverObject, report: DeathReport): Promise<void> {
    return this.recovery.died(driver, report)
  }
  /** A device of the machine is back at power-on: only its driver's own return sets it up again and repeats what it had begun. */
  machineDeviceDied(name: string): void {
    for (const driver of this.pnp.driversOf(name)) this.faultDriver(driver, `its device ${name} was started anew`)
  }
  devicesOf(driver: DriverObject): DeviceObject[] {
    return [...driver.devices]
  }
  deviceByHandle(handle: number): DeviceObject | undefined {
    return this.devices.get(handle)
  }
  /** A number no other open file has; 0 is none. */
  nextFileNumber(): number {
    this.fileNumber = this.fileNumber >= 0xffffffff ? 1 : this.fileNumber + 1
    return this.fileNumber
  }
  wdmHandlers(): Handlers<typeof WdmServices, Caller> {
    return wdmHandlers(this.ex)
  }
  shutdown(): Promise<void> {
    return shutdownIo(this.ex)
  }

  /** A driver that lies or hangs is ended; its death is then like any other. */
  faultDriver(driver: DriverObject, why: string): void {
    if (driver.faulted || !driver.process) return
    driver.faulted = true
    this.ex.env.log.error('driver faulted', { driver: driver.name, why })
    void this.ex.ps.terminate(driver.process, NT_STATUS.STATUS_DRIVER_PROCESS_TERMINATED)
  }
}
function refusedLater(error: unknown): void {
  if (!(error instanceof StatusError)) throw error
}
