/**
 * Configuration space through ports CF8 (address) and CFC (data).
 *
 *   read32(at, offset), write32(at, offset, value)   dwords, offset a multiple of 4
 *   write16(at, offset, value)                       leaves the other half alone
 *   readBytes / writeBytes                           any range, for IRP_MN_READ_CONFIG and WRITE_CONFIG
 *
 * Address and data are two accesses that belong together [PCI] 3.2.2.3.2: they leave in one go, and ports keep the order in
 * which they were touched. So nothing comes between them, and a hundred of such pairs may be under way at once.
 */
import { type PORT_RANGE, READ_PORT_ULONG, WRITE_PORT_UCHAR, WRITE_PORT_ULONG, WRITE_PORT_USHORT } from '#wdm'
import { CONFIG_ADDRESS_ENABLE } from './hw.ts'

export interface Address {
  readonly bus: number
  readonly device: number
  readonly function: number
}
const DATA = 4

export class ConfigAccess {
  private readonly ports: PORT_RANGE

  constructor(ports: PORT_RANGE) {
    this.ports = ports
  }

  read32(at: Address, offset: number): Promise<number> {
    return this.selected(at, offset, () => READ_PORT_ULONG(this.ports, DATA))
  }
  write32(at: Address, offset: number, value: number): Promise<void> {
    return this.selected(at, offset, () => WRITE_PORT_ULONG(this.ports, DATA, value >>> 0))
  }
  write16(at: Address, offset: number, value: number): Promise<void> {
    return this.selected(at, offset, () => WRITE_PORT_USHORT(this.ports, DATA + (offset & 2), value))
  }
  private write8(at: Address, offset: number, value: number): Promise<void> {
    return this.selected(at, offset, () => WRITE_PORT_UCHAR(this.ports, DATA + (offset & 3), value))
  }
  async readBytes(at: Address, offset: number, length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(length)
    for (let dword = offset & ~3; dword < offset + length; dword += 4) {
      const value = await this.read32(at, dword)
      for (let lane = 0; lane < 4; lane++) {
        const index = dword + lane - offset
        if (index >= 0 && index < length) bytes[index] = (value >>> (8 * lane)) & 0xff
      }
    }
    return bytes
  }
  async writeBytes(at: Address, offset: number, bytes: Uint8Array): Promise<void> {
    for (const [i, byte] of bytes.entries()) await this.write8(at, offset + i, byte)
  }

  private async selected<T>(at: Address, offset: number, access: () => Promise<T>): Promise<T> {
    const address = (at.bus << 16) | (at.device << 11) | (at.function << 8) | (offset & 0xfc)
    const select = WRITE_PORT_ULONG(this.ports, 0, (CONFIG_ADDRESS_ENABLE | address) >>> 0)
    const [, result] = await Promise.all([select, access()])
    return result
  }
}
