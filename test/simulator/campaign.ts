/**
 * One seed, one story: a disk, a script of commands whose outcome is known, and deaths at moments the seed draws.
 *
 *   await survive(seed)   drivers and devices die; the user must see nothing of it
 *   await crash(seed)     the whole machine stops; the disk must need no more than the repairs that are allowed
 *
 * Both throw an Error that names the seed and says what was wrong.
 */
import { isDeepStrictEqual } from 'node:util'
import { seededRandom } from '#rtl'
import { checkSystem, expectInvariants } from '../support/invariants.ts'
import { ImageFolder, toolPath } from '../fat/oracles.ts'
import { type Disk, FatReader, type FatType, makeDisk, patternOf, volumeOf } from './volume.ts'
import { Stopped, World, type WorldOptions } from './world.ts'

export const STORAGE = ['storahci', 'disk', 'partmgr', 'fatfs', 'mountmgr', 'pci', 'pnp', 'ahci0', 'pci-host']
export const KEYBOARD = ['kbdclass', 'i8042prt', 'i8042']
/** Its death loses the byte in its output buffer, or presses a key again, so it dies only while nobody types. */
const CAREFUL = 'i8042'
/** A script's length in events, roughly: deaths are drawn from it. */
const SCRIPT_EVENTS = 3500
/** From power-on to the first prompt. */
const BOOT_EVENTS = 1800

export class Dice {
  private readonly random: { next(): number }
  constructor(seed: number) {
    this.random = seededRandom(Math.imul(seed, 0x9e3779b1) ^ 0x5bd1e995)
  }
  below(limit: number): number {
    return this.random.next() % limit
  }
  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]
  }
  chance(oneIn: number): boolean {
    return this.below(oneIn) === 0
  }
}

/** Commands and what the disk holds after each, as a user understands it. */
export interface Step {
  readonly line: string
  readonly says: RegExp
  /** Files that are there when this step is done: name → source of its bytes. */
  readonly files: ReadonlyMap<string, Buffer>
}
const NOTHING = /^$/
const COPIED = /^\s+1 file\(s\) copied\.$/
const LISTED = /File\(s\)[\s\S]*Dir\(s\)/

export interface Story {
  readonly disk: Disk
  /** What is on it at first. */
  readonly first: ReadonlyMap<string, Buffer>
  readonly steps: readonly Step[]
  readonly options: WorldOptions
}
const ROOM: Readonly<Record<FatType, number>> = { 12: 90_000, 16: 1 << 20, 32: 600_000 }

export function storyOf(seed: number, dice: Dice): Story {
  const fat = dice.pick([12, 16, 16, 32] as const)
  const big = patternOf(1 + dice.below(ROOM[fat]), seed)
  const small = patternOf(dice.below(5000), seed + 1)
  const disk = makeDisk({ fat, partitioned: dice.chance(2), files: { 'BIG.BIN': big, 'SMALL.TXT': small } })
  const options = {
    seed,
    disk,
    slowpath: dice.chance(8),
    maxDelay: dice.pick([0.05, 0.5, 1, 4]),
    cacheBytes: dice.pick([512, 1024, 2048]) << 10,
  }
  const first = new Map([
    ['/BIG.BIN', big],
    ['/SMALL.TXT', small],
  ])
  return { disk, first, steps: script(dice, first), options }
}
function script(dice: Dice, first: ReadonlyMap<string, Buffer>): Step[] {
  const files = new Map(first)
  const steps: Step[] = []
  const add = (line: string, says: RegExp) => steps.push({ line, says, files: new Map(files) })
  const copy = (from: string, to: string) => {
    files.set(to, files.get(from) as Buffer)
    add(`copy "${from.replaceAll('/', '\\')}" "${to.replaceAll('/', '\\')}"`, COPIED)
  }
  const optional: (() => void)[] = [
    () => add('dir', LISTED),
    () => add('sync', NOTHING),
    () => {
      add('md "A directory"', NOTHING)
      copy('/SMALL.TXT', '/A directory/A small file.txt')
    },
    () => {
      copy('/SMALL.TXT', '/T1.TXT')
      files.delete('/T1.TXT')
      files.set('/Renamed to this.txt', files.get('/SMALL.TXT') as Buffer)
      add('ren T1.TXT "Renamed to this.txt"', NOTHING)
    },
    () => {
      copy('/SMALL.TXT', '/GONE.TXT')
      files.delete('/GONE.TXT')
      add('del GONE.TXT', NOTHING)
    },
  ]
  const some = () => {
    if (optional.length > 0 && !dice.chance(3)) optional.splice(dice.below(optional.length), 1)[0]()
  }
  some()
  some()
  copy('/BIG.BIN', '/The copy.bin')
  some()
  if (dice.chance(3)) {
    files.delete('/The copy.bin')
    add('del "The copy.bin"', NOTHING)
    copy('/BIG.BIN', '/COPY2.BIN')
  }
  some()
  return steps
}

export interface Death {
  readonly at: number
  readonly name: string
  readonly signal: string
}
/** One death or several, the next often while the system still recovers from the one before. */
function deaths(dice: Dice): Death[] {
  // One that only stops dies seconds later, when somebody may type again: not for the one who would lose the key.
  const one = (at: number): Death =>
    dice.chance(5)
      ? { at, name: dice.pick(KEYBOARD), signal: 'SIGKILL' }
      : { at, name: dice.pick(STORAGE), signal: dice.chance(12) ? 'SIGSTOP' : 'SIGKILL' }
  const first = one(dice.below(SCRIPT_EVENTS))
  const gap = () => dice.pick([dice.below(40), dice.below(200), dice.below(1500)])
  const list = [first]
  for (let more = dice.pick([0, 0, 1, 1, 2, 5]); more > 0; more--) list.push(one((list.at(-1) as Death).at + gap()))
  return list
}
/** The disk's controller, once or again and again, each time when the copies and the recoveries have got a little further. */
export function controllerDeaths(seed: number): Death[] {
  const dice = new Dice(~seed)
  const list: Death[] = []
  let at = dice.below(SCRIPT_EVENTS)
  for (let count = 1 + dice.below(3); count > 0; count--) {
    list.push({ at, name: 'ahci0', signal: dice.chance(6) ? 'SIGSTOP' : 'SIGKILL' })
    at += dice.pick([5, 50, 300, 900])
  }
  return list
}
export function schedule(world: World, list: readonly Death[], careful = true): void {
  for (const { at, name, signal } of list)
    world.atEvent(at, () => {
      if (careful && name === CAREFUL && !world.busy) return false
      return world.kill(name, signal)
    })
}

/** Fails with everything one wants to know. */
export class CaseError extends Error {
  constructor(seed: number, what: string, world: World, about: unknown) {
    super(
      `seed ${seed}: ${what}\n${unsettled(world).join('; ')}\n${JSON.stringify(about)}\ndied: ${world.died.join(' ')}\n${world.log(process.env.SIM_INFO ? ['info', 'warn', 'error', 'debug'] : undefined).slice(-9000)}\n--- screen\n${world.rows.slice(-12).join('\n')}`,
    )
  }
}

/** `given`: who dies instead of those the seed draws, `at` counted from the first prompt. */
export async function survive(seed: number, given?: readonly Death[]): Promise<{ events: number; log: string }> {
  const dice = new Dice(seed)
  const { disk, steps, options } = storyOf(seed, dice)
  const list = given ?? deaths(dice)
  const world = new World(options)
  const about = { list, lines: steps.map(({ line }) => line), options: { ...options, disk: undefined }, fat: disk.fat }
  const fail = (what: string) => new CaseError(seed, what, world, about)
  try {
    await world.boot()
    const memory = freeMemory(world)
    schedule(world, list)
    for (const { line, says } of steps) {
      const said = await world.enter(line)
      if (!says.test(said)) throw fail(`${line} said: ${said}`)
    }
    await settled(world)
    if (freeMemory(world) !== memory) throw fail(`memory: ${memory} before, ${freeMemory(world)} after`)
    const umount = await world.enter('umount C')
    if (umount !== '') throw fail(`umount said: ${umount}`)
    const end = await world.shutdown()
    if (end.code !== 0) throw fail(`it ended with ${end.code}: ${end.reason}`)
    const wrong = judge(disk, (steps.at(-1) as Step).files)
    if (wrong.length > 0) throw fail(`the disk: ${wrong.join('; ')}`)
  } catch (error) {
    throw error instanceof CaseError ? error : fail((error as Error).stack ?? String(error))
  }
  return { events: world.events, log: world.log(['debug', 'info', 'warn', 'error']) }
}
/** Every recovery has ended, and the lazy writer had its turn; whoever was stopped is back. */
async function settled(world: World): Promise<void> {
  const quiet = () => unsettled(world).length === 0 && !world.someoneStopped
  world.spareTheRest()
  await world.until(quiet, 'everything is settled')
  await world.quiet(1500)
  await world.until(quiet, 'everything is settled again')
  await expectInvariants(world.sim)
}
function freeMemory(world: World): number {
  const untyped = world.sim.kernel.machine.untypeds.get('drivers')?.object as unknown as { available(): number }
  return untyped.available()
}
/** What must hold when nothing is under way. */
function unsettled(world: World): string[] {
  const { ex } = world
  if (!ex) return ['no Executive']
  const problems: string[] = []
  for (const irp of ex.io.irps.all())
    if (!isKeyboardRead(irp.request.device.driver.name))
      problems.push(`IRP ${irp.request.major} on ${irp.request.device.driver.name}`)
  for (const driver of ex.io.driverTable.all()) {
    if (driver.state !== 'loaded') problems.push(`${driver.name} is ${driver.state}`)
    if (driver.recovering) problems.push(`${driver.name} recovers`)
    for (const device of driver.devices) if (!device.bound) problems.push(`a device of ${driver.name} is not bound`)
  }
  return problems
}
const isKeyboardRead = (driver: string): boolean => driver === 'kbdclass' || driver === 'i8042prt'

/** After an orderly end: clean, and every file as it must be. */
export function judge(disk: Disk, files: ReadonlyMap<string, Buffer>): string[] {
  const reader = new FatReader(disk)
  const clean = { broken: [], long: [], lost: 0, dirty: false, freeWrong: false, mirrors: 0 }
  const findings = reader.findings()
  const problems = isDeepStrictEqual(findings, clean) ? [] : [JSON.stringify(findings)]
  const found = [...reader.files.values()].filter(({ directory }) => !directory).map(({ path }) => path)
  for (const path of found) if (!files.has(path)) problems.push(`${path} should not be there`)
  return [...problems, ...contents(reader, files), ...complaints(disk, [])]
}
function contents(reader: FatReader, files: ReadonlyMap<string, Buffer>): string[] {
  return [...files].flatMap(([path, wanted]) => {
    const bytes = reader.read(path)
    if (!bytes) return [`${path} is missing`]
    if (bytes.length !== wanted.length) return [`${path} has ${bytes.length} bytes instead of ${wanted.length}`]
    const at = bytes.findIndex((byte, i) => byte !== wanted[i])
    return at < 0 ? [] : [`${path} differs at ${at}`]
  })
}

/** The machine stops, all at once; what was synced before must be there. */
export async function crash(seed: number): Promise<{ events: number }> {
  const dice = new Dice(seed)
  const { disk, first, steps, options } = storyOf(seed, dice)
  const list = dice.chance(3) ? deaths(dice) : []
  const world = new World(options)
  const stop = new Stop()
  const about = {
    list,
    lines: steps.map(({ line }) => line),
    options: { ...options, disk: undefined },
    fat: disk.fat,
    stop,
  }
  const fail = (what: string) => new CaseError(seed, what, world, about)
  let kept: ReadonlyMap<string, Buffer> = first
  let at = 0
  try {
    await world.boot()
    schedule(world, list)
    if (dice.chance(2)) world.tearWrite(1 + dice.below(400), dice.below(9), () => stop.now('torn write'))
    else world.atEvent(dice.below(SCRIPT_EVENTS), () => stop.now('event'))
    world.stopped = () => stop.stopped
    for (const [i, { line, says }] of steps.entries()) {
      at = i
      const said = await world.enter(line)
      if (!says.test(said)) throw fail(`${line} said: ${said}`)
      if (line === 'sync') kept = steps[i].files
    }
    await world.enter('sync')
    kept = (steps.at(-1) as Step).files
    await world.quiet(5000)
  } catch (error) {
    if (!(error instanceof Stopped))
      throw error instanceof CaseError ? error : fail((error as Error).stack ?? String(error))
  }
  const wrong = [...checkSystem(world.sim).broken, ...judgeCrash(disk, kept, steps.slice(at))]
  if (wrong.length > 0) throw fail(`kernel or disk: ${wrong.join('; ')}`)
  return { events: world.events }
}
class Stop {
  stopped = false
  how = ''
  now(how: string): boolean {
    this.stopped = true
    this.how = how
    return true
  }
}
/** `later`: the commands that were under way or to come; a file that one of them changes may be in any state. */
function judgeCrash(disk: Disk, kept: ReadonlyMap<string, Buffer>, later: readonly Step[]): string[] {
  const problems: string[] = []
  for (const copy of [0, 1] as const) {
    const reader = new FatReader(disk, copy)
    const { broken } = reader.findings()
    problems.push(...broken.map((text) => `FAT ${copy + 1}: ${text}`))
    const safe = [...kept].filter(([path]) => later.every(({ files }) => files.has(path)))
    problems.push(...contents(reader, new Map(safe)).map((text) => `FAT ${copy + 1}: ${text}`))
  }
  return [...problems, ...complaints(disk, REPAIRS)]
}

/** Of a FAT32 volume made small on purpose, without a free count. */
const SMALL_FAT32 =
  /^Warning: Filesystem is FAT32|^but has only \d+ clusters|^This may lead to problems|^Free cluster summary uninit/
/** What fsck.fat may say of a machine that stopped: the dirty mark, lost clusters, the free count, a copy of the FAT behind the other. */
const REPAIRS = [
  /Dirty bit is set|not properly unmounted|Automatically removing dirty bit|^\d\) |some data may be corrupt/i,
  /^Reclaimed \d+ unused clusters?( \(\d+ bytes\))?( in \d+ chains?)?\.?$/,
  /^Free cluster summary wrong|^Auto-correcting|Free cluster summary uninitialized/,
  /cluster chain length is > \d+ bytes|^Truncating file to \d+ bytes/,
  /^FATs differ but appear to be intact|^Use which FAT|^Using first FAT|^Copying/,
  /^Leaving filesystem unchanged|^\//,
]
/** Nothing where there is no fsck.fat. */
function complaints(disk: Disk, allowed: readonly RegExp[]): string[] {
  if (!toolPath('fsck.fat')) return []
  const folder = new ImageFolder()
  try {
    const { lines } = folder.complaints(volumeOf(disk))
    return lines.filter((line) => ![SMALL_FAT32, ...allowed].some((pattern) => pattern.test(line)))
  } finally {
    folder.remove()
  }
}

/** Deaths while the system comes up: a driver that had been there comes back, one that was just being loaded may be missing. */
export async function bootWithDeath(seed: number): Promise<{ events: number; log: string }> {
  const dice = new Dice(seed)
  const { disk, first, options } = storyOf(seed, dice)
  const world = new World(options)
  const death = { at: dice.below(BOOT_EVENTS), name: dice.pick([...STORAGE, ...KEYBOARD]), signal: 'SIGKILL' }
  const fail = (what: string) =>
    new CaseError(seed, what, world, { death, fat: disk.fat, options: { ...options, disk: undefined } })
  try {
    schedule(world, [death], false)
    await world.boot()
    await settled(world)
    const said = await world.enter('dir')
    if (!LISTED.test(said)) throw fail(`dir said: ${said}`)
    const umount = await world.enter('umount C')
    if (umount !== '') throw fail(`umount said: ${umount}`)
    const end = await world.shutdown()
    if (end.code !== 0) throw fail(`it ended with ${end.code}: ${end.reason}`)
    const wrong = judge(disk, first)
    if (wrong.length > 0) throw fail(`the disk: ${wrong.join('; ')}`)
  } catch (error) {
    throw error instanceof CaseError ? error : fail((error as Error).stack ?? String(error))
  }
  return { events: world.events, log: world.log() }
}
