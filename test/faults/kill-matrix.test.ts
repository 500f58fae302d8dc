/**
 * Every process in turn is ended (SIGKILL), crashes (SIGSEGV) or hangs (SIGSTOP) while a copy runs.
 *
 * Drivers and devices come back and the copy completes; the shell is started again; the end of a part that is single by
 * design is a clean, explained stop. Nobody hangs, nothing is left.
 */
import { expect } from 'chai'
import { DiskImage, hashOf, noise } from '../support/disk-image.ts'
import { isAtLeast, scaled } from '../support/scale.ts'
import { bootSystem, endAllSystems, type System } from '../support/system.ts'
import { until } from '../support/until.ts'
import { Copy, generationOf, isBack, pidOf, strike } from '../support/watch.ts'

const MiB = 1 << 20
/** Much more than is copied while a test looks for the moment to strike. */
const BYTES = 48 * MiB
const SIGNALS = ['SIGKILL', 'SIGSEGV', 'SIGSTOP'] as const
const DRIVERS = ['pnp', 'pci', 'i8042prt', 'kbdclass', 'storahci', 'disk', 'partmgr', 'mountmgr', 'fatfs']
const DEVICES = ['i8042', 'display', 'rtc', 'pci-host', 'ahci0']
const COPIED = '1 file(s) copied.'

/** At quick every victim meets one signal; which one, goes round. */
const signalsFor = (nth: number): readonly NodeJS.Signals[] =>
  isAtLeast('ci') ? SIGNALS : [SIGNALS[nth % SIGNALS.length]]

/** One system for many victims; a test that fails costs it, and the next one boots another. */
class Bench {
  private readonly source = noise(BYTES, 'kill matrix')
  private test!: { skip(): never }
  private disk!: DiskImage
  private system?: System

  /** Inside `describe`. */
  static ofSuite(): Bench {
    const bench = new Bench()
    before(function () {
      bench.test = this
      bench.makeDisk()
    })
    afterEach(async function () {
      if (this.currentTest?.state === 'failed') await bench.failed()
    })
    after(async () => {
      await endAllSystems()
      bench.disk?.remove()
    })
    return bench
  }
  private makeDisk(): void {
    this.disk = DiskImage.make(this.test, { fat: 32, bytes: 192 * MiB })
    this.disk.put('Source.bin', this.source)
    this.disk.makeDirectory('Target')
  }
  async running(): Promise<System> {
    this.system ??= await bootSystem({ disk: `ahci:${this.disk.path}` })
    return this.system
  }
  async startCopy(): Promise<Copy> {
    return new Copy(await this.running(), 'copy Source.bin Target\\Copy.bin', BYTES)
  }
  /** After a test that failed, or ended the system in the middle, nothing is as the next one expects it. */
  async abandon(): Promise<void> {
    this.system = undefined
    await endAllSystems()
    this.disk.remove()
    this.makeDisk()
  }
  private async failed(): Promise<void> {
    if (this.system) console.log(this.system.report())
    await this.abandon()
  }
  /** Shut down in order: what the last copy wrote is there, the volume is whole, nothing is left. */
  async close(): Promise<void> {
    const system = this.system
    if (!system) return
    this.system = undefined
    expect(await system.enter('umount C')).equal('')
    expect((await system.shutdown()).signal).equal(null)
    expect(this.disk.hash('Target/Copy.bin')).equal(hashOf(this.source))
    expect(this.disk.complaints()).deep.equal([])
    await system.expectNothingLeft()
  }
}

describe('each process ended, crashed or hung while a copy runs', function () {
  this.timeout(180_000)
  const bench = Bench.ofSuite()

  DRIVERS.forEach((victim, nth) => {
    for (const signal of signalsFor(nth))
      it(`the driver ${victim} returns from ${signal} and the copy completes`, async () => {
        const system = await bench.running()
        const life = await generationOf(system, victim)
        const copy = await bench.startCopy()
        await copy.reached(1 / 4)
        await copy.strikeAndReturn(victim, signal)
        expect(await copy.finish()).match(/^ +1 file\(s\) copied\.$/)
        expect(await generationOf(system, victim)).equal(life + 1)
      })
  })
  it('and the volume is whole after all of them', () => bench.close())

  DEVICES.forEach((victim, nth) => {
    for (const signal of signalsFor(nth))
      it(`the device ${victim} returns from ${signal} and the copy completes`, async () => {
        const copy = await bench.startCopy()
        await copy.reached(1 / 4)
        await copy.strikeAndReturn(victim, signal)
        // A pause, and each row of the screen once.
        expect(await copy.finish()).match(/^ +1 file\(s\) copied\.$/)
        // Once more, undisturbed: the device is really back.
        expect((await (await bench.startCopy()).finish()).trim()).equal(COPIED)
      })
  })
  it('and the volume is whole after these', () => bench.close())

  SIGNALS.slice(0, isAtLeast('ci') ? 3 : 1).forEach((signal) => {
    it(`the shell is started again after ${signal}`, async () => {
      const system = await bench.running()
      const from = system.screen().length
      const copy = await bench.startCopy()
      await copy.reached(1 / 4)
      await copy.strikeAndReturn('ntcmd', signal)
      await copy.finish()
      expect(system.screen().slice(from)).include('The shell ended unexpectedly')
      expect((await (await bench.startCopy()).finish()).trim()).equal(COPIED)
    })
    it(`the front panel is started again after ${signal}`, async () => {
      const system = await bench.running()
      const copy = await bench.startCopy()
      await copy.reached(1 / 4)
      await copy.strikeAndReturn('panel', signal)
      // The lines that the dead panel had read ahead are gone with it; the next one waits for the copy's end.
      await system.waitForPrompt()
      expect((await (await bench.startCopy()).finish()).trim()).equal(COPIED)
    })
  })
  it('and the volume is whole after those', () => bench.close())

  const SINGLE: readonly (readonly [string, RegExp])[] = [
    ['smss', /session manager|smss/],
    ['executive', /executive/],
    ['kernel', /kernel/],
  ]
  SINGLE.forEach(([victim, sentence], nth) => {
    for (const signal of signalsFor(nth))
      it(`the end of ${victim} by ${signal} is an explained stop`, async () => {
        const system = await bench.running()
        const copy = await bench.startCopy()
        await copy.reached(1 / 4)
        copy.strike(victim, signal)
        const { code } = await Promise.race([system.ended, late(system)])
        expect(code).not.equal(0)
        expect(system.stderr).match(sentence)
        await system.expectNothingLeft()
        await bench.abandon()
      })
  })
  for (const signal of isAtLeast('ci') ? (['SIGKILL', 'SIGSEGV'] as const) : (['SIGKILL'] as const))
    it(`nothing is left when ${signal} ends the launcher`, async () => {
      const system = await bench.running()
      const copy = await bench.startCopy()
      await copy.reached(1 / 4)
      process.kill(system.launcher.pid as number, signal)
      await system.expectNothingLeft()
      await bench.abandon()
    })
  it('a launcher that is stopped stops nobody else', async () => {
    const system = await bench.running()
    const copy = await bench.startCopy()
    process.kill(system.launcher.pid as number, 'SIGSTOP')
    expect((await copy.finish()).trim()).equal(COPIED)
    process.kill(system.launcher.pid as number, 'SIGCONT')
    await bench.close()
  })
})

async function late(system: System): Promise<never> {
  return until<false>('the end', () => false, { patienceMs: 30_000, lookMs: 100, report: () => system.stderr })
}

/** Small, seeded, the same everywhere. */
function dice(seed: number): (sides: number) => number {
  let state = Math.imul(seed, 0x9e3779b1)
  return (sides) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % sides
  }
}
describe('several drivers ended at once, and while they return', function () {
  this.timeout(180_000)
  const bench = Bench.ofSuite()

  for (let seed = 1; seed <= scaled(6, 2); seed++) {
    const roll = dice(seed)
    const first = DRIVERS[roll(DRIVERS.length)]
    const second = DRIVERS[roll(DRIVERS.length)]
    const delay = roll(60)
    const at = (1 + roll(4)) / 8
    it(`seed ${seed}: ${first}, ${second} ${delay} ms later, ${first} again in its recovery`, async () => {
      const system = await bench.running()
      const copy = await bench.startCopy()
      await copy.reached(at)
      const pid = copy.strike(first)
      await new Promise((resolve) => setTimeout(resolve, delay))
      if (pidOf(system, second) !== undefined) strikeIfThere(system, second)
      await until(`${first} is born again`, () => isBack(system, first, pid))
      strikeIfThere(system, first)
      expect(await copy.finish()).match(/^ +1 file\(s\) copied\.$/)
    })
  }
  it('and the volume is whole after all of it', () => bench.close())
})
function strikeIfThere(system: System, name: string): void {
  try {
    strike(system, name)
  } catch {
    // It is between two lives.
  }
}
