/** Slots, references and the derivation tree. */
import { type Capability, CNode, isGone, type KernelObject } from '../cspace.ts'
import { Control } from '../irq.ts'
import { Tcb } from '../tcb.ts'
import { heldBy, named, regionOf, signalled, type Survey } from './survey.ts'

export function* capabilities(all: Survey): Generator<string> {
  const held = hands(all)
  const rooted = reachedFromRoots(all)
  for (const cap of all.caps) {
    yield* place(all, cap, held)
    yield* family(cap)
    if (!rooted.has(cap)) yield `${named(cap)} is its own ancestor`
  }
  for (const [object, count] of all.objects)
    if (object.references !== count)
      yield `${object.describe()} counts ${object.references} capabilities; ${count} name it`
  for (const node of all.of(CNode)) yield* slots(node)
}
function* slots(node: CNode): Generator<string> {
  const { slots: taken, quota } = { slots: node['slots'], quota: node['quota'] }
  if (taken.size > quota) yield `${node.describe()} holds ${taken.size} capabilities and may hold ${quota}`
  for (const [index, cap] of taken) {
    if (index < 0 || index >= 2 ** node.radix) yield `${node.describe()} has a slot ${index}`
    if (cap.cnode !== node || cap.index !== index)
      yield `slot ${index} of CNode ${node.id} holds a capability that stands elsewhere: ${named(cap)}`
  }
}
/** Capabilities in no slot that somebody answers for. */
function hands({ kernel, of }: Survey): ReadonlySet<Capability> {
  const { controls, machine } = kernel
  return new Set([
    ...Object.values(controls),
    ...machine.untypeds.values(),
    ...machine.ioSpaces.values(),
    ...kernel.births['cables'].values(),
    ...signalled(kernel),
    ...of(Tcb).flatMap(heldBy),
  ])
}
function* place({ objects }: Survey, cap: Capability, held: ReadonlySet<Capability>): Generator<string> {
  if (isGone(cap)) yield `${named(cap)} was deleted and is still held`
  else if (!cap.cnode && !held.has(cap)) yield `${named(cap)} is in nobody's hands (${cap.origin})`
  else if (cap.cnode && !objects.has(cap.cnode)) yield `${named(cap)} is in a CNode that is gone`
}

// ------------------------------------------------------------ the derivation tree

function* family(cap: Capability): Generator<string> {
  const { parent } = cap
  for (const child of cap.children)
    if (child.parent !== cap) yield `${named(cap)} has a child of another: ${named(child)}`
  if (!parent) return
  if (!parent.children.has(cap)) yield `${named(cap)} is no child of its parent, ${named(parent)}`
  if (!parent.revocable) yield `${named(cap)} is derived from one that is no original: ${named(parent)}`
  if (cap.object === parent.object) yield* likeness(cap, parent)
  else if (!mayMake(parent.object, cap.object)) yield `${named(cap)} cannot come of ${named(parent)}`
}
function* likeness(cap: Capability, parent: Capability): Generator<string> {
  if (cap.rights & ~parent.rights) yield `${named(cap)} has more rights than its parent`
  if (parent.badge && cap.badge !== parent.badge) yield `${named(cap)} has not its parent's badge`
}
/** Untyped memory makes what lies in it, also through untyped memory whose capability is gone; a control what it issues. */
function mayMake(maker: KernelObject, made: KernelObject): boolean {
  if (maker instanceof Control) return ISSUES[maker.type] === made.type
  for (let region = regionOf(made); region; region = region.untyped.region) if (region.untyped === maker) return true
  return false
}
const ISSUES: Readonly<Record<Control['type'], string>> = {
  IRQControl: 'IRQHandler',
  IOPortControl: 'IOPort',
  ProcessControl: 'DeviceFrame',
}
/** Who is not among them is in a circle. */
function reachedFromRoots({ caps }: Survey): ReadonlySet<Capability> {
  const reached = new Set<Capability>()
  const open = [...caps].filter(({ parent }) => !parent)
  for (let cap = open.pop(); cap; cap = open.pop()) {
    if (reached.has(cap)) continue
    reached.add(cap)
    open.push(...cap.children)
  }
  return reached
}
