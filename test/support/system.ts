/**
 * A real system under test, driven from outside as a script would: `neptune boot` with stdin that is no terminal.
 *
 *   const system = await bootSystem({ disk: `ahci:${image}` })     resolves at the first prompt
 *   await system.enter('dir')                types a line, waits for the prompt, returns what was printed
 *   system.kill('storahci', 'SIGKILL')
 *   await system.shutdown()                  → exit code
 *   await system.expectNothingLeft()
 *
 * Always ended: `endAllSystems` is a root hook of mocha, so a test that fails leaves nothing running.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import type { ProcessInfo } from '../../lib/sel4/api.ts'
import { callControl } from '../../tools/control.ts'
import { endAll, named, startTime, type ProcessId } from '../../tools/processes.ts'
import { makeScratch } from '../../tools/scratch.ts'

export const repository = path.resolve(__dirname, '..', '..')
export const images = path.join(repository, 'dist', 'images')
const CLI = path.join(images, 'cli.js')

export interface SystemOptions {
  /** As --disk takes it. */
  readonly disk?: string
  readonly slowpath?: boolean
  /** Resolve at once, not at the prompt. */
  readonly noWait?: boolean
  readonly patienceMs?: number
}
export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}
/** From start to prompt, and for one command, on a machine that does other things as well. */
const PATIENCE_MS = 90_000
/** The panel types a line only at a prompt: the echo of this remark proves that the line before has ended. */
const mark = (count: number) => ({ line: `rem ${count}`, echo: new RegExp(`>rem ${count}$`, 'm') })

const running = new Set<System>()

export async function bootSystem(options: SystemOptions = {}): Promise<System> {
  const system = new System(options)
  running.add(system)
  if (!options.noWait) await system.waitForPrompt()
  return system
}
/** Ends what a failed test left; call it in afterEach. */
export async function endAllSystems(): Promise<void> {
  for (const system of [...running]) await system.end()
}

/** The screen's width; a longer line is echoed over several rows, each without the blanks at its end. */
const COLUMNS = 80
/** The first row behind the echo of a line typed at a prompt. */
function afterEcho(rows: readonly string[], line: string): number {
  const bare = (text: string) => text.replaceAll(' ', '')
  for (let first = 0; first < rows.length; first++) {
    let last = first + 1
    while (
      last < rows.length &&
      rows[last - 1].length >= COLUMNS - 1 &&
      !bare(rows.slice(first, last).join('')).endsWith(bare(`>${line}`))
    )
      last++
    if (rows[first].includes('>') && bare(rows.slice(first, last).join('')).endsWith(bare(`>${line}`))) return last
  }
  return 0
}

export class System {
  readonly run: string
  readonly launcher: ChildProcess
  readonly ended: Promise<Ended>
  stderr = ''
  private output = ''
  private readonly waiting = new Set<() => void>()
  private over = false
  private marks = 0
  private seen: ProcessId[] = []
  private readonly folder: string
  private readonly patienceMs: number

  constructor({ disk, slowpath, patienceMs = PATIENCE_MS }: SystemOptions) {
    this.folder = makeScratch('system')
    this.run = path.join(this.folder, 'run')
    this.patienceMs = patienceMs
    const args = ['boot', '--run', this.run, ...(disk ? ['--disk', disk] : []), ...(slowpath ? ['--slowpath'] : [])]
    this.launcher = spawn(process.execPath, [CLI, ...args], { stdio: ['pipe', 'pipe', 'pipe'], cwd: this.folder })
    this.launcher.stdin?.on('error', () => {})
    this.launcher.stdout?.on('data', (data) => this.print(String(data)))
    this.launcher.stderr?.on('data', (data) => {
      this.stderr += String(data)
    })
    this.ended = new Promise((resolve) => this.launcher.once('close', (code, signal) => resolve({ code, signal })))
    void this.ended.then(() => {
      this.over = true
      this.wake()
    })
  }
  private print(text: string): void {
    this.output += text
    this.wake()
  }

  private wake(): void {
    for (const wake of [...this.waiting]) wake()
  }

  /** Everything printed so far. */
  screen(): string {
    return this.output
  }
  type(line: string): void {
    this.launcher.stdin?.write(`${line}\n`)
  }
  /** Resolves with everything printed up to the match, from the `from`th character of the output on. */
  async waitFor(pattern: RegExp, from = 0): Promise<string> {
    const limit = Date.now() + this.patienceMs
    for (;;) {
      const match = pattern.exec(this.output.slice(from))
      if (match) return this.output.slice(from, from + match.index + match[0].length)
      if (this.over) throw new Error(`the system ended before it printed ${pattern}:\n${this.report()}`)
      if (Date.now() > limit) throw new Error(`${pattern} was not printed in ${this.patienceMs} ms:\n${this.report()}`)
      await this.change(limit - Date.now())
    }
  }
  /** The end of all it said, for a test that failed. */
  report(): string {
    return `${this.output.slice(-3000)}\n--- stderr\n${this.stderr.slice(-2000)}\n--- logs\n${this.logs()}`
  }
  private logs(): string {
    const folder = path.join(this.run, 'log')
    if (!fs.existsSync(folder)) return ''
    const tails = fs
      .readdirSync(folder)
      .map((name) => [name, fs.readFileSync(path.join(folder, name), 'utf8').slice(-2500)])
    return tails
      .filter(([, text]) => text !== '')
      .map(([name, text]) => `${name}: ${text}`)
      .join('\n')
  }
  private change(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer)
        this.waiting.delete(wake)
        resolve()
      }
      const timer = setTimeout(wake, Math.max(1, milliseconds))
      this.waiting.add(wake)
    })
  }
  async waitForPrompt(): Promise<void> {
    const from = this.output.length
    const { line, echo } = mark(++this.marks)
    this.type(line)
    await this.waitFor(echo, from)
    this.seen = [...this.seen, ...this.processes()]
  }
  /** Types a line and returns what it printed: the rows between its echo and the next prompt. */
  async enter(line: string): Promise<string> {
    const from = this.output.length
    const end = mark(++this.marks)
    this.type(line)
    this.type(end.line)
    const text = await this.waitFor(end.echo, from)
    const rows = text.split('\n')
    return rows.slice(afterEcho(rows, line), -1).join('\n')
  }

  async ps(): Promise<ProcessInfo[]> {
    return (await callControl(this.run, 'ps')) as ProcessInfo[]
  }
  async kill(name: string, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    await callControl(this.run, 'kill', { name, signal })
  }
  /** Every process the kernel recorded as living now. */
  processes(): ProcessId[] {
    const read = (file: string) => {
      try {
        return JSON.parse(fs.readFileSync(path.join(this.run, file), 'utf8')) as unknown
      } catch {
        return []
      }
    }
    return [...(read('pids.json') as ProcessId[]), read('kernel.json') as ProcessId].filter(
      ({ pid }) => pid !== undefined,
    )
  }

  /** Sentences about the kernel that are not true; none, too, when there is no kernel to answer. */
  async broken(): Promise<readonly string[]> {
    const found = (await callControl(this.run, 'check').catch(() => undefined)) as { broken: string[] } | undefined
    return found?.broken ?? []
  }
  /** Ends stdin, so that the panel types `shutdown` after the last line. The kernel must be sound before. */
  async shutdown(): Promise<Ended> {
    const broken = await this.broken()
    if (broken.length > 0) throw new Error(broken.join('\n'))
    this.seen = [...this.seen, ...this.processes()]
    this.launcher.stdin?.end()
    const late = new Promise<never>((_, reject) =>
      setTimeout(
        () => reject(new Error(`no end in ${this.patienceMs} ms:\n${this.report()}`)),
        this.patienceMs,
      ).unref(),
    )
    return Promise.race([this.ended, late])
  }
  /** No process, no run directory; call it after the system ended, however it did. */
  async expectNothingLeft(): Promise<void> {
    await this.ended
    const limit = Date.now() + 10_000
    const left = () => [...this.seen.filter((id) => startTime(id.pid) === id.startTime), ...named(this.run, images)]
    while ((left().length > 0 || fs.existsSync(this.run)) && Date.now() < limit) await this.change(20)
    if (left().length > 0)
      throw new Error(
        `still running: ${left()
          .map(({ pid }) => pid)
          .join(' ')}`,
      )
    if (fs.existsSync(this.run)) throw new Error(`still there: ${this.run}`)
  }
  async end(): Promise<void> {
    running.delete(this)
    const all = [...this.seen, ...this.processes()]
    if (!this.over) this.launcher.kill('SIGKILL')
    await this.ended
    await endAll([...all, ...named(this.run, images)], 5000)
    fs.rmSync(this.folder, { recursive: true, force: true })
  }
}
