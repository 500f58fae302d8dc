/**
 * The calling half of `neptune bench ipc`, `bulk` and `revoke`: does what the benchmark, outside, asks over a socket, a block at a time.
 *
 *   {"work":"call","bytes":64,"operations":200}  →  {"value":41.7}      microseconds an operation
 *
 * config: { socket: the path to connect to }
 */
import net from 'node:net'
import readline from 'node:readline'
import type { Environment, Main } from '#sel4/api'
import { LABEL } from '../echo/labels.ts'
import { type Handover, handOver } from './handover.ts'
import { atOnce, type Turn, timed } from './turns.ts'

interface Request {
  readonly work: keyof typeof WORK
  readonly bytes: number
  readonly operations: number
  /** Calls under way at once. */
  readonly outstanding?: number
  readonly how?: string
  readonly pages?: string
}
type Work = (env: Environment, request: Request) => Promise<object>

const turns =
  (makeTurn: (env: Environment, request: Request) => Turn): Work =>
  async (env, request) => ({ value: await timed(env.clock, request.operations, makeTurn(env, request)) })

function calling({ sel4, caps }: Environment, { bytes }: Request): Turn {
  const payload = new Uint8Array(bytes).fill(0x5a)
  return () => sel4.call(caps.echo, LABEL.echo, payload)
}
/** Always as many under way: each answer is the next call. The clock starts when as many have been answered. */
async function window(env: Environment, request: Request): Promise<object> {
  const { operations, outstanding = 1 } = request
  const turn = calling(env, request)
  let began = 0
  let answered = 0
  await atOnce(outstanding, outstanding + operations, async () => {
    await turn()
    if (++answered === outstanding) began = env.clock.now()
  })
  return { value: (operations / (env.clock.now() - began)) * 1000 }
}
async function accessor({ sel4, caps }: Environment, { how, pages, bytes, operations }: Request): Promise<object> {
  return { value: (await sel4.call(caps.echo, LABEL.accessor, { how, pages, bytes, operations })).body }
}
/** Calls and requests to the kernel in peace, then while ten thousand capabilities are revoked. */
async function revoke(env: Environment, { bytes, operations }: Request): Promise<object> {
  const { sel4, libsel4, caps } = env
  const turnsOf: Record<string, Turn> = {
    call: calling(env, { work: 'call', bytes: 64, operations }),
    gate: () => libsel4.Yield(),
  }
  const { body: growMs } = await sel4.call(caps.echo, LABEL.grow, bytes)
  const before = await latencies(env, turnsOf, (done) => done >= operations)
  let cutMs: unknown
  const cutting = sel4.call(caps.echo, LABEL.cut, null).then(({ body }) => (cutMs = body))
  const during = await latencies(env, turnsOf, () => cutMs !== undefined)
  await cutting
  return { growMs, cutMs, before, during }
}
/** Median microseconds of each kind of turn, in turn. */
async function latencies(
  { clock }: Environment,
  turnsOf: Record<string, Turn>,
  isOver: (done: number) => boolean,
): Promise<Record<string, number>> {
  const took: Record<string, number[]> = {}
  for (let done = 0; !isOver(done); done++)
    for (const [name, turn] of Object.entries(turnsOf)) {
      const began = clock.now()
      await turn()
      ;(took[name] ??= []).push((clock.now() - began) * 1000)
    }
  return Object.fromEntries(
    Object.entries(took).map(([name, all]) => [name, all.sort((a, b) => a - b)[all.length >> 1]]),
  )
}

const WORK = {
  call: turns(calling),
  window,
  handover: (env, request) => handOver(env, request as unknown as Handover),
  accessor,
  revoke,
  /** A request to the kernel that does nothing. */
  gate: turns(
    ({ libsel4 }) =>
      () =>
        libsel4.Yield(),
  ),
} satisfies Record<string, Work>

export const main: Main = async (env) => {
  const socket = net.connect((env.config as { socket: string }).socket)
  for await (const line of readline.createInterface({ input: socket })) {
    const request = JSON.parse(line) as Request
    const work: Work = WORK[request.work]
    socket.write(`${JSON.stringify(await work(env, request))}\n`)
  }
  env.exit(0)
}
