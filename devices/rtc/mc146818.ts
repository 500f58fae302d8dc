/**
 * The MC146818 real-time clock with 114 bytes of RAM.
 *
 * Owns ports 70 and 71 and IRQ 8. Time runs with the environment's clock; software that sets the time moves an offset.
 * Flags of register C come into being when they are looked at: nothing ticks unless an interrupt is enabled.
 *
 *   time now = systemTime + offset, or the frozen registers while SET is 1 or the divider is held
 *
 * [146818] Motorola MC146818 Real-Time Clock Plus RAM    [AT] IBM PC AT Technical Reference
 */
import type { Chip, Clock, InterruptLine } from '#sel4/api'
import { civilOf, secondsOf } from '../lib/calendar.ts'
import { FLOATING_BUS, readBytes, type Width, writeBytes } from '../lib/ports.ts'
import {
  A,
  A_POWER_ON,
  B,
  B_CLEARED_BY_RESET,
  C,
  DATA_PORT,
  DIVIDER_32K,
  DO_NOT_CARE,
  INDEX_MASK,
  INDEX_PORT,
  PM,
  REGISTER,
  REGISTERS,
  UPDATE_WINDOW_MS,
  VALID_RAM_AND_TIME,
} from './registers.ts'

export interface RtcSeams {
  readonly clock: Clock
  readonly irq: InterruptLine
}
/** systemTime's unit is 100 ns. */
const TICKS_PER_SECOND = 10_000_000
const TIME_REGISTERS: readonly number[] = [
  REGISTER.SECONDS,
  REGISTER.MINUTES,
  REGISTER.HOURS,
  REGISTER.DAY_OF_WEEK,
  REGISTER.DAY_OF_MONTH,
  REGISTER.MONTH,
  REGISTER.YEAR,
]
const ENABLES = B.PERIODIC | B.ALARM | B.UPDATE_ENDED
const DEFAULT_CENTURY = 20
/** An alarm occurs at least once a day, so a day of seconds is all that must be looked at. */
const DAY = 86_400

export class Mc146818 implements Chip {
  private readonly clock: Clock
  private readonly irq: InterruptLine
  /** Alarm bytes, A, B and RAM; the time's own bytes only while it is frozen. */
  private readonly registers = new Uint8Array(REGISTERS)
  private index = 0
  private flags = 0
  /** Seconds to add to the system time. */
  private offset = 0
  private asserted = false
  /** Up to here (seconds, and clock milliseconds) events are accounted in `flags`. */
  private secondsDone = 0
  private periodsDone = 0
  private wake?: { cancel(): void }

  constructor(seams: RtcSeams) {
    this.clock = seams.clock
    this.irq = seams.irq
    this.registers[REGISTER.A] = A_POWER_ON
    this.registers[REGISTER.B] = B.HOURS_24
    this.registers[REGISTER.CENTURY] = toBcd(Math.floor(civilOf(this.seconds()).year / 100))
    this.reset()
  }

  /** RESET does not touch time, calendar or RAM: the battery keeps them. [146818] "RESET" */
  reset(): void {
    this.catchUp()
    this.registers[REGISTER.B] &= ~B_CLEARED_BY_RESET
    this.flags = 0
    this.index = 0
    this.drive()
  }

  portIn(port: number, width: Width): number {
    return readBytes(port, width, (at) => (at === DATA_PORT ? this.read(this.index) : FLOATING_BUS))
  }
  portOut(port: number, width: Width, value: number): void {
    writeBytes(port, width, value, (at, byte) => {
      if (at === INDEX_PORT) this.index = byte & INDEX_MASK
      else if (at === DATA_PORT) this.write(this.index, byte)
    })
  }

  // ------------------------------------------------------------ register reads

  private read(index: number): number {
    if (index === REGISTER.A) return this.registers[REGISTER.A] | (this.updating() ? A.UIP : 0)
    if (index === REGISTER.C) return this.readC()
    if (index === REGISTER.D) return VALID_RAM_AND_TIME
    if (TIME_REGISTERS.includes(index) && !this.frozen()) return this.timeRegister(index, this.seconds())
    return this.registers[index]
  }
  /** Reading takes the flags and lets the line fall. */
  private readC(): number {
    this.catchUp()
    const flags = this.flags
    this.flags = 0
    this.drive()
    return flags | (flags & this.registers[REGISTER.B] & ENABLES ? C.IRQF : 0)
  }

  // ------------------------------------------------------------ register writes

  private write(index: number, byte: number): void {
    this.catchUp()
    if (index === REGISTER.A) this.keepTime(() => this.store(REGISTER.A, byte & ~A.UIP))
    else if (index === REGISTER.B) this.keepTime(() => this.store(REGISTER.B, byte))
    else if (TIME_REGISTERS.includes(index)) this.writeTime(index, byte)
    else if (index !== REGISTER.C && index !== REGISTER.D) this.store(index, byte)
    this.drive()
  }
  private store(index: number, byte: number): void {
    this.registers[index] = byte
  }
  /** SET and the divider freeze the time's registers and let them go on from what they hold. */
  private keepTime(change: () => void): void {
    const wasFrozen = this.frozen()
    if (!wasFrozen) this.latchTime()
    change()
    if (wasFrozen && !this.frozen()) this.releaseTime()
    // SET clears UIE. [146818] "SET"
    if (this.registers[REGISTER.B] & B.SET) this.registers[REGISTER.B] &= ~B.UPDATE_ENDED
    this.periodsDone = this.periods()
  }
  private writeTime(index: number, byte: number): void {
    const running = !this.frozen()
    if (running) this.latchTime()
    this.store(index, byte)
    if (running) this.releaseTime()
  }

  // ------------------------------------------------------------ time

  private frozen(): boolean {
    return !!(this.registers[REGISTER.B] & B.SET) || (this.registers[REGISTER.A] & A.DIVIDER) !== DIVIDER_32K
  }
  private seconds(): number {
    return Math.floor(this.clock.systemTime() / TICKS_PER_SECOND) + this.offset
  }
  private millisecondsToSecond(): number {
    return 1000 - (this.clock.systemTime() % TICKS_PER_SECOND) / 10_000
  }
  private updating(): boolean {
    return !this.frozen() && this.millisecondsToSecond() <= UPDATE_WINDOW_MS
  }
  private latchTime(): void {
    const now = this.seconds()
    for (const index of TIME_REGISTERS) this.registers[index] = this.timeRegister(index, now)
  }
  private releaseTime(): void {
    const [second, minute, hour, , day, month, year] = TIME_REGISTERS.map((index) => this.decode(index))
    const century = fromBcd(this.registers[REGISTER.CENTURY]) || DEFAULT_CENTURY
    const civil = { year: century * 100 + year, month, day, hour, minute, second }
    this.offset += secondsOf(civil) - this.seconds()
    this.secondsDone = this.seconds()
  }
  private timeRegister(index: number, seconds: number): number {
    const civil = civilOf(seconds)
    if (index === REGISTER.HOURS) return this.encodeHours(civil.hour)
    const values: Readonly<Record<number, number>> = {
      [REGISTER.SECONDS]: civil.second,
      [REGISTER.MINUTES]: civil.minute,
      [REGISTER.DAY_OF_WEEK]: civil.weekday,
      [REGISTER.DAY_OF_MONTH]: civil.day,
      [REGISTER.MONTH]: civil.month,
      [REGISTER.YEAR]: civil.year % 100,
    }
    return this.encode(values[index])
  }
  private encode(value: number): number {
    return this.registers[REGISTER.B] & B.BINARY ? value : toBcd(value)
  }
  private encodeHours(hour: number): number {
    if (this.registers[REGISTER.B] & B.HOURS_24) return this.encode(hour)
    return this.encode(hour % 12 || 12) | (hour >= 12 ? PM : 0)
  }
  private decode(index: number): number {
    const raw = this.registers[index]
    const number = (byte: number) => (this.registers[REGISTER.B] & B.BINARY ? byte : fromBcd(byte))
    if (index !== REGISTER.HOURS || this.registers[REGISTER.B] & B.HOURS_24) return number(raw)
    return (number(raw & ~PM) % 12) + (raw & PM ? 12 : 0)
  }

  // ------------------------------------------------------------ interrupts

  /** Periodic interrupt period in ms, 0 for none. Rates 1 and 2 repeat 8 and 9 at this base. [146818] Table 6 */
  private period(): number {
    const rate = this.registers[REGISTER.A] & A.RATE
    if (rate === 0 || (this.registers[REGISTER.A] & A.DIVIDER) !== DIVIDER_32K) return 0
    return 1000 / (32768 >> ((rate <= 2 ? rate + 7 : rate) - 1))
  }
  private periods(): number {
    const period = this.period()
    return period ? Math.floor(this.clock.now() / period) : 0
  }
  /** Sets the flags of everything that happened since the last look. */
  private catchUp(): void {
    const periods = this.periods()
    if (periods > this.periodsDone) this.flags |= C.PERIODIC
    this.periodsDone = periods
    const now = this.seconds()
    if (this.frozen()) this.secondsDone = now
    if (now <= this.secondsDone) return
    this.flags |= C.UPDATE_ENDED
    if (this.secondsToAlarm(this.secondsDone) <= now - this.secondsDone) this.flags |= C.ALARM
    this.secondsDone = now
  }
  /** Seconds from `from`, exclusive, to the next match of the alarm bytes; Infinity when they never match. */
  private secondsToAlarm(from: number): number {
    for (let at = from + 1; at <= from + DAY; ) {
      const step = this.mismatch(at)
      if (step === 0) return at - from
      at += step - (((at % step) + step) % step)
    }
    return Number.POSITIVE_INFINITY
  }
  /** Whose end is the next moment that can match: the hour's, the minute's or the second's; 0 at a match. */
  private mismatch(seconds: number): number {
    const inDay = ((seconds % DAY) + DAY) % DAY
    const differs = (register: number, value: number) => {
      const alarm = this.registers[register]
      return alarm < DO_NOT_CARE && alarm !== value
    }
    if (differs(REGISTER.HOURS_ALARM, this.encodeHours(Math.floor(inDay / 3600)))) return 3600
    if (differs(REGISTER.MINUTES_ALARM, this.encode(Math.floor(inDay / 60) % 60))) return 60
    return differs(REGISTER.SECONDS_ALARM, this.encode(inDay % 60)) ? 1 : 0
  }

  /** IRQ follows flag AND enable; while it is low and something is enabled, the clock wakes us for the next event. */
  private drive(): void {
    const pending = !!(this.flags & this.registers[REGISTER.B] & ENABLES)
    if (pending && !this.asserted) this.irq.raise()
    else if (!pending && this.asserted) this.irq.lower()
    this.asserted = pending
    this.wake?.cancel()
    const wait = pending ? Number.POSITIVE_INFINITY : this.millisecondsToEvent()
    this.wake = wait === Number.POSITIVE_INFINITY ? undefined : this.clock.alarm(wait, () => this.awake())
  }
  private awake(): void {
    this.wake = undefined
    this.catchUp()
    this.drive()
  }
  private millisecondsToEvent(): number {
    const enabled = this.registers[REGISTER.B]
    const period = this.period()
    const periodic = enabled & B.PERIODIC && period ? (this.periodsDone + 1) * period - this.clock.now() : Infinity
    if (this.frozen()) return periodic
    const untilSecond = this.millisecondsToSecond()
    const update = enabled & B.UPDATE_ENDED ? untilSecond : Infinity
    const alarm = enabled & B.ALARM ? untilSecond + (this.secondsToAlarm(this.secondsDone) - 1) * 1000 : Infinity
    return Math.max(0, Math.min(periodic, update, alarm))
  }
}

const toBcd = (value: number): number => (Math.floor(value / 10) << 4) | (value % 10)
const fromBcd = (byte: number): number => (byte >> 4) * 10 + (byte & 0x0f)
