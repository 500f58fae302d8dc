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
import type { Of } from '#contracts/field'
import type { SCREEN } from '#contracts/machine'
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
import { geometryOf, pictureOf, rowAt, startAddress, WINDOW_CELLS } from './screen.ts'
import { Scrollback } from './scrollback.ts'

export interface VgaSeams {
  readonly clock: Clock
  /** 32 KiB at 0xB8000: character and attribute byte per cell. */
  readonly memory: Uint8Array
  /** The machine ran before this life of the chip: software had the window somewhere, and will put it there again. */
  readonly restarted?: boolean
}
export interface Frame {
  readonly scrolled: string[]
  readonly lost: number
  readonly screen: Of<typeof SCREEN>
}
interface Viewer {
  readonly since: number
  /** Where the top of its last picture was, when an earlier life of this chip had shown it. */
  readonly from: number | undefined
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
  /** In this life software has written the high byte of the start address; and then the low one: the window is where it wants it. */
  private placing = false
  private placed = false
  private readonly restarted: boolean
  /** Memory and start address at that moment: where an earlier life's rows end and the log begins. */
  private handover?: { readonly memory: Uint8Array; readonly start: number }
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
    this.restarted = seams.restarted ?? false
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
    this.placing = false
    this.placed = !this.restarted
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
    if (index === CR.START_ADDRESS_HIGH) this.placing = true
    if (index === CR.START_ADDRESS_HIGH || index === CR.CURSOR_LOCATION_HIGH) return
    this.latched.set(this.crtc)
    if (index === CR.START_ADDRESS_LOW) this.moveStart()
    this.stir()
    this.look()
  }

  // ------------------------------------------------------------ picture

  /**
   * The start address was committed: whole rows forwards are a scroll, anything else shows another page. When a
   * restarted chip is set up again nothing has moved: before that no picture was where software wanted it.
   */
  private moveStart(): void {
    const to = startAddress(this.crtc)
    if (this.placed) this.scroll(to)
    else if (this.placing) {
      this.placed = true
      this.handover = { memory: this.memory.slice(), start: to }
    }
    this.start = to
  }
  /** By less than half of memory: the other half is movement backwards. */
  private scroll(to: number): void {
    const rows = this.rowsBetween(this.memory, this.start, to, WINDOW_CELLS / 2 - 1)
    if (rows.length > 0) this.scrollback.append(++this.sequence, rows)
  }
  /** Whole rows; none when it is not whole rows, or more than `most` cells. */
  private rowsBetween(memory: Uint8Array, from: number, to: number, most: number): string[] {
    const { columns, stride } = geometryOf(this.crtc)
    const moved = (to - from + WINDOW_CELLS) % WINDOW_CELLS
    const whole = moved <= most && stride > 0 && moved % stride === 0
    return Array.from({ length: whole ? moved / stride : 0 }, (_, row) => rowAt(memory, from + row * stride, columns))
  }

  /** MonitorCable.frame: answers when the picture differs from `since`. */
  frame(since: number, from?: number): Promise<Frame> {
    this.compare()
    return new Promise((show) => {
      const viewer = { since, from, show }
      if (this.differs(viewer)) return show(this.frameFor(viewer))
      this.viewers.push(viewer)
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
    const satisfied = this.viewers.filter((viewer) => this.differs(viewer))
    if (satisfied.length === 0) return
    this.viewers = this.viewers.filter((viewer) => !this.differs(viewer))
    for (const viewer of satisfied) viewer.show(this.frameFor(viewer))
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
  /** 0 asks for the picture at once, but one who knows an earlier life waits until it can be told what came after that. */
  private differs({ since, from }: Viewer): boolean {
    return since === 0 ? from === undefined || this.placed : since !== this.sequence
  }
  private frameFor({ since, from }: Viewer): Frame {
    const picture = pictureOf(this.memory, this.latched)
    const before = since === 0 ? this.rowsOfBefore(from) : []
    const { rows, lost, until } = this.scrollback.take(since > this.sequence ? 0 : since)
    return { scrolled: [...before, ...rows], lost, screen: { sequence: until ?? this.sequence, ...picture } }
  }
  /** What an earlier life showed after the picture at `from`: as much as memory still had of it. */
  private rowsOfBefore(from: number | undefined): string[] {
    if (!this.handover || from === undefined) return []
    const { rows, stride } = geometryOf(this.crtc)
    return this.rowsBetween(this.handover.memory, from, this.handover.start, WINDOW_CELLS - rows * stride)
  }
}

function store(registers: Uint8Array, index: number, byte: number, mask: readonly number[]): void {
  if (index < registers.length) registers[index] = byte & mask[index]
}
function same(a: Uint8Array, b: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (a[i] !== b[i]) return false
  return true
}
