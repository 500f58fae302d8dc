/**
 * Host-to-device FISes, command headers and PRDTs as bytes. Pure. [AHCI] 4.2, [ATA8-ACS] 7, [SATA] 10.3.4
 *
 *   writeRegisterFis(table, at, command, tag)
 *   writePrdt(table, at, elements)               number of entries, or -1 when the device cannot take them
 *   writeHeader(list, slot, …)
 */
import { highHalf, lowHalf } from '#drivers/lib/bytes'
import type { SCATTER_GATHER_ELEMENT } from '#wdm'
import { COMMAND_HEADER_BYTES, PRD_BYTES, PRD_MAX, PRDT_ENTRIES, PRDT_OFFSET } from './hw.ts'

export interface AtaCommand {
  readonly command: number
  /** Queued: tag in COUNT, count in FEATURES. */
  readonly ncq: boolean
  readonly write: boolean
  /** 48-bit fields; else the LBA's top nibble is in DEVICE. */
  readonly ext: boolean
  readonly lba: number
  /** Sectors (or whatever the command counts); 0 stands for the largest number. */
  readonly count: number
  readonly fua: boolean
  readonly bytes: number
}
const FIS_REGISTER_H2D = 0x27
const FIS_COMMAND = 0x80
const DEVICE_LBA = 0x40
const DEVICE_FUA = 0x80
/** Double words of a register FIS. */
const CFL = 5

export function writeRegisterFis(table: DataView, at: number, ata: AtaCommand, tag: number): void {
  const low = lowHalf(ata.lba)
  const device = ata.ext ? DEVICE_LBA | (ata.ncq && ata.fua ? DEVICE_FUA : 0) : DEVICE_LBA | ((low >>> 24) & 0xf)
  const features = ata.ncq ? ata.count & 0xffff : 0
  const count = ata.ncq ? tag << 3 : ata.count & 0xffff
  table.setUint32(at, FIS_REGISTER_H2D | (FIS_COMMAND << 8) | (ata.command << 16) | ((features & 0xff) << 24), true)
  table.setUint32(at + 4, (low & 0xffffff) | (device << 24), true)
  const upper = ata.ext ? (low >>> 24) | ((highHalf(ata.lba) & 0xffff) << 8) : 0
  table.setUint32(at + 8, upper | ((features >>> 8) << 24), true)
  table.setUint32(at + 12, count, true)
  table.setUint32(at + 16, 0, true)
}

/** Addresses and lengths are even [AHCI] 4.2.3.3; above 4 GiB only with CAP.S64A. */
export function writePrdt(
  table: DataView,
  at: number,
  elements: readonly SCATTER_GATHER_ELEMENT[],
  wide: boolean,
): number {
  if (elements.length > PRDT_ENTRIES) return -1
  let entry = at + PRDT_OFFSET
  for (const { Address, Length } of elements) {
    if (Address % 2 !== 0 || Length % 2 !== 0 || Length > PRD_MAX) return -1
    if (!wide && Address + Length > 0x1_0000_0000) return -1
    table.setUint32(entry, lowHalf(Address), true)
    table.setUint32(entry + 4, highHalf(Address), true)
    table.setUint32(entry + 8, 0, true)
    table.setUint32(entry + 12, Length - 1, true)
    entry += PRD_BYTES
  }
  return elements.length
}

const HEADER_WRITE = 0x40
const HEADER_CLEAR_BUSY = 0x400
export function writeHeader(
  list: DataView,
  slot: number,
  write: boolean,
  entries: number,
  tableAddress: number,
  clearBusy = false,
): void {
  const at = slot * COMMAND_HEADER_BYTES
  const flags = CFL | (write ? HEADER_WRITE : 0) | (clearBusy ? HEADER_CLEAR_BUSY : 0)
  list.setUint32(at, flags | (entries << 16), true)
  list.setUint32(at + 4, 0, true)
  list.setUint32(at + 8, lowHalf(tableAddress), true)
  list.setUint32(at + 12, highHalf(tableAddress), true)
}
/** PRDBC: bytes the HBA moved; not meaningful for queued commands. [AHCI] 4.2.2, 5.4.1 */
export const transferred = (list: DataView, slot: number): number =>
  list.getUint32(slot * COMMAND_HEADER_BYTES + 4, true)
