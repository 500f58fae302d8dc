/** What lets a device reach memory: the root task makes IO page tables and frames, maps them, and takes them away again. */
import { OBJECT_TYPE } from '#contracts/sel4'
import { FIRST_SLOT, OWN, OWN_SPACE } from './chance.ts'
import type { OperationName, Plan } from './operations.ts'
import { Purpose } from './purpose.ts'
import type { Thread } from './threads.ts'
import { type Cap, R, type Table, WORD } from './tree.ts'

/** Who does it, through which IO space, with memory of which untyped. */
export interface Driver {
  readonly thread: Thread
  readonly iospace: number
  readonly untyped: number
}
/** The root task's slots for it. */
const FIRST = 0x1100
const COUNT = 12
const TABLES = 3
const MAKES = [
  OBJECT_TYPE.seL4_X86_IOPageTableObject,
  OBJECT_TYPE.seL4_X86_IOPageTableObject,
  OBJECT_TYPE.seL4_X86_4K,
  OBJECT_TYPE.seL4_X86_4K,
  OBJECT_TYPE.seL4_X86_LargePageObject,
] as const

export abstract class Driving extends Purpose {
  driving(driver: Driver): Plan {
    const { thread } = driver
    const { slots } = (thread.cspace as Cap).thing as Table
    const all = Array.from({ length: COUNT }, (_, i) => FIRST + i)
    const full = all.filter((index) => slots.has(index))
    if (full.length < 2 || this.rarely(4)) return this.supply(driver, all, slots)
    const idle = full.filter((index) => !slots.get(index)?.unmap)
    const index = this.pick(idle.length && !this.rarely(3) ? idle : full)
    const { name, args } = this.use(driver, index, slots.get(index) as Cap, slots)
    return { thread, name, args }
  }
  private supply({ thread, untyped }: Driver, all: readonly number[], slots: ReadonlyMap<number, Cap>): Plan {
    const empty = all.filter((index) => !slots.has(index))
    const name = empty.length ? 'Untyped_Retype' : 'CNode_Revoke'
    if (!empty.length || this.rarely(40))
      return { thread, name: 'CNode_Revoke', args: { root: OWN, at: [untyped, WORD] } }
    const making = { untyped, type: this.pick(MAKES), size: 0, root: OWN, node: [0, 0], offset: empty[0], count: 1 }
    return { thread, name, args: making }
  }
  private use(driver: Driver, index: number, cap: Cap, slots: ReadonlyMap<number, Cap>): Omit<Plan, 'thread'> {
    const isTable = cap.thing.kind === 'IOPageTable'
    if (this.rarely(10)) return { name: 'CNode_Delete', args: { root: OWN, at: [index, WORD] } }
    if (this.rarely(cap.unmap ? 2 : 20))
      return { name: 'X86_Unmap', args: { level: isTable ? TABLES + 1 : TABLES, cap: index } }
    if (!isTable && this.rarely(6)) return this.copied(index)
    if (this.rarely(20)) return this.seen(index)
    const iospace = this.rarely(30) ? OWN_SPACE : driver.iospace
    const ioaddr = this.ioaddr(isTable ? this.pick([...slots.values()]) : cap)
    if (isTable) return { name: 'X86_IOPageTable_Map', args: { cap: index, iospace, ioaddr } }
    return { name: 'X86_Page_MapIO', args: { cap: index, iospace, rights: this.rights(), ioaddr } }
  }
  private copied(index: number): { name: OperationName; args: object } {
    const to = FIRST + this.below(COUNT)
    return {
      name: 'CNode_Copy',
      args: { root: OWN, to: [to, WORD], from: OWN, at: [index, WORD], rights: this.below(16) },
    }
  }
  /** Also by a program: what a device reaches is not mapped, what is mapped no device reaches. */
  private seen(cap: number): { name: OperationName; args: object } {
    return { name: 'X86_Page_Map', args: { cap, vspace: OWN_SPACE, vaddr: FIRST_SLOT * 2 ** 21, rights: R.all } }
  }
  /** Where a page is; or another. */
  private ioaddr({ thing }: Cap): number {
    const there = thing.kind === 'Frame' ? thing.base : undefined
    return there === undefined || this.rarely(12) ? this.below(4) * 2 ** 12 : there
  }
}
