/**
 * The system as a picture: a Mermaid flowchart of who may call whom, reach which registers, hear which interrupts and use
 * which memory, from the ceilings the kernel enforces. `npx neptune graph` prints it; docs/system.md shows the standard one.
 *
 *   graphOf(manifest)   the flowchart's text
 */
import {
  type Ceiling,
  type Ceilings,
  deriveCeilings,
  type EndpointCeiling,
  ROOT_ENDPOINT,
} from '../../kernel/manifest/derive.ts'
import type { CheckedManifest, ManifestDevice } from '../../kernel/manifest/manifest.ts'
import { hex, sizeText } from '../../kernel/manifest/units.ts'

interface Layer {
  readonly title: string
  readonly has: (ceiling: Ceiling, manifest: CheckedManifest) => boolean
}
/** From the person down to the chips. What an image is, its description's place says: drivers/… or services/…. */
const LAYERS: readonly Layer[] = [
  { title: 'Programs', has: ({ role, name }, manifest) => role === 'image' && !isDriver(manifest, name) },
  { title: 'Root task', has: ({ role }) => role === 'root' },
  { title: 'Drivers', has: ({ role, name }, manifest) => role === 'image' && isDriver(manifest, name) },
  { title: 'Machine', has: ({ role }) => role === 'device' || role === 'panel' },
]
const isDriver = ({ images }: CheckedManifest, image: string): boolean =>
  images.some(({ name, file }) => name === image && /(^|\/)driver[.]json$/.test(file))

export function graphOf(manifest: CheckedManifest): string {
  const ceilings = deriveCeilings(manifest)
  const lines = [
    ...LAYERS.flatMap((layer) => layerLines(layer, ceilings, manifest)),
    ...layer(
      'Memory',
      manifest.banks.map(({ name, bytes }) => `${bankId(name)}[("${name}<br>${sizeText(bytes)}")]`),
    ),
    ...calls(manifest, ceilings),
    ...[...ceilings.values()].flatMap((ceiling) => reaches(manifest, ceiling)),
    ...[...ceilings.values()].flatMap(memory),
  ]
  return `flowchart TB\n${lines.map((line) => `  ${line}\n`).join('')}`
}
/** Names may have dots and dashes; an identifier may not. */
const id = (name: string): string => `p_${name.replace(/[^A-Za-z0-9]/g, '_')}`
const bankId = (name: string): string => `b_${name.replace(/[^A-Za-z0-9]/g, '_')}`

function layerLines({ title, has }: Layer, ceilings: Ceilings, manifest: CheckedManifest): string[] {
  const members = [...ceilings.values()].filter((ceiling) => has(ceiling, manifest))
  return layer(
    title,
    members.map(({ name }) => `${id(name)}["${name}"]`),
  )
}
const layer = (title: string, nodes: readonly string[]): string[] =>
  nodes.length ? [`subgraph ${title.replace(' ', '_')}["${title}"]`, ...nodes.map((node) => `  ${node}`), 'end'] : []

// ------------------------------------------------------------------ who calls whom

function calls({ cables, root, images }: CheckedManifest, ceilings: Ceilings): string[] {
  const interfaces = new Map(images.map(({ name, needs }) => [name, needs.interfaces]))
  return [...ceilings.values()].flatMap(({ name, endpoints }) =>
    endpoints.filter(sends).flatMap((endpoint) => {
      if (endpoint.name === ROOT_ENDPOINT && name !== root.image)
        return [`${id(name)} -->|"${(interfaces.get(name) ?? []).join(', ')}"| ${id(root.image)}`]
      const cable = cables.find((one) => one.name === endpoint.name)
      return cable ? [`${id(name)} -->|"${cable.name}: ${cable.interface}"| ${id(cable.server)}`] : []
    }),
  )
}
const sends = ({ rights }: EndpointCeiling): boolean => rights.includes('write')

// ------------------------------------------------------------------ who reaches what of the machine

/** What a process may be given of each device: a line for its registers, one for its interrupts. */
function reaches(manifest: CheckedManifest, ceiling: Ceiling): string[] {
  return manifest.devices.flatMap((device) => {
    const { registers, interrupts } = shared(ceiling, device, manifest)
    const [process, chip] = [id(ceiling.name), id(device.name)]
    return [
      ...(registers.length ? [`${process} ==>|"${registers.join('<br>')}"| ${chip}`] : []),
      ...(interrupts.length ? [`${chip} -.->|"irq ${interrupts.join(', ')}"| ${process}`] : []),
    ]
  })
}
function shared(ceiling: Ceiling, device: ManifestDevice, { root }: CheckedManifest) {
  // The root task may hold everything, to hand it out; shown is what it keeps for itself.
  if (ceiling.role === 'root' && !root.devices.includes(device.name)) return { registers: [], interrupts: [] }
  const ports = device.ports.filter((range) =>
    ceiling.ports.some((one) => one.first <= range.last && range.first <= one.last),
  )
  const frames = device.mmio.filter(({ base }) => ceiling.frames.some((one) => one.base === base))
  const own = device.memory.filter(({ base }) => ceiling.deviceMemory.some((one) => one.base === base))
  return {
    registers: [
      ...ports.map(({ first, last }) => (first === last ? `port ${hex(first)}` : `ports ${hex(first)}–${hex(last)}`)),
      ...frames.map(({ base }) => `registers ${hex(base)}`),
      ...own.map(({ base }) => `memory ${hex(base)}`),
    ],
    interrupts: device.irqs.map(({ irq }) => irq).filter((irq) => ceiling.irqs.includes(irq)),
  }
}

// ------------------------------------------------------------------ memory

const memory = ({ name, memory: banks, dma }: Ceiling): string[] => [
  ...banks.map(({ bank, bytes }) => `${id(name)} ---|"${sizeText(bytes)}"| ${bankId(bank)}`),
  ...dma.map((device) => `${id(name)} -.-|"IOMMU"| ${id(device)}`),
]
