/**
 * The configuration space of one function: 256 bytes, each bit read-only, writable or cleared by writing 1.
 *
 *   read(offset) / write(offset, byte)   one byte lane
 *   command                              the command register
 *
 * BARs answer a size probe because their low bits are read-only zeros. A BAR that software moves keeps its new value,
 * but the function's frames stay where the firmware put them: the kernel issued those addresses.
 */
import type { FunctionConfig } from './functions.ts'
import {
  BAR_IO,
  BAR_IO_FLAGS,
  BAR_MEMORY_FLAGS,
  COMMAND,
  CONFIG_BYTES,
  HEADER,
  MSI,
  STATUS_CAPABILITIES_LIST,
  STATUS_WRITE_1_TO_CLEAR,
} from './registers.ts'

export class ConfigSpace {
  private readonly bytes = new Uint8Array(CONFIG_BYTES)
  private readonly writable = new Uint8Array(CONFIG_BYTES)
  private readonly clearable = new Uint8Array(CONFIG_BYTES)

  constructor(config: FunctionConfig, multiFunction: number) {
    this.identity(config)
    this.define(HEADER.HEADER_TYPE, 1, multiFunction)
    for (const bar of config.bars) this.bar(HEADER.BAR0 + bar.index * 4, bar.base, bar.length, bar.io)
    if (config.msi) this.msi()
  }

  get command(): number {
    return this.bytes[HEADER.COMMAND] | (this.bytes[HEADER.COMMAND + 1] << 8)
  }
  read(offset: number): number {
    return this.bytes[offset]
  }
  write(offset: number, byte: number): void {
    const writable = this.writable[offset]
    this.bytes[offset] = ((this.bytes[offset] & ~writable) | (byte & writable)) & ~(byte & this.clearable[offset])
  }

  private define(offset: number, bytes: number, value: number, writable = 0): void {
    for (let i = 0; i < bytes; i++) {
      this.bytes[offset + i] = Math.floor(value / 2 ** (8 * i)) & 0xff
      this.writable[offset + i] = Math.floor(writable / 2 ** (8 * i)) & 0xff
    }
  }
  private identity(config: FunctionConfig): void {
    const decodes = (io: boolean) => config.bars.some((bar) => bar.io === io)
    const spaces = (decodes(true) ? COMMAND.IO_SPACE : 0) | (decodes(false) ? COMMAND.MEMORY_SPACE : 0)
    const errors = COMMAND.PARITY_ERROR_RESPONSE | COMMAND.SERR_ENABLE
    const commands = spaces | COMMAND.BUS_MASTER | errors | COMMAND.INTERRUPT_DISABLE
    this.define(HEADER.VENDOR_ID, 2, config.vendorId)
    this.define(HEADER.DEVICE_ID, 2, config.deviceId)
    this.define(HEADER.COMMAND, 2, config.command & commands, commands)
    this.clearable[HEADER.STATUS + 1] = STATUS_WRITE_1_TO_CLEAR >> 8
    this.define(HEADER.REVISION_ID, 1, config.revision)
    this.define(HEADER.CLASS_CODE, 3, config.classCode)
    this.define(HEADER.CACHE_LINE_SIZE, 1, 0, 0xff)
    this.define(HEADER.SUBSYSTEM_VENDOR_ID, 2, config.subsystemVendor)
    this.define(HEADER.SUBSYSTEM_ID, 2, config.subsystem)
    this.define(HEADER.INTERRUPT_LINE, 1, config.interruptLine, 0xff)
    this.define(HEADER.INTERRUPT_PIN, 1, config.interruptPin)
  }
  private bar(offset: number, base: number, length: number, io: boolean): void {
    const flags = io ? BAR_IO_FLAGS : BAR_MEMORY_FLAGS
    this.define(offset, 4, base + (io ? BAR_IO : 0), ((2 ** 32 - length) & ~flags) >>> 0)
  }
  private msi(): void {
    this.define(HEADER.STATUS, 1, STATUS_CAPABILITIES_LIST)
    this.define(HEADER.CAPABILITIES_POINTER, 1, MSI.OFFSET)
    this.define(MSI.OFFSET, 2, MSI.ID)
    this.define(MSI.OFFSET + MSI.CONTROL, 2, MSI.ADDRESS_64, MSI.ENABLE | MSI.MULTIPLE_MESSAGE_ENABLE)
    this.define(MSI.OFFSET + MSI.ADDRESS, 4, 0, 0xfffffffc)
    this.define(MSI.OFFSET + MSI.ADDRESS_HIGH, 4, 0, 0xffffffff)
    this.define(MSI.OFFSET + MSI.DATA, 2, 0, 0xffff)
  }
}
