/** What devices have: ports, frames, interrupt lines; each its own, or shared by agreement. */
import type { MmioRange } from '#sel4/api'
import type { ManifestDevice } from '../manifest.ts'
import { type Rule, linesOf, named, names, pairs, portsMeet, portsText, rangeText, rangesMeet } from './rule.ts'

const PAGE = 4096
/** Cascaded 8259s have 16 lines; MSI vectors come after them. */
const FIRST_MSI = 16

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
  [...devices, ...images.map(({ file, needs }) => ({ file, ports: named(needs.ports) }))].flatMap(({ file, ports }) =>
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
  devices.flatMap((device) =>
    framesOf(device)
      .filter(({ range: { base, length } }) => base % PAGE !== 0 || length === 0 || length % PAGE !== 0)
      .map(
        ({ key, range }) =>
          `${device.file}: ${key} has ${rangeText(range)}, but that is no run of 4096-byte pages; align the base and round the length up`,
      ),
  )
const framesOf = (device: ManifestDevice): { key: 'mmio' | 'memory'; range: MmioRange }[] =>
  (['mmio', 'memory'] as const).flatMap((key) => device[key].map((range) => ({ key, range })))

const framesAreApart: Rule = ({ file, banks, devices }) => {
  const all = [
    ...banks.map(({ name, physicalAddress: base, bytes: length }) => {
      const range = { base, length }
      return { what: `banks.${name} ${rangeText(range)}`, file, range }
    }),
    ...devices.flatMap((device) =>
      framesOf(device).map(({ key, range }) => ({
        what: `${key} ${rangeText(range)} of ${device.name}`,
        file: device.file,
        range,
      })),
    ),
  ]
  return pairs(all)
    .filter(([one, two]) => rangesMeet(one.range, two.range) && (one.file !== file || two.file !== file))
    .map(
      ([one, two]) =>
        `${two.file}: ${two.what} overlaps ${one.what} (${one.file}); move one of them, for a second device of one kind by devices.<name>.device`,
    )
}

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

export const DEVICES: readonly Rule[] = [
  overrideFits,
  portsAreRanges,
  portsAreApart,
  framesArePages,
  framesAreApart,
  irqSharingIsAgreed,
  sharedIsLevel,
  irqFitsTrigger,
  rootDevicesExist,
]
