/**
 * A 101/102-key keyboard at the end of the PS/2 cable.
 *
 * Owns: what the keyboard has to send (answers before scancodes), its commands and their arguments, whether it scans.
 *
 *   receive(byte)      a byte from the controller: a command or an awaited argument
 *   type(bytes)        keys were pressed; resolves when the controller has taken the last byte, false if they were lost
 *   next()             the byte it would clock out now; taken() when the controller has it
 *
 * Never touches the controller's registers; it calls `ready` whenever it has something to send.
 *
 * [KBD] IBM PS/2 Hardware Interface Technical Reference, "Keyboard (101/102-Key)"
 */
import { KEYBOARD, KEYBOARD_COMMAND } from './registers.ts'
import { Translator } from './translator.ts'

/** Set 3 is refused with RESEND: the cable delivers set 2, and set 3 has no translation from it. */
const SCAN_SETS = [1, 2]
const DEFAULT_SCAN_SET = 2
/** 10.9 characters a second after 500 ms. [KBD] "Default Conditions" */
const DEFAULT_TYPEMATIC = 0x2b

/** Bytes of one key press; `left` of them have not been taken by the controller. */
interface Typed {
  readonly bytes: readonly number[]
  sent: number
  settle(accepted: boolean): void
}
type Command = (keyboard: Keyboard) => void

/** [KBD] "Commands from the System". Commands with an argument wait for it; a new command aborts the waiting one. */
const COMMANDS: Readonly<Record<number, Command>> = {
  [KEYBOARD_COMMAND.SET_LEDS]: (it) => it.awaitArgument((value) => it.setLeds(value)),
  [KEYBOARD_COMMAND.ECHO]: (it) => it.answer(KEYBOARD.ECHO),
  [KEYBOARD_COMMAND.SELECT_SCAN_SET]: (it) => it.awaitArgument((value) => it.selectScanSet(value)),
  [KEYBOARD_COMMAND.READ_ID]: (it) => it.answer(KEYBOARD.ACK, ...KEYBOARD.ID),
  [KEYBOARD_COMMAND.SET_TYPEMATIC]: (it) => it.awaitArgument((value) => it.setTypematic(value)),
  [KEYBOARD_COMMAND.ENABLE]: (it) => it.enable(),
  [KEYBOARD_COMMAND.DEFAULT_DISABLE]: (it) => it.setDefaults(false),
  [KEYBOARD_COMMAND.SET_DEFAULT]: (it) => it.setDefaults(true),
  [KEYBOARD_COMMAND.RESEND]: (it) => it.resend(),
  [KEYBOARD_COMMAND.RESET]: (it) => it.bat(),
}

export class Keyboard {
  leds = 0
  typematic = DEFAULT_TYPEMATIC
  scanSet = DEFAULT_SCAN_SET
  scanning = true
  private answers: number[] = []
  private typed: Typed[] = []
  private argument?: (value: number) => void
  private lastSent = KEYBOARD.BAT_PASSED as number
  private readonly toSet1 = new Translator()
  private readonly ready: () => void

  constructor(ready: () => void) {
    this.ready = ready
  }

  /** Power on, the basic assurance test long done and its AA consumed by the firmware. */
  powerOn(): void {
    this.answers = []
    this.argument = undefined
    this.defaults(true)
  }

  /** Resolves true when the last byte was taken; false at once while the keyboard does not scan. */
  type(bytes: readonly number[]): Promise<boolean> {
    const wire = this.scanSet === 1 ? this.inSet1(bytes) : bytes
    if (!this.scanning) return Promise.resolve(false)
    if (wire.length === 0) return Promise.resolve(true)
    return new Promise((settle) => {
      this.typed.push({ bytes: wire, sent: 0, settle })
      this.ready()
    })
  }
  private inSet1(bytes: readonly number[]): number[] {
    return bytes.map((byte) => this.toSet1.translate(byte)).filter((byte) => byte !== undefined)
  }

  /** The byte to send: answers first; no scancodes while an argument is awaited. */
  next(): number | undefined {
    if (this.answers.length) return this.answers[0]
    return this.argument ? undefined : this.typed[0]?.bytes[this.typed[0].sent]
  }
  taken(): void {
    this.lastSent = this.next() ?? this.lastSent
    if (this.answers.length) {
      this.answers.shift()
      return
    }
    const first = this.typed[0]
    if (!first || ++first.sent < first.bytes.length) return
    this.typed.shift()
    first.settle(true)
  }

  receive(byte: number): void {
    const argument = this.argument
    this.argument = undefined
    // Arguments are below 0x80; a command code in their place is taken as a command. [KBD] "Set/Reset Mode Indicators"
    if (argument && byte < 0x80) argument(byte)
    else if (COMMANDS[byte]) COMMANDS[byte](this)
    else this.answer(KEYBOARD.RESEND)
    this.ready()
  }

  // ------------------------------------------------------------ commands

  answer(...bytes: number[]): void {
    this.answers.push(...bytes)
  }
  awaitArgument(take: (value: number) => void): void {
    this.argument = take
    this.answer(KEYBOARD.ACK)
  }
  setLeds(value: number): void {
    this.leds = value & 0x07
    this.answer(KEYBOARD.ACK)
  }
  /** Argument 0 asks for the set in use. [KBD] "Select Alternate Scan Codes" */
  selectScanSet(value: number): void {
    if (value === 0) this.answer(KEYBOARD.ACK, this.scanSet)
    else if (!SCAN_SETS.includes(value)) this.answer(KEYBOARD.RESEND)
    else {
      this.dropTyped()
      this.scanSet = value
      this.answer(KEYBOARD.ACK)
    }
  }
  setTypematic(value: number): void {
    this.typematic = value
    this.answer(KEYBOARD.ACK)
  }
  enable(): void {
    this.dropTyped()
    this.scanning = true
    this.answer(KEYBOARD.ACK)
  }
  setDefaults(scanning: boolean): void {
    this.defaults(scanning)
    this.answer(KEYBOARD.ACK)
  }
  bat(): void {
    this.defaults(true)
    this.answers = [KEYBOARD.ACK, KEYBOARD.BAT_PASSED]
  }
  resend(): void {
    this.answer(this.lastSent)
  }
  private defaults(scanning: boolean): void {
    this.dropTyped()
    this.leds = 0
    this.typematic = DEFAULT_TYPEMATIC
    this.scanSet = DEFAULT_SCAN_SET
    this.scanning = scanning
    this.toSet1.reset()
  }
  /** The keyboard clears its buffer: keys not yet taken are lost. */
  private dropTyped(): void {
    for (const { settle } of this.typed.splice(0)) settle(false)
  }
}
