/**
 * What every device process does besides being its chip.
 *
 *   machineOf(env)        the machine side of the environment; a device started without one is a defect
 *   powered()             never resolves: a chip without a cable stays plugged in until the process is ended
 *   serveCable(env, …)    serves the chip's cable endpoint, or just stays powered when no cable is plugged in
 */
import { type Handlers, type Interface, SERVE } from '#contracts/interface'
import type { Caller, Environment, Machine } from '#sel4/api'

export function machineOf(env: Environment): Machine {
  if (!env.machine) throw new Error(`${env.name} is a device but was started without a machine`)
  return env.machine
}
export const powered = (): Promise<never> => new Promise(() => {})

export function serveCable<I extends Interface<any>>(
  env: Environment,
  cable: string,
  iface: I,
  handlers: Handlers<I, Caller>,
): Promise<never> {
  const endpoint = env.caps[cable]
  return endpoint === undefined ? powered() : env.sel4.serve(endpoint, [SERVE(iface, handlers)])
}
/** A cable's name: the manifest may choose another with `config.cable`. */
export const cableName = (env: Environment, usual: string): string =>
  typeof env.config.cable === 'string' ? env.config.cable : usual
