/**
 * Disk images that other systems' programs made and judge: mkfs.fat, mtools, sfdisk, sgdisk, fsck.fat.
 *
 *   const disk = DiskImage.make(this, { fat: 32, bytes: 160 << 20, table: 'gpt' })     `this`: mocha's context
 *   disk.put('DOCS/A long name.txt', bytes)          directories on the way are made
 *   disk.hash('DOCS/COPY.BIN')                       through mtools, not through us
 *   disk.complaints()                                what fsck.fat -n says, [] when clean
 *   disk.remove()
 */
import crypto from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { makeScratch } from '../../tools/scratch.ts'
import { ask, oracle } from './oracles.ts'

export type Table = 'none' | 'mbr' | 'gpt'
export interface DiskOptions {
  readonly fat: 12 | 16 | 32
  /** Of the file system. */
  readonly bytes: number
  readonly table?: Table
  readonly sectorsPerCluster?: number
}
/** Where the one partition begins, as partitioning programs have done since disks have 4 KiB sectors. */
const PARTITION_OFFSET = 1 << 20
const SECTOR = 512
/** What follows the partition: GPT's second table, rounded. */
const TAIL_BYTES = 1 << 20
/** The type of a FAT32 partition with LBA in an MBR; GPT's "basic data". */
const TYPE = { mbr: 'c', gpt: '0700' }

/** Bytes that look random, the same for the same seed: the key stream of a cipher. */
export function noise(length: number, seed: string): Buffer {
  const key = crypto.createHash('sha256').update(seed).digest()
  return crypto.createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length))
}
export const hashOf = (bytes: Uint8Array): string => crypto.createHash('sha256').update(bytes).digest('hex')

export class DiskImage {
  readonly folder: string
  readonly path: string
  private readonly programs: Readonly<Record<string, string>>
  private readonly offset: number
  private readonly bytes: number
  private readonly made = new Set<string>()

  private constructor(
    programs: Readonly<Record<string, string>>,
    { fat, bytes, table = 'none', sectorsPerCluster }: DiskOptions,
  ) {
    this.programs = programs
    this.folder = makeScratch('disk')
    this.path = path.join(this.folder, 'disk.img')
    this.bytes = bytes
    this.offset = table === 'none' ? 0 : PARTITION_OFFSET
    const volume = path.join(this.folder, 'volume')
    fs.closeSync(fs.openSync(volume, 'w'))
    fs.truncateSync(volume, bytes)
    const clusters = sectorsPerCluster ? ['-s', String(sectorsPerCluster)] : []
    ask(programs['mkfs.fat'], ['-F', String(fat), '-n', 'NEPTUNE', ...clusters, volume])
    if (table === 'none') fs.renameSync(volume, this.path)
    else this.partition(table, volume)
  }
  private partition(table: 'mbr' | 'gpt', volume: string): void {
    fs.closeSync(fs.openSync(this.path, 'w'))
    fs.truncateSync(this.path, this.offset + this.bytes + TAIL_BYTES)
    const [start, sectors] = [this.offset / SECTOR, this.bytes / SECTOR]
    if (table === 'mbr')
      ask(this.programs.sfdisk, ['-q', this.path], {
        input: `label: dos\nstart=${start}, size=${sectors}, type=${TYPE.mbr}\n`,
      })
    else ask(this.programs.sgdisk, ['-n', `1:${start}:${start + sectors - 1}`, '-t', `1:${TYPE.gpt}`, this.path])
    const target = fs.openSync(this.path, 'r+')
    fs.writeSync(target, fs.readFileSync(volume), 0, this.bytes, this.offset)
    fs.closeSync(target)
    fs.rmSync(volume)
  }
  /** Skips the test when a program is missing. */
  static make(test: { skip(): never }, options: DiskOptions): DiskImage {
    const wanted: [string, string][] = [
      ['mkfs.fat', 'dosfstools'],
      ['fsck.fat', 'dosfstools'],
      ['mcopy', 'mtools'],
      ['mmd', 'mtools'],
      ['mdir', 'mtools'],
    ]
    if (options.table === 'mbr') wanted.push(['sfdisk', 'fdisk'])
    if (options.table === 'gpt') wanted.push(['sgdisk', 'gdisk'])
    return new DiskImage(Object.fromEntries(wanted.map(([name, from]) => [name, oracle(test, name, from)])), options)
  }

  private get volume(): string[] {
    return ['-i', `${this.path}@@${this.offset}`]
  }
  /** Names with / between them, as mtools has them. */
  put(name: string, bytes: Uint8Array): void {
    const parts = name.split('/')
    for (let depth = 1; depth < parts.length; depth++) this.makeDirectory(parts.slice(0, depth).join('/'))
    const scratch = path.join(this.folder, 'put')
    fs.writeFileSync(scratch, bytes)
    ask(this.programs.mcopy, [...this.volume, scratch, `::${name}`])
    fs.rmSync(scratch)
  }
  makeDirectory(name: string): void {
    if (this.made.has(name)) return
    ask(this.programs.mmd, [...this.volume, `::${name}`])
    this.made.add(name)
  }
  get(name: string): Buffer {
    const scratch = path.join(this.folder, 'get')
    fs.rmSync(scratch, { force: true })
    ask(this.programs.mcopy, ['-n', ...this.volume, `::${name}`, scratch])
    const bytes = fs.readFileSync(scratch)
    fs.rmSync(scratch)
    return bytes
  }
  /** The whole image. */
  raw(): Buffer {
    return fs.readFileSync(this.path)
  }
  hash(name: string): string {
    return hashOf(this.get(name))
  }
  /** All paths, directories with a slash behind them, sorted. */
  list(): string[] {
    return ask(this.programs.mdir, [...this.volume, '-b', '-/', '-a', '::'])
      .split('\n')
      .filter(Boolean)
      .map((line) => line.replace(/^::\/?/, ''))
      .sort()
  }
  /** What fsck.fat says beside its banner and its count. */
  complaints(): string[] {
    const volume = path.join(this.folder, 'check')
    fs.copyFileSync(this.path, volume)
    if (this.offset > 0) {
      const bytes = fs.readFileSync(volume).subarray(this.offset, this.offset + this.bytes)
      fs.writeFileSync(volume, bytes)
    }
    const said = ask(this.programs['fsck.fat'], ['-n', volume], { fails: true })
    fs.rmSync(volume)
    const lines = said.split('\n').map((line) => line.trim().replace(volume, 'IMAGE'))
    return lines.filter((line) => line && !/^fsck\.fat \d|\d+ files?, \d+\/\d+ clusters$/.test(line))
  }
  remove(): void {
    fs.rmSync(this.folder, { recursive: true, force: true })
  }
}
