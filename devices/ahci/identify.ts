/**
 * IDENTIFY DEVICE data: what the disk says about itself. [ACS] 7.12
 *
 *   identifyDevice(facts)   512 bytes, checksum included
 *
 * Word numbers are the standard's. Only what the disk does is claimed.
 */
export interface IdentityFacts {
  readonly serial: string
  readonly sectors: number
  readonly writeCache: boolean
  readonly lookAhead: boolean
  /** SET FEATURES' last transfer mode: bits 7–3 the kind, 2–0 the number. */
  readonly transferMode: number
}
export const MODEL = 'NEPTUNE DISK'
const FIRMWARE = '1.0'
export const QUEUE_DEPTH = 32
const MAXIMUM_LBA28 = 0x0fffffff
/** Kinds of transfer mode, in bits 7–3 of SET FEATURES' count. [ACS] Table 154 */
export const TRANSFER_KIND = { PIO_DEFAULT: 0x00, PIO: 0x01, MULTIWORD: 0x04, ULTRA: 0x08 } as const
export const ULTRA_6 = 0x46

export function identifyDevice(facts: IdentityFacts): Uint8Array {
  const words = new Uint16Array(256)
  identity(words, facts)
  capacity(words, facts.sectors)
  transfer(words, facts.transferMode)
  features(words, facts)
  const bytes = new Uint8Array(words.buffer)
  bytes[510] = 0xa5
  bytes[511] = checksum(bytes)
  return bytes
}
/** All 512 bytes add up to zero. */
export function checksum(bytes: Uint8Array): number {
  let sum = 0
  for (let i = 0; i < 511; i++) sum += bytes[i]
  return -sum & 0xff
}
/** Two characters a word, the first in the high byte, padded with spaces. */
function text(words: Uint16Array, first: number, last: number, value: string): void {
  const padded = value.padEnd((last - first + 1) * 2)
  for (let i = first; i <= last; i++) {
    const at = (i - first) * 2
    words[i] = (padded.charCodeAt(at) << 8) | padded.charCodeAt(at + 1)
  }
}
function identity(words: Uint16Array, facts: IdentityFacts): void {
  words[0] = 0x0040
  text(words, 10, 19, facts.serial.slice(0, 20))
  text(words, 23, 26, FIRMWARE)
  text(words, 27, 46, MODEL)
  // ATA8-ACS to ACS-3; serial transport, SATA 3.1.
  words[80] = 0x0700
  words[222] = 0x1040
  // Does not rotate.
  words[217] = 0x0001
}
function capacity(words: Uint16Array, sectors: number): void {
  words[1] = 16383
  words[3] = 16
  words[6] = 63
  const lba28 = Math.min(sectors, MAXIMUM_LBA28)
  words[60] = lba28 & 0xffff
  words[61] = lba28 >>> 16
  for (let i = 0; i < 4; i++) words[100 + i] = Math.floor(sectors / 0x10000 ** i) & 0xffff
  // One logical sector of 512 bytes in a physical one.
  words[106] = 0x4000
}
function transfer(words: Uint16Array, mode: number): void {
  const kind = mode >> 3
  const selected = (wanted: number) => (kind === wanted ? 1 << (8 + (mode & 7)) : 0)
  words[47] = 0x8000
  words[48] = 0x4000
  words[49] = 0x0f00
  words[50] = 0x4000
  words[53] = 0x0006
  words[63] = 0x0007 | selected(TRANSFER_KIND.MULTIWORD)
  words[64] = 0x0003
  for (let i = 65; i <= 68; i++) words[i] = 120
  words[75] = QUEUE_DEPTH - 1
  // NCQ, Gen1 to Gen3; Gen3 now.
  words[76] = 0x010e
  words[77] = 0x0006
  words[88] = 0x007f | selected(TRANSFER_KIND.ULTRA)
}
function features(words: Uint16Array, { writeCache, lookAhead }: IdentityFacts): void {
  // Power management, write cache, look-ahead; 48-bit, both flushes; general purpose logging.
  words[82] = 0x0068
  words[83] = 0x7400
  words[84] = 0x4020
  words[85] = 0x0008 | (writeCache ? 0x0020 : 0) | (lookAhead ? 0x0040 : 0)
  words[86] = 0x3400
  words[87] = 0x4020
}
