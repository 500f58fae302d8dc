/**
 * The MC146818: register indexes and bits.
 *
 * [146818] Motorola MC146818 Real-Time Clock Plus RAM
 * [AT]     IBM Personal Computer AT Technical Reference, "Real-Time Clock/Complementary Metal Oxide Semiconductor"
 */
/** Write only: address, bit 7 masks NMI. [AT] */
export const INDEX_PORT = 0x70
export const DATA_PORT = 0x71
export const INDEX_MASK = 0x7f

export const REGISTER = {
  SECONDS: 0x00,
  SECONDS_ALARM: 0x01,
  MINUTES: 0x02,
  MINUTES_ALARM: 0x03,
  HOURS: 0x04,
  HOURS_ALARM: 0x05,
  DAY_OF_WEEK: 0x06,
  DAY_OF_MONTH: 0x07,
  MONTH: 0x08,
  YEAR: 0x09,
  A: 0x0a,
  B: 0x0b,
  C: 0x0c,
  D: 0x0d,
  /** First byte of CMOS RAM. */
  RAM: 0x0e,
  /** By convention of the AT's firmware; the chip does not count it. [AT] */
  CENTURY: 0x32,
} as const
export const REGISTERS = 0x80

/** Register A. [146818] "Register A" */
export const A = { UIP: 0x80, DIVIDER: 0x70, RATE: 0x0f } as const
/** DV2–DV0 = 010: the 32.768 kHz time base runs; other values stop or reset the divider. */
export const DIVIDER_32K = 0x20
/** 32.768 kHz base, 1024 Hz periodic rate: as the firmware sets it. [AT] */
export const A_POWER_ON = 0x26

/** Register B. */
export const B = {
  SET: 0x80,
  PERIODIC: 0x40,
  ALARM: 0x20,
  UPDATE_ENDED: 0x10,
  SQUARE_WAVE: 0x08,
  /** 1 = binary, 0 = BCD. */
  BINARY: 0x04,
  HOURS_24: 0x02,
  DAYLIGHT: 0x01,
} as const
/** Cleared by RESET; the others keep their values. [146818] "RESET" */
export const B_CLEARED_BY_RESET = B.PERIODIC | B.ALARM | B.UPDATE_ENDED | B.SQUARE_WAVE

/** Register C: flags, at the same bits as their enables in B. Reading clears all. */
export const C = { IRQF: 0x80, PERIODIC: 0x40, ALARM: 0x20, UPDATE_ENDED: 0x10 } as const
/** Register D: the battery is good. */
export const VALID_RAM_AND_TIME = 0x80

/** Bit 7 of the hours in 12-hour mode. */
export const PM = 0x80
/** An alarm byte with both high bits set matches any value. */
export const DO_NOT_CARE = 0xc0

/** UIP rises 244 µs before the update, which takes 1984 µs with the 32.768 kHz base. [146818] Table 5 */
export const UPDATE_WINDOW_MS = 0.244 + 1.984
