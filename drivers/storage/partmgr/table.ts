/**
 * Partition tables: what of the disk is which volume. Pure; every byte read is untrusted, every loop is bounded, and the
 * only failure is a StatusError of the reader.
 *
 *   readTable(disk)   { style, partitions }, at least one partition
 *
 * GPT when the MBR is a protective one and a header holds (the backup when the primary does not); else MBR with its logical
 * drives; else, and for a disk that starts with a plausible boot sector, one volume over the whole disk.
 * References: [UEFI] 2.10 chapter 5 · the MBR as DOS and NT wrote it.
 *
 * Differs from NT: a fixed disk without a table is a volume too; partitions that overlap an earlier one or leave the disk
 * are dropped, the others stay.
 */
import { le64, view } from '#drivers/lib/bytes'
import { StatusError } from '#rtl'
import { crc32 } from './crc32.ts'

export interface DiskReader {
  readonly sectorSize: number
  readonly sectors: number
  /** Whole sectors inside the disk. */
  read(lba: number, count: number): Promise<Uint8Array>
}
export interface Partition {
  /** From 1; 0 is the disk itself. */
  readonly number: number
  readonly lba: number
  readonly sectors: number
  readonly bootable: boolean
  /** Of an MBR partition. */
  readonly type: number
  /** Of a GPT partition. */
  readonly gpt?: {
    readonly type: Uint8Array
    readonly id: Uint8Array
    readonly attributes: Uint8Array
    readonly name: Uint8Array
  }
}
export interface PartitionTable {
  readonly style: 'MBR' | 'GPT' | 'RAW'
  /** MBR only. */
  readonly signature: number
  /** GPT only. */
  readonly diskId?: Uint8Array
  readonly usable?: { readonly first: number; readonly last: number }
  readonly partitions: readonly Partition[]
}

const TYPE_EMPTY = 0x00
const TYPE_EXTENDED = [0x05, 0x0f, 0x85]
const TYPE_GPT_PROTECTIVE = 0xee
const SIGNATURE_OFFSET = 0x1b8
const TABLE_OFFSET = 0x1be
const ENTRY_BYTES = 16
/** More logical drives than letters; what follows in a longer chain is ignored. */
const LOGICAL_MAX = 64
/** The devices one relations answer holds. */
const PARTITIONS_MAX = 64

interface Entry {
  readonly status: number
  readonly type: number
  readonly lba: number
  readonly sectors: number
}
function entriesOf(sector: Uint8Array): Entry[] | undefined {
  if (sector.byteLength < 512 || sector[510] !== 0x55 || sector[511] !== 0xaa) return undefined
  const v = view(sector)
  return [0, 1, 2, 3].map((i) => {
    const at = TABLE_OFFSET + i * ENTRY_BYTES
    return {
      status: sector[at],
      type: sector[at + 4],
      lba: v.getUint32(at + 8, true),
      sectors: v.getUint32(at + 12, true),
    }
  })
}
const inside = (disk: DiskReader, lba: number, sectors: number): boolean =>
  lba > 0 && sectors > 0 && lba + sectors <= disk.sectors
const legal = ({ status }: Entry): boolean => status === 0 || status === 0x80

/**
 * A FAT (or NTFS) boot sector: a jump, and a BIOS parameter block with possible numbers. Boot code of an MBR starts otherwise,
 * or has no such block. [FAT] BS_jmpBoot, BPB_*
 */
export function isBootSector(sector: Uint8Array): boolean {
  if (sector.byteLength < 512) return false
  const v = view(sector)
  const jump = (sector[0] === 0xeb && sector[2] === 0x90) || sector[0] === 0xe9
  const BytsPerSec = v.getUint16(11, true)
  const SecPerClus = sector[13]
  const powerOf2 = (n: number) => n > 0 && (n & (n - 1)) === 0
  return (
    jump &&
    powerOf2(BytsPerSec) &&
    BytsPerSec >= 512 &&
    BytsPerSec <= 4096 &&
    powerOf2(SecPerClus) &&
    sector[21] >= 0xf0
  )
}

export async function readTable(disk: DiskReader): Promise<PartitionTable> {
  const first = await disk.read(0, 1)
  const entries = entriesOf(first)
  if (!entries) return wholeDisk(disk)
  if (isProtective(entries)) return (await readGpt(disk)) ?? wholeDisk(disk)
  const plausible =
    entries.every(legal) && entries.some((entry) => entry.type !== TYPE_EMPTY && inside(disk, entry.lba, entry.sectors))
  if (!plausible) return wholeDisk(disk)
  const signature = view(first).getUint32(SIGNATURE_OFFSET, true)
  const partitions = await readMbr(disk, entries)
  return partitions.length > 0 ? { style: 'MBR', signature, partitions } : wholeDisk(disk)
}
const wholeDisk = ({ sectors }: DiskReader): PartitionTable => ({
  style: 'RAW',
  signature: 0,
  partitions: [{ number: 1, lba: 0, sectors, bootable: false, type: 0 }],
})

/** Numbers what is left after dropping what overlaps. */
function accepted(candidates: readonly Omit<Partition, 'number'>[]): Partition[] {
  const kept: Partition[] = []
  for (const candidate of candidates) {
    const clash = kept.some(
      (other) => candidate.lba < other.lba + other.sectors && other.lba < candidate.lba + candidate.sectors,
    )
    if (!clash && kept.length < PARTITIONS_MAX) kept.push({ ...candidate, number: kept.length + 1 })
  }
  return kept
}

// ---------------------------------------------------------------- MBR
async function readMbr(disk: DiskReader, entries: readonly Entry[]): Promise<Partition[]> {
  const primary = entries.filter(
    ({ type }) => type !== TYPE_EMPTY && type !== TYPE_GPT_PROTECTIVE && !TYPE_EXTENDED.includes(type),
  )
  const extended = entries.find(({ type, lba, sectors }) => TYPE_EXTENDED.includes(type) && inside(disk, lba, sectors))
  const logical = extended ? await readLogical(disk, extended.lba) : []
  const all = [...primary, ...logical].filter(({ lba, sectors }) => inside(disk, lba, sectors))
  return accepted(all.map(({ lba, sectors, type, status }) => ({ lba, sectors, type, bootable: status === 0x80 })))
}
/** Each table of the chain names one drive, relative to itself, and the next table, relative to the first. */
async function readLogical(disk: DiskReader, base: number): Promise<Entry[]> {
  const found: Entry[] = []
  const seen = new Set<number>()
  for (let at = base; found.length < LOGICAL_MAX && seen.size < LOGICAL_MAX && at < disk.sectors && !seen.has(at); ) {
    seen.add(at)
    const entries = entriesOf(await disk.read(at, 1))
    if (!entries) break
    const drive = entries.find(({ type }) => type !== TYPE_EMPTY && !TYPE_EXTENDED.includes(type))
    if (drive) found.push({ ...drive, lba: at + drive.lba })
    const next = entries.find(({ type }) => TYPE_EXTENDED.includes(type))
    if (!next || next.lba === 0) break
    at = base + next.lba
  }
  return found
}

// ---------------------------------------------------------------- GPT
/** A hybrid MBR, with partitions beside the protective one, is read as MBR. */
const isProtective = (entries: readonly Entry[]): boolean =>
  entries.some(({ type }) => type === TYPE_GPT_PROTECTIVE) &&
  entries.every(({ type }) => type === TYPE_GPT_PROTECTIVE || type === TYPE_EMPTY)

/** [UEFI] 5.3.2, table 5-5 */
const GPT_SIGNATURE = 'EFI PART'
const GPT_HEADER_MIN = 92
const GPT_ENTRY_MIN = 128
const GPT_ENTRY_MAX = 4096
/** Eight times what everyone writes. */
const GPT_ENTRIES_MAX = 1024
const GPT_ARRAY_MAX = 128 * 1024

interface GptHeader {
  readonly alternate: number
  readonly first: number
  readonly last: number
  readonly diskId: Uint8Array
  readonly arrayLba: number
  readonly count: number
  readonly entryBytes: number
  readonly arrayCrc: number
}
async function readGpt(disk: DiskReader): Promise<PartitionTable | undefined> {
  const end = disk.sectors - 1
  const primary = await readHeader(disk, 1)
  const backups = [...new Set([primary?.alternate ?? end, end])]
  const table = primary && (await readEntries(disk, primary))
  if (table) return table
  for (const lba of backups) {
    const header = await readHeader(disk, lba)
    const backup = header && (await readEntries(disk, header))
    if (backup) return backup
  }
  return undefined
}
async function readHeader(disk: DiskReader, lba: number): Promise<GptHeader | undefined> {
  if (lba < 1 || lba >= disk.sectors) return undefined
  const bytes = await disk.read(lba, 1)
  return tolerant(() => parseGptHeader(bytes, lba, disk))
}
/** A number out of reach makes a header or an entry invalid, not the disk unusable. */
function tolerant<T>(parse: () => T): T | undefined {
  try {
    return parse()
  } catch (error) {
    if (error instanceof StatusError) return undefined
    throw error
  }
}
export function parseGptHeader(
  bytes: Uint8Array,
  lba: number,
  { sectorSize, sectors }: Pick<DiskReader, 'sectorSize' | 'sectors'>,
): GptHeader | undefined {
  const v = view(bytes)
  if (String.fromCharCode(...bytes.subarray(0, 8)) !== GPT_SIGNATURE) return undefined
  const headerBytes = v.getUint32(12, true)
  if (headerBytes < GPT_HEADER_MIN || headerBytes > sectorSize || headerBytes > bytes.byteLength) return undefined
  const copy = bytes.slice(0, headerBytes)
  copy.fill(0, 16, 20)
  if (crc32(copy) !== v.getUint32(16, true) || le64(bytes, 24) !== lba) return undefined
  const header: GptHeader = {
    alternate: le64(bytes, 32),
    first: le64(bytes, 40),
    last: le64(bytes, 48),
    diskId: bytes.slice(56, 72),
    arrayLba: le64(bytes, 72),
    count: v.getUint32(80, true),
    entryBytes: v.getUint32(84, true),
    arrayCrc: v.getUint32(88, true),
  }
  return fits(header, sectorSize, sectors) ? header : undefined
}
function fits({ count, entryBytes, arrayLba, first, last }: GptHeader, sectorSize: number, sectors: number): boolean {
  const shape = entryBytes >= GPT_ENTRY_MIN && entryBytes <= GPT_ENTRY_MAX && entryBytes % 8 === 0
  if (!shape || count < 1 || count > GPT_ENTRIES_MAX || count * entryBytes > GPT_ARRAY_MAX) return false
  const arraySectors = Math.ceil((count * entryBytes) / sectorSize)
  return arrayLba > 1 && arrayLba + arraySectors <= sectors && first <= last && last < sectors
}
async function readEntries(disk: DiskReader, header: GptHeader): Promise<PartitionTable | undefined> {
  const { count, entryBytes, arrayLba } = header
  const bytes = await disk.read(arrayLba, Math.ceil((count * entryBytes) / disk.sectorSize))
  const array = bytes.subarray(0, count * entryBytes)
  if (crc32(array) !== header.arrayCrc) return undefined
  const entries = Array.from({ length: count }, (_, i) => array.slice(i * entryBytes, (i + 1) * entryBytes))
  const found = entries
    .map((entry) => tolerant(() => parseGptEntry(entry, header)))
    .filter((entry) => entry !== undefined)
  const usable = { first: header.first, last: header.last }
  return { style: 'GPT', signature: 0, diskId: header.diskId, usable, partitions: accepted(found) }
}
/** [UEFI] 5.3.3, table 5-6 */
function parseGptEntry(entry: Uint8Array, { first, last }: GptHeader): Omit<Partition, 'number'> | undefined {
  const type = entry.slice(0, 16)
  if (type.every((byte) => byte === 0)) return undefined
  const lba = le64(entry, 32)
  const end = le64(entry, 40)
  if (lba < first || end < lba || end > last) return undefined
  const LEGACY_BIOS_BOOTABLE = 0x04
  const gpt = { type, id: entry.slice(16, 32), attributes: entry.slice(48, 56), name: entry.slice(56, 128) }
  return { lba, sectors: end - lba + 1, bootable: (entry[48] & LEGACY_BIOS_BOOTABLE) !== 0, type: 0, gpt }
}
