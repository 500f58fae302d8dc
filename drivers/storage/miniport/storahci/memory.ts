/**
 * What a port shares with the HBA: the command list, the received FIS area, a command table per slot and a buffer for
 * answers to the driver's own commands. Fills a slot; knows no register. [AHCI] 4.2
 */
import { view } from '#drivers/lib/bytes'
import type { COMMON_BUFFER, SCATTER_GATHER_ELEMENT } from '#wdm'
import { type AtaCommand, transferred, writeHeader, writePrdt, writeRegisterFis } from './fis.ts'
import { COMMAND_LIST_BYTES, COMMAND_TABLE_BYTES, RECEIVED_FIS_BYTES } from './hw.ts'

export type Allocate = (length: number, alignment: number) => COMMON_BUFFER
const ANSWER_BYTES = 512

export class PortMemory {
  readonly listAddress: number
  readonly fisAddress: number
  private readonly list: DataView
  private readonly tables: readonly { readonly at: DataView; readonly address: number }[]
  private readonly answer: COMMON_BUFFER
  private readonly wide: boolean

  /** wide: the HBA takes 64-bit addresses. */
  constructor(allocate: Allocate, slots: number, wide: boolean) {
    const list = allocate(COMMAND_LIST_BYTES, COMMAND_LIST_BYTES)
    this.list = view(list.bytes)
    this.listAddress = list.LogicalAddress
    this.fisAddress = allocate(RECEIVED_FIS_BYTES, RECEIVED_FIS_BYTES).LogicalAddress
    this.tables = Array.from({ length: slots }, () => {
      const table = allocate(COMMAND_TABLE_BYTES, 128)
      return { at: view(table.bytes), address: table.LogicalAddress }
    })
    this.answer = allocate(ANSWER_BYTES, 2)
    this.wide = wide
  }

  /** False: the HBA cannot take these pages. */
  fill(slot: number, ata: AtaCommand, elements: readonly SCATTER_GATHER_ELEMENT[]): boolean {
    const { at, address } = this.tables[slot]
    const entries = writePrdt(at, 0, elements, this.wide)
    if (entries < 0) return false
    writeRegisterFis(at, 0, ata, slot)
    writeHeader(this.list, slot, ata.write, entries, address)
    return true
  }
  /** A command of the driver's own, answered into `answerBytes`. */
  fillOwn(slot: number, ata: AtaCommand): boolean {
    this.answer.bytes.fill(0)
    return this.fill(slot, ata, ata.bytes > 0 ? [{ Address: this.answer.LogicalAddress, Length: ata.bytes }] : [])
  }
  answerBytes(length: number): Uint8Array {
    return this.answer.bytes.slice(0, length)
  }
  transferred(slot: number): number {
    return transferred(this.list, slot)
  }
}
