/** Partitions in NT's byte layouts, and their identities. Pure. ntdddisk.h, ntddvol.h, mountdev.h */
import { guidText, hex, putLe64, view } from '#drivers/lib/bytes'
import type { PdoIds } from '#drivers/lib/pnp'
import type { Partition, PartitionTable } from './table.ts'

/** One volume: a partition and what it is a part of. */
export interface VolumePlace {
  readonly table: PartitionTable
  readonly partition: Partition
  readonly sectorSize: number
  readonly diskNumber: number
}
const STYLE = { MBR: 0, GPT: 1, RAW: 2 } as const
export const startOf = ({ partition, sectorSize }: VolumePlace): number => partition.lba * sectorSize
export const lengthOf = ({ partition, sectorSize }: VolumePlace): number => partition.sectors * sectorSize

/** Types NT would look for a file system on. [NT] IsRecognizedPartition */
const RECOGNIZED = [0x01, 0x04, 0x06, 0x07, 0x0b, 0x0c, 0x0e]

export function PARTITION_INFORMATION(place: VolumePlace): Uint8Array {
  const bytes = new Uint8Array(32)
  const v = view(bytes)
  const { partition } = place
  putLe64(v, 0, startOf(place))
  putLe64(v, 8, lengthOf(place))
  v.setUint32(16, Math.min(partition.lba, 0xffffffff), true)
  v.setUint32(20, partition.number, true)
  bytes[24] = partition.type
  bytes[25] = partition.bootable ? 1 : 0
  bytes[26] = RECOGNIZED.includes(partition.type) ? 1 : 0
  return bytes
}
export const PARTITION_INFORMATION_EX_BYTES = 144
export function PARTITION_INFORMATION_EX(place: VolumePlace): Uint8Array {
  const bytes = new Uint8Array(PARTITION_INFORMATION_EX_BYTES)
  const v = view(bytes)
  const { partition, table } = place
  v.setUint32(0, STYLE[table.style], true)
  putLe64(v, 8, startOf(place))
  putLe64(v, 16, lengthOf(place))
  v.setUint32(24, partition.number, true)
  if (partition.gpt) {
    bytes.set(partition.gpt.type, 32)
    bytes.set(partition.gpt.id, 48)
    bytes.set(partition.gpt.attributes, 64)
    bytes.set(partition.gpt.name, 72)
  } else {
    bytes[32] = partition.type
    bytes[33] = partition.bootable ? 1 : 0
    bytes[34] = RECOGNIZED.includes(partition.type) ? 1 : 0
    v.setUint32(36, Math.min(partition.lba, 0xffffffff), true)
  }
  return bytes
}
export function DRIVE_LAYOUT_INFORMATION_EX(table: PartitionTable, sectorSize: number, diskNumber: number): Uint8Array {
  const HEADER = 48
  const partitions = table.style === 'RAW' ? [] : table.partitions
  const bytes = new Uint8Array(HEADER + partitions.length * PARTITION_INFORMATION_EX_BYTES)
  const v = view(bytes)
  v.setUint32(0, STYLE[table.style], true)
  v.setUint32(4, partitions.length, true)
  if (table.style === 'MBR') v.setUint32(8, table.signature, true)
  if (table.diskId && table.usable) {
    bytes.set(table.diskId, 8)
    putLe64(v, 24, table.usable.first * sectorSize)
    putLe64(v, 32, (table.usable.last - table.usable.first + 1) * sectorSize)
    v.setUint32(40, 128, true)
  }
  partitions.forEach((partition, i) => {
    bytes.set(
      PARTITION_INFORMATION_EX({ table, partition, sectorSize, diskNumber }),
      HEADER + i * PARTITION_INFORMATION_EX_BYTES,
    )
  })
  return bytes
}

/** The disk's number keeps two copies of one disk apart. */
export function volumeIds(place: VolumePlace): PdoIds {
  const { table, diskNumber, partition } = place
  const disk = table.diskId ? guidText(table.diskId) : `S${hex(table.signature, 8)}`
  const where = partition.gpt ? guidText(partition.gpt.id) : `O${hex(startOf(place), 1)}_L${hex(lengthOf(place), 1)}`
  return {
    deviceId: 'STORAGE\\Volume',
    hardwareIds: ['STORAGE\\Volume'],
    compatibleIds: [],
    instanceId: `${diskNumber}_${disk}_${where}`,
  }
}
const ascii = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0))
/** MBR: signature and offset; GPT: a mark and the partition's GUID; else where it is. */
export function uniqueId(place: VolumePlace): Uint8Array {
  const { table, partition } = place
  if (partition.gpt) return Uint8Array.from([...ascii('DMIO:ID:'), ...partition.gpt.id])
  if (table.style === 'RAW' || table.signature === 0) return ascii(`STORAGE#Volume#${volumeIds(place).instanceId}`)
  const bytes = new Uint8Array(12)
  view(bytes).setUint32(0, table.signature, true)
  putLe64(view(bytes), 4, startOf(place))
  return bytes
}
