/** Looking at a running system from another terminal: ps, caps, kill, and a trace of one read through all processes. */
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import { isAtLeast } from '../support/scale.ts'
import { bootSystem, endAllSystems, type System } from '../support/system.ts'
import { neptune, type Result } from '../support/neptune.ts'

// ---------------------------------------------------------------- what a trace file must be

interface Slice {
  readonly ph: string
  readonly name: string
  readonly pid: number
  readonly tid: number
  readonly ts: number
  readonly dur: number
  readonly id: number
  readonly args: { readonly trace: string; readonly span: string; readonly parent: string; readonly name?: string }
}
const endOf = ({ ts, dur }: Slice): number => ts + dur
/** Half a nanosecond, in microseconds: what the arithmetic may add. */
const EPSILON = 0.0015

class TraceFile {
  readonly events: readonly Slice[]
  readonly slices: readonly Slice[]
  readonly names: ReadonlyMap<number, string>
  constructor(file: string) {
    this.events = (JSON.parse(fs.readFileSync(file, 'utf8')) as { traceEvents: Slice[] }).traceEvents
    this.slices = this.of('X')
    const about = this.of('M').filter(({ name }) => name === 'process_name')
    this.names = new Map(about.map(({ pid, args }) => [pid, args.name as string]))
  }
  of(kind: string): Slice[] {
    return this.events.filter(({ ph }) => ph === kind)
  }
  nameOf({ pid }: Slice): string {
    return (this.names.get(pid) ?? '?').replace(/ \(life \d+\)$/, '')
  }
  request(trace: string): Slice[] {
    return this.slices.filter(({ args }) => args.trace === trace)
  }
  /** Every NtReadFile of ntcmd for which the disk worked. */
  reads(): Slice[][] {
    const asked = this.slices.filter((slice) => slice.name === '→ NtReadFile' && this.nameOf(slice) === 'ntcmd')
    const requests = asked.map(({ args }) => this.request(args.trace))
    return requests.filter((slices) => slices.some((slice) => this.nameOf(slice) === 'ahci0'))
  }

  expectValid(): void {
    for (const slice of this.slices) {
      expect(slice.ts, slice.name).within(0, 60e6)
      expect(slice.dur, slice.name).at.least(0)
      expect(this.names.has(slice.pid), slice.name).equal(true)
      expect(slice.args.trace).match(/^[0-9a-f]{32}$/)
    }
    this.expectNested()
    this.expectArrows()
  }
  /** On one track a slice is inside another one, or beside it. */
  private expectNested(): void {
    const open = new Map<number, Slice[]>()
    for (const slice of [...this.slices].sort((a, b) => a.ts - b.ts || b.dur - a.dur)) {
      const stack = open.get(slice.tid) ?? []
      while (stack.length > 0 && endOf(stack[stack.length - 1]) <= slice.ts + EPSILON) stack.pop()
      const outer = stack.at(-1)
      if (outer) expect(endOf(slice), `${slice.name} in ${outer.name}`).at.most(endOf(outer) + EPSILON)
      open.set(slice.tid, [...stack, slice])
    }
  }
  private expectArrows(): void {
    const ends = new Map(this.of('f').map((end) => [end.id, end]))
    const begins = this.of('s')
    expect(begins).lengthOf(ends.size)
    for (const begin of begins) {
      const end = ends.get(begin.id) as Slice
      expect(end.pid).not.equal(begin.pid)
      expect(end.ts, begin.name).at.least(begin.ts)
    }
  }
}
/** Names of processes and spans from the first cause down to this effect. */
function wayTo(effect: Slice, slices: readonly Slice[], file: TraceFile): string[] {
  const byId = new Map(slices.map((slice) => [slice.args.span, slice]))
  const way: string[] = []
  for (let at: Slice | undefined = effect; at; at = byId.get(at.args.parent)) way.unshift(file.nameOf(at))
  return way
}
const withoutRepeats = (names: readonly string[]): string[] => names.filter((name, i) => name !== names[i - 1])

// ---------------------------------------------------------------- tests

const ATTEMPTS = 4
const TRACE_MS = 2500
/** By then the watching has begun, as a rule. */
const HEAD_START_MS = 1200

describe('watching a running system', function () {
  this.timeout(180_000)
  let system: System
  let folder: string
  beforeEach(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'neptune-watching-'))
  })
  afterEach(async () => {
    await endAllSystems()
    fs.rmSync(folder, { recursive: true, force: true })
  })

  /** Types a line that reads while everybody watches; again when the watching began too late. */
  async function traceRead(): Promise<{ file: TraceFile; read: Slice[]; said: Result }> {
    const out = path.join(folder, 'trace.json')
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const recording = neptune('trace', '--ms', String(TRACE_MS), '--out', out, '--run', system.run)
      await sleep(HEAD_START_MS)
      await system.enter('type README.TXT')
      const said = await recording
      expect(said.code, said.err).equal(0)
      const file = new TraceFile(out)
      const [read] = file.reads()
      if (read) return { file, read, said }
      await system.enter('umount C')
    }
    throw new Error('no trace has the read')
  }
  function expectOneRead({ file, read, said }: Awaited<ReturnType<typeof traceRead>>): void {
    file.expectValid()
    const names = new Set(read.map((slice) => file.nameOf(slice)))
    expect([...names]).include.members(['ntcmd', 'executive', 'disk', 'storahci', 'ahci0'])
    const byId = new Map(read.map((slice) => [slice.args.span, slice]))
    for (const effect of read) {
      const cause = byId.get(effect.args.parent)
      if (cause) expect(effect.ts, `${effect.name} after ${cause.name}`).at.least(cause.ts)
    }
    const interrupt = read.find((slice) => slice.name.startsWith('interrupt') && file.nameOf(slice) === 'storahci')
    expect(interrupt, 'the interrupt').not.equal(undefined)
    const way = withoutRepeats(wayTo(interrupt as Slice, read, file))
    expect(way.slice(0, 2)).deep.equal(['ntcmd', 'executive'])
    expect(way.slice(-5)).deep.equal(['disk', 'executive', 'storahci', 'ahci0', 'storahci'])
    const completed = read.filter(({ name }) => name.startsWith('Complete'))
    expect(completed.some((slice) => slice.ts > (interrupt as Slice).ts)).equal(true)
    expect(said.out).match(/^request [0-9a-f]+: \d+ spans in \d+ processes\n/)
    expect(said.err).match(/^neptune: wrote \d+ spans to .*; open it at ui\.perfetto\.dev\n$/)
  }

  it('follows one read through all processes and back, and shows who is there', async () => {
    system = await bootSystem()
    expectOneRead(await traceRead())

    const listed = await neptune('ps', '--json', '--run', system.run)
    const processes = JSON.parse(listed.out) as Record<string, unknown>[]
    for (const process of processes) {
      expect(Object.keys(process)).deep.equal(['name', 'pid', 'generation', 'state', 'cpuMs', 'rssKb'])
      expect(process.rssKb).above(10_000)
    }
    const table = (await neptune('ps', '--run', system.run)).out.trimEnd().split('\n')
    expect(table).lengthOf(processes.length + 1)
    expect(table[0]).match(/^name +pid +generation +state +cpuMs +rssKb +part +waits for$/)
    const parts = table.slice(1).map((line) => /(machine|kernel|executive|driver|service)/.exec(line.slice(40))?.[1])
    expect(withoutRepeats(parts as string[])).deep.equal(['machine', 'kernel', 'executive', 'driver', 'service'])
    expect(table.find((line) => line.startsWith('ntcmd'))).match(/executive NtReadFile$/)

    const caps = (await neptune('caps', 'storahci', '--run', system.run)).out
    expect(caps).match(/DeviceFrame +registers 0xfebf1000 .* grant of executive/)
    expect((await neptune('caps', '--run', system.run)).out).match(/^process +slot[\s\S]*^ntcmd +\d/m)

    const killed = await neptune('kill', 'storahci', '--run', system.run)
    expect(killed.out).match(
      /^storahci \(pid \d+, generation 1\) got SIGKILL: back as pid \d+, generation 2, after \d+ ms\n$/,
    )
    expect((await neptune('kill', 'fatfs', 'cont', '--run', system.run)).out).match(/got SIGCONT: it lives on\n$/)
    for (const args of [
      ['caps', 'nobody'],
      ['kill', 'nobody'],
    ]) {
      const { code, out, err } = await neptune(...args, '--run', system.run)
      expect({ code, out }).deep.equal({ code: 2, out: '' })
      expect(err).match(/^neptune: there is no process nobody; there are: .*\bstorahci\b.*\n$/)
    }
    const checked = await neptune('check', '--run', system.run)
    expect(checked).deep.equal({ code: 0, out: 'every invariant holds\n', err: '' })
    expect(await system.shutdown()).deep.equal({ code: 0, signal: null })
    const late = await neptune('ps', '--run', system.run)
    expect(late).deep.equal({ code: 2, out: '', err: `neptune: no system is running in ${system.run}\n` })
  })

  it('follows a read whose every message goes through the kernel', async function () {
    if (!isAtLeast('ci')) this.skip()
    system = await bootSystem({ slowpath: true })
    expectOneRead(await traceRead())
  })

  it('hears of those who live while a driver dies', async function () {
    if (!isAtLeast('ci')) this.skip()
    system = await bootSystem()
    const out = path.join(folder, 'trace.json')
    const recording = neptune('trace', '--ms', '4000', '--out', out, '--run', system.run)
    await sleep(HEAD_START_MS)
    await system.kill('disk', 'SIGKILL')
    await system.enter('type README.TXT')
    await system.kill('rtc', 'SIGSTOP')
    const { code, err } = await recording
    expect({ code, err }).deep.include({ code: 0 })
    const file = new TraceFile(out)
    file.expectValid()
    expect([...file.names.values()]).include.members(['disk (life 2)', 'storahci', 'executive'])
    expect(await system.enter('type README.TXT')).include('Neptune')
  })
})
