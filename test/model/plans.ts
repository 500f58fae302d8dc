/**
 * What comes next: operations that mostly make sense, drawn by a seed from what the model says is there.
 *
 *   new Plans(seed, model).plan(thread)      one operation of that thread
 *   plans.helpful(waiting, free)             one that may end somebody's wait
 */
import { OBJECT_TYPE } from '#contracts/sel4'
import { OWN, OWN_SPACE } from './chance.ts'
import type { Life } from './memory.ts'
import type { Model } from './model.ts'
import type { OperationName, Plan } from './operations.ts'
import { Driving } from './driving.ts'
import type { Thread } from './threads.ts'
import { PAGING, Table } from './tree.ts'

const WEIGHTS: Readonly<Partial<Record<OperationName, number>>> = {
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
  TCB_SetSpace: 2,
  TCB_SetIPCBuffer: 3,
  TCB_WriteRegisters: 4,
  TCB_Suspend: 2,
  TCB_Resume: 4,
  TCB_BindNotification: 2,
  TCB_UnbindNotification: 1,
  X86_Page_Map: 5,
  X86_Page_GetAddress: 1,
  X86_Paging_Map: 6,
  X86_Unmap: 3,
  Load: 8,
  Store: 8,
  UnknownSyscall: 2,
  PortIn: 1,
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
  [OBJECT_TYPE.seL4_X86_LargePageObject, 0, 0],
  [OBJECT_TYPE.seL4_X86_PageTableObject, 0, 0],
  [OBJECT_TYPE.seL4_X86_PageDirectoryObject, 0, 0],
]

export class Plans extends Driving {
  private readonly deck: OperationName[]

  constructor(seed: number, model: Model) {
    super(seed, model)
    this.deck = Object.entries(WEIGHTS).flatMap(([name, weight]) => new Array(weight).fill(name))
  }

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
      case 'Load':
      case 'Store':
      case 'UnknownSyscall':
      case 'PortIn':
        return this.accessing(name, t)
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
  /** What is a fault ends a process when its first thread does it, and stops a thread that has no handler. */
  private accessing(name: OperationName, t: Thread): object | undefined {
    const mayFault = !t.isFirst && (this.model.handlerOf(t) !== undefined || this.rarely(12))
    if (name === 'UnknownSyscall') return mayFault ? { number: this.below(100) } : undefined
    if (name === 'PortIn') return mayFault ? { port: this.below(0x400) } : undefined
    const { pages } = (t.life as Life).vspace
    const page = pages.size && !this.rarely(6) ? this.pick([...pages.keys()]) : this.vaddr()
    const vaddr = page + 4 * this.below(3) + (this.rarely(8) ? 2 ** 12 * this.below(512) : 0)
    const faults = !this.model.seen(t, vaddr, name === 'Store')
    return !faults || mayFault ? { vaddr, value: ++this.bodies } : undefined
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
      case 'TCB_SetSpace':
        // Where a running thread's code lives is not changed under it.
        if (target?.kind === 'TCB' && target.state === 'running') return undefined
        return { tcb, ...this.spaces(t), ...this.buffer(t) }
      case 'TCB_SetIPCBuffer':
        return { tcb, ...this.buffer(t) }
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
  private spaces(t: Thread): object {
    return {
      faultEp: this.rarely(3) ? 0 : this.address(t, 'Endpoint'),
      cspace: this.rarely(3) ? this.address(t, 'CNode') : OWN,
      data: this.rarely(4) ? this.badge() : 0,
      vspace: this.rarely(3) ? this.address(t, 'VSpace') : OWN_SPACE,
    }
  }
  private buffer(t: Thread): object {
    if (this.rarely(3)) return { buffer: 0, frame: this.below(100) }
    return { buffer: 2 ** 30 + 512 * this.below(4), frame: this.address(t, 'Frame') }
  }
  private vaddr(): number {
    if (this.rarely(50)) return this.pick([2 ** 47, 4097])
    return this.below(2) * 2 ** 39 + this.below(2) * 2 ** 30 + this.below(2) * 2 ** 21 + this.below(3) * 2 ** 12
  }
  private onSpace(name: OperationName, t: Thread): object {
    const vspace = this.rarely(5) ? this.address(t, 'VSpace') : 3
    const vaddr = this.vaddr()
    const level =
      name === 'X86_Page_Map' || name === 'X86_Page_GetAddress' ? 3 : this.below(name === 'X86_Unmap' ? 4 : 3)
    const cap = this.address(t, PAGING[level] ?? 'Frame')
    return { level, cap, vspace, vaddr, rights: this.rights() }
  }
}
