/** Who is there: the root task's gifts, eight processes, their births and deaths. */
import { OBJECT_TYPE, RIGHTS } from '#contracts/sel4'
import type { Environment } from '#sel4/api'
import { FIRST_SLOT, OWN, SLOTS } from './chance.ts'
import type { Driver } from './driving.ts'
import { type Life, IoSpace } from './memory.ts'
import { entryOf, type OperationName } from './operations.ts'
import { handleOf, Rounds } from './rounds.ts'
import { Table, Untyped, WORD } from './tree.ts'

export const WORKERS = 8
const BANK_BYTES = 64 << 20
const POOL_BITS = 25
/** What a process is given at birth: some dozens of objects. */
const SHARE_BITS = 15
/** One large page. */
const LARGE_BITS = 21
/** What the root task makes of for a device: large pages and, beside them, small ones. */
const DEVICE_BITS = 22
const POOL_SLOT = 0x1000
/** Where all meet: the root task's capabilities to two endpoints and a notification. */
const COMMON = [
  { slot: POOL_SLOT + 1, type: OBJECT_TYPE.seL4_EndpointObject },
  { slot: POOL_SLOT + 2, type: OBJECT_TYPE.seL4_EndpointObject },
  { slot: POOL_SLOT + 3, type: OBJECT_TYPE.seL4_NotificationObject },
] as const
/** Where the root task makes what it gives away. */
const SCRATCH = POOL_SLOT + 8
const FOR_DEVICE = POOL_SLOT + 9

export class Population extends Rounds {
  private root?: Environment
  /** Who lets a device reach memory. */
  protected driver!: Driver
  // ------------------------------------------------------------ programs

  protected async tester(env: Environment): Promise<void> {
    this.root = env
    await new Promise(() => {})
  }
  protected async worker(env: Environment): Promise<void> {
    this.programs.set(env.name, env)
    for (const { number } of this.model.threads) this.entry(env, number)
    const life = this.lives.find(({ name }) => name === env.name)
    this.newborn = { env, life }
    await new Promise(() => {})
  }
  private readonly programs = new Map<string, Environment>()
  protected prepare(who: number): void {
    for (const env of this.programs.values()) this.entry(env, who)
  }
  private entry(env: Environment, who: number): void {
    env.entry(entryOf(who), async (sel4, [number]) => {
      const thread = [...this.model.threads].find((one) => one.number === number)
      if (thread) this.handles.set(thread, handleOf(sel4, env.name))
      await new Promise(() => {})
    })
  }
  protected newborn?: { env: Environment; life?: Life }

  // ------------------------------------------------------------ birth and death

  protected async begin(): Promise<void> {
    const { sim, model } = this
    sim.boot()
    await sim.runUntil(() => this.root !== undefined)
    const { libsel4, name, caps } = this.root as Environment
    this.rootLife = model.born(name, new Table(0, 1), [])
    this.handles.set(this.rootLife.first, handleOf(libsel4, name))
    const bank = model.root(new Untyped('Untyped', model.next(), 0, BANK_BYTES))
    model.put(bank, { table: this.rootLife.cspace, index: caps['untyped.test'] })
    const space = model.root(new IoSpace('IOSpace', model.next()))
    model.put(space, { table: this.rootLife.cspace, index: caps['iospace.chip'] })
    this.driver = { thread: this.rootLife.first, iospace: caps['iospace.chip'], untyped: FOR_DEVICE }
    await this.givePool()
    await this.makeCommon()
    for (let i = 0; i < WORKERS; i++) await this.birth(`w${i}`)
    for (const life of this.lives) await this.introduce(life)
  }
  protected byRoot(name: OperationName, args: object): Promise<void> {
    return this.round([{ thread: this.rootLife.first, name, args }])
  }
  protected make(untyped: number, type: number, size: number, root: number, offset: number): Promise<void> {
    return this.byRoot('Untyped_Retype', { untyped, type, size, root, node: [0, 0], offset, count: 1 })
  }
  protected givePool(): Promise<void> {
    const bank = (this.root as Environment).caps['untyped.test']
    return this.make(bank, OBJECT_TYPE.seL4_UntypedObject, POOL_BITS, OWN, POOL_SLOT)
  }
  protected async makeCommon(): Promise<void> {
    for (const { slot, type } of COMMON) await this.make(POOL_SLOT, type, 0, OWN, slot)
    await this.make(POOL_SLOT, OBJECT_TYPE.seL4_UntypedObject, DEVICE_BITS, OWN, FOR_DEVICE)
  }
  /** All that was ever made, at once. */
  protected async revokePool(): Promise<void> {
    await this.byRoot('CNode_Revoke', { root: OWN, at: [POOL_SLOT, WORD] })
    await this.makeCommon()
    for (const life of this.lives) await this.share(life)
  }
  protected readonly controls = new Map<string, { tcb: number; cnode: number; vspace: number }>()
  protected async birth(name: string): Promise<void> {
    const request = {
      image: 'worker',
      instance: name,
      birth: 'fresh',
      caps: {},
      arenaBytes: 0,
      config: {},
      control: true,
    }
    let caps: { tcb: number; cnode: number; vspace: number } | undefined
    this.newborn = undefined
    void (this.root as Environment).root?.spawn(request as never).then((child) => (caps = child.caps))
    await this.sim.runUntil(() => caps !== undefined && this.newborn !== undefined)
    const { tcb, cnode, vspace } = caps as NonNullable<typeof caps>
    this.dying = undefined
    const life = this.model.born(name, this.rootLife.cspace, [tcb, cnode, vspace])
    const { env } = this.newborn as unknown as { env: Environment }
    this.handles.set(life.first, handleOf(env.libsel4, name))
    this.controls.set(name, { tcb, cnode, vspace })
    this.lives.splice(this.lives.findIndex((old) => old.name === name) >>> 0, 1, life)
    await this.share(life)
  }
  /** Memory of its own, in a free slot. */
  protected async share(life: Life): Promise<void> {
    const { cnode } = this.controls.get(life.name) as { cnode: number }
    const free = freeSlot(life.cspace)
    if (free === undefined) return
    const bits = this.chance.rarely(4) ? LARGE_BITS : SHARE_BITS
    if (!this.poolHas(2 ** bits)) return this.revokePool()
    await this.make(POOL_SLOT, OBJECT_TYPE.seL4_UntypedObject, bits, cnode, free)
    await this.meet(life)
    await this.second(life)
  }
  /** A thread besides the first, where its process finds it. */
  protected async second(life: Life): Promise<void> {
    const { cnode, vspace } = this.controls.get(life.name) as { cnode: number; vspace: number }
    const free = freeSlot(life.cspace)
    if (free === undefined) return
    await this.byRoot('CNode_Delete', { root: OWN, at: [SCRATCH, WORD] })
    await this.make(POOL_SLOT, OBJECT_TYPE.seL4_TCBObject, 0, OWN, SCRATCH)
    const spaces = { faultEp: this.handlerFor(life), cspace: cnode, data: 0, vspace }
    await this.byRoot('TCB_Configure', { tcb: SCRATCH, ...spaces, buffer: 0, frame: 0 })
    const who = this.rootLife.cspace.slots.get(SCRATCH)?.thing.number
    await this.byRoot('TCB_WriteRegisters', { tcb: SCRATCH, resume: 1, who })
    await this.byRoot('CNode_Move', { root: cnode, to: [free, WORD], from: OWN, at: [SCRATCH, WORD] })
  }
  /** Mostly an endpoint that its process has: what the thread does wrong is told there. */
  private handlerFor({ cspace }: Life): number {
    const endpoints = [...cspace.slots].filter(([, { thing }]) => thing.kind === 'Endpoint')
    return endpoints.length && !this.chance.rarely(4) ? this.chance.pick(endpoints)[0] : 0
  }
  protected async meet({ name, cspace }: Life): Promise<void> {
    const root = (this.controls.get(name) as { cnode: number }).cnode
    for (const { slot } of COMMON) {
      const free = freeSlot(cspace)
      if (free === undefined || this.chance.rarely(4)) continue
      const [rights, badge] = [this.chance.rarely(3) ? this.chance.below(16) : RIGHTS.all, this.chance.below(8)]
      await this.byRoot('CNode_Mint', { root, to: [free, WORD], from: OWN, at: [slot, WORD], rights, badge })
    }
  }
  protected poolHas(bytes: number): boolean {
    const pool = this.rootLife.cspace.slots.get(POOL_SLOT)?.thing as Untyped
    return pool.bytes - pool.watermark >= 2 * bytes
  }
  /** Capabilities to two others' CNodes. */
  protected async introduce({ name, cspace }: Life): Promise<void> {
    const to = (this.controls.get(name) as { cnode: number }).cnode
    const at = this.lives.findIndex((life) => life.name === name)
    for (const step of [1, 3]) {
      const free = freeSlot(cspace)
      const other = this.controls.get(this.lives[(at + step) % this.lives.length].name) as { cnode: number }
      if (free === undefined) return
      await this.byRoot('CNode_Copy', {
        root: to,
        to: [free, WORD],
        from: OWN,
        at: [other.cnode, WORD],
        rights: RIGHTS.all,
      })
    }
  }
  protected async death(life: Life): Promise<void> {
    this.note(`${life.name} is killed`)
    this.dying = life.name
    this.begins()
    this.sim.kill(life.name)
    this.model.died(life)
    await this.settle()
    const { tcb, cnode, vspace } = this.controls.get(life.name) as { tcb: number; cnode: number; vspace: number }
    for (const index of [tcb, cnode, vspace]) await this.byRoot('CNode_Delete', { root: OWN, at: [index, WORD] })
    await this.birth(life.name)
    await this.introduce(this.lives.find(({ name }) => name === life.name) as Life)
  }
}
const freeSlot = ({ slots }: Table): number | undefined =>
  Array.from({ length: SLOTS }, (_, i) => FIRST_SLOT + i).find((index) => !slots.has(index))
