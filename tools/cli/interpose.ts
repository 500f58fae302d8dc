/** `neptune interpose`: what happens to messages of a running system on their way, from outside. */
import { SystemServices } from '#contracts/nt'
import { WdmServices } from '#contracts/wdm'
import type { Passage } from '../../kernel/interposer.ts'
import { callControl } from '../control.ts'
import { UserError } from '../user-error.ts'
import { type RunOption, runningSystem } from './running.ts'
import { table } from './table.ts'

export interface InterposeOptions extends RunOption {
  readonly rate: string
  readonly ms: string
  readonly direction: string
  readonly seed?: string
  readonly messages?: boolean
  readonly off?: string | true
}
interface Rule {
  readonly id: number
  readonly endpoint: string
  readonly from?: string
  readonly action: string
  readonly direction: string
  readonly rate: number
  readonly ms: number
  readonly seed: number
  readonly seen: number
  readonly struck: number
  readonly passages?: readonly Passage[]
}
export async function interpose(
  at: string | undefined,
  action: string | undefined,
  options: InterposeOptions,
): Promise<void> {
  const run = runningSystem(options)
  if (options.off !== undefined) return show(await lift(run, options.off), true)
  if (at === undefined) return show((await callControl(run, 'interposed')) as Rule[], options.messages)
  if (action === undefined)
    throw new UserError(
      'which action? trace, delay, drop, corrupt, duplicate or reorder; for example: interpose storahci.executive delay --ms 50',
    )
  const interposition = {
    at,
    action,
    direction: options.direction,
    rate: numberOf('--rate', options.rate),
    ms: numberOf('--ms', options.ms),
    ...(options.seed !== undefined && { seed: numberOf('--seed', options.seed) }),
  }
  show([(await callControl(run, 'interpose', { interposition })) as Rule])
}
const lift = async (run: string, off: string | true): Promise<Rule[]> =>
  (await callControl(run, 'lift', off === true ? {} : { interposition: numberOf('--off', off) })) as Rule[]

function numberOf(option: string, text: string): number {
  const value = Number(text)
  if (text.trim() !== '' && Number.isFinite(value)) return value
  throw new UserError(`${option} ${text} is not a number`)
}
function show(rules: readonly Rule[], withMessages = false): void {
  if (!rules.length) return print('nothing is interposed')
  print(table(rules.map(rowOf)))
  for (const { id, passages = [] } of withMessages ? rules : [])
    if (passages.length) print(`\n${id}:\n${table(passages.map(lineOf))}`)
}
const rowOf = ({ id, endpoint, from, action, direction, rate, ms, seed, seen, struck }: Rule) => ({
  id,
  endpoint,
  from: from ?? 'everybody',
  action,
  direction,
  rate,
  ms: action === 'delay' ? ms : '',
  seed,
  seen,
  struck,
})
const lineOf = ({ at, from, to, kind, label, bytes, fate }: Passage) => ({
  ms: at.toFixed(1),
  from,
  to,
  kind,
  call: NAMES.get(label) ?? label,
  bytes,
  fate,
})
const NAMES = new Map(
  [SystemServices, WdmServices].flatMap((all) =>
    Object.values(all.methods).map(({ label, name }) => [label, name] as const),
  ),
)
const print = (text: string): void => void process.stdout.write(`${text}\n`)
