/**
 * The keyboard controller's ports, bits and commands, and the record a key becomes. Names only.
 *
 * [8042] IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device Controller" (Type 1)
 * [KBD]  the same, "Keyboard (101/102-Key)"
 */
/** Bits of the status register, port 0x64. [8042] "Status Register" */
export const OBF = 0x01
export const IBF = 0x02
export const AUX_OBF = 0x20
export const TIMEOUT_ERROR = 0x40
export const PARITY_ERROR = 0x80

/** Bits of the controller command byte. [8042] "Controller Command Byte" */
export const CCB_KEYBOARD_INTERRUPT = 0x01
export const CCB_SYSTEM = 0x04
export const CCB_KEYBOARD_DISABLE = 0x10
export const CCB_AUX_DISABLE = 0x20
export const CCB_TRANSLATE = 0x40

/** Controller commands, to port 0x64. [8042] "Commands" */
export const WRITE_CCB = 0x60
export const DISABLE_AUX = 0xa7
export const SELF_TEST = 0xaa
export const TEST_KEYBOARD = 0xab
export const DISABLE_KEYBOARD = 0xad
export const ENABLE_KEYBOARD = 0xae

export const SELF_TEST_PASSED = 0x55
export const INTERFACE_TEST_PASSED = 0x00

/** Keyboard commands, to port 0x60. [KBD] "Commands from the System" */
export const SET_LEDS = 0xed
export const SELECT_SCAN_SET = 0xf0
export const ENABLE = 0xf4
export const DEFAULT_DISABLE = 0xf5

/** What the keyboard says that is no key. [KBD] "Commands to the System" */
export const ACK = 0xfa
export const RESEND = 0xfe
export const ECHO = 0xee
export const OVERRUN_SET1 = 0xff
export const OVERRUN = 0x00
/** Both are break codes of no key of the 101/102, so that they can be told from keys. */
export const PROTOCOL_BYTES: ReadonlySet<number> = new Set([ACK, RESEND, ECHO, OVERRUN_SET1, OVERRUN])

export const PREFIX_E0 = 0xe0
export const PREFIX_E1 = 0xe1
export const BREAK_BIT = 0x80

/** ntddkbd.h KEYBOARD_INPUT_DATA.Flags */
export const KEY_BREAK = 1
export const KEY_E0 = 2
export const KEY_E1 = 4
/** sizeof(KEYBOARD_INPUT_DATA): UnitId, MakeCode, Flags, Reserved as USHORTs, ExtraInformation as ULONG. */
export const KEYBOARD_INPUT_DATA_SIZE = 12

/** ntddkbd.h */
export const IOCTL_KEYBOARD_QUERY_ATTRIBUTES = 0x000b0000
export const IOCTL_KEYBOARD_QUERY_INDICATORS = 0x000b0040
