/** IDENTIFY DEVICE data as facts. Pure; the bytes are untrusted. [ATA8-ACS] 7.16 */
import { joined, view } from '#drivers/lib/bytes'
import { StatusError } from '#rtl'

export interface Identity {
  readonly model: string
  readonly serial: string
  readonly revision: string
  readonly sectors: number
  readonly sectorSize: number
  /** log2 of logical sectors in a physical one. */
  readonly physicalExponent: number
  readonly ext: boolean
  /** 0: not supported. */
  readonly queueDepth: number
  readonly fua: boolean
  readonly flush: boolean
  readonly flushExt: boolean
  readonly writeCache: boolean
  /** 0 not reported, 1 solid state, else rpm. */
  readonly rotation: number
}
const WORDS = 256
/** No sector is larger than a page; a device that claims otherwise is not one we can share buffers with. */
const SECTOR_MAX = 4096

export function parseIdentify(bytes: Uint8Array): Identity {
  if (bytes.byteLength < WORDS * 2) throw new StatusError('STATUS_DEVICE_DATA_ERROR', 'short IDENTIFY data')
  const v = view(bytes)
  const word = (n: number) => v.getUint16(n * 2, true)
  if (word(0) & 0x8000) throw new StatusError('STATUS_NOT_SUPPORTED', 'not an ATA device')
  checkSum(bytes)
  /** Words 82–84 and 85–87 hold facts only when bits 15:14 of 83 and 87 are 01. */
  const sets = (word(83) & 0xc000) === 0x4000
  const enabled = (word(87) & 0xc000) === 0x4000
  const ext = sets && (word(83) & 0x400) !== 0
  return {
    model: text(bytes, 27, 20),
    serial: text(bytes, 10, 10),
    revision: text(bytes, 23, 4),
    sectors: ext ? joined(v.getUint32(204, true), v.getUint32(200, true)) : v.getUint32(120, true),
    ...sectorSizes(word),
    ext,
    queueDepth: word(76) !== 0xffff && word(76) & 0x100 ? (word(75) & 0x1f) + 1 : 0,
    fua: (word(84) & 0xc040) === 0x4040,
    flush: sets && (word(83) & 0x1000) !== 0,
    flushExt: sets && (word(83) & 0x2000) !== 0,
    writeCache: enabled && (word(85) & 0x20) !== 0,
    rotation: word(217) === 0xffff ? 0 : word(217),
  }
}
/** Word 255: with the signature A5h in its low byte, all 512 bytes add up to zero. [ATA8-ACS] 7.16.7.91 */
function checkSum(bytes: Uint8Array): void {
  if (bytes[510] !== 0xa5) return
  let sum = 0
  for (let i = 0; i < WORDS * 2; i++) sum += bytes[i]
  if (sum & 0xff) throw new StatusError('STATUS_DEVICE_DATA_ERROR', 'IDENTIFY data with a wrong checksum')
}
function sectorSizes(word: (n: number) => number): { sectorSize: number; physicalExponent: number } {
  const facts = (word(106) & 0xc000) === 0x4000 ? word(106) : 0
  const sectorSize = facts & 0x1000 ? (word(117) | (word(118) << 16)) * 2 : 512
  if (sectorSize < 512 || sectorSize > SECTOR_MAX || sectorSize & (sectorSize - 1)) {
    throw new StatusError('STATUS_DEVICE_DATA_ERROR', `sectors of ${sectorSize} bytes`)
  }
  return { sectorSize, physicalExponent: facts & 0x2000 ? facts & 0xf : 0 }
}
/** ATA strings have the bytes of each word swapped. [ATA8-ACS] 3.3.10 */
function text(bytes: Uint8Array, firstWord: number, words: number): string {
  let result = ''
  for (let i = firstWord * 2; i < (firstWord + words) * 2; i += 2) {
    for (const code of [bytes[i + 1], bytes[i]]) result += code > 0x20 && code < 0x7f ? String.fromCharCode(code) : ' '
  }
  return result.trim()
}
/** SCSI's vendor and product out of ATA's one model name: the first word, when it is short enough, is the vendor. */
export function inquiryOf({ model, revision }: Identity): { vendor: string; product: string; revision: string } {
  const space = model.indexOf(' ')
  const split = space > 0 && space <= 8
  return {
    vendor: split ? model.slice(0, space) : 'ATA',
    product: (split ? model.slice(space + 1).trim() : model).slice(0, 16).trim() || 'DISK',
    revision: revision.slice(0, 4).trim(),
  }
}
