/**
 * Ceilings: what each process may ever hold, whatever the root task tries to give it.
 *
 *   deriveCeilings(manifest)                    name → Ceiling
 *   mayHold(ceilings, process, capability)      the kernel asks before it gives or copies a capability
 *   capabilityTable(manifest)                   the same as text: a change of it is a change of authority
 *
 * A driver's ceiling is what its driver.json needs within what the manifest's devices have. "assigned" means the resources
 * of devices that nobody has a claim on: a device is claimed when the root task keeps it (root.devices) or some driver
 * names one of its resources. So a disk driver whose interrupt PnP assigns can never be given the keyboard's.
 */
import type { MmioRange, PortRange } from '#sel4/api'
import { type CheckedManifest, type Manifest, type ManifestDevice, type ManifestImage, PANEL } from './manifest.ts'
import { hex, sizeText } from './units.ts'

/** What a capability to an endpoint lets its holder do, in seL4's words (receive = read, send = write). */
export type EndpointRight = 'read' | 'write' | 'grant' | 'grantReply'

export type Capability =
  | { readonly kind: 'endpoint'; readonly name: string; readonly rights: readonly EndpointRight[] }
  /** An endpoint or notification the process asked the kernel for itself, or one that the root task made. */
  | { readonly kind: 'notification' }
  | { readonly kind: 'ioPort'; readonly first: number; readonly last: number }
  | { readonly kind: 'irqHandler'; readonly irq: number }
  | { readonly kind: 'deviceFrame'; readonly base: number; readonly length: number }
  | { readonly kind: 'deviceMemory'; readonly base: number; readonly length: number }
  | { readonly kind: 'memory'; readonly bank: string; readonly bytes: number }
  | { readonly kind: 'dma'; readonly device: string }

export type Role = 'root' | 'panel' | 'device' | 'image'
export interface EndpointCeiling {
  readonly name: string
  readonly rights: readonly EndpointRight[]
}
export interface Ceiling {
  readonly name: string
  readonly role: Role
  readonly endpoints: readonly EndpointCeiling[]
  readonly ports: readonly PortRange[]
  readonly irqs: readonly number[]
  /** Register frames of devices. */
  readonly frames: readonly MmioRange[]
  readonly deviceMemory: readonly MmioRange[]
  /** Memory by bank: an image's arena, or all of a bank for the root task. */
  readonly memory: readonly { readonly bank: string; readonly bytes: number }[]
  /** Devices whose IOMMU table it may change (the root task), by name. */
  readonly dma: readonly string[]
  /** A device's own side: it answers for these resources; not capabilities that anybody can be given. */
  readonly serves?: Pick<ManifestDevice, 'ports' | 'irqs' | 'mmio' | 'memory' | 'dma'>
}
export type Ceilings = ReadonlyMap<string, Ceiling>

/** The endpoint of the root task that every image calls. */
export const ROOT_ENDPOINT = 'executive'
const SERVER: readonly EndpointRight[] = ['read']
const CALLER: readonly EndpointRight[] = ['write', 'grantReply']

const NOTHING = { endpoints: [], ports: [], irqs: [], frames: [], deviceMemory: [], memory: [], dma: [] } as const

export function deriveCeilings(manifest: CheckedManifest): Ceilings {
  const all = [
    rootCeiling(manifest),
    ...(manifest.panel
      ? [{ ...NOTHING, name: PANEL, role: 'panel' as const, endpoints: cablesOf(manifest, PANEL) }]
      : []),
    ...manifest.devices.map((device) => deviceCeiling(manifest, device)),
    ...manifest.images.map((image) => imageCeiling(manifest, image)),
  ]
  return new Map(all.map((ceiling) => [ceiling.name, ceiling]))
}

function rootCeiling({ root, devices, banks }: Manifest): Ceiling {
  return {
    name: root.image,
    role: 'root',
    endpoints: [{ name: ROOT_ENDPOINT, rights: ['read', ...CALLER, 'grant'] }],
    ports: devices.flatMap(({ ports }) => ports),
    irqs: [...new Set(devices.flatMap(({ irqs }) => irqs.map(({ irq }) => irq)))],
    frames: devices.flatMap(({ mmio }) => mmio),
    deviceMemory: devices.flatMap(({ memory }) => memory),
    memory: banks.filter(({ name }) => root.banks.includes(name)).map(({ name, bytes }) => ({ bank: name, bytes })),
    dma: devices.filter(({ dma }) => dma).map(({ name }) => name),
  }
}

function deviceCeiling(manifest: Manifest, { name, ports, irqs, mmio, memory, dma }: ManifestDevice): Ceiling {
  return {
    ...NOTHING,
    name,
    role: 'device',
    endpoints: cablesOf(manifest, name),
    serves: { ports, irqs, mmio, memory, dma },
  }
}

const cablesOf = ({ cables }: Manifest, process: string): EndpointCeiling[] => [
  ...cables.filter(({ server }) => server === process).map(({ name }) => ({ name, rights: SERVER })),
  ...cables.filter(({ clients }) => clients.includes(process)).map(({ name }) => ({ name, rights: CALLER })),
]

function imageCeiling(manifest: Manifest, { name, needs, arena, bank }: ManifestImage): Ceiling {
  const free = manifest.devices.filter((device) => !isClaimed(manifest, device))
  const either = <T>(need: readonly T[] | 'assigned', of: (device: ManifestDevice) => readonly T[]): readonly T[] =>
    need === 'assigned' ? free.flatMap(of) : need
  return {
    ...NOTHING,
    name,
    role: 'image',
    endpoints: needs.interfaces.length ? [{ name: ROOT_ENDPOINT, rights: CALLER }] : [],
    ports: either(needs.ports, ({ ports }) => ports),
    irqs: [...new Set(either(needs.irqs, ({ irqs }) => irqs.map(({ irq }) => irq)))],
    frames: either(needs.mmio, ({ mmio }) => mmio),
    deviceMemory: either(needs.memory, ({ memory }) => memory),
    memory: bank === undefined ? [] : [{ bank, bytes: arena }],
  }
}

/** Whether the root task keeps a device, or a driver names some resource of it. */
function isClaimed({ root, images }: Manifest, device: ManifestDevice): boolean {
  const named = <T>(need: readonly T[] | 'assigned', meets: (item: T) => boolean): boolean =>
    need !== 'assigned' && need.some(meets)
  const meets =
    (ranges: readonly MmioRange[]) =>
    (one: MmioRange): boolean =>
      ranges.some(({ base, length }) => one.base < base + length && base < one.base + one.length)
  return (
    root.devices.includes(device.name) ||
    images.some(
      ({ needs }) =>
        named(needs.ports, (one) => device.ports.some(({ first, last }) => one.first <= last && first <= one.last)) ||
        named(needs.irqs, (one) => device.irqs.some(({ irq }) => irq === one)) ||
        named(needs.mmio, meets(device.mmio)) ||
        named(needs.memory, meets(device.memory)),
    )
  )
}

/** False for a process the manifest does not have: a spare instance is asked for by its image's name. */
export function mayHold(ceilings: Ceilings, process: string, capability: Capability): boolean {
  const ceiling = ceilings.get(process)
  return ceiling !== undefined && allows(ceiling, capability)
}

function allows(ceiling: Ceiling, capability: Capability): boolean {
  switch (capability.kind) {
    case 'endpoint':
      return ceiling.endpoints.some(
        ({ name, rights }) => name === capability.name && capability.rights.every((right) => rights.includes(right)),
      )
    case 'notification':
      return true
    case 'ioPort':
      return ceiling.ports.some(({ first, last }) => isWithin(capability.first, capability.last, first, last))
    case 'irqHandler':
      return ceiling.irqs.includes(capability.irq)
    case 'deviceFrame':
      return ceiling.frames.some((range) => isInRange(capability, range))
    case 'deviceMemory':
      return ceiling.deviceMemory.some((range) => isInRange(capability, range))
    case 'memory':
      return ceiling.memory.some(
        ({ bank, bytes }) => bank === capability.bank && isWithin(1, capability.bytes, 0, bytes),
      )
    case 'dma':
      return ceiling.dma.includes(capability.device)
  }
}
/** Also false for numbers that are no range: they may come from a message. */
const isWithin = (first: number, last: number, low: number, high: number): boolean =>
  Number.isSafeInteger(first) && Number.isSafeInteger(last) && low <= first && first <= last && last <= high
const isInRange = ({ base, length }: MmioRange, range: MmioRange): boolean =>
  isWithin(base, base + length - 1, range.base, range.base + range.length - 1)

// ------------------------------------------------------------------ the table

export function capabilityTable(manifest: CheckedManifest): string {
  const sections = [...deriveCeilings(manifest).values()].map((ceiling) =>
    [`${ceiling.name} (${ceiling.role})`, ...linesOf(ceiling).map((line) => `  ${line}`)].join('\n'),
  )
  return `${sections.join('\n\n')}\n`
}

function linesOf({ endpoints, ports, irqs, frames, deviceMemory, memory, dma, serves }: Ceiling): string[] {
  return [
    ...endpoints.map(({ name, rights }) => `endpoint ${name} ${rights.join(' ')}`),
    ...ports.map((range) => `port ${portText(range)}`),
    ...irqs.map((irq) => `irq ${irq}`),
    ...frames.map((range) => `frame ${rangeText(range)}`),
    ...deviceMemory.map((range) => `device memory ${rangeText(range)}`),
    ...memory.map(({ bank, bytes }) => `memory ${bank} ${sizeText(bytes)}`),
    ...dma.map((device) => `iommu of ${device}`),
    ...(serves ? servedLines(serves) : []),
  ]
}
function servedLines({ ports, irqs, mmio, memory, dma }: NonNullable<Ceiling['serves']>): string[] {
  return [
    ...ports.map((range) => `serves port ${portText(range)}`),
    ...irqs.map(({ irq, trigger, shared }) => `raises irq ${irq} ${trigger}${shared ? ' shared' : ''}`),
    ...mmio.map((range) => `serves frame ${rangeText(range)}`),
    ...memory.map((range) => `serves device memory ${rangeText(range)}`),
    ...(dma ? ['dma within its iommu table'] : []),
  ]
}
const portText = ({ first, last }: PortRange): string => (first === last ? hex(first) : `${hex(first)}-${hex(last)}`)
const rangeText = ({ base, length }: MmioRange): string => `${hex(base)} +${hex(length)}`
