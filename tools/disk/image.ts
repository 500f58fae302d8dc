/**
 * Disk images: the small disk a first boot makes for itself.
 *
 *   makeDiskImage(file, { tree, bytes, partitioned })   a new file; refuses to overwrite one
 *   welcomeTree(bigBytes), FIRST_DISK                   what is on the first disk, and its sizes
 */
import fs from 'node:fs'
import { fatVolume, type Piece, type Tree } from './fat16.ts'

export interface DiskImageOptions {
  readonly tree: Tree
  readonly bytes?: number
  /** With an MBR and one partition, instead of one volume over the whole disk. */
  readonly partitioned?: boolean
  readonly label?: string
  readonly time?: Date
  readonly serial?: number
}
const SECTOR = 512
const DEFAULT_BYTES = 32 << 20
/** Partitions begin on a mebibyte, as every partitioning program aligns them now. */
const FIRST_SECTOR = (1 << 20) / SECTOR

export function makeDiskImage(file: string, options: DiskImageOptions): void {
  const pieces = diskPieces(options)
  const descriptor = fs.openSync(file, 'wx', 0o644)
  try {
    fs.ftruncateSync(descriptor, options.bytes ?? DEFAULT_BYTES)
    for (const { offset, bytes } of pieces) fs.writeSync(descriptor, bytes, 0, bytes.length, offset)
  } catch (error) {
    fs.rmSync(file)
    throw error
  } finally {
    fs.closeSync(descriptor)
  }
}
function diskPieces({
  tree,
  bytes = DEFAULT_BYTES,
  partitioned = false,
  label = 'NEPTUNE',
  time = new Date(),
  serial,
}: DiskImageOptions): Piece[] {
  const first = partitioned ? FIRST_SECTOR : 0
  const sectors = Math.floor(bytes / SECTOR) - first
  const volume = fatVolume(sectors, tree, { label, time, serial: serial ?? time.getTime() >>> 0, hiddenSectors: first })
  const shifted = volume.map((piece) => ({ ...piece, offset: piece.offset + first * SECTOR }))
  return partitioned
    ? [{ offset: 0, bytes: masterBootRecord(first, sectors, serial ?? time.getTime() >>> 0) }, ...shifted]
    : shifted
}

/** FAT16 of 32 MiB or more, LBA. [PARTITION] type byte */
const TYPE_FAT16 = 0x06
/** Tells software to use the LBA fields. */
const CHS_BEYOND = [0xfe, 0xff, 0xff]
/** One partition in the first of four entries at 446. [UEFI 2.10] 5.2.1 "Legacy Master Boot Record" */
function masterBootRecord(first: number, sectors: number, signature: number): Uint8Array {
  const record = new Uint8Array(SECTOR)
  const view = new DataView(record.buffer)
  view.setUint32(440, signature, true)
  record.set([0x80, ...CHS_BEYOND, TYPE_FAT16, ...CHS_BEYOND], 446)
  view.setUint32(454, first, true)
  view.setUint32(458, sectors, true)
  record.set([0x55, 0xaa], 510)
  return record
}

const text = (...lines: string[]) => new TextEncoder().encode(lines.map((line) => `${line}\r\n`).join(''))
/** Small: for a disk that is made often. */
const BIG_BYTES = 4 << 20
/** A first disk's: copying big.bin takes long enough for somebody to type `neptune kill` meanwhile. */
export const FIRST_DISK = { bytes: 126 << 20, big: 40 << 20 }
export function welcomeTree(bigBytes = BIG_BYTES): Tree {
  return {
    'README.TXT': text(
      'This is the disk that Neptune OS made for itself at its first boot.',
      'It is a file on your machine; what you change here is still there next time.',
      '',
      'Try:  dir        what is here',
      '      cd docs    go into a directory',
      '      type FILE  show a file',
      '      copy A B   copy one',
      '      help       every command',
      '      shutdown   stop the system in order',
    ),
    docs: {
      'What happens when a driver dies.txt': text(
        'Copy big.bin somewhere. While it copies, run in another terminal:',
        '',
        '    npx neptune kill storahci',
        '',
        'The disk driver is gone at once. The system starts it again, gives it back',
        'the requests it held, and the copy goes on.',
      ),
      'a rather long directory name': { 'and a file inside it.txt': text('Nested directories and long names work.') },
    },
    'big.bin': pattern(bigBytes),
    EMPTY: {},
  }
}
/** Bytes that tell their own position, so that a block in the wrong place shows. */
export function pattern(length: number): Uint8Array {
  const words = new Uint32Array(length / 4)
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(i, 0x9e3779b1) ^ (i >>> 7)
  return new Uint8Array(words.buffer)
}
