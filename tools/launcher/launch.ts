/**
 * The launcher: starts the kernel in a run directory of its own, outlives it, and leaves nothing behind.
 *
 *   launch(plan)   runs one system to its end; resolves to the exit code
 *
 *   launcher ──spawns──► kernel (stdin, stdout: the front panel's; fd 3: closes when the launcher is gone)
 *            ◄──exit───  then: recorded pids killed, terminal modes restored, run directory removed
 *
 * A kernel that somebody stopped (SIGSTOP) is ended: everyone else would wait for it for ever. SIGINT, SIGTERM and SIGHUP ask for an orderly stop, a second one (or fifteen seconds) ends it. Decides nothing else.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import type { Container } from '../../kernel/agent-spawner.ts'
import { callControl } from '../control.ts'
import { endAll, isStopped, named, type ProcessId, startTime } from '../processes.ts'
import { UserError } from '../user-error.ts'
import { bankBytes, type Disk, effectiveManifest, openDisk, openNamed, readManifest } from './options.ts'
import { makeRunDirectory, type RunDirectory } from './run-directory.ts'
import { saveTerminal } from './terminal-modes.ts'
import { startWatchdog } from './watchdog.ts'

export interface LaunchPlan {
  readonly kernelImage: string
  readonly manifest: string
  readonly run?: string
  /** Called with the run directory: a disk made for this run lives in it. */
  readonly disk?: (run: string) => Promise<Disk>
  readonly slowpath?: boolean
  /** Where the panel's keys come from: this process's stdin, or a file. */
  readonly script?: string
  /** Each process in a container of its own, where an agent waits; the run directory is then theirs too. */
  readonly containers?: readonly Container[]
  readonly say: (sentence: string) => void
}
/** From the request to stop to SIGKILL; file systems flush well within it. */
const STOP_PATIENCE_MS = 15_000
const REAP_PATIENCE_MS = 5_000
const LOOK_MS = 500
/** As many looks as the kernel's own lease gives a process that hangs. */
const STOPPED_LOOKS = 5
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

export async function launch(plan: LaunchPlan): Promise<number> {
  if (!fs.existsSync(plan.kernelImage)) throw new UserError('the kernel is not built: run npm run build', 1)
  const manifest = readManifest(plan.manifest)
  const script = plan.script === undefined ? undefined : openNamed('script', plan.script)
  const run = makeRunDirectory(plan.run, bankBytes(manifest), plan.containers !== undefined)
  try {
    const disk = await plan.disk?.(run.path)
    if (disk) openDisk(disk)
    const panel = plan.containers ? furnishShared(run.path, plan.containers) : furnish(run.path)
    const effective = effectiveManifest(manifest, { disk, slowpath: plan.slowpath, panel })
    fs.writeFileSync(path.join(run.path, 'launch.json'), `${JSON.stringify(effective, null, 2)}\n`, { mode: 0o600 })
    return await runKernel(plan, run, script ?? 'inherit')
  } finally {
    run.remove()
  }
}
/** Makes what processes will find; returns where the panel asks for a stop. */
function furnish(run: string): object {
  for (const each of ['s', 'banks', 'log']) fs.mkdirSync(path.join(run, each), { mode: 0o700 })
  return { control: path.join(run, 'control'), launcher: process.pid }
}
/**
 * The same when processes are other users of our group. 1730: they make entries there, cannot list it, and cannot touch
 * each other's; 710: they open what they were told of.
 */
const SHARED = { s: 0o1730, log: 0o1730, panel: 0o1730, banks: 0o710, agents: 0o710 }
function furnishShared(run: string, containers: readonly Container[]): object {
  for (const [name, mode] of Object.entries(SHARED)) {
    fs.mkdirSync(path.join(run, name))
    // Not in mkdir: the umask would take from it.
    fs.chmodSync(path.join(run, name), mode)
  }
  fs.writeFileSync(path.join(run, 'agents.json'), JSON.stringify(containers), { mode: 0o600 })
  return { control: path.join(run, 'panel', 'control') }
}
async function runKernel(plan: LaunchPlan, run: RunDirectory, stdin: number | 'inherit'): Promise<number> {
  const terminal = saveTerminal()
  const kernel = spawn(process.execPath, [plan.kernelImage, run.path], {
    stdio: [stdin, 'inherit', 'inherit', 'pipe'],
    // A session of its own: the terminal's Ctrl-C must reach the launcher alone.
    detached: true,
    // Nobody in there speaks TLS, and parsing a user's certificates takes as long as all else in a start of Node.
    env: { ...process.env, NODE_EXTRA_CA_CERTS: undefined },
  })
  const ended = endOf(kernel)
  const id = { pid: kernel.pid ?? 0, startTime: startTime(kernel.pid ?? 0) ?? -1 }
  const watchdog = startWatchdog(run.path, id)
  const signals = stopOnSignals(kernel, run.path, plan.say)
  const watch = endWhenStopped(kernel, plan.say)
  const end = await ended
  clearInterval(watch)
  signals.dismiss()
  await reap(run.path, plan)
  terminal?.restore()
  await watchdog.dismiss()
  const unfinished = readUnfinished(run.path)
  if (unfinished) plan.say(unfinished)
  return exitCode(end, signals.stopped(), plan.say) || (unfinished ? 1 : 0)
}

/** The front panel leaves a sentence when it could not type every line of its script. */
function readUnfinished(run: string): string | undefined {
  const file = ['unfinished', 'panel/unfinished']
    .map((name) => path.join(run, name))
    .find((name) => fs.existsSync(name))
  return file && fs.readFileSync(file, 'utf8').trim()
}

interface End {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly error?: Error
}
function endOf(kernel: ChildProcess): Promise<End> {
  // Held open, never written: the kernel reads its end and sees it close.
  kernel.stdio[3]?.on('error', () => {})
  return new Promise((resolve) => {
    kernel.once('error', (error) => resolve({ code: null, signal: null, error }))
    kernel.once('exit', (code, signal) => resolve({ code, signal }))
  })
}
/** 128 + the signal's number is how shells tell; the system was made to stop without a chance to end in order. */
const KILLED = 137
function exitCode(end: End, stopped: boolean, say: LaunchPlan['say']): number {
  if (end.code !== null) return end.code
  if (end.error) say(`the kernel could not be started: ${end.error.message}`)
  else if (!stopped) say(`the kernel was ended by ${end.signal}; everything it had started was ended with it`)
  return KILLED
}

function stopOnSignals(kernel: ChildProcess, run: string, say: LaunchPlan['say']) {
  let asked = false
  let timer: NodeJS.Timeout | undefined
  const onSignal = () => {
    if (asked) return void kernel.kill('SIGKILL')
    asked = true
    timer = setTimeout(() => {
      say('the system did not stop in time and is ended now')
      kernel.kill('SIGKILL')
    }, STOP_PATIENCE_MS)
    // A kernel that is not far enough to be asked is not far enough to have something to lose.
    callControl(run, 'shutdown').catch(() => kernel.kill('SIGTERM'))
  }
  for (const signal of SIGNALS) process.on(signal, onSignal)
  const dismiss = () => {
    clearTimeout(timer)
    for (const signal of SIGNALS) process.removeListener(signal, onSignal)
  }
  return { dismiss, stopped: () => asked }
}

/** Counted in looks and not in time: a launcher that was stopped with its kernel blames nobody. */
function endWhenStopped(kernel: ChildProcess, say: LaunchPlan['say']): NodeJS.Timeout {
  let looks = 0
  return setInterval(() => {
    looks = isStopped(kernel.pid ?? 0) ? looks + 1 : 0
    if (looks !== STOPPED_LOOKS) return
    say('somebody stopped the kernel (SIGSTOP), so that nothing could go on; the system is ended now')
    kernel.kill('SIGKILL')
  }, LOOK_MS)
}

/** Ends what the kernel left: the pids it recorded, and any process whose command line names the run directory. */
async function reap(run: string, plan: LaunchPlan): Promise<void> {
  const images = path.dirname(plan.kernelImage)
  const left = await endAll(
    [...recorded(run), ...named(run, images)].filter(({ pid }) => pid !== process.pid),
    REAP_PATIENCE_MS,
  )
  if (left.length > 0) plan.say(`these processes would not end: ${left.map(({ pid }) => pid).join(' ')}`)
}
export function recorded(run: string): ProcessId[] {
  try {
    const value: unknown = JSON.parse(fs.readFileSync(path.join(run, 'pids.json'), 'utf8'))
    return (Array.isArray(value) ? value : Object.values(value as object)).filter(isProcessId)
  } catch {
    return []
  }
}
const isProcessId = (value: unknown): value is ProcessId => {
  const { pid, startTime: began } = (value ?? {}) as Partial<ProcessId>
  return Number.isInteger(pid) && Number.isInteger(began) && (pid as number) > 1
}
