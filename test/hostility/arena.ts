/**
 * Where attacks are made: a kernel, a warden as its root task, two witnesses who call each other all the time, one hostile
 * process at a time. Whatever the attack, the same is asked of the rest:
 *
 *   the hostile process    is ended or limited just as the attack says
 *   the others' latency    median at most twice the baseline's throughout, 99th percentile again after a second
 *   the witnesses          not one call failed, both are the processes they were, nothing reached the server without right
 *   the kernel             lives, tells of its processes, passes its invariant checker, and holds no flood in memory
 *
 *   const arena = await Arena.open({ slowpath: false })
 *   await arena.make(attack)      rejects with the sentence that says what went wrong
 *   await arena.measure(attack)   the same, and what the others' latency was meanwhile
 *   await arena.close()
 */
import { existsSync, readFileSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Findings } from '../../kernel/invariants/index.ts'
import { System } from '../kernel/system.ts'
import { scaled } from '../support/scale.ts'
import type { Attack } from './attack.ts'
import { FLOOD } from './attacks/index.ts'
import { isSteady, judge, type Sample, type Span, spanOf, type Window, WINDOW_MS, windows } from './latency.ts'

const IMAGES = ['warden', 'server', 'caller', 'hostile'] as const
const source = (file: string, main: string): string =>
  `import { start } from './lib/sel4/start.ts'\nimport { ${main} } from './test/hostility/${file}.ts'\nstart(${main})\n`
const options = (socket: string, slowpath: boolean) => ({
  images: {
    warden: source('warden', 'warden'),
    server: source('witness', 'server'),
    caller: source('witness', 'caller'),
    hostile: source('hostile', 'hostile'),
  },
  descriptions: Object.fromEntries(
    IMAGES.map((name) => [`services/${name}/service.json`, { needs: { interfaces: ['ExecutiveServices'] } }]),
  ),
  launch: {
    machine: 'pc',
    slowpath,
    banks: { test: { bytes: '32 MiB' } },
    devices: {},
    cables: {},
    root: { image: 'warden', banks: ['test'], config: { socket, flood: scaled(FLOOD) } },
    images: {
      server: { image: 'server' },
      caller: { image: 'caller' },
      hostile: { image: 'hostile', limits: { capabilities: 300 } },
    },
  },
})
const BASELINE_MS = 4 * WINDOW_MS
/**
 * How often a steady baseline is looked for, and how often an attack is made again because there was none on both of its sides:
 * that is no measurement, and nothing is loosened for it.
 */
const BASELINES = scaled(12, 4)
const ATTEMPTS = scaled(4)
/** What is wrong is wrong as often as one looks. */
const LOOKS_AT_WRONG = 3
const RECOVERY_MS = 1000
const LATELY_MS = 1000
const AFTER_MS = 4 * WINDOW_MS
const PATIENCE_MS = 10_000
const LOOK_MS = 10
const LOOKS = 200
const MIB = 1024 * 1024
/** What a kernel may have grown by: heap that nobody has collected yet. A flood held in memory is ten times as much. */
const GROWTH_MAX = 48 * MIB

const pause = (milliseconds: number): Promise<void> => new Promise((go) => setTimeout(go, milliseconds))
const now = (): number => performance.timeOrigin + performance.now()

interface Death {
  readonly name: string
  readonly cause: string
  readonly detail: string
}
interface Said {
  readonly from: string
  readonly at: number
  readonly death?: Death
  readonly did?: string
  readonly begins?: string
  readonly outcome?: object
  readonly failed?: string
  readonly loot?: unknown
}
type Series = 'calls' | 'gate'
const SERIES: readonly Series[] = ['calls', 'gate']
/** `unsteady`: the machine did too much else for anything to be measured. */
export type Latency = 'unsteady' | 'undisturbed' | { readonly wrong: string }

export class Arena {
  private readonly system: System
  private readonly slowpath: boolean
  private readonly listener: Server
  private readonly sockets = new Map<string, Socket>()
  private readonly samples: Record<Series, Sample[]> = { calls: [], gate: [] }
  private said: Said[] = []
  /** When the last steady baseline began. */
  private peace?: number
  private pids: Record<string, number> = {}

  private constructor(system: System, listener: Server, slowpath: boolean) {
    this.system = system
    this.slowpath = slowpath
    this.listener = listener
  }
  static async open({ slowpath }: { slowpath: boolean }): Promise<Arena> {
    const path = join(tmpdir(), `nh-${process.pid}-${Math.round(performance.now())}`)
    const listener = createServer()
    await new Promise<void>((resolve) => listener.listen(path, resolve))
    const arena = new Arena(await System.start(options(path, slowpath)), listener, slowpath)
    listener.on('connection', (socket) => arena.hear(socket))
    await arena.wait(() => arena.samples.calls.length > 100, 'the witnesses call each other', 30_000)
    arena.pids = arena.system.pids()
    return arena
  }
  async close(): Promise<void> {
    await this.system.stop()
    this.listener.close()
  }
  private hear(socket: Socket): void {
    socket.on('error', () => {})
    createInterface({ input: socket }).on('line', (text) => {
      const said = JSON.parse(text) as Said & { calls?: Sample[]; gate?: Sample[]; hello?: number }
      if (said.hello) this.sockets.set(said.from, socket)
      else if (said.calls) {
        this.samples.calls.push(...said.calls)
        this.samples.gate.push(...(said.gate ?? []))
      } else this.said.push({ ...said, at: now() })
    })
  }
  private async wait(condition: () => unknown, what: string, patience = PATIENCE_MS): Promise<void> {
    for (const began = now(); !condition(); await pause(LOOK_MS)) {
      if (!this.lives()) throw new Error(`the kernel died\n${this.system.stderr}\n${this.system.logs()}`)
      if (now() - began > patience) throw new Error(`${what}: not within ${patience} ms\n${this.system.logs()}`)
    }
  }
  private lives(): boolean {
    return existsSync(`/proc/${this.system.pid}`) && this.system.isRunning
  }
  private order(op: string, more: object = {}): void {
    this.sockets.get('warden')?.write(`${JSON.stringify({ op, ...more })}\n`)
  }
  private async obeyed(op: string, more: object = {}): Promise<void> {
    this.order(op, more)
    await this.wait(() => this.said.some(({ did }) => did === op), `the warden's ${op}`)
  }

  // ------------------------------------------------------------ one attack

  /** Rejects with the sentence that says what came of it, when that is not what should. */
  async make(attack: Attack): Promise<void> {
    await this.attempt(attack)
    await this.withdraw()
  }
  /** The same between two baselines. */
  async measure(attack: Attack): Promise<Latency> {
    let latency = await this.look(attack)
    // Something else on the host leaves no trace in the baselines around it, and does not come again for the asking.
    for (let look = 1; typeof latency === 'object' && look < LOOKS_AT_WRONG; look++) latency = await this.look(attack)
    return latency
  }
  private async look(attack: Attack): Promise<Latency> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const before = this.lately() ?? (await this.baseline())
      if (before === undefined) continue
      const phases = await this.attempt(attack)
      await this.sampled(phases.end + RECOVERY_MS + AFTER_MS)
      await this.withdraw()
      const again = (this.peace = await this.baseline())
      const latency = again === undefined ? 'unsteady' : this.verdict({ ...phases, before, again })
      if (latency !== 'unsteady') return latency
    }
    return 'unsteady'
  }
  /** The baseline behind the attack before this one, when that is just over. */
  private lately(): number | undefined {
    const { peace } = this
    return peace !== undefined && now() - peace < BASELINE_MS + LATELY_MS ? peace : undefined
  }
  private async attempt(attack: Attack): Promise<{ began: number; end: number }> {
    this.said = []
    const memory = rssOf(this.system.pid)
    this.order('attack', { attack: attack.name })
    await this.wait(() => this.one('begins') || this.one('death'), 'the attack begins')
    const began = this.one('begins')?.at ?? 0
    await this.wait(() => this.one('death') || this.one('outcome'), 'its end', attack.patienceMs)
    const over = this.one('death') ?? this.one('outcome')
    this.checkOutcome(attack, over)
    await this.checkKernel(attack, memory)
    return { began, end: over?.at ?? 0 }
  }
  private one(what: 'begins' | 'death' | 'outcome'): Said | undefined {
    return this.said.find((said) => said[what])
  }
  /** When two seconds of peace began. */
  private async baseline(): Promise<number | undefined> {
    for (let taken = 0; taken < BASELINES; taken++) {
      const from = now()
      await this.sampled(from + BASELINE_MS)
      if (SERIES.every((series) => isSteady([this.span(series, from, BASELINE_MS)]))) return from
    }
    return undefined
  }
  private windows(series: Series, from: number, length: number): Window[] {
    return windows(this.samples[series], from, from + length)
  }
  private span(series: Series, from: number, length: number): Span {
    return spanOf(this.samples[series], from, from + length)
  }
  private async sampled(until: number): Promise<void> {
    await pause(Math.max(0, until - now()))
    const all = Object.values(this.samples)
    await this.wait(() => all.every((samples) => (samples.at(-1)?.[0] ?? 0) > until), 'the witnesses go on')
  }
  private verdict(at: { before: number; began: number; end: number; again: number }): Latency {
    const wrongs = SERIES.map((series): Latency | undefined => {
      const baseline = [this.span(series, at.before, BASELINE_MS), this.span(series, at.again, BASELINE_MS)]
      if (!isSteady(baseline)) return 'unsteady'
      const during = this.windows(series, at.began, Math.max(at.end - at.began, WINDOW_MS))
      const after = this.span(series, at.end + RECOVERY_MS, AFTER_MS)
      const wrong = judge(baseline, during, after)
      return wrong === undefined ? undefined : { wrong: `${series}: ${wrong}` }
    })
    if (wrongs.includes('unsteady')) return 'unsteady'
    return wrongs.find((wrong) => wrong !== undefined) ?? 'undisturbed'
  }
  private checkOutcome({ name, expected: usual, onSlowpath }: Attack, over: Said | undefined): void {
    const expected = this.slowpath && onSlowpath && onSlowpath !== 'none' ? onSlowpath : usual
    const { death, outcome } = over ?? {}
    const asSaid =
      'death' in expected
        ? death?.name === 'hostile' && death.cause === expected.death.cause && expected.death.detail.test(death.detail)
        : JSON.stringify(outcome) === JSON.stringify(expected.limited)
    if (!asSaid) throw new Error(`${name}: it came to ${JSON.stringify(death ?? outcome)}\n${this.system.logs()}`)
  }
  private async checkKernel({ traced }: Attack, memory: number): Promise<void> {
    const ps = (await this.system.control({ op: 'ps' })) as { name: string }[]
    if (!ps.some(({ name }) => name === 'warden')) throw new Error(`ps shows ${JSON.stringify(ps)}`)
    if (traced) await this.system.control({ op: 'trace', ms: 1 })
    const grown = rssOf(this.system.pid) - memory
    if (grown > GROWTH_MAX) throw new Error(`the kernel has grown by ${Math.round(grown / MIB)} MiB`)
  }
  /** The hostile process goes, if it has not, and all it was given. */
  private async withdraw(): Promise<void> {
    if (!this.one('death')) {
      this.order('kill')
      await this.wait(() => this.one('death'), 'its death')
    }
    await this.obeyed('clean')
    this.checkOthers()
    await this.checkInvariants()
  }
  /** What holds only at rest is judged at rest. */
  private async checkInvariants(): Promise<void> {
    let found: Findings = { quiet: false, broken: [] }
    for (let looks = 0; !found.quiet && looks < LOOKS; looks++) {
      found = (await this.system.control({ op: 'check' })) as Findings
      if (found.broken.length) throw new Error(`invariants: ${found.broken.join('; ')}`)
      await pause(LOOK_MS)
    }
    if (!found.quiet) throw new Error('the kernel never comes to rest')
  }
  private checkOthers(): void {
    const wrongs = this.said.filter(({ failed, loot }) => failed !== undefined || loot !== undefined)
    if (wrongs.length > 0)
      throw new Error(`the witnesses say ${JSON.stringify(wrongs.slice(0, 3))}\n${this.system.logs()}`)
    const pids = this.system.pids()
    for (const name of ['warden', 'server', 'caller'])
      if (pids[name] !== this.pids[name]) throw new Error(`${name} is another process now\n${this.system.logs()}`)
  }
}
const rssOf = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024
