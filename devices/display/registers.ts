/**
 * The VGA's ports, register indexes and bits, and their values in text mode 3 (80x25, 16 colours, 9x16 cells).
 *
 * [VGA] IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem"
 */
export const PORT = {
  /** Address and data in turn, by the attribute flip-flop. */
  ATTRIBUTE: 0x3c0,
  ATTRIBUTE_READ: 0x3c1,
  /** Write: miscellaneous output. Read: input status 0. */
  MISC_OUTPUT: 0x3c2,
  SEQUENCER_INDEX: 0x3c4,
  SEQUENCER_DATA: 0x3c5,
  PEL_MASK: 0x3c6,
  /** Write: PEL address for reading. Read: DAC state. */
  PEL_READ_ADDRESS: 0x3c7,
  PEL_WRITE_ADDRESS: 0x3c8,
  PEL_DATA: 0x3c9,
  FEATURE_READ: 0x3ca,
  MISC_READ: 0x3cc,
  GRAPHICS_INDEX: 0x3ce,
  GRAPHICS_DATA: 0x3cf,
  CRTC_INDEX: 0x3d4,
  CRTC_DATA: 0x3d5,
  /** Read: input status 1; resets the attribute flip-flop. Write: feature control. */
  INPUT_STATUS_1: 0x3da,
} as const

/** CRT controller registers. */
export const CR = {
  HORIZONTAL_DISPLAY_END: 0x01,
  OVERFLOW: 0x07,
  PRESET_ROW_SCAN: 0x08,
  MAXIMUM_SCAN_LINE: 0x09,
  CURSOR_START: 0x0a,
  CURSOR_END: 0x0b,
  START_ADDRESS_HIGH: 0x0c,
  START_ADDRESS_LOW: 0x0d,
  CURSOR_LOCATION_HIGH: 0x0e,
  CURSOR_LOCATION_LOW: 0x0f,
  VERTICAL_RETRACE_END: 0x11,
  VERTICAL_DISPLAY_END: 0x12,
  OFFSET: 0x13,
  LINE_COMPARE: 0x18,
} as const
/** Vertical display end, bits 8 and 9, in the overflow register. */
export const OVERFLOW_VDE8 = 0x02
export const OVERFLOW_VDE9 = 0x40
/** Line compare bit 8: writable even while the others are protected. */
export const OVERFLOW_LC8 = 0x10
/** In VERTICAL_RETRACE_END: registers 0–7 keep their values. */
export const PROTECT = 0x80
/** In CURSOR_START: no cursor. */
export const CURSOR_OFF = 0x20
/** Bits 0–4 of both cursor registers: a scan line of the cell. */
export const SCAN_LINE = 0x1f

/** Input status 1. */
export const STATUS_1 = { DISPLAY_DISABLED: 0x01, VERTICAL_RETRACE: 0x08 } as const
/** Input status 0, bit 4: the switch sense line, high with a colour monitor. */
export const SWITCH_SENSE = 0x10
/** In the attribute address: the palette belongs to the screen, not to software. */
export const PALETTE_ADDRESS_SOURCE = 0x20

/** 25.175 MHz clock would be 0x63; text mode's 720 dots use 28.322 MHz. */
export const MISC_MODE_3 = 0x67
// biome-ignore format: a table
export const CRTC_MODE_3: readonly number[] = [
  0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00, 0x00, 0x00, 0x00,
  0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff,
]
export const SEQUENCER_MODE_3: readonly number[] = [0x03, 0x00, 0x03, 0x00, 0x02]
export const GRAPHICS_MODE_3: readonly number[] = [0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x00, 0xff]
// biome-ignore format: a table
export const ATTRIBUTE_MODE_3: readonly number[] = [
  0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f,
  0x0c, 0x00, 0x0f, 0x08, 0x00,
]
/** Bits that exist; the others read as zero. */
export const SEQUENCER_MASK: readonly number[] = [0x03, 0x3d, 0x0f, 0x3f, 0x0e]
export const GRAPHICS_MASK: readonly number[] = [0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff]
export const ATTRIBUTE_MASK: readonly number[] = [...new Array<number>(16).fill(0x3f), 0xef, 0xff, 0x3f, 0x0f, 0x0f]

/** Timing of mode 3: 31.469 kHz lines, 449 of them, 400 shown, retrace in lines 412 and 413. */
export const LINES_PER_MS = 31.469
export const LINES_PER_FRAME = 449
export const LINES_SHOWN = 400
export const RETRACE_START = 412
export const RETRACE_END = 414
/** Of 100 character clocks in a line 80 are shown. */
export const SHOWN_PART_OF_LINE = 0.8
