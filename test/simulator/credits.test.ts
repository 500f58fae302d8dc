/** The judge of credits: nothing is wrong while messages come and go, and each thing that can be wrong is said. */
import { RIGHTS, seL4_CapInitThreadCNode, WORD_BITS } from '#contracts/sel4'
import { expect } from 'chai'
import { interpose, lift } from '../../kernel/interpose.ts'
import type { Session } from '../../kernel/session.ts'
import type { Main, Sel4 } from '../../lib/sel4/api.ts'
import type { Route } from '../../lib/sel4/under-way.ts'
import type { Runtime } from '../../lib/sel4/runtime.ts'
import type { InSession } from '../../lib/sel4/sessions.ts'
import { type Letter, Simulator } from '../../lib/sel4/sim.ts'
import { KIND, sequenceOf, setLabel } from '../../lib/sel4/wire.ts'
import { checkCredits } from '../support/credits.ts'
import { expectCredits, expectInvariants } from '../support/invariants.ts'
import { manifestFrom } from '../support/manifest.ts'
import { scaled } from '../support/scale.ts'

const WINDOW = 8
const LAUNCH = {
  machine: 'pc',
  banks: { drivers: { bytes: '8 MiB' } },
  devices: {},
  cables: {},
  root: { image: 'server', banks: ['drivers'] },
  images: { client: { image: 'client', limits: { credits: WINDOW } }, taker: { image: 'taker' } },
}
/** Where each of three receivers has the endpoint. */
const SHARED = 0x2000
type Loop = (sel4: Sel4, served: number, pause: () => Promise<void>) => Promise<void>
/** Takes what comes, a little slower than it comes, and answers the call before the last. */
const takeAndAnswer: Loop = async (sel4, served, pause) => {
  for (let owed = undefined; ; await pause()) {
    const { reply } = await sel4.recv(served)
    if (owed && reply) sel4.reply(owed, 0, null)
    owed = reply ?? owed
  }
}
const server =
  (loop: Loop): Main =>
  async ({ root, sel4, clock, random }) => {
    const served = (await root?.endpoint()) as number
    await root?.spawn({
      image: 'client',
      birth: 'fresh',
      caps: { executive: { from: served, badge: 3 } },
      arenaBytes: 0,
      config: {},
    })
    await loop(sel4, served, () => clock.sleep(random.next() / 2 ** 32))
  }
const client: Main = async ({ sel4, caps, clock, random }) => {
  for (let i = 0; ; i++) {
    if (i % 4) await sel4.send(caps.executive, 1, i)
    else void sel4.call(caps.executive, 1, i)
    if (i % 8 === 0) await clock.sleep((random.next() / 2 ** 32) * 3)
  }
}
/** A thread receives, another process's calls and does not wait. */
const threadServer: Main = async ({ root, libsel4 }) => {
  const served = (await root?.endpoint()) as number
  await root?.spawn({
    image: 'client',
    birth: 'fresh',
    caps: { executive: { from: served } },
    arenaBytes: 0,
    config: {},
  })
  for (let message = await libsel4.Recv(served); ; )
    message = message.answerable ? await libsel4.ReplyRecv(served, { label: 0 }) : await libsel4.Recv(served)
}
const threadClient: Main = async ({ libsel4, caps }) => {
  for (let i = 0; ; i++) {
    await libsel4.Call(caps.executive, { label: i })
    await libsel4.NBSend(caps.executive, { label: i })
    await libsel4.Send(caps.executive, { label: i })
  }
}
/** Three receive on one endpoint; so its sessions go through the kernel, which shares the messages out. */
const shares: Main = async ({ root, libsel4, clock }) => {
  const shared = (await root?.endpoint()) as number
  for (const instance of ['first', 'second', 'third']) {
    const request = {
      image: 'taker',
      instance,
      birth: 'fresh',
      caps: {},
      arenaBytes: 0,
      config: {},
      control: true,
    } as const
    const child = await root?.spawn(request)
    await libsel4.CNode_Copy(
      child?.caps?.cnode ?? 0,
      SHARED,
      WORD_BITS,
      seL4_CapInitThreadCNode,
      shared,
      WORD_BITS,
      RIGHTS.all,
    )
  }
  // All of them receive before the first message.
  await clock.sleep(50)
  await root?.spawn({
    image: 'client',
    birth: 'fresh',
    caps: { executive: { from: shared } },
    arenaBytes: 0,
    config: {},
  })
}
const taker: Main = async ({ sel4, clock, random }) => {
  // It is given the endpoint after its birth.
  await clock.sleep(20)
  for (;;) {
    const { reply } = await sel4.recv(SHARED)
    if (reply) void clock.sleep((random.next() / 2 ** 32) * 20).then(() => sel4.reply(reply, 0, null))
  }
}
const SYSTEMS = {
  direct: { server: server(takeAndAnswer), client, slowpath: false },
  slow: { server: server(takeAndAnswer), client, slowpath: true },
  shared: { server: shares, client, taker, slowpath: false },
  threads: { server: threadServer, client: threadClient, slowpath: false },
} as const
type Way = keyof typeof SYSTEMS

function started(way: Way, seed: number): Simulator {
  const { slowpath, ...images } = SYSTEMS[way]
  const described = manifestFrom({ ...LAUNCH, slowpath }, () => ({ needs: { interfaces: ['ExecutiveServices'] } }))
  const sim = new Simulator({ seed, ...described, images })
  sim.boot()
  return sim
}

/** The client's session, as the three that count have it. */
interface Ends {
  readonly sim: Simulator
  readonly session: Session
  readonly route: Route
  readonly sender: Runtime
  readonly incoming: InSession
}
function endsOf(sim: Simulator): Ends | undefined {
  const named = (name: string) => [...sim.processes.values()].find(({ request }) => request.name === name)?.runtime
  const [session] = sim.kernel.processes.get('client')?.sessionsOut ?? []
  const [sender, receiver] = [named('client'), named('server')]
  const route = [...(sender?.routes.values() ?? [])].find((one) => one.session === session?.id && one.state === 'open')
  const incoming = receiver?.sessions['sessions'].get(session?.id)
  return sender && route && incoming && { sim, session, route, sender, incoming }
}
const lettersOf = (sim: Simulator, kind: number): Letter[] =>
  [...sim.letters()].filter(({ message }) => message[0] === kind)

/** What is to be there before it can go wrong, what goes wrong, and the sentence that says so. */
interface Wrong {
  readonly what: string
  readonly ways: readonly Way[]
  readonly kind?: number
  when?(ends: Ends): boolean
  spoil(ends: Ends): void
  readonly says: RegExp
}
const lost = ({ sim }: Ends, kind: number): void => {
  const [letter] = lettersOf(sim, kind)
  sim['queue'] = sim['queue'].filter((event) => event.letter !== letter)
}
const doubled = ({ sim }: Ends, kind: number): void => {
  const event = sim['queue'].find(({ letter }) => letter?.message[0] === kind)
  if (event?.letter) sim.at(event.at, event.run, { ...event.letter })
}
const BOTH = ['direct', 'slow'] as const
const TOO_FEW = new RegExp(`granted ${WINDOW} credits and has [0-${WINDOW - 1}]:`)
const TOO_MANY = new RegExp(`granted ${WINDOW} credits and has (9|1\\d):`)
const WRONGS: readonly Wrong[] = [
  { what: 'a send is lost', ways: BOTH, kind: KIND.SEND, spoil: (ends) => lost(ends, KIND.SEND), says: TOO_FEW },
  { what: 'a send is doubled', ways: BOTH, kind: KIND.SEND, spoil: (ends) => doubled(ends, KIND.SEND), says: TOO_MANY },
  {
    what: 'a call is lost',
    ways: ['direct', 'slow', 'threads'],
    kind: KIND.CALL,
    spoil: (ends) => lost(ends, KIND.CALL),
    says: TOO_FEW,
  },
  {
    what: 'an answer is lost',
    ways: ['direct', 'slow', 'threads'],
    kind: KIND.REPLY,
    spoil: (ends) => lost(ends, KIND.REPLY),
    says: TOO_FEW,
  },
  {
    what: 'credits are lost on their way back',
    ways: BOTH,
    kind: KIND.CREDIT,
    spoil: (ends) => lost(ends, KIND.CREDIT),
    says: TOO_FEW,
  },
  {
    what: 'credits are given back twice',
    ways: BOTH,
    kind: KIND.CREDIT,
    spoil: (ends) => doubled(ends, KIND.CREDIT),
    says: TOO_MANY,
  },
  {
    what: 'one credit more than was taken is given back',
    ways: BOTH,
    kind: KIND.CREDIT,
    spoil: ({ sim }) => setLabel(lettersOf(sim, KIND.CREDIT)[0].message, WINDOW / 2 + 1),
    says: TOO_MANY,
  },
  {
    what: 'the sender loses a credit',
    ways: ['direct', 'slow', 'threads'],
    spoil: ({ route }) => void route.credits--,
    says: TOO_FEW,
  },
  {
    what: 'the sender gives itself a credit',
    ways: ['direct', 'slow', 'threads'],
    spoil: ({ route }) => void route.credits++,
    says: /has (9|1\d)|has 9 credits of 8/,
  },
  {
    what: 'the sender forgets a call',
    ways: ['direct', 'slow', 'threads'],
    kind: KIND.CALL,
    spoil: ({ sim, sender }) =>
      sender.routes['underWay']['pending'].delete(sequenceOf(lettersOf(sim, KIND.CALL)[0].message)),
    says: /has call \d+, for whose answer nobody waits/,
  },
  {
    what: 'the sender forgets a call that has passed the kernel',
    ways: ['slow'],
    when: ({ session }) => session.unanswered.size > 0,
    spoil: ({ session, sender }) => sender.routes['underWay']['pending'].delete([...session.unanswered.keys()][0]),
    says: /to the kernel, has call \d+, for whose answer nobody waits/,
  },
  {
    what: 'the receiver forgets a message',
    ways: ['direct', 'slow'],
    spoil: ({ incoming }) => void incoming.outstanding--,
    says: TOO_FEW,
  },
  {
    what: 'the receiver counts a message twice',
    ways: ['direct', 'slow', 'threads'],
    spoil: ({ incoming }) => void incoming.outstanding++,
    says: TOO_MANY,
  },
  {
    what: 'the receiver keeps what it took',
    ways: BOTH,
    kind: KIND.CREDIT,
    spoil: ({ route, incoming, session, sim }) => {
      sim['queue'] = sim['queue'].filter(({ letter }) => !letter)
      sim.kernel.sessions['sessions'].clear()
      sim.kernel.sessions['sessions'].set(session.id, Object.assign(session, { outstanding: WINDOW }))
      session.unanswered.clear()
      Object.assign(incoming, { outstanding: WINDOW, taken: WINDOW })
      Object.assign(route, { credits: 0, waiting: [undefined] })
    },
    says: /has messages that wait for credits, and its receivers keep them all/,
  },
  {
    what: 'a message waits although there are credits',
    ways: ['direct', 'slow', 'threads'],
    spoil: ({ route }) => Object.assign(route, { credits: 1, waiting: [undefined] }),
    says: /has 1 credits, and 1 messages wait for one/,
  },
  {
    what: 'the kernel counts one too few',
    ways: ['slow'],
    spoil: ({ session }) => void session.outstanding--,
    says: TOO_FEW,
  },
  {
    what: 'the kernel counts one too many',
    ways: ['slow'],
    spoil: ({ session }) => void session.outstanding++,
    says: TOO_MANY,
  },
  {
    what: 'the kernel forgets who is to answer a call',
    ways: ['slow'],
    when: ({ session }) => session.unanswered.size > 0,
    spoil: ({ session }) => session.unanswered.clear(),
    says: /to the kernel, waits for call \d+, which nobody has/,
  },
]
/** Nothing is under way between the kernel and the two. */
const AT_REST: readonly { what: string; spoil(ends: Ends): void; says: RegExp }[] = [
  {
    what: 'the sender does not know of its session',
    spoil: ({ route }) => void Object.assign(route, { session: 77 }),
    says: /session \d+ of client to server is not known to its sender\nclient sends along session 77, which the kernel/,
  },
  {
    what: 'the receiver does not know of it',
    spoil: ({ sim, session }) => {
      for (const { runtime } of sim.processes.values()) runtime?.sessions['sessions'].delete(session.id)
    },
    says: /session \d+ of client to server is not known to server/,
  },
  {
    what: 'the kernel does not know of it',
    spoil: ({ sim, session }) => void sim.kernel.sessions['sessions'].delete(session.id),
    says: /^server receives along session \d+, which the kernel does not have\nclient sends along session \d+, which/,
  },
]

describe('the judge of credits', function () {
  this.timeout(20_000)
  for (const way of Object.keys(SYSTEMS) as Way[])
    it(`finds nothing wrong between any two events: ${way}`, async () => {
      const sim = started(way, 1)
      const passed = new Set<number>()
      for (let events = 0; events < 3000; events++) {
        expect(await sim.step()).equal(true)
        expectCredits(sim)
        for (const { message } of sim.letters()) passed.add(message[0])
      }
      expect([...passed]).to.include.members([
        KIND.CALL,
        KIND.SEND,
        KIND.REPLY,
        ...(way === 'threads' ? [] : [KIND.CREDIT]),
      ])
    })
  for (const action of ['trace', 'delay', 'reorder'])
    it(`nor while the session moves between the paths, and calls are answered along one that is no more: ${action}`, async () => {
      for (let seed = 1; seed <= scaled(100, 5); seed++) {
        const sim = started('direct', seed)
        const judged = async (milliseconds: number, changed: Promise<unknown> = Promise.resolve()) => {
          const end = sim.now() + milliseconds
          let isChanged = false
          void changed.then(() => (isChanged = true))
          await sim.runUntil(() => {
            expectCredits(sim, `seed ${seed}`)
            return isChanged && sim.now() >= end
          })
        }
        await judged(8)
        for (let turn = 0; turn < 4; turn++) {
          await judged(5, interpose(sim.kernel, { at: 'client.executive', action, rate: 0.5, ms: 2, seed }))
          await judged(5, lift(sim.kernel, undefined))
        }
        await expectInvariants(sim, `seed ${seed}`)
      }
    })
  it('an interposed session goes on while a call waits for its answer', async () => {
    const sim = started('direct', 4)
    await sim.runUntil(() => endsOf(sim) !== undefined)
    let isChanged = false
    void interpose(sim.kernel, { at: 'client.executive', action: 'trace' }).then(() => (isChanged = true))
    await sim.runUntil(() => isChanged && endsOf(sim)?.session.interposed === true)
    const { counters } = (endsOf(sim) as Ends).sender
    const before = counters.sent
    await sim.runUntil(() => counters.sent > before + 10 * WINDOW, 1000)
  })
  for (const { what, ways, kind, when = () => true, spoil, says } of WRONGS)
    for (const way of ways)
      it(`says so: ${what} (${way})`, async () => {
        const sim = started(way, 2)
        const ready = (ends?: Ends) => ends && (!kind || lettersOf(sim, kind).length > 0) && when(ends)
        await sim.run(10)
        await sim.runUntil(() => ready(endsOf(sim)) === true)
        expect(checkCredits(sim)).deep.equal([])
        spoil(endsOf(sim) as Ends)
        expect(checkCredits(sim).join('\n')).match(says)
      })
  for (const { what, spoil, says } of AT_REST)
    it(`says so at rest: ${what}`, async () => {
      const sim = started('direct', 3)
      await sim.run(50)
      await expectInvariants(sim)
      spoil(endsOf(sim) as Ends)
      expect(checkCredits(sim).join('\n')).match(says)
    })
})
