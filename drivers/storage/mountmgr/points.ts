/**
 * The mount manager's database and its messages: which names lead to which volume. Pure.
 *
 *   PointDatabase          points; assign(volumes) gives letters and volume names; encode/decode for the next life
 *   parsePoint, MOUNTMGR_MOUNT_POINTS …   the byte layouts of mountmgr.h, names in UTF-16LE
 */
import { fromUtf16, guidText, utf16, view } from '#drivers/lib/bytes'
import { StatusError } from '#rtl'

export interface Volume {
  readonly deviceName: string
  readonly uniqueId: Uint8Array
}
export interface Point {
  readonly link: string
  readonly volume: Volume
}
const DOS_DEVICES = '\\DosDevices\\'
/** Hard disks begin at C:, as in NT. */
const FIRST_LETTER = 0x43
const LAST_LETTER = 0x5a
export const letterLink = (letter: number): string => `${DOS_DEVICES}${String.fromCharCode(letter)}:`
export const isLetterLink = (link: string): boolean => /^\\DosDevices\\[A-Z]:$/i.test(link)
export const isVolumeLink = (link: string): boolean => /^\\\?\?\\Volume\{[0-9a-f-]{36}\}$/i.test(link)

/**
 * The same GUID for the same volume in every life and on every machine: sixteen bytes of hash over its unique id, marked as
 * version 8, which leaves the content to its maker. [RFC 9562] 5.8
 */
export function volumeGuid(uniqueId: Uint8Array): string {
  const bytes = new Uint8Array(16)
  for (let i = 0; i < 4; i++) view(bytes).setUint32(i * 4, fnv1a(uniqueId, i), true)
  bytes[7] = (bytes[7] & 0x0f) | 0x80
  bytes[8] = (bytes[8] & 0x3f) | 0x80
  return guidText(bytes)
}
function fnv1a(bytes: Uint8Array, seed: number): number {
  let hash = Math.imul(0x811c9dc5 ^ seed, 0x01000193)
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b)
  return (hash ^ (hash >>> 13)) >>> 0
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.byteLength === b.byteLength && a.every((byte, i) => byte === b[i])
const sameName = (a: string, b: string): boolean => a.toUpperCase() === b.toUpperCase()

/** What survives: a link and the identity of its volume; which device that is now, the volumes themselves say. */
interface Saved {
  readonly link: string
  readonly id: readonly number[]
}
export class PointDatabase {
  private readonly saved: { link: string; id: Uint8Array }[]
  constructor(saved: readonly { readonly link: string; readonly id: Uint8Array }[] = []) {
    this.saved = [...saved]
  }
  /** The points of the present volumes. */
  points(volumes: readonly Volume[]): Point[] {
    return this.saved.flatMap(({ link, id }) => {
      const volume = volumes.find(({ uniqueId }) => sameBytes(uniqueId, id))
      return volume ? [{ link, volume }] : []
    })
  }
  /** Every volume gets its name, and, with `letters`, a letter if it has none and one is free. The new points. */
  assign(volumes: readonly Volume[], letters: boolean): Point[] {
    return volumes.flatMap((volume) => {
      const added: Point[] = []
      const add = (link: string) => {
        this.saved.push({ link, id: volume.uniqueId })
        added.push({ link, volume })
      }
      if (!this.has(volume, isVolumeLink)) add(`\\??\\Volume${volumeGuid(volume.uniqueId)}`)
      const letter = letters && !this.has(volume, isLetterLink) ? this.freeLetter() : undefined
      if (letter !== undefined) add(letterLink(letter))
      return added
    })
  }
  letterOf(volume: Volume): string | undefined {
    return this.points([volume]).find(({ link }) => isLetterLink(link))?.link
  }
  /** False: the name is taken by another volume. */
  create(link: string, volume: Volume): boolean {
    const old = this.saved.find((saved) => sameName(saved.link, link))
    if (old) return sameBytes(old.id, volume.uniqueId)
    this.saved.push({ link, id: volume.uniqueId })
    return true
  }
  remove(points: readonly Point[]): void {
    for (const { link } of points) {
      const at = this.saved.findIndex((saved) => sameName(saved.link, link))
      if (at >= 0) this.saved.splice(at, 1)
    }
  }
  private has(volume: Volume, kind: (link: string) => boolean): boolean {
    return this.saved.some(({ link, id }) => kind(link) && sameBytes(id, volume.uniqueId))
  }
  private freeLetter(): number | undefined {
    for (let letter = FIRST_LETTER; letter <= LAST_LETTER; letter++) {
      if (!this.saved.some(({ link }) => sameName(link, letterLink(letter)))) return letter
    }
    return undefined
  }
  /** At most `limit` bytes; the newest points are left out first. */
  encode(limit: number): Uint8Array {
    for (let count = this.saved.length; ; count--) {
      const saved: Saved[] = this.saved.slice(0, count).map(({ link, id }) => ({ link, id: [...id] }))
      const bytes = new TextEncoder().encode(JSON.stringify(saved))
      if (bytes.byteLength <= limit) return bytes
    }
  }
  static decode(bytes: Uint8Array): PointDatabase {
    const saved: Saved[] = bytes.byteLength === 0 ? [] : JSON.parse(new TextDecoder().decode(bytes))
    return new PointDatabase(saved.map(({ link, id }) => ({ link, id: Uint8Array.from(id) })))
  }
}

// ---------------------------------------------------------------- layouts
function part(input: Uint8Array, offset: number, length: number): Uint8Array {
  if (offset + length > input.byteLength) throw new StatusError('STATUS_INVALID_PARAMETER')
  return input.subarray(offset, offset + length)
}
function name(input: Uint8Array, offset: number, length: number): string {
  if (length % 2 !== 0) throw new StatusError('STATUS_INVALID_PARAMETER')
  return fromUtf16(part(input, offset, length))
}
/** MOUNTMGR_CREATE_POINT_INPUT: two names as USHORT offset and length. */
export function parseCreatePoint(input: Uint8Array): { readonly link: string; readonly deviceName: string } {
  const v = view(part(input, 0, 8))
  const at = (i: number) => v.getUint16(i, true)
  return { link: name(input, at(0), at(2)), deviceName: name(input, at(4), at(6)) }
}
export interface PointPattern {
  readonly link?: string
  readonly uniqueId?: Uint8Array
  readonly deviceName?: string
}
const POINT_BYTES = 24
/** MOUNTMGR_MOUNT_POINT as a question: a field of length 0 is not asked about. */
export function parsePoint(input: Uint8Array): PointPattern {
  const v = view(part(input, 0, POINT_BYTES))
  const field = (i: number): [number, number] => [v.getUint32(i, true), v.getUint16(i + 4, true)]
  const [link, id, device] = [field(0), field(8), field(16)]
  return {
    ...(link[1] > 0 && { link: name(input, ...link) }),
    ...(id[1] > 0 && { uniqueId: part(input, ...id) }),
    ...(device[1] > 0 && { deviceName: name(input, ...device) }),
  }
}
export const matches = ({ link, volume }: Point, pattern: PointPattern): boolean =>
  (pattern.link === undefined || sameName(pattern.link, link)) &&
  (pattern.uniqueId === undefined || sameBytes(pattern.uniqueId, volume.uniqueId)) &&
  (pattern.deviceName === undefined || sameName(pattern.deviceName, volume.deviceName))

/** Header and as many points as there are, then the names they point at. */
export function MOUNTMGR_MOUNT_POINTS(points: readonly Point[]): Uint8Array {
  const HEADER = 8
  const fields = points.map(({ link, volume }) => [utf16(link), volume.uniqueId, utf16(volume.deviceName)])
  const size = HEADER + points.length * POINT_BYTES + fields.flat().reduce((sum, bytes) => sum + bytes.byteLength, 0)
  const bytes = new Uint8Array(size)
  const v = view(bytes)
  v.setUint32(0, size, true)
  v.setUint32(4, points.length, true)
  let at = HEADER + points.length * POINT_BYTES
  fields.forEach((triple, i) => {
    triple.forEach((field, k) => {
      v.setUint32(HEADER + i * POINT_BYTES + k * 8, at, true)
      v.setUint16(HEADER + i * POINT_BYTES + k * 8 + 4, field.byteLength, true)
      bytes.set(field, at)
      at += field.byteLength
    })
  })
  return bytes
}
/** MOUNTMGR_DRIVE_LETTER_TARGET. */
export const parseTarget = (input: Uint8Array): string => name(input, 2, view(part(input, 0, 2)).getUint16(0, true))
/** MOUNTMGR_DRIVE_LETTER_INFORMATION: 0 for no letter. */
export const MOUNTMGR_DRIVE_LETTER_INFORMATION = (assigned: boolean, link: string | undefined): Uint8Array =>
  Uint8Array.from([assigned ? 1 : 0, link ? link.charCodeAt(DOS_DEVICES.length) : 0])
/** MOUNTDEV_UNIQUE_ID; empty when it lies about its length. */
export function parseUniqueId(bytes: Uint8Array): Uint8Array | undefined {
  if (bytes.byteLength < 2) return undefined
  const length = view(bytes).getUint16(0, true)
  return length > 0 && length + 2 <= bytes.byteLength ? bytes.slice(2, 2 + length) : undefined
}
