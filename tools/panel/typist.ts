/**
 * The fingers: sends scancodes down the keyboard cable, one key after the other, each awaited.
 *
 *   type(keys)   resolves when the controller has taken all of them
 *
 * While the keyboard is disabled (before its driver has started, while it or the controller restarts) a key is held and tried again.
 */
import { KeyboardCable } from '#contracts/machine'
import { StatusError } from '#rtl'
import type { CPtr, Environment } from '#sel4/api'
import { type Key, scancodesOf } from './keys.ts'

/** Between two tries at a keyboard that is disabled. */
const RETRY_MS = 50
/** A restart of the keyboard's driver takes well under a second; after this long a key is dropped. */
const TRIES = 200

export class Typist {
  private readonly env: Environment
  private readonly cable
  private last: Promise<void> = Promise.resolve()

  constructor(env: Environment, cable: CPtr) {
    this.env = env
    this.cable = env.sel4.client(KeyboardCable, cable)
  }
  type(keys: readonly Key[]): Promise<void> {
    this.last = this.last.then(() => this.press(keys))
    return this.last
  }
  private async press(keys: readonly Key[]): Promise<void> {
    for (const key of keys) await this.pressKey(scancodesOf(key))
  }
  private async pressKey(bytes: readonly number[]): Promise<void> {
    if (bytes.length === 0) return
    for (let i = 0; i < TRIES; i++) {
      if (await this.accepted(bytes)) return
      await this.env.clock.sleep(RETRY_MS)
    }
  }
  /** A controller that died may or may not have taken the key: pressed again rather than lost. */
  private async accepted(bytes: readonly number[]): Promise<boolean> {
    try {
      return (await this.cable.scancodes({ bytes: [...bytes] })).accepted
    } catch (error) {
      if (error instanceof StatusError) return false
      throw error
    }
  }
}
