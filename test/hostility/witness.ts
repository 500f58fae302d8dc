/**
 * Who is attacked: a server that answers, and a caller that calls it without end and says how long each call took. The caller
 * also asks the kernel for nothing, every few milliseconds, and calls whatever the hostile process serves, and expects
 * nothing of that.
 */
import type { Environment, Main } from '../../lib/sel4/api.ts'
import { BADGE, LABEL, type Line, lineToTest, SLOT } from './line.ts'

/** Between two calls: often enough for a window of a quarter of a second, and both processes mostly idle. */
const PACE_MS = 1
const GATE_PACE_MS = 4
const TELL_MS = 50
/** Calls to the hostile process that may wait for an answer: more than a session's credits. */
const PATIENT_CALLS = 100

export const server: Main = async (env) => {
  const line = await lineToTest(env)
  for (;;) {
    const { label, badge, body, reply } = await env.sel4.recv(SLOT.server)
    if (label === LABEL.loot) line.say({ loot: body, badge })
    if (reply) env.sel4.reply(reply, label, badge)
  }
}

/** Milliseconds since the epoch and microseconds the turn took. */
type Sample = readonly [number, number]
class Series {
  private samples: Sample[] = []
  async take(turn: () => Promise<unknown>): Promise<void> {
    const began = performance.now()
    await turn()
    const took = performance.now() - began
    this.samples.push([Math.round((performance.timeOrigin + began) * 10) / 10, Math.round(took * 1000)])
  }
  taken(): Sample[] {
    return this.samples.splice(0)
  }
}

export const caller: Main = async (env) => {
  const line = await lineToTest(env)
  const calls = new Series()
  const gate = new Series()
  const series: [Series, number, () => Promise<unknown>][] = [
    [calls, PACE_MS, () => ask(env)],
    [gate, GATE_PACE_MS, () => env.libsel4.Yield()],
  ]
  for (const [which, pace, turn] of series) void repeat(env, line, pace, () => which.take(turn))
  void dealWithHostile(env)
  for (;;) {
    await env.clock.sleep(TELL_MS)
    line.say({ calls: calls.taken(), gate: gate.taken() })
  }
}
/** The server's answer is the badge it sees: nobody else's answer is. */
async function ask({ sel4 }: Environment): Promise<void> {
  const { body } = await sel4.call(SLOT.server, LABEL.echo, 'a word')
  if (body !== BADGE.witness) throw new Error(`somebody answered ${JSON.stringify(body)}`)
}
async function repeat({ clock }: Environment, line: Line, pace: number, turn: () => Promise<unknown>): Promise<void> {
  for (;;) {
    await turn().catch((error: Error) => line.say({ failed: error.message }))
    await clock.sleep(pace)
  }
}
async function dealWithHostile({ sel4, clock }: Environment): Promise<void> {
  let waiting = 0
  for (;;) {
    await clock.sleep(PACE_MS * 5)
    if (waiting >= PATIENT_CALLS) continue
    waiting++
    void sel4
      .call(SLOT.hostile, LABEL.echo, 'a word')
      .catch(() => {})
      .then(() => waiting--)
  }
}
