/**
 * What must hold between the parts of a manifest. One rule, one function; a rule returns a sentence for each place that
 * breaks it, naming the file, the key, both values and what to do.
 *
 *   checkManifest(manifest)   throws ManifestError with every sentence of every rule
 */
import { arenasMapped, limitsSuffice } from './limits.ts'
import { type IrqLine, type Manifest, type ManifestDevice, ManifestError, PANEL } from './manifest.ts'
import { hex, sizeText } from './units.ts'

type Rule = (manifest: Manifest) => string[]

const MIB = 1024 * 1024
/** Arenas and banks are mapped in extents of 2 MiB: the size of a large page on every machine we know. */
const EXTENT = 2 * MIB
/** The IOMMU tables and the physical map end here. */
const PHYSICAL_LIMIT = 1024 * MIB
const PAGE = 4096
/** Cascaded 8259s have 16 lines; MSI vectors come after them. */
const FIRST_MSI = 16

/** Every pair of a list, each once. */
function pairs<T>(list: readonly T[]): [T, T][] {
  return list.flatMap((one, index) => list.slice(index + 1).map((two): [T, T] => [one, two]))
}
const portsText = ({ first, last }: { first: number; last: number }): string => `${hex(first)}-${hex(last)}`
const rangeText = ({ base, length }: { base: number; length: number }): string => `${hex(base)}+${hex(length)}`
const portsMeet = (a: { first: number; last: number }, b: { first: number; last: number }): boolean =>
  a.first <= b.last && b.first <= a.last
const rangesMeet = (a: { base: number; length: number }, b: { base: number; length: number }): boolean =>
  a.base < b.base + b.length && b.base < a.base + a.length

// ------------------------------------------------------------------ names

const imageExists: Rule = ({ file, missing }) =>
  missing.map(
    ({ key, image, file: description }) =>
      `${file}: ${key} names the image ${image}, but no ${description} of it is beside a source or in dist/images; correct the name or build the image`,
  )

const nameIsFree: Rule = (manifest) => {
  const { file, devices, images, panel, root } = manifest
  const all = [
    ...['kernel', 'launcher'].map((name) => ({ name, key: "the system's own process" })),
    { name: root.image, key: 'root' },
    ...(panel ? [{ name: PANEL, key: 'panel' }] : []),
    ...devices.map(({ name }) => ({ name, key: `devices.${name}` })),
    ...images.map(({ name }) => ({ name, key: `images.${name}` })),
  ]
  return pairs(all)
    .filter(([one, two]) => one.name === two.name)
    .map(
      ([one, two]) =>
        `${file}: ${two.key} takes the process name ${two.name}, which is ${one.key}'s; rename one of them`,
    )
}

// ------------------------------------------------------------------ banks

const bankIsWhole: Rule = ({ file, banks }) =>
  banks
    .filter(({ bytes }) => bytes === 0 || bytes % EXTENT !== 0)
    .map(
      ({ name, bytes }) =>
        `${file}: banks.${name}.bytes is ${sizeText(bytes)}, but a bank is a multiple of 2 MiB; round it up`,
    )

const banksFit: Rule = ({ file, banks }) => {
  const end = Math.max(0, ...banks.map(({ physicalAddress, bytes }) => physicalAddress + bytes))
  if (end <= PHYSICAL_LIMIT) return []
  const sum = sizeText(end - banks[0].physicalAddress)
  const room = sizeText(PHYSICAL_LIMIT - banks[0].physicalAddress)
  return [
    `${file}: banks are ${sum} together, but only ${room} fit below 1 GiB of physical memory; make some of them smaller`,
  ]
}

const rootBanksExist: Rule = ({ file, banks, root }) =>
  root.banks
    .filter((bank) => !banks.some(({ name }) => name === bank))
    .map(
      (bank) => `${file}: root.banks names the bank ${bank}, but banks has ${names(banks)}; correct it or add the bank`,
    )

const names = (list: readonly { readonly name: string }[]): string => list.map(({ name }) => name).join(', ') || 'none'

// ------------------------------------------------------------------ images

const arenaIsWhole: Rule = ({ file, images }) =>
  images
    .filter(({ arena }) => arena % EXTENT !== 0)
    .map(
      ({ name, arena }) =>
        `${file}: images.${name}.arena is ${sizeText(arena)}, but an arena is a multiple of 2 MiB; round it up`,
    )

const arenaHasBank: Rule = ({ file, images }) => [
  ...images
    .filter(({ arena, bank }) => arena > 0 && bank === undefined)
    .map(
      ({ name, arena }) =>
        `${file}: images.${name} has an arena of ${sizeText(arena)}, but no bank; say which bank it comes from`,
    ),
  ...images
    .filter(({ arena, bank }) => arena === 0 && bank !== undefined)
    .map(
      ({ name, bank }) =>
        `${file}: images.${name} has the bank ${bank}, but no arena; give an arena's size or remove the bank`,
    ),
]

const bankExists: Rule = ({ file, banks, images }) =>
  images
    .filter(({ bank }) => bank !== undefined && !banks.some(({ name }) => name === bank))
    .map(
      ({ name, bank }) =>
        `${file}: images.${name}.bank is ${bank}, but banks has ${names(banks)}; correct it or add the bank`,
    )

const bankIsRoots: Rule = ({ file, banks, images, root }) =>
  images
    .filter(({ bank }) => bank !== undefined && banks.some(({ name }) => name === bank) && !root.banks.includes(bank))
    .map(
      ({ name, bank }) =>
        `${file}: images.${name}.bank is ${bank}, but root.banks has ${root.banks.join(', ') || 'none'}: the root task could not give it; add ${bank} there`,
    )

const arenasFit: Rule = ({ file, banks, images }) =>
  banks.flatMap(({ name, bytes }) => {
    const sum = images.reduce((total, { bank, arena }) => (bank === name ? total + arena : total), 0)
    if (sum <= bytes) return []
    return [
      `${file}: the arenas in the bank ${name} are ${sizeText(sum)} together, but banks.${name}.bytes is ${sizeText(bytes)}; make the bank larger`,
    ]
  })

// ------------------------------------------------------------------ devices

const overrideFits: Rule = ({ file, devices }) =>
  devices.flatMap(({ name, overrides, file: description }) =>
    Object.entries(overrides)
      .filter(([, { given, declared }]) => given !== declared)
      .map(
        ([key, { given, declared }]) =>
          `${file}: devices.${name}.device.${key} gives ${given}, but ${description} declares ${declared}; give as many, in its order`,
      ),
  )

const portsAreRanges: Rule = ({ devices, images }) =>
  [
    ...devices,
    ...images.map(({ file, needs }) => ({ file, ports: needs.ports === 'assigned' ? [] : needs.ports })),
  ].flatMap(({ file, ports }) =>
    ports
      .filter(({ first, last }) => first > last || last > 0xffff)
      .map(
        (range) =>
          `${file}: ports has ${portsText(range)}, but a range goes upwards and ends at 0xffff; correct first or last`,
      ),
  )

const portsAreApart: Rule = ({ devices }) =>
  pairs(devices.flatMap((device) => device.ports.map((range) => ({ device, range }))))
    .filter(([one, two]) => portsMeet(one.range, two.range))
    .map(
      ([one, two]) =>
        `${two.device.file}: ports ${portsText(two.range)} of ${two.device.name} overlap ${portsText(one.range)} of ${one.device.name} (${one.device.file}); move one of them`,
    )

const framesArePages: Rule = ({ devices }) =>
  devices.flatMap(({ file, mmio, memory }) =>
    [...mmio, ...memory]
      .filter(({ base, length }) => base % PAGE !== 0 || length === 0 || length % PAGE !== 0)
      .map(
        (range) => `${file}: ${rangeText(range)} is no run of 4096-byte pages; align the base and round the length up`,
      ),
  )

const framesAreApart: Rule = ({ file, banks, devices }) => {
  const all = [
    ...banks.map(({ name, physicalAddress: base, bytes: length }) => ({
      owner: `the bank ${name}`,
      file,
      range: { base, length },
    })),
    ...devices.flatMap((device) =>
      [...device.mmio, ...device.memory].map((range) => ({ owner: device.name, file: device.file, range })),
    ),
  ]
  return pairs(all)
    .filter(([one, two]) => rangesMeet(one.range, two.range) && (one.file !== file || two.file !== file))
    .map(
      ([one, two]) =>
        `${two.file}: ${rangeText(two.range)} of ${two.owner} overlaps ${rangeText(one.range)} of ${one.owner} (${one.file}); move one of them, for a second device of one kind by devices.<name>.device`,
    )
}

interface Line extends IrqLine {
  readonly device: ManifestDevice
}
const linesOf = ({ devices }: Manifest): Line[] =>
  devices.flatMap((device) => device.irqs.map((line) => ({ device, ...line })))

const irqSharingIsAgreed: Rule = (manifest) =>
  pairs(linesOf(manifest))
    .filter(([one, two]) => one.irq === two.irq && !(one.shared && two.shared))
    .map(([one, two]) => {
      const alone = one.shared ? two : one
      return `${alone.device.file}: irq ${one.irq} of ${alone.device.name} is also ${(alone === one ? two : one).device.name}'s, but is not marked "shared"; mark it in both device.json or choose another line`
    })

const sharedIsLevel: Rule = (manifest) =>
  linesOf(manifest)
    .filter(({ shared, trigger }) => shared && trigger !== 'level')
    .map(
      ({ device, irq, trigger }) =>
        `${device.file}: irq ${irq} of ${device.name} is "shared" and "${trigger}", but only a "level" line can be shared without losing interrupts; make it level or its own`,
    )

const irqFitsTrigger: Rule = (manifest) =>
  linesOf(manifest)
    .filter(({ irq, trigger }) => (trigger === 'msi') !== irq >= FIRST_MSI)
    .map(({ device, irq, trigger }) => {
      const range = trigger === 'msi' ? `${FIRST_MSI} to 255` : `0 to ${FIRST_MSI - 1}`
      return `${device.file}: irq ${irq} of ${device.name} is "${trigger}", but ${trigger === 'msi' ? 'MSI vectors' : 'interrupt lines'} are ${range}; choose one of those`
    })

const rootDevicesExist: Rule = ({ file, devices, root }) =>
  root.devices
    .filter((name) => !devices.some((device) => device.name === name))
    .map(
      (name) => `${file}: root.devices names ${name}, but devices has ${names(devices)}; correct it or add the device`,
    )

// ------------------------------------------------------------------ what drivers name

const namedPortsExist: Rule = ({ devices, images }) =>
  images.flatMap(({ file, name, needs }) =>
    (needs.ports === 'assigned' ? [] : needs.ports)
      .filter(
        ({ first, last }) =>
          !covered(
            first,
            last,
            devices.flatMap(({ ports }) => ports),
          ),
      )
      .map(
        (range) =>
          `${file}: ${name} needs the ports ${portsText(range)}, but no device of the manifest has them all; correct the range or add the device`,
      ),
  )
/** Whether every port from first to last is in one of the ranges. */
function covered(first: number, last: number, ranges: readonly { first: number; last: number }[]): boolean {
  const range = ranges.find((each) => each.first <= first && first <= each.last)
  return range !== undefined && (range.last >= last || covered(range.last + 1, last, ranges))
}

const namedIrqsExist: Rule = (manifest) =>
  manifest.images.flatMap(({ file, name, needs }) =>
    (needs.irqs === 'assigned' ? [] : needs.irqs)
      .filter((irq) => !linesOf(manifest).some((line) => line.irq === irq))
      .map(
        (irq) =>
          `${file}: ${name} needs irq ${irq}, but no device of the manifest raises it; correct the number or add the device`,
      ),
  )

const namedFramesExist: Rule = ({ devices, images }) =>
  images.flatMap(({ file, name, needs }) =>
    (['mmio', 'memory'] as const).flatMap((kind) => {
      const wanted = needs[kind]
      if (wanted === 'assigned') return []
      return wanted
        .filter(
          ({ base, length }) =>
            !devices.some((device) =>
              device[kind].some((has) => has.base <= base && base + length <= has.base + has.length),
            ),
        )
        .map(
          (range) =>
            `${file}: ${name} needs ${kind} ${rangeText(range)}, but no device of the manifest has it; correct the range or add the device`,
        )
    }),
  )

const claimsAreApart: Rule = ({ images, root, devices }) => {
  const kept = devices
    .filter(({ name }) => root.devices.includes(name))
    .map(({ name, ports }) => ({
      name: `the root task (device ${name})`,
      file: 'root.devices',
      ports,
      mayShare: false,
    }))
  const claims = images.map(({ name, file, needs }) => ({
    name,
    file,
    ports: needs.ports === 'assigned' ? [] : needs.ports,
  }))
  return pairs([...kept, ...claims]).flatMap(([one, two]) =>
    one.ports.flatMap((first) =>
      two.ports
        .filter((second) => portsMeet(first, second))
        .map(
          (second) =>
            `${two.file}: ${two.name} needs the ports ${portsText(second)}, but ${portsText(first)} are ${one.name}'s (${one.file}); a port has one driver, remove one claim`,
        ),
    ),
  )
}

const irqClaimsAreApart: Rule = (manifest) => {
  const shared = new Set(linesOf(manifest).flatMap((line) => (line.shared ? [line.irq] : [])))
  const claims = manifest.images.flatMap(({ name, file, needs }) =>
    (needs.irqs === 'assigned' ? [] : needs.irqs).map((irq) => ({ name, file, irq })),
  )
  return pairs(claims)
    .filter(([one, two]) => one.irq === two.irq && !shared.has(one.irq))
    .map(
      ([one, two]) =>
        `${two.file}: ${two.name} needs irq ${two.irq}, but it is ${one.name}'s (${one.file}) and the line is not "shared"; remove one claim`,
    )
}

// ------------------------------------------------------------------ cables

/** Who stands above every device: the panel, where a person is, the root task, and what it starts. */
const isAbove = ({ panel, root, images }: Manifest, process: string): boolean =>
  (panel !== undefined && process === PANEL) || process === root.image || images.some(({ name }) => name === process)

/** Calls go down: who may be waited for by others never waits for them. Devices among each other: cablesHaveNoCycle. */
const callsGoDown: Rule = (manifest) =>
  manifest.cables
    .filter(({ server }) => isAbove(manifest, server))
    .map(
      ({ name, server, clients }) =>
        `${manifest.file}: cables.${name} has ${clients.join(', ')} call ${server}, but calls go down to the devices, never up: a device that waits for ${server} keeps whoever uses the device waiting; make a device the server`,
    )

const cableServerExists: Rule = (manifest) =>
  manifest.cables
    .filter(({ server }) => !manifest.devices.some(({ name }) => name === server) && !isAbove(manifest, server))
    .map(
      ({ name, server }) =>
        `${manifest.file}: cables.${name}.server is ${server}, but devices has ${names(manifest.devices)}; correct it or add the device`,
    )

const cableClientsExist: Rule = ({ file, cables, devices, panel }) => {
  const known = [...devices, ...(panel ? [{ name: PANEL }] : [])]
  return cables.flatMap(({ name, clients }) =>
    clients
      .filter((client) => !known.some((each) => each.name === client))
      .map(
        (client) =>
          `${file}: cables.${name}.clients has ${client}, but the machine side has ${names(known)}; correct it or remove it`,
      ),
  )
}

const cablesHaveNoCycle: Rule = ({ file, cables }) =>
  cables.flatMap(({ name, server, clients }, index) => {
    if (clients.includes(server))
      return [
        `${file}: cables.${name}.clients has ${server}, which is also its server: it would wait for itself; remove it`,
      ]
    const way = wayFrom(server, new Set(clients), cables.slice(0, index + 1))
    if (!way) return []
    return [
      `${file}: cables.${name} closes the circle ${[way.at(-1), ...way].join(' → ')}: each would wait for the next; remove one of these cables`,
    ]
  })

/** Who calls whom, from `start` to one of `goals`: the processes on the way; undefined when there is none. */
function wayFrom(start: string, goals: ReadonlySet<string>, cables: Manifest['cables']): string[] | undefined {
  const ways = [[start]]
  const seen = new Set([start])
  for (const way of ways) {
    const last = way[way.length - 1]
    if (goals.has(last)) return way
    for (const { server } of cables.filter(({ clients }) => clients.includes(last)))
      if (!seen.has(server)) {
        seen.add(server)
        ways.push([...way, server])
      }
  }
  return undefined
}

// ------------------------------------------------------------------

const RULES: readonly Rule[] = [
  imageExists,
  nameIsFree,
  bankIsWhole,
  banksFit,
  rootBanksExist,
  arenaIsWhole,
  arenaHasBank,
  bankExists,
  bankIsRoots,
  arenasFit,
  limitsSuffice,
  arenasMapped,
  overrideFits,
  portsAreRanges,
  portsAreApart,
  framesArePages,
  framesAreApart,
  irqSharingIsAgreed,
  sharedIsLevel,
  irqFitsTrigger,
  rootDevicesExist,
  namedPortsExist,
  namedIrqsExist,
  namedFramesExist,
  claimsAreApart,
  irqClaimsAreApart,
  callsGoDown,
  cableServerExists,
  cableClientsExist,
  cablesHaveNoCycle,
]

export function checkManifest(manifest: Manifest): void {
  // Without an image's description every rule about resources would complain of its absence too.
  const missing = imageExists(manifest)
  const problems = missing.length ? missing : RULES.flatMap((rule) => rule(manifest))
  if (problems.length) throw new ManifestError(problems)
}
