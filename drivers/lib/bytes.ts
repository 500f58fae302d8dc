/**
 * Bytes with names for their ends: SCSI is big-endian, ATA and NT little-endian.
 *
 * Pure. A reader past the end of its bytes gets STATUS_DISK_CORRUPT_ERROR, never a RangeError: what is read here is untrusted.
 */
import { StatusError } from '#rtl'

export const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** Two 32-bit halves as one number; above 2^53 the declared error, since nothing that large can be addressed. */
export function joined(high: number, low: number): number {
  if (high >= 0x20_0000) throw new StatusError('STATUS_DISK_CORRUPT_ERROR', 'a 64-bit number out of reach')
  return high * 0x1_0000_0000 + low
}
export const highHalf = (value: number): number => Math.floor(value / 0x1_0000_0000)
export const lowHalf = (value: number): number => value % 0x1_0000_0000

export function bounded(bytes: Uint8Array, offset: number, length: number): Uint8Array {
  if (offset < 0 || length < 0 || offset + length > bytes.byteLength) {
    throw new StatusError('STATUS_DISK_CORRUPT_ERROR', `bytes ${offset}+${length} of ${bytes.byteLength}`)
  }
  return bytes.subarray(offset, offset + length)
}
export function le64(bytes: Uint8Array, offset: number): number {
  const v = view(bounded(bytes, offset, 8))
  return joined(v.getUint32(4, true), v.getUint32(0, true))
}
export function putLe64(v: DataView, offset: number, value: number): void {
  v.setUint32(offset, lowHalf(value), true)
  v.setUint32(offset + 4, highHalf(value), true)
}
export function putBe64(v: DataView, offset: number, value: number): void {
  v.setUint32(offset, highHalf(value))
  v.setUint32(offset + 4, lowHalf(value))
}
export const be64 = (v: DataView, offset: number): number => joined(v.getUint32(offset), v.getUint32(offset + 4))

/** ASCII, padded with spaces to `width`. */
export function putText(bytes: Uint8Array, offset: number, width: number, text: string): void {
  for (let i = 0; i < width; i++) bytes[offset + i] = i < text.length ? text.charCodeAt(i) & 0x7f : 0x20
}
/** UTF-16LE without a terminator. */
export function utf16(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length * 2)
  const v = view(bytes)
  for (let i = 0; i < text.length; i++) v.setUint16(i * 2, text.charCodeAt(i), true)
  return bytes
}
export function fromUtf16(bytes: Uint8Array): string {
  const v = view(bytes)
  let text = ''
  for (let i = 0; i + 1 < bytes.byteLength; i += 2) text += String.fromCharCode(v.getUint16(i, true))
  return text
}
export const hex = (value: number, digits: number): string => value.toString(16).toUpperCase().padStart(digits, '0')
/** A GUID's 16 bytes (Data1..3 little-endian) in the registry's spelling. */
export function guidText(bytes: Uint8Array): string {
  const v = view(bytes)
  const tail = [...bytes.subarray(8, 16)].map((b) => hex(b, 2)).join('')
  const head = [hex(v.getUint32(0, true), 8), hex(v.getUint16(4, true), 4), hex(v.getUint16(6, true), 4)].join('-')
  return `{${head}-${tail.slice(0, 4)}-${tail.slice(4)}}`.toLowerCase()
}
