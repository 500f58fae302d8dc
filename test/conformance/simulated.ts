/** The small system in the simulator: the manifest it wants. (Real images hold none of this: see system.ts.) */
import { manifestFrom } from '../support/manifest.ts'
import { CHIP, HELPER, LAUNCH } from './system.ts'

export const described = (slowpath = false) =>
  manifestFrom({ ...LAUNCH, slowpath }, (kind) => (kind === 'device' ? CHIP : HELPER))
