/** What chance alone would seldom hit: the next step of something longer, and what ends somebody's wait. */
import { OBJECT_TYPE, X86_64 } from '#contracts/sel4'
import { Chance, FIRST_SLOT, OWN, OWN_SPACE, SLOTS } from './chance.ts'
import { Frame, type Life, type VSpace } from './memory.ts'
import type { OperationName, Plan } from './operations.ts'
import { Endpoint, Reply, type Thread } from './threads.ts'
import { type Cap, type Kind, PAGING, R, Table, WORD } from './tree.ts'

const COVERED = [39, 30, 21]
const LEVELS = COVERED.length
const LARGE = 2 ** X86_64.largePageBits
const LARGE_FRAME = OBJECT_TYPE.seL4_X86_LargePageObject
const TYPE_OF: Readonly<Partial<Record<Kind, number>>> = {
  PDPT: OBJECT_TYPE.seL4_X86_PDPTObject,
  PageDirectory: OBJECT_TYPE.seL4_X86_PageDirectoryObject,
  PageTable: OBJECT_TYPE.seL4_X86_PageTableObject,
  Frame: OBJECT_TYPE.seL4_X86_4K,
}

/** As many as may wait without the others having to help them. */
const CROWD_MAX = 8
const isWritten = ({ thing }: Cap): boolean => thing instanceof Frame && thing.words.size > 0

export abstract class Purpose extends Chance {
  /** What chance alone would seldom hit. */
  protected purposeful(thread: Thread): Plan | undefined {
    if (thread.caller?.caller && this.rarely(3))
      return { thread, name: 'CNode_SaveCaller', args: this.slot(thread, false) }
    if (thread.caller?.caller && this.rarely(3)) return this.looking(thread)
    if (this.isPromising(thread) && this.rarely(2))
      return { thread, name: 'Reply', args: { packet: this.packet(thread, undefined, 1) } }
    if (this.rarely(6)) return this.mapping(thread)
    if (this.rarely(6)) return this.touching(thread)
    if (this.rarely(8)) return this.crowding(thread)
    if (this.rarely(10)) return this.spoiling(thread)
    if (this.rarely(3)) return this.cancelling(thread)
    if (this.rarely(12)) return this.weakening(thread)
    if (this.rarely(12)) return this.renewing(thread)
    if (this.rarely(4)) return this.ending(thread)
    return this.rarely(6) ? this.meddling(thread) : undefined
  }
  /** Its caller has a place for what comes with the answer. */
  private isPromising({ caller }: Thread): boolean {
    const doing = caller?.caller?.doing
    return doing?.wait === 'answer' && doing.path !== undefined
  }
  /** Whether it was signalled, with its caller waiting. */
  private looking(thread: Thread): Plan | undefined {
    const bells = this.ofKind(thread, 'Notification').filter(({ cap }) => cap.rights & R.read)
    return bells.length ? { thread, name: 'NBRecv', args: { cptr: this.pick(bells).cptr } } : undefined
  }
  /** What is mapped is read and written; what may not be is tried by who has somebody to tell of it. */
  private touching(thread: Thread): Plan | undefined {
    const { pages } = (thread.life as Life).vspace
    if (!pages.size) return undefined
    const [vaddr, name] = [this.pick([...pages.keys()]) + 4 * this.below(2), this.pick(['Load', 'Store'] as const)]
    const may = !thread.isFirst && this.model.handlerOf(thread) !== undefined
    return may || this.model.seen(thread, vaddr, name === 'Store')
      ? { thread, name, args: { vaddr, value: ++this.bodies } }
      : undefined
  }
  /** A page that somebody may see with fewer rights. */
  private weakening(thread: Thread): Plan | undefined {
    const frames = this.ofKind(thread, 'Frame').filter(({ cptr, cap }) => this.isOwn(cptr) && cap.rights === R.all)
    if (!frames.length) return undefined
    const { root, at } = this.slot(thread, false)
    const rights = this.pick([0, R.read, R.write])
    return { thread, name: 'CNode_Copy', args: { root, to: at, from: OWN, at: [this.pick(frames).cptr, WORD], rights } }
  }
  /** Memory that somebody wrote to is something else's. */
  private renewing(thread: Thread): Plan | undefined {
    const written = this.ofKind(thread, 'Untyped').filter(
      ({ cptr, cap }) => this.isOwn(cptr) && this.model.descendants(cap).some(isWritten),
    )
    if (!written.length) return undefined
    return { thread, name: 'CNode_Revoke', args: { root: OWN, at: [this.pick(written).cptr, WORD] } }
  }
  /** An address space of no process, with what is mapped in it. */
  private ending(thread: Thread): Plan | undefined {
    const spaces = this.ofKind(thread, 'VSpace').filter(
      ({ cptr, cap }) => this.isOwn(cptr) && (cap.thing as VSpace).pages.size && !(cap.thing as VSpace).life,
    )
    if (!spaces.length) return undefined
    return { thread, name: 'CNode_Delete', args: { root: OWN, at: [this.pick(spaces).cptr, WORD] } }
  }
  private isOwn(cptr: number): boolean {
    return cptr >= FIRST_SLOT && cptr < FIRST_SLOT + SLOTS
  }
  /** One more where some wait to send already: who comes first is seen from what comes next. */
  private crowding(thread: Thread): Plan | undefined {
    const crowds = this.ofKind(thread, 'Endpoint').filter(
      ({ cap }) => cap.rights & R.write && (cap.thing as Endpoint).senders.length,
    )
    const waiting = [...this.model.threads].filter(({ doing }) => doing).length
    if (!crowds.length || waiting > CROWD_MAX) return undefined
    const [{ cptr, cap }, packet] = [this.pick(crowds), this.packet(thread, this.path(thread))]
    // What goes along is shown by its badge when it is to the endpoint itself.
    const shown = this.reached(thread).filter((one) => one.cap.thing === cap.thing && one.cptr !== cptr)
    const caps = shown.length && this.rarely(2) ? [this.pick(shown).cptr] : packet.caps
    return { thread, name: this.pick(['Send', 'Call'] as const), args: { cptr, packet: { ...packet, caps } } }
  }
  /** Of a crowd, those of one badge: behind the others they come again. */
  private cancelling(thread: Thread): Plan | undefined {
    const fits = ({ thing, badge, rights }: Cap) => {
      if (!(thing instanceof Endpoint) || !badge || rights !== R.all) return false
      const own = thing.senders.filter((one) => one.badge === badge).length
      return own > 1 && own < thing.senders.length
    }
    const [found] = this.reached(thread).filter(({ cptr, cap }) => this.isOwn(cptr) && fits(cap))
    return found && { thread, name: 'CNode_CancelBadgedSends', args: { root: OWN, at: [found.cptr, WORD] } }
  }
  /** With those who wait: their badge's sends are cancelled, they are suspended, what they wait at is taken away. */
  protected meddling(thread: Thread): Plan | undefined {
    const own = this.reached(thread).find(({ cptr }) => cptr === OWN)?.cap.thing
    if (!(own instanceof Table)) return undefined
    const plans = [...own.slots].flatMap(([index, cap]) => {
      const name = index < FIRST_SLOT ? undefined : this.meddlesome(cap)
      const args = name === 'TCB_Suspend' ? { tcb: index } : { root: OWN, at: [index, WORD] }
      return name ? [{ thread, name, args }] : []
    })
    return plans.length ? this.pick(plans) : undefined
  }
  /** What somebody's waiting message is to take along goes, or is another by then. */
  private spoiling(thread: Thread): Plan | undefined {
    const own = this.reached(thread).find(({ cptr }) => cptr === OWN)?.cap.thing
    if (!(own instanceof Table)) return undefined
    const sent = [...this.model.threads].flatMap(({ cspace, doing }) =>
      cspace?.thing === own && doing?.wait === 'send' ? doing.entry.packet.caps : [],
    )
    const there = sent.filter((index) => index >= FIRST_SLOT && own.slots.has(index))
    if (!there.length) return undefined
    const index = this.pick(there)
    if (this.rarely(2)) return { thread, name: 'CNode_Delete', args: { root: OWN, at: [index, WORD] } }
    const { root, at } = this.slot(thread, false)
    return { thread, name: 'CNode_Move', args: { root, to: at, from: OWN, at: [index, WORD] } }
  }
  protected meddlesome(cap: Cap): OperationName | undefined {
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
  protected mapping(thread: Thread): Plan | undefined {
    const spaces = this.ofKind(thread, 'VSpace').filter(({ cptr }) => cptr === OWN_SPACE || this.rarely(2))
    if (!spaces.length) return undefined
    const { cptr: vspace, cap: root } = this.pick(spaces)
    const space = root.thing as VSpace
    const large = this.rarely(4)
    const vaddr = this.below(2) * 2 ** 30 + (large ? this.below(3) * LARGE : this.below(3) * 2 ** 12)
    const levels = large ? LEVELS - 1 : LEVELS
    const level = space.tables.slice(0, levels).findIndex((table, i) => !table.has(vaddr - (vaddr % 2 ** COVERED[i])))
    const kind = PAGING[level] ?? 'Frame'
    const ready = this.ofKind(thread, kind).filter(
      ({ cap }) => !cap.unmap && (kind !== 'Frame' || (cap.thing.bytes === LARGE) === large),
    )
    if (!ready.length) return this.making(thread, level < 0 && large ? LARGE_FRAME : (TYPE_OF[kind] as number))
    const weak = ready.filter(({ cap }) => cap.rights !== R.all)
    const args = { level, cap: this.pick(weak.length ? weak : ready).cptr, vspace, vaddr, rights: this.rights() }
    return { thread, name: level < 0 ? 'X86_Page_Map' : 'X86_Paging_Map', args }
  }
  protected making(thread: Thread, type: number): Plan | undefined {
    const untypeds = this.ofKind(thread, 'Untyped').filter(
      ({ cap }) => type !== LARGE_FRAME || cap.thing.bytes >= LARGE,
    )
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
  protected meeting(thread: Thread, cptr: number, wait: 'send' | 'receive' | 'signal'): Plan {
    if (wait === 'signal') return { thread, name: 'Signal', args: { cptr, packet: this.packet(thread) } }
    const name =
      wait === 'send' ? this.pick(['Recv', 'NBRecv'] as const) : this.pick(['Send', 'NBSend', 'Call'] as const)
    const path = this.path(thread)
    return { thread, name, args: { cptr, packet: this.packet(thread, path), path } }
  }
  protected answerFor(waiting: Thread, free: readonly Thread[]): Plan | undefined {
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
