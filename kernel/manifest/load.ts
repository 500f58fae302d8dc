/**
 * From files to a checked manifest.
 *
 *   loadManifest(launchPath, root)     reads launch.json and the descriptions of the images it names
 *   parseManifest(file, text, files)   the same from texts, for tests and tools
 *   viewOf(manifest)                   what the root task sees of it
 *
 * Both throw ManifestError with every problem found. First each file's shape is checked, then what is between them.
 */
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import type { ManifestView, MmioRange, PortRange } from '#sel4/api'
import { checkManifest } from './check.ts'
import { limitsOf } from './limits.ts'
import { filesUnder, type FoundFile, type ImageKind, type ManifestFiles } from './files.ts'
import {
  type Bank,
  type CheckedManifest,
  EXTENT,
  type Manifest,
  type ManifestDevice,
  ManifestError,
  type ManifestImage,
  type Needs,
} from './manifest.ts'
import type * as schema from './schema.ts'
import { readJson, shapeProblems } from './shape.ts'
import { parseAddress, parseSize } from './units.ts'

/** Below 16 MiB lies what a PC has there: ISA memory, firmware, the first megabyte. */
export const FIRST_BANK = 16 * 1024 * 1024

export function loadManifest(launchPath: string, root: string): CheckedManifest {
  let text: string
  try {
    text = readFileSync(launchPath, 'utf8')
  } catch (error) {
    throw new ManifestError([
      `${launchPath} cannot be read (${(error as NodeJS.ErrnoException).code}); give the path of a launch.json`,
    ])
  }
  return parseManifest(basename(launchPath), text, filesUnder(root))
}

export function parseManifest(file: string, text: string, files: ManifestFiles): CheckedManifest {
  const launch = readJson(file, text) as schema.Launch
  const problems = shapeProblems(file, 'launch', launch)
  if (problems.length) throw new ManifestError(problems)
  const manifest = new Reader(file, launch, files).manifest()
  checkManifest(manifest)
  return { ...manifest, checked: true }
}

/** Reads the descriptions a launch.json leads to, and gathers what is wrong with them. */
class Reader {
  private readonly file: string
  private readonly launch: schema.Launch
  private readonly files: ManifestFiles
  private readonly problems: string[] = []
  private readonly missing: { key: string; image: string; file: string }[] = []

  constructor(file: string, launch: schema.Launch, files: ManifestFiles) {
    this.file = file
    this.launch = launch
    this.files = files
  }

  manifest(): Manifest {
    const { machine, slowpath = false, slowirq = false, cables, panel, root } = this.launch
    this.expectImage('root', root.image)
    if (panel) this.expectImage('panel', panel.image)
    const manifest: Manifest = {
      file: this.file,
      machine,
      slowpath,
      slowirq,
      banks: banksOf(this.launch),
      devices: Object.entries(this.launch.devices).flatMap(([name, device]) => this.device(name, device)),
      cables: Object.entries(cables).map(([name, cable]) => ({ name, ...cable })),
      ...(panel && {
        panel: {
          image: panel.image,
          terminal: panel.terminal ?? false,
          config: panel.config ?? {},
          limits: limitsOf(panel.limits),
        },
      }),
      root: {
        image: root.image,
        banks: root.banks,
        devices: root.devices ?? [],
        config: root.config ?? {},
        limits: limitsOf(root.limits),
      },
      images: Object.entries(this.launch.images).flatMap(([name, image]) => this.image(name, image)),
      missing: this.missing,
    }
    if (this.problems.length) throw new ManifestError(this.problems)
    return manifest
  }

  private device(
    name: string,
    { image, config = {}, device = {}, limits }: schema.Launch['devices'][string],
  ): ManifestDevice[] {
    const found = this.describe('device', `devices.${name}`, image)
    if (!found) return []
    const value = found.value as schema.Device
    const ports = value.ports.map(portRange).map((range, i) => movePorts(range, device.ports?.[i]))
    const moved = (ranges: schema.Device['mmio'], bases: readonly (string | number)[] = []): MmioRange[] =>
      ranges.map(mmioRange).map((range, i) => (i in bases ? { ...range, base: parseAddress(bases[i]) } : range))
    const overrides = Object.fromEntries(
      (['ports', 'irqs', 'mmio', 'memory'] as const)
        .filter((key) => device[key])
        .map((key) => [key, { given: device[key]?.length ?? 0, declared: value[key].length }]),
    )
    return [
      {
        name,
        image,
        config,
        ports,
        overrides,
        file: found.file,
        irqs: value.irqs.map(({ irq, trigger, shared = false }, i) => ({
          irq: device.irqs?.[i] ?? irq,
          trigger,
          shared,
        })),
        mmio: moved(value.mmio, device.mmio),
        memory: moved(value.memory, device.memory),
        dma: value.dma,
        limits: limitsOf(limits),
      },
    ]
  }

  private image(name: string, entry: schema.Launch['images'][string]): ManifestImage[] {
    const { image, arena = 0, bank, limits, config = {}, nt } = entry
    const found = this.describe('needs', `images.${name}`, image)
    if (!found) return []
    const value = found.value as schema.Needs
    const merged = value.nt || nt ? { ...value.nt, ...nt } : undefined
    return [
      {
        name,
        image,
        config,
        file: found.file,
        arena: parseSize(arena),
        limits: limitsOf(limits),
        needs: needsOf(value.needs),
        ...(bank !== undefined && { bank }),
        ...(merged && { nt: merged }),
      },
    ]
  }

  /** An image's description, its shape checked; remembers what is wrong and goes on, so that all is reported at once. */
  private describe(kind: ImageKind, key: string, image: string): { file: string; value: unknown } | undefined {
    const found = this.files.description(kind, image)
    if (!found) {
      this.missing.push({ key, image, file: kind === 'device' ? 'device.json' : 'driver.json or service.json' })
      return undefined
    }
    const value = this.shaped(kind, found)
    return value === undefined ? undefined : { file: found.file, value }
  }
  private shaped(kind: ImageKind, { file, text }: FoundFile): unknown {
    try {
      const value = readJson(file, text)
      const problems = shapeProblems(file, kind === 'device' ? 'device' : 'needs', value)
      if (problems.length === 0) return value
      throw new ManifestError(problems)
    } catch (error) {
      if (!(error instanceof ManifestError)) throw error
      this.problems.push(...error.problems)
      return undefined
    }
  }
  private expectImage(key: string, image: string): void {
    if (!this.files.exists(image)) this.missing.push({ key, image, file: 'index.ts' })
  }
}

const portRange = ({ first, last }: { first: string | number; last: string | number }): PortRange => ({
  first: parseAddress(first),
  last: parseAddress(last),
})
const mmioRange = ({ base, length }: { base: string | number; length: string | number }): MmioRange => ({
  base: parseAddress(base),
  length: parseSize(length),
})
function movePorts(range: PortRange, first: string | number | undefined): PortRange {
  if (first === undefined) return range
  const start = parseAddress(first)
  return { first: start, last: start + range.last - range.first }
}
const listOr = <A, B>(value: readonly A[] | 'assigned' | undefined, each: (item: A) => B): readonly B[] | 'assigned' =>
  value === 'assigned' ? value : (value ?? []).map(each)
function needsOf(needs: schema.Needs['needs']): Needs {
  return {
    ports: listOr(needs.ports, portRange),
    irqs: listOr(needs.irqs, (irq) => irq),
    mmio: listOr(needs.mmio, mmioRange),
    memory: listOr(needs.memory, mmioRange),
    interfaces: needs.interfaces ?? [],
  }
}
/** In the order of the file, from 16 MiB up, each at a multiple of 2 MiB. */
function banksOf({ banks }: schema.Launch): Bank[] {
  let next = FIRST_BANK
  return Object.entries(banks).map(([name, { bytes: size }]) => {
    const bytes = parseSize(size)
    const physicalAddress = next
    next += Math.ceil(bytes / EXTENT) * EXTENT
    return { name, bytes, physicalAddress }
  })
}

export function viewOf(manifest: CheckedManifest): ManifestView {
  const images = manifest.images.map(({ name, nt, arena }) => [name, { ...(nt && { nt }), arena }] as const)
  const devices = manifest.devices.map(
    ({ name, image, ports, irqs, mmio }) =>
      [name, { device: image, ports, irqs: irqs.map(({ irq }) => irq), mmio }] as const,
  )
  return { images: Object.fromEntries(images), devices: Object.fromEntries(devices) }
}
