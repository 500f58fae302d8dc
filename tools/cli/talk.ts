/**
 * Commands that talk to a running system through its run directory: ps, caps, kill, trace; and compose, which only reads.
 */
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { composeFile } from '../compose/compose.ts'
import { callControl } from '../control.ts'
import { readManifest } from '../launcher/options.ts'
import { liveRuns } from '../launcher/run-directory.ts'
import { UserError } from '../user-error.ts'
import { paths } from './boot.ts'
import { table } from './table.ts'

interface RunOption {
  readonly run?: string
}
interface ProcessRow {
  readonly name: string
  readonly pid: number
  readonly generation: number
  readonly state: string
  readonly cpuMs: number
  readonly rssKb: number
}

function runningSystem(options: RunOption): string {
  if (options.run !== undefined) {
    const run = path.resolve(options.run)
    if (fs.existsSync(path.join(run, 'control'))) return run
    throw new UserError(`no system is running in ${run}`)
  }
  const [newest] = liveRuns(paths.kernelImage)
  if (newest) return newest
  throw new UserError('no system is running: start one with npx neptune boot')
}

export async function ps(options: RunOption & { json?: boolean }): Promise<void> {
  const found = (await callControl(runningSystem(options), 'ps')) as ProcessRow[]
  const rows = found.map(({ name, pid, generation, state, cpuMs, rssKb }) => ({
    name,
    pid,
    generation,
    state,
    cpuMs,
    rssKb,
  }))
  print(options.json ? JSON.stringify(rows) : table(rows))
}
export async function caps(name: string | undefined, options: RunOption): Promise<void> {
  const found = await callControl(runningSystem(options), 'caps', name === undefined ? {} : { name })
  print(typeof found === 'string' ? found.trimEnd() : table(found as object[]))
}
export async function kill(name: string, signal: string | undefined, options: RunOption): Promise<void> {
  await callControl(runningSystem(options), 'kill', { name, signal: signalName(signal ?? 'SIGKILL') })
}
function signalName(text: string): string {
  const name = text.toUpperCase().startsWith('SIG') ? text.toUpperCase() : `SIG${text.toUpperCase()}`
  if (/^SIG[A-Z0-9]+$/.test(name) && name in SIGNALS) return name
  throw new UserError(`there is no signal ${text}; for example KILL, SEGV, STOP, CONT, TERM`)
}
const SIGNALS: Readonly<Record<string, number>> = os.constants.signals

/** Longer than this the kernel's record would be cut. */
const LONGEST_TRACE_MS = 60_000
export async function trace(options: RunOption & { out: string; ms: string }): Promise<void> {
  const ms = Number(options.ms)
  if (!Number.isInteger(ms) || ms < 1 || ms > LONGEST_TRACE_MS)
    throw new UserError(`--ms ${options.ms} is not a number of milliseconds from 1 to ${LONGEST_TRACE_MS}`)
  const found = await callControl(runningSystem(options), 'trace', { ms }, ms)
  fs.writeFileSync(options.out, typeof found === 'string' ? found : JSON.stringify(found))
  process.stderr.write(`neptune: wrote ${options.out}; open it at ui.perfetto.dev\n`)
}

export function compose(options: { manifest?: string; out?: string }): void {
  const text = composeFile(readManifest(options.manifest ?? paths.manifest))
  if (options.out) fs.writeFileSync(options.out, text)
  else process.stdout.write(text)
}

const print = (text: string) => process.stdout.write(text === '' ? '' : `${text}\n`)
