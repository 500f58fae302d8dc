/**
 * Everything that exists, found from what the kernel holds: capabilities through slots, threads and the derivation tree,
 * and the objects they name.
 */
import { type Capability, CNode, isGone, type KernelObject } from '../cspace.ts'
import type { Kernel } from '../kernel.ts'
import { Tcb } from '../tcb.ts'
import { MemoryRegion } from '../untyped.ts'

export interface Survey {
  readonly kernel: Kernel
  /** Capabilities, in slots and in the kernel's own hands. */
  readonly caps: ReadonlySet<Capability>
  /** Objects that a capability names, with how many do. */
  readonly objects: ReadonlyMap<KernelObject, number>
  /** Those of a class. */
  of<T extends KernelObject>(kind: abstract new (...args: never[]) => T): T[]
}
export type Group = (all: Survey, quiet: boolean) => Iterable<string>

export function survey(kernel: Kernel): Survey {
  const caps = new Set<Capability>()
  const objects = new Map<KernelObject, number>()
  const open = [...ownedByKernel(kernel)]
  for (let cap = open.pop(); cap; cap = open.pop()) {
    if (caps.has(cap)) continue
    caps.add(cap)
    if (!objects.has(cap.object)) open.push(...within(cap.object))
    objects.set(cap.object, (objects.get(cap.object) ?? 0) + 1)
    open.push(...cap.children)
    if (cap.parent) open.push(cap.parent)
  }
  return {
    kernel,
    caps,
    objects,
    of: (kind) => [...objects.keys()].filter((object) => object instanceof kind) as InstanceType<typeof kind>[],
  }
}
function* ownedByKernel(kernel: Kernel): Generator<Capability> {
  const { controls, machine } = kernel
  for (const originals of [Object.values(controls), machine.untypeds.values(), machine.ioSpaces.values()])
    for (const cap of originals) if (!isGone(cap)) yield cap
  yield* kernel.births['cables'].values()
  yield* signalled(kernel)
  for (const { init, threads } of kernel.processes.values()) {
    yield* init.cspace.all()
    for (const thread of threads.values()) yield* heldBy(thread)
  }
}
/** What interrupt lines signal. */
export const signalled = ({ machine }: Kernel): Capability[] =>
  [...machine.irqs.values()].flatMap((irq) => irq['bound'] ?? [])
const within = (object: KernelObject): Capability[] =>
  object instanceof CNode ? object.all() : object instanceof Tcb ? heldBy(object) : []
export const heldBy = ({ cspaceRoot, vspaceRoot, bufferFrame }: Tcb): Capability[] =>
  [cspaceRoot, vspaceRoot, bufferFrame].filter((cap) => cap !== undefined)

/** The range of memory an object has, if it has one. */
export const regionOf = ({ region }: KernelObject): MemoryRegion | undefined =>
  region instanceof MemoryRegion ? region : undefined
export const named = ({ object, index, cnode }: Capability): string =>
  `${object.describe()} ${cnode ? `in slot ${index} of CNode ${cnode.id}` : 'held by the kernel'}`
