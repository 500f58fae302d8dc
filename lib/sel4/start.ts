/**
 * The entry of every image: connects to the kernel, builds the Environment, runs main.
 *
 * An error nobody handled is ours: its text goes to the kernel as the epitaph, and the process ends with code 70
 * (EX_SOFTWARE). SIGTERM is a request to end. When the kernel dies the host ends this process (PR_SET_PDEATHSIG).
 */
import type pinoModule from 'pino'
import type { Clock, Environment, Log, Main } from './api.ts'
import { hostRandom } from './chance.ts'
import { connect } from './environment.ts'
import { dieWithParent, parentPid } from './memory/process.ts'
import { monotonicMs } from './monotonic.ts'
import type { Runtime } from './runtime.ts'
import type { BootEnvironment } from './transport.ts'
import { encode, KIND } from './wire.ts'
import { ZeromqTransport } from './zeromq.ts'

const EX_SOFTWARE = 70
/** 100 ns units between 1601-01-01 and 1970-01-01. */
const UNIX_EPOCH = 116_444_736_000_000_000
const EPITAPH_MAX = 4000
/** Lets the epitaph leave before the process does. */
const LAST_WORDS_MS = 50

export const hostClock = (): Clock => ({
  now: monotonicMs,
  systemTime: () => Date.now() * 10_000 + UNIX_EPOCH,
  sleep: (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds)),
  alarm(milliseconds, expired) {
    const timer = setTimeout(expired, milliseconds)
    return { cancel: () => clearTimeout(timer) }
  },
})
const LEVELS = ['debug', 'info', 'warn', 'error'] as const
type Level = (typeof LEVELS)[number]
/** pino is loaded with the first line: most processes never write one, and loading it takes as long as all of lib. */
function hostLog(name: string): Log {
  const level = process.env.NEPTUNE_LOG ?? 'info'
  let logger: pinoModule.Logger | undefined
  const open = (): pinoModule.Logger => {
    const pino = require('pino') as typeof pinoModule
    return pino({ base: { name, pid: process.pid }, level }, pino.destination({ dest: 2, sync: true }))
  }
  const at = (own: Level) => (message: string, fields?: object) => {
    if (LEVELS.indexOf(own) < LEVELS.indexOf(level as Level)) return
    logger ??= open()
    logger[own](fields ?? {}, message)
  }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}
function readBoot(): BootEnvironment {
  const text = process.env.NEPTUNE_BOOT
  if (!text) throw new Error('This is an image of Neptune OS: the kernel starts it. Try `npx neptune boot`.')
  delete process.env.NEPTUNE_BOOT
  return JSON.parse(text) as BootEnvironment
}

/** Ends the process once, with its last words to the kernel. */
class Ending {
  private ending = false
  private readonly transport: ZeromqTransport
  constructor(transport: ZeromqTransport) {
    this.transport = transport
  }
  end(code: number, epitaph?: string): void {
    if (this.ending) return
    this.ending = true
    // First: whatever goes wrong with the last words, this is the end.
    setTimeout(() => process.exit(code), epitaph ? LAST_WORDS_MS : 0)
    if (!epitaph) return
    process.stderr.write(`${JSON.stringify({ level: 60, msg: 'epitaph', epitaph })}\n`)
    this.transport.gate(encode(KIND.EPITAPH, 0, 0, 0, 0, epitaph.slice(0, EPITAPH_MAX)))
  }
  broken(error: unknown): void {
    this.end(EX_SOFTWARE, error instanceof Error ? (error.stack ?? error.message) : String(error))
  }
}
/** Thrown by exit() to leave the caller; nobody's error. */
class Leaving extends Error {}

export function start(main: Main): void {
  const boot = readBoot()
  if (!dieWithParent(boot.parent) || parentPid() !== boot.parent) process.exit(0)
  const transport = new ZeromqTransport(boot.run, boot.token, boot.address)
  const ending = new Ending(transport)
  const broken = (error: unknown) => (error instanceof Leaving ? undefined : ending.broken(error))
  process.on('uncaughtException', broken)
  process.on('unhandledRejection', broken)
  process.on('SIGTERM', () => process.exit(0))
  process.on('SIGINT', () => {})
  void run(main, transport, ending).catch(broken)
}
async function run(main: Main, transport: ZeromqTransport, ending: Ending): Promise<void> {
  transport.open()
  const env: Environment = await connect({
    transport,
    clock: hostClock(),
    sharedClock: () => Number(process.hrtime.bigint()) / 1e6,
    random: hostRandom(),
    logFor: hostLog,
    die: (error: unknown, _runtime: Runtime) => ending.broken(error),
    exit: (code, epitaph) => {
      ending.end(code, epitaph)
      throw new Leaving()
    },
  })
  await main(env)
}
