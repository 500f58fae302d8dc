/**
 * What comes next: operations that mostly make sense, drawn by a seed from what the model says is there.
 *
 *   new Chance(seed, model).plan(thread)      one operation of that thread
 *   chance.helpful(waiting, free)             one that may end somebody's wait
 */
import { cnodeData, OBJECT_TYPE } from '#contracts/sel4'
import { seededRandom } from '#rtl'
import { type Model, VSpace } from './model.ts'
import type { OperationName, Plan, Slot } from './operations.ts'
import { Endpoint, type Packet, type Path, Reply, type Thread } from './threads.ts'
import { type Cap, type Kind, PAGING, R, Table, WORD } from './tree.ts'

/** The slots of a process's CSpace that are played with; those of its first thread and spaces are left alone. */
export const FIRST_SLOT = 0x40
export const SLOTS = 24
const OWN = 2
const OWN_SPACE = 3
const COVERED = [39, 30, 21]
const TYPE_OF: Readonly<Partial<Record<Kind, number>>> = {
  PDPT: OBJECT_TYPE.seL4_X86_PDPTObject,
  PageDirectory: OBJECT_TYPE.seL4_X86_PageDirectoryObject,
  PageTable: OBJECT_TYPE.seL4_X86_PageTableObject,
  Frame: OBJECT_TYPE.seL4_X86_4K,
}
/** Of a root CNode: what has fewer slots is used up to the last. */
const WIDE = 8
const WEIGHTS: Readonly<Record<OperationName, number>> = {
  Send: 5,
  NBSend: 4,
  Call: 6,
  Recv: 6,
  NBRecv: 5,
  Reply: 6,
  Signal: 4,
  CNode_Copy: 9,
  CNode_Mint: 10,
  CNode_Move: 4,
  CNode_Mutate: 3,
  CNode_Rotate: 4,
  CNode_Delete: 9,
  CNode_Revoke: 2,
  CNode_CancelBadgedSends: 2,
  CNode_SaveCaller: 4,
  Untyped_Retype: 14,
  TCB_Configure: 4,
  TCB_WriteRegisters: 4,
  TCB_Suspend: 2,
  TCB_Resume: 4,
  TCB_BindNotification: 2,
  TCB_UnbindNotification: 1,
  X86_Page_Map: 5,
  X86_Page_GetAddress: 1,
  X86_Paging_Map: 6,
  X86_Unmap: 3,
}
const TYPES: readonly (readonly [type: number, least: number, most: number])[] = [
  [OBJECT_TYPE.seL4_UntypedObject, 4, 13],
  [OBJECT_TYPE.seL4_TCBObject, 0, 0],
  [OBJECT_TYPE.seL4_TCBObject, 0, 0],
  [OBJECT_TYPE.seL4_EndpointObject, 0, 0],
  [OBJECT_TYPE.seL4_EndpointObject, 0, 0],
  [OBJECT_TYPE.seL4_NotificationObject, 0, 0],
  [OBJECT_TYPE.seL4_CapTableObject, 1, 4],
  [OBJECT_TYPE.seL4_CapTableObject, 1, 4],
  [OBJECT_TYPE.seL4_X86_PDPTObject, 0, 0],
  [OBJECT_TYPE.seL4_X64_PML4Object, 0, 0],
  [OBJECT_TYPE.seL4_X86_4K, 0, 0],
  [OBJECT_TYPE.seL4_X86_4K, 0, 0],
  [OBJECT_TYPE.seL4_X86_PageTableObject, 0, 0],
  [OBJECT_TYPE.seL4_X86_PageDirectoryObject, 0, 0],
]
interface Reached {
  readonly cptr: number
  readonly cap: Cap
}

export class Chance {
  private readonly random: { next(): number }
  private readonly model: Model
  private readonly deck: OperationName[]
  private bodies = 0

  constructor(seed: number, model: Model) {
    this.random = seededRandom(Math.imul(seed, 0x9e3779b1) ^ 0x3c6ef372)
    this.model = model
    this.deck = Object.entries(WEIGHTS).flatMap(([name, weight]) => new Array(weight).fill(name))
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
  private ofKind(thread: Thread, ...kinds: Kind[]): Reached[] {
    return this.reached(thread).filter(({ cap }) => kinds.includes(cap.thing.kind))
  }
  /** What it has nothing for, it tries but rarely. */
  private knows(thread: Thread, ...kinds: Kind[]): boolean {
    return this.rarely(20) || this.ofKind(thread, ...kinds).length > 0
  }
  /** Mostly of a kind that will do; now and then of any, or nothing at all. */
  private address(thread: Thread, ...kinds: Kind[]): number {
    const all = this.rarely(25) ? this.reached(thread) : this.ofKind(thread, ...kinds)
    const others = all.filter(({ cptr }) => cptr >= FIRST_SLOT)
    const fitting = others.length && !this.rarely(4) ? others : all
    if (!fitting.length || this.rarely(40)) return FIRST_SLOT + this.below(SLOTS + 2)
    return this.pick(fitting).cptr
  }
  /** A CNode, and a slot below it that is full, or one that is empty. */
  private slot(thread: Thread, full: boolean, kinds?: readonly Kind[]): { root: number; at: Slot } {
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
  private index(table: Table, full: boolean, kinds?: readonly Kind[]): number {
    const [low, count] = table.radix > WIDE ? [FIRST_SLOT, SLOTS] : [0, 2 ** table.radix]
    const all = Array.from({ length: count }, (_, i) => low + i)
    const wanted = (index: number) => {
      const kind = table.slots.get(index)?.thing.kind
      return full ? kind !== undefined && (!kinds || kinds.includes(kind)) : kind === undefined
    }
    const fitting = this.rarely(20) ? all : all.filter(wanted)
    return this.pick(fitting.length ? fitting : all)
  }
  private rights(): number {
    return this.rarely(3) ? this.below(16) : R.all
  }
  private badge(): number {
    return this.rarely(4) ? cnodeData(this.below(4), this.below(5)) : this.below(4)
  }
  /** Once a thread has a place for what it receives, it always has one. */
  private path(thread: Thread): Path | undefined {
    if (thread.number % 3) return undefined
    const { root, at } = this.slot(thread, false)
    return [root, ...at]
  }
  private packet(thread: Thread, path?: Path, oneIn = 3): Packet {
    const some = this.rarely(oneIn) ? this.reached(thread) : []
    const caps = some.length ? Array.from({ length: 1 + this.below(3) }, () => this.pick(some).cptr) : []
    return { label: this.below(100), body: ++this.bodies, caps, ...(path && { path }) }
  }

  // ------------------------------------------------------------ operations

  plan(thread: Thread, only?: (name: OperationName) => boolean): Plan {
    const purposeful = this.purposeful(thread)
    if (purposeful && (!only || only(purposeful.name))) return purposeful
    for (;;) {
      const name = this.pick(this.deck)
      if (only && !only(name)) continue
      const args = this.arguments(name, thread)
      if (args) return { thread, name, args }
    }
  }
  private arguments(name: OperationName, t: Thread): object | undefined {
    if (name.startsWith('CNode_')) return this.onCNode(name, t)
    if (name.startsWith('TCB_')) return this.onThread(name, t)
    if (name.startsWith('X86_')) return this.onSpace(name, t)
    switch (name) {
      case 'Untyped_Retype':
        return this.retype(t)
      case 'Reply':
        return t.caller || this.rarely(10) ? { packet: this.packet(t, undefined, 2) } : undefined
      case 'Signal':
        if (!this.knows(t, 'Notification')) return undefined
        return { cptr: this.address(t, 'Notification'), packet: this.packet(t) }
      case 'Recv':
      case 'NBRecv':
        if (!this.knows(t, 'Endpoint', 'Notification')) return undefined
        return { cptr: this.address(t, 'Endpoint', 'Notification'), path: this.path(t) }
      case 'Call':
        if (!this.knows(t, 'Endpoint')) return undefined
        return { cptr: this.address(t, 'Endpoint'), packet: this.packet(t, this.path(t)) }
      default:
        if (!this.knows(t, 'Endpoint', 'Reply')) return undefined
        return { cptr: this.address(t, 'Endpoint', 'Reply'), packet: this.packet(t) }
    }
  }
  private onCNode(name: OperationName, t: Thread): object | undefined {
    const at = this.slot(t, name !== 'CNode_SaveCaller', name === 'CNode_CancelBadgedSends' ? ['Endpoint'] : undefined)
    if (name === 'CNode_SaveCaller') return t.caller || this.rarely(20) ? at : undefined
    if (name === 'CNode_Delete' || name === 'CNode_Revoke' || name === 'CNode_CancelBadgedSends') return at
    const to = this.slot(t, false)
    if (name !== 'CNode_Rotate') {
      const [root, slots] = [to.root, { to: to.at, from: at.root, at: at.at }]
      return { root, ...slots, rights: this.rights(), badge: this.badge() }
    }
    const pivot = this.slot(t, true)
    const target = this.rarely(3) ? at : to
    const data = () => (this.rarely(2) ? 0 : this.badge())
    return {
      root: target.root,
      to: target.at,
      db: data(),
      pr: pivot.root,
      pivot: pivot.at,
      pb: data(),
      sr: at.root,
      from: at.at,
    }
  }
  private retype(t: Thread): object {
    const [type, least, most] = this.pick(TYPES)
    const { root, at } = this.slot(t, false)
    const found = this.reached(t).find(({ cptr }) => cptr === root)?.cap.thing
    const radix = found instanceof Table ? found.radix : 4
    const size = this.rarely(40) ? this.below(60) : least + this.below(most - least + 1)
    const many = this.rarely(5) ? this.below(5) : 1
    return {
      untyped: this.address(t, 'Untyped'),
      type: this.rarely(60) ? 99 : type,
      size,
      root,
      node: this.rarely(20) ? at : [0, 0],
      offset: at[0] % 2 ** radix,
      count: many,
    }
  }
  private onThread(name: OperationName, t: Thread): object | undefined {
    const tcb = this.address(t, 'TCB')
    const target = this.reached(t).find(({ cptr }) => cptr === tcb)?.cap.thing as Thread | undefined
    const resume = this.rarely(4) ? 0 : 1
    switch (name) {
      case 'TCB_Configure':
        // Where a running thread's code lives is not changed under it.
        if (target?.kind === 'TCB' && target.state === 'running') return undefined
        return {
          tcb,
          cspace: this.rarely(3) ? this.address(t, 'CNode') : OWN,
          data: this.rarely(4) ? this.badge() : 0,
          vspace: this.rarely(3) ? this.address(t, 'VSpace') : 3,
        }
      case 'TCB_Resume':
        // A thread that was never told where to begin ends its process.
        return target?.kind === 'TCB' && !target.isFirst && !target.entry ? undefined : { tcb }
      case 'TCB_WriteRegisters':
        return { tcb, resume, who: target?.number ?? 0 }
      case 'TCB_BindNotification':
        return { tcb, bell: this.address(t, 'Notification') }
      default:
        return { tcb }
    }
  }
  private onSpace(name: OperationName, t: Thread): object {
    const vspace = this.rarely(5) ? this.address(t, 'VSpace') : 3
    const vaddr = this.rarely(50)
      ? this.pick([2 ** 47, 4097])
      : this.below(2) * 2 ** 39 + this.below(2) * 2 ** 30 + this.below(2) * 2 ** 21 + this.below(3) * 2 ** 12
    const level =
      name === 'X86_Page_Map' || name === 'X86_Page_GetAddress' ? 3 : this.below(name === 'X86_Unmap' ? 4 : 3)
    const cap = this.address(t, PAGING[level] ?? 'Frame')
    return { level, cap, vspace, vaddr, rights: this.rights() }
  }

  /** What chance alone would seldom hit. */
  private purposeful(thread: Thread): Plan | undefined {
    if (thread.caller?.caller && this.rarely(3))
      return { thread, name: 'CNode_SaveCaller', args: this.slot(thread, false) }
    if (this.rarely(6)) return this.mapping(thread)
    return this.rarely(6) ? this.meddling(thread) : undefined
  }
  /** With those who wait: their badge's sends are cancelled, they are suspended, what they wait at is taken away. */
  private meddling(thread: Thread): Plan | undefined {
    const own = this.reached(thread).find(({ cptr }) => cptr === OWN)?.cap.thing
    if (!(own instanceof Table)) return undefined
    const plans = [...own.slots].flatMap(([index, cap]) => {
      const name = index < FIRST_SLOT ? undefined : this.meddlesome(cap)
      const args = name === 'TCB_Suspend' ? { tcb: index } : { root: OWN, at: [index, WORD] }
      return name ? [{ thread, name, args }] : []
    })
    return plans.length ? this.pick(plans) : undefined
  }
  private meddlesome(cap: Cap): OperationName | undefined {
    const { thing, badge, rights } = cap
    const waitAt = (one: unknown): boolean =>
      one instanceof Endpoint && (one.senders.length > 0 || one.receivers.length > 0)
    if (thing.kind === 'TCB' && (thing as Thread).doing) return 'TCB_Suspend'
    if (thing instanceof Endpoint && badge && rights === R.all && thing.senders.length > 1 && !this.rarely(3))
      return 'CNode_CancelBadgedSends'
    if (waitAt(thing)) return this.rarely(2) ? 'CNode_Delete' : undefined
    const inUse = thing.kind === 'Untyped' && this.model.descendants(cap).some((one) => waitAt(one.thing))
    return inUse && this.rarely(2) ? 'CNode_Revoke' : undefined
  }
  /** The next step to a page mapped at one of a few addresses: whatever is missing is made, and put in its place. */
  private mapping(thread: Thread): Plan | undefined {
    const space = this.reached(thread).find(({ cptr }) => cptr === OWN_SPACE)?.cap.thing
    if (!(space instanceof VSpace)) return undefined
    const vaddr = this.below(2) * 2 ** 30 + this.below(3) * 2 ** 12
    const level = space.tables.findIndex((table, i) => !table.has(vaddr - (vaddr % 2 ** COVERED[i])))
    const kind = PAGING[level] ?? 'Frame'
    const ready = this.ofKind(thread, kind).filter(({ cap }) => !cap.unmap)
    if (!ready.length) return this.making(thread, TYPE_OF[kind] as number)
    const args = { level, cap: this.pick(ready).cptr, vspace: OWN_SPACE, vaddr, rights: this.rights() }
    return { thread, name: level < 0 ? 'X86_Page_Map' : 'X86_Paging_Map', args }
  }
  private making(thread: Thread, type: number): Plan | undefined {
    const untypeds = this.ofKind(thread, 'Untyped')
    if (!untypeds.length) return undefined
    const { root, at } = this.slot(thread, false)
    const found = this.reached(thread).find(({ cptr }) => cptr === root)?.cap.thing
    if (!(found instanceof Table)) return undefined
    const [untyped, offset] = [this.pick(untypeds).cptr, at[0] % 2 ** found.radix]
    return { thread, name: 'Untyped_Retype', args: { untyped, type, size: 0, root, node: [0, 0], offset, count: 1 } }
  }

  // ------------------------------------------------------------ ending waits

  /** What one of the free may do for one who waits. */
  helpful(waiting: Thread, free: readonly Thread[]): Plan | undefined {
    const { doing } = waiting
    if (!doing) return undefined
    if (doing.wait === 'answer') return this.answerFor(waiting, free)
    const right = doing.wait === 'send' ? R.read : R.write
    for (const thread of free)
      for (const { cptr, cap } of this.reached(thread))
        if (cap.thing === doing.at && cap.rights & right) return this.meeting(thread, cptr, doing.wait)
    return undefined
  }
  private meeting(thread: Thread, cptr: number, wait: 'send' | 'receive' | 'signal'): Plan {
    if (wait === 'signal') return { thread, name: 'Signal', args: { cptr, packet: this.packet(thread) } }
    const name =
      wait === 'send' ? this.pick(['Recv', 'NBRecv'] as const) : this.pick(['Send', 'NBSend', 'Call'] as const)
    const path = this.path(thread)
    return { thread, name, args: { cptr, packet: this.packet(thread, path), path } }
  }
  private answerFor(waiting: Thread, free: readonly Thread[]): Plan | undefined {
    for (const thread of free) {
      if (thread.caller?.caller === waiting)
        return { thread, name: 'Reply', args: { packet: this.packet(thread, undefined, 2) } }
      for (const { cptr, cap } of this.reached(thread))
        if (cap.thing instanceof Reply && cap.thing.caller === waiting)
          return { thread, name: 'Send', args: { cptr, packet: this.packet(thread) } }
    }
    return undefined
  }
}
