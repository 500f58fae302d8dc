/**
 * Death and rebirth of a driver.
 *
 *   died ── nothing reaches it any more; new requests queue
 *     │     its devices are quiet: DMA off, confirmed
 *     │     what it held is queued for its next life or ends with its declared status
 *     ▼
 *   a new process of the same image, birth 'restart' ── DriverEntry, devices bound again by name or occasion
 *     │     AddDevice, START, relations of each node it takes part in, once the drivers below it are back
 *     │     a file system: mounts and open files bound again
 *     ▼
 *   queued requests flow
 *
 * A driver that dies too often is given up: its devices are removed, what waits for it ends. Recoveries of different drivers run
 * beside each other; a second death makes the first recovery void (`life`).
 */
import type { DeathReport } from '#sel4/api'
import { NT_STATUS } from '#rtl'
import type { Executive } from '../executive.ts'
import { type DriverObject, deferred } from './driver.ts'
import type { Irp } from './irp.ts'

/** Before the second restart within the window; doubles with each. The first is at once. */
const BACKOFF_MS = 20
const BACKOFF_MAX_MS = 500

export class Recovery {
  private readonly ex: Executive
  constructor(ex: Executive) {
    this.ex = ex
  }

  /** Resolves when every IRP is accounted for; `driver.recovered` tells of the return. */
  async died(driver: DriverObject, report: DeathReport): Promise<void> {
    const { io, env } = this.ex
    if (driver.state === 'failed') return
    const first = driver.state === 'loading' && !driver.recovering
    const life = ++driver.life
    driver.state = first ? 'failed' : 'dead'
    if (!first) driver.recovered ??= deferred<boolean>()
    driver.process = undefined as never
    const orphans = this.cutOff(driver)
    driver.deaths.push(env.clock.now())
    await io.pnp.quiet(driver)
    if (driver.life !== life) return
    io.irps.deaths.abandon(driver, first)
    env.log.warn('driver died', {
      driver: driver.name,
      cause: report.cause,
      detail: report.detail,
      held: driver.irps.size,
    })
    if (first) return this.giveUp(driver)
    void this.comeBack(driver, life, orphans)
  }
  /** Synchronous: no packet of before can meet the new process, none of the dead one counts. */
  private cutOff(driver: DriverObject): Irp[] {
    driver.queue.reset()
    driver.queue.hold()
    driver.known.clear()
    driver.clearContexts()
    for (const device of driver.devices) device.bound = false
    const orphans = this.ex.io.irps.deaths.orphan(driver)
    driver.ready.resolve(false)
    return orphans
  }

  private async comeBack(driver: DriverObject, life: number, orphans: readonly Irp[]): Promise<void> {
    const alive = () => driver.life === life && !this.ex.io.driverTable.stopping
    // Others may still be moving data to or from the dead process's memory: its frames must not have a new owner yet.
    await Promise.all(orphans.map((irp) => this.ex.io.irps.ended(irp)))
    while (alive() && this.mayRestart(driver)) {
      await this.backOff(driver)
      if (!alive()) break
      if (await this.startAgain(driver, alive)) return this.resume(driver, alive)
      if (alive()) driver.deaths.push(this.ex.env.clock.now())
    }
    if (driver.life === life) await this.giveUp(driver)
  }
  private mayRestart(driver: DriverObject): boolean {
    const { max, perMs } = this.ex.io.services.restartOf(driver.image)
    return this.recentDeaths(driver, perMs) <= max
  }
  private recentDeaths(driver: DriverObject, perMs: number): number {
    const since = this.ex.env.clock.now() - perMs
    while (driver.deaths.length > 0 && driver.deaths[0] < since) driver.deaths.shift()
    return driver.deaths.length
  }
  private async backOff(driver: DriverObject): Promise<void> {
    const times = driver.deaths.length - 1
    if (times > 0) await this.ex.env.clock.sleep(Math.min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** (times - 1)))
  }
  /** False: it did not reach its first pull. When its death was reported, that report began another recovery. */
  private async startAgain(driver: DriverObject, alive: () => boolean): Promise<boolean> {
    driver.state = 'loading'
    driver.faulted = false
    try {
      await this.ex.io.driverTable.spawn(driver, 'restart')
    } catch (error) {
      this.ex.env.log.error('driver could not be started again', { driver: driver.name, error: String(error) })
      return false
    }
    return alive() && (await driver.ready.promise) && alive()
  }
  private async resume(driver: DriverObject, alive: () => boolean): Promise<void> {
    const { io } = this.ex
    const fresh = await io.pnp.replay(driver, alive)
    if (!alive()) return
    if (driver.isFileSystem) await io.volumes.rebind(driver, alive)
    if (!alive()) return
    for (const device of [...driver.devices]) if (!device.bound && !device.physicalNode) io.devices.remove(device)
    driver.state = 'loaded'
    driver.queue.flow()
    this.settled(driver, true)
    this.ex.env.log.info('driver is back', { driver: driver.name, life: driver.life })
    io.pnp.walkLater(fresh)
    if (!driver.isFileSystem) await io.volumes.rebind(driver)
  }
  private settled(driver: DriverObject, back: boolean): void {
    const { recovered } = driver
    driver.recovered = undefined
    recovered?.resolve(back)
  }

  /** It does not come back: nothing waits for it any more. */
  async giveUp(driver: DriverObject): Promise<void> {
    const { io, env } = this.ex
    driver.state = 'failed'
    driver.queue.reset()
    io.irps.deaths.abandon(driver, true)
    driver.ready.resolve(false)
    this.settled(driver, false)
    if (io.driverTable.stopping) return
    env.log.error('driver given up', { driver: driver.name })
    io.volumes.driverRemoved(driver)
    await io.pnp.fail(driver)
    for (const device of [...driver.devices]) io.devices.remove(device)
    io.driverTable.forget(driver)
  }

  /** At shutdown: drivers end in the reverse order of loading and are not started again. */
  async stopAll(): Promise<void> {
    const { driverTable } = this.ex.io
    driverTable.stopping = true
    for (const driver of driverTable.all().reverse())
      if (driver.process) await this.ex.ps.terminate(driver.process, NT_STATUS.STATUS_SYSTEM_SHUTDOWN)
  }
}
