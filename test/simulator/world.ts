/**
 * The whole system in one process: the real launch.json, every image of it, a disk in memory and a panel that types.
 *
 *   const world = new World({ seed: 7, disk })
 *   await world.boot()                     to the first prompt
 *   await world.enter('dir')               types a line; the rows printed until the next prompt
 *   world.atEvent(120, () => world.kill('disk'))   at the 120th event from now; again and again until it lives
 *   await world.shutdown()                 the machine is off, the disk is as it was left
 *
 * One seed is one run, exactly. Nothing here knows how the system works inside: keys go in at the keyboard's cable, text
 * comes out at the monitor's.
 */
import fs from 'node:fs'
import path from 'node:path'
import type { Main } from '#sel4/api'
import { Simulator } from '#sel4/sim'
import { driverMain } from '#wdm'
import { ahci } from '../../devices/ahci/index.ts'
import { type DiskImage, memoryImage } from '../../devices/lib/image.ts'
import * as display from '../../devices/display/index.ts'
import * as i8042 from '../../devices/i8042/index.ts'
import * as pciHost from '../../devices/pci/index.ts'
import * as rtc from '../../devices/rtc/index.ts'
import * as pnp from '../../drivers/base/pnp/index.ts'
import * as pci from '../../drivers/bus/pci/index.ts'
import * as fatfs from '../../drivers/filesystems/fatfs/index.ts'
import * as i8042prt from '../../drivers/input/i8042prt/index.ts'
import * as kbdclass from '../../drivers/input/kbdclass/index.ts'
import * as diskClass from '../../drivers/storage/class/disk/index.ts'
import * as storahci from '../../drivers/storage/miniport/storahci/index.ts'
import * as mountmgr from '../../drivers/storage/mountmgr/index.ts'
import * as partmgr from '../../drivers/storage/partmgr/index.ts'
import type { Executive } from '../../executive/executive.ts'
import * as executive from '../../executive/index.ts'
import { filesUnder } from '../../kernel/manifest/files.ts'
import { parseManifest, viewOf } from '../../kernel/manifest/index.ts'
import * as ntcmd from '../../services/ntcmd/index.ts'
import * as smss from '../../services/smss/index.ts'
import { keysOf } from '../../tools/panel/keys.ts'
import { Monitor } from '../../tools/panel/monitor.ts'
import { PromptWatch } from '../../tools/panel/prompt.ts'
import { RowStream } from '../../tools/panel/rows.ts'
import { Typist } from '../../tools/panel/typist.ts'
import { expectCredits } from '../support/invariants.ts'
import type { Disk } from './volume.ts'

const ROOT = path.resolve(__dirname, '..', '..')
/** Virtual time for one command with several recoveries in it; then somebody hangs. */
const PATIENCE_MS = 120_000
/** Events between two judgements of all credits, at moments the seed draws. */
const CREDITS_EVERY = 61
/** Small, so that the cache is crowded by little data. */
const CACHE_BYTES = 2 << 20
const BANKS = { executive: '2 MiB', cache: '6 MiB', clients: '16 MiB', drivers: '48 MiB' }

/** The machine stopped at once. */
export class Stopped extends Error {}

export interface WorldOptions {
  readonly seed: number
  readonly disk: Disk
  readonly slowpath?: boolean
  readonly maxDelay?: number
  readonly cacheBytes?: number
  /** Another program for the image `diskbench`, which has no place of its own here. */
  readonly program?: Main
  readonly tap?: (message: Buffer) => void
  /** The disk's medium is write-protected, as `--disk ahci:IMG:ro` makes it. */
  readonly readOnly?: boolean
}
const DRIVERS = { pnp, pci, fatfs, i8042prt, kbdclass, disk: diskClass, storahci, mountmgr, partmgr }

function manifestOf({ slowpath, cacheBytes = CACHE_BYTES, program }: WorldOptions) {
  const launch = JSON.parse(fs.readFileSync(path.join(ROOT, 'launch.json'), 'utf8'))
  for (const [bank, bytes] of Object.entries(BANKS)) launch.banks[bank] = { bytes }
  launch.panel = { image: 'panel' }
  launch.root.config = { cacheBytes }
  if (!program) delete launch.images.diskbench
  if (slowpath) launch.slowpath = true
  return parseManifest('launch.json', JSON.stringify(launch), filesUnder(ROOT))
}

export class World {
  readonly sim: Simulator
  readonly seed: number
  readonly rows: string[] = []
  /** The Executive's insides, for what must hold when nothing happens. */
  ex?: Executive
  /** Who was killed, and at which event. */
  readonly died: string[] = []
  /** Events since power-on. */
  events = 0
  private readonly stream = new RowStream()
  private readonly watch = new PromptWatch()
  private readonly plans: { at: number; act: () => boolean }[] = []
  private toType: string[] = []
  private wakePanel: () => void = () => {}
  private typing = false
  private typedAt = 0
  private writes = 0
  private tear?: { at: number; sectors: number; then: () => void }

  constructor(options: WorldOptions) {
    this.seed = options.seed
    const manifest = manifestOf(options)
    const image = (): DiskImage => {
      const { disk, readOnly = false } = options
      return this.tearing({ ...memoryImage(disk.bytes), readOnly })
    }
    this.sim = new Simulator({
      seed: options.seed,
      manifest,
      view: viewOf(manifest),
      maxDelay: options.maxDelay,
      tap: options.tap,
      images: {
        ...Object.fromEntries(
          Object.entries(DRIVERS).map(([name, { DriverEntry }]) => [name, driverMain(DriverEntry)]),
        ),
        executive: executive.watched((ex) => (this.ex = ex)),
        smss: smss.main,
        ntcmd: ntcmd.main,
        display: display.main,
        i8042: i8042.main,
        'pci-host': pciHost.main,
        rtc: rtc.main,
        ahci: ahci(image),
        panel: this.panel,
        ...(options.program && { diskbench: options.program }),
      },
    })
  }
  /** Types what `enter` asked for when the prompt is there, and watches the screen. */
  private readonly panel: Main = async (env) => {
    const monitor = new Monitor(env, env.caps.monitor)
    const typist = new Typist(env, env.caps.keyboard)
    monitor.onFrame((frame) => {
      this.watch.take(frame)
      this.rows.push(...this.stream.take(frame))
    })
    for (;;) {
      const line = this.toType.shift()
      if (line === undefined) {
        await new Promise<void>((resolve) => (this.wakePanel = resolve))
        continue
      }
      await monitor.until(() => this.watch.isReady(), PATIENCE_MS)
      await typist.type(keysOf(line))
      await monitor.settle()
      this.watch.typed()
      this.typedAt = this.rows.length
      await typist.type([{ name: 'Enter' }])
      this.typing = false
    }
  }

  async boot(): Promise<void> {
    this.sim.boot()
    await this.until(() => this.watch.isReady(), 'the first prompt')
  }
  /** Asked after every event; true ends everything with Stopped: nothing of the machine runs any more. */
  stopped: () => boolean = () => false
  async step(limit?: number): Promise<boolean> {
    if (!(await this.sim.step(limit))) return false
    if (this.events++ % CREDITS_EVERY === this.seed % CREDITS_EVERY) expectCredits(this.sim, `seed ${this.seed}`)
    for (let i = this.plans.length - 1; i >= 0; i--)
      if (this.plans[i].at <= this.events && this.plans[i].act()) this.plans.splice(i, 1)
    if (this.stopped()) throw new Stopped()
    return true
  }
  get someoneStopped(): boolean {
    return [...this.sim.processes.values()].some(({ stopped }) => stopped)
  }
  /** What was planned and has not happened will not. */
  spareTheRest(): void {
    this.plans.length = 0
  }
  async quiet(milliseconds: number): Promise<void> {
    const end = this.sim.now() + milliseconds
    while (await this.step(end));
    if (this.sim.ended) throw new Error(`seed ${this.seed}: the system ended: ${this.sim.ended.reason}`)
  }
  async until(condition: () => boolean, what: string, patience = PATIENCE_MS): Promise<void> {
    const end = this.sim.now() + patience
    while (!condition()) {
      if (this.sim.ended)
        throw new Error(`seed ${this.seed}: the system ended (${this.sim.ended.reason}) before ${what}`)
      if (!(await this.step(end))) throw new Error(`seed ${this.seed}: ${what} not within ${patience} ms`)
    }
  }
  /** `act` is tried after every event from the `count`th from now on, until it returns true. */
  atEvent(count: number, act: () => boolean): void {
    this.plans.push({ at: this.events + count, act })
  }
  /** The `count`th write from now on puts so many sectors on the disk, then `then` happens: the writer ends in its middle. */
  tearWrite(count: number, sectors: number, then: () => void): void {
    this.tear = { at: this.writes + count, sectors, then }
  }
  private tearing(image: DiskImage): DiskImage {
    return {
      ...image,
      write: (views, offset) => {
        const { tear } = this
        if (++this.writes !== tear?.at) return image.write(views, offset)
        let left = tear.sectors * 512
        const part = views.flatMap((view) => {
          const taken = view.subarray(0, Math.min(left, view.length))
          left -= taken.length
          return taken.length > 0 ? [taken] : []
        })
        image.write(part, offset)
        tear.then()
      },
    }
  }
  /** A command runs: its last key has been echoed, so none can get lost. */
  get busy(): boolean {
    return !this.typing && !this.watch.isReady() && this.rows.length > this.typedAt
  }
  type(line: string): void {
    this.toType.push(line)
    this.typing = true
    this.wakePanel()
  }
  async enter(line: string): Promise<string> {
    const from = this.rows.length
    this.type(line)
    await this.until(() => !this.typing && this.watch.isReady(), `the prompt after ${line}`)
    const rows = this.rows.slice(from)
    const echo = rows.findIndex((row) => row.endsWith(`>${line}`))
    return rows.slice(echo + 1).join('\n')
  }
  /** False when there is no such process now. */
  kill(name: string, signal = 'SIGKILL'): boolean {
    if (!this.sim.kernel.processes.get(name)?.alive) return false
    this.sim.kill(name, signal)
    this.died.push(`${this.events}:${name}`)
    return true
  }
  async shutdown(): Promise<{ code: number; reason: string }> {
    this.type('shutdown')
    const end = this.sim.now() + PATIENCE_MS
    while (!this.sim.ended) if (!(await this.step(end))) throw new Error(`seed ${this.seed}: no end after shutdown`)
    return this.sim.ended
  }
  /** What the logs say at or above a warning, for whoever looks into a failure. */
  log(levels: readonly string[] = ['warn', 'error']): string {
    return this.sim.lines
      .filter(({ level }) => levels.includes(level))
      .map(
        ({ at, name, message, fields }) =>
          `${at.toFixed(2)} ${name}: ${message} ${fields ? JSON.stringify(fields) : ''}`,
      )
      .join('\n')
  }
}
