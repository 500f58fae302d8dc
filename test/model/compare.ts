/** What each process can reach, in the kernel and in the model: the same things, rights, badges, guards and descent. */
import type { Capability, KernelObject } from '../../kernel/cspace.ts'
import { CNode } from '../../kernel/cspace.ts'
import type { Kernel } from '../../kernel/kernel.ts'
import { IoSpace as KernelIoSpace } from '../../kernel/iospace.ts'
import { VSpace as KernelVSpace } from '../../kernel/vspace.ts'
import { IoSpace, type Life, VSpace } from './memory.ts'
import type { Model } from './model.ts'
import { type Cap, Table, type Thing } from './tree.ts'

const KINDS = new Set([
  'Untyped',
  'TCB',
  'Endpoint',
  'Notification',
  'CNode',
  'Frame',
  'PDPT',
  'PageDirectory',
  'PageTable',
  'VSpace',
  'IOPageTable',
  'IOSpace',
  'Reply',
])
interface Pair {
  readonly where: string
  readonly real: CNode
  readonly meant: Table
}
export function compare(kernel: Kernel, model: Model, lives: readonly Life[]): string[] {
  const same = new Same(model.bankBase)
  const open: Pair[] = []
  for (const { name, cspace, vspace } of lives) {
    const process = kernel.processes.get(name)
    if (!process) return [`there is no ${name}`]
    open.push({ where: name, real: process.init.cspace, meant: cspace })
    same.match(name, process.init.cspace, cspace)
    same.match(name, process.init.vspace, vspace)
  }
  const differences: string[] = []
  for (let pair = open.pop(); pair && differences.length < 5; pair = open.pop())
    differences.push(...slots(model, same, pair, open))
  return [...differences, ...same.differences]
}
/** Which object is which thing. */
class Same {
  readonly differences: string[] = []
  private readonly base: number
  constructor(base: number) {
    this.base = base
  }
  private readonly things = new Map<KernelObject, Thing>()
  private readonly objects = new Map<Thing, KernelObject>()
  /** Whether they had not been matched before. */
  match(where: string, object: KernelObject, thing: Thing): boolean {
    const [known, taken] = [this.things.get(object), this.objects.get(thing)]
    if (known === thing) return false
    if (known || taken) this.differences.push(`${where}: ${object.describe()} is not ${thing}`)
    this.things.set(object, thing)
    this.objects.set(thing, object)
    if (object instanceof KernelVSpace && thing instanceof VSpace) this.pages(where, object, thing)
    if (object instanceof KernelIoSpace && thing instanceof IoSpace) this.reach(where, object, thing)
    return true
  }
  private pages(where: string, real: KernelVSpace, meant: VSpace): void {
    const list = (map: ReadonlyMap<number, unknown>) => JSON.stringify([...map.keys()].sort((a, b) => a - b))
    this.agree(`${where}: mapped in ${meant}`, list(real['pages']), list(meant.pages))
    for (const level of meant.tables.keys())
      this.agree(
        `${where}: tables of level ${level} of ${meant}`,
        list(real['tables'][level]),
        list(meant.tables[level]),
      )
  }
  /** What a device's DMA reaches, and how. */
  private reach(where: string, { device }: KernelIoSpace, { pages, access }: IoSpace): void {
    const is = device['grants'].map((one) => [one.physicalAddress - this.base, one.access])
    const should = [...pages.keys()].map((address) => [address, access.get(address)])
    this.agree(`${where}: reached by ${device.spec.name}`, JSON.stringify(is.sort()), JSON.stringify(should.sort()))
  }
  private agree(what: string, is: string, should: string): void {
    if (is !== should) this.differences.push(`${what}: ${is}, not ${should}`)
  }
}
function* slots(model: Model, same: Same, { where, real, meant }: Pair, open: Pair[]): Generator<string> {
  const caps = new Map(real.all().flatMap((cap) => (KINDS.has(cap.object.type) ? [[cap.index, cap]] : [])))
  for (const index of new Set([...caps.keys(), ...meant.slots.keys()])) {
    const [is, should] = [caps.get(index), meant.slots.get(index)]
    const slot = `${where}.${index.toString(16)}`
    if (!is || !should) yield `${slot}: ${is?.object.describe() ?? 'nothing'}, not ${should?.thing ?? 'nothing'}`
    else {
      yield* capability(model, slot, is, should)
      if (same.match(slot, is.object, should.thing) && is.object instanceof CNode && should.thing instanceof Table)
        open.push({ where: slot, real: is.object, meant: should.thing })
    }
  }
}
function* capability(model: Model, slot: string, is: Capability, should: Cap): Generator<string> {
  const { rights, badge, guard, guardBits } = is
  const facts = [is.object.type, rights, badge, guard, guardBits, is.unmap !== undefined, descendants(is)]
  const { thing } = should
  const wanted = [
    thing.kind,
    should.rights,
    should.badge,
    should.guard,
    should.guardBits,
    should.unmap !== undefined,
    model.descendants(should).length,
  ]
  if (JSON.stringify(facts) !== JSON.stringify(wanted)) yield `${slot} (${thing}): ${facts}, not ${wanted}`
}
const descendants = ({ children }: Capability): number =>
  [...children].reduce((sum, child) => sum + 1 + descendants(child), 0)
