/**
 * What happens when a process has ended, whatever ended it: 1 its sessions are closed · 2 DMA into its memory is off, confirmed ·
 * 3 its capabilities and frames are reclaimed · 4 its death is reported, and a device or the panel starts again.
 *
 *   bury(process, status)   all of that, in this order
 *   stillborn(process)      3 alone: of a process that the host could not start
 *   watchDeaths()           the root task listens from now on
 */
import type { DeathReport } from '../lib/sel4/api.ts'
import { ASK } from '../lib/sel4/wire.ts'
import { isGone, remove } from './cspace.ts'
import type { ExitStatus } from './host.ts'
import type { Kernel } from './kernel.ts'
import type { Limits } from './manifest/manifest.ts'
import { sizeText } from './manifest/units.ts'
import { Notification } from './notification.ts'
import type { Process } from './process.ts'
import { Reply } from './reply.ts'

/** Restarts of a device or the panel the kernel allows in this many milliseconds. */
const RESTARTS = { max: 10, perMs: 10_000 }
const UNHEARD_MAX = 1000

export class Burials {
  private readonly kernel: Kernel
  private readonly restarts = new Map<string, number[]>()
  private unheard?: DeathReport[] = []

  constructor(kernel: Kernel) {
    this.kernel = kernel
  }
  async bury(process: Process, status: ExitStatus): Promise<void> {
    const { kernel } = this
    const { name, init } = process
    process.died()
    init.device?.detach()
    const reborn = !kernel.isStopping && this.willRestart(process)
    for (const endpoint of process.receivesOn) endpoint.lose(process, reborn)
    kernel.machine.deafen(process)
    for (const loan of process.loans) loan.end()
    const report: DeathReport = {
      name,
      generation: init.generation,
      ...(process.ended ?? causeOf(status, init.limits)),
      ...(process.epitaph && { epitaph: process.epitaph }),
    }
    kernel.host.log(kernel.isStopping ? 'debug' : 'warn', `${name} died`, report)
    await kernel.sessions.ofProcess(process)
    await kernel.machine.stopDma(process)
    this.dismantle(process)
    await kernel.sessions.settled()
    kernel.host.forget(init.address)
    kernel.forget(process)
    if (!kernel.isStopping) this.afterwards(process, report, reborn)
    kernel.machine.unshare(process)
  }
  stillborn(process: Process): void {
    process.died()
    this.dismantle(process)
    this.kernel.machine.unshare(process)
  }
  private dismantle(process: Process): void {
    const { machine, directIrqs } = this.kernel
    for (const cap of process.init.cspace.all()) {
      if (cap.object instanceof Reply) cap.object.bereave()
      if (cap.object instanceof Notification) machine.unbind(cap.object)
      if (!isGone(cap)) remove(cap)
    }
    for (const thread of process.threads.values()) thread.release()
    process.init.cspace.close()
    process.init.vspace.abandon()
    directIrqs.forget(process)
  }
  private willRestart({ name, init }: Process): boolean {
    if (init.kind !== 'device' && init.kind !== 'panel') return false
    const now = this.kernel.host.now()
    const recent = (this.restarts.get(name) ?? []).filter((at) => now - at < RESTARTS.perMs)
    this.restarts.set(name, [...recent, now])
    return recent.length < RESTARTS.max
  }
  private afterwards(process: Process, report: DeathReport, reborn: boolean): void {
    const { kernel } = this
    const { kind, device } = process.init
    if (kind === 'root') return void kernel.shutdown(1, `${report.name} died (${report.cause} ${report.detail})`)
    if (reborn && device) kernel.births.startDevice(device, 'restart')
    else if (reborn) kernel.births.startPanel('restart')
    else if (device) device.giveUp()
    if (kind !== 'panel') this.reportDeath(report)
    else if (!reborn) void kernel.shutdown(1, `the front panel died ${RESTARTS.max} times`)
  }
  /** Deaths before the root task listens wait for it. */
  private reportDeath(report: DeathReport): void {
    if (!this.unheard) void this.kernel.root?.ask(ASK.death, report)
    else if (this.unheard.length < UNHEARD_MAX) this.unheard.push(report)
  }
  watchDeaths(): void {
    const waiting = this.unheard ?? []
    this.unheard = undefined
    for (const report of waiting) this.reportDeath(report)
  }
}
function causeOf({ code, signal, heapIsFull }: ExitStatus, { heap }: Limits): Pick<DeathReport, 'cause' | 'detail'> {
  if (heapIsFull) return { cause: 'limit', detail: `heap: more than ${sizeText(heap)}` }
  return signal ? { cause: 'signal', detail: signal } : { cause: 'exit', detail: `${code}` }
}
