/** The PCI host's process: the bridge on its ports, a cable to the chip of each function that has one. */
import { PciFunction } from '#contracts/machine'
import { StatusError } from '#rtl'
import type { Environment, Main } from '#sel4/api'
import { machineOf, powered } from '../lib/process.ts'
import { type FunctionConfig, parseFunctions } from './functions.ts'
import { PciHost } from './pci-host.ts'

export const main: Main = async (env) => {
  const machine = machineOf(env)
  const functions = functionsOf(env)
  machine.attach(new PciHost({ functions, command: (cable, command) => void tell(env, cable, command) }))
  await powered()
}
function functionsOf(env: Environment): readonly FunctionConfig[] {
  try {
    const functions = parseFunctions(env.config)
    for (const { cable } of functions)
      if (cable !== undefined && env.caps[cable] === undefined)
        throw new Error(`No cable "${cable}" leads to the PCI host; declare it under "cables" in launch.json`)
    return functions
  } catch (error) {
    return env.exit(78, (error as Error).message)
  }
}
/** A function whose chip is gone hears nothing, like a card without power; its next driver writes the register again. */
async function tell(env: Environment, cable: string, command: number): Promise<void> {
  try {
    await env.sel4.client(PciFunction, env.caps[cable]).command({ command })
  } catch (error) {
    if (!(error instanceof StatusError)) throw error
    env.log.warn('a PCI function did not hear its command register', { cable, command })
  }
}
