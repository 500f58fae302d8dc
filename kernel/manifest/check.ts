/**
 * What must hold between the parts of a manifest. One rule, one function; they are in rules/, by what they are about.
 *
 *   checkManifest(manifest)   throws ManifestError with every sentence of every rule
 */
import { arenasMapped, limitsSuffice } from './limits.ts'
import { type Manifest, ManifestError } from './manifest.ts'
import { CABLES } from './rules/cables.ts'
import { CLAIMS } from './rules/claims.ts'
import { DEVICES } from './rules/devices.ts'
import { MEMORY } from './rules/memory.ts'
import { imageExists, NAMES } from './rules/names.ts'
import type { Rule } from './rules/rule.ts'

const RULES: readonly Rule[] = [...NAMES, ...MEMORY, limitsSuffice, arenasMapped, ...DEVICES, ...CLAIMS, ...CABLES]

export function checkManifest(manifest: Manifest): void {
  // Without an image's description every rule about resources would complain of its absence too.
  const missing = imageExists(manifest)
  const problems = missing.length ? missing : RULES.flatMap((rule) => rule(manifest))
  if (problems.length) throw new ManifestError(problems)
}
