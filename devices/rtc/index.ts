/** The real-time clock's process: the chip on its ports; it has no cable. */
import type { Main } from '#sel4/api'
import { machineOf, powered } from '../lib/process.ts'
import { Mc146818 } from './mc146818.ts'

export const main: Main = async (env) => {
  const machine = machineOf(env)
  machine.attach(new Mc146818({ clock: env.clock, irq: machine.irq(0) }))
  await powered()
}
