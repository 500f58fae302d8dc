/**
 * The cables of the machine: what joins a chip to the outside (keyboard, monitor) or to another chip (PCI functions).
 * Endpoints like any other, declared in launch.json `cables`; no NT process holds one.
 */
import { ARRAY, BOOLEAN, OPTIONAL, STRING, STRUCT, UCHAR, ULONG, USHORT } from './field.ts'
import { INTERFACE } from './interface.ts'

/** Served by the i8042, called by the front panel. */
export const KeyboardCable = INTERFACE('KeyboardCable', {
  scancodes: {
    doc: 'Clocks a scancode sequence (set 2, as the keyboard sends it) into the controller. Answers when the last byte has been taken into the output buffer: a byte waits while the buffer is full (OBF) and while software holds the clock line, so a slow reader slows the typist and nothing is lost. accepted is false when the keyboard is disabled or was told to forget its keys.',
    in: { bytes: ARRAY(UCHAR, 256) },
    out: { accepted: BOOLEAN },
    errors: [],
    onServerDeath: 'STATUS_DEVICE_NOT_CONNECTED',
  },
})

/** The state of the screen, as the CRT controller shows it. */
export const SCREEN = STRUCT('SCREEN', {
  /** Counts changes of the picture; pass it back as `since`. */
  sequence: ULONG,
  /** Cell address of the top left corner; pass it back as `from` to a display that was restarted. */
  start: USHORT,
  columns: UCHAR,
  /** Text rows, top to bottom: one character per cell (code page 437 mapped to Unicode), trailing blanks kept. */
  rows: ARRAY(STRING(132), 60),
  /** Attribute bytes of each row, as in video memory, one UTF-16 unit per cell. */
  attributes: ARRAY(STRING(132), 60),
  cursorRow: UCHAR,
  cursorColumn: UCHAR,
  cursorVisible: BOOLEAN,
})
/** Served by the display, called by the front panel. */
export const MonitorCable = INTERFACE('MonitorCable', {
  frame: {
    doc: 'Waits until the picture differs from `since` (0: at once), then answers with the rows that scrolled off the top since then, oldest first, and the picture. Nothing that was on the screen when the start address moved is lost; `lost` counts rows dropped because nobody looked for 10,000 rows. `from`: the `start` of the last picture that the caller had of an earlier life of the display. Then the answer waits until software has set the start address again, and its rows are those in video memory from there on.',
    in: { since: ULONG, from: OPTIONAL(USHORT) },
    out: { scrolled: ARRAY(STRING(132), 4096), lost: ULONG, screen: SCREEN },
    errors: [],
    onServerDeath: 'STATUS_DEVICE_NOT_CONNECTED',
  },
})

/** Served by each PCI function's chip, called by the PCI host when software writes the function's command register. */
export const PciFunction = INTERFACE('PciFunction', {
  command: {
    doc: "The function's PCI command register: bit 1 memory space, bit 2 bus master. A function whose bus-master bit is clear starts no DMA. [PCI 3.0] 6.2.2",
    in: { command: ULONG },
    out: {},
    errors: [],
    onServerDeath: 'STATUS_DEVICE_NOT_CONNECTED',
  },
})
