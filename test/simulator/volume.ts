/**
 * Small FAT volumes and a reader of our own that judges what the system leaves of them; it shares no code with fatfs.
 *
 *   makeDisk({ fat, partitioned, files })   a disk in memory: root files with 8.3 names, one sector per cluster
 *   new FatReader(disk)                     walks the tree: files, chains, and everything that is wrong
 *
 * Clusters are one sector, so that little data means many changes of metadata.
 *
 * [FAT] Microsoft FAT Specification (fatgen103), field names as there
 */
import { bareVolume } from '../fat/volume-maker.ts'

const SECTOR = 512
const ENTRY = 32
/** Far enough for a table in front, near enough to keep the disk small. */
const PARTITION_SECTOR = 64
const TYPES = { 12: 0x01, 16: 0x06, 32: 0x0c } as const
/** Written behind the volume's own end: what reaches it was astray. */
const TAIL_SECTORS = 64

export type FatType = 12 | 16 | 32
export interface DiskOptions {
  readonly fat: FatType
  readonly partitioned: boolean
  readonly files: Readonly<Record<string, Uint8Array>>
}
export interface Disk {
  readonly bytes: Buffer
  /** Where the volume begins, and how long it is. */
  readonly offset: number
  readonly length: number
  readonly fat: FatType
}
export const volumeOf = ({ bytes, offset, length }: Disk): Buffer => bytes.subarray(offset, offset + length)

/** Words of a counter that no other place has: a block in the wrong place shows. */
export function patternOf(length: number, seed: number): Buffer {
  const bytes = Buffer.alloc(length)
  for (let at = 0; at + 4 <= length; at += 4) bytes.writeUInt32LE((Math.imul(at + seed, 0x9e3779b1) ^ seed) >>> 0, at)
  return bytes
}

export function makeDisk({ fat, partitioned, files }: DiskOptions): Disk {
  const volume = bareVolume(fat)
  const offset = partitioned ? PARTITION_SECTOR * SECTOR : 0
  new Filler(volume, fat).fill(files)
  if (partitioned) for (const boot of bootSectors(fat)) volume.writeUInt32LE(PARTITION_SECTOR, boot * SECTOR + 28)
  const bytes = Buffer.alloc(offset + volume.length + (partitioned ? TAIL_SECTORS * SECTOR : 0))
  volume.copy(bytes, offset)
  if (partitioned) writeTable(bytes, fat, volume.length / SECTOR)
  return { bytes, offset, length: volume.length, fat }
}
/** FAT32 keeps a copy. [FAT] BPB_BkBootSec */
const bootSectors = (fat: FatType): number[] => (fat === 32 ? [0, 6] : [0])
function writeTable(disk: Buffer, fat: FatType, sectors: number): void {
  disk.writeUInt32LE(0x1234abcd, 440)
  disk.set([0x80, 0xfe, 0xff, 0xff, TYPES[fat], 0xfe, 0xff, 0xff], 446)
  disk.writeUInt32LE(PARTITION_SECTOR, 454)
  disk.writeUInt32LE(sectors, 458)
  disk.set([0x55, 0xaa], 510)
}

/** [FAT] "Boot Sector and BPB Structure" */
class Geometry {
  readonly fatStart: number
  readonly fatBytes: number
  readonly rootStart: number
  readonly rootBytes: number
  readonly dataStart: number
  readonly clusterBytes: number
  readonly clusters: number
  readonly rootCluster: number

  constructor(volume: Buffer, fat: FatType) {
    const FATSz = fat === 32 ? volume.readUInt32LE(36) : volume.readUInt16LE(22)
    this.fatStart = volume.readUInt16LE(14) * SECTOR
    this.fatBytes = FATSz * SECTOR
    this.rootStart = this.fatStart + volume[16] * this.fatBytes
    this.rootBytes = volume.readUInt16LE(17) * ENTRY
    this.dataStart = this.rootStart + this.rootBytes
    this.clusterBytes = volume[13] * SECTOR
    const sectors = volume.readUInt16LE(19) || volume.readUInt32LE(32)
    this.clusters = Math.floor((sectors * SECTOR - this.dataStart) / this.clusterBytes)
    this.rootCluster = fat === 32 ? volume.readUInt32LE(44) : 0
  }
}
function readLink(table: Buffer, fat: FatType, cluster: number): number {
  if (fat === 16) return table.readUInt16LE(cluster * 2)
  if (fat === 32) return table.readUInt32LE(cluster * 4) & 0x0fffffff
  const pair = table.readUInt16LE(Math.floor((cluster * 3) / 2))
  return cluster % 2 ? pair >>> 4 : pair & 0xfff
}
function writeLink(table: Buffer, fat: FatType, cluster: number, value: number): void {
  if (fat === 16) table.writeUInt16LE(value & 0xffff, cluster * 2)
  else if (fat === 32) table.writeUInt32LE(value >>> 0, cluster * 4)
  else {
    const at = Math.floor((cluster * 3) / 2)
    const pair = table.readUInt16LE(at)
    table.writeUInt16LE(cluster % 2 ? (pair & 0x000f) | ((value & 0xfff) << 4) : (pair & 0xf000) | (value & 0xfff), at)
  }
}

/** Puts files into an empty root. */
class Filler {
  private readonly volume: Buffer
  private readonly fat: FatType
  private readonly geometry: Geometry
  private next: number

  constructor(volume: Buffer, fat: FatType) {
    this.volume = volume
    this.fat = fat
    this.geometry = new Geometry(volume, fat)
    this.next = fat === 32 ? this.geometry.rootCluster + 1 : 2
  }
  fill(files: Readonly<Record<string, Uint8Array>>): void {
    const { rootStart, dataStart, clusterBytes, rootCluster } = this.geometry
    const root = this.fat === 32 ? dataStart + (rootCluster - 2) * clusterBytes : rootStart
    Object.entries(files).forEach(([name, bytes], i) => this.put(root + i * ENTRY, name, bytes))
  }
  private put(at: number, name: string, bytes: Uint8Array): void {
    const first = this.store(bytes)
    const [base, extension = ''] = name.split('.')
    this.volume.write(base.padEnd(8) + extension.padEnd(3), at, 'latin1')
    this.volume[at + 11] = 0x20
    for (const dateAt of [16, 18, 24]) this.volume.writeUInt16LE(0x5821, at + dateAt)
    this.volume.writeUInt16LE(first >>> 16, at + 20)
    this.volume.writeUInt16LE(first & 0xffff, at + 26)
    this.volume.writeUInt32LE(bytes.length, at + 28)
  }
  private store(bytes: Uint8Array): number {
    const { fatStart, fatBytes, dataStart, clusterBytes } = this.geometry
    const count = Math.ceil(bytes.length / clusterBytes)
    const first = this.next
    this.volume.set(bytes, dataStart + (first - 2) * clusterBytes)
    for (const copy of [0, 1]) {
      const table = this.volume.subarray(fatStart + copy * fatBytes, fatStart + (copy + 1) * fatBytes)
      for (let i = 0; i < count; i++)
        writeLink(table, this.fat, first + i, i === count - 1 ? 0x0fffffff : first + i + 1)
    }
    this.next += count
    return count === 0 ? 0 : first
  }
}

export interface FoundFile {
  readonly path: string
  readonly directory: boolean
  readonly size: number
  readonly first: number
  readonly chain: readonly number[]
}
/** What is wrong, by kind: the first group is never allowed, the others are what a stop at any moment may leave. */
export interface Findings {
  /** Cross links, loops, links to nowhere, chains too short, bad entries, FATs that differ. */
  readonly broken: string[]
  /** The volume is marked as in use. */
  readonly dirty: boolean
  /** Clusters that belong to nothing. */
  readonly lost: number
  /** Files with a chain longer than their size. */
  readonly long: string[]
  /** FSInfo counts other free clusters than there are. */
  readonly freeWrong: boolean
  /** FATs differ. */
  readonly mirrors: number
}

export class FatReader {
  readonly files = new Map<string, FoundFile>()
  private readonly volume: Buffer
  private readonly copy: 0 | 1
  private readonly fat: FatType
  private readonly geometry: Geometry
  private readonly owners = new Map<number, string>()
  private readonly broken: string[] = []
  private readonly long: string[] = []

  /** `copy`: which FAT to believe. */
  constructor(disk: Disk, copy: 0 | 1 = 0) {
    this.copy = copy
    this.volume = volumeOf(disk)
    this.fat = disk.fat
    this.geometry = new Geometry(this.volume, disk.fat)
    this.walk(this.rootBytes(), '')
  }
  read(path: string): Buffer | undefined {
    const file = this.files.get(path)
    return file && Buffer.concat(file.chain.map((cluster) => this.cluster(cluster))).subarray(0, file.size)
  }
  findings(): Findings {
    const { clusters } = this.geometry
    let lost = 0
    let free = 0
    for (let cluster = 2; cluster < clusters + 2; cluster++) {
      const link = this.link(cluster)
      if (link === 0) free++
      else if (!this.owners.has(cluster)) lost++
    }
    const { broken, long } = this
    return { broken, long, lost, dirty: this.dirty(), freeWrong: this.freeWrong(free), mirrors: this.differences() }
  }

  private table(copy: number): Buffer {
    const { fatStart, fatBytes } = this.geometry
    return this.volume.subarray(fatStart + copy * fatBytes, fatStart + (copy + 1) * fatBytes)
  }
  private link(cluster: number): number {
    return readLink(this.table(this.copy), this.fat, cluster)
  }
  private isEnd(link: number): boolean {
    return link >= (this.fat === 12 ? 0xff8 : this.fat === 16 ? 0xfff8 : 0x0ffffff8)
  }
  private cluster(cluster: number): Buffer {
    const { dataStart, clusterBytes } = this.geometry
    const at = dataStart + (cluster - 2) * clusterBytes
    return this.volume.subarray(at, at + clusterBytes)
  }
  private differences(): number {
    let count = 0
    const [one, two] = [this.table(0), this.table(1)]
    for (let cluster = 0; cluster < this.geometry.clusters + 2; cluster++)
      if (readLink(one, this.fat, cluster) !== readLink(two, this.fat, cluster)) count++
    return count
  }
  /** [FAT] "FAT Volume Initialization": bit clear = not shut down in order; fsck.fat and Linux look at the boot sector. */
  private dirty(): boolean {
    const inBoot = (this.volume[this.fat === 32 ? 65 : 37] & 1) !== 0
    if (this.fat === 12) return inBoot
    const mark = this.fat === 16 ? 0x8000 : 0x08000000
    return inBoot || (this.link(1) & mark) === 0
  }
  private freeWrong(free: number): boolean {
    if (this.fat !== 32) return false
    const told = this.volume.readUInt32LE(this.volume.readUInt16LE(48) * SECTOR + 488)
    return told !== 0xffffffff && told !== free
  }

  private chain(path: string, first: number): number[] {
    const found: number[] = []
    for (let cluster = first; ; cluster = this.link(cluster)) {
      if (cluster < 2 || cluster >= this.geometry.clusters + 2) {
        this.broken.push(`${path}: link to ${cluster} behind ${found.length} clusters`)
        return found
      }
      const owner = this.owners.get(cluster)
      if (owner !== undefined) {
        this.broken.push(`${path}: cluster ${cluster} belongs to ${owner}`)
        return found
      }
      this.owners.set(cluster, path)
      found.push(cluster)
      if (this.isEnd(this.link(cluster))) return found
    }
  }
  private rootBytes(): Buffer {
    const { rootStart, rootBytes, rootCluster } = this.geometry
    if (this.fat !== 32) return this.volume.subarray(rootStart, rootStart + rootBytes)
    return Buffer.concat(this.chain('/', rootCluster).map((cluster) => this.cluster(cluster)))
  }
  /** [FAT] "FAT 32 Byte Directory Entry Structure", "FAT Long Directory Entries" */
  private walk(directory: Buffer, path: string): void {
    let long = ''
    for (let at = 0; at + ENTRY <= directory.length && directory[at] !== 0; at += ENTRY) {
      const entry = directory.subarray(at, at + ENTRY)
      if (entry[0] === 0xe5) long = ''
      else if ((entry[11] & 0x3f) === 0x0f) long = longPart(entry) + (entry[0] & 0x40 ? '' : long)
      else {
        if (!(entry[11] & 0x08) && entry[0] !== 0x2e) this.found(entry, `${path}/${long || shortName(entry)}`)
        long = ''
      }
    }
  }
  private found(entry: Buffer, path: string): void {
    const directory = (entry[11] & 0x10) !== 0
    const first = (this.fat === 32 ? entry.readUInt16LE(20) * 0x10000 : 0) + entry.readUInt16LE(26)
    const size = entry.readUInt32LE(28)
    if (this.files.has(path)) this.broken.push(`${path}: twice in its directory`)
    const chain = first === 0 ? [] : this.chain(path, first)
    this.files.set(path, { path, directory, size, first, chain })
    if (directory) {
      if (chain.length === 0) return void this.broken.push(`${path}: a directory without a cluster`)
      const bytes = Buffer.concat(chain.map((cluster) => this.cluster(cluster)))
      if (bytes[0] !== 0x2e || bytes[ENTRY] !== 0x2e) this.broken.push(`${path}: no dot entries`)
      return this.walk(bytes, path)
    }
    const needed = Math.ceil(size / this.geometry.clusterBytes)
    if (chain.length < needed) this.broken.push(`${path}: ${size} bytes in ${chain.length} clusters`)
    if (chain.length > needed) this.long.push(path)
  }
}
const UNITS = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30]
function longPart(entry: Buffer): string {
  const units = UNITS.map((at) => entry.readUInt16LE(at))
  const end = units.findIndex((unit) => unit === 0 || unit === 0xffff)
  return String.fromCharCode(...(end < 0 ? units : units.slice(0, end)))
}
function shortName(entry: Buffer): string {
  const text = entry.toString('latin1', 0, 11)
  const extension = text.slice(8).trimEnd()
  return text.slice(0, 8).trimEnd() + (extension && `.${extension}`)
}
