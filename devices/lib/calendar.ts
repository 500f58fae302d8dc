/**
 * Civil dates from seconds and back, without a clock: UTC, proleptic Gregorian, no leap seconds.
 *
 *   civilOf(seconds)    seconds since 1601-01-01 → year, month 1–12, day 1–31, hour, minute, second, weekday 1–7 (1 = Sunday)
 *   secondsOf(civil)    the inverse; fields out of range carry over
 *
 * 1601 begins a 400-year cycle, so no case distinction is needed at the epoch.
 */
export interface Civil {
  readonly year: number
  readonly month: number
  readonly day: number
  readonly hour: number
  readonly minute: number
  readonly second: number
}
const DAY = 86_400
const EPOCH_YEAR = 1601
/** 1601-01-01 was a Monday: 2 when Sunday is 1. */
const EPOCH_WEEKDAY = 2
const MONTH_STARTS = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334]

const isLeap = (year: number): boolean => (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0
/** Days from the epoch to 1 January of `year`. */
function daysBefore(year: number): number {
  const years = year - EPOCH_YEAR
  return years * 365 + Math.floor(years / 4) - Math.floor(years / 100) + Math.floor(years / 400)
}
const monthStart = (year: number, month: number): number =>
  MONTH_STARTS[month - 1] + (month > 2 && isLeap(year) ? 1 : 0)

function yearOf(days: number): number {
  const guess = EPOCH_YEAR + Math.floor(days / 365.2425)
  if (daysBefore(guess) > days) return guess - 1
  return daysBefore(guess + 1) <= days ? guess + 1 : guess
}
export function civilOf(seconds: number): Civil & { readonly weekday: number } {
  const days = Math.floor(seconds / DAY)
  const inDay = seconds - days * DAY
  const year = yearOf(days)
  const dayOfYear = days - daysBefore(year)
  let month = 12
  while (monthStart(year, month) > dayOfYear) month--
  return {
    year,
    month,
    day: dayOfYear - monthStart(year, month) + 1,
    hour: Math.floor(inDay / 3600),
    minute: Math.floor(inDay / 60) % 60,
    second: Math.floor(inDay % 60),
    weekday: ((days + EPOCH_WEEKDAY - 1) % 7) + 1,
  }
}
export function secondsOf({ year, month, day, hour, minute, second }: Civil): number {
  const carried = year + Math.floor((month - 1) / 12)
  const inYear = (((month - 1) % 12) + 12) % 12
  return (daysBefore(carried) + monthStart(carried, inYear + 1) + day - 1) * DAY + hour * 3600 + minute * 60 + second
}
