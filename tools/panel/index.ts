/**
 * The front panel: keys go in only as scancodes at the keyboard controller, the screen comes only from video memory.
 *
 * A terminal: raw mode, colours, see terminal.ts. Anything else: lines to type, rows to print, see script.ts. It holds
 * two cables and nothing else: it can press keys and look.
 *
 * config: { control?: the control socket's path, launcher?: its pid, cables?: { keyboard, monitor } their names }
 */
import fs from 'node:fs'
import path from 'node:path'
import type { Environment, Main } from '#sel4/api'
import { callControl } from '../control.ts'
import { Monitor } from './monitor.ts'
import { isAtPrompt } from './prompt.ts'
import { ALL_TYPED, LATE, runScript } from './script.ts'
import { runTerminal } from './terminal.ts'
import { Typist } from './typist.ts'

interface Config {
  readonly control?: string
  readonly launcher?: number
  readonly cables?: { readonly keyboard?: string; readonly monitor?: string }
}

export const main: Main = async (env) => {
  const config = env.config as Config
  const monitor = new Monitor(env, capability(env, config.cables?.monitor ?? 'monitor'))
  const typist = new Typist(env, capability(env, config.cables?.keyboard ?? 'keyboard'))
  announcePrompt(config, monitor)
  const say = (sentence: string) => process.stderr.write(`neptune: ${sentence}\n`)
  // The machine is switched off: what is on the screen is printed, the terminal put back.
  process.removeAllListeners('SIGTERM')
  process.on('SIGTERM', () => void monitor.stop())
  if (process.stdin.isTTY && process.stdout.isTTY) {
    const stop = (now: boolean) => askToStop(config, now, say)
    await runTerminal({ monitor, typist, input: process.stdin, output: process.stdout, stop })
  } else await script(config, monitor, typist, say)
  env.exit(0)
}
function capability(env: Environment, name: string): number {
  const found = env.caps[name]
  if (found === undefined) throw new Error(`the manifest gives the front panel no cable named ${name}`)
  return found
}

/** The file `prompt` beside the control socket: who starts systems from outside waits for it. */
function announcePrompt({ control }: Config, monitor: Monitor): void {
  if (!control) return
  const stop = monitor.onFrame(({ screen }) => {
    if (!isAtPrompt(screen)) return
    stop()
    fs.writeFileSync(path.join(path.dirname(control), 'prompt'), '', { mode: 0o600 })
  })
}

async function script(config: Config, monitor: Monitor, typist: Typist, say: (s: string) => void) {
  const printer = printerTo(1)
  const typed = await runScript({ monitor, typist, input: process.stdin, print: printer.print, say })
  const outcome = typed === ALL_TYPED ? (printer.failure() ?? typed) : typed
  if (outcome === ALL_TYPED) return
  // The launcher's exit code must tell; the kernel cannot know what was not typed, or not printed.
  if (config.control) fs.writeFileSync(path.join(path.dirname(config.control), 'unfinished'), `${outcome}\n`)
  if (outcome.startsWith(LATE)) askToStop(config, false, say)
  await monitor.ended
}
interface Printer {
  print(line: string): void
  /** A sentence, when a line could not be printed. */
  failure(): string | undefined
}
/** A pipe whose reader is slow says EAGAIN, then it is tried again; one whose reader has gone wants nothing any more. */
function printerTo(descriptor: number): Printer {
  let failure: string | undefined
  const printed = (line: string): boolean => {
    try {
      fs.writeSync(descriptor, `${line}\n`)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'EAGAIN') return false
      if (code !== 'EPIPE') failure ??= `stdout takes no more (${code}): some of the screen's text is missing there`
    }
    return true
  }
  const print = (line: string) => {
    while (!printed(line)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
  }
  return { print, failure: () => failure }
}

function askToStop(config: Config, now: boolean, say: (sentence: string) => void): void {
  if (now && config.launcher) process.kill(config.launcher, 'SIGINT')
  else if (config.control)
    callControl(path.dirname(config.control), 'shutdown').catch((error: Error) =>
      say(`the stop failed: ${error.message}`),
    )
}
