/**
 * A command slot in host memory: header, command FIS and physical region descriptors, read by DMA.
 *
 *   new CommandSlot(dma, listAddress, slot)   fetches the header
 *   fis()                                     the command FIS, copied once: software cannot change it under way
 *   toHost(n) / fromHost(n)                   views of n bytes of the described buffer, in order
 *   storeByteCount()                          PRDBC, after a transfer
 *
 * Throws DmaFault for memory the IOMMU does not grant, TransferError for descriptors the HBA cannot work with.
 *
 * [AHCI] 4.2.2 command list, 4.2.3 command table
 */
import type { Machine } from '#sel4/api'
import { lengthOf, type Views } from '../lib/views.ts'
import type { DataPhase } from './ata-disk.ts'
import {
  COMMAND_HEADER_BYTES,
  CTBA_MASK,
  FIS,
  HEADER,
  IS,
  PRD_BYTES,
  PRD_DBC,
  PRD_I_SHIFT,
  PRDBC_OFFSET,
  PRDT_OFFSET,
} from './registers.ts'
import { REGISTER_FIS_BYTES } from './fis.ts'

export type Dma = Machine['dma']

/** The HBA cannot go on with this command; `interrupt` is the PxIS bit that says so. */
export class TransferError extends Error {
  readonly interrupt: number
  constructor(interrupt: number, what: string) {
    super(what)
    this.name = 'TransferError'
    this.interrupt = interrupt
  }
}

/** Descriptors fetched at a time: one fetch serves the transfers of a page-wise buffer up to 128 KiB. */
const PRD_BATCH = 32

export class CommandSlot implements DataPhase {
  /** Bytes the disk moved: what PRDBC reports. */
  transferred = 0
  /** A descriptor with its I bit set was used up. */
  descriptorInterrupt = false
  readonly clearBusy: boolean
  private readonly dma: Dma
  private readonly headerAddress: number
  private readonly tableAddress: number
  private readonly descriptors: number
  private readonly fisDwords: number

  constructor(dma: Dma, listAddress: number, slot: number) {
    this.dma = dma
    this.headerAddress = listAddress + slot * COMMAND_HEADER_BYTES
    const header = this.fetch(this.headerAddress, COMMAND_HEADER_BYTES)
    const first = dword(header, 0)
    this.fisDwords = first & HEADER.CFL
    this.clearBusy = (first & HEADER.C) !== 0
    this.descriptors = first >>> HEADER.PRDTL_SHIFT
    this.tableAddress = ((dword(header, 8) & CTBA_MASK) >>> 0) + dword(header, 12) * 0x100000000
  }

  fis(): Uint8Array {
    if (this.fisDwords * 4 < REGISTER_FIS_BYTES) throw new TransferError(IS.IFS, 'command FIS too short')
    const fis = this.fetch(this.tableAddress, REGISTER_FIS_BYTES).slice()
    if (fis[0] !== FIS.H2D) throw new TransferError(IS.IFS, 'command FIS is no register FIS')
    return fis
  }
  toHost(bytes: number): Views {
    return this.gather(bytes, 'write')
  }
  fromHost(bytes: number): Views {
    return this.gather(bytes, 'read')
  }
  storeByteCount(): void {
    const views = this.dma(this.headerAddress + PRDBC_OFFSET, 4, 'write')
    let at = 0
    for (const view of views) for (let i = 0; i < view.length; i++) view[i] = (this.transferred >>> (8 * at++)) & 0xff
  }

  /** Descriptors are used until `bytes` are found: a longer table is legal, a shorter one an overflow. [AHCI] 6.1.6 */
  private gather(bytes: number, access: 'read' | 'write'): Views {
    const views: Uint8Array[] = []
    let left = bytes
    for (let first = 0; left > 0; first += PRD_BATCH) {
      const batch = Math.min(PRD_BATCH, this.descriptors - first)
      if (batch <= 0) throw new TransferError(IS.OFS, 'more data than the descriptors hold')
      const table = this.fetch(this.tableAddress + PRDT_OFFSET + first * PRD_BYTES, batch * PRD_BYTES)
      for (let i = 0; i < batch && left > 0; i++) left -= this.describe(table, i * PRD_BYTES, left, access, views)
    }
    this.transferred = bytes
    return views
  }
  /** Adds one descriptor's memory; returns its bytes. Address and length are even: bit 0 of both is fixed. */
  private describe(table: Uint8Array, at: number, left: number, access: 'read' | 'write', views: Uint8Array[]): number {
    const address = ((dword(table, at) & ~1) >>> 0) + dword(table, at + 4) * 0x100000000
    const last = dword(table, at + 12)
    const length = ((last & PRD_DBC) | 1) + 1
    const used = Math.min(length, left)
    for (const view of this.dma(address, used, access)) views.push(view)
    if (last >>> PRD_I_SHIFT && used === length) this.descriptorInterrupt = true
    return used
  }
  private fetch(address: number, bytes: number): Uint8Array {
    return contiguous(this.dma(address, bytes, 'read'))
  }
}

function contiguous(pieces: readonly Uint8Array[]): Uint8Array {
  if (pieces.length === 1) return pieces[0]
  const whole = new Uint8Array(lengthOf(pieces))
  let at = 0
  for (const piece of pieces) {
    whole.set(piece, at)
    at += piece.length
  }
  return whole
}
function dword(bytes: Uint8Array, at: number): number {
  return (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0
}
