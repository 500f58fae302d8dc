/**
 * A tester, a helper and both paths between them, in the simulator, for one seed at a time; what the threads of `paths` tests do.
 *
 *   await run(seed, async ({ t, env, sim, inKernel, wait }) => { … }, slowpath)
 *
 * Credits are judged between any two events, the kernel's invariants behind each run.
 */
import { Simulator } from '../../lib/sel4/sim.ts'
import type { Environment } from '../../lib/sel4/api.ts'
import { KIND, kindOf, labelOf, OP } from '../../lib/sel4/wire.ts'
import { expectCredits, expectInvariants } from '../support/invariants.ts'
import { scaled } from '../support/scale.ts'
import { described } from './simulated.ts'
import { chip } from './system.ts'
import { CASE_BITS, helper, THREAD, Tester } from './tester.ts'

export const seeds = (count: number): number[] => Array.from({ length: scaled(count, 3) }, (_, i) => i + 1)
/** System calls of messages that were made in the kernel. */
const SYSTEM_CALLS = new Set<number>([OP.send, OP.receive, OP.reply])

export interface World {
  readonly t: Tester
  readonly env: Environment
  readonly sim: Simulator
  /** Messages in the kernel since it was asked last. */
  inKernel(): number
  /** Virtual time, up to so many milliseconds, drawn from the seed. */
  wait(most: number): Promise<void>
}
export async function run(seed: number, body: (world: World) => Promise<void>, slowpath = false): Promise<void> {
  let counted = 0
  const tap = (message: Buffer) => {
    if (kindOf(message) === KIND.INVOKE && SYSTEM_CALLS.has(labelOf(message))) counted++
  }
  let outcome: unknown = 'unfinished'
  const tester = async (env: Environment) => {
    for (const [name, main] of Tester.threads()) env.entry(name, main)
    const t = await Tester.prepared(env, CASE_BITS)
    const inKernel = () => {
      const now = counted
      counted = 0
      return now
    }
    const wait = (most: number) => env.clock.sleep((env.random.next() / 2 ** 32) * most)
    await body({ t, env, sim, inKernel, wait }).then(
      () => (outcome = undefined),
      (error) => (outcome = error),
    )
  }
  const sim = new Simulator({
    seed,
    ...described(slowpath),
    images: { tester, helper, chip },
    maxDelay: 3,
    tap,
  })
  sim.boot()
  await sim
    .runUntil(() => {
      expectCredits(sim)
      return outcome !== 'unfinished' || sim.ended !== undefined
    }, 60_000)
    .catch((error) => (outcome = error))
  if (outcome) throw new Error(`seed ${seed}: ${outcome instanceof Error ? outcome.stack : String(outcome)}`)
  await expectInvariants(sim, `seed ${seed}`)
}

/** What threads of the tester's own process saw, in the order in which they saw it. */
const seen: number[] = []
export const forget = (): void => void seen.splice(0)
export const whatWasSeen = (): readonly number[] => [...seen]
export const COUNT = 30
THREAD('paths: send numbers', async (sel4, [endpoint, from, count, done]) => {
  for (let i = 0; i < count; i++) await sel4.Send(endpoint, { label: from + i })
  await sel4.Signal(done)
})
THREAD('paths: try to send', async (sel4, [endpoint, label]) => sel4.Send(endpoint, { label }).catch(() => {}))
THREAD(
  'paths: try to call',
  async (sel4, [endpoint, label]) => void (await sel4.Call(endpoint, { label }).catch(() => {})),
)
THREAD('paths: babble', async (sel4, [endpoint]) => {
  for (let i = 0; ; i++) {
    await sel4.NBSend(endpoint, { label: i })
    await sel4.Yield()
  }
})
THREAD('paths: take numbers', async (sel4, [endpoint, count]) => {
  for (let i = 0; i < count; i++) seen.push((await sel4.Recv(endpoint)).label)
})
THREAD('paths: double', async (sel4, [endpoint]) => {
  let { label } = await sel4.Recv(endpoint)
  for (;;) ({ label } = await sel4.ReplyRecv(endpoint, { label: 2 * label }))
})
THREAD('paths: call', async (sel4, [endpoint, from, count, done]) => {
  for (let i = 0; i < count; i++) {
    const { label } = await sel4.Call(endpoint, { label: from + i })
    if (label !== 2 * (from + i)) throw new Error(`${from + i} doubled is ${label}`)
  }
  await sel4.Signal(done)
})
THREAD('paths: call a mortal', async (sel4, [endpoint, label]) => {
  const came = await sel4.Call(endpoint, { label }).then(
    (answer) => answer.label,
    (error: Error) => error.message,
  )
  if (came !== 2 * label && came !== 'serverDied') throw new Error(`${label} doubled is ${came}`)
  seen.push(label)
})
export const numbers = (from: number, count: number): number[] => Array.from({ length: count }, (_, i) => from + i)
/** An endpoint of the tester's own and a server on it, which answers with what `take` gives. */
export async function serve({ env }: World, take: (body: unknown) => unknown): Promise<number> {
  const endpoint = await env.root?.endpoint()
  void (async () => {
    for (;;) {
      const { body, reply } = await env.sel4.recv(endpoint as number)
      const answer = take(body)
      if (reply) env.sel4.reply(reply, 0, answer)
    }
  })()
  return endpoint as number
}
/** As the manifest would have named it. */
export function nameIt(sim: Simulator, process: string, name: string, cptr: number): void {
  const found = sim.kernel.processes.get(process)
  if (found) found.names[name] = cptr
}
