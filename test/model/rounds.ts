/**
 * One seed's system and its model: operations are issued to both, settled, and judged.
 *
 * An object's method takes place in the model when its request reaches the kernel, whatever the delays were; a system
 * call when it is made, for that nothing else is done meanwhile. Threads that wait go on waiting over many rounds.
 */
import { METHOD_LABEL_MIN } from '#contracts/sel4'
import { settle } from '#sel4/fake'
import { Simulator } from '#sel4/sim'
import type { Libsel4 } from '#sel4/threads'
import type { Environment } from '#sel4/api'
import { KIND, labelOf, threadOf } from '#sel4/wire'
import type { ManifestFiles } from '../../kernel/manifest/files.ts'
import { parseManifest, viewOf } from '../../kernel/manifest/index.ts'
import { isQuiet } from '../../kernel/invariants/index.ts'
import { checkSystem } from '../support/invariants.ts'
import { Plans } from './plans.ts'
import { compare } from './compare.ts'
import { asDeclared } from '../conformance/tester.ts'
import type { Life } from './memory.ts'
import { Model } from './model.ts'
import { definitionOf, type Plan } from './operations.ts'
import type { Expected, Operation, Thread } from './threads.ts'

/** Longer than the longest chain of messages a request causes. */
const ROUND_MS = 60
/** Operations shown of those before a failure. */
const SHOWN = Number(process.env.SHOWN ?? 60)

const LAUNCH = {
  machine: 'pc',
  banks: { test: { bytes: '64 MiB' } },
  devices: { chip: { image: 'chip' } },
  cables: {},
  root: { image: 'tester', banks: ['test'] },
  images: { worker: { image: 'worker' } },
}
const CHIP = { ports: [], irqs: [], mmio: [], memory: [], dma: true }
const WORKER = { needs: { interfaces: ['ExecutiveServices'] } }
const files: ManifestFiles = {
  description: (kind, image) => ({ file: `${image}.json`, text: JSON.stringify(kind === 'device' ? CHIP : WORKER) }),
  exists: () => true,
}
export interface Handle {
  readonly sel4: Libsel4
  /** Its process and its number there. */
  readonly process: string
  readonly number: number
}
type Found = { value: unknown } | { error: string }

export abstract class Rounds {
  readonly seed: number
  readonly sim: Simulator
  readonly model = new Model()
  protected readonly chance: Plans
  protected readonly handles = new Map<Thread, Handle>()
  private readonly found = new Map<Operation, Found>()
  private readonly log: string[] = []
  /** Where the bank begins. */
  readonly base: number
  protected rootLife!: Life
  protected readonly lives: Life[] = []
  protected operations = 0
  private readonly counts = new Map<string, number>()
  /** The process that is being killed. */
  protected dying?: string

  constructor(seed: number, { slowpath = false, maxDelay = 1 } = {}) {
    this.seed = seed
    const manifest = parseManifest('launch.json', JSON.stringify({ ...LAUNCH, slowpath }), files)
    this.base = manifest.banks[0].physicalAddress
    this.chance = new Plans(seed, this.model)
    const images = {
      tester: (env: Environment) => this.tester(env),
      worker: (env: Environment) => this.worker(env),
      chip: attached,
    }
    this.sim = new Simulator({ seed, manifest, view: viewOf(manifest), images, maxDelay })
    this.model.isLoose = !slowpath
    this.model.bankBase = this.base
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
  protected abstract tester(env: Environment): Promise<void>
  /** Every program knows the thread's entry. */
  protected abstract prepare(who: number): void
  protected abstract worker(env: Environment): Promise<void>

  /** How often each operation went well, and was refused. */
  summary(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.counts].sort())
  }
  protected async round(plans: readonly Plan[]): Promise<void> {
    this.begins()
    for (const plan of plans) this.issue(plan)
    await this.settle()
  }
  protected issue({ thread, name, args }: Plan): void {
    const { run, mean, isCall } = definitionOf(name)
    const { sel4, process } = this.handles.get(thread) as Handle
    if (name === 'TCB_WriteRegisters') this.prepare((args as { who: number }).who)
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
  protected note(line: string): void {
    this.log.push(line)
    if (this.log.length > SHOWN) this.log.shift()
  }
  /** Who waits to send, and not in the kernel. */
  private alongSessions(): Thread[] {
    return [...this.model.threads].filter((thread) => {
      const { process, number } = this.handles.get(thread) ?? {}
      const real = this.sim.kernel.processes.get(process ?? '')?.threads.get(number ?? -1)
      return thread.doing?.wait === 'send' && thread.state === 'running' && real && !real.isBlocked
    })
  }
  private came: { along: readonly Thread[]; arrivals: number } = { along: [], arrivals: 0 }
  protected begins(): void {
    this.came = { along: this.alongSessions(), arrivals: this.model.arrivals }
    this.model.along = new Set(this.came.along)
  }
  protected async settle(): Promise<void> {
    await settle()
    await this.sim.run(ROUND_MS)
    for (const thread of this.came.along) this.model.lostItsWay(thread)
    this.model.makeAgain()
    for (const thread of this.underWay(true)) this.judge(thread, thread.operation as Operation)
    for (const thread of this.underWay(false)) this.judge(thread, thread.operation as Operation)
    const still = new Set(this.alongSessions())
    for (const thread of this.came.along) if (!still.has(thread)) this.model.takenBack(thread, this.came.arrivals)
    if (this.sim.ended) this.fail(`the system ended: ${this.sim.ended.reason}`)
    for (const { name } of this.lives)
      if (name !== this.dying && !this.sim.kernel.processes.has(name)) this.fail(`${name} died`)
  }
  /** First those whose outcome says which of several it was: what others come to follows from it. */
  protected underWay(choosing: boolean): Thread[] {
    const chooses = ({ operation }: Thread) => operation?.expected !== undefined && 'choose' in operation.expected
    return [...this.model.threads].filter((thread) => thread.operation && chooses(thread) === choosing)
  }
  protected judge(thread: Thread, operation: Operation): void {
    if (thread.state !== 'running') return
    const found = this.found.get(operation)
    if (found && 'error' in found && found.error === 'serverDied' && this.dying && !operation.expected)
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
  protected deathCameFirst({ expected, isMethod }: Operation, found: Found): boolean {
    const died = 'error' in found && found.error === 'serverDied'
    return (
      this.dying !== undefined &&
      this.model.isLoose &&
      !isMethod &&
      died &&
      expected !== undefined &&
      'refused' in expected
    )
  }
  protected checkpoint(): void {
    const { kernel } = this.sim
    if (!isQuiet(kernel)) this.fail('the kernel is not at rest')
    const { broken } = checkSystem(this.sim)
    if (broken.length) this.fail(broken.join('\n'))
    const differences = compare(kernel, this.model, [this.rootLife, ...this.lives])
    if (differences.length) this.fail(differences.join('\n'))
  }
  protected fail(what: string): never {
    const warnings = this.sim.lines.filter(({ level }) => level === 'warn').slice(-3)
    throw new Error(
      `seed ${this.seed}, after ${this.operations} operations: ${what}\n${this.log.join('\n')}\n${JSON.stringify(warnings)}`,
    )
  }
}
async function attached({ machine }: Environment): Promise<void> {
  machine?.attach({ reset() {} })
}
export const handleOf = (sel4: Libsel4, process: string): Handle => ({
  sel4: asDeclared(sel4),
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
