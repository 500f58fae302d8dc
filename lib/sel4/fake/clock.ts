/** Virtual time. */
import type { Clock } from '../api.ts'

/** Lets every promise that can go on, go on. */
export const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** 2026-01-01 00:00 UTC in 100 ns units since 1601. */
const FAKE_EPOCH = 134_117_856_000_000_000

export class FakeClock implements Clock {
  private time = 0
  private order = 0
  private alarms: { at: number; order: number; expired: () => void }[] = []

  now(): number {
    return this.time
  }
  systemTime(): number {
    return FAKE_EPOCH + Math.round(this.time * 10_000)
  }
  sleep(milliseconds: number): Promise<void> {
    return new Promise((resolve) => this.alarm(milliseconds, resolve))
  }
  alarm(milliseconds: number, expired: () => void): { cancel(): void } {
    const entry = { at: this.time + Math.max(0, milliseconds), order: this.order++, expired }
    this.alarms.push(entry)
    return { cancel: () => void (this.alarms = this.alarms.filter((other) => other !== entry)) }
  }
  pending(): number {
    return this.alarms.length
  }
  /** Time of the next alarm, or undefined. */
  private next(limit: number): { at: number; expired: () => void } | undefined {
    this.alarms.sort((a, b) => a.at - b.at || a.order - b.order)
    return this.alarms[0] && this.alarms[0].at <= limit ? this.alarms.shift() : undefined
  }
  async advance(milliseconds: number): Promise<void> {
    const end = this.time + milliseconds
    await settle()
    for (let alarm = this.next(end); alarm; alarm = this.next(end)) {
      this.time = alarm.at
      alarm.expired()
      await settle()
    }
    this.time = end
    await settle()
  }
}
