/**
 * Interposing while the system runs: a rule comes or goes, and the sessions it concerns are opened anew by the other path.
 *
 *   interpose(kernel, request)   `at` names the endpoint: PROCESS.CAPABILITY for what that process sends, CAPABILITY for all
 *   lift(kernel, id)             ends one; undefined: all
 *   describe(rule, passages)     for people and tools
 */
import { seededRandom } from '#rtl'
import { Endpoint } from './endpoint.ts'
import { ACTIONS, type Action, DIRECTIONS, type Rule, type RuleSpec } from './interposer.ts'
import type { Kernel } from './kernel.ts'

export interface InterposeRequest {
  readonly at?: unknown
  readonly action?: unknown
  readonly direction?: unknown
  readonly rate?: unknown
  readonly ms?: unknown
  readonly seed?: unknown
}
const MS_MAX = 60_000
const DEFAULT_MS = 20

export async function interpose(kernel: Kernel, request: InterposeRequest): Promise<object> {
  const spec: RuleSpec = {
    ...endpointAt(kernel, request.at),
    action: oneOf<Action>('action', ACTIONS, request.action),
    direction: oneOf('direction', DIRECTIONS, request.direction ?? 'request'),
    rate: number('rate', request.rate ?? 1, 0, 1),
    ms: number('ms', request.ms ?? DEFAULT_MS, 0, MS_MAX),
    seed: number('seed', request.seed ?? seedFrom(kernel), 0, 0xffffffff),
  }
  const rule = kernel.interposer.add(spec)
  await reroute(kernel, spec)
  return describe(rule, false)
}
export async function lift(kernel: Kernel, id: unknown): Promise<object[]> {
  const ids = id === undefined ? kernel.interposer.all().map((rule) => rule.id) : [number('id', id, 1, 0xffffffff)]
  const ended = ids.map((one) => {
    const rule = kernel.interposer.remove(one)
    if (!rule) throw new Error(`no interposition ${one}`)
    return rule
  })
  for (const rule of ended) await reroute(kernel, rule)
  return ended.map((rule) => describe(rule, true))
}
/** Every session it concerns goes by the way that is right from now on, nothing lost and nothing overtaken. */
async function reroute({ sessions, interposer }: Kernel, { endpoint, from }: RuleSpec): Promise<void> {
  await endpoint.lent?.recall()
  await endpoint.recalling
  await sessions.move(sessions.on(endpoint).filter(({ sender }) => !from || sender.name === from))
  if (!interposer.isOn(endpoint)) interposer.flushAll(endpoint)
}
export const describe = ({ random: _random, endpoint, passages, ...rule }: Rule, withPassages: boolean): object => ({
  ...rule,
  endpoint: endpoint.describe(),
  ...(withPassages && { passages }),
})

function endpointAt(kernel: Kernel, at: unknown): Pick<RuleSpec, 'endpoint' | 'from'> {
  if (typeof at !== 'string') throw new Error('which endpoint? PROCESS.CAPABILITY, as neptune caps shows them')
  const dot = at.lastIndexOf('.')
  const [from, name] = dot < 0 ? [undefined, at] : [at.slice(0, dot), at.slice(dot + 1)]
  for (const process of kernel.processes.values()) {
    if (from !== undefined && process.name !== from) continue
    const object = process.init.cspace.at(process.names[name])?.object
    if (object instanceof Endpoint) return { endpoint: object, ...(from !== undefined && { from }) }
  }
  throw new Error(`no endpoint ${at}: PROCESS.CAPABILITY, as neptune caps shows them, such as storahci.executive`)
}
function oneOf<T extends string>(what: string, known: readonly T[], value: unknown): T {
  if (known.includes(value as T)) return value as T
  throw new Error(`${what} is ${String(value)}; it may be ${known.join(', ')}`)
}
function number(what: string, value: unknown, least: number, most: number): number {
  if (typeof value === 'number' && value >= least && value <= most) return value
  throw new Error(`${what} is ${String(value)}; it may be from ${least} to ${most}`)
}
/** Shown with the rule, so that the run can be repeated. */
const seedFrom = ({ host }: Kernel): number => seededRandom(Number.parseInt(host.secret().slice(0, 8), 16)).next()
