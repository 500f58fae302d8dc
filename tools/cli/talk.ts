/**
 * Commands that talk to a running system through its run directory: ps, caps, kill, trace, check; and compose, which only reads.
 */
import fs from 'node:fs'
import os from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Method } from '#contracts/interface'
import { WdmServices } from '#contracts/wdm'
import { composeFile } from '../compose/compose.ts'
import { callControl } from '../control.ts'
import { readManifest } from '../launcher/options.ts'
import { errorCode, UserError } from '../user-error.ts'
import { paths } from './boot.ts'
import {
  GROUPS,
  groupOf,
  kernelOf,
  kindsOf,
  type Process,
  processesOf,
  type RunOption,
  runningSystem,
} from './running.ts'
import { table } from './table.ts'
import { perfetto, requests, type Seen, tree } from './trace.ts'

/** What every `ps --json` has, and nothing else. */
const factsOf = ({ name, pid, generation, state, cpuMs, rssKb }: Process) => ({
  name,
  pid,
  generation,
  state,
  cpuMs,
  rssKb,
})
export async function ps(options: RunOption & { json?: boolean }): Promise<void> {
  const { processes, kinds } = await processesOf(runningSystem(options))
  if (options.json) return print(JSON.stringify(processes.map(factsOf)))
  print(table(processes.map((one) => ({ ...factsOf(one), part: groupOf(one, kinds), 'waits for': waitOf(one) }))))
}
/** Calls whose answer is the next piece of work: who waits for nothing else is idle. */
const PARKS = new Set(
  Object.values(WdmServices.methods as Record<string, Method>).flatMap(({ name, spec }) => (spec.parks ? name : [])),
)
function waitOf({ waits, state }: Process): string {
  if (!waits) return state === 'running' ? '(does not answer)' : ''
  const wait = waits.find(({ call }) => !PARKS.has(call)) ?? waits[0]
  if (!wait) return ''
  return PARKS.has(wait.call) ? 'work' : `${wait.for.join(' ')} ${wait.call}`.trim()
}

interface Cap {
  readonly slot: number
  readonly type: string
  readonly object: string
  readonly rights: readonly string[]
  readonly badge: number
  readonly origin: string
  readonly name: string | null
}
export async function caps(name: string | undefined, options: RunOption): Promise<void> {
  const run = runningSystem(options)
  if (name !== undefined) await find(run, name)
  const found = (await callControl(run, 'caps', name === undefined ? {} : { name })) as {
    process: string
    caps: Cap[]
  }[]
  const rows = found.flatMap(({ process, caps: held }) =>
    held.map((cap) => ({ ...(name === undefined && { process }), ...rowOf(cap) })),
  )
  print(table(rows))
}
const RIGHTS = 4
const rowOf = ({ slot, type, object, rights, badge, name, origin }: Cap) => ({
  slot,
  type,
  object,
  rights: rights.length === RIGHTS ? 'all' : rights.join(' '),
  badge,
  name: name ?? '',
  from: origin,
})

/** The one of this name; else a sentence that names all. */
async function find(run: string, name: string): Promise<Process> {
  const { processes } = await processesOf(run)
  const found = processes.find((process) => process.name === name)
  if (found) return found
  throw new UserError(`there is no process ${name}; there are: ${processes.map((process) => process.name).join(' ')}`)
}
export async function kill(name: string, signal: string | undefined, options: RunOption): Promise<void> {
  const signalled = signalName(signal ?? 'SIGKILL')
  const run = runningSystem(options)
  const victim = await find(run, name)
  const { pid, generation } = victim
  const who = `${name} (pid ${pid}, generation ${generation})`
  if (victim.kind === 'kernel') process.kill(pid, signalled)
  else await callControl(run, 'kill', { name, signal: signalled })
  const then = UNHEARD.has(signalled)
    ? 'it lives on'
    : await aftermath(run, victim, signalled === 'SIGSTOP' ? STOPPED_MS : AFTERMATH_MS)
  print(`${who} got ${signalled}: ${then}`)
}
/** A restart takes some hundred milliseconds. */
const AFTERMATH_MS = 3000
/** Who is only stopped is ended when its lease is over, which is 2 s when launch.json says nothing. */
const STOPPED_MS = 8000
const LOOK_MS = 20
/** Of these a process takes no notice, or goes on. */
const UNHEARD = new Set(['SIGCONT', 'SIGINT', 'SIGWINCH', 'SIGURG', 'SIGCHLD'])
async function aftermath(run: string, victim: Process, patienceMs: number): Promise<string> {
  const begun = performance.now()
  let now: Process | undefined = victim
  while (performance.now() - begun < patienceMs) {
    await sleep(LOOK_MS)
    const all = await callControl(run, 'ps').catch(() => undefined)
    if (!all || !kernelOf(run)) return 'the system has ended'
    now = (all as Process[]).find(({ name }) => name === victim.name)
    if (now && now.pid !== victim.pid && now.state === 'running')
      return `back as pid ${now.pid}, generation ${now.generation}, after ${Math.round(performance.now() - begun)} ms`
  }
  const seconds = patienceMs / 1000
  if (!now) return `it is gone and has not come back in ${seconds} s`
  return now.pid === victim.pid
    ? `it is ${now.state} after ${seconds} s`
    : `pid ${now.pid} is ${now.state} after ${seconds} s`
}
/** 'KILL', 'SIGKILL' or '9'. */
function signalName(text: string): NodeJS.Signals {
  const wanted = text.toUpperCase()
  const names = Object.entries(os.constants.signals)
  const found = names.find(([name, number]) => [name, name.slice('SIG'.length), String(number)].includes(wanted))
  if (found) return found[0] as NodeJS.Signals
  throw new UserError(`there is no signal ${text}; for example KILL, SEGV, STOP, CONT, TERM`)
}

/** Longer than this the processes' records would be cut. */
const LONGEST_TRACE_MS = 60_000
/** From the end of the watching until every process has told. */
const COLLECTING_MS = 30_000
export async function trace(options: RunOption & { out: string; ms: string }): Promise<void> {
  const ms = Number(options.ms)
  if (!Number.isInteger(ms) || ms < 1 || ms > LONGEST_TRACE_MS)
    throw new UserError(`--ms ${options.ms} is not a number of milliseconds from 1 to ${LONGEST_TRACE_MS}`)
  const run = runningSystem(options)
  const kinds = await kindsOf(run)
  const found = (await callControl(run, 'trace', { ms }, ms + COLLECTING_MS)) as (Seen & Process)[]
  const order = (one: Process) => GROUPS.indexOf(groupOf(one, kinds))
  const seen = found.sort((a, b) => order(a) - order(b))
  writeOut(options.out, JSON.stringify(perfetto(seen)))
  const [widest] = requests(seen)
  if (widest) print(tree(widest))
  for (const sentence of remarks(seen, options.out)) process.stderr.write(`neptune: ${sentence}\n`)
}
function remarks(seen: readonly Seen[], out: string): string[] {
  const count = seen.reduce((sum, { spans }) => sum + spans.length, 0)
  const silent = seen.filter(({ answered }) => !answered).map(({ name }) => name)
  const full = seen.filter(({ lost }) => lost > 0).map(({ name, lost }) => `${name} (${lost})`)
  return [
    ...(silent.length > 0 ? [`not in it, because they did not answer: ${silent.join(' ')}`] : []),
    ...(full.length > 0 ? [`spans for which there was no room: ${full.join(' ')}; a shorter --ms shows all`] : []),
    `wrote ${count} spans to ${out}; open it at ui.perfetto.dev`,
  ]
}

/** Burials and closings end in some tens of milliseconds; a busy machine takes longer. */
const REST_MS = 2000
const LOOK_AGAIN_MS = 50
/** What holds only at rest is judged when it rests; in a system that never does, the rest is. */
export async function check(options: RunOption): Promise<number> {
  const run = runningSystem(options)
  const ask = async () => (await callControl(run, 'check')) as { quiet: boolean; broken: string[] }
  let found = await ask()
  for (let waited = 0; !found.quiet && !found.broken.length && waited < REST_MS; waited += LOOK_AGAIN_MS) {
    await sleep(LOOK_AGAIN_MS)
    found = await ask()
  }
  const { quiet, broken } = found
  print(
    broken.length ? broken.join('\n') : `every invariant holds${quiet ? '' : ' (never at rest: some were not judged)'}`,
  )
  return broken.length ? 1 : 0
}

export function compose(options: { manifest?: string; out?: string }): void {
  const text = composeFile(readManifest(options.manifest ?? paths.manifest))
  if (options.out) writeOut(options.out, text)
  else process.stdout.write(text)
}

function writeOut(file: string, text: string): void {
  try {
    fs.writeFileSync(file, text)
  } catch (error) {
    throw new UserError(`${file} cannot be written (${errorCode(error)}): choose another file with --out`)
  }
}
const print = (text: string): void => void process.stdout.write(text === '' ? '' : `${text}\n`)
