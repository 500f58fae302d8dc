/** What drivers name of the machine: it is there, and no two of them claim it. */
import type { PortRange } from '#sel4/api'
import { type Rule, linesOf, named, pairs, portsMeet, portsText, rangeText } from './rule.ts'

const namedPortsExist: Rule = ({ devices, images }) =>
  images.flatMap(({ file, name, needs }) =>
    named(needs.ports)
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
function covered(first: number, last: number, ranges: readonly PortRange[]): boolean {
  const range = ranges.find((each) => each.first <= first && first <= each.last)
  return range !== undefined && (range.last >= last || covered(range.last + 1, last, ranges))
}

const namedIrqsExist: Rule = (manifest) =>
  manifest.images.flatMap(({ file, name, needs }) =>
    named(needs.irqs)
      .filter((irq) => !linesOf(manifest).some((line) => line.irq === irq))
      .map(
        (irq) =>
          `${file}: ${name} needs irq ${irq}, but no device of the manifest raises it; correct the number or add the device`,
      ),
  )

const namedFramesExist: Rule = ({ devices, images }) =>
  images.flatMap(({ file, name, needs }) =>
    (['mmio', 'memory'] as const).flatMap((kind) =>
      named(needs[kind])
        .filter(
          ({ base, length }) =>
            !devices.some((device) =>
              device[kind].some((has) => has.base <= base && base + length <= has.base + has.length),
            ),
        )
        .map(
          (range) =>
            `${file}: ${name} needs ${kind} ${rangeText(range)}, but no device of the manifest has it; correct the range or add the device`,
        ),
    ),
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
    ports: named(needs.ports),
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
    named(needs.irqs).map((irq) => ({ name, file, irq })),
  )
  return pairs(claims)
    .filter(([one, two]) => one.irq === two.irq && !shared.has(one.irq))
    .map(
      ([one, two]) =>
        `${two.file}: ${two.name} needs irq ${two.irq}, but it is ${one.name}'s (${one.file}) and the line is not "shared"; remove one claim`,
    )
}

export const CLAIMS: readonly Rule[] = [
  namedPortsExist,
  namedIrqsExist,
  namedFramesExist,
  claimsAreApart,
  irqClaimsAreApart,
]
