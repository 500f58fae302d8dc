/** The i8042's process: the chip on its ports, the keyboard cable to the front panel. */
import { KeyboardCable } from '#contracts/machine'
import type { Main } from '#sel4/api'
import { cableName, machineOf, serveCable } from '../lib/process.ts'
import { I8042 } from './i8042.ts'

export const main: Main = async (env) => {
  const machine = machineOf(env)
  const chip = new I8042({
    keyboardIrq: machine.irq(0),
    auxIrq: machine.irq(1),
    resetProcessor: () => env.exit(0, 'software pulled the processor reset line of the i8042: start the system again'),
  })
  machine.attach(chip)
  await serveCable(env, cableName(env, 'keyboard'), KeyboardCable, {
    scancodes: async ({ bytes }) => ({ accepted: await chip.scancodes(bytes) }),
  })
}
