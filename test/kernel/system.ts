/**
 * A small system of real processes for kernel tests: images from source text, a run directory, a kernel, its control socket.
 *
 *   const system = await System.start({ images: { name: source }, launch: {…}, descriptions: { path: json } })
 *   await system.until('executive', 'ready')     a line of that process's log, with its fields
 *   await system.control({ op: 'ps' })
 *   await system.stop()                          kills what is left; the run directory goes
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import { dirname, join } from 'node:path'
import { build } from 'esbuild'
import { makeScratch } from '../../tools/scratch.ts'

const ROOT = join(__dirname, '..', '..')
const EXTERNAL = ['zeromq', 'koffi', 'msgpackr-extract', 'esbuild']
/** A busy machine starts four processes in this time. */
const PATIENCE_MS = 8_000

export interface SystemOptions {
  readonly images: Readonly<Record<string, string>>
  readonly descriptions: Readonly<Record<string, object>>
  readonly launch: object
}
export interface LogLine {
  readonly msg: string
  readonly [field: string]: unknown
}
export const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds))

async function bundle(home: string, name: string, source: string | undefined): Promise<void> {
  await build({
    ...(source === undefined
      ? { entryPoints: [join(ROOT, 'kernel', 'main.ts')] }
      : { stdin: { contents: source, resolveDir: ROOT, loader: 'ts' } }),
    outfile: join(home, 'dist', 'images', `${name}.js`),
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    sourcemap: 'inline',
    external: EXTERNAL,
    logLevel: 'error',
  })
}
/** Bundles lie inside the repository: native packages are found from there. */
async function buildHome({ images, descriptions }: SystemOptions): Promise<string> {
  mkdirSync(join(ROOT, 'dist'), { recursive: true })
  const home = makeScratch('kernel', join(ROOT, 'dist'))
  for (const [path, description] of Object.entries(descriptions)) {
    mkdirSync(dirname(join(home, path)), { recursive: true })
    writeFileSync(join(home, path), JSON.stringify(description))
  }
  await bundle(home, 'kernel', undefined)
  for (const [name, source] of Object.entries(images)) await bundle(home, name, source)
  return home
}

export class System {
  readonly run: string
  readonly exited: Promise<number | null>
  stderr = ''
  private readonly home: string
  private readonly kernel: ChildProcess

  private constructor(home: string, launch: object) {
    this.home = home
    this.run = makeScratch('kernel')
    for (const folder of ['s', 'banks', 'log']) mkdirSync(join(this.run, folder))
    writeFileSync(join(this.run, 'launch.json'), JSON.stringify(launch))
    this.kernel = spawn(process.execPath, [join(home, 'dist', 'images', 'kernel.js'), this.run], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    this.kernel.stderr?.on('data', (data) => (this.stderr += data))
    this.exited = new Promise((resolve) => this.kernel.on('exit', resolve))
  }
  static async start(options: SystemOptions): Promise<System> {
    return new System(await buildHome(options), options.launch)
  }
  get pid(): number {
    return this.kernel.pid as number
  }
  get isRunning(): boolean {
    return this.kernel.exitCode === null && this.kernel.signalCode === null
  }
  lines(name: string): LogLine[] {
    const path = join(this.run, 'log', `${name}.log`)
    if (!existsSync(path)) return []
    const whole = readFileSync(path, 'utf8').split('\n')
    return whole.filter((line) => line.startsWith('{')).flatMap((line) => parsed(line))
  }
  async until(name: string, message: string, count = 1, patience = PATIENCE_MS): Promise<LogLine> {
    for (let waited = 0; waited < patience; waited += 20) {
      const found = this.lines(name).filter(({ msg }) => msg === message)
      if (found.length >= count) return found[count - 1]
      if (this.kernel.exitCode !== null) break
      await pause(20)
    }
    throw new Error(`${name} never said "${message}": ${this.stderr}\n${this.logs()}`)
  }
  logs(): string {
    return ['kernel', ...Object.keys(this.pids())]
      .map(
        (name) =>
          `${name}:\n${this.lines(name)
            .map((line) => JSON.stringify(line))
            .join('\n')}`,
      )
      .join('\n')
  }
  pids(): Record<string, number> {
    const path = join(this.run, 'pids.json')
    const list = existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as { name: string; pid: number }[]) : []
    return Object.fromEntries(list.map(({ name, pid }) => [name, pid]))
  }
  control(request: object): Promise<any> {
    return new Promise((resolve, reject) => {
      const socket = createConnection(join(this.run, 'control'), () => socket.write(`${JSON.stringify(request)}\n`))
      let text = ''
      socket.on('error', reject)
      socket.on('data', (data) => {
        text += data
        if (!text.endsWith('\n')) return
        socket.end()
        const { ok, result, error } = JSON.parse(text)
        if (ok) resolve(result)
        else reject(new Error(error))
      })
    })
  }
  async stop(): Promise<void> {
    if (this.kernel.exitCode === null && this.kernel.signalCode === null) this.kernel.kill('SIGKILL')
    await this.exited
    rmSync(this.home, { recursive: true, force: true })
    rmSync(this.run, { recursive: true, force: true })
  }
}
function parsed(line: string): LogLine[] {
  try {
    return [JSON.parse(line) as LogLine]
  } catch {
    return []
  }
}
export const isAlive = (pid: number): boolean => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return stat.slice(stat.lastIndexOf(')') + 2)[0] !== 'Z'
  } catch {
    return false
  }
}
