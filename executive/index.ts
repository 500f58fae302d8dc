/**
 * The NT Executive: root task of the system. Makes its components, serves programs and drivers on one endpoint, brings up
 * the device tree's root, and starts the session manager.
 *
 * Everyone's badge on the endpoint is a process id; what a message may ask for follows from who sent it.
 */
import { SERVE } from '#contracts/interface'
import { SystemServices } from '#contracts/nt'
import { WdmServices } from '#contracts/wdm'
import type { Environment } from '#sel4/api'
import { CacheManager } from './cc/index.ts'
import { cmServices } from './cm/services.ts'
import { Registry } from './cm/index.ts'
import { exServices } from './ex/services.ts'
import { PowerManager } from './ex/shutdown.ts'
import type { Executive } from './executive.ts'
import { Console } from './hal/console.ts'
import { IoManager } from './io/index.ts'
import { ioServices } from './io/services.ts'
import { ObjectManager } from './ob/index.ts'
import { obServices } from './ob/services.ts'
import { ProcessManager } from './ps/index.ts'
import { psServices } from './ps/services.ts'

export const main = (env: Environment): Promise<void> => run(env)
/** The same, its components shown to who asks: a test looks into them. */
export const watched =
  (look: (ex: Executive) => void) =>
  (env: Environment): Promise<void> =>
    run(env, look)

async function run(env: Environment, look?: (ex: Executive) => void): Promise<void> {
  const { root } = env
  if (!root) throw new Error('the Executive must be the root task')
  const ex = { env, root } as { -readonly [K in keyof Executive]: Executive[K] }
  const endpoint = await root.endpoint()
  ex.ob = new ObjectManager()
  ex.cm = new Registry(ex.ob)
  ex.ps = new ProcessManager(ex, endpoint)
  ex.io = new IoManager(ex)
  ex.power = new PowerManager(ex)
  ex.console = await Console.open(root, env.sel4, env.clock)
  ex.cc = await CacheManager.create(ex)
  root.onDeath((report) => {
    if (Console.isOn(root.manifest.devices[report.name]?.ports ?? [])) void ex.console.repaint()
    ex.ps.died(report).catch((error: unknown) => env.exit(70, `after the death of ${report.name}: ${String(error)}`))
  })
  root.onReclaim((memory) => ex.io.irps.released(memory))
  look?.(ex)
  root.onPowerButton(() => void ex.power.shutDown(0, 'power button'))
  const served = env.sel4.serve(endpoint, [
    SERVE(SystemServices, {
      ...exServices(ex),
      ...obServices(ex),
      ...psServices(ex),
      ...cmServices(ex),
      ...ioServices(ex),
    }),
    SERVE(WdmServices, ex.io.wdmHandlers()),
  ])
  const session = ex.ps.create({ image: 'smss', kind: 'program', birth: 'fresh' })
  ex.io.loadBootDrivers()
  const sessionManager = await session
  // Nobody would start a shell any more. When it ended because the system is stopping, this joins that.
  sessionManager.onSignal(() => void ex.power.shutDown(1, 'the session manager (smss) ended'))
  await served
}
