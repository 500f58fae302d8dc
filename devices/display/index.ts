/** The display's process: the VGA on its ports and memory, the monitor cable to the front panel. */
import { MonitorCable } from '#contracts/machine'
import type { Main } from '#sel4/api'
import { cableName, machineOf, serveCable } from '../lib/process.ts'
import { Vga } from './vga.ts'

export const main: Main = async (env) => {
  const machine = machineOf(env)
  const chip = new Vga({ clock: env.clock, memory: machine.memory(0), restarted: env.birth === 'restart' })
  machine.attach(chip)
  await serveCable(env, cableName(env, 'monitor'), MonitorCable, {
    frame: ({ since, from }) => chip.frame(since, from),
  })
}
