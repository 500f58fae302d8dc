/**
 * The 8042: keyboard controller with an auxiliary port that has no mouse.
 *
 * Owns the output buffer, the status register, the command byte and both interrupt lines. One byte at a time: the
 * keyboard may send only into an empty output buffer, while its clock line is free.
 *
 *   panel ──scancodes──▶ Keyboard ──set 2──▶ [translation] ──▶ output buffer ──OBF, IRQ 1──▶ software
 *
 * [8042] IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device Controller"
 * Ports 0x60 (data), 0x64 (status, command). IRQ 1 keyboard, IRQ 12 auxiliary.
 */
import type { Chip, InterruptLine } from '#sel4/api'
import { FLOATING_BUS, readBytes, type Width, writeBytes } from '../lib/ports.ts'
import { Keyboard } from './keyboard.ts'
import {
  CCB,
  CCB_POWER_ON,
  CCB_WRITABLE,
  COMMAND,
  COMMAND_PORT,
  DATA_PORT,
  INTERFACE_TEST_PASSED,
  KEYBOARD,
  OUTPUT_PORT,
  SELF_TEST_PASSED,
  STATUS,
} from './registers.ts'
import { Translator } from './translator.ts'

export interface I8042Seams {
  readonly keyboardIrq: InterruptLine
  readonly auxIrq: InterruptLine
  /** Software pulled the processor's reset line. */
  readonly resetProcessor: () => void
}
interface OutputByte {
  readonly value: number
  readonly aux: boolean
  readonly timeout: boolean
}
type DataSink = (byte: number) => void

/** Controller commands. 0x20–0x3F and 0x60–0x7F address the controller's RAM. [8042] "Commands" */
const COMMANDS: Readonly<Record<number, (it: I8042) => void>> = {
  [COMMAND.DISABLE_AUX]: (it) => it.setCcb(it.ccb | CCB.AUX_DISABLE),
  [COMMAND.ENABLE_AUX]: (it) => it.setCcb(it.ccb & ~CCB.AUX_DISABLE),
  [COMMAND.TEST_AUX]: (it) => it.respond(INTERFACE_TEST_PASSED),
  [COMMAND.SELF_TEST]: (it) => it.selfTest(),
  [COMMAND.TEST_KEYBOARD]: (it) => it.respond(INTERFACE_TEST_PASSED),
  [COMMAND.DISABLE_KEYBOARD]: (it) => it.setCcb(it.ccb | CCB.KEYBOARD_DISABLE),
  [COMMAND.ENABLE_KEYBOARD]: (it) => it.setCcb(it.ccb & ~CCB.KEYBOARD_DISABLE),
  [COMMAND.READ_INPUT_PORT]: (it) => it.respond(INPUT_PORT),
  [COMMAND.READ_OUTPUT_PORT]: (it) => it.respond(it.readOutputPort()),
  [COMMAND.WRITE_OUTPUT_PORT]: (it) => it.awaitData((byte) => it.writeOutputPort(byte)),
  [COMMAND.WRITE_KEYBOARD_BUFFER]: (it) => it.awaitData((byte) => it.respond(byte)),
  [COMMAND.WRITE_AUX_BUFFER]: (it) => it.awaitData((byte) => it.respond(byte, true)),
  [COMMAND.WRITE_AUX]: (it) => it.awaitData(() => it.auxTimeout()),
}
/** Keyboard not locked, manufacturing jumper absent, 512 KiB or more on the board. [8042] "Input Port" */
const INPUT_PORT = 0xa0
const RAM_BYTES = 32

export class I8042 implements Chip {
  readonly keyboard = new Keyboard(() => this.pump())
  private readonly seams: I8042Seams
  private readonly ram = new Uint8Array(RAM_BYTES)
  private readonly translator = new Translator()
  private output?: OutputByte
  /** The controller's own answers, which go before any device's byte. */
  private responses: OutputByte[] = []
  private dataSink?: DataSink
  private outputPort = 0
  private status = 0
  /** What the output buffer shows when it is read empty: the last byte. */
  private lastOutput = 0
  private lines = { keyboard: false, aux: false }

  constructor(seams: I8042Seams) {
    this.seams = seams
    this.reset()
  }

  get ccb(): number {
    return this.ram[0]
  }

  reset(): void {
    this.ram.fill(0)
    this.ram[0] = CCB_POWER_ON
    this.output = undefined
    this.responses = []
    this.dataSink = undefined
    this.outputPort = OUTPUT_PORT.RESET | OUTPUT_PORT.A20
    this.status = STATUS.SYS | STATUS.UNLOCKED
    this.translator.reset()
    this.keyboard.powerOn()
    this.drive()
  }

  /** The cable: see KeyboardCable.scancodes. */
  scancodes(bytes: readonly number[]): Promise<boolean> {
    return this.keyboard.type(bytes)
  }

  portIn(port: number, width: Width): number {
    return readBytes(port, width, (at) => this.read(at))
  }
  portOut(port: number, width: Width, value: number): void {
    writeBytes(port, width, value, (at, byte) => this.write(at, byte))
  }
  private read(port: number): number {
    if (port === DATA_PORT) return this.readData()
    return port === COMMAND_PORT ? this.readStatus() : FLOATING_BUS
  }
  private write(port: number, byte: number): void {
    if (port === DATA_PORT) this.writeData(byte)
    else if (port === COMMAND_PORT) this.writeCommand(byte)
  }

  // ------------------------------------------------------------ registers

  readStatus(): number {
    const { output } = this
    const buffer = output ? STATUS.OBF | (output.aux ? STATUS.AUX_OBF : 0) | (output.timeout ? STATUS.TIMEOUT : 0) : 0
    return this.status | buffer
  }
  /** Empties the output buffer; the line falls, and rises again if another byte waited. */
  readData(): number {
    const value = this.output?.value ?? this.lastOutput
    this.lastOutput = value
    this.output = undefined
    this.drive()
    this.pump()
    return value
  }
  writeCommand(command: number): void {
    this.status |= STATUS.COMMAND
    this.dataSink = undefined
    const index = command & (RAM_BYTES - 1)
    if (command - index === COMMAND.READ_RAM) this.respond(this.ram[index])
    else if (command - index === COMMAND.WRITE_RAM) this.awaitData((byte) => this.writeRam(index, byte))
    else if (command >= COMMAND.PULSE_OUTPUT_PORT) this.pulseOutputPort(command)
    else COMMANDS[command]?.(this)
  }
  writeData(byte: number): void {
    this.status &= ~STATUS.COMMAND
    const sink = this.dataSink
    this.dataSink = undefined
    if (sink) sink(byte)
    else this.sendToKeyboard(byte)
  }

  // ------------------------------------------------------------ commands

  awaitData(sink: DataSink): void {
    this.dataSink = sink
  }
  respond(value: number, aux = false, timeout = false): void {
    this.responses.push({ value, aux, timeout })
    this.pump()
  }
  /** A passed self test sets the system flag; the command byte keeps the rest. */
  selfTest(): void {
    this.setCcb(this.ccb | CCB.SYSTEM)
    this.respond(SELF_TEST_PASSED)
  }
  /** The command byte is RAM byte 0. */
  writeRam(index: number, byte: number): void {
    if (index === 0) this.setCcb(byte)
    else this.ram[index] = byte
  }
  setCcb(value: number): void {
    this.ram[0] = value & CCB_WRITABLE
    this.status = (this.status & ~STATUS.SYS) | (value & CCB.SYSTEM ? STATUS.SYS : 0)
    this.drive()
    this.pump()
  }
  readOutputPort(): number {
    const lines = (this.lines.keyboard ? OUTPUT_PORT.KEYBOARD_IRQ : 0) | (this.lines.aux ? OUTPUT_PORT.AUX_IRQ : 0)
    return this.outputPort | lines
  }
  writeOutputPort(byte: number): void {
    this.outputPort = byte & (OUTPUT_PORT.RESET | OUTPUT_PORT.A20)
    if (!(byte & OUTPUT_PORT.RESET)) this.seams.resetProcessor()
  }
  /** Bits 0–3 low pulse the output port's bits of that number for 6 µs; only the reset line is wired. */
  pulseOutputPort(command: number): void {
    if (!(command & OUTPUT_PORT.RESET)) this.seams.resetProcessor()
  }
  /** Nobody clocks the byte out: the controller answers with RESEND and the timeout bit. [8042] "Status Register" */
  auxTimeout(): void {
    this.respond(KEYBOARD.RESEND, true, true)
  }
  /** Sending to the keyboard frees its clock line. [8042] "Input Buffer" */
  private sendToKeyboard(byte: number): void {
    this.ram[0] &= ~CCB.KEYBOARD_DISABLE
    this.keyboard.receive(byte)
  }

  // ------------------------------------------------------------ output buffer

  /** Fills the output buffer while it is empty and somebody has a byte for it. */
  private pump(): void {
    while (!this.output) {
      const byte = this.responses.shift() ?? this.fromKeyboard()
      if (!byte) return
      this.output = byte === SWALLOWED ? undefined : byte
      this.drive()
    }
  }
  private fromKeyboard(): OutputByte | undefined {
    const byte = this.ccb & CCB.KEYBOARD_DISABLE ? undefined : this.keyboard.next()
    if (byte === undefined) return undefined
    const value = this.ccb & CCB.TRANSLATE ? this.translator.translate(byte) : byte
    // Taken before it is visible: whoever waits for this byte runs later, when the buffer is full.
    this.keyboard.taken()
    return value === undefined ? SWALLOWED : { value, aux: false, timeout: false }
  }

  /** The interrupt lines follow OBF, gated by the command byte; each rise is one interrupt. */
  private drive(): void {
    const { output } = this
    const keyboard = !!output && !output.aux && !!(this.ccb & CCB.KEYBOARD_INTERRUPT)
    const aux = !!output?.aux && !!(this.ccb & CCB.AUX_INTERRUPT)
    follow(this.seams.keyboardIrq, this.lines.keyboard, keyboard)
    follow(this.seams.auxIrq, this.lines.aux, aux)
    this.lines = { keyboard, aux }
  }
}
/** The translator kept the byte (a break prefix). */
const SWALLOWED: OutputByte = { value: 0, aux: false, timeout: false }

function follow(line: InterruptLine, was: boolean, is: boolean): void {
  if (is && !was) line.raise()
  else if (was && !is) line.lower()
}
