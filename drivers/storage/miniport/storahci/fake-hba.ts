/** For tests only: an HBA with one port and a disk, as much of [AHCI] as the driver can see, driven by hand. */
import { view } from '#drivers/lib/bytes'
import type { COMMON_BUFFER } from '#wdm'
import type { Registers } from './hw.ts'

const P = 0x100
export interface Seen {
  readonly slot: number
  readonly command: number
  readonly lba: number
  readonly prdt: readonly { address: number; length: number }[]
  readonly ncq: boolean
}
export class FakeHba implements Registers {
  time = 0
  present = true
  ncq = true
  /** Of IDENTIFY. */
  serial = 'S1'
  readonly log: string[] = []
  readonly seen: Seen[] = []
  errorLog: Uint8Array | undefined
  irq = false
  writes = 0
  reads = 0
  private readonly regs = new Map<number, number>()
  private readonly memory: { address: number; bytes: Uint8Array }[] = []
  private next = 0x10000

  constructor() {
    this.regs.set(0x00, (0x40000000 | (31 << 8)) >>> 0)
    this.regs.set(0x0c, 1)
    this.regs.set(0x10, 0x10301)
  }
  reg(offset: number): number {
    return this.regs.get(offset) ?? 0
  }
  set(offset: number, value: number): void {
    this.regs.set(offset, value >>> 0)
  }
  allocate(length: number, alignment: number): COMMON_BUFFER {
    this.next = Math.ceil(this.next / alignment) * alignment
    const buffer = { bytes: new Uint8Array(length), LogicalAddress: this.next, VirtualAddress: this.next }
    this.memory.push({ address: this.next, bytes: buffer.bytes })
    this.next += length
    return buffer
  }
  private at(address: number, length: number): Uint8Array {
    const found = this.memory.find((m) => address >= m.address && address + length <= m.address + m.bytes.byteLength)
    if (!found) throw new Error(`DMA to nowhere: ${address}`)
    return found.bytes.subarray(address - found.address, address - found.address + length)
  }

  // ------------------------------------------------------------ Registers
  now(): number {
    return this.time
  }
  async delay(milliseconds: number): Promise<void> {
    this.time += milliseconds
  }
  async read(offset: number): Promise<number> {
    this.reads++
    return this.reg(offset)
  }
  write(offset: number, value: number): void {
    this.writes++
    switch (offset) {
      case 0x04:
        if (value & 1) this.resetHba()
        else this.set(4, value)
        break
      case 0x08:
      case P + 0x10:
      case P + 0x30:
        this.set(offset, this.reg(offset) & ~value)
        break
      case P + 0x18:
        this.command(value)
        break
      case P + 0x2c:
        if ((value & 0xf) === 0 && (this.reg(offset) & 0xf) === 1) this.comreset()
        this.set(offset, value)
        break
      case P + 0x34:
        this.set(offset, this.reg(offset) | value)
        break
      case P + 0x38:
        this.set(offset, this.reg(offset) | value)
        for (let slot = 0; slot < 32; slot++) if ((value >>> slot) & 1) this.issue(slot)
        break
      default:
        this.set(offset, value)
    }
  }
  private resetHba(): void {
    for (let offset = P; offset < P + 0x80; offset += 4) this.set(offset, 0)
    this.set(4, 0x80000000)
    this.set(P + 0x20, 0x7f)
  }
  private command(value: number): void {
    const cr = value & 1 ? 0x8000 : 0
    const fr = value & 0x10 ? 0x4000 : 0
    if (!(value & 1)) {
      this.set(P + 0x38, 0)
      this.set(P + 0x34, 0)
    }
    this.set(P + 0x18, (value & ~0xc000) | cr | fr)
  }
  private comreset(): void {
    this.log.push('COMRESET')
    this.set(P + 0x28, this.present ? 0x123 : 0)
    this.set(P + 0x20, this.present ? 0x50 : 0x7f)
    this.set(P + 0x24, this.present ? 0x101 : 0xffffffff)
  }

  // ------------------------------------------------------------ commands
  private issue(slot: number): void {
    const header = view(this.at(this.reg(P) + slot * 32, 32))
    const prdtl = header.getUint32(0, true) >>> 16
    const table = view(this.at(header.getUint32(8, true), 0x80 + prdtl * 16))
    const prdt = Array.from({ length: prdtl }, (_, i) => ({
      address: table.getUint32(0x80 + i * 16, true),
      length: (table.getUint32(0x8c + i * 16, true) & 0x3fffff) + 1,
    }))
    const command = table.getUint8(2)
    const lba = (table.getUint32(4, true) & 0xffffff) + (table.getUint32(8, true) & 0xffffff) * 0x1000000
    const ncq = command === 0x60 || command === 0x61
    this.seen.push({ slot, command, lba, prdt, ncq })
    if (command === 0xec) this.answer(slot, prdt, identifyData(this.serial, this.ncq))
    else if (command === 0x2f && this.errorLog) this.answer(slot, prdt, this.errorLog)
    else if (command === 0x2f) this.fail(slot, 0x51, 0x04)
    else if (ncq) this.set(P + 0x38, this.reg(P + 0x38) & ~(2 ** slot))
  }
  private answer(slot: number, prdt: Seen['prdt'], bytes: Uint8Array): void {
    this.at(prdt[0].address, prdt[0].length).set(bytes)
    this.finish(slot)
  }
  /** Ends a command well. */
  finish(...slots: number[]): void {
    for (const slot of slots) {
      this.set(P + 0x38, this.reg(P + 0x38) & ~(2 ** slot))
      this.set(P + 0x34, this.reg(P + 0x34) & ~(2 ** slot))
    }
    this.set(P + 0x20, 0x50)
    this.interrupt(this.ncq ? 0x8 : 0x1)
  }
  /** A task file error; the engine stops with the command's bits set. */
  fail(slot: number, status: number, error: number): void {
    this.set(P + 0x20, status | (error << 8))
    this.set(P + 0x18, (this.reg(P + 0x18) & ~0x1f00) | (slot << 8))
    this.interrupt(0x40000000)
  }
  interrupt(cause: number): void {
    this.set(P + 0x10, this.reg(P + 0x10) | cause)
    this.set(8, 1)
    this.irq = (this.reg(P + 0x14) & this.reg(P + 0x10)) !== 0
  }
}

export function identifyData(
  serial: string,
  ncq: boolean,
  change: (v: DataView) => void = () => undefined,
): Uint8Array {
  const bytes = new Uint8Array(512)
  const v = view(bytes)
  const text = (word: number, length: number, value: string) => {
    const padded = value.padEnd(length * 2)
    for (let i = 0; i < length * 2; i += 2) {
      bytes[word * 2 + i] = padded.charCodeAt(i + 1)
      bytes[word * 2 + i + 1] = padded.charCodeAt(i)
    }
  }
  text(10, 10, serial)
  text(23, 4, '1.0')
  text(27, 20, 'NEPTUNE DISK')
  v.setUint16(75 * 2, 31, true)
  v.setUint16(76 * 2, ncq ? 0x100 : 0, true)
  v.setUint16(83 * 2, 0x4000 | 0x400 | 0x3000, true)
  v.setUint16(84 * 2, 0x4000 | 0x40, true)
  v.setUint16(85 * 2, 0x20, true)
  v.setUint16(87 * 2, 0x4000, true)
  v.setUint32(100 * 2, 0x10000, true)
  change(v)
  return bytes
}
