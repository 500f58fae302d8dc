/**
 * A VGA in text mode: registers, and the monitor at its connector.
 *
 * Owns the CRT controller, sequencer, graphics, attribute and DAC registers, and the log of rows that scrolled off.
 * Text memory belongs to the device but is written by software directly, without a message.
 *
 *   software ──text──▶ memory ─┐
 *   software ──3D4/3D5──▶ CRTC ┴─▶ picture ──frame(since)──▶ monitor
 *
 * A move of the start address by whole rows, forwards, scrolls: the rows that leave the top go to the log as memory
 * holds them then. The write of the LOW byte is the commit, of the start address as of the cursor; a high byte alone
 * is seen with the next change.
 *
 * [VGA] IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem"
 * Ports 3C0–3CF, 3D4, 3D5, 3DA. Memory B8000–BFFFF. No interrupt.
 */
import type { Chip, Clock } from '#sel4/api'
import { FLOATING_BUS, readBytes, type Width, writeBytes } from '../lib/ports.ts'
import { Dac } from './dac.ts'
import {
  ATTRIBUTE_MASK,
  ATTRIBUTE_MODE_3,
  CR,
  CRTC_MODE_3,
  GRAPHICS_MASK,
  GRAPHICS_MODE_3,
  LINES_PER_FRAME,
  LINES_PER_MS,
  LINES_SHOWN,
  MISC_MODE_3,
  OVERFLOW_LC8,
  PALETTE_ADDRESS_SOURCE,
  PORT,
  PROTECT,
  RETRACE_END,
  RETRACE_START,
  SEQUENCER_MASK,
  SEQUENCER_MODE_3,
  SHOWN_PART_OF_LINE,
  STATUS_1,
  SWITCH_SENSE,
} from './registers.ts'
import { geometryOf, type Picture, pictureOf, rowAt, startAddress, WINDOW_CELLS } from './screen.ts'
import { Scrollback } from './scrollback.ts'

export interface VgaSeams {
  readonly clock: Clock
  /** 32 KiB at 0xB8000: character and attribute byte per cell. */
  readonly memory: Uint8Array
}
export interface Frame {
  readonly scrolled: string[]
  readonly lost: number
  readonly screen: Picture & { readonly sequence: number }
}
interface Viewer {
  readonly since: number
  show(frame: Frame): void
}

/** One refresh at 60 Hz: how long a change of memory alone may stay unseen while the picture moves. */
const REFRESH_MS = 16
/** A monitor whose picture has stood still for a second is refreshed seldom: memory alone, unlike a register, says nothing. */
const STILL_REFRESHES = 60
const STILL_REFRESH_MS = 250
/** Light grey on black, blank: what the BIOS clears the screen with. */
const BLANK = [0x20, 0x07]

export class Vga implements Chip {
  private readonly clock: Clock
  private readonly memory: Uint8Array
  private readonly crtc = new Uint8Array(CRTC_MODE_3.length)
  private readonly sequencer = new Uint8Array(SEQUENCER_MODE_3.length)
  private readonly graphics = new Uint8Array(GRAPHICS_MODE_3.length)
  private readonly attribute = new Uint8Array(ATTRIBUTE_MODE_3.length)
  private readonly dac = new Dac()
  private misc = 0
  private feature = 0
  private crtcIndex = 0
  private sequencerIndex = 0
  private graphicsIndex = 0
  private attributeIndex = 0
  private attributeExpectsData = false
  /** The committed start address, from which a move is measured. */
  private start = 0
  private sequence = 0
  private readonly scrollback = new Scrollback()
  private viewers: Viewer[] = []
  private refresh?: { cancel(): void }
  /** Refreshes in a row that showed nothing new. */
  private still = 0
  /** Memory and CRTC registers as last seen by a comparison. */
  private readonly seenMemory: Uint8Array
  private readonly seenCrtc = new Uint8Array(CRTC_MODE_3.length)
  /** The registers the picture is made from: a high byte counts from the write of its low byte on. */
  private readonly latched = new Uint8Array(CRTC_MODE_3.length)

  constructor(seams: VgaSeams) {
    this.clock = seams.clock
    this.memory = seams.memory
    this.seenMemory = new Uint8Array(seams.memory.length)
    this.reset()
  }

  /** Mode 3, as the video BIOS sets it at power on, and a blank screen. */
  reset(): void {
    this.crtc.set(CRTC_MODE_3)
    this.sequencer.set(SEQUENCER_MODE_3)
    this.graphics.set(GRAPHICS_MODE_3)
    this.attribute.set(ATTRIBUTE_MODE_3)
    this.dac.reset()
    this.misc = MISC_MODE_3
    this.feature = 0
    this.crtcIndex = this.sequencerIndex = this.graphicsIndex = 0
    this.attributeIndex = PALETTE_ADDRESS_SOURCE
    this.attributeExpectsData = false
    for (let i = 0; i < this.memory.length; i++) this.memory[i] = BLANK[i & 1]
    this.start = 0
    this.latched.set(this.crtc)
    this.scrollback.clear()
    this.look()
  }

  portIn(port: number, width: Width): number {
    return readBytes(port, width, (at) => this.read(at))
  }
  portOut(port: number, width: Width, value: number): void {
    writeBytes(port, width, value, (at, byte) => this.write(at, byte))
  }

  // ------------------------------------------------------------ register reads

  private read(port: number): number {
    switch (port) {
      case PORT.ATTRIBUTE:
        return this.attributeIndex
      case PORT.ATTRIBUTE_READ:
        return this.attribute[this.attributeIndex & 0x1f] ?? 0
      case PORT.MISC_OUTPUT:
        return SWITCH_SENSE
      case PORT.SEQUENCER_INDEX:
        return this.sequencerIndex
      case PORT.SEQUENCER_DATA:
        return this.sequencer[this.sequencerIndex] ?? 0
      case PORT.FEATURE_READ:
        return this.feature
      case PORT.MISC_READ:
        return this.misc
      case PORT.GRAPHICS_INDEX:
        return this.graphicsIndex
      case PORT.GRAPHICS_DATA:
        return this.graphics[this.graphicsIndex] ?? 0
      case PORT.CRTC_INDEX:
        return this.crtcIndex
      case PORT.CRTC_DATA:
        return this.crtc[this.crtcIndex] ?? 0
      case PORT.INPUT_STATUS_1:
        return this.readInputStatus1()
      default:
        return this.dac.owns(port) ? this.dac.read(port) : FLOATING_BUS
    }
  }
  /** The beam's place follows the clock. Reading puts the attribute port back to its address phase. */
  private readInputStatus1(): number {
    this.attributeExpectsData = false
    const lines = this.clock.now() * LINES_PER_MS
    const line = lines % LINES_PER_FRAME
    const shown = line < LINES_SHOWN && lines % 1 < SHOWN_PART_OF_LINE
    const retrace = line >= RETRACE_START && line < RETRACE_END
    return (shown ? 0 : STATUS_1.DISPLAY_DISABLED) | (retrace ? STATUS_1.VERTICAL_RETRACE : 0)
  }

  // ------------------------------------------------------------ register writes

  private write(port: number, byte: number): void {
    switch (port) {
      case PORT.ATTRIBUTE:
        this.writeAttribute(byte)
        break
      case PORT.MISC_OUTPUT:
        this.misc = byte & 0xef
        break
      case PORT.SEQUENCER_INDEX:
        this.sequencerIndex = byte & 0x07
        break
      case PORT.SEQUENCER_DATA:
        store(this.sequencer, this.sequencerIndex, byte, SEQUENCER_MASK)
        break
      case PORT.GRAPHICS_INDEX:
        this.graphicsIndex = byte & 0x0f
        break
      case PORT.GRAPHICS_DATA:
        store(this.graphics, this.graphicsIndex, byte, GRAPHICS_MASK)
        break
      case PORT.CRTC_INDEX:
        this.crtcIndex = byte & 0x1f
        break
      case PORT.CRTC_DATA:
        this.writeCrtc(this.crtcIndex, byte)
        break
      case PORT.INPUT_STATUS_1:
        this.feature = byte & 0x0b
        break
      default:
        if (this.dac.owns(port)) this.dac.write(port, byte)
    }
  }
  private writeAttribute(byte: number): void {
    if (this.attributeExpectsData) store(this.attribute, this.attributeIndex & 0x1f, byte, ATTRIBUTE_MASK)
    else this.attributeIndex = byte & 0x3f
    this.attributeExpectsData = !this.attributeExpectsData
  }
  private writeCrtc(index: number, byte: number): void {
    if (index >= this.crtc.length) return
    const guarded = index <= CR.OVERFLOW && this.crtc[CR.VERTICAL_RETRACE_END] & PROTECT
    if (!guarded) this.crtc[index] = byte
    else if (index === CR.OVERFLOW) this.crtc[index] = (this.crtc[index] & ~OVERFLOW_LC8) | (byte & OVERFLOW_LC8)
    if (index === CR.START_ADDRESS_HIGH || index === CR.CURSOR_LOCATION_HIGH) return
    this.latched.set(this.crtc)
    if (index === CR.START_ADDRESS_LOW) this.moveStart()
    this.stir()
    this.look()
  }

  // ------------------------------------------------------------ picture

  /** The start address was committed: whole rows forwards are a scroll, anything else shows another page. */
  private moveStart(): void {
    const { columns, stride } = geometryOf(this.crtc)
    const moved = (startAddress(this.crtc) - this.start + WINDOW_CELLS) % WINDOW_CELLS
    const forwards = moved > 0 && moved < WINDOW_CELLS / 2 && stride > 0 && moved % stride === 0
    if (forwards) {
      const rows: string[] = []
      for (let gone = 0; gone < moved; gone += stride) rows.push(rowAt(this.memory, this.start + gone, columns))
      this.scrollback.append(++this.sequence, rows)
    }
    this.start = startAddress(this.crtc)
  }

  /** MonitorCable.frame: answers when the picture differs from `since`. */
  frame(since: number): Promise<Frame> {
    this.compare()
    if (this.differs(since)) return Promise.resolve(this.frameSince(since))
    return new Promise((show) => {
      this.viewers.push({ since, show })
      this.refresh ??= this.nextRefresh()
    })
  }
  private nextRefresh(): { cancel(): void } {
    return this.clock.alarm(this.still < STILL_REFRESHES ? REFRESH_MS : STILL_REFRESH_MS, () => this.tick())
  }
  private tick(): void {
    this.refresh = undefined
    const before = this.sequence
    this.still++
    this.look()
    if (this.sequence !== before) this.still = 0
    if (this.viewers.length) this.refresh = this.nextRefresh()
  }
  /** Software is at work: its next change of memory is seen at the next refresh again. */
  private stir(): void {
    const slow = this.still >= STILL_REFRESHES
    this.still = 0
    if (!slow || !this.refresh) return
    this.refresh.cancel()
    this.refresh = this.nextRefresh()
  }
  /** Shows a change of the picture to whoever waits; while nobody does, nothing is compared. */
  private look(): void {
    if (this.viewers.length === 0) return
    this.compare()
    const satisfied = this.viewers.filter(({ since }) => this.differs(since))
    if (satisfied.length === 0) return
    this.viewers = this.viewers.filter(({ since }) => !this.differs(since))
    for (const viewer of satisfied) viewer.show(this.frameSince(viewer.since))
  }
  /** Counts a change of the registers or of the cells shown. */
  private compare(): void {
    const { start, rows, stride } = geometryOf(this.latched)
    const cells = rows * stride
    const shown = same(this.latched, this.seenCrtc, 0, this.latched.length) && this.sameCells(start, cells)
    if (shown) return
    this.seenMemory.set(this.memory)
    this.seenCrtc.set(this.latched)
    this.sequence++
  }
  private sameCells(start: number, cells: number): boolean {
    const beforeWrap = Math.min(cells, WINDOW_CELLS - start)
    const wrapped = Math.min(cells - beforeWrap, WINDOW_CELLS)
    const { memory, seenMemory } = this
    return same(memory, seenMemory, start * 2, (start + beforeWrap) * 2) && same(memory, seenMemory, 0, wrapped * 2)
  }
  /** 0 asks for the picture at once; a number from before a restart of this chip is never ours. */
  private differs(since: number): boolean {
    return since === 0 || since !== this.sequence
  }
  private frameSince(since: number): Frame {
    const { rows, lost, until } = this.scrollback.take(since > this.sequence ? 0 : since)
    const screen = { sequence: until ?? this.sequence, ...pictureOf(this.memory, this.latched) }
    return { scrolled: rows, lost, screen }
  }
}

function store(registers: Uint8Array, index: number, byte: number, mask: readonly number[]): void {
  if (index < registers.length) registers[index] = byte & mask[index]
}
function same(a: Uint8Array, b: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (a[i] !== b[i]) return false
  return true
}
