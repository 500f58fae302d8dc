/** What accesses to a chip's registers are called, in messages and where they are shown. */
import { KIND } from './wire.ts'

/** The offset of a request that reads nothing: it only pushes earlier writes. */
export const PUSH_ONLY = 0xffffffff

const ACCESS: Readonly<Record<number, string>> = {
  [KIND.PORT_IN]: 'PORT_IN',
  [KIND.PORT_OUT]: 'PORT_OUT',
  [KIND.MMIO_READ]: 'MMIO_READ',
  [KIND.DOORBELL]: 'DOORBELL',
  [KIND.IRQ]: 'interrupt',
}
export const portLabel = (port: number, width: number): number => (port & 0xffff) | (width << 16)
export function accessName(kind: number, label: number): string {
  const hex = (value: number) => `0x${value.toString(16)}`
  if (kind === KIND.DOORBELL || kind === KIND.IRQ) return ACCESS[kind]
  if (kind === KIND.MMIO_READ) return label === PUSH_ONLY ? 'MMIO_PUSH' : `${ACCESS[kind]} ${hex(label)}`
  return `${ACCESS[kind]} ${hex(label & 0xffff)}`
}
