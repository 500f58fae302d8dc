/**
 * Which functions sit on the bus: the manifest's `config.functions`, checked.
 *
 *   parseFunctions(config)   throws one clear sentence about the first thing wrong
 *
 * Numbers may be written as numbers or as '0x…' strings. An example:
 *
 *   { "address": "00:1f.2", "vendor": "0x8086", "device": "0x2922", "class": "0x010601", "revision": 2,
 *     "subsystemVendor": "0x1af4", "subsystem": "0x1100", "bars": [{ "index": 5, "base": "0xfebf1000", "length": 4096 }],
 *     "interruptPin": 1, "interruptLine": 11, "msi": true, "command": 0, "cable": "pci-ahci0" }
 */
import { BARS } from './registers.ts'

export interface BarConfig {
  readonly index: number
  readonly base: number
  readonly length: number
  readonly io: boolean
}
export interface FunctionConfig {
  readonly bus: number
  readonly device: number
  readonly function: number
  readonly vendorId: number
  readonly deviceId: number
  readonly classCode: number
  readonly revision: number
  readonly subsystemVendor: number
  readonly subsystem: number
  readonly bars: readonly BarConfig[]
  readonly interruptPin: number
  readonly interruptLine: number
  readonly msi: boolean
  /** As the firmware left it. */
  readonly command: number
  readonly cable?: string
}
type Entry = Readonly<Record<string, unknown>>

/** Not connected, for the interrupt line. [PCI] 6.2.4 */
const NO_LINE = 0xff
const KEYS = new Set(
  'address vendor device class revision subsystemVendor subsystem bars interruptPin interruptLine msi command cable'.split(
    ' ',
  ),
)
const wrong = (where: string, what: string): Error =>
  new Error(`config.functions of the PCI host: ${where}: ${what}; correct it in launch.json`)

export function parseFunctions(config: Entry): readonly FunctionConfig[] {
  const list = config.functions ?? []
  if (!Array.isArray(list)) throw wrong('functions', 'must be a list')
  const functions = list.map((entry, i) => parseFunction(entry, `entry ${i}`))
  const seen = new Set<string>()
  for (const { bus, device, function: number } of functions) {
    const address = `${bus}:${device}.${number}`
    if (seen.has(address)) throw wrong(address, 'two functions have this address')
    seen.add(address)
  }
  return functions
}
function parseFunction(value: unknown, where: string): FunctionConfig {
  const entry = objectOf(value, where)
  const unknown = Object.keys(entry).find((key) => !KEYS.has(key))
  if (unknown) throw wrong(where, `unknown key "${unknown}"`)
  const number = (key: string, maximum: number, usual?: number) =>
    numberOf(entry[key], `${where}: ${key}`, maximum, usual)
  return {
    ...addressOf(entry.address, where),
    vendorId: number('vendor', 0xfffe),
    deviceId: number('device', 0xffff),
    classCode: number('class', 0xffffff),
    revision: number('revision', 0xff, 0),
    subsystemVendor: number('subsystemVendor', 0xffff, 0),
    subsystem: number('subsystem', 0xffff, 0),
    bars: barsOf(entry.bars ?? [], where),
    interruptPin: number('interruptPin', 4, 0),
    interruptLine: number('interruptLine', 0xff, NO_LINE),
    msi: entry.msi === true,
    command: number('command', 0xffff, 0),
    ...(typeof entry.cable === 'string' && { cable: entry.cable }),
  }
}
function objectOf(value: unknown, where: string): Entry {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(where, 'must be an object')
  return value as Entry
}
function numberOf(value: unknown, where: string, maximum: number, usual?: number): number {
  const number = value === undefined && usual !== undefined ? usual : typeof value === 'string' ? Number(value) : value
  if (typeof number === 'number' && Number.isInteger(number) && number >= 0 && number <= maximum) return number
  throw wrong(where, `must be a number from 0 to 0x${maximum.toString(16)}`)
}
/** bus:device.function in hexadecimal, as lspci prints it. */
function addressOf(value: unknown, where: string): { bus: number; device: number; function: number } {
  const match = /^([0-9a-f]{1,2}):([01]?[0-9a-f])\.([0-7])$/i.exec(typeof value === 'string' ? value : '')
  if (!match) throw wrong(where, 'address must look like "00:1f.2"')
  const [bus, device, number] = match.slice(1).map((digits) => Number.parseInt(digits, 16))
  return { bus, device, function: number }
}
function barsOf(value: unknown, where: string): readonly BarConfig[] {
  if (!Array.isArray(value)) throw wrong(where, 'bars must be a list')
  return value.map((each, i) => barOf(objectOf(each, `${where}: bars[${i}]`), `${where}: bars[${i}]`))
}
/** Sizes are powers of two and bases multiples of them: all a BAR can express. [PCI] 6.2.5.1 */
function barOf(bar: Entry, where: string): BarConfig {
  const io = bar.kind === 'io'
  const index = numberOf(bar.index, `${where}: index`, BARS - 1)
  const base = numberOf(bar.base, `${where}: base`, 0xffffffff)
  const length = numberOf(bar.length, `${where}: length`, 0x80000000)
  const powerOfTwo = length >= (io ? 4 : 16) && 2 ** Math.round(Math.log2(length)) === length
  if (!powerOfTwo || base % length !== 0) throw wrong(where, 'length must be a power of two and base a multiple of it')
  return { index, base, length, io }
}
