/**
 * A PCI host bridge with configuration mechanism #1.
 *
 * Owns CONFIG_ADDRESS and the configuration spaces of all functions. It tells a function's chip what its command
 * register says, over that function's cable; it never touches a function's own registers.
 *
 * [PCI] PCI Local Bus Specification 3.0
 * Ports CF8–CFB (address, dwords only), CFC–CFF (data; byte, word or dword).
 */
import type { Chip } from '#sel4/api'
import { FLOATING_BUS, readBytes, type Width, writeBytes } from '../lib/ports.ts'
import { ConfigSpace } from './config-space.ts'
import type { FunctionConfig } from './functions.ts'
import {
  ADDRESS_ENABLE,
  ADDRESS_MASK,
  CONFIG_ADDRESS,
  CONFIG_DATA,
  HEADER,
  MASTER_ABORT,
  MULTI_FUNCTION,
} from './registers.ts'

export interface PciHostSeams {
  readonly functions: readonly FunctionConfig[]
  /** The command register of the function at the end of `cable` was written. */
  readonly command: (cable: string, command: number) => void
}
interface PciSlot {
  readonly config: FunctionConfig
  readonly space: ConfigSpace
}
/** Bus, device and function as in CONFIG_ADDRESS bits 23–8. */
const selector = (bus: number, device: number, number: number): number => (bus << 8) | (device << 3) | number

export class PciHost implements Chip {
  private readonly seams: PciHostSeams
  private readonly slots = new Map<number, PciSlot>()
  private address = 0

  constructor(seams: PciHostSeams) {
    this.seams = seams
    for (const config of seams.functions) {
      const space = new ConfigSpace(config, this.multiFunctionBit(config))
      this.slots.set(selector(config.bus, config.device, config.function), { config, space })
      if (config.command) this.tellFunction({ config, space })
    }
  }
  private multiFunctionBit({ bus, device }: FunctionConfig): number {
    const siblings = this.seams.functions.filter((other) => other.bus === bus && other.device === device)
    return siblings.length > 1 ? MULTI_FUNCTION : 0
  }

  /**
   * The bridge's own register. The configuration spaces belong to functions that may be at work for other drivers: a
   * bus driver's death must not take bus mastering from a running disk.
   */
  reset(): void {
    this.address = 0
  }

  portIn(port: number, width: Width): number {
    if (port === CONFIG_ADDRESS && width === 4) return this.address
    if (port === CONFIG_DATA && width === 4 && !this.selected()) return MASTER_ABORT
    return readBytes(port, width, (at) => (at >= CONFIG_DATA ? this.readData(at - CONFIG_DATA) : FLOATING_BUS))
  }
  portOut(port: number, width: Width, value: number): void {
    if (port === CONFIG_ADDRESS && width === 4) this.address = (value & ADDRESS_MASK) >>> 0
    if (port < CONFIG_DATA) return
    const lanes = Math.min(width, CONFIG_DATA + 4 - port) as Width
    writeBytes(port, lanes, value, (at, byte) => this.writeData(at - CONFIG_DATA, byte))
    const first = (this.address & 0xfc) + port - CONFIG_DATA
    const slot = this.selected()
    if (slot && first < HEADER.STATUS && first + lanes > HEADER.COMMAND) this.tellFunction(slot)
  }

  /** The function CONFIG_ADDRESS names, if the mechanism is enabled and one is there. */
  private selected(): PciSlot | undefined {
    return this.address >= ADDRESS_ENABLE ? this.slots.get((this.address >>> 8) & 0xffff) : undefined
  }
  private readData(lane: number): number {
    return lane < 4 ? (this.selected()?.space.read((this.address & 0xfc) + lane) ?? FLOATING_BUS) : FLOATING_BUS
  }
  private writeData(lane: number, byte: number): void {
    this.selected()?.space.write((this.address & 0xfc) + lane, byte)
  }
  private tellFunction({ config, space }: PciSlot): void {
    if (config.cable !== undefined) this.seams.command(config.cable, space.command)
  }
}
