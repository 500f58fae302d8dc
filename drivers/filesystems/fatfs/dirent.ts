/**
 * The 32-byte directory entry and its long-name slots, as bytes. [fatgen103] FAT Directory Structure
 *
 *   decodeDirent(bytes, at) encodeDirent(entry)     the short entry
 *   encodeNameSlots(name, raw)                      long-name slots, in disk order
 *   NameCollector                                   slots in disk order → the long name of the short entry that follows
 *   fromDosTime toDosTime                           100 ns since 1601 ↔ DOS date and time; local time is UTC
 */
export const SLOT = 32
export const ATTR_READ_ONLY = 0x01
export const ATTR_HIDDEN = 0x02
export const ATTR_SYSTEM = 0x04
export const ATTR_VOLUME_ID = 0x08
export const ATTR_DIRECTORY = 0x10
export const ATTR_ARCHIVE = 0x20
export const ATTR_LONG_NAME = 0x0f
const ATTR_LONG_NAME_MASK = 0x3f
export const DELETED = 0xe5
export const END = 0x00
const LAST_LONG_ENTRY = 0x40
/** UTF-16 units of one slot, and where they lie in it. */
const UNITS = 13
const UNIT_OFFSETS = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30]

export interface Dirent {
  raw: Uint8Array
  attributes: number
  ntRes: number
  /** 10 ms units, 0-199, on top of the creation time's 2 s. */
  creationTenths: number
  creationTime: number
  creationDate: number
  accessDate: number
  writeTime: number
  writeDate: number
  firstCluster: number
  size: number
}

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
export const isLongNameSlot = (attributes: number): boolean => (attributes & ATTR_LONG_NAME_MASK) === ATTR_LONG_NAME

export function decodeDirent(bytes: Uint8Array, at: number, fat32: boolean): Dirent {
  const view = viewOf(bytes)
  return {
    raw: bytes.slice(at, at + 11),
    attributes: bytes[at + 11],
    ntRes: bytes[at + 12],
    creationTenths: bytes[at + 13],
    creationTime: view.getUint16(at + 14, true),
    creationDate: view.getUint16(at + 16, true),
    accessDate: view.getUint16(at + 18, true),
    writeTime: view.getUint16(at + 22, true),
    writeDate: view.getUint16(at + 24, true),
    firstCluster: (fat32 ? view.getUint16(at + 20, true) * 0x10000 : 0) + view.getUint16(at + 26, true),
    size: view.getUint32(at + 28, true),
  }
}

export function encodeDirent(entry: Dirent): Uint8Array {
  const bytes = new Uint8Array(SLOT)
  const view = viewOf(bytes)
  bytes.set(entry.raw)
  bytes[11] = entry.attributes
  bytes[12] = entry.ntRes
  bytes[13] = entry.creationTenths
  view.setUint16(14, entry.creationTime, true)
  view.setUint16(16, entry.creationDate, true)
  view.setUint16(18, entry.accessDate, true)
  view.setUint16(20, Math.floor(entry.firstCluster / 0x10000), true)
  view.setUint16(22, entry.writeTime, true)
  view.setUint16(24, entry.writeDate, true)
  view.setUint16(26, entry.firstCluster & 0xffff, true)
  view.setUint32(28, entry.size, true)
  return bytes
}

// ---------------------------------------------------------------- long names
/** Of the 11 bytes of the short name; binds the slots to it. */
export function checksumOf(raw: Uint8Array): number {
  let sum = 0
  for (let i = 0; i < 11; i++) sum = (((sum << 7) | (sum >> 1)) + raw[i]) & 0xff
  return sum
}
export const slotsOfName = (name: string): number => Math.ceil(name.length / UNITS)

export function encodeNameSlots(name: string, raw: Uint8Array): Uint8Array[] {
  const count = slotsOfName(name)
  const checksum = checksumOf(raw)
  const slots: Uint8Array[] = []
  for (let ordinal = count; ordinal >= 1; ordinal--)
    slots.push(encodeNameSlot(name, ordinal, ordinal === count ? LAST_LONG_ENTRY : 0, checksum))
  return slots
}

function encodeNameSlot(name: string, ordinal: number, last: number, checksum: number): Uint8Array {
  const bytes = new Uint8Array(SLOT)
  const view = viewOf(bytes)
  bytes[0] = ordinal | last
  bytes[11] = ATTR_LONG_NAME
  bytes[13] = checksum
  UNIT_OFFSETS.forEach((at, i) => {
    const index = (ordinal - 1) * UNITS + i
    view.setUint16(at, index < name.length ? name.charCodeAt(index) : index === name.length ? 0 : 0xffff, true)
  })
  return bytes
}

/** 255 units at most: 20 slots. */
const SLOTS_MAX = 20

export class NameCollector {
  private parts: string[] = []
  private next = 0
  private checksum = 0
  /** Slots of the sequence so far. */
  count = 0

  add(bytes: Uint8Array, at: number): void {
    const ordinal = bytes[at] & ~LAST_LONG_ENTRY
    const starts = (bytes[at] & LAST_LONG_ENTRY) !== 0
    if (starts && ordinal >= 1 && ordinal <= SLOTS_MAX) this.start(ordinal, bytes[at + 13])
    if (this.next && ordinal === this.next && bytes[at + 13] === this.checksum) {
      this.parts.unshift(unitsOf(bytes, at))
      this.next--
      this.count++
    } else this.reset()
  }

  /** The name if the sequence is complete and belongs to this short name. */
  take(raw: Uint8Array): { name: string; slots: number } | undefined {
    const whole = this.count > 0 && this.next === 0 && this.checksum === checksumOf(raw)
    const result = whole ? { name: this.parts.join('').replace(/\0.*$/s, ''), slots: this.count } : undefined
    this.reset()
    return result
  }

  reset(): void {
    this.parts = []
    this.next = 0
    this.count = 0
  }

  private start(ordinal: number, checksum: number): void {
    this.parts = []
    this.count = 0
    this.next = ordinal
    this.checksum = checksum
  }
}

function unitsOf(bytes: Uint8Array, at: number): string {
  const view = viewOf(bytes)
  return String.fromCharCode(...UNIT_OFFSETS.map((offset) => view.getUint16(at + offset, true)))
}

// ---------------------------------------------------------------- times
const UNITS_PER_SECOND = 10_000_000
const SECONDS_PER_DAY = 86_400
/** From 1601-01-01 to 1980-01-01, DOS's first day. */
const DAYS_TO_1980 = 138_426
const DAYS_TO_MARCH_0000 = 584_694

/** Days since 1601-01-01 ↔ calendar, by the proleptic Gregorian rule of 400 years (146,097 days). */
function daysOf(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1
  return y * 365 + Math.floor(y / 4) - Math.floor(y / 100) + Math.floor(y / 400) + dayOfYear - DAYS_TO_MARCH_0000
}
function dateOf(days: number): { year: number; month: number; day: number } {
  const z = days + DAYS_TO_MARCH_0000
  const era = Math.floor(z / 146_097)
  const doe = z - era * 146_097
  const yoe = Math.floor((doe - Math.floor(doe / 1460) + Math.floor(doe / 36_524) - Math.floor(doe / 146_096)) / 365)
  const doy = doe - (365 * yoe + Math.floor(yoe / 4) - Math.floor(yoe / 100))
  const mp = Math.floor((5 * doy + 2) / 153)
  const month = mp < 10 ? mp + 3 : mp - 9
  return { year: yoe + era * 400 + (month <= 2 ? 1 : 0), month, day: doy - Math.floor((153 * mp + 2) / 5) + 1 }
}

/** 0 when the entry has no date. */
export function fromDosTime(date: number, time: number, tenths = 0): number {
  const month = (date >> 5) & 15
  const day = date & 31
  if (month < 1 || month > 12 || day < 1) return 0
  const days = daysOf(1980 + (date >> 9), month, day)
  const seconds = (time >> 11) * 3600 + ((time >> 5) & 63) * 60 + (time & 31) * 2
  return (days * SECONDS_PER_DAY + seconds) * UNITS_PER_SECOND + tenths * 100_000
}

/** Times before 1980 and after 2107 become the nearest DOS has. */
export function toDosTime(time: number): { date: number; time: number; tenths: number } {
  const first = DAYS_TO_1980 * SECONDS_PER_DAY * 100
  const last = (daysOf(2107, 12, 31) + 1) * SECONDS_PER_DAY * 100 - 1
  const hundredths = Math.min(Math.max(Math.floor(time / 100_000), first), last)
  const { year, month, day } = dateOf(Math.floor(hundredths / 100 / SECONDS_PER_DAY))
  const ofDay = hundredths % (SECONDS_PER_DAY * 100)
  const second = Math.floor(ofDay / 100)
  return {
    date: ((year - 1980) << 9) | (month << 5) | day,
    time: (Math.floor(second / 3600) << 11) | ((Math.floor(second / 60) % 60) << 5) | Math.floor((second % 60) / 2),
    tenths: ofDay % 200,
  }
}
