/** Chance: numbers drawn by a seed, and what a thread may name, drawn from what the model says is there. */
import { cnodeData } from '#contracts/sel4'
import { seededRandom } from '#rtl'
import type { Slot } from './cnodes.ts'
import type { Model } from './model.ts'
import type { Packet, Path, Thread } from './threads.ts'
import { type Cap, type Kind, R, Table, WORD } from './tree.ts'

/** The slots of a process's CSpace that are played with; those of its first thread and spaces are left alone. */
export const FIRST_SLOT = 0x40
export const SLOTS = 24
export const OWN = 2
export const OWN_SPACE = 3
/** Of a root CNode: what has fewer slots is used up to the last. */
const WIDE = 8
interface Reached {
  readonly cptr: number
  readonly cap: Cap
}

export class Chance {
  protected readonly random: { next(): number }
  protected readonly model: Model
  protected bodies = 0

  constructor(seed: number, model: Model) {
    this.random = seededRandom(Math.imul(seed, 0x9e3779b1) ^ 0x3c6ef372)
    this.model = model
  }
  below(limit: number): number {
    return this.random.next() % limit
  }
  /** One in so many. */
  rarely(oneIn: number): boolean {
    return this.below(oneIn) === 0
  }
  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]
  }

  // ------------------------------------------------------------ what is there

  /** Every capability a thread can name, with its address; a CNode within itself once. */
  reached(thread: Thread): Reached[] {
    const found: Reached[] = []
    const visit = (cap: Cap, prefix: number, left: number, seen: readonly Table[]): void => {
      const { thing, guard, guardBits } = cap
      if (!(thing instanceof Table) || seen.includes(thing)) return
      const rest = left - guardBits - thing.radix
      if (rest < 0) return
      for (const [index, inner] of thing.slots) {
        const address = prefix + guard * 2 ** (left - guardBits) + index * 2 ** rest
        if (rest === 0 || !(inner.thing instanceof Table)) found.push({ cptr: address, cap: inner })
        else visit(inner, address, rest, [...seen, thing])
      }
    }
    if (thread.cspace) visit(thread.cspace, 0, WORD, [])
    return found
  }
  protected ofKind(thread: Thread, ...kinds: Kind[]): Reached[] {
    return this.reached(thread).filter(({ cap }) => kinds.includes(cap.thing.kind))
  }
  /** What it has nothing for, it tries but rarely. */
  protected knows(thread: Thread, ...kinds: Kind[]): boolean {
    return this.rarely(20) || this.ofKind(thread, ...kinds).length > 0
  }
  /** Mostly of a kind that will do; now and then of any, or nothing at all. */
  protected address(thread: Thread, ...kinds: Kind[]): number {
    const all = this.rarely(25) ? this.reached(thread) : this.ofKind(thread, ...kinds)
    const others = all.filter(({ cptr }) => cptr >= FIRST_SLOT)
    const fitting = others.length && !this.rarely(4) ? others : all
    if (this.rarely(60)) return 2 ** 16 * this.below(2 ** 16) + FIRST_SLOT
    if (!fitting.length || this.rarely(40)) return FIRST_SLOT + this.below(SLOTS + 2)
    return this.pick(fitting).cptr
  }
  /** A CNode, and a slot below it that is full, or one that is empty. */
  protected slot(thread: Thread, full: boolean, kinds?: readonly Kind[]): { root: number; at: Slot } {
    const nodes = this.ofKind(thread, 'CNode')
    const own = nodes.filter(({ cptr }) => cptr === OWN)
    const chosen = nodes.length ? this.pick(own.length && !this.rarely(3) ? own : nodes) : undefined
    if (!chosen || this.rarely(60)) return { root: this.address(thread, 'CNode'), at: [this.below(80), this.below(35)] }
    const { guardBits, thing } = chosen.cap
    const guard = guardBits && this.rarely(12) ? this.below(2 ** Math.min(guardBits, 8)) : chosen.cap.guard
    const table = thing as Table
    const index = this.index(table, full, kinds)
    const depth = this.rarely(50) ? this.below(34) : guardBits + table.radix
    return { root: chosen.cptr, at: [guard * 2 ** table.radix + index, depth] }
  }
  protected index(table: Table, full: boolean, kinds?: readonly Kind[]): number {
    const [low, count] = table.radix > WIDE ? [FIRST_SLOT, SLOTS] : [0, 2 ** table.radix]
    const all = Array.from({ length: count }, (_, i) => low + i)
    const wanted = (index: number) => {
      const kind = table.slots.get(index)?.thing.kind
      return full ? kind !== undefined && (!kinds || kinds.includes(kind)) : kind === undefined
    }
    const fitting = this.rarely(20) ? all : all.filter(wanted)
    return this.pick(fitting.length ? fitting : all)
  }
  protected rights(): number {
    return this.rarely(3) ? this.below(16) : R.all
  }
  protected badge(): number {
    return this.rarely(4) ? cnodeData(this.below(4), this.below(5)) : this.below(4)
  }
  /** Once a thread has a place for what it receives, it always has one. */
  protected path(thread: Thread): Path | undefined {
    if (thread.number % 3) return undefined
    const { root, at } = this.slot(thread, false)
    return [root, ...at]
  }
  protected packet(thread: Thread, path?: Path, oneIn = 3): Packet {
    const some = this.rarely(oneIn) ? this.reached(thread) : []
    const caps = some.length ? Array.from({ length: 1 + this.below(3) }, () => this.pick(some).cptr) : []
    return { label: this.rarely(3) ? 0 : this.below(100), body: ++this.bodies, caps, ...(path && { path }) }
  }
}
