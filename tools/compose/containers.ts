/**
 * Which containers a manifest needs: one for each process it names, each with a user of its own, and a few spare ones.
 *
 *   containersOf(manifest)   in the order of docker-compose.yml, which numbers the users
 *
 * The kernel's own container is not among them: its user is the first.
 */
import type { Container } from '../../kernel/agent-spawner.ts'
import type { Manifest } from '../launcher/options.ts'

/** The group that may enter the run directory, and the kernel's user; the containers' users are counted from there. */
export const GROUP = 10_000
/** Programs at the same time besides those the manifest names, and processes whose container an operator killed. */
const SPARES = 3

export function containersOf(manifest: Manifest): Container[] {
  const root = (manifest.root as { image?: string } | undefined)?.image ?? 'executive'
  // These hold what only their container has: the terminal, a disk's file; and nothing outlives the root task.
  const pinned = [...Object.keys(manifest.devices ?? {}), ...(manifest.panel ? ['panel'] : []), root]
  const own = Object.keys((manifest.images as object) ?? {}).filter((name) => !pinned.includes(name))
  const spares = Array.from({ length: SPARES }, (_, i) => `spare-${i + 1}`)
  return [
    ...pinned.map((name) => ({ name, role: 'pinned' as const })),
    ...own.map((name) => ({ name, role: 'own' as const })),
    ...spares.map((name) => ({ name, role: 'spare' as const })),
  ].map((container, i) => ({ ...container, user: GROUP + 1 + i }))
}
