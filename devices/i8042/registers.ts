/**
 * The 8042 keyboard controller: ports, bits, commands. Names and bits only.
 *
 * [8042] IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device Controller" (Type 1)
 * [KBD]  the same, "Keyboard (101/102-Key)"
 */
/** Read: output buffer. Write: input buffer, data. */
export const DATA_PORT = 0x60
/** Read: status. Write: input buffer, command. */
export const COMMAND_PORT = 0x64

/** Status register. [8042] "Status Register" */
export const STATUS = {
  OBF: 0x01,
  IBF: 0x02,
  /** System flag: CCB bit 2, set by a passed self test. */
  SYS: 0x04,
  /** The last write to the input buffer was a command (port 0x64). */
  COMMAND: 0x08,
  /** 1 = the keyboard is not inhibited by the lock. */
  UNLOCKED: 0x10,
  /** The byte in the output buffer comes from the auxiliary device. */
  AUX_OBF: 0x20,
  TIMEOUT: 0x40,
  PARITY: 0x80,
} as const

/** Controller command byte. [8042] "Controller Command Byte" */
export const CCB = {
  KEYBOARD_INTERRUPT: 0x01,
  AUX_INTERRUPT: 0x02,
  SYSTEM: 0x04,
  KEYBOARD_DISABLE: 0x10,
  AUX_DISABLE: 0x20,
  TRANSLATE: 0x40,
} as const
/** Bits 3 and 7 are reserved and read as zero. */
export const CCB_WRITABLE = 0x77
/** As PC firmware hands it over: keyboard interrupt, self test passed, no auxiliary device, translation. */
export const CCB_POWER_ON = CCB.KEYBOARD_INTERRUPT | CCB.SYSTEM | CCB.AUX_DISABLE | CCB.TRANSLATE

/** Output port P2. [8042] "Output Port" */
export const OUTPUT_PORT = {
  /** 0 holds the processor in reset. */
  RESET: 0x01,
  A20: 0x02,
  AUX_IRQ: 0x20,
  KEYBOARD_IRQ: 0x10,
} as const

/** Controller commands, written to COMMAND_PORT. [8042] "Commands" */
export const COMMAND = {
  /** 20–3F and 60–7F: RAM byte in bits 4–0; byte 0 is the command byte. */
  READ_RAM: 0x20,
  WRITE_RAM: 0x60,
  DISABLE_AUX: 0xa7,
  ENABLE_AUX: 0xa8,
  TEST_AUX: 0xa9,
  SELF_TEST: 0xaa,
  TEST_KEYBOARD: 0xab,
  DISABLE_KEYBOARD: 0xad,
  ENABLE_KEYBOARD: 0xae,
  READ_INPUT_PORT: 0xc0,
  READ_OUTPUT_PORT: 0xd0,
  WRITE_OUTPUT_PORT: 0xd1,
  WRITE_KEYBOARD_BUFFER: 0xd2,
  WRITE_AUX_BUFFER: 0xd3,
  WRITE_AUX: 0xd4,
  /** F0–FF: bits 3–0 low pulse the output port. */
  PULSE_OUTPUT_PORT: 0xf0,
} as const
/** Keyboard commands, written to DATA_PORT. [KBD] "Commands from the System" */
export const KEYBOARD_COMMAND = {
  SET_LEDS: 0xed,
  ECHO: 0xee,
  SELECT_SCAN_SET: 0xf0,
  READ_ID: 0xf2,
  SET_TYPEMATIC: 0xf3,
  ENABLE: 0xf4,
  DEFAULT_DISABLE: 0xf5,
  SET_DEFAULT: 0xf6,
  RESEND: 0xfe,
  RESET: 0xff,
} as const
export const SELF_TEST_PASSED = 0x55
export const INTERFACE_TEST_PASSED = 0x00

/** What the keyboard answers. [KBD] "Commands to the System" */
export const KEYBOARD = {
  ACK: 0xfa,
  RESEND: 0xfe,
  ECHO: 0xee,
  BAT_PASSED: 0xaa,
  ID: [0xab, 0x83],
} as const

/** Prefixes of scan code set 2. */
export const BREAK = 0xf0

/**
 * Scan code set 2 → set 1, for bytes below 0x80; two above have an own translation, all others pass unchanged.
 * [8042] "Keyboard Scan Code Translation". 16 entries per line, indexed by the set 2 byte.
 */
// biome-ignore format: a table
export const SET2_TO_SET1: readonly number[] = [
  0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59,
  0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b,
  0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d,
  0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f,
  0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61,
  0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76,
  0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f,
  0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
]
/** F7 and Alt+SysRq lie above 0x7f. */
export const SET2_TO_SET1_HIGH: ReadonlyMap<number, number> = new Map([
  [0x83, 0x41],
  [0x84, 0x54],
])
