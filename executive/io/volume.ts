/**
 * Volumes: which file system is mounted on which storage device, and what is open there.
 *
 *   mount(device)           mounts on first use; one mount at a time a device
 *   dismount(vcb)           after the file system has agreed
 *   rebind(driver)          a file system was restarted: mounts again what was mounted, opens again what was open
 *   dismountAll()           at shutdown
 *
 * A volume outlives its file system's process; only the file system's own state of it is made anew.
 */
import { FSCTL_DISMOUNT_VOLUME } from '#contracts/information'
import { IRP_MJ, IRP_MN } from '#contracts/wdm'
import { NT_STATUS, NT_SUCCESS, type NTSTATUS, StatusError } from '#rtl'
import type { FileCache } from '../cc/index.ts'
import type { Executive } from '../executive.ts'
import type { Process } from '../ps/index.ts'
import type { DeviceObject } from './device.ts'
import type { DriverObject } from './driver.ts'
import { Fcb, folded, type Sizes } from './fcb.ts'
import { FileObject } from './file.ts'

export class Vcb {
  readonly storageDevice: DeviceObject
  volumeDevice: DeviceObject
  readonly size: number
  readonly label: string
  readonly serialNumber: number
  readonly readOnly: boolean
  readonly fcbs = new Map<number, Fcb>()
  readonly files = new Set<FileObject>()
  /** Opens its file system has not answered yet. */
  readonly opening = new Set<FileObject>()
  dismounted = false

  constructor(
    storageDevice: DeviceObject,
    volumeDevice: DeviceObject,
    mounted: { VolumeSize: number; Label: string; SerialNumber: number; ReadOnly: boolean },
  ) {
    this.storageDevice = storageDevice
    this.volumeDevice = volumeDevice
    this.size = mounted.VolumeSize
    this.label = mounted.Label
    this.serialNumber = mounted.SerialNumber
    this.readOnly = mounted.ReadOnly
  }
  fcbByPath(path: string): Fcb | undefined {
    const key = folded(path)
    for (const fcb of this.fcbs.values()) if (fcb.path === key) return fcb
    return undefined
  }
}

export class VolumeManager {
  private readonly ex: Executive
  /** Newest first, as NT asks them. */
  private readonly fileSystems: DeviceObject[] = []
  private readonly volumes = new Set<Vcb>()
  private readonly mounting = new Map<DeviceObject, Promise<Vcb>>()
  /** Devices no file system knew; asked again when a new one registers. */
  private readonly unrecognized = new Set<DeviceObject>()

  constructor(ex: Executive) {
    this.ex = ex
  }

  registerFileSystem(device: DeviceObject): void {
    if (this.fileSystems.includes(device)) throw new StatusError('STATUS_ALREADY_REGISTERED')
    this.fileSystems.unshift(device)
    this.unrecognized.clear()
  }
  unregisterFileSystem(device: DeviceObject): void {
    const at = this.fileSystems.indexOf(device)
    if (at >= 0) this.fileSystems.splice(at, 1)
  }
  all(): readonly Vcb[] {
    return [...this.volumes]
  }

  mount(device: DeviceObject): Promise<Vcb> {
    if (device.volume && !device.volume.dismounted) return Promise.resolve(device.volume)
    let mounting = this.mounting.get(device)
    if (!mounting) {
      mounting = this.mountNow(device).finally(() => this.mounting.delete(device))
      this.mounting.set(device, mounting)
    }
    return mounting
  }
  private async mountNow(device: DeviceObject): Promise<Vcb> {
    if (this.unrecognized.has(device)) throw new StatusError('STATUS_UNRECOGNIZED_VOLUME')
    try {
      const vcb = await this.firstThatMounts(device)
      device.volume = vcb
      this.volumes.add(vcb)
      return vcb
    } catch (error) {
      this.ex.cc.forget(device)
      throw error
    }
  }
  /** A device nobody knows is not asked about again; one that could not be read is. */
  private async firstThatMounts(device: DeviceObject): Promise<Vcb> {
    let failure: NTSTATUS = NT_STATUS.STATUS_UNRECOGNIZED_VOLUME
    const asked = new Set<DeviceObject>()
    for (let next = this.notYet(asked); next; next = this.notYet(asked)) {
      asked.add(next)
      const vcb = await this.tryMount(next, device)
      if (vcb instanceof Vcb) return vcb
      if (vcb !== NT_STATUS.STATUS_UNRECOGNIZED_VOLUME) failure = vcb
    }
    if (failure === NT_STATUS.STATUS_UNRECOGNIZED_VOLUME) this.unrecognized.add(device)
    throw new StatusError(failure)
  }
  /** The next file system to ask; one may have been registered meanwhile. */
  private notYet(asked: ReadonlySet<DeviceObject>): DeviceObject | undefined {
    return this.fileSystems.find((device) => !asked.has(device))
  }
  private async tryMount(fileSystem: DeviceObject, device: DeviceObject, rebind?: Vcb): Promise<Vcb | NTSTATUS> {
    const result = await this.ex.io.irps.submit({
      device: fileSystem,
      major: IRP_MJ.IRP_MJ_FILE_SYSTEM_CONTROL,
      minor: IRP_MN.IRP_MN_MOUNT_VOLUME,
      requestor: 'system',
      idempotent: true,
      parameters: { kind: 'MountVolume', StorageDevice: device.handle, Rebind: rebind !== undefined },
      ...(rebind && { recovery: true }),
    })
    if (!NT_SUCCESS(result.Status)) return result.Status
    if (result.response?.kind !== 'VolumeMounted')
      throw new StatusError('STATUS_INTERNAL_ERROR', 'a file system mounted no volume')
    const volumeDevice = this.ex.io.deviceByHandle(result.response.VolumeDevice)
    if (!volumeDevice) throw new StatusError('STATUS_INTERNAL_ERROR', 'a file system named no volume device of its own')
    if (!rebind) return new Vcb(device, volumeDevice, result.response)
    rebind.volumeDevice = volumeDevice
    return rebind
  }
  /** The storage device behind a volume device, also while its mount is still under way. */
  storageOf(volumeDevice: DeviceObject, driver: Process): DeviceObject | undefined {
    for (const vcb of this.volumes) if (vcb.volumeDevice === volumeDevice) return vcb.storageDevice
    const mounting = [...this.mounting.keys()]
    return mounting.length === 1 && volumeDevice.driver.process === driver
      ? mounting[0]
      : this.beingRebound(volumeDevice, driver)
  }
  private beingRebound(volumeDevice: DeviceObject, driver: Process): DeviceObject | undefined {
    const own = [...this.volumes].filter((vcb) => vcb.volumeDevice.driver.process === driver)
    return own.length === 1 && volumeDevice.driver.process === driver ? own[0].storageDevice : undefined
  }
  cachesOf(storageDevice: DeviceObject, fileNumber: number): FileCache[] {
    const { volume } = storageDevice
    if (!volume) return []
    return [...volume.fcbs.values()]
      .filter((fcb) => fileNumber === 0 || [...fcb.opens].some((file) => file.number === fileNumber))
      .map((fcb) => fcb.cache)
  }

  /** The FCB of a file just opened: shared with whoever has it open already, by this name or another. */
  attach(vcb: Vcb, file: FileObject, fileId: number, sizes: Sizes, replaced = false): Fcb {
    let fcb = vcb.fcbs.get(fileId)
    if (!fcb) {
      fcb = new Fcb(this.ex, vcb, fileId, folded(file.openPath), sizes)
      vcb.fcbs.set(fileId, fcb)
    } else if (replaced) fcb.emptied(sizes)
    else fcb.setSizes(sizes)
    fcb.opens.add(file)
    return fcb
  }
  /** After CLEANUP: nobody has it open any more, so its pages have no owner. */
  forget(file: FileObject): void {
    const { fcb } = file
    file.fcb = undefined
    file.vcb?.files.delete(file)
    if (!fcb) return
    fcb.opens.delete(file)
    if (fcb.opens.size > 0) return
    fcb.close()
    if (fcb.vcb.fcbs.get(fcb.fileId) === fcb) fcb.vcb.fcbs.delete(fcb.fileId)
  }

  /** A renamed file has another id in its file system's next life; later opens must find the same FCB. */
  rekey(fcb: Fcb, fileId: number): void {
    const { fcbs } = fcb.vcb
    if (fcbs.get(fcb.fileId) === fcb) fcbs.delete(fcb.fileId)
    fcb.fileId = fileId
    fcbs.set(fileId, fcb)
  }

  // ------------------------------------------------------------ death and end
  /** `alive`: false once the file system has died again; then its next return does all of this anew. */
  async rebind(driver: DriverObject, alive: () => boolean = () => true): Promise<void> {
    for (const vcb of [...this.volumes]) {
      if (vcb.dismounted || vcb.volumeDevice.driver !== driver) continue
      const fileSystem = this.fileSystems.find((device) => device.driver === driver)
      const mounted = fileSystem ? await this.tryMount(fileSystem, vcb.storageDevice, vcb) : undefined
      if (!alive()) return
      if (!(mounted instanceof Vcb)) this.lose(vcb)
      else for (const file of [...vcb.files]) if (alive()) await file.rebind(this.ex, alive)
    }
  }
  /** The file system does not come back: opens fail from now on, what was dirty is lost and said so. */
  lose(vcb: Vcb): void {
    this.release(vcb)
    this.ex.env.log.error('volume lost: its file system could not be restarted', { device: vcb.storageDevice.name })
  }
  /** A driver is gone for good: its volumes, and volumes on its devices, with it. */
  driverRemoved(driver: DriverObject): void {
    for (const vcb of [...this.volumes]) {
      if (vcb.volumeDevice.driver === driver || vcb.storageDevice.driver === driver) this.lose(vcb)
    }
  }
  /** The file system has dismounted: what its last commit changed goes to the disk, then the volume is forgotten. */
  async dismounted(vcb: Vcb): Promise<NTSTATUS> {
    const status = await this.ex.cc.flushVolume(vcb.storageDevice, 0)
    this.release(vcb)
    return status
  }
  /** Nothing of it is left but handles that can only be closed; no page may reach the disk any more. */
  private release(vcb: Vcb): void {
    if (vcb.dismounted) return
    vcb.dismounted = true
    this.volumes.delete(vcb)
    if (vcb.storageDevice.volume === vcb) vcb.storageDevice.volume = undefined
    for (const file of vcb.files) file.forcedClosed = true
    for (const fcb of vcb.fcbs.values()) fcb.close()
    this.ex.cc.forget(vcb.storageDevice)
  }
  async dismountAll(): Promise<void> {
    for (const vcb of [...this.volumes]) {
      await this.ex.cc.flushVolume(vcb.storageDevice, 0)
      const file = FileObject.internal(this.ex, vcb)
      const result = await file.create(this.ex)
      if (NT_SUCCESS(result.Status)) await file.fsControl(this.ex, FSCTL_DISMOUNT_VOLUME)
      await this.dismounted(vcb)
    }
  }
}
