/** The hostile process: one image; its config names the attack it makes. */
import type { Main } from '../../lib/sel4/api.ts'
import type { Runtime } from '../../lib/sel4/runtime.ts'
import { Hostile } from './attack.ts'
import { ATTACKS } from './attacks/index.ts'
import { lineToTest } from './line.ts'

export const hostile: Main = async (env) => {
  const attack = ATTACKS.find(({ name }) => name === env.config.attack)
  if (!attack) throw new Error(`no attack ${String(env.config.attack)}`)
  const line = await lineToTest(env)
  await env.sel4.call(env.caps.executive, 0, 'begin')
  line.say({ begins: attack.name })
  const outcome = await attack.run(new Hostile(env, env.sel4 as Runtime, line))
  line.say({ outcome })
  await new Promise(() => setInterval(() => {}, 1000))
}
