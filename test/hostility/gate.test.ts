/**
 * The gate under noise: random, mutated, truncated and boasting messages of every kind, of a process that has capabilities,
 * sessions to and from others, and questions of the kernel's to answer; the kernel serves the others as before.
 */
import {
  labelOfMethod,
  methodOfLabel,
  OBJECT_TYPE,
  RIGHTS,
  SEL4_METHODS,
  seL4_CapInitThreadCNode as OWN,
} from '#contracts/sel4'
import { expect } from 'chai'
import { checkInvariants } from '../../kernel/invariants/index.ts'
import type { Environment, Main, RootTask } from '../../lib/sel4/api.ts'
import { seededRandom } from '#rtl'
import { Simulator } from '../../lib/sel4/sim.ts'
import { encode, KIND, OP } from '../../lib/sel4/wire.ts'
import { described } from '../conformance/simulated.ts'
import { chip } from '../conformance/system.ts'
import { expectInvariants } from '../support/invariants.ts'
import { scaled } from '../support/scale.ts'

const SEED = 11
const random = seededRandom(SEED)
const below = (limit: number): number => random.next() % limit
const oneOf = <T>(values: readonly T[]): T => values[below(values.length)]
const labels = [...Object.values(OP), ...Object.keys(SEL4_METHODS).map(labelOfMethod)]
const MESSAGES = [OP.send, OP.receive, OP.reply, OP.openSession, OP.bindReceiver, OP.wait, OP.signal]
/** What a process may say without being ended for it at once, and everything. */
const HARMLESS = ['RESULT', 'REPLY', 'CREDIT', 'WAIT', 'FAULT', 'EPITAPH', 'PONG', 'FENCE'] as const
const ALL = Object.values(KIND)
/** The capabilities a victim has are at small addresses. */
const SLOTS = 24
const VALUES = [0, 1, 2, 3, 16, 32, 255, 0xffffffff, 2 ** 53 - 1, -1, 1.5, null, true, '', 'helper', 'x'.repeat(300)]
function value(depth: number): unknown {
  const kind = below(depth > 3 ? 2 : 4)
  if (kind === 0) return oneOf(VALUES)
  if (kind === 1) return below(SLOTS)
  return Array.from({ length: below(9) }, () => value(depth + 1))
}
/** A capability, the own CNode or VSpace, a depth, or anything. */
const number = (): unknown => (below(8) ? oneOf([below(SLOTS), 2, 3, 32]) : oneOf(VALUES))
/** What a request could be about: as many small numbers as its method takes, or a message. */
function request(label: number): unknown {
  if (label === OP.send || label === OP.reply) return [below(9), value(2), below(4) ? [] : [below(SLOTS)], below(4)]
  if (label === OP.receive) return [below(2), below(4) ? null : [2, below(SLOTS), 32]]
  const method = methodOfLabel(label)
  return method ? Object.keys(method.args.fields).map(number) : [below(SLOTS), value(1)]
}
function kind(): number {
  const drawn = below(100)
  if (drawn < 70) return KIND.INVOKE
  return drawn < 98 ? KIND[oneOf(HARMLESS)] : oneOf(ALL)
}
/** Mostly well-formed messages with wrong contents; one in twelve broken as a message. */
function noise(sessions: readonly number[]): Buffer {
  const what = kind()
  const session = sessions.length && what !== KIND.INVOKE && below(4) ? oneOf(sessions) : below(SLOTS)
  const label = what === KIND.INVOKE && below(100) ? oneOf(below(4) ? labels : MESSAGES) : below(64)
  const body = what === KIND.INVOKE && below(3) ? request(label) : value(0)
  const message = encode(what, below(8) ? 0 : below(256), label, session, below(100), body)
  if (!below(16)) message.writeUInt16LE(below(4), 2)
  const broken = below(48)
  if (broken === 0) return message.subarray(0, below(message.length))
  if (broken === 1) message[below(message.length)] ^= 1 << below(8)
  if (broken === 2) return Buffer.concat([message.subarray(0, 40), Buffer.from([0xc6, 0x40, 0, 0, 0, 1])])
  if (broken === 3) return Buffer.concat([message.subarray(0, 40), Buffer.alloc(200, 0x91)])
  return message
}

const [SERVED, OURS, MEMORY, BELL, NEXT] = [0x10, 0x11, 0x12, 0x13, 0x1000]
/** Calls whoever serves it, serves who calls it, waits for what will not come. */
const helper: Main = async ({ sel4, libsel4, clock }) => {
  void (async () => {
    for (;;) {
      const { reply } = await sel4.recv(OURS)
      if (reply) sel4.reply(reply, 0, null)
    }
  })().catch(() => {})
  void libsel4.Wait(BELL).catch(() => {})
  for (;;) {
    await sel4.call(SERVED, 1, 'a word').catch(() => {})
    await clock.sleep(1)
  }
}
/** Starts victims, one after the other, each with capabilities it can misuse. */
class Furnisher {
  private readonly env: Environment
  private readonly root: RootTask
  private served = 0
  private nextSlot = NEXT

  constructor(env: Environment) {
    this.env = env
    this.root = env.root as RootTask
  }
  async begin(): Promise<void> {
    const { sel4 } = this.env
    const served = (this.served = await this.root.endpoint())
    this.root.onDeath(() => void this.spawn())
    void (async () => {
      for (;;) {
        const { reply } = await sel4.recv(served)
        if (reply) sel4.reply(reply, 0, null)
      }
    })()
    await this.spawn()
  }
  private async make(type: keyof typeof OBJECT_TYPE, bits = 0): Promise<number> {
    const { libsel4, caps } = this.env
    const slot = this.nextSlot++
    await libsel4.Untyped_Retype(caps['untyped.test'], OBJECT_TYPE[type], bits, OWN, 0, 0, slot, 1)
    return slot
  }
  /** It may be ended before it has everything. */
  private spawn(): Promise<void> {
    return this.furnished().catch(() => {})
  }
  private async furnished(): Promise<void> {
    const { libsel4, sel4 } = this.env
    for (let slot = NEXT; slot < this.nextSlot; slot++) await libsel4.CNode_Revoke(OWN, slot, 32)
    for (let slot = NEXT; slot < this.nextSlot; slot++) await libsel4.CNode_Delete(OWN, slot, 32)
    this.nextSlot = NEXT
    const ours = await this.make('seL4_EndpointObject')
    const given = [
      [SERVED, this.served, RIGHTS.write | RIGHTS.grantReply],
      [OURS, ours, RIGHTS.all],
      [MEMORY, await this.make('seL4_UntypedObject', 16), RIGHTS.all],
      [BELL, await this.make('seL4_NotificationObject'), RIGHTS.all],
      [BELL + 1, await this.make('seL4_X86_4K'), RIGHTS.read],
      [BELL + 2, await this.make('seL4_EndpointObject'), RIGHTS.all],
    ]
    const request = { image: 'helper', birth: 'fresh', caps: {}, arenaBytes: 0, config: {}, control: true } as const
    const child = await this.root.spawn({ ...request, suspended: true })
    const cnode = child.caps?.cnode ?? 0
    for (const [slot, cap, rights] of given) await libsel4.CNode_Copy(cnode, slot, 32, OWN, cap, 32, rights)
    for (const cap of Object.values(child.caps ?? {})) await libsel4.CNode_Delete(OWN, cap, 32)
    await this.root.resume('helper')
    for (let call = 0; call < 3; call++) void sel4.call(ours, 1, 'a word').catch(() => {})
  }
}
async function underNoise(slowpath: boolean): Promise<void> {
  let served = 0
  const tester: Main = async (env) => {
    await new Furnisher(env).begin()
    for (;;) {
      await env.clock.sleep(1)
      await env.libsel4.Yield()
      served++
    }
  }
  const sim = new Simulator({ seed: SEED, ...described(slowpath), images: { tester, chip, helper } })
  sim.boot()
  await sim.run(50)
  for (let sent = 0; sent < scaled(100_000); ) {
    const victim = sim.kernel.processes.get('helper')
    if (victim?.state === 'running' && !victim.ended) {
      const sessions = [...victim.sessionsOut, ...victim.sessionsIn].map(({ id }) => id)
      sim.kernel.onMessage(victim.init.token, noise(sessions))
      if (++sent % 20 > 0) continue
      if (sent % 500 === 0) expect(checkInvariants(sim.kernel).broken, `after ${sent} messages`).to.deep.equal([])
    }
    await sim.run(3)
  }
  await expectInvariants(sim)
  const before = served
  await sim.run(100)
  expect(sim.ended).to.equal(undefined)
  expect(served - before).to.be.greaterThan(10)
  expect(sim.said('kernel', 'helper died').length).to.be.greaterThan(0)
}
describe('the gate under noise', function () {
  this.timeout(300_000)
  it('ends who babbles and serves the rest', () => underNoise(false))
  it('so where every message goes through the kernel', () => underNoise(true))
})
