/** Untyped memory: what is free and what lives tile a bank; below a watermark nothing overlaps; counts agree. */
import type { Capability, KernelObject } from '../cspace.ts'
import { type MemoryRegion, Untyped } from '../untyped.ts'
import { regionOf, type Survey } from './survey.ts'

interface Range {
  readonly offset: number
  readonly bytes: number
}
export function* memory({ kernel, objects }: Survey): Generator<string> {
  const banks = [...kernel.machine.untypeds.values()].map(({ object }: Capability) => object as Untyped)
  const tenants = tenantsOf(
    [...objects.keys()].map(regionOf),
    banks.flatMap(({ quarantine }) => [...quarantine]),
  )
  for (const untyped of new Set([...banks, ...tenants.keys(), ...instances(objects.keys())])) {
    const living = tenants.get(untyped) ?? []
    yield* overlaps(untyped, living)
    if (untyped['living'] !== living.length)
      yield `${untyped.describe()} counts ${untyped['living']} objects alive in it; ${living.length} are`
    if (untyped.region) yield* belowWatermark(untyped, living)
    else yield* tiles(untyped, [...living, ...untyped['free']])
  }
}
function* instances(objects: Iterable<KernelObject>): Generator<Untyped> {
  for (const object of objects) if (object instanceof Untyped) yield object
}
/**
 * Untyped memory → the ranges taken out of it, those in quarantine included. It lives on, without a capability, as long as
 * something in it does.
 */
function tenantsOf(
  living: readonly (MemoryRegion | undefined)[],
  quarantine: readonly MemoryRegion[],
): Map<Untyped, MemoryRegion[]> {
  const tenants = new Map<Untyped, MemoryRegion[]>()
  const counted = new Set<MemoryRegion>()
  const count = (region: MemoryRegion | undefined): void => {
    if (!region || counted.has(region)) return
    counted.add(region)
    tenants.set(region.untyped, [...(tenants.get(region.untyped) ?? []), region])
    count(region.untyped.region)
  }
  for (const region of [...living, ...quarantine]) count(region)
  return tenants
}
const inOrder = (ranges: readonly Range[]): Range[] => [...ranges].sort((a, b) => a.offset - b.offset)
const show = ({ offset, bytes }: Range): string => `0x${offset.toString(16)} +0x${bytes.toString(16)}`

function* overlaps(untyped: Untyped, living: readonly Range[]): Generator<string> {
  let last: Range | undefined
  for (const range of inOrder(living)) {
    if (last && range.offset < last.offset + last.bytes)
      yield `two objects share ${untyped.describe()}: ${show(last)} and ${show(range)}`
    last = range
  }
}
function* belowWatermark(untyped: Untyped, living: readonly Range[]): Generator<string> {
  const { offset, bytes } = untyped.region as MemoryRegion
  const [watermark] = [untyped['watermark']]
  if (watermark > bytes) yield `the watermark of ${untyped.describe()} lies outside`
  for (const range of living)
    if (range.offset < offset || range.offset + range.bytes > offset + watermark)
      yield `an object at ${show(range)} lies above the watermark of ${untyped.describe()}`
}
function* tiles(untyped: Untyped, ranges: readonly Range[]): Generator<string> {
  let end = 0
  for (const range of inOrder(ranges)) {
    if (range.offset !== end)
      yield `${untyped.describe()}: ${end < range.offset ? 'nobody has' : 'two have'} what lies before ${show(range)}`
    end = range.offset + range.bytes
  }
  if (end !== untyped.bytes) yield `${untyped.describe()} ends at 0x${end.toString(16)}`
}
