/** Every attack, as data; the test runs them all in the same way, and nothing here knows how. */
import type { Attack } from '../attack.ts'
import { AUTHORITY } from './authority.ts'
import { FLOODS } from './floods.ts'
import { LIES } from './lies.ts'
import { MALFORMED } from './malformed.ts'
import { MEMORY } from './memory.ts'

export { FLOOD } from './floods.ts'

export const ATTACKS: readonly Attack[] = [...MALFORMED, ...AUTHORITY, ...MEMORY, ...FLOODS, ...LIES]
