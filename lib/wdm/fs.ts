/** What a file system driver builds on: a volume's metadata, commits, and the flush that keeps their order. */
import type { NTSTATUS } from '#rtl'
import type { DEVICE_OBJECT, DRIVER_OBJECT, FILE_OBJECT, FS_COMMIT, FS_VOLUME, IRP } from './api.ts'
import { FsCache } from './fs-cache.ts'
import { FsCommit } from './fs-commit.ts'
import type { DriverHost } from './host.ts'
import { describe, irpOf } from './irp.ts'
import { hostOf, hostOfDevice } from './objects.ts'

class Volume implements FS_VOLUME {
  readonly StorageDevice: DEVICE_OBJECT
  readonly SectorSize: number
  private readonly host: DriverHost
  private readonly cache: FsCache
  private open = false

  constructor(host: DriverHost, device: DEVICE_OBJECT, sectorSize: number) {
    this.host = host
    this.StorageDevice = device
    this.SectorSize = sectorSize
    this.cache = new FsCache(host, device, sectorSize)
  }
  async read(offset: number, length: number): Promise<Uint8Array> {
    if (offset % this.SectorSize || length % this.SectorSize)
      throw new Error(`metadata read of [${offset}, +${length}) is not in sectors of ${this.SectorSize}`)
    return this.cache.read(offset, length)
  }
  begin(Irp: IRP, VolumeDevice: DEVICE_OBJECT): FS_COMMIT {
    const irp = irpOf(Irp)
    irp.mustBeHeld('FS_VOLUME.begin')
    if (irp.origin !== 'executive')
      throw new Error(`a commit of the ${describe(irp)}, whose end the Executive does not hear of`)
    if (this.open || irp.commit) throw new Error('a commit is open already')
    this.open = true
    irp.commit = new FsCommit(this.host, this.cache, VolumeDevice, () => (this.open = false))
    return irp.commit
  }
}

export function FsOpenVolume(DriverObject: DRIVER_OBJECT, StorageDevice: DEVICE_OBJECT, SectorSize: number): FS_VOLUME {
  return new Volume(hostOf(DriverObject), StorageDevice, SectorSize)
}

export async function CcFlushCache(
  StorageDevice: DEVICE_OBJECT,
  FileObject: FILE_OBJECT | undefined,
): Promise<NTSTATUS> {
  const { services } = hostOfDevice(StorageDevice)
  const answer = await services.WdmFlushVolume({ StorageDevice: StorageDevice.handle, File: FileObject?.number ?? 0 })
  return answer.Status
}
