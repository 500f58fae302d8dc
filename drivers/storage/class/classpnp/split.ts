/** Alignment, range and size of a transfer. Pure. */
import { NT_STATUS, type NTSTATUS } from '#rtl'

export interface Medium {
  readonly sectorSize: number
  readonly sectors: number
}
/** STATUS_SUCCESS, or why the transfer cannot be. */
export function checkTransfer({ sectorSize, sectors }: Medium, offset: number, length: number): NTSTATUS {
  if (offset < 0 || offset % sectorSize !== 0 || length % sectorSize !== 0) return NT_STATUS.STATUS_INVALID_PARAMETER
  return offset + length > sectors * sectorSize ? NT_STATUS.STATUS_NONEXISTENT_SECTOR : NT_STATUS.STATUS_SUCCESS
}
/** Consecutive pieces of at most `most` bytes. */
export function pieces(length: number, most: number): { readonly offset: number; readonly length: number }[] {
  const count = Math.ceil(length / most)
  return Array.from({ length: count }, (_, i) => ({ offset: i * most, length: Math.min(most, length - i * most) }))
}
