/** No frame is mapped without a capability in a CSpace: address spaces, IO spaces, the IOMMU's tables. */
import { type Capability, CNode, isGone } from '../cspace.ts'
import type { Device } from '../device.ts'
import { Frame } from '../frame.ts'
import { IoPageTable, IoSpace } from '../iospace.ts'
import { IommuTable } from '../../lib/sel4/memory/iommu.ts'
import { PagingStructure, VSpace } from '../vspace.ts'
import { named, type Survey } from './survey.ts'

export function* mappings(all: Survey): Generator<string> {
  const mapped = new Map<Capability, string>()
  for (const space of all.of(VSpace)) {
    yield* pages(all, space, space['pages'], mapped)
    for (const table of space['tables']) yield* entries(all, space, table, PagingStructure, mapped)
    for (const { cap } of space.mappings) {
      mapped.set(cap, `in ${space.describe()}`)
      if (space.process?.alive && !inCSpace(all, cap))
        yield `an arena is mapped in ${space.describe()} without its capability`
    }
  }
  for (const space of all.of(IoSpace)) {
    yield* pages(all, space, space['pages'], mapped)
    for (const table of space['tables']) yield* entries(all, space, table, IoPageTable, mapped)
    yield* granted(space)
  }
  for (const cap of all.caps) if (cap.unmap && !mapped.has(cap)) yield `${named(cap)} believes it is mapped and is not`
  for (const device of all.kernel.machine.devices.values()) yield* reach(all, device)
}
const inCSpace = ({ objects }: Survey, cap: Capability): boolean =>
  !isGone(cap) && cap.cnode instanceof CNode && objects.has(cap.cnode)

type Space = VSpace | IoSpace
function* entries(
  all: Survey,
  space: Space,
  table: ReadonlyMap<number, Capability>,
  kind: abstract new (...args: never[]) => unknown,
  mapped: Map<Capability, string>,
): Generator<string> {
  for (const [address, cap] of table) {
    const where = `0x${address.toString(16)} of ${space.describe()}`
    const before = mapped.get(cap)
    mapped.set(cap, where)
    if (!inCSpace(all, cap)) yield `${named(cap)} is mapped at ${where} without a capability in a CSpace`
    else if (!cap.unmap) yield `${named(cap)} is mapped at ${where} and knows nothing of it`
    else if (!(cap.object instanceof kind)) yield `${named(cap)} cannot be mapped at ${where}`
    if (before) yield `${named(cap)} is mapped twice, at ${before} and ${where}`
  }
}
const pages = (all: Survey, space: Space, table: ReadonlyMap<number, Capability>, mapped: Map<Capability, string>) =>
  entries(all, space, table, Frame, mapped)

// ------------------------------------------------------------ what devices reach

function* granted(space: IoSpace): Generator<string> {
  const { device } = space
  for (const [address, { object }] of space['pages']) {
    const { bytes } = object as Frame
    if (!device['grants'].some(({ physicalAddress, length }) => physicalAddress === address && length === bytes))
      yield `0x${address.toString(16)} is mapped for ${device.spec.name}, whose DMA does not reach it`
  }
}
/** Its DMA reaches memory that lives, and the bits its IOMMU reads are what was granted, to the page. */
function* reach(all: Survey, device: Device): Generator<string> {
  const { grants, table } = { grants: device['grants'], table: device['table'] }
  const frames = grants.length ? all.of(Frame) : []
  for (const { physicalAddress: from, length } of grants)
    if (
      !frames.some(({ physicalAddress, bytes }) => physicalAddress <= from && from + length <= physicalAddress + bytes)
    )
      yield `${device.spec.name} reaches 0x${from.toString(16)} +0x${length.toString(16)}, which is no living frame`
  if (!table) return
  const words = table['words']
  const expected = new Uint8Array(words.byteLength)
  const wanted = new IommuTable(expected)
  for (const { physicalAddress, length, access } of grants) wanted.grant(physicalAddress, length, access)
  const other = wanted['words'].findIndex((word, index) => word !== words[index])
  if (other >= 0) yield `the IOMMU of ${device.spec.name} differs from what was granted, at word ${other}`
}
