/**
 * The agent of one container: waits for the kernel to tell it which image to start, starts it, reports its end, waits again.
 *
 *   node agent.js RUN NAME        the messages: kernel/agent-spawner.ts
 *
 * Knows nothing of capabilities: what its process may do comes with the token that the kernel sends. Ends with 0 when the
 * kernel has gone, its process with it; with 75 when the kernel wants a fresh container: a spare's next process is
 * somebody else, and gets a container in which nothing of this one is left.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import fs from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { heapFlags, heapIsFull, LAST_WORDS_BYTES, tellsOfHeap } from '../../kernel/heap.ts'
import type { BootEnvironment } from '../../lib/sel4/transport.ts'

/** The kernel's container may start after this one. */
const RETRY_MS = 100
const PATIENCE_MS = 180_000
/** A kernel's container that starts with this one is there by then. */
const STALE_MS = 20_000
/** EX_TEMPFAIL: try again, says the restart policy. */
const AGAIN = 75
/** The kernel stops the whole system well within this time when it was asked to stop as well. */
const LEAVE_PATIENCE_MS = 15_000
/** USER_HZ on Linux: utime and stime of /proc/PID/stat are in 10 ms. */
const MS_PER_JIFFY = 10
const PAGE_KB = 4

interface SpawnOrder {
  readonly op: 'spawn'
  readonly life: number
  readonly image: string
  readonly token: string
  readonly address: string
  readonly terminal: boolean
  readonly heapBytes?: number
}
type Order =
  | SpawnOrder
  | { readonly op: 'kill'; readonly life: number; readonly signal: NodeJS.Signals }
  | { readonly op: 'usage'; readonly life: number }
  | { readonly op: 'leave' | 'renew' }
  | { readonly op: 'refused'; readonly why: string }

/** Undefined when the system ended before it had anything for us. */
async function connect(run: string, name: string): Promise<net.Socket | undefined> {
  const began = Date.now()
  while (Date.now() - began < PATIENCE_MS) {
    const socket = await tryConnect(path.join(run, 'agents', name))
    if (socket || isOver(run, Date.now() - began > STALE_MS ? 0 : began)) return socket
    await sleep(RETRY_MS)
  }
  throw new Error(`the kernel did not come within ${PATIENCE_MS / 1000} s`)
}
function tryConnect(address: string): Promise<net.Socket | undefined> {
  return new Promise((resolve) => {
    const socket = net.connect(address)
    socket.once('connect', () => resolve(socket))
    socket.once('error', () => resolve(undefined))
  })
}
/** The launcher's mark. An earlier run's may still be there for a moment, until the next launcher clears the directory. */
function isOver(run: string, since: number): boolean {
  try {
    return fs.statSync(path.join(run, 'over')).mtimeMs >= since
  } catch {
    return false
  }
}

class Agent {
  private readonly run: string
  private readonly name: string
  private readonly socket: net.Socket
  private life = 0
  private child?: ChildProcess

  constructor(run: string, name: string, socket: net.Socket) {
    this.run = run
    this.name = name
    this.socket = socket
  }
  listen(): void {
    this.socket.on('error', () => this.socket.destroy())
    this.socket.on('close', () => this.end(0))
    let rest = ''
    this.socket.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop() as string
      for (const line of lines) this.obey(JSON.parse(line) as Order)
    })
    process.on('SIGTERM', () => this.leaving())
    process.on('SIGINT', () => {})
  }
  private tell(report: object): void {
    if (this.socket.writable) this.socket.write(`${JSON.stringify(report)}\n`)
  }
  private obey(order: Order): void {
    switch (order.op) {
      case 'spawn':
        return this.start(order)
      case 'kill':
        if (order.life === this.life) this.child?.kill(order.signal)
        return
      case 'usage':
        return this.usage(order.life)
      case 'leave':
        return this.end(0)
      case 'renew':
        return this.end(AGAIN)
      case 'refused':
        process.stderr.write(`agent ${this.name}: the kernel refused this container: ${order.why}\n`)
        return this.end(0)
    }
  }
  private start({ life, image, token, address, terminal, heapBytes }: SpawnOrder): void {
    const bundle = path.join(__dirname, `${path.basename(image)}.js`)
    const boot = JSON.stringify({ run: this.run, token, address, parent: process.pid } satisfies BootEnvironment)
    const log = terminal ? this.log() : undefined
    const child = spawn(process.execPath, [...heapFlags(heapBytes), bundle], {
      stdio: log ? ['inherit', 'inherit', log.file] : ['ignore', 'inherit', 'pipe'],
      env: { ...process.env, NEPTUNE_BOOT: boot },
    })
    const heapWasFull = log ? () => heapIsFull(log.path, log.size) : listen(child)
    this.life = life
    this.child = child
    child.once('spawn', () => this.tell({ op: 'started', life, pid: child.pid }))
    child.once('error', () => child.pid === undefined && this.ended(life, 127, null))
    child.once('exit', (code, signal) => signal !== 'SIGABRT' && this.ended(life, code, signal))
    // What it said last may come after its end.
    child.once('close', (_code, signal) => signal === 'SIGABRT' && this.ended(life, null, signal, heapWasFull()))
  }
  /** What the front panel's program says must not get between it and the picture. */
  private log(): { path: string; file: number; size: number } {
    const file = path.join(this.run, 'log', `${this.name}.log`)
    const descriptor = fs.openSync(file, 'a', 0o600)
    return { path: file, file: descriptor, size: fs.fstatSync(descriptor).size }
  }
  private ended(life: number, code: number | null, signal: string | null, heapWasFull = false): void {
    this.child = undefined
    this.tell({ op: 'exit', life, code, signal, ...(heapWasFull && { heapIsFull: true }) })
  }
  private usage(life: number): void {
    if (life !== this.life || !this.child?.pid) return
    try {
      const stat = fs.readFileSync(`/proc/${this.child.pid}/stat`, 'latin1')
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      const cpuMs = (Number(fields[11]) + Number(fields[12])) * MS_PER_JIFFY
      const [, resident, shared] = fs.readFileSync(`/proc/${this.child.pid}/statm`, 'latin1').split(' ')
      const ownKb = (Number(resident) - Number(shared)) * PAGE_KB
      this.tell({ op: 'usage', life, state: fields[0], cpuMs, rssKb: Number(resident) * PAGE_KB, ownKb })
    } catch {
      // It has just ended, and that is on its way.
    }
  }
  /** The kernel decides: it ends the system in order, or tells this container to go. */
  private leaving(): void {
    this.tell({ op: 'leaving' })
    setTimeout(() => this.end(0), LEAVE_PATIENCE_MS)
  }
  private end(code: number): void {
    this.child?.kill('SIGKILL')
    process.exit(code)
  }
}

/** Hands on what a process says, and knows its end. */
function listen({ stderr }: ChildProcess): () => boolean {
  let end = ''
  stderr?.setEncoding('latin1').on('data', (text: string) => {
    process.stderr.write(text, 'latin1')
    end = (end + text).slice(-LAST_WORDS_BYTES)
  })
  return () => tellsOfHeap(end)
}
async function main(run: string, name: string): Promise<void> {
  // Sockets our process makes are for the group of the containers' users; their names are secret.
  process.umask(0o007)
  const stop = () => process.exit(0)
  process.on('SIGTERM', stop)
  const socket = await connect(run, name)
  process.removeListener('SIGTERM', stop)
  if (socket) new Agent(run, name, socket).listen()
}
const [run, name] = process.argv.slice(2)
main(run, name).catch((error: Error) => {
  // No failure for the restart policy: another try would wait as long.
  process.stderr.write(`agent ${name}: ${error.message}\n`)
})
