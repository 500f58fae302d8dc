/**
 * One seed: eight processes in the simulator do what chance draws, some at once, some alone; the model does the same, and
 * after each round what came of it is compared, now and then also all that every process can reach.
 *
 *   await new Run(7).go(10_000)       throws an Error that names the seed and the operations before
 *
 * An object's method takes place in the model when its request reaches the kernel, whatever the delays were; a system
 * call when it is made, for that nothing else is done meanwhile. Threads that wait go on waiting over many rounds.
 */
import { OBJECT_TYPE, METHOD_LABEL_MIN, RIGHTS } from '#contracts/sel4'
import type { Environment, Main } from '#sel4/api'
import { settle } from '#sel4/fake'
import { Simulator } from '#sel4/sim'
import type { Libsel4 } from '#sel4/threads'
import { KIND, labelOf, threadOf } from '#sel4/wire'
import type { ManifestFiles } from '../../kernel/manifest/files.ts'
import { parseManifest, viewOf } from '../../kernel/manifest/index.ts'
import { checkInvariants, isQuiet } from '../../kernel/invariants/index.ts'
import { Chance, FIRST_SLOT, SLOTS } from './chance.ts'
import { compare } from './compare.ts'
import { type Life, Model } from './model.ts'
import { definitionOf, DISTURBS, type OperationName, type Plan } from './operations.ts'
import type { Expected, Operation, Thread } from './threads.ts'
import { Table, Untyped, WORD } from './tree.ts'

const WORKERS = 8
/** Threads besides the processes' first. */
const THREADS_MAX = 16
const BANK_BYTES = 32 << 20
const POOL_BITS = 23
/** What a process is given at birth: some dozens of objects. */
const SHARE_BITS = 15
const OWN = 2
const POOL_SLOT = 0x1000
/** Where all meet: the root task's capabilities to two endpoints and a notification. */
const COMMON = [
  { slot: POOL_SLOT + 1, type: OBJECT_TYPE.seL4_EndpointObject },
  { slot: POOL_SLOT + 2, type: OBJECT_TYPE.seL4_EndpointObject },
  { slot: POOL_SLOT + 3, type: OBJECT_TYPE.seL4_NotificationObject },
] as const
/** Longer than the longest chain of messages a request causes. */
const ROUND_MS = 60
const CHECKPOINT = 50
const AT_ONCE = 6
/** Operations shown of those before a failure. */
const SHOWN = Number(process.env.SHOWN ?? 60)

const LAUNCH = {
  machine: 'pc',
  banks: { test: { bytes: '32 MiB' } },
  devices: {},
  cables: {},
  root: { image: 'tester', banks: ['test'] },
  images: { worker: { image: 'worker' } },
}
const files: ManifestFiles = {
  description: (_kind, image) => ({
    file: `${image}.json`,
    text: JSON.stringify({ needs: { interfaces: ['ExecutiveServices'] } }),
  }),
  exists: () => true,
}
/** They are drawn for a thread as it is now. */
const ALONE: ReadonlySet<OperationName> = new Set(['TCB_Resume', 'TCB_Configure'] as const)
/** Where the root task makes what it gives away. */
const SCRATCH = POOL_SLOT + 8
interface Handle {
  readonly sel4: Libsel4
  /** Its process and its number there. */
  readonly process: string
  readonly number: number
}
type Found = { value: unknown } | { error: string }

export class Run {
  readonly seed: number
  readonly sim: Simulator
  readonly model = new Model()
  private readonly chance: Chance
  private readonly handles = new Map<Thread, Handle>()
  private readonly lives: Life[] = []
  private readonly found = new Map<Operation, Found>()
  private readonly log: string[] = []
  /** Where the bank begins. */
  readonly base: number
  private root?: Environment
  private rootLife!: Life
  private operations = 0
  private readonly counts = new Map<string, number>()

  constructor(seed: number, { slowpath = false, maxDelay = 1 } = {}) {
    this.seed = seed
    const manifest = parseManifest('launch.json', JSON.stringify({ ...LAUNCH, slowpath }), files)
    this.base = manifest.banks[0].physicalAddress
    this.chance = new Chance(seed, this.model)
    const images = { tester: this.tester, worker: this.worker }
    this.sim = new Simulator({ seed, manifest, view: viewOf(manifest), images, maxDelay })
    this.model.isLoose = !slowpath
    this.model.stopped = (thread) => void this.handles.delete(thread)
    this.listen()
  }
  /** The kernel takes requests one by one: in that order the model does what they ask. */
  private listen(): void {
    const { kernel } = this.sim
    const onMessage = kernel.onMessage.bind(kernel)
    kernel.onMessage = (token, message) => {
      if (message[0] === KIND.INVOKE && labelOf(message) >= METHOD_LABEL_MIN) {
        const name = kernel['byToken'].get(token)?.name
        const number = threadOf(message)
        for (const [thread, handle] of this.handles)
          if (handle.process === name && handle.number === number) this.reached(thread)
      }
      onMessage(token, message)
    }
  }
  /** A suspended thread does nothing: it asks again when it is resumed. */
  private reached({ state, operation }: Thread): void {
    if (state === 'running' && operation?.isMethod && !operation.expected) this.model.attempt(operation)
  }

  // ------------------------------------------------------------ programs

  private readonly tester: Main = async (env) => {
    this.root = env
    await new Promise(() => {})
  }
  private readonly worker: Main = async (env) => {
    env.entry('work', async (sel4, [number]) => {
      const thread = [...this.model.threads].find((one) => one.number === number)
      if (thread) this.handles.set(thread, handleOf(sel4, env.name))
      await new Promise(() => {})
    })
    const life = this.lives.find(({ name }) => name === env.name)
    this.newborn = { env, life }
    await new Promise(() => {})
  }
  private dying?: string
  private newborn?: { env: Environment; life?: Life }

  // ------------------------------------------------------------ birth and death

  private async begin(): Promise<void> {
    const { sim, model } = this
    sim.boot()
    await sim.runUntil(() => this.root !== undefined)
    const { libsel4, name, caps } = this.root as Environment
    this.rootLife = model.born(name, new Table(0, 1), [])
    this.handles.set(this.rootLife.first, handleOf(libsel4, name))
    const bank = model.root(new Untyped('Untyped', model.next(), 0, BANK_BYTES))
    model.put(bank, { table: this.rootLife.cspace, index: caps['untyped.test'] })
    await this.givePool()
    await this.makeCommon()
    for (let i = 0; i < WORKERS; i++) await this.birth(`w${i}`)
    for (const life of this.lives) await this.introduce(life)
  }
  private byRoot(name: OperationName, args: object): Promise<void> {
    return this.round([{ thread: this.rootLife.first, name, args }])
  }
  private make(untyped: number, type: number, size: number, root: number, offset: number): Promise<void> {
    return this.byRoot('Untyped_Retype', { untyped, type, size, root, node: [0, 0], offset, count: 1 })
  }
  private givePool(): Promise<void> {
    const bank = (this.root as Environment).caps['untyped.test']
    return this.make(bank, OBJECT_TYPE.seL4_UntypedObject, POOL_BITS, OWN, POOL_SLOT)
  }
  private async makeCommon(): Promise<void> {
    for (const { slot, type } of COMMON) await this.make(POOL_SLOT, type, 0, OWN, slot)
  }
  /** All that was ever made, at once. */
  private async revokePool(): Promise<void> {
    await this.byRoot('CNode_Revoke', { root: OWN, at: [POOL_SLOT, WORD] })
    await this.makeCommon()
    for (const life of this.lives) await this.share(life)
  }
  private readonly controls = new Map<string, { tcb: number; cnode: number; vspace: number }>()
  private async birth(name: string): Promise<void> {
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
  private async share(life: Life): Promise<void> {
    const { cnode } = this.controls.get(life.name) as { cnode: number }
    const free = freeSlot(life.cspace)
    if (free === undefined) return
    if (!this.poolHas(2 ** SHARE_BITS)) return this.revokePool()
    await this.make(POOL_SLOT, OBJECT_TYPE.seL4_UntypedObject, SHARE_BITS, cnode, free)
    await this.meet(life)
    await this.second(life)
  }
  /** A thread besides the first, where its process finds it. */
  private async second(life: Life): Promise<void> {
    const { cnode, vspace } = this.controls.get(life.name) as { cnode: number; vspace: number }
    const free = freeSlot(life.cspace)
    if (free === undefined) return
    await this.byRoot('CNode_Delete', { root: OWN, at: [SCRATCH, WORD] })
    await this.make(POOL_SLOT, OBJECT_TYPE.seL4_TCBObject, 0, OWN, SCRATCH)
    await this.byRoot('TCB_Configure', { tcb: SCRATCH, cspace: cnode, data: 0, vspace })
    const who = this.rootLife.cspace.slots.get(SCRATCH)?.thing.number
    await this.byRoot('TCB_WriteRegisters', { tcb: SCRATCH, resume: 1, who })
    await this.byRoot('CNode_Move', { root: cnode, to: [free, WORD], from: OWN, at: [SCRATCH, WORD] })
  }
  private async meet({ name, cspace }: Life): Promise<void> {
    const root = (this.controls.get(name) as { cnode: number }).cnode
    for (const { slot } of COMMON) {
      const free = freeSlot(cspace)
      if (free === undefined || this.chance.rarely(4)) continue
      const [rights, badge] = [this.chance.rarely(3) ? this.chance.below(16) : RIGHTS.all, this.chance.below(8)]
      await this.byRoot('CNode_Mint', { root, to: [free, WORD], from: OWN, at: [slot, WORD], rights, badge })
    }
  }
  private poolHas(bytes: number): boolean {
    const pool = this.rootLife.cspace.slots.get(POOL_SLOT)?.thing as Untyped
    return pool.bytes - pool.watermark >= 2 * bytes
  }
  /** Capabilities to two others' CNodes. */
  private async introduce({ name, cspace }: Life): Promise<void> {
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
  private async death(life: Life): Promise<void> {
    this.note(`${life.name} is killed`)
    this.dying = life.name
    this.sim.kill(life.name)
    this.model.died(life)
    await this.settle()
    const { tcb, cnode, vspace } = this.controls.get(life.name) as { tcb: number; cnode: number; vspace: number }
    for (const index of [tcb, cnode, vspace]) await this.byRoot('CNode_Delete', { root: OWN, at: [index, WORD] })
    await this.birth(life.name)
    await this.introduce(this.lives.find(({ name }) => name === life.name) as Life)
  }

  // ------------------------------------------------------------ rounds

  async go(count: number): Promise<void> {
    await this.begin()
    for (let rounds = 1; this.operations < count; rounds++) {
      await this.turn()
      if (rounds % CHECKPOINT === 0) this.checkpoint()
    }
    this.checkpoint()
  }
  /** How often each operation went well, and was refused. */
  summary(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.counts].sort())
  }
  private async turn(): Promise<void> {
    const { chance, model } = this
    const workers = [...model.threads].filter((thread) => thread !== this.rootLife.first)
    const free = workers.filter((thread) => this.isFree(thread))
    const waiting = workers.filter(({ doing }) => doing)
    if (chance.rarely(400)) return this.death(chance.pick(this.lives))
    if (chance.rarely(150)) return this.share(chance.pick(this.lives))
    if (chance.rarely(2000)) return this.revokePool()
    if (waiting.length && (free.length < 4 || chance.rarely(6))) return this.helpOne(chance.pick(waiting), free)
    if (!free.length) return this.death(chance.pick(this.lives))
    return chance.rarely(2) ? this.together(free, waiting.length > 0) : this.round([this.alone(chance.pick(free))])
  }
  private isFree(thread: Thread): boolean {
    return thread.state === 'running' && !thread.operation && this.handles.has(thread)
  }
  private alone(thread: Thread): Plan {
    const many = this.model.threads.size > THREADS_MAX + WORKERS
    return this.chance.plan(thread, (name) => !many || name !== 'TCB_WriteRegisters')
  }
  private helpOne(waiting: Thread, free: readonly Thread[]): Promise<void> {
    const plan = this.chance.helpful(waiting, free)
    if (plan) return this.round([plan])
    return free.length > 2 ? this.round([this.alone(this.chance.pick(free))]) : this.unstick(waiting)
  }
  /** Nobody can help it, and few are left: its process dies. */
  private unstick(waiting: Thread): Promise<void> {
    const life = this.lives.find((one) => one.vspace.life === waiting.life) ?? this.chance.pick(this.lives)
    return this.death(life)
  }
  /** Methods of several threads at once; what may end somebody's wait only while nobody waits. */
  private together(free: readonly Thread[], somebodyWaits: boolean): Promise<void> {
    const count = 1 + this.chance.below(Math.min(AT_ONCE, free.length))
    const chosen = [...free].sort(() => this.chance.below(3) - 1).slice(0, count)
    const fits = (name: OperationName) =>
      !definitionOf(name).isCall && !ALONE.has(name) && !(somebodyWaits && DISTURBS.has(name))
    return this.round(chosen.map((thread) => this.chance.plan(thread, fits)))
  }
  private async round(plans: readonly Plan[]): Promise<void> {
    for (const plan of plans) this.issue(plan)
    await this.settle()
  }
  private issue({ thread, name, args }: Plan): void {
    const { run, mean, isCall } = definitionOf(name)
    const { sel4, process } = this.handles.get(thread) as Handle
    const id = ++this.operations
    const operation: Operation = {
      id,
      thread,
      name,
      args: [args],
      isMethod: !isCall,
      perform: () => mean(this.model, thread, args),
    }
    thread.operation = operation
    this.note(`${id} ${process}/${thread} ${name} ${JSON.stringify(args)}`)
    if (isCall) this.model.attempt(operation)
    void run(sel4, args, this).then(
      (value) => this.found.set(operation, { value: isCall || name === 'X86_Page_GetAddress' ? value : null }),
      (error: Error) => this.found.set(operation, { error: error.message.split(':')[0] }),
    )
  }
  private note(line: string): void {
    this.log.push(line)
    if (this.log.length > SHOWN) this.log.shift()
  }
  private async settle(): Promise<void> {
    await settle()
    await this.sim.run(ROUND_MS)
    this.model.makeAgain()
    for (const thread of this.underWay(true)) this.judge(thread, thread.operation as Operation)
    for (const thread of this.underWay(false)) this.judge(thread, thread.operation as Operation)
    if (this.sim.ended) this.fail(`the system ended: ${this.sim.ended.reason}`)
    for (const { name } of this.lives)
      if (name !== this.dying && !this.sim.kernel.processes.has(name)) this.fail(`${name} died`)
  }
  /** First those whose outcome says which of several it was: what others come to follows from it. */
  private underWay(choosing: boolean): Thread[] {
    const chooses = ({ operation }: Thread) => operation?.expected !== undefined && 'choose' in operation.expected
    return [...this.model.threads].filter((thread) => thread.operation && chooses(thread) === choosing)
  }
  private judge(thread: Thread, operation: Operation): void {
    if (thread.state !== 'running') return
    const found = this.found.get(operation)
    if (found && 'error' in found && found.error === 'serverDied' && !operation.expected)
      this.model.heardOfDeath(thread)
    const { expected } = operation
    if (operation.isMethod && !expected) this.fail(`${operation.id} never reached the kernel`)
    if (found && !expected) this.fail(`${operation.id} came to ${JSON.stringify(found)} and should wait`)
    if (!found && expected) this.fail(`${operation.id} waits and should come to ${show(expected)}`)
    if (!found || !expected) return
    if (!agree(expected, found) && !this.deathCameFirst(operation, found))
      this.fail(`${operation.id} came to ${JSON.stringify(found)}, not ${show(expected)}`)
    this.found.delete(operation)
    thread.operation = undefined
    this.note(`    ${operation.id} → ${JSON.stringify(found)}`)
    const key = `${operation.name} ${'error' in found ? found.error : 'done'}`
    this.counts.set(key, (this.counts.get(key) ?? 0) + 1)
  }
  /** On a session a caller may hear of its server's death before it hears that its own capability is gone. */
  private deathCameFirst({ expected, isMethod }: Operation, found: Found): boolean {
    const died = 'error' in found && found.error === 'serverDied'
    return this.model.isLoose && !isMethod && died && expected !== undefined && 'refused' in expected
  }
  private checkpoint(): void {
    const { kernel } = this.sim
    if (!isQuiet(kernel)) this.fail('the kernel is not at rest')
    const { broken } = checkInvariants(kernel)
    if (broken.length) this.fail(broken.join('\n'))
    const differences = compare(kernel, this.model, [this.rootLife, ...this.lives])
    if (differences.length) this.fail(differences.join('\n'))
  }
  private fail(what: string): never {
    const warnings = this.sim.lines.filter(({ level }) => level === 'warn').slice(-3)
    throw new Error(
      `seed ${this.seed}, after ${this.operations} operations: ${what}\n${this.log.join('\n')}\n${JSON.stringify(warnings)}`,
    )
  }
}
const freeSlot = ({ slots }: Table): number | undefined =>
  Array.from({ length: SLOTS }, (_, i) => FIRST_SLOT + i).find((index) => !slots.has(index))
const handleOf = (sel4: Libsel4, process: string): Handle => ({
  sel4,
  process,
  number: (sel4 as unknown as { thread: { number: number } }).thread.number,
})
function agree(expected: Expected, found: Found): boolean {
  if ('refused' in expected) return 'error' in found && expected.refused.includes(found.error)
  if ('error' in found) return false
  if ('choose' in expected) return expected.choose(found.value)
  return JSON.stringify(expected.value) === JSON.stringify(found.value)
}
const show = (expected: Expected): string => ('choose' in expected ? 'one of several' : JSON.stringify(expected))
