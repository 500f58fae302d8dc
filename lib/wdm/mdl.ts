/**
 * Arithmetic on page lists: a part of one, the one of a contiguous run, and its physical addresses.
 *
 * An MDL names pages as (page frame number, count) pairs; its first byte is ByteOffset into the first page.
 */
import type { MDL, SCATTER_GATHER_ELEMENT } from './api.ts'
import { PAGE_SIZE } from './constants.ts'

/** The MDL of [offset, +length) of another. */
export function sliceMdl(mdl: MDL, offset: number, length: number): MDL {
  if (offset < 0 || length < 0 || offset + length > mdl.ByteCount)
    throw new Error(`[${offset}, +${length}) is outside of an MDL of ${mdl.ByteCount} bytes`)
  if (offset === 0 && length === mdl.ByteCount) return mdl
  const first = mdl.ByteOffset + offset
  const ByteOffset = first % PAGE_SIZE
  const pages = Math.ceil((ByteOffset + length) / PAGE_SIZE)
  return { ByteOffset, ByteCount: length, Runs: sliceRuns(mdl.Runs, Math.floor(first / PAGE_SIZE), pages) }
}

function sliceRuns(runs: readonly number[], skip: number, pages: number): number[] {
  const result: number[] = []
  for (let i = 0; i < runs.length && pages > 0; i += 2) {
    const count = runs[i + 1]
    const inside = Math.min(count - skip, pages)
    if (inside > 0) result.push(runs[i] + skip, inside)
    pages -= Math.max(inside, 0)
    skip = Math.max(0, skip - count)
  }
  return result
}

/** The MDL of physically contiguous memory. */
export function mdlOfRun(physicalAddress: number, length: number): MDL {
  const ByteOffset = physicalAddress % PAGE_SIZE
  const pages = Math.max(1, Math.ceil((ByteOffset + length) / PAGE_SIZE))
  return { ByteOffset, ByteCount: length, Runs: [Math.floor(physicalAddress / PAGE_SIZE), pages] }
}

export function GetScatterGatherList(
  Mdl: MDL,
  offset: number,
  length: number,
  maxElement: number = Number.MAX_SAFE_INTEGER,
): SCATTER_GATHER_ELEMENT[] {
  const part = sliceMdl(Mdl, offset, length)
  const list: { Address: number; Length: number }[] = []
  let left = length
  let skip = part.ByteOffset
  for (let i = 0; i < part.Runs.length && left > 0; i += 2) {
    const bytes = Math.min(part.Runs[i + 1] * PAGE_SIZE - skip, left)
    append(list, part.Runs[i] * PAGE_SIZE + skip, bytes, maxElement)
    left -= bytes
    skip = 0
  }
  if (left > 0) throw new Error(`an MDL of ${Mdl.ByteCount} bytes has too few pages`)
  return list
}

function append(list: { Address: number; Length: number }[], address: number, bytes: number, maxElement: number): void {
  const last = list.at(-1)
  if (last && last.Address + last.Length === address) {
    const more = Math.min(bytes, maxElement - last.Length)
    last.Length += more
    address += more
    bytes -= more
  }
  for (; bytes > 0; bytes -= maxElement, address += maxElement)
    list.push({ Address: address, Length: Math.min(bytes, maxElement) })
}
