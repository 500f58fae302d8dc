/**
 * An Environment in memory, for the unit test of one component: virtual time, seeded chance, collected logs, and the
 * far ends of every capability played by the test.
 *
 *   const fake = fakeEnvironment({ name: 'disk', caps: { executive: 1 }, arenaBytes: 4 << 20 })
 *   fake.provide(1, ExecutiveServices, { … })          a typed server behind endpoint 1
 *   void main(fake); await fake.advance(10)            ten virtual milliseconds, with everything they cause
 *   await fake.deliver(7, DriverCalls, 'start', {…})   a request to what the component serves on endpoint 7
 *   fake.interrupt(notification)                       a signal
 *   fake.root.die('fatfs')                             a death report (with `root: true`)
 *
 * Messages go through the contracts' checks at both ends, as between processes; a MalformedError of the component
 * rejects the test's own promise. Nothing here keeps a test from ending: there are no real timers.
 */
import { seededRandom } from '#rtl'
import type { Birth, CapNames, Environment, Machine, ManifestView, Memory, RootTask } from './api.ts'
import { FakeClock } from './fake/clock.ts'
import { type FakeEnds, FakeSel4 } from './fake/ends.ts'
import { FakeMachine, type FakeMachineOptions } from './fake/machine.ts'
import { FakeRoot } from './fake/root.ts'

export { FakeClock, settle } from './fake/clock.ts'
export { FakeMachine } from './fake/machine.ts'

export interface FakeOptions extends FakeEnds {
  readonly name?: string
  readonly birth?: Birth
  readonly generation?: number
  readonly caps?: CapNames
  readonly config?: Readonly<Record<string, unknown>>
  /** 0 or absent: no arena. Its physical address is `arenaPhysical` (0x2000000), its virtual 0x10000000. */
  readonly arenaBytes?: number
  readonly arenaPhysical?: number
  readonly seed?: number
  /** True, or parts that replace those of the fake root task. */
  readonly root?: boolean | Partial<RootTask>
  readonly manifest?: ManifestView
  /** A device process. */
  readonly machine?: FakeMachineOptions
}
export interface FakeLogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly message: string
  readonly fields?: object
}
export class FakeExit extends Error {
  readonly code: number
  readonly epitaph?: string
  constructor(code: number, epitaph?: string) {
    super(`exit ${code}${epitaph ? `: ${epitaph}` : ''}`)
    this.name = 'FakeExit'
    this.code = code
    this.epitaph = epitaph
  }
}

export interface FakeEnvironment extends Environment {
  readonly sel4: FakeSel4
  readonly clock: FakeClock
  readonly lines: FakeLogLine[]
  readonly machine?: FakeMachine & Machine
  readonly root?: FakeRoot & RootTask
  readonly ended?: FakeExit
  advance(milliseconds: number): Promise<void>
  provide: FakeSel4['provide']
  deliver: FakeSel4['deliver']
  interrupt: FakeSel4['interrupt']
}
function fakeArena(options: FakeOptions): Memory | undefined {
  if (!options.arenaBytes) return undefined
  const buffer = new ArrayBuffer(options.arenaBytes)
  const physicalAddress = options.arenaPhysical ?? 0x2000000
  return { virtualAddress: 0x10000000, physicalAddress, length: buffer.byteLength, bytes: new Uint8Array(buffer) }
}
function fakeRoot(options: FakeOptions, sel4: FakeSel4): FakeRoot | undefined {
  if (!options.root) return undefined
  const root = new FakeRoot(sel4, options.manifest ?? { images: {}, devices: {} })
  return options.root === true ? root : Object.assign(root, options.root)
}
export function fakeEnvironment(options: FakeOptions = {}): FakeEnvironment {
  const sel4 = new FakeSel4(options)
  const clock = new FakeClock()
  const lines: FakeLogLine[] = []
  const line = (level: FakeLogLine['level']) => (message: string, fields?: object) =>
    void lines.push({ level, message, ...(fields && { fields }) })
  const fake = {
    name: options.name ?? 'test',
    birth: options.birth ?? 'fresh',
    generation: options.generation ?? 1,
    caps: options.caps ?? {},
    config: options.config ?? {},
    arena: fakeArena(options),
    sel4,
    clock,
    lines,
    random: seededRandom(options.seed ?? 1),
    log: { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') },
    copied: { bytes: 0, calls: 0 },
    ended: undefined as FakeExit | undefined,
    exit(code: number, epitaph?: string): never {
      fake.ended = new FakeExit(code, epitaph)
      throw fake.ended
    },
    root: fakeRoot(options, sel4),
    machine: options.machine ? new FakeMachine(options.machine) : undefined,
    advance: (milliseconds: number) => clock.advance(milliseconds),
    provide: sel4.provide.bind(sel4) as FakeSel4['provide'],
    deliver: sel4.deliver.bind(sel4) as FakeSel4['deliver'],
    interrupt: sel4.interrupt.bind(sel4) as FakeSel4['interrupt'],
  }
  return fake as FakeEnvironment
}
