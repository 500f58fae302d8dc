/**
 * Byte-wide chips on a bus with wider accesses.
 *
 *   readBytes(width, read)           a word or dword read of an 8-bit device: consecutive ports, low byte first
 *   writeBytes(width, value, write)  the same for writes
 *
 * An ISA cycle wider than the device is split by the bus into byte cycles at rising addresses. [ISA] 3.2
 */
export type Width = 1 | 2 | 4

export function readBytes(port: number, width: Width, read: (port: number) => number): number {
  let value = 0
  for (let i = 0; i < width; i++) value += (read(port + i) & 0xff) * 2 ** (8 * i)
  return value
}
export function writeBytes(
  port: number,
  width: Width,
  value: number,
  write: (port: number, byte: number) => void,
): void {
  for (let i = 0; i < width; i++) write(port + i, (value >>> (8 * i)) & 0xff)
}
/** What the pulled-up data lines read where nothing answers. */
export const FLOATING_BUS = 0xff
