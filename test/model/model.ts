/**
 * The executable model: what each operation does to who can reach what, and which libsel4 error it is refused with.
 *
 *   tree.ts       capabilities and their descent        memory.ts   untyped memory, address spaces
 *   threads.ts    waiting, signals                      model.ts    threads' methods, processes, what ends with what
 *   messages.ts   meeting, answering
 *   cnodes.ts     the methods of CNodes
 *
 * From the seL4 manual: 6.1 (threads) and the API reference for each method's errors.
 */
import { type Life, Memory, VSpace } from './memory.ts'
import { Endpoint, Notification, Reply, Thread } from './threads.ts'
import { type Cap, capOf, R, refuse, Table, type Thing } from './tree.ts'

/** [seL4 manual] seL4_IPCBufferSizeBits */
const BUFFER_BYTES = 1024
export interface Spaces {
  readonly faultEp: number
  readonly cspace: number
  readonly data: number
  readonly vspace: number
}
export interface Buffer {
  readonly buffer: number
  readonly frame: number
}

export class Model extends Memory {
  constructor() {
    super()
    this.gone = (thing) => this.end(thing)
    this.lost = (cap) => this.forsaken(cap)
  }

  // ------------------------------------------------------------ threads

  TCB_Configure(t: Thread, service: number, args: Spaces & Buffer): null {
    const target = this.invoked(t, service, 'TCB').thing as Thread
    this.all(
      () => this.checkSpaces(t, target, args),
      () => this.bufferFrame(t, args),
    )
    const frame = this.bufferFrame(t, args)
    this.setSpaces(t, target, args)
    this.setBuffer(target, frame)
    return null
  }
  TCB_SetSpace(t: Thread, service: number, args: Spaces): null {
    const target = this.invoked(t, service, 'TCB').thing as Thread
    this.checkSpaces(t, target, args)
    this.setSpaces(t, target, args)
    return null
  }
  TCB_SetIPCBuffer(t: Thread, service: number, args: Buffer): null {
    const target = this.invoked(t, service, 'TCB').thing as Thread
    this.setBuffer(target, this.bufferFrame(t, args))
    return null
  }
  /** A page of memory, and an address in it. */
  private bufferFrame(t: Thread, { buffer, frame }: Buffer): Cap | undefined {
    if (!buffer) return undefined
    this.all(
      () => capOf(t.cspace, frame).thing.kind !== 'Frame' && refuse('IllegalOperation'),
      () => buffer % BUFFER_BYTES && refuse('AlignmentError'),
    )
    return capOf(t.cspace, frame)
  }
  private setBuffer(target: Thread, frame: Cap | undefined): void {
    const before = target.buffer
    target.buffer = frame && this.derive(frame, R.all)
    if (target.buffer) this.holders.set(target.buffer, target)
    if (before) this.delete(before)
  }
  private checkSpaces(t: Thread, target: Thread, { cspace, data, vspace }: Spaces): void {
    this.all(
      () => (!cspace || !vspace) && refuse('IllegalOperation'),
      () => cspace && this.argument(t, cspace, 'CNode', 'IllegalOperation'),
      () => vspace && this.argument(t, vspace, 'VSpace', 'IllegalOperation'),
      () => target.isFirst && target.life && refuse('IllegalOperation'),
      () => data && this.checkData(capOf(t.cspace, cspace), data, false),
    )
  }
  private setSpaces(t: Thread, target: Thread, { faultEp, cspace, data, vspace }: Spaces): void {
    const [root, space] = [capOf(t.cspace, cspace), capOf(t.cspace, vspace)]
    const guard = data ? this.guardIn(root, data) : undefined
    this.settle(target, root, space, guard)
    this.moveIn(target, space.thing as VSpace)
    target.faultEp = faultEp
  }
  private moveIn(target: Thread, { life }: VSpace): void {
    if (target.life === life) return
    this.moveOut(target)
    target.life = life
  }
  private moveOut(target: Thread): void {
    this.stop(target)
    target.life = undefined
    target.started = false
  }
  TCB_WriteRegisters(t: Thread, service: number, entry: string, resume: number): null {
    const target = this.invoked(t, service, 'TCB').thing as Thread
    if (target.isFirst && target.life) return refuse('IllegalOperation')
    this.stop(target)
    target.started = false
    target.entry = entry
    if (target.state !== 'inactive') target.state = 'suspended'
    if (resume) this.resume(target)
    return null
  }
  private resume(target: Thread): void {
    if (target.state === 'running') return
    target.state = 'running'
    target.started = true
    if (target.operation && !target.operation.expected && !target.doing) this.restarted.add(target)
  }
  TCB_Suspend(t: Thread, service: number): null {
    this.suspend(this.invoked(t, service, 'TCB').thing as Thread)
    return null
  }
  TCB_Resume(t: Thread, service: number): null {
    const target = this.invoked(t, service, 'TCB').thing as Thread
    if (!target.cspace || !target.vspace) return refuse('IllegalOperation')
    this.resume(target)
    return null
  }
  TCB_BindNotification(t: Thread, service: number, notification: number): null {
    const target = this.invoked(t, service, 'TCB').thing as Thread
    const { thing, rights } = this.argument(t, notification, 'Notification', 'IllegalOperation')
    const bell = thing as Notification
    if (!(rights & R.read) || target.bound || bell.bound || bell.waiting.length) return refuse('IllegalOperation')
    target.bound = bell
    bell.bound = target
    return null
  }
  TCB_UnbindNotification(t: Thread, service: number): null {
    const target = this.invoked(t, service, 'TCB').thing as Thread
    if (!target.bound) return refuse('IllegalOperation')
    target.bound.bound = undefined
    target.bound = undefined
    return null
  }

  // ------------------------------------------------------------ processes

  /** A process is born with a thread, a CSpace and a VSpace, at well-known slots; its parent is given a copy of each. */
  born(name: string, parent: Table, slots: readonly number[]): Life {
    const [first, cspace, vspace] = [
      new Thread('TCB', this.next()),
      new Table(this.next(), 16),
      new VSpace('VSpace', this.next()),
    ]
    const life = { name, cspace, vspace, first }
    const caps = [this.root(first), this.root(cspace, { guardBits: 16 }), this.root(vspace)]
    caps.forEach((cap, i) => this.put(cap, { table: cspace, index: i + 1 }))
    vspace.life = life
    this.threads.add(first)
    this.settle(first, caps[1], caps[2])
    Object.assign(first, { isFirst: true, state: 'running', started: true, life })
    caps.forEach((cap, i) => slots.length && this.put(this.derive(cap, R.all), { table: parent, index: slots[i] }))
    return life
  }
  /** What its threads waited for, what it could reach, is gone; its memory and what others hold of it is not. */
  died(life: Life): void {
    const threads = [...this.threads].filter((thread) => thread.life === life)
    for (const { thing } of life.cspace.slots.values()) if (thing instanceof Reply) this.bereave(thing)
    for (const thread of threads) {
      this.bereave(thread.caller)
      this.silence(thread)
      thread.state = 'inactive'
      thread.isFirst = false
    }
    for (const cap of [...life.cspace.slots.values()]) this.delete(cap)
    for (const thread of threads) this.release(thread)
    life.vspace.life = undefined
    life.cspace.closed = true
  }

  // ------------------------------------------------------------ ends

  private end(thing: Thing): void {
    if (thing instanceof Endpoint || thing instanceof Notification) this.endOfMeeting(thing)
    if (thing instanceof VSpace)
      for (const map of [thing.pages, ...thing.tables]) for (const cap of [...map.values()]) cap.unmap?.()
    if (thing instanceof Thread) {
      this.silence(thing)
      this.release(thing)
      this.threads.delete(thing)
    }
  }
  private silence(thread: Thread): void {
    this.stop(thread)
    this.dropCaller(thread)
    if (thread.bound) thread.bound.bound = undefined
    thread.bound = undefined
  }
  private release(thread: Thread): void {
    for (const cap of [thread.cspace, thread.vspace, thread.buffer]) if (cap) this.delete(cap)
  }
  /** Its copies of what it was configured with: they go when those are revoked. */
  private readonly holders = new Map<Cap, Thread>()
  private settle(thread: Thread, root: Cap, space: Cap, guard?: { guard: number; guardBits: number }): void {
    const before = [thread.cspace, thread.vspace]
    thread.cspace = this.derive(root, R.all, undefined, guard)
    thread.vspace = this.derive(space, R.all)
    for (const cap of [thread.cspace, thread.vspace]) this.holders.set(cap, thread)
    for (const cap of before) if (cap) this.delete(cap)
  }
  private forsaken(cap: Cap): void {
    const thread = this.holders.get(cap)
    this.holders.delete(cap)
    if (thread?.cspace === cap) thread.cspace = undefined
    if (thread?.buffer === cap) thread.buffer = undefined
    if (thread?.vspace !== cap) return
    thread.vspace = undefined
    this.moveOut(thread)
  }
}
