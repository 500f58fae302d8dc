/**
 * A real system for a benchmark: booted with a fresh disk or a manifest of the benchmark's own, typed at, always ended.
 *
 *   bootForBench(options)   resolves at the prompt
 *
 * Drives the same command that a person would, from outside.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { callControl } from '../../tools/control.ts'
import { makeDiskImage, welcomeTree } from '../../tools/disk/image.ts'
import { makeScratch } from '../../tools/scratch.ts'

/** A slow machine under load boots in several seconds; longer is a failure. */
const PATIENCE_MS = 120_000

export interface BenchSystem {
  readonly bootMs: number
  /** Types a line; resolves to the rows it printed, once the next line of the marker is seen. */
  type(line: string, until: RegExp): Promise<string>
  ps(): Promise<readonly unknown[]>
  /** All of it: what the kernel lists, the kernel, the launcher. */
  processes(): Promise<readonly { readonly name: string; readonly pid: number }[]>
  /** The run directory. */
  readonly run: string
  end(): Promise<void>
}
export async function bootForBench(): Promise<BenchSystem> {
  const folder = makeScratch('bench')
  const image = path.join(folder, 'disk.img')
  makeDiskImage(image, { tree: welcomeTree() })
  const run = makeScratch('bench', memoryRoot())
  const prompt = appearance(run, 'prompt')
  const began = performance.now()
  const child = spawn(
    process.execPath,
    [path.join(__dirname, 'cli.js'), 'boot', '--run', run, '--disk', `ahci:${image}`],
    { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, NODE_EXTRA_CA_CERTS: undefined } },
  )
  const output = new Output(child)
  try {
    await Promise.race([prompt, output.until(NEVER, PATIENCE_MS)])
  } catch (error) {
    await end(child, [folder, run])
    throw error
  }
  const bootMs = performance.now() - began
  const ps = async () => (await callControl(run, 'ps')) as unknown[]
  return {
    bootMs,
    type: (line, until) => {
      const answer = output.until(until, PATIENCE_MS)
      child.stdin?.write(`${line}\n`)
      return answer
    },
    ps,
    processes: async () => [
      { name: 'launcher', pid: child.pid as number },
      { name: 'kernel', pid: (JSON.parse(fs.readFileSync(path.join(run, 'kernel.json'), 'utf8')) as Process).pid },
      ...((await ps()) as Process[]).map(({ name, pid }) => ({ name, pid })),
    ],
    run,
    end: () => end(child, [folder, run]),
  }
}
/** Of a file in a folder that is there. */
function appearance(folder: string, file: string): Promise<void> {
  return new Promise((resolve) => {
    const watcher = fs.watch(folder, { persistent: false }, (_event, name) => {
      if (name !== file) return
      watcher.close()
      resolve()
    })
  })
}
/** What no system prints: waiting for it ends when the system does. */
const NEVER = /(?!)/
interface Process {
  readonly name: string
  readonly pid: number
}
/** Where the launcher would make a run directory: banks are memory there, not files of a disk. */
function memoryRoot(): string {
  try {
    fs.accessSync('/dev/shm', fs.constants.W_OK)
    return '/dev/shm'
  } catch {
    return os.tmpdir()
  }
}
async function end(child: ChildProcess, folders: readonly string[]): Promise<void> {
  const gone = new Promise((resolve) =>
    child.exitCode !== null || child.signalCode !== null ? resolve(0) : child.once('exit', resolve),
  )
  child.kill('SIGTERM')
  child.stdin?.end()
  await gone
  for (const folder of folders) fs.rmSync(folder, { recursive: true, force: true })
}

/** What the system has printed, from the last match on. */
class Output {
  private text = ''
  private errors = ''
  private over = false
  private wake = () => {}

  constructor(child: ChildProcess) {
    child.stdout?.on('data', (data) => this.add(String(data)))
    child.stderr?.on('data', (data) => {
      this.errors += String(data)
    })
    child.once('exit', () => {
      this.over = true
      this.wake()
    })
  }
  private add(text: string): void {
    this.text += text
    this.wake()
  }
  async until(pattern: RegExp, patienceMs: number): Promise<string> {
    const limit = Date.now() + patienceMs
    for (;;) {
      const match = pattern.exec(this.text)
      if (match) {
        this.text = this.text.slice(match.index + match[0].length)
        return match[0]
      }
      if (this.over || Date.now() > limit)
        throw new Error(`the system never printed ${pattern}:\n${this.text}\n${this.errors}`)
      await this.change(limit - Date.now())
    }
  }
  private change(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, Math.max(1, milliseconds))
      this.wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}
