/**
 * Who has which ports, memory, interrupts and bus numbers.
 *
 *   assign(node, alternatives)   the first of the alternative lists all of whose requirements fit; undefined: conflict
 *   release(node)                failure or removal
 *
 * In a list a descriptor with Option 0 or 1 begins a requirement, those with Option 8 after it are other ways to meet it, tried
 * in order. First fit from Minimum up. A range inside one that an ancestor of the node has is no conflict: a bus hands out
 * parts of its own windows. Interrupts are shared only if both sides say so.
 */
import type { Of } from '#contracts/field'
import type { RESOURCE_REQUIREMENT } from '#contracts/wdm'
import type { MmioRange } from '#sel4/api'
import type { DeviceNode, Resource } from './pnp-node.ts'

export type Requirement = Of<typeof RESOURCE_REQUIREMENT>
type Kind = Resource['kind']
interface Claim {
  readonly node: DeviceNode | undefined
  readonly first: number
  readonly last: number
  readonly shared: boolean
}
interface Fit {
  readonly kind: Kind
  readonly claim: Claim
  readonly resource: Resource
}

const IO_RESOURCE_ALTERNATIVE = 8
const KINDS: readonly Kind[] = ['Port', 'Memory', 'Interrupt', 'BusNumber']
/** Interrupt line n is vector 0x30 + n, above the processor's own. */
const FIRST_VECTOR = 0x30
/** Registers without a fixed place go where no PC of this kind has RAM: the hole below 4 GiB. */
const HOLE = 0x80000000
const LAST_OF: Readonly<Record<Kind, number>> = { Port: 0xffff, Memory: 2 ** 52, Interrupt: 4095, BusNumber: 255 }

export const vectorOf = (line: number): number => FIRST_VECTOR + line

export class ResourceArbiter {
  /** Register windows of the machine: memory that may be anywhere goes where a window of its size is. */
  private readonly windows: readonly MmioRange[]
  private readonly claims: Readonly<Record<Kind, Claim[]>> = { Port: [], Memory: [], Interrupt: [], BusNumber: [] }

  constructor(windows: readonly MmioRange[] = []) {
    this.windows = windows
  }

  /** What the Executive itself uses. */
  reserve(kind: Kind, first: number, last: number): void {
    this.claims[kind].push({ node: undefined, first, last, shared: false })
  }
  release(node: DeviceNode): void {
    for (const kind of KINDS) {
      const list = this.claims[kind]
      for (let i = list.length - 1; i >= 0; i--) if (list[i].node === node) list.splice(i, 1)
    }
  }
  /** `messageLines`: the interrupt lines that are this device's own, for message-signalled requirements, once its memory is known. */
  assign(
    node: DeviceNode,
    alternatives: readonly (readonly Requirement[])[],
    messageLines: (memory: readonly Resource[]) => readonly number[],
  ): Resource[] | undefined {
    for (const list of alternatives) {
      const fits = this.tryList(node, list, messageLines)
      if (!fits) continue
      return fits.map((fit) => fit.resource)
    }
    return undefined
  }

  /** Claims as it goes; gives all back when one requirement cannot be met. */
  private tryList(
    node: DeviceNode,
    list: readonly Requirement[],
    lines: (memory: readonly Resource[]) => readonly number[],
  ): Fit[] | undefined {
    const fits: Fit[] = []
    const groups = groupsOf(list)
    // Interrupts last: which message lines there are follows from the memory.
    const order = groups.map((_, i) => i).sort((a, b) => rank(groups[a]) - rank(groups[b]) || a - b)
    for (const index of order) {
      const memory = fits.filter(Boolean).map((fit) => fit.resource)
      const fit = this.tryGroup(node, groups[index], () => lines(memory))
      if (!fit) {
        this.release(node)
        return undefined
      }
      this.claims[fit.kind].push(fit.claim)
      fits[index] = fit
    }
    return fits
  }
  private tryGroup(node: DeviceNode, group: readonly Requirement[], lines: () => readonly number[]): Fit | undefined {
    for (const requirement of group) {
      const kind = KINDS.find((one) => one === requirement.Type)
      const message = requirement.Trigger === 'message' || requirement.Trigger === 'msi'
      const first = !kind
        ? undefined
        : kind === 'Interrupt' && message
          ? this.messageLine(node, requirement, lines())
          : this.firstFit(node, kind, requirement)
      if (kind && first !== undefined) return fitOf(node, kind, first, requirement, message)
    }
    return undefined
  }
  private messageLine(node: DeviceNode, requirement: Requirement, lines: readonly number[]): number | undefined {
    return lines.find(
      (line) => !this.conflict(node, 'Interrupt', line, line + Math.max(1, requirement.Length) - 1, false),
    )
  }
  private firstFit(
    node: DeviceNode,
    kind: Kind,
    { Minimum, Maximum, Length, Alignment, Shared }: Requirement,
  ): number | undefined {
    const length = kind === 'Interrupt' ? 1 : Math.max(1, Length)
    const align = Math.max(1, Alignment)
    const limit = Math.min(Maximum, LAST_OF[kind])
    const free = kind === 'Memory' && limit - Minimum + 1 > length
    const window = free ? this.freeWindow(node, length, Minimum, limit) : undefined
    if (window !== undefined) return window
    let first = Math.ceil((free ? Math.max(Minimum, HOLE) : Minimum) / align) * align
    while (first + length - 1 <= limit) {
      const clash = this.conflict(node, kind, first, first + length - 1, Shared)
      if (!clash) return first
      first = Math.ceil((clash.last + 1) / align) * align
    }
    return undefined
  }
  private freeWindow(node: DeviceNode, length: number, minimum: number, limit: number): number | undefined {
    const fits = ({ base, length: size }: MmioRange) => size === length && base >= minimum && base + length - 1 <= limit
    return this.windows.find(
      (window) => fits(window) && !this.conflict(node, 'Memory', window.base, window.base + length - 1, false),
    )?.base
  }
  private conflict(node: DeviceNode, kind: Kind, first: number, last: number, shared: boolean): Claim | undefined {
    return this.claims[kind].find((claim) => {
      if (claim.last < first || claim.first > last) return false
      if (kind === 'Interrupt' && claim.shared && shared) return false
      return !(claim.node?.isAncestorOf(node) && claim.first <= first && last <= claim.last)
    })
  }
}

function groupsOf(list: readonly Requirement[]): Requirement[][] {
  const groups: Requirement[][] = []
  for (const requirement of list) {
    if (requirement.Option === IO_RESOURCE_ALTERNATIVE && groups.length > 0) groups[groups.length - 1].push(requirement)
    else groups.push([requirement])
  }
  return groups
}
const rank = (group: readonly Requirement[]): number => (group[0]?.Type === 'Interrupt' ? 1 : 0)
function fitOf(node: DeviceNode, kind: Kind, first: number, requirement: Requirement, message: boolean): Fit {
  const Length = kind === 'Interrupt' ? 1 : Math.max(1, requirement.Length)
  const claim = { node, first, last: first + Length - 1, shared: requirement.Shared }
  const resource: Resource =
    kind === 'Interrupt'
      ? {
          kind,
          Level: first,
          Vector: vectorOf(first),
          Latched: message || requirement.Trigger === 'edge',
          Shared: requirement.Shared,
          Message: message,
        }
      : { kind, Start: first, Length }
  return { kind, claim, resource }
}
