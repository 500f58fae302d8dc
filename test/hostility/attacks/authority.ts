/** What it has no capability for. */
import { readdirSync } from 'node:fs'
import { RIGHTS } from '#contracts/sel4'
import { encode, FLAG, flagsOf, KIND, OP } from '../../../lib/sel4/wire.ts'
import { type Attack, type Hostile, OWN, SOON_MS, SILENCE_MS, errorOf, pause } from '../attack.ts'
import { DEPTH, LABEL, SLOT } from '../line.ts'
import { BODIES } from './malformed.ts'

const forgedBadge: Attack = {
  name: 'a forged badge',
  async run({ sel4, env }) {
    const mint = await errorOf(sel4.CNode_Mint(OWN, SLOT.free, DEPTH, OWN, SLOT.server, DEPTH, RIGHTS.all, 5))
    const { body } = await env.sel4.call(SLOT.server, LABEL.echo, 'whom do you see?')
    return { mint, badge: body }
  },
  expected: { limited: { mint: 'seL4_IllegalOperation', badge: 9 } },
}
const guessedSessions: Attack = {
  name: 'guessed sessions',
  async run(hostile) {
    const { link } = await hostile.route(SLOT.server)
    for (let session = 0; session < 2000; session++) {
      link?.peer.send(encode(KIND.CALL, 0, LABEL.loot, session + 0x1000, session, 'guessed'))
      if (session % 100 === 99) await pause(10)
    }
    for (let session = 0; session < 200; session++)
      if (session !== (await hostile.route(SLOT.server)).session)
        link?.peer.send(encode(KIND.CALL, 0, LABEL.loot, session, session, 'guessed'))
    await pause(SILENCE_MS)
    return { still: await errorOf(hostile.env.sel4.call(SLOT.server, LABEL.echo, 'a word')) }
  },
  expected: { limited: { still: 'worked' } },
  onSlowpath: { death: { cause: 'fault', detail: /^a session that is not its own$/ } },
}
const replayed: Attack = {
  name: 'a replay after revoke',
  async run(hostile) {
    const { env } = hostile
    const before = await errorOf(env.sel4.call(SLOT.lent, LABEL.echo, 'a word'))
    const { link, session } = await hostile.route(SLOT.lent)
    await hostile.ask('revoke', 'lent')
    for (let i = 0; i < 10; i++) link?.peer.send(encode(KIND.CALL, 0, LABEL.loot, session, 100 + i, 'replayed'))
    await pause(SILENCE_MS)
    return { before, after: await errorOf(env.sel4.call(SLOT.lent, LABEL.loot, 'asked anew')) }
  },
  expected: { limited: { before: 'worked', after: 'seL4_FailedLookup' } },
}
const noCapability: Attack = {
  name: 'endpoints it has no capability for',
  async run(hostile) {
    const { env, run } = hostile
    const reached: number[] = []
    const known: number[] = [env.caps.executive, ...Object.values(SLOT)]
    for (let slot = 0; slot < 400; slot++)
      if (!known.includes(slot) && (await errorOf(env.sel4.call(slot, LABEL.loot, 'no right'))) === 'worked')
        reached.push(slot)
    const sockets = readdirSync(`${run}/s`)
      .filter((name) => name !== 'gate')
      .map((name) => hostile.socket(`ipc://${run}/s/${name}`, `thief of ${name}`))
    for (const socket of sockets)
      for (let session = 0; session < 50; session++)
        socket.send(encode(KIND.CALL, 0, LABEL.loot, session, session, 'no session'))
    await pause(SILENCE_MS)
    const answered = sockets.flatMap(({ heard }) => heard).filter((message) => !(flagsOf(message) & FLAG.ERROR))
    for (const socket of sockets) socket.close()
    return { reached, answered: answered.length }
  },
  expected: { limited: { reached: [], answered: 0 } },
}
/** Were it taken for theirs, the first would end them and the second the system. */
const inTheirName = (hostile: Hostile): Buffer[] => [
  hostile.message(KIND.INVOKE, 0, BODIES.garbage),
  encode(KIND.INVOKE, 0, OP.shutdown, 0, 77, [1, 'in their name']),
]
const gateIdentity = (name: string, tokens: (hostile: Hostile) => readonly string[]): Attack => ({
  name,
  async run(hostile) {
    const sockets = tokens(hostile).map((token) => hostile.socket(hostile.gateAddress, token))
    await pause(SOON_MS)
    for (const socket of sockets)
      for (const message of inTheirName(hostile)) for (let i = 0; i < 20; i++) socket.send(Buffer.from(message))
    await pause(SILENCE_MS)
    for (const socket of sockets) socket.close()
    return { heard: sockets.flatMap(({ heard }) => heard).length }
  },
  expected: { limited: { heard: 0 } },
})
const rootsWork: Attack = {
  name: 'what only the root task may',
  async run({ runtime, env }) {
    const spawn = { image: 'server', birth: 'fresh', caps: {}, arenaBytes: 0, config: {}, instance: 'mine' }
    const tried: [number, unknown][] = [
      [OP.spawn, spawn],
      [OP.kill, ['caller']],
      [OP.shutdown, [0, 'by a thief']],
      [OP.allocate, ['test', 4096]],
      [OP.endpoint, null],
      [OP.grant, ['hostile', SLOT.server, 1, null]],
      [OP.processes, null],
      [OP.ioPort, [0x60, 0x60]],
      [OP.irqHandler, [1]],
      [OP.watchDeaths, null],
    ]
    const outcomes = new Set<string>()
    for (const [op, body] of tried) outcomes.add(await errorOf(runtime.invoke(op, body)))
    return { outcomes: [...outcomes], root: env.root !== undefined }
  },
  expected: { limited: { outcomes: ['seL4_IllegalOperation'], root: false } },
}

export const AUTHORITY: readonly Attack[] = [
  forgedBadge,
  guessedSessions,
  replayed,
  noCapability,
  gateIdentity("another's gate identity, guessed", () => ['0'.repeat(32), 'f'.repeat(32), 'panel', 'warden']),
  gateIdentity("another's very gate identity", (hostile) =>
    ['warden', 'server', 'caller'].map((name) => hostile.tokenOf(name)),
  ),
  rootsWork,
]
