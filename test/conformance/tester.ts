/**
 * What a conformance case works with: libsel4 and a small allocator. Nothing here or in a case looks into the kernel.
 *
 *   CASE('IPC0001', 'what it pins down', async (t) => { … })
 *   t.alloc('seL4_EndpointObject')         a new object, in a new slot
 *   t.start('echo', [endpoint], { away })  a thread of this process, or of the other one
 *   t.is(actual, expected)   t.fails('seL4_DeleteFirst', promise)
 *
 * Thread bodies are declared with THREAD by name, so that both processes know them. Each case gets a fresh untyped, which
 * is revoked behind it: its objects, threads and slots go with it.
 */
import {
  OBJECT_TYPE,
  type ObjectType,
  RIGHTS,
  SEL4_METHODS,
  type Sel4MethodName,
  seL4_CapInitThreadCNode,
  seL4_CapInitThreadTCB,
  seL4_CapInitThreadVSpace,
} from '#contracts/sel4'
import type { Environment, Main } from '../../lib/sel4/api.ts'
import type { Entry, IpcReceived, Libsel4 } from '../../lib/sel4/threads.ts'

export interface Case {
  readonly name: string
  readonly doc: string
  readonly run: (t: Tester) => Promise<void>
}
export const CASES: Case[] = []
export const CASE = (name: string, doc: string, run: Case['run']): void => void CASES.push({ name, doc, run })
const THREADS: Record<string, Entry> = {}
export const THREAD = (name: string, main: Entry): void => void (THREADS[name] = main)

export const OWN = seL4_CapInitThreadCNode
export const DEPTH = 32
/** Of the untyped a case may use up: 8 MiB. */
export const CASE_BITS = 23
const FIRST_SLOT = 0x1000
const HELPER = { image: 'helper', birth: 'fresh', caps: {}, arenaBytes: 0, config: {}, control: true } as const
const PATIENCE_MS = 8000

export interface StartOptions {
  /** In the other process. */
  readonly away?: boolean
  readonly cspace?: number
  readonly cspaceData?: number
  readonly faultEp?: number
  readonly priority?: number
  readonly suspended?: boolean
}
export class Tester {
  readonly env: Environment
  readonly sel4: Libsel4
  readonly away: number
  readonly untyped: number
  private nextSlot: number

  constructor(env: Environment, away: number, untyped: number, firstSlot: number) {
    this.env = env
    this.sel4 = asDeclared(env.libsel4)
    this.away = away
    this.untyped = untyped
    this.nextSlot = firstSlot
  }
  /** In the root task: with memory of so many bits to use up, and a helper to be away in. */
  static async prepared(env: Environment, bits: number): Promise<Tester> {
    const helper = await env.root?.spawn(HELPER)
    const type = OBJECT_TYPE.seL4_UntypedObject
    await env.libsel4.Untyped_Retype(env.caps['untyped.test'], type, bits, OWN, 0, 0, FIRST_SLOT, 1)
    return new Tester(env, helper?.caps?.vspace ?? 0, FIRST_SLOT, FIRST_SLOT + 1)
  }
  /** Every declared thread body, by name. */
  static threads(): [string, Entry][] {
    return Object.entries(THREADS)
  }
  slot(): number {
    return this.nextSlot++
  }
  get usedSlots(): number {
    return this.nextSlot
  }
  async alloc(type: ObjectType, size_bits = 0, from = this.untyped): Promise<number> {
    const slot = this.slot()
    await this.sel4.Untyped_Retype(from, OBJECT_TYPE[type], size_bits, OWN, 0, 0, slot, 1)
    return slot
  }
  endpoint(): Promise<number> {
    return this.alloc('seL4_EndpointObject')
  }
  notification(): Promise<number> {
    return this.alloc('seL4_NotificationObject')
  }
  async mint(from: number, badge: number, rights: number = RIGHTS.all): Promise<number> {
    const slot = this.slot()
    await this.sel4.CNode_Mint(OWN, slot, DEPTH, OWN, from, DEPTH, rights, badge)
    return slot
  }
  async copy(from: number, rights: number = RIGHTS.all): Promise<number> {
    const slot = this.slot()
    await this.sel4.CNode_Copy(OWN, slot, DEPTH, OWN, from, DEPTH, rights)
    return slot
  }
  delete(slot: number): Promise<unknown> {
    return this.sel4.CNode_Delete(OWN, slot, DEPTH)
  }
  revoke(slot: number): Promise<unknown> {
    return this.sel4.CNode_Revoke(OWN, slot, DEPTH)
  }
  /** Paging structures above an address of the own VSpace, and a frame there. */
  async tables(vaddr: number, vspace = seL4_CapInitThreadVSpace): Promise<{ pdpt: number; pd: number; pt: number }> {
    const pdpt = await this.alloc('seL4_X86_PDPTObject')
    const pd = await this.alloc('seL4_X86_PageDirectoryObject')
    const pt = await this.alloc('seL4_X86_PageTableObject')
    await this.sel4.X86_PDPT_Map(pdpt, vspace, vaddr, 0)
    await this.sel4.X86_PageDirectory_Map(pd, vspace, vaddr, 0)
    await this.sel4.X86_PageTable_Map(pt, vspace, vaddr, 0)
    return { pdpt, pd, pt }
  }
  async start(entry: string, args: readonly number[], options: StartOptions = {}): Promise<number> {
    const tcb = await this.alloc('seL4_TCBObject')
    const vspace = options.away ? this.away : seL4_CapInitThreadVSpace
    await this.sel4.TCB_Configure(
      tcb,
      options.faultEp ?? 0,
      options.cspace ?? OWN,
      options.cspaceData ?? 0,
      vspace,
      0,
      0,
      0,
    )
    if (options.priority !== undefined) await this.sel4.TCB_SetPriority(tcb, seL4_CapInitThreadTCB, options.priority)
    await this.sel4.TCB_WriteRegisters(tcb, options.suspended ? 0 : 1, entry, args)
    return tcb
  }
  /** Long enough for whatever can happen now to have happened. */
  settle(): Promise<void> {
    return this.env.clock.sleep(25)
  }
  is(actual: unknown, expected: unknown, what = 'value'): void {
    const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)]
    if (a !== b) throw new Error(`${what}: ${a}, expected ${b}`)
  }
  async fails(error: string, act: Promise<unknown>): Promise<void> {
    this.is(await outcome(act), error, 'outcome')
  }
  /** Rejects when it takes too long: a case that hangs is a case that fails. */
  async soon<T>(act: Promise<T>, what = 'it'): Promise<T> {
    let alarm: { cancel(): void } | undefined
    const late = new Promise<never>((_, reject) => {
      alarm = this.env.clock.alarm(PATIENCE_MS, () => reject(new Error(`${what} hangs`)))
    })
    return Promise.race([act, late]).finally(() => alarm?.cancel())
  }
}
/** Whose methods answer the errors they are declared with, and no other. */
export const asDeclared = (sel4: Libsel4): Libsel4 =>
  new Proxy(sel4, {
    get(target, name) {
      const value = Reflect.get(target, name)
      if (typeof value !== 'function') return value
      const { errors } = SEL4_METHODS[name as Sel4MethodName] ?? {}
      const call = value.bind(target)
      return errors ? (...args: unknown[]) => call(...args).catch(unless(String(name), errors)) : call
    },
  })
const unless = (name: string, declared: readonly string[]) => (error: Error) => {
  const [answered] = error.message.split(':')
  throw declared.includes(answered) ? error : new Error(`${name} answers ${answered}, which it does not declare`)
}
export const outcome = (act: Promise<unknown>): Promise<string> =>
  act.then(
    () => 'ok',
    (error: Error) => error.message.split(':')[0],
  )
export const content = ({ badge, label, body }: IpcReceived): unknown[] => [badge, label, body]

/** Runs every case and logs each: `case` with name and error, `done` at the end. */
export const tester: Main = async (env) => {
  for (const [name, main] of Tester.threads()) env.entry(name, main)
  const { root, libsel4, log, config } = env
  if (!root) throw new Error('the tester is the root task')
  root.onDeath((report) => log.warn('death', { report }))
  const helper = await root.spawn(HELPER)
  const bank = env.caps['untyped.test']
  let slot = FIRST_SLOT
  for (const { name, run } of CASES.filter(({ name }) => !config.only || name === config.only)) {
    const untyped = slot++
    await libsel4.Untyped_Retype(bank, OBJECT_TYPE.seL4_UntypedObject, CASE_BITS, OWN, 0, 0, untyped, 1)
    const t = new Tester(env, helper.caps?.vspace ?? 0, untyped, slot)
    const error = await t.soon(run(t), name).then(
      () => null,
      (failure: Error) => failure.stack ?? failure.message,
    )
    log.info('case', { case: name, error })
    await libsel4.CNode_Revoke(OWN, untyped, DEPTH)
    await libsel4.CNode_Delete(OWN, untyped, DEPTH)
    slot = t.usedSlots
  }
  log.info('done')
}
export const helper: Main = async (env) => {
  for (const [name, main] of Tester.threads()) env.entry(name, main)
}
