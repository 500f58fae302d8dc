/** For tests: the Executive's files and volumes over a file system played in memory, on the cache's fake disk. */
import {
  FILE_CREATE,
  FILE_CREATED,
  FILE_OPEN,
  FILE_OPENED,
  FILE_OVERWRITTEN,
  FileEndOfFileInformation,
} from '#contracts/information'
import { IRP_MJ, IRP_MN, type Parameters } from '#contracts/wdm'
import { NT_STATUS, type StatusName } from '#rtl'
import { type FakeCache, fakeCache, memoryAt } from '../cc/cc-support.ts'
import { ObjectManager } from '../ob/index.ts'
import { Process } from '../ps/index.ts'
import { DeviceObject, FILE_DEVICE_DISK, FILE_DEVICE_DISK_FILE_SYSTEM } from './device.ts'
import type { DriverObject } from './driver.ts'
import { ioServices } from './services.ts'
import type { IrpRequest, IrpResult } from './irp.ts'
import { replaces } from './file.ts'
import { VolumeManager } from './volume.ts'

export const CLUSTER = 4096
interface Node {
  readonly id: number
  size: number
  clusters: number[]
  readonly isDirectory: boolean
  deletePending: boolean
}
const done = (Information = 0): IrpResult => ({ Status: 0, Information })
const failed = (name: StatusName): IrpResult => ({ Status: NT_STATUS[name], Information: 0 })

/** Clusters are given out last freed first, never two neighbours in a row: a stale extent is soon somebody else's. */
export class FakeFileSystem {
  readonly nodes = new Map<string, Node>()
  readonly log: string[] = []
  /** By major function: fails those requests. */
  readonly failing = new Map<number, StatusName>()
  /** At most so many extents in one answer. */
  extentsMax = 512
  private readonly free: number[] = []
  private readonly files = new Map<number, { path: string; node: Node }>()
  private nextId = 1
  mounts: (StatusName | 'mount')[] = []

  constructor(clusters: number) {
    for (let i = clusters - 1; i >= 0; i--) this.free.push(i % 2 ? i : clusters - 1 - i)
    this.nodes.set('\\', this.node(true))
  }
  private node(isDirectory: boolean): Node {
    return { id: this.nextId++, size: 0, clusters: [], isDirectory, deletePending: false }
  }
  private resize(node: Node, size: number): void {
    const wanted = Math.ceil(size / CLUSTER)
    while (node.clusters.length > wanted) this.free.push(node.clusters.pop() as number)
    while (node.clusters.length < wanted) node.clusters.push(this.free.pop() as number)
    node.size = size
  }
  private sizes = (node: Node) => ({
    AllocationSize: node.clusters.length * CLUSTER,
    FileSize: node.size,
    ValidDataLength: node.size,
    IsDirectory: node.isDirectory,
  })
  /** Aliases: a name with '~' is the file of the name without it. */
  private key = (path: string): string => path.toUpperCase().replace('~', '') || '\\'

  answer(request: IrpRequest): IrpResult {
    const { major, parameters, file } = request
    const failure = this.failing.get(major)
    if (failure) return failed(failure)
    if (parameters.kind === 'Create' && file) return this.create(file.number, parameters)
    const open = this.files.get(file?.number ?? 0)
    if (!open) return done()
    if (major === IRP_MJ.IRP_MJ_CLEANUP) return this.cleanup(file?.number as number, open)
    if (parameters.kind === 'QueryExtents') return this.extents(open.node, parameters)
    if (parameters.kind === 'Read' || parameters.kind === 'Write') return done(parameters.Length)
    if (parameters.kind === 'SetFile') return this.set(open, parameters, request.input as Uint8Array)
    return done()
  }
  private create(number: number, parameters: Extract<Parameters, { kind: 'Create' }>): IrpResult {
    const whole = this.key(parameters.FileName)
    const path = parameters.OpenTargetDirectory ? whole.slice(0, Math.max(1, whole.lastIndexOf('\\'))) : whole
    let node = this.nodes.get(path)
    this.log.push(`create ${path}`)
    let Information = FILE_OPENED
    if (!node) {
      if (parameters.CreateDisposition === FILE_OPEN) return failed('STATUS_OBJECT_NAME_NOT_FOUND')
      node = this.node((parameters.CreateOptions & 1) !== 0)
      this.nodes.set(path, node)
      Information = FILE_CREATED
      this.resize(node, 0)
      for (let i = 0; i * CLUSTER < parameters.AllocationSize; i++) node.clusters.push(this.free.pop() as number)
    } else if (parameters.CreateDisposition === FILE_CREATE) return failed('STATUS_OBJECT_NAME_COLLISION')
    else if (node.deletePending) return failed('STATUS_DELETE_PENDING')
    else if (replaces(parameters.CreateDisposition)) {
      this.resize(node, 0)
      this.free.unshift(...this.free.splice(-3))
      for (let i = 0; i * CLUSTER < parameters.AllocationSize; i++) node.clusters.push(this.free.pop() as number)
      Information = FILE_OVERWRITTEN
    }
    this.files.set(number, { path, node })
    return { Status: 0, Information, response: { kind: 'Opened', FileId: node.id, Sizes: this.sizes(node) } }
  }
  private cleanup(number: number, { path, node }: { path: string; node: Node }): IrpResult {
    this.files.delete(number)
    this.log.push(`cleanup ${path}`)
    if (node.deletePending && ![...this.files.values()].some((other) => other.node === node)) {
      this.resize(node, 0)
      this.nodes.delete(path)
    }
    return done()
  }
  private extents(node: Node, { ByteOffset, Length }: { ByteOffset: number; Length: number }): IrpResult {
    const Extents = node.clusters
      .map((cluster, i) => ({ FileOffset: i * CLUSTER, VolumeOffset: cluster * CLUSTER, Length: CLUSTER }))
      .filter((extent) => extent.FileOffset < ByteOffset + Length && extent.FileOffset + CLUSTER > ByteOffset)
    return { ...done(), response: { kind: 'Extents', Extents: Extents.slice(0, this.extentsMax) } }
  }
  private set(
    { path, node }: { path: string; node: Node },
    parameters: Extract<Parameters, { kind: 'SetFile' }>,
    input: Uint8Array,
  ): IrpResult {
    if (parameters.FileInformationClass === FileEndOfFileInformation.number) {
      this.resize(node, FileEndOfFileInformation.decode(input).EndOfFile)
      return { ...done(), response: { kind: 'Sizes', Sizes: this.sizes(node) } }
    }
    if (parameters.FileInformationClass === 13) node.deletePending = input[0] !== 0
    if (parameters.FileInformationClass === 10) {
      const target = `${this.files.get(parameters.TargetDirectory as number)?.path.replace(/\\$/, '')}\\${parameters.TargetName?.toUpperCase()}`
      if (this.nodes.has(target) && !parameters.ReplaceIfExists) return failed('STATUS_OBJECT_NAME_COLLISION')
      this.nodes.delete(path)
      this.nodes.set(target, node)
    }
    return done()
  }
}

const ARENA = 0x10000000
export function fakeFiles(options: { seed?: number; views?: number; clusters?: number } = {}) {
  const clusters = options.clusters ?? 512
  const fake: FakeCache = fakeCache({
    diskBytes: clusters * CLUSTER,
    views: options.views ?? 4,
    ...(options.seed !== undefined && { seed: options.seed }),
  })
  const fs = new FakeFileSystem(clusters)
  const { env, disk } = fake
  const sent: string[] = []
  const driver = { name: 'fs', send: (packet: { kind: string }) => sent.push(packet.kind) } as unknown as DriverObject
  const info = { Characteristics: 0, Flags: 0, Exclusive: false }
  const control = new DeviceObject(1, driver, 'control', { ...info, DeviceType: FILE_DEVICE_DISK_FILE_SYSTEM })
  const volume = new DeviceObject(2, driver, 'volume', { ...info, DeviceType: FILE_DEVICE_DISK_FILE_SYSTEM })
  const storage = new DeviceObject(3, { name: 'disk' } as unknown as DriverObject, 'storage', {
    ...info,
    DeviceType: FILE_DEVICE_DISK,
  })
  const submit = async (request: IrpRequest): Promise<IrpResult> => {
    if (request.device === storage) return disk.submit(request)
    await env.clock.sleep(env.random.next() % 4)
    if (request.minor === IRP_MN.IRP_MN_MOUNT_VOLUME && request.parameters.kind === 'MountVolume') return mount()
    return fs.answer(request)
  }
  const mount = (): IrpResult => {
    const next = fs.mounts.shift() ?? 'mount'
    if (next !== 'mount') return failed(next)
    return {
      ...done(),
      response: {
        kind: 'VolumeMounted',
        VolumeDevice: 2,
        VolumeSize: disk.bytes.length,
        AllocationUnit: CLUSTER,
        SectorSize: 512,
        SerialNumber: 1,
        Label: '',
        ReadOnly: false,
      },
    }
  }
  const { ex } = fake
  const arena = memoryAt(ARENA, 1 << 20)
  disk.memories.push(arena)
  const processes = new Map<number, Process>()
  const processOf = (pid: number): Process => {
    let process = processes.get(pid)
    if (!process) {
      process = new Process(pid, 'test')
      process.child = { name: 'test', pid, generation: 1, arena }
      processes.set(pid, process)
    }
    return process
  }
  let number = 0
  const written: string[] = []
  const ob = new ObjectManager()
  Object.assign(ex, {
    cc: fake.cc,
    ob,
    ps: { byBadge: processOf },
    console: { write: async (text: string) => void written.push(text) },
  })
  Object.assign(ex.io, {
    irps: { submit },
    nextFileNumber: () => ++number,
    deviceByHandle: (handle: number) => [control, volume, storage][handle - 1],
  })
  const volumes = new VolumeManager(ex)
  Object.assign(ex.io, { volumes })
  ob.insert('\\Device\\Disk', storage)
  ob.createSymbolicLink('\\??\\C:', '\\Device\\Disk')
  volumes.registerFileSystem(control)
  const services = ioServices(ex)
  return { ...fake, fs, volumes, storage, control, volume, driver, services, arena, processOf, written, sent, ob }
}
export const ARENA_ADDRESS = ARENA
