/**
 * The mount manager at work: asks the volumes who they are, keeps the links in the object namespace as the database says, and
 * parks the database with every change. One request at a time.
 */
import { FILE_DEVICE_DISK } from '#drivers/lib/io'
import {
  IOCTL_MOUNTDEV_QUERY_UNIQUE_ID,
  IOCTL_MOUNTMGR_AUTO_DL_ASSIGNMENTS,
  IOCTL_MOUNTMGR_CREATE_POINT,
  IOCTL_MOUNTMGR_DELETE_POINTS,
  IOCTL_MOUNTMGR_DELETE_POINTS_DBONLY,
  IOCTL_MOUNTMGR_NEXT_DRIVE_LETTER,
  IOCTL_MOUNTMGR_QUERY_POINTS,
} from '#drivers/lib/ioctl'
import { IRP_MJ } from '#contracts/wdm'
import {
  completeIrp,
  ExAcquireResourceExclusive,
  ExInitializeResource,
  ExReleaseResource,
  IoAllocateIrp,
  IoCallDriverSynchronous,
  IoCreateSymbolicLink,
  IoDeleteSymbolicLink,
  IoGetCurrentIrpStackLocation,
  IoGetDeviceObjectPointer,
  IoQueryDevices,
  IoSetOutput,
  parkedState,
  parkState,
  type DRIVER_OBJECT,
  type ERESOURCE,
  type IRP,
} from '#wdm'
import { NT_STATUS, NT_SUCCESS, type NTSTATUS, StatusError } from '#rtl'
import {
  isLetterLink,
  isVolumeLink,
  matches,
  MOUNTMGR_DRIVE_LETTER_INFORMATION,
  MOUNTMGR_MOUNT_POINTS,
  parseCreatePoint,
  parsePoint,
  parseTarget,
  parseUniqueId,
  type Point,
  PointDatabase,
  type Volume,
} from './points.ts'

const PARK_KEY = 'MountedDevices'
const PARK_MAX = 4096
/** MOUNTDEV_UNIQUE_ID of the longest kind there is. */
const UNIQUE_ID_MAX = 512

export class MountManager {
  private readonly DriverObject: DRIVER_OBJECT
  private readonly lock: ERESOURCE
  private readonly database: PointDatabase
  /** Links known to be in the namespace, and the device they lead to. */
  private readonly linked = new Map<string, string>()

  private constructor(DriverObject: DRIVER_OBJECT, database: PointDatabase) {
    this.DriverObject = DriverObject
    this.database = database
    this.lock = ExInitializeResource(DriverObject)
  }
  static async open(DriverObject: DRIVER_OBJECT): Promise<MountManager> {
    return new MountManager(DriverObject, PointDatabase.decode(await parkedState(DriverObject, PARK_KEY)))
  }

  async control(Irp: IRP): Promise<NTSTATUS> {
    await ExAcquireResourceExclusive(this.lock)
    try {
      return await this.answer(Irp)
    } catch (error) {
      if (!(error instanceof StatusError)) throw error
      return completeIrp(Irp, error.status)
    } finally {
      ExReleaseResource(this.lock)
    }
  }
  private async answer(Irp: IRP): Promise<NTSTATUS> {
    const { Parameters } = IoGetCurrentIrpStackLocation(Irp)
    const code = Parameters.kind === 'DeviceIoControl' ? Parameters.IoControlCode : -1
    const input = Irp.SystemBuffer ?? new Uint8Array(0)
    switch (code) {
      case IOCTL_MOUNTMGR_AUTO_DL_ASSIGNMENTS:
        await this.refresh(true)
        return completeIrp(Irp, NT_STATUS.STATUS_SUCCESS)
      case IOCTL_MOUNTMGR_QUERY_POINTS:
        return this.queryPoints(Irp, input)
      case IOCTL_MOUNTMGR_CREATE_POINT:
        return this.createPoint(Irp, input)
      case IOCTL_MOUNTMGR_DELETE_POINTS:
        return this.deletePoints(Irp, input, true)
      case IOCTL_MOUNTMGR_DELETE_POINTS_DBONLY:
        return this.deletePoints(Irp, input, false)
      case IOCTL_MOUNTMGR_NEXT_DRIVE_LETTER:
        return this.nextDriveLetter(Irp, input)
      default:
        return completeIrp(Irp, NT_STATUS.STATUS_INVALID_DEVICE_REQUEST)
    }
  }

  // ---------------------------------------------------------------- volumes and links
  /** The volumes there are, by number; those that do not say who they are have no points. */
  private async volumes(): Promise<Volume[]> {
    const names = await IoQueryDevices(this.DriverObject, FILE_DEVICE_DISK)
    const numbered = names
      .map((deviceName) => ({ deviceName, number: Number(/^\\Device\\HarddiskVolume(\d+)$/i.exec(deviceName)?.[1]) }))
      .filter(({ number }) => number > 0)
      .sort((a, b) => a.number - b.number)
    const volumes: Volume[] = []
    for (const { deviceName } of numbered) {
      const uniqueId = await this.uniqueIdOf(deviceName)
      if (uniqueId) volumes.push({ deviceName, uniqueId })
    }
    return volumes
  }
  private async uniqueIdOf(deviceName: string): Promise<Uint8Array | undefined> {
    const Parameters = {
      kind: 'DeviceIoControl',
      IoControlCode: IOCTL_MOUNTDEV_QUERY_UNIQUE_ID,
      OutputBufferLength: UNIQUE_ID_MAX,
      InputBufferLength: 0,
    } as const
    try {
      const device = await IoGetDeviceObjectPointer(this.DriverObject, deviceName)
      const stack = { MajorFunction: IRP_MJ.IRP_MJ_DEVICE_CONTROL, Parameters }
      const irp = IoAllocateIrp(this.DriverObject, stack, { outputLength: UNIQUE_ID_MAX })
      const { Status, output } = await IoCallDriverSynchronous(device, irp)
      return NT_SUCCESS(Status) && output ? parseUniqueId(output) : undefined
    } catch (error) {
      if (error instanceof StatusError) return undefined
      throw error
    }
  }
  /** New volumes get their names, with `letters` also letters; all links are where they belong. */
  private async refresh(letters: boolean): Promise<Volume[]> {
    const volumes = await this.volumes()
    const added = this.database.assign(volumes, letters)
    for (const point of this.database.points(volumes)) await this.link(point)
    if (added.length > 0) await this.park()
    return volumes
  }
  private park(): Promise<void> {
    return parkState(this.DriverObject, PARK_KEY, this.database.encode(PARK_MAX))
  }
  /** A link left by an earlier life, or by another volume that had the letter, is replaced. */
  private async link({ link, volume }: Point): Promise<void> {
    if (this.linked.get(link) === volume.deviceName) return
    try {
      await IoCreateSymbolicLink(this.DriverObject, link, volume.deviceName)
    } catch (error) {
      if (!(error instanceof StatusError) || error.status !== NT_STATUS.STATUS_OBJECT_NAME_COLLISION) throw error
      await IoDeleteSymbolicLink(this.DriverObject, link)
      await IoCreateSymbolicLink(this.DriverObject, link, volume.deviceName)
    }
    this.linked.set(link, volume.deviceName)
  }
  private async unlink({ link }: Point): Promise<void> {
    this.linked.delete(link)
    await IoDeleteSymbolicLink(this.DriverObject, link)
  }

  // ---------------------------------------------------------------- requests
  private async queryPoints(Irp: IRP, input: Uint8Array): Promise<NTSTATUS> {
    const pattern = parsePoint(input)
    const volumes = await this.refresh(false)
    const points = this.database.points(volumes).filter((point) => matches(point, pattern))
    if (points.length === 0 && Object.keys(pattern).length > 0)
      return completeIrp(Irp, NT_STATUS.STATUS_OBJECT_NAME_NOT_FOUND)
    return answerPoints(Irp, points)
  }
  private async createPoint(Irp: IRP, input: Uint8Array): Promise<NTSTATUS> {
    const { link, deviceName } = parseCreatePoint(input)
    if (!isLetterLink(link) && !isVolumeLink(link)) return completeIrp(Irp, NT_STATUS.STATUS_INVALID_PARAMETER)
    const volume = volumeNamed(await this.refresh(false), deviceName)
    if (!volume) return completeIrp(Irp, NT_STATUS.STATUS_OBJECT_NAME_NOT_FOUND)
    /** A volume has one letter. */
    if (isLetterLink(link) && !sameLetter(this.database.letterOf(volume), link))
      return completeIrp(Irp, NT_STATUS.STATUS_INVALID_PARAMETER)
    if (!this.database.create(link, volume)) return completeIrp(Irp, NT_STATUS.STATUS_OBJECT_NAME_COLLISION)
    await this.link({ link, volume })
    await this.park()
    return completeIrp(Irp, NT_STATUS.STATUS_SUCCESS)
  }
  /** Answers with what was deleted. Nothing is deleted when that answer does not fit. */
  private async deletePoints(Irp: IRP, input: Uint8Array, links: boolean): Promise<NTSTATUS> {
    const pattern = parsePoint(input)
    const points = this.database.points(await this.refresh(false)).filter((point) => matches(point, pattern))
    if (points.length === 0) return completeIrp(Irp, NT_STATUS.STATUS_OBJECT_NAME_NOT_FOUND)
    if (MOUNTMGR_MOUNT_POINTS(points).byteLength > Irp.OutputLength) return answerPoints(Irp, points)
    this.database.remove(points)
    if (links) for (const point of points) await this.unlink(point)
    await this.park()
    return answerPoints(Irp, points)
  }
  private async nextDriveLetter(Irp: IRP, input: Uint8Array): Promise<NTSTATUS> {
    const volume = volumeNamed(await this.refresh(false), parseTarget(input))
    if (!volume) return completeIrp(Irp, NT_STATUS.STATUS_OBJECT_NAME_NOT_FOUND)
    if (Irp.OutputLength < 2) return completeIrp(Irp, NT_STATUS.STATUS_BUFFER_TOO_SMALL)
    const assigned = this.database.assign([volume], true)
    for (const point of assigned) await this.link(point)
    if (assigned.length > 0) await this.park()
    IoSetOutput(Irp, MOUNTMGR_DRIVE_LETTER_INFORMATION(assigned.length > 0, this.database.letterOf(volume)))
    return completeIrp(Irp, NT_STATUS.STATUS_SUCCESS, 2)
  }
}
const volumeNamed = (volumes: readonly Volume[], name: string): Volume | undefined =>
  volumes.find(({ deviceName }) => deviceName.toUpperCase() === name.toUpperCase())
const sameLetter = (old: string | undefined, link: string): boolean =>
  old === undefined || old.toUpperCase() === link.toUpperCase()

/** Too little room: the size it takes, and STATUS_BUFFER_OVERFLOW. */
function answerPoints(Irp: IRP, points: readonly Point[]): NTSTATUS {
  const bytes = MOUNTMGR_MOUNT_POINTS(points)
  if (bytes.byteLength <= Irp.OutputLength) {
    IoSetOutput(Irp, bytes)
    return completeIrp(Irp, NT_STATUS.STATUS_SUCCESS, bytes.byteLength)
  }
  if (Irp.OutputLength < 8) return completeIrp(Irp, NT_STATUS.STATUS_INVALID_PARAMETER)
  IoSetOutput(Irp, bytes.subarray(0, 8))
  return completeIrp(Irp, NT_STATUS.STATUS_BUFFER_OVERFLOW, 8)
}
