/**
 * The Executive's components, joined. Each is made once by main.ts and reaches the others through this object only;
 * none keeps state outside itself.
 */
import type { Handlers } from '#contracts/interface'
import type { SystemServices } from '#contracts/nt'
import type { Caller, Environment, RootTask } from '#sel4/api'
import type { CacheManager } from './cc/index.ts'
import type { Registry } from './cm/index.ts'
import type { PowerManager } from './ex/shutdown.ts'
import type { IoManager } from './io/index.ts'
import type { ObjectManager } from './ob/index.ts'
import type { ProcessManager } from './ps/index.ts'
import type { Console } from './hal/console.ts'

export interface Executive {
  readonly env: Environment
  readonly root: RootTask
  readonly ob: ObjectManager
  readonly ps: ProcessManager
  readonly cm: Registry
  readonly io: IoManager
  readonly cc: CacheManager
  readonly console: Console
  readonly power: PowerManager
}
/** Every NT system service; each component answers some of them. */
export type Services = Handlers<typeof SystemServices, Caller>
