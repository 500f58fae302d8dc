/**
 * The devices no bus can find: the manifest's `config.devices`, or the ones every PC has.
 *
 * An entry: { "id": "Root\\PNP0303", "instance": "0", "hardwareIds": ["*PNP0303"], "resources": [{ "port": "0x60", "length": 1 },
 * { "irq": 1, "trigger": "edge" }, { "bus": 0 }, { "memory": "0xfed00000", "length": 1024 }] }. Numbers may be '0x…' text.
 *
 * parseChildren(config) throws one clear sentence about the first thing wrong.
 */
import type { IO_RESOURCE_DESCRIPTOR } from '#wdm'

export interface RootChild {
  readonly deviceId: string
  readonly instanceId: string
  readonly hardwareIds: readonly string[]
  readonly compatibleIds: readonly string[]
  readonly requirements: readonly IO_RESOURCE_DESCRIPTOR[]
}
type Entry = Readonly<Record<string, unknown>>

/** [PNP] EISA device ids: 0303 keyboard controller, 0A03 PCI root, 0B00 AT real-time clock. */
const PC: readonly Entry[] = [
  {
    id: 'Root\\PNP0303',
    resources: [
      { port: 0x60, length: 1 },
      { port: 0x64, length: 1 },
      { irq: 1, trigger: 'edge' },
    ],
  },
  { id: 'Root\\PNP0A03', resources: [{ port: 0xcf8, length: 8 }, { bus: 0 }] },
  { id: 'Root\\PNP0B00', resources: [{ port: 0x70, length: 2 }] },
]

const wrong = (where: string, what: string): Error =>
  new Error(`config.devices of pnp: ${where}: ${what}; correct it in launch.json`)

export function parseChildren(config: Readonly<Record<string, unknown>>): readonly RootChild[] {
  const devices = config.devices ?? PC
  if (!Array.isArray(devices)) throw wrong('devices', 'must be a list')
  const children = devices.map((device, i) => parseChild(device, `entry ${i}`))
  const seen = new Set<string>()
  for (const { deviceId, instanceId } of children) {
    const path = `${deviceId}\\${instanceId}`.toUpperCase()
    if (seen.has(path)) throw wrong(path, 'is there twice')
    seen.add(path)
  }
  return children
}

function parseChild(value: unknown, where: string): RootChild {
  const entry = entryOf(value, where)
  const { id, instance = '0', resources = [] } = entry
  if (typeof id !== 'string' || !/^Root\\[^\\/]{1,64}$/i.test(id))
    throw wrong(where, 'id must look like "Root\\PNP0303"')
  if (typeof instance !== 'string' || !/^[^\\/]{1,64}$/.test(instance)) throw wrong(where, 'instance must be text')
  if (!Array.isArray(resources)) throw wrong(where, 'resources must be a list')
  return {
    deviceId: id,
    instanceId: instance,
    hardwareIds: [id, ...textsOf(entry.hardwareIds ?? [`*${id.slice(id.indexOf('\\') + 1)}`], `${where}: hardwareIds`)],
    compatibleIds: textsOf(entry.compatibleIds ?? [], `${where}: compatibleIds`),
    requirements: resources.map((each, i) => requirementOf(entryOf(each, where), `${where}: resources[${i}]`)),
  }
}

function requirementOf(entry: Entry, where: string): IO_RESOURCE_DESCRIPTOR {
  const number = (key: string, maximum: number) => numberOf(entry[key], `${where}: ${key}`, maximum)
  if ('port' in entry) return fixed('Port', number('port', 0xffff), number('length', 0x10000))
  if ('memory' in entry) return fixed('Memory', number('memory', 2 ** 52), number('length', 0xffffffff))
  if ('bus' in entry) return fixed('BusNumber', number('bus', 255), 1)
  if (!('irq' in entry)) throw wrong(where, 'must have port, memory, irq or bus')
  const Trigger = entry.trigger ?? 'edge'
  if (Trigger !== 'edge' && Trigger !== 'level') throw wrong(where, 'trigger must be "edge" or "level"')
  return { ...fixed('Interrupt', number('irq', 255), 1), Trigger, Shared: Trigger === 'level' }
}
/** Wired: there is no other place for it. */
const fixed = (Type: string, Minimum: number, Length: number): IO_RESOURCE_DESCRIPTOR => ({
  Option: 0,
  Type,
  Minimum,
  Maximum: Minimum + Length - 1,
  Length,
  Alignment: 1,
  Shared: false,
  Trigger: '',
})

function entryOf(value: unknown, where: string): Entry {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(where, 'must be an object')
  return value as Entry
}
function textsOf(value: unknown, where: string): readonly string[] {
  const right = Array.isArray(value) && value.every((text) => typeof text === 'string' && text.length <= 200)
  if (!right) throw wrong(where, 'must be a list of texts')
  return value
}
function numberOf(value: unknown, where: string, maximum: number): number {
  const number = typeof value === 'string' ? Number(value) : value
  if (typeof number === 'number' && Number.isInteger(number) && number >= 0 && number <= maximum) return number
  throw wrong(where, `must be a number from 0 to 0x${maximum.toString(16)}`)
}
