/**
 * The control socket: one JSON request a line, one JSON answer a line; for `neptune ps`, `caps`, `kill`, `trace`, `check` and tests.
 *
 *   {id, op, …} → {id, ok: true, result} | {id, ok: false, error}
 *
 * Only this user can reach it: the run directory is private. A front panel with a user of its own has a socket where it
 * may do one thing, stop the system.
 */
import { chmodSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import type { Span } from '../lib/sel4/tracer.ts'
import { ASK } from '../lib/sel4/wire.ts'
import { type Capability, rightNames } from './cspace.ts'
import { describe as describeRule, type InterposeRequest, interpose, lift } from './interpose.ts'
import { processList } from './invocations.ts'
import { checkInvariants } from './invariants/index.ts'
import type { Kernel } from './kernel.ts'
import { peerUser, readLines } from './peer.ts'
import type { Process } from './process.ts'

interface Request {
  readonly id?: unknown
  readonly op?: string
  readonly name?: string
  readonly signal?: string
  readonly ms?: number
  readonly irq?: number
  readonly masked?: boolean
  readonly interposition?: unknown
}
const SIGNALS = /^SIG[A-Z0-9]{2,10}$/
const REQUEST_MAX = 64 * 1024
const TRACE_MAX_MS = 60_000
/** Calls a process may name as those it waits for longest, and what it may have seen in a trace. */
const WAITS_MAX = 4
const SPANS_MAX = 8192

function find(kernel: Kernel, name: string | undefined): Process {
  const process = kernel.processes.get(name ?? '')
  if (!process) throw new Error(`no process ${name}: ${[...kernel.processes.keys()].join(' ')}`)
  return process
}
/** `waits`: whose answer each process waits for, oldest call first. A process that is stopped tells nothing. */
async function ps(kernel: Kernel): Promise<object[]> {
  return Promise.all(
    processList(kernel).map(async (info) => {
      const process = find(kernel, info.name)
      const { waits, ...counters } = counted(await answerOf(kernel, process, ASK.counters))
      const { kind } = process.init
      return {
        ...info,
        kind,
        counters: waits ? counters : null,
        waits: waits?.map((call) => waitOf(kernel, call)) ?? null,
      }
    }),
  )
}
interface Counted {
  readonly waits?: readonly [session: number, call: string][]
}
/** A process says of itself what it likes. */
function counted(told: unknown): Counted {
  if (told === null || typeof told !== 'object') return {}
  const { waits, ...counters } = told as { waits?: unknown }
  if (!Array.isArray(waits)) return {}
  const calls = waits.filter((wait) => Array.isArray(wait) && typeof wait[1] === 'string')
  return { ...counters, waits: calls.slice(0, WAITS_MAX) as [number, string][] }
}
const waitOf = (kernel: Kernel, [session, call]: [number, string]): object => ({
  for: kernel.sessions.get(session)?.receivers.map(({ name }) => name) ?? [],
  call,
})
/** A stopped process answers nothing: half a second is enough for the others. */
async function answerOf(kernel: Kernel, process: Process, op: number, body: unknown = null): Promise<unknown> {
  let alarm: { cancel(): void } | undefined
  const late = new Promise((resolve) => {
    alarm = kernel.host.alarm(500, () => resolve(undefined))
  })
  const answer = await Promise.race([process.ask(op, body), late])
  alarm?.cancel()
  return answer
}
const describe = (cap: Capability): object => ({
  slot: cap.index,
  type: cap.object.type,
  object: cap.object.describe(),
  rights: rightNames(cap.rights),
  badge: cap.badge,
  origin: cap.origin,
})
function caps(kernel: Kernel, name: string | undefined): object[] {
  const chosen = name === undefined ? [...kernel.processes.values()] : [find(kernel, name)]
  return chosen.map(({ name: process, init, names }) => {
    const byName = new Map(Object.entries(names).map(([key, slot]) => [slot, key]))
    return {
      process,
      caps: init.cspace.all().map((cap) => ({ ...describe(cap), name: byName.get(cap.index) ?? null })),
    }
  })
}
function kill(kernel: Kernel, { name, signal = 'SIGKILL' }: Request): object {
  if (!SIGNALS.test(signal)) throw new Error(`no signal ${signal}`)
  const { pid, init } = find(kernel, name)
  kernel.host.kill(pid, signal)
  return { pid, generation: init.generation }
}
/**
 * All processes watch for `ms`; the result is what each of them saw. Whoever is born meanwhile watches from birth; who dies
 * takes along what it saw.
 */
async function trace(kernel: Kernel, ms = 1000): Promise<object> {
  if (kernel.tracing) throw new Error('a trace is being recorded already: try again when it is done')
  if (!Number.isInteger(ms) || ms < 1 || ms > TRACE_MAX_MS)
    throw new Error(`a trace takes from 1 to ${TRACE_MAX_MS} milliseconds`)
  kernel.tracing = true
  await Promise.all([...kernel.processes.values()].map((process) => answerOf(kernel, process, ASK.trace, true)))
  await new Promise<void>((resolve) => kernel.host.alarm(ms, resolve))
  kernel.tracing = false
  const everyone = [...kernel.processes.values()]
  const lost = await Promise.all(everyone.map((process) => answerOf(kernel, process, ASK.trace, false)))
  const spans = await Promise.all(everyone.map((process) => spansOf(kernel, process)))
  return everyone.map(({ name, pid, init: { generation, kind } }, i) => {
    const answered = lost[i] !== undefined
    return { name, pid, generation, kind, answered, lost: lost[i] ?? 0, spans: spans[i] }
  })
}
/** A message holds some of them. */
async function spansOf(kernel: Kernel, process: Process): Promise<Span[]> {
  const spans: Span[] = []
  while (spans.length < SPANS_MAX) {
    const some = await answerOf(kernel, process, ASK.spans)
    if (!Array.isArray(some) || !some.length) break
    spans.push(...(some as Span[]))
  }
  return spans
}
async function maskIrq(kernel: Kernel, { irq, masked }: Request): Promise<null> {
  const line = kernel.machine.irqs.get(irq ?? -1)
  if (!line) throw new Error(`no IRQ ${irq}`)
  line.setMask(masked === true)
  kernel.directIrqs.consider(line)
  await kernel.sessions.settled()
  return null
}
async function perform(kernel: Kernel, request: Request): Promise<unknown> {
  switch (request.op) {
    case 'ps':
      return ps(kernel)
    case 'caps':
      return caps(kernel, request.name)
    case 'kill':
      return kill(kernel, request)
    case 'trace':
      return trace(kernel, request.ms)
    case 'check':
      return checkInvariants(kernel)
    case 'manifest':
      return kernel.manifest
    case 'interpose':
      return interpose(kernel, (request.interposition ?? {}) as InterposeRequest)
    case 'lift':
      return lift(kernel, request.interposition)
    case 'interposed':
      return kernel.interposer.all().map((rule) => describeRule(rule, true))
    case 'maskIrq':
      return maskIrq(kernel, request)
    case 'shutdown':
      return kernel.pressPowerButton(0, 'asked to stop')
    default:
      throw new Error(
        `no operation ${request.op}: ps caps kill trace check manifest interpose lift interposed maskIrq shutdown`,
      )
  }
}
interface Guard {
  /** The one operation, when not all. */
  readonly only?: string
  /** The one user, when not whoever can open the socket. */
  readonly user?: number
}
async function answer(kernel: Kernel, line: string, only?: string): Promise<object> {
  let id: unknown = null
  try {
    const request = JSON.parse(line) as Request
    id = request.id ?? null
    if (only !== undefined && request.op !== only) throw new Error(`only ${only} may be asked for here`)
    return { id, ok: true, result: (await perform(kernel, request)) ?? null }
  } catch (error) {
    return { id, ok: false, error: (error as Error).message }
  }
}
function converse(kernel: Kernel, socket: Socket, { only, user }: Guard): void {
  socket.on('error', () => socket.destroy())
  if (user !== undefined && peerUser(socket) !== user) return void socket.destroy()
  readLines(socket, REQUEST_MAX, (line) => {
    void answer(kernel, line, only).then((reply) => socket.writable && socket.write(`${JSON.stringify(reply)}\n`))
  })
}
export function serveControl(path: string, kernel: Kernel, guard: Guard = {}): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => converse(kernel, socket, guard))
    server.once('error', reject)
    server.listen(path, () => {
      chmodSync(path, guard.user === undefined ? 0o600 : 0o660)
      resolve()
    })
  })
}
