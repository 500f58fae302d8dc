/**
 * The monitor at the end of its cable: asks for frame after frame and hands each to who looks.
 *
 *   onFrame(look)          called with every frame, in order
 *   until(condition, ms)   'yes' when it holds after some frame, 'ended' when the system went first, 'late'
 *   settle()               resolves when what was typed has had time to be echoed
 *   ended                  resolves when the display has gone
 *
 * The display may restart; then the rows go on where the last picture was. Gone for longer than that means the system has ended.
 */
import type { Of } from '#contracts/field'
import { MonitorCable, type SCREEN } from '#contracts/machine'
import type { CPtr, Environment } from '#sel4/api'
import type { Frame } from './rows.ts'

export interface MonitorFrame extends Frame {
  readonly screen: Of<typeof SCREEN>
}
/** Between two looks for a display that went away; so often, then it is taken for gone. */
const RETRY_MS = 100
const RETRIES = 20
/** Two refreshes of the display. */
const LAST_LOOK_MS = 35
/** The echo of a key follows within a few milliseconds; this is the most that is waited for it. */
const ECHO_MS = 20

export class Monitor {
  readonly ended: Promise<void>
  private readonly env: Environment
  private readonly cable
  private readonly lookers = new Set<(frame: MonitorFrame) => void>()
  private over = false
  private readonly stopped: Promise<void>
  private stopWatching = () => {}

  constructor(env: Environment, cable: CPtr) {
    this.env = env
    this.stopped = new Promise((resolve) => {
      this.stopWatching = resolve
    })
    this.cable = env.sel4.client(MonitorCable, cable)
    this.ended = Promise.race([this.watch(), this.stopped])
  }
  onFrame(look: (frame: MonitorFrame) => void): () => void {
    this.lookers.add(look)
    return () => this.lookers.delete(look)
  }
  async until(condition: () => boolean, patienceMs: number): Promise<'yes' | 'ended' | 'late'> {
    if (condition()) return 'yes'
    if (this.over) return 'ended'
    return new Promise((resolve) => {
      const settle = (answer: 'yes' | 'ended' | 'late') => {
        alarm.cancel()
        stop()
        resolve(answer)
      }
      const alarm = this.env.clock.alarm(patienceMs, () => settle('late'))
      const stop = this.onFrame(() => condition() && settle('yes'))
      void this.ended.then(() => settle('ended'))
    })
  }
  async settle(): Promise<void> {
    await this.env.clock.sleep(ECHO_MS)
  }

  private async watch(): Promise<void> {
    let since = 0
    let from: number | undefined
    for (let failures = 0; failures < RETRIES && !this.over; ) {
      try {
        const frame = await this.cable.frame({ since, from })
        ;({ sequence: since, start: from } = frame.screen)
        failures = 0
        for (const look of [...this.lookers]) look(frame)
      } catch {
        // The display died: the kernel starts it again, or the system is at its end.
        failures++
        since = 0
        if (!this.over) await this.env.clock.sleep(RETRY_MS)
      }
    }
    this.over = true
  }
  /** The system stops: the last change of the picture is still seen, then no frame comes any more. */
  async stop(): Promise<void> {
    if (this.over) return
    await this.env.clock.sleep(LAST_LOOK_MS)
    this.over = true
    this.stopWatching()
  }
}
