/**
 * The kernel's world on Linux: a ZeroMQ ROUTER as the gate, child processes, /proc, files of the run directory.
 *
 * A message to a process that is gone is dropped: its exit is on the way. The gate is mandatory, so nothing is lost
 * silently while it lives.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import {
  appendFileSync,
  closeSync,
  fstatSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { availableParallelism, setPriority } from 'node:os'
import { join } from 'node:path'
import { Router } from 'zeromq'
import { randomName } from '../lib/sel4/chance.ts'
import { createBank, openBank } from '../lib/sel4/memory/bank.ts'
import { monotonicMs } from '../lib/sel4/monotonic.ts'
import type { BootEnvironment } from '../lib/sel4/transport.ts'
import { addressOf, BOUNDED, fileOf, gateOf, NEVER_WAIT, peerGone } from '../lib/sel4/zeromq.ts'
import type { ExitStatus, Host, StartRequest, Usage } from './host.ts'
import { heapFlags, heapIsFull } from './heap.ts'

export interface OsHostOptions {
  readonly run: string
  /** Path of an image's bundle. */
  readonly bundle: (image: string) => string
  readonly onMessage: (token: string, message: Buffer) => void
  readonly onExit: (token: string, status: ExitStatus) => void
  readonly onEnd: (code: number, reason: string) => void
}
/** USER_HZ on Linux: utime and stime of /proc/PID/stat are in 10 ms. */
const MS_PER_JIFFY = 10
const PAGE_KB = 4
/** A tenth of the others' weight. [nice(7)] */
const BEHIND = 10

export class OsHost implements Host {
  readonly numNodes = availableParallelism()
  private readonly options: OsHostOptions
  private readonly gate = new Router({ mandatory: true, ...NEVER_WAIT, ...BOUNDED })
  private readonly banks = new Map<string, Uint8Array>()
  private readonly children = new Map<number, ChildProcess>()
  /** Of the living, by pid. */
  private readonly startTimes = new Map<number, number>()

  constructor(options: OsHostOptions) {
    this.options = options
  }
  async open(): Promise<void> {
    await this.gate.bind(gateOf(this.options.run))
    void this.receive()
  }
  private async receive(): Promise<void> {
    for (;;) {
      const parts = await this.gate.receive()
      if (parts.length === 2) this.options.onMessage(parts[0].toString(), parts[1])
    }
  }
  now(): number {
    return monotonicMs()
  }
  alarm(milliseconds: number, expired: () => void): { cancel(): void } {
    const timer = setTimeout(expired, milliseconds)
    return { cancel: () => clearTimeout(timer) }
  }
  secret(): string {
    return randomName()
  }
  send(token: string, message: Buffer): void {
    this.gate.send([token, message]).catch(peerGone)
  }
  start({ name, image, token, address, terminal, heapBytes }: StartRequest): number {
    const { run, bundle } = this.options
    const path = join(run, 'log', `${name}.log`)
    const log = openSync(path, 'a', 0o600)
    const { size } = fstatSync(log)
    const { PATH, TERM, COLORTERM, LANG, NEPTUNE_LOG, NEPTUNE_NODE_OPTIONS } = process.env
    const options = NEPTUNE_NODE_OPTIONS ? NEPTUNE_NODE_OPTIONS.split(' ') : []
    const boot = JSON.stringify({ run, token, address, parent: process.pid } satisfies BootEnvironment)
    const env = { PATH, NEPTUNE_LOG, ...(terminal && { TERM, COLORTERM, LANG }), NEPTUNE_BOOT: boot }
    const stdio = terminal ? (['inherit', 'inherit', log] as const) : (['ignore', log, log] as const)
    try {
      const child = spawn(process.execPath, [...heapFlags(heapBytes), ...options, bundle(image)], {
        env,
        stdio: [...stdio],
        cwd: run,
      })
      return this.adopt(child, token, (signal) => signal === 'SIGABRT' && heapIsFull(path, size))
    } finally {
      closeSync(log)
    }
  }
  private adopt(child: ChildProcess, token: string, heapWasFull: (signal: string | null) => boolean): number {
    const pid = child.pid ?? -1
    this.children.set(pid, child)
    this.startTimes.set(pid, startTimeOf(pid))
    let over = false
    const end = (status: ExitStatus) => {
      if (over) return
      over = true
      this.children.delete(pid)
      this.startTimes.delete(pid)
      this.options.onExit(token, status)
    }
    child.on('exit', (code, signal) => end({ code, signal, ...(heapWasFull(signal) && { heapIsFull: true }) }))
    child.on('error', (error) => {
      this.log('error', `an image could not be started: ${error.message}`)
      if (child.pid === undefined) end({ code: 127, signal: null })
    })
    return pid
  }
  kill(pid: number, signal: string): void {
    this.children.get(pid)?.kill(signal as NodeJS.Signals)
  }
  yield(pid: number): void {
    // It may have ended meanwhile.
    if (this.children.has(pid)) setPriority(pid, BEHIND)
  }
  newAddress(): string {
    return addressOf(this.options.run, randomName())
  }
  forget(address: string): void {
    rmSync(fileOf(address), { force: true })
  }
  usage(pid: number): Usage | undefined {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      const cpuMs = (Number(fields[11]) + Number(fields[12])) * MS_PER_JIFFY
      return { state: fields[0], cpuMs, rssKb: Number(fields[21]) * PAGE_KB }
    } catch {
      return undefined
    }
  }
  /** /proc/PID/statm: resident pages, and those of them that are files' or shared. */
  ownKb(pid: number): number | undefined {
    try {
      const [, resident, shared] = readFileSync(`/proc/${pid}/statm`, 'latin1').split(' ')
      return (Number(resident) - Number(shared)) * PAGE_KB
    } catch {
      return undefined
    }
  }
  /** One user: who is told the path could open it either way. */
  makeMemory(name: string, bytes: number, _sharing?: 'readable'): string {
    const path = join(this.options.run, 'banks', name)
    createBank(path, bytes)
    return path
  }
  view(path: string, bytes: number): Uint8Array {
    return openBank(path, bytes, { writable: true }).bytes
  }
  /** A mapping is never unmapped while the kernel lives, so one of each bank is kept. */
  zero(path: string, offset: number, bytes: number): void {
    let bank = this.banks.get(path)
    if (!bank) this.banks.set(path, (bank = this.view(path, statSync(path).size)))
    bank.fill(0, offset, offset + bytes)
  }
  log(level: 'debug' | 'info' | 'warn' | 'error', message: string, fields: object = {}): void {
    const line = { level: LEVELS[level], time: Date.now(), name: 'kernel', ...fields, msg: message }
    appendFileSync(join(this.options.run, 'log', 'kernel.log'), `${JSON.stringify(line)}\n`, { mode: 0o600 })
  }
  /** Written whole and renamed, so that the launcher never reads half of it. */
  living(processes: readonly { readonly name: string; readonly pid: number }[]): void {
    const list = processes.map(({ name, pid }) => ({ name, pid, startTime: this.startTimes.get(pid) ?? 0 }))
    const path = join(this.options.run, 'pids.json')
    writeFileSync(`${path}.new`, JSON.stringify(list), { mode: 0o600 })
    renameSync(`${path}.new`, path)
  }
  ended(code: number, reason: string): void {
    this.options.onEnd(code, reason)
  }
}
/** pino's numbers. */
const LEVELS = { debug: 20, info: 30, warn: 40, error: 50 } as const

/** Field 22 of /proc/PID/stat: tells a process from a later one with its pid. */
export function startTimeOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19])
  } catch {
    return 0
  }
}
