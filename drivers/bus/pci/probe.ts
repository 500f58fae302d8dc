/**
 * What is on a bus: each function's header, base addresses with their sizes, and where its MSI capability is.
 *
 *   scan(config, bus)                    the functions present; functions 1–7 only of multi-function devices
 *   sizes(config, at, type)              asks every base address register how long its range is
 *
 * Sizing writes ones into the registers and so takes the function off the bus for a moment: never done to one whose driver may be
 * using it; see fdo.ts. [PCI] 6.2.5.1
 */
import type { Address, ConfigAccess } from './config.ts'
import {
  BAR0,
  BAR_IO,
  BAR_IO_MASK,
  BAR_MEMORY_MASK,
  BAR_TYPE_64,
  BAR_TYPE_MASK,
  BARS_OF,
  CAPABILITIES_POINTER,
  CAPABILITY_MSI,
  COMMAND,
  CONFIG_BYTES,
  DEVICES,
  FUNCTIONS,
  HEADER_TYPE,
  HEADER_TYPE_MASK,
  INTERRUPT_LINE,
  IO_SPACE,
  MEMORY_SPACE,
  MULTI_FUNCTION,
  NO_DEVICE,
  NO_LINE,
  REVISION_CLASS,
  STATUS_CAPABILITIES_LIST,
  SUBSYSTEM,
  VENDOR_ID,
} from './hw.ts'

export interface PciFunction {
  readonly at: Address
  readonly vendorId: number
  readonly deviceId: number
  readonly subsystemId: number
  readonly subsystemVendorId: number
  readonly revision: number
  /** Class, subclass, programming interface. */
  readonly classCode: number
  readonly headerType: number
  /** Offset of the MSI capability. */
  readonly msi?: number
  readonly interruptLine?: number
}
export interface Bar {
  readonly index: number
  readonly io: boolean
  readonly wide: boolean
  readonly base: number
  readonly length: number
}

export async function scan(config: ConfigAccess, bus: number): Promise<readonly PciFunction[]> {
  const devices = Array.from({ length: DEVICES }, (_, device) => functionsOf(config, bus, device))
  return (await Promise.all(devices)).flat()
}
async function functionsOf(config: ConfigAccess, bus: number, device: number): Promise<PciFunction[]> {
  const found: PciFunction[] = []
  for (let number = 0; number < FUNCTIONS; number++) {
    const at = { bus, device, function: number }
    const { present, multiFunction } = await presence(config, at)
    if (present) found.push(await describe(config, at))
    if (number === 0 && !multiFunction) break
  }
  return found
}

async function presence(config: ConfigAccess, at: Address): Promise<{ present: boolean; multiFunction: boolean }> {
  const present = ((await config.read32(at, VENDOR_ID)) & 0xffff) !== NO_DEVICE
  const header = present && at.function === 0 ? (await config.read32(at, HEADER_TYPE)) >>> 16 : 0
  return { present, multiFunction: (header & MULTI_FUNCTION) !== 0 }
}

async function describe(config: ConfigAccess, at: Address): Promise<PciFunction> {
  const id = await config.read32(at, VENDOR_ID)
  const revisionClass = await config.read32(at, REVISION_CLASS)
  const headerType = ((await config.read32(at, HEADER_TYPE)) >>> 16) & HEADER_TYPE_MASK
  const subsystem = headerType === 0 ? await config.read32(at, SUBSYSTEM) : 0
  const interrupt = await config.read32(at, INTERRUPT_LINE)
  const line = interrupt & 0xff
  return {
    at,
    vendorId: id & 0xffff,
    deviceId: id >>> 16,
    subsystemVendorId: subsystem & 0xffff,
    subsystemId: subsystem >>> 16,
    revision: revisionClass & 0xff,
    classCode: revisionClass >>> 8,
    headerType,
    msi: await findCapability(config, at, CAPABILITY_MSI),
    interruptLine: (interrupt >>> 8) & 0xff && line !== NO_LINE ? line : undefined,
  }
}

/** A list of offsets that a broken function may have made a ring: each offset is visited once. */
async function findCapability(config: ConfigAccess, at: Address, id: number): Promise<number | undefined> {
  if (!((await config.read32(at, COMMAND)) & (STATUS_CAPABILITIES_LIST << 16))) return undefined
  const seen = new Set<number>()
  let offset = (await config.read32(at, CAPABILITIES_POINTER)) & 0xfc
  while (offset >= 0x40 && offset < CONFIG_BYTES && !seen.has(offset)) {
    seen.add(offset)
    const header = await config.read32(at, offset)
    if ((header & 0xff) === id) return offset
    offset = (header >>> 8) & 0xfc
  }
  return undefined
}

/** Lengths by register index, 0 for none; the second half of a 64-bit one is none. */
export async function sizes(config: ConfigAccess, at: Address, headerType: number): Promise<readonly number[]> {
  const command = (await config.read32(at, COMMAND)) & 0xffff
  await config.write16(at, COMMAND, command & ~(IO_SPACE | MEMORY_SPACE))
  const lengths: number[] = []
  for (let i = 0; i < (BARS_OF[headerType] ?? 0); i++) lengths.push(await sizeOf(config, at, BAR0 + i * 4, lengths, i))
  await config.write16(at, COMMAND, command)
  return lengths
}
async function sizeOf(config: ConfigAccess, at: Address, offset: number, lengths: readonly number[], index: number) {
  if (index > 0 && lengths[index - 1] > 0 && isWide(await config.read32(at, offset - 4))) return 0
  const value = await config.read32(at, offset)
  const [, answer] = await Promise.all([
    config.write32(at, offset, 0xffffffff),
    config.read32(at, offset),
    config.write32(at, offset, value),
  ])
  const mask = value & BAR_IO ? BAR_IO_MASK : BAR_MEMORY_MASK
  const bits = (answer & mask) >>> 0
  // The lowest bit that can be written is the length; IO ranges are at most 64 KiB.
  return bits === 0 ? 0 : (bits & -bits) >>> 0
}
const isWide = (value: number): boolean => !(value & BAR_IO) && (value & BAR_TYPE_MASK) === BAR_TYPE_64

export async function bars(config: ConfigAccess, at: Address, lengths: readonly number[]): Promise<readonly Bar[]> {
  const found: Bar[] = []
  for (const [index, length] of lengths.entries()) {
    if (length === 0) continue
    const value = await config.read32(at, BAR0 + index * 4)
    const io = (value & BAR_IO) !== 0
    const wide = isWide(value)
    const high = wide ? await config.read32(at, BAR0 + index * 4 + 4) : 0
    found.push({
      index,
      io,
      wide,
      length,
      base: high * 2 ** 32 + ((value & (io ? BAR_IO_MASK : BAR_MEMORY_MASK)) >>> 0),
    })
  }
  return found
}
