/** What a rule of a manifest is, and what rules share. */
import type { MmioRange, PortRange } from '#sel4/api'
import type { IrqLine, Manifest, ManifestDevice } from '../manifest.ts'
import { hex } from '../units.ts'

/** A sentence for each place that breaks it, naming the file, the key, both values and what to do. */
export type Rule = (manifest: Manifest) => string[]

/** Every pair of a list, each once. */
export function pairs<T>(list: readonly T[]): [T, T][] {
  return list.flatMap((one, index) => list.slice(index + 1).map((two): [T, T] => [one, two]))
}
export const names = (list: readonly { readonly name: string }[]): string =>
  list.map(({ name }) => name).join(', ') || 'none'
/** What a driver names itself; what is assigned is found while the system runs. */
export const named = <T>(needs: 'assigned' | readonly T[]): readonly T[] => (needs === 'assigned' ? [] : needs)

export const portsText = ({ first, last }: PortRange): string => `${hex(first)}-${hex(last)}`
export const rangeText = ({ base, length }: MmioRange): string => `${hex(base)}+${hex(length)}`
export const portsMeet = (a: PortRange, b: PortRange): boolean => a.first <= b.last && b.first <= a.last
export const rangesMeet = (a: MmioRange, b: MmioRange): boolean =>
  a.base < b.base + b.length && b.base < a.base + a.length

export interface Line extends IrqLine {
  readonly device: ManifestDevice
}
export const linesOf = ({ devices }: Manifest): Line[] =>
  devices.flatMap((device) => device.irqs.map((line) => ({ device, ...line })))
