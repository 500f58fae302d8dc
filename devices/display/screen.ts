/**
 * What the CRT controller shows: text memory through the eyes of its registers. Pure functions of both.
 *
 *   geometryOf(crtc)               columns, rows, stride, start address
 *   rowAt(memory, address, n)      one text row as Unicode
 *   pictureOf(memory, crtc)        the whole screen but its sequence number
 *   WINDOW_CELLS                   cells in the 32 KiB window; addresses wrap there
 */
import type { Of } from '#contracts/field'
import type { SCREEN } from '#contracts/machine'
import { glyph } from './code-page-437.ts'
import { CR, CURSOR_OFF, OVERFLOW_VDE8, OVERFLOW_VDE9, SCAN_LINE } from './registers.ts'

export const WINDOW_CELLS = 0x4000
/** SCREEN's bounds. */
const MAXIMUM_COLUMNS = 132
const MAXIMUM_ROWS = 60

export interface Geometry {
  readonly columns: number
  readonly rows: number
  /** Cells from one row to the next. */
  readonly stride: number
  /** Cell address of the top left corner. */
  readonly start: number
}
/** Who shows it counts it. */
export type Picture = Omit<Of<typeof SCREEN>, 'sequence'>

export const startAddress = (crtc: Uint8Array): number =>
  ((crtc[CR.START_ADDRESS_HIGH] << 8) | crtc[CR.START_ADDRESS_LOW]) % WINDOW_CELLS
const cursorAddress = (crtc: Uint8Array): number =>
  ((crtc[CR.CURSOR_LOCATION_HIGH] << 8) | crtc[CR.CURSOR_LOCATION_LOW]) % WINDOW_CELLS

/** Scan lines shown: register 12h with two more bits in the overflow register, plus one. */
function scanLines(crtc: Uint8Array): number {
  const overflow = crtc[CR.OVERFLOW]
  const high = (overflow & OVERFLOW_VDE8 ? 0x100 : 0) | (overflow & OVERFLOW_VDE9 ? 0x200 : 0)
  return (crtc[CR.VERTICAL_DISPLAY_END] | high) + 1
}
export function geometryOf(crtc: Uint8Array): Geometry {
  const cellHeight = (crtc[CR.MAXIMUM_SCAN_LINE] & SCAN_LINE) + 1
  return {
    columns: Math.min(crtc[CR.HORIZONTAL_DISPLAY_END] + 1, MAXIMUM_COLUMNS),
    rows: Math.min(Math.floor(scanLines(crtc) / cellHeight), MAXIMUM_ROWS),
    stride: crtc[CR.OFFSET] * 2,
    start: startAddress(crtc),
  }
}

const cell = (address: number): number => (address % WINDOW_CELLS) * 2
export function rowAt(memory: Uint8Array, address: number, columns: number): string {
  let text = ''
  for (let i = 0; i < columns; i++) text += glyph(memory[cell(address + i)])
  return text
}
function attributesAt(memory: Uint8Array, address: number, columns: number): string {
  let text = ''
  for (let i = 0; i < columns; i++) text += String.fromCharCode(memory[cell(address + i) + 1])
  return text
}
export function pictureOf(memory: Uint8Array, crtc: Uint8Array): Picture {
  const { columns, rows, stride, start } = geometryOf(crtc)
  const addresses = Array.from({ length: rows }, (_, row) => start + row * stride)
  return {
    start,
    columns,
    rows: addresses.map((address) => rowAt(memory, address, columns)),
    attributes: addresses.map((address) => attributesAt(memory, address, columns)),
    ...cursorOf(crtc, geometryOf(crtc)),
  }
}
function cursorOf(crtc: Uint8Array, { columns, rows, stride, start }: Geometry) {
  const distance = (cursorAddress(crtc) - start + WINDOW_CELLS) % WINDOW_CELLS
  const row = stride ? Math.floor(distance / stride) : 0
  const column = stride ? distance % stride : distance
  const onScreen = row < rows && column < columns
  const first = crtc[CR.CURSOR_START] & SCAN_LINE
  const drawn = !(crtc[CR.CURSOR_START] & CURSOR_OFF) && first <= (crtc[CR.CURSOR_END] & SCAN_LINE)
  return { cursorRow: onScreen ? row : 0, cursorColumn: onScreen ? column : 0, cursorVisible: onScreen && drawn }
}
