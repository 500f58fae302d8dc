/**
 * The system's end: in order, by the root task, when somebody presses the power button; at once when it must be.
 *
 *   pressPowerButton(code, reason)   asks the root task, with patience
 *   shutdown(code, reason)           the panel's last picture, devices' files, then everybody; the host is told
 */
import { ASK } from '../lib/sel4/wire.ts'
import type { Kernel } from './kernel.ts'

/** How long devices may take to close their files at the end. */
const POWER_OFF_MS = 2000
/** From the power button to the end: time for the file systems to write back. */
const POWER_PATIENCE_MS = 10_000
/** How long the front panel may take for its last picture. */
const PANEL_STOP_MS = 500
const STOP_LOOK_MS = 5

export class Power {
  private readonly kernel: Kernel
  private stopping = false

  constructor(kernel: Kernel) {
    this.kernel = kernel
  }
  get isStopping(): boolean {
    return this.stopping
  }
  /** The front panel prints its last picture and puts the terminal back while the display still answers. */
  private async stopPanel(): Promise<void> {
    const { host, processes } = this.kernel
    const panel = [...processes.values()].find(({ init }) => init.kind === 'panel')
    if (!panel) return
    host.kill(panel.pid, 'SIGTERM')
    for (let waited = 0; waited < PANEL_STOP_MS && processes.has(panel.name); waited += STOP_LOOK_MS)
      await new Promise<void>((resolve) => host.alarm(STOP_LOOK_MS, resolve))
  }
  /** The root task ends the system in order; one that does not within its patience is ended all the same. */
  pressPowerButton(code: number, reason: string): void {
    if (this.stopping) return
    const { root, host } = this.kernel
    if (!root) return void this.shutdown(code, reason)
    void root.ask(ASK.powerButton, null).then((heard) => {
      if (heard !== true) void this.shutdown(code, reason)
    })
    host.alarm(POWER_PATIENCE_MS, () => void this.shutdown(1, `${reason}, and the root task did not end it`))
  }
  async shutdown(code: number, reason: string): Promise<void> {
    if (this.stopping) return
    this.stopping = true
    const { host, machine, processes } = this.kernel
    this.kernel.stopWatching()
    host.log('info', `stopping: ${reason}`, { code })
    await this.stopPanel()
    const devices = [...machine.devices.values()].flatMap(({ process }) =>
      process ? [process.ask(ASK.powerOff, null)] : [],
    )
    await Promise.race([Promise.all(devices), new Promise<void>((resolve) => host.alarm(POWER_OFF_MS, resolve))])
    for (const process of processes.values()) host.kill(process.pid, 'SIGKILL')
    while (processes.size) await new Promise<void>((resolve) => host.alarm(STOP_LOOK_MS, resolve))
    host.ended(code, reason)
  }
}
