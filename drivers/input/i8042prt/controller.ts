/**
 * Talking to the controller: polled, before its interrupt is connected.
 *
 *   initialize()   from any state to: tested, keyboard in set 2 and scanning, translation to set 1, interrupt on
 *   resume()       an earlier life had done so: nothing is reset and no byte is thrown away
 *   takeByte()     the byte in the output buffer, if there is one; the keyboard's clock is held until release()
 *   shownByte()    what the data port shows while the output buffer is empty: the byte read last
 *
 * [8042] IBM PS/2 Hardware Interface Technical Reference, [KBD] its keyboard part; see hw.ts.
 */
import { StatusError } from '#rtl'
import { type DRIVER_OBJECT, KeDelayExecutionThread, type PORT_RANGE, READ_PORT_UCHAR, WRITE_PORT_UCHAR } from '#wdm'
import {
  ACK,
  AUX_OBF,
  CCB_AUX_DISABLE,
  CCB_KEYBOARD_DISABLE,
  CCB_KEYBOARD_INTERRUPT,
  CCB_SYSTEM,
  CCB_TRANSLATE,
  DEFAULT_DISABLE,
  DISABLE_AUX,
  DISABLE_KEYBOARD,
  ENABLE,
  ENABLE_KEYBOARD,
  IBF,
  INTERFACE_TEST_PASSED,
  OBF,
  PARITY_ERROR,
  RESEND,
  SELECT_SCAN_SET,
  SELF_TEST,
  SELF_TEST_PASSED,
  SET_LEDS,
  TEST_KEYBOARD,
  TIMEOUT_ERROR,
  WRITE_CCB,
} from './hw.ts'

/** A keyboard answers within 20 ms, a controller's self test within half a second. [KBD] "Commands from the System" */
const PATIENCE_MS = 600
/** Polls before the first sleep: an emulated chip answers at once. */
const EAGER_POLLS = 8
/** NT's ResendIterations. */
const RESENDS_MAX = 3
/** `sound`: of the keyboard, and without an error. */
export interface Taken {
  readonly byte: number
  readonly sound: boolean
}
/** Of the auxiliary device, or broken on the way. */
const UNSOUND = AUX_OBF | PARITY_ERROR | TIMEOUT_ERROR
/** More than any controller buffers. */
const FLUSH_MAX = 64

const CCB_TALKING = CCB_SYSTEM | CCB_TRANSLATE | CCB_AUX_DISABLE
const CCB_RUNNING = CCB_TALKING | CCB_KEYBOARD_INTERRUPT

export class Controller {
  private readonly driver: DRIVER_OBJECT
  private readonly data: PORT_RANGE
  private readonly command: PORT_RANGE

  constructor(driver: DRIVER_OBJECT, data: PORT_RANGE, command: PORT_RANGE) {
    this.driver = driver
    this.data = data
    this.command = command
  }

  async initialize(): Promise<void> {
    await this.send(DISABLE_KEYBOARD)
    await this.send(DISABLE_AUX)
    await this.flush()
    await this.expect(SELF_TEST, SELF_TEST_PASSED, 'self test')
    await this.writeCcb(CCB_TALKING | CCB_KEYBOARD_DISABLE)
    await this.expect(TEST_KEYBOARD, INTERFACE_TEST_PASSED, 'keyboard interface test')
    await this.writeCcb(CCB_TALKING)
    await this.keyboard(DEFAULT_DISABLE)
    await this.keyboard(SELECT_SCAN_SET, 2)
    await this.keyboard(SET_LEDS, 0)
    await this.keyboard(ENABLE)
    await this.writeCcb(CCB_RUNNING)
  }
  /** Writing the command byte needs no answer, so it cannot be mixed up with keys; it also ends a half-given command. */
  resume(): Promise<void> {
    return this.writeCcb(CCB_RUNNING)
  }

  /**
   * Reading empties the buffer, and the keyboard's next byte would take its place at once. So the clock is held first, as the
   * PC's BIOS does: until it is released, the byte taken can be seen in the data port.
   */
  async takeByte(): Promise<Taken | undefined> {
    const status = await READ_PORT_UCHAR(this.command, 0)
    if (!(status & OBF)) return undefined
    if (status & IBF) await this.inputTaken()
    await WRITE_PORT_UCHAR(this.command, 0, DISABLE_KEYBOARD)
    await this.inputTaken()
    return { byte: await READ_PORT_UCHAR(this.data, 0), sound: !(status & UNSOUND) }
  }
  release(): Promise<void> {
    return this.send(ENABLE_KEYBOARD)
  }
  async shownByte(): Promise<number | undefined> {
    if ((await READ_PORT_UCHAR(this.command, 0)) & OBF) return undefined
    return READ_PORT_UCHAR(this.data, 0)
  }
  // ------------------------------------------------------------ steps

  private async flush(): Promise<void> {
    for (let i = 0; i < FLUSH_MAX; i++) {
      if (!((await READ_PORT_UCHAR(this.command, 0)) & OBF)) return
      await READ_PORT_UCHAR(this.data, 0)
    }
    throw new StatusError('STATUS_IO_DEVICE_ERROR', 'the keyboard controller is never empty')
  }
  private async expect(command: number, answer: number, what: string): Promise<void> {
    await this.send(command)
    const byte = await this.receive()
    if (byte !== answer) throw new StatusError('STATUS_IO_DEVICE_ERROR', `${what}: 0x${byte.toString(16)}`)
  }
  private async writeCcb(value: number): Promise<void> {
    await this.send(WRITE_CCB)
    await this.put(value)
  }
  private async keyboard(...bytes: number[]): Promise<void> {
    for (const byte of bytes) await this.acknowledged(byte)
  }
  private async acknowledged(byte: number): Promise<void> {
    for (let i = 0; i <= RESENDS_MAX; i++) {
      await this.put(byte)
      const answer = await this.receive()
      if (answer === ACK) return
      if (answer !== RESEND)
        throw new StatusError('STATUS_IO_DEVICE_ERROR', `the keyboard answered 0x${answer.toString(16)}`)
    }
    throw new StatusError('STATUS_IO_DEVICE_ERROR', `the keyboard refuses 0x${byte.toString(16)}`)
  }

  private async send(command: number): Promise<void> {
    await this.inputTaken()
    await WRITE_PORT_UCHAR(this.command, 0, command)
  }
  private async put(byte: number): Promise<void> {
    await this.inputTaken()
    await WRITE_PORT_UCHAR(this.data, 0, byte)
  }
  private async receive(): Promise<number> {
    await this.until((status) => (status & OBF) !== 0)
    return READ_PORT_UCHAR(this.data, 0)
  }
  /** The controller has taken what was written, and has done it. */
  private inputTaken(): Promise<void> {
    return this.until((status) => !(status & IBF))
  }
  private async until(ready: (status: number) => boolean): Promise<void> {
    for (let polls = 0; polls < EAGER_POLLS + PATIENCE_MS; polls++) {
      if (ready(await READ_PORT_UCHAR(this.command, 0))) return
      if (polls >= EAGER_POLLS) await KeDelayExecutionThread(this.driver, 1)
    }
    throw new StatusError('STATUS_IO_TIMEOUT', 'the keyboard controller does not answer')
  }
}
