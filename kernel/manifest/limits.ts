/**
 * What a process may use up: the limits a manifest gives, the defaults of those it does not, the least that makes sense.
 *
 *   limitsOf(given)          every limit, from what a file says of them
 *   limitsSuffice(manifest)  check.ts's rule: a process with less could not live
 *   arenasMapped(manifest)   check.ts's rule: a process may map the arena it gets
 *
 * docs/guides/limits.md says who enforces each and what happens at it.
 */
import type { Limits, Manifest } from './manifest.ts'
import type { Limit } from './schema.ts'
import { parseSize, sizeText } from './units.ts'

const MIB = 1024 * 1024

/**
 * Heap: V8's of a busy driver, with room. Data: at rest a process has 20 MiB of its own. Lease: the architecture's.
 * Requests: a thousand times what any process of the system has under way (docs/guides/limits.md); the kernel answers as
 * many in a fifth of a second.
 */
const DEFAULT_LIMITS: Limits = {
  heap: 256 * MIB,
  data: 256 * MIB,
  mapped: 256 * MIB,
  leaseMs: 2000,
  capabilities: 4096,
  credits: 64,
  requests: 4096,
}
interface Least {
  readonly value: number
  readonly text?: (value: number) => string
  readonly why: string
}
const LEAST: Readonly<Partial<Record<keyof Limits, Least>>> = {
  heap: { value: 64 * MIB, text: sizeText, why: 'a process needs at least 64 MiB' },
  data: { value: 64 * MIB, text: sizeText, why: 'Node and its libraries need at least 64 MiB' },
  leaseMs: { value: 250, why: 'less than 250 would end a process that only collects garbage' },
  // Those every process is born with (its CSpace, VSpace, TCB, fault endpoint …) and a few of its own.
  capabilities: { value: 16, why: 'a process needs at least 16' },
  credits: { value: 1, why: 'a session needs at least 1' },
  // A runtime that opens its sessions and waits for its interrupts does all of it at once.
  requests: { value: 64, why: 'a process that starts sends 64 at once' },
  // It is stopped for nine tenths of the time, twice its lease at most when it has threads of its own.
  cpuShare: { value: 10, why: 'with less than 10 a process would seem to hang' },
}

export function limitsOf({ heap, data, mapped, ...rest }: Limit = {}): Limits {
  const size = (given: string | number | undefined, otherwise: number) =>
    given === undefined ? otherwise : parseSize(given)
  return {
    ...DEFAULT_LIMITS,
    ...rest,
    heap: size(heap, DEFAULT_LIMITS.heap),
    data: size(data, DEFAULT_LIMITS.data),
    mapped: size(mapped, DEFAULT_LIMITS.mapped),
  }
}

export function limitsSuffice({ file, devices, panel, root, images }: Manifest): string[] {
  const holders = [
    ...devices.map(({ name, limits }) => ({ key: `devices.${name}`, limits })),
    ...(panel ? [{ key: 'panel', limits: panel.limits }] : []),
    { key: 'root', limits: root.limits },
    ...images.map(({ name, limits }) => ({ key: `images.${name}`, limits })),
  ]
  return holders.flatMap(({ key, limits }) =>
    Object.entries(LEAST).flatMap(([name, { value, text = String, why }]) => {
      const limit = limits[name as keyof Limits]
      if (limit === undefined || limit >= value) return []
      return [`${file}: ${key}.limits.${name} is ${text(limit)}, but ${why}; raise it`]
    }),
  )
}

export function arenasMapped({ file, images }: Manifest): string[] {
  return images
    .filter(({ arena, limits: { mapped } }) => arena > mapped)
    .map(
      ({ name, arena, limits: { mapped } }) =>
        `${file}: images.${name}.arena is ${sizeText(arena)}, but images.${name}.limits.mapped is ${sizeText(mapped)}; raise it or make the arena smaller`,
    )
}
