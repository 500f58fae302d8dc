/**
 * The texts of a manifest's numbers. Their patterns are the schemas': nothing else arrives here.
 *
 *   parseSize('64 MiB') → 67108864      parseAddress('0x60') → 96      sizeText(2097152) → '2 MiB'
 */
const UNITS: Readonly<Record<string, number>> = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 }

export function parseSize(size: string | number): number {
  if (typeof size === 'number') return size
  const [count, unit] = size.split(' ')
  return Number(count) * UNITS[unit]
}
export const parseAddress = (address: string | number): number => Number(address)

/** In the largest unit that loses nothing. */
export function sizeText(bytes: number): string {
  const [unit, factor] = Object.entries(UNITS).findLast(([, each]) => bytes !== 0 && bytes % each === 0) ?? ['B', 1]
  return `${bytes / factor} ${unit}`
}
export const hex = (value: number): string => `0x${value.toString(16)}`
