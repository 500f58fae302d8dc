/**
 * The cache manager: file data in views of shared memory, volume metadata in commits, both written back in the order that
 * keeps a disk consistent: data, then the metadata that names it.
 *
 *   fileCache(backing)               the cache of one file
 *   readVolume / commit              what a file system driver sees and changes
 *   flushVolume(device, file)        everything of a file, or of the volume, on disk
 *   forget(device)                   the volume is gone
 *
 * Memory is bounded: a writer waits when half of it is dirty. A lazy writer runs while anything is dirty.
 */
import type { Memory } from '#sel4/api'
import type { Of } from '#contracts/field'
import type { COMMIT } from '#contracts/wdm'
import { NT_STATUS, NT_SUCCESS, type NTSTATUS, StatusError } from '#rtl'
import type { Executive } from '../executive.ts'
import type { DeviceObject } from '../io/device.ts'
import type { Process } from '../ps/index.ts'
import { type Backing, FileCache } from './file-cache.ts'
import { MetadataCache } from './metadata.ts'
import { openDisk, Staging, transfer } from './disk.ts'
import { PAGE, VIEW_PAGES, type View, type ViewOwner, ViewPool } from './views.ts'

export { type Extent, FileCache } from './file-cache.ts'

/** Views 64 MiB unless the root task's config has `cacheBytes`; bounce pages 2 MiB: the `cache` bank holds both with room to spare. */
const VIEWS_BYTES = 64 * 1024 * 1024
const STAGING_BYTES = 2 * 1024 * 1024
/** So much is worth writing at once: the disk works while the writer goes on. */
const BEHIND_PAGES = (4 * 1024 * 1024) / PAGE
/** How long dirty data may wait for the lazy writer. */
const LAZY_MS = 1000
/** A range read by a file system in one go at most. */
const READ_MAX = 64 * 1024

/** What a file's owner must say besides moving data. */
export type FileBacking = Omit<Backing, 'take' | 'touch' | 'release' | 'dirtied' | 'transfer'> & {
  readonly storageDevice: DeviceObject
}

export class CacheManager {
  private readonly ex: Executive
  private readonly pool: ViewPool
  private readonly staging: Staging
  private readonly volumes = new Map<DeviceObject, Promise<MetadataCache>>()
  /** Opened ones by storage device, for commits, which arrive in the middle of a turn. */
  private readonly opened = new Map<DeviceObject, MetadataCache>()
  private readonly files = new Set<FileCache>()
  private dirtyPages = 0
  private lazy: { cancel(): void } | undefined
  private relief: Promise<NTSTATUS> | undefined

  constructor(ex: Executive, views: Memory, staging: Memory) {
    this.ex = ex
    this.pool = new ViewPool(views)
    this.staging = new Staging(staging)
  }
  static async create(ex: Executive): Promise<CacheManager> {
    const { cacheBytes = VIEWS_BYTES } = ex.env.config as { cacheBytes?: number }
    const views = await ex.root.allocate('cache', cacheBytes)
    const staging = await ex.root.allocate('cache', STAGING_BYTES)
    await ex.io.dma.addMemory(views)
    await ex.io.dma.addMemory(staging)
    return new CacheManager(ex, views, staging)
  }

  // ------------------------------------------------------------ files
  fileCache(owner: FileBacking): FileCache {
    const { storageDevice } = owner
    const cache = new FileCache({
      extents: (offset, length) => owner.extents(offset, length),
      size: () => owner.size(),
      transfer: (direction, volumeOffset, physicalAddress, length) =>
        this.transferData(storageDevice, direction, volumeOffset, physicalAddress, length),
      take: (view, index) => this.take(view, index),
      touch: (view) => this.pool.touch(view),
      release: (view) => this.pool.release(view),
      dirtied: (pages) => this.dirtied(pages),
    })
    this.files.add(cache)
    return cache
  }
  closeFile(cache: FileCache): void {
    cache.discard(0)
    this.files.delete(cache)
  }
  private async transferData(
    device: DeviceObject,
    direction: 'read' | 'write',
    volumeOffset: number,
    physicalAddress: number,
    length: number,
  ): Promise<NTSTATUS> {
    if (direction === 'write') {
      const status = await this.opened.get(device)?.settle(volumeOffset, length)
      if (status !== undefined && !NT_SUCCESS(status)) return status
    }
    return transfer(this.ex, device, direction, volumeOffset, physicalAddress, length)
  }
  private async take(owner: ViewOwner, index: number): Promise<View> {
    for (;;) {
      const view = this.pool.take(owner, index)
      if (view) return view
      const status = await this.relieve()
      if (!NT_SUCCESS(status) && !this.pool.hasRoom) throw new StatusError(status)
    }
  }
  /** Writers wait here while half the cache is dirty; when the disk refuses it, waiting would not help. */
  async throttle(): Promise<void> {
    while (this.crowded) {
      const status = await this.relieve()
      if (!NT_SUCCESS(status) && this.crowded) throw new StatusError(status)
    }
  }
  private get crowded(): boolean {
    return this.dirtyPages > (this.pool.size * VIEW_PAGES) / 2
  }
  private relieve(): Promise<NTSTATUS> {
    this.relief ??= this.writeBehind().finally(() => {
      this.relief = undefined
    })
    return this.relief
  }
  private async writeBehind(): Promise<NTSTATUS> {
    const results = await Promise.all([...this.files].filter((file) => file.dirty).map((file) => file.flush()))
    const failed = results.find((status) => !NT_SUCCESS(status))
    if (failed !== undefined) {
      this.ex.env.log.error('write-behind failed', { status: failed })
      await this.ex.env.clock.sleep(LAZY_MS)
    } else if (results.length === 0) await this.ex.env.clock.sleep(1)
    return failed ?? NT_STATUS.STATUS_SUCCESS
  }
  private dirtied(pages: number): void {
    this.dirtyPages += pages
    if (pages <= 0) return
    this.wakeLazyWriter()
    if (this.dirtyPages >= BEHIND_PAGES) void this.relieve()
  }
  private wakeLazyWriter(): void {
    this.lazy ??= this.ex.env.clock.alarm(LAZY_MS, () => {
      this.lazy = undefined
      void this.writeLazily()
    })
  }
  private async writeLazily(): Promise<void> {
    await this.relieve()
    for (const metadata of this.opened.values()) await metadata.flush()
    if (this.dirtyPages > 0 || [...this.opened.values()].some((metadata) => metadata.dirty)) this.wakeLazyWriter()
  }

  // ------------------------------------------------------------ volumes
  private metadata(device: DeviceObject): Promise<MetadataCache> {
    let cache = this.volumes.get(device)
    if (!cache) {
      cache = openDisk(this.ex, device, this.staging).then((disk) => {
        const opened = new MetadataCache(disk)
        this.opened.set(device, opened)
        return opened
      })
      cache.catch(() => this.volumes.delete(device))
      this.volumes.set(device, cache)
    }
    return cache
  }
  async readVolume(device: DeviceObject, offset: number, bytes: Uint8Array): Promise<void> {
    if (bytes.length > READ_MAX) throw new StatusError('STATUS_INVALID_PARAMETER')
    await (await this.metadata(device)).read(offset, bytes)
    this.ex.env.copied.bytes += bytes.length
    this.ex.env.copied.calls++
  }
  /** Takes a commit as a whole, in this turn; every range must lie in the driver's arena and on the volume. */
  commit(volumeDevice: DeviceObject, commit: Of<typeof COMMIT>, driver: Process): void {
    const storage = this.ex.io.volumes.storageOf(volumeDevice, driver)
    const metadata = storage && this.opened.get(storage)
    if (!metadata) throw new StatusError('STATUS_INVALID_HANDLE', 'commit to a volume that is not mounted')
    const writes = commit.Writes.map((write) => ({
      phase: write.Phase,
      offset: write.VolumeOffset,
      bytes: driver.buffer(write.Address, write.Length).bytes.slice(),
    }))
    metadata.apply(
      writes,
      commit.Freed.map((range) => ({ offset: range.VolumeOffset, length: range.Length })),
    )
    this.ex.env.copied.calls++
    for (const write of writes) this.ex.env.copied.bytes += write.bytes.length
    this.wakeLazyWriter()
  }
  /** File 0: all files of the volume. The answer is the first failure; a file that fails does not hold up the metadata. */
  async flushVolume(device: DeviceObject, fileNumber: number): Promise<NTSTATUS> {
    const data = await Promise.all(this.ex.io.volumes.cachesOf(device, fileNumber).map((cache) => cache.flush()))
    const metadata = (await this.opened.get(device)?.flush()) ?? NT_STATUS.STATUS_SUCCESS
    const failed = [...data, metadata].find((status) => !NT_SUCCESS(status))
    if (failed !== undefined) return failed
    const flush = await this.ex.io.irps.submit({
      device,
      major: FLUSH_BUFFERS,
      parameters: { kind: 'None' },
      requestor: 'system',
      idempotent: true,
    })
    return flush.Status
  }
  forget(device: DeviceObject): void {
    this.volumes.delete(device)
    this.opened.delete(device)
  }
}
const FLUSH_BUFFERS = 0x09
export { PAGE }
