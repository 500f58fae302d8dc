/**
 * What a hostile process can try, as data: a name, what it does, what is to come of it. The test beside this and the fault
 * laboratory run them all in the same way; nothing here knows how.
 *
 *   ATTACKS                 every attack
 *   attack.run(hostile)     inside the hostile process; resolves to what it has found out, unless it is ended
 *   attack.expected         `death`: it is ended, for that; `limited`: it lives, and found out just that
 *
 * Whatever is expected of the hostile process, the same is expected for the others: see arena.ts.
 */
/* eslint-disable max-lines -- a table: one attack a row, to be read from top to bottom */
import { readdirSync, readFileSync } from 'node:fs'
import { OBJECT_TYPE, RIGHTS, seL4_CapInitThreadCNode, seL4_CapInitThreadVSpace } from '#contracts/sel4'
import { Dealer } from 'zeromq'
import type { CPtr, Environment } from '../../lib/sel4/api.ts'
import type { Route } from '../../lib/sel4/routes.ts'
import type { Runtime } from '../../lib/sel4/runtime.ts'
import type { Libsel4 } from '../../lib/sel4/threads.ts'
import { ASK, encode, FLAG, flagsOf, KIND, OFFENCE, OP, sequenceOf } from '../../lib/sel4/wire.ts'
import { DEPTH, LABEL, type Line, SLOT } from './line.ts'

export type Expected =
  | { readonly death: { readonly cause: string; readonly detail: RegExp } }
  | { readonly limited: object }
export interface Attack {
  readonly name: string
  readonly run: (hostile: Hostile) => Promise<object | void>
  readonly expected: Expected
  /** Where it comes to something else when every message goes through the kernel; `none`: there is no such attack then. */
  readonly onSlowpath?: Expected | 'none'
  /** Milliseconds it may take until it has come to that, when more than a few seconds. */
  readonly patienceMs?: number
  /** Somebody watches meanwhile: `neptune trace`. */
  readonly traced?: true
}
const OWN = seL4_CapInitThreadCNode
const HEADER = 40
const VADDR = 0x4000_0000
const SOON_MS = 100
/** A message that is never answered is one that is not heard within this time. */
const SILENCE_MS = 300

export const errorOf = (act: Promise<unknown>): Promise<string> =>
  act.then(
    () => 'worked',
    (error: Error) => error.message.split(':')[0],
  )
export const pause = (milliseconds: number): Promise<void> => new Promise((go) => setTimeout(go, milliseconds))

/** What a process can misuse: its runtime's insides, raw sockets, what it finds in the run directory. */
export class Hostile {
  readonly env: Environment
  readonly runtime: Runtime
  readonly sel4: Libsel4
  readonly line: Line
  /** Sessions others have opened to it. */
  readonly sessionsIn: number[] = []
  readonly run = process.cwd()
  private nextSlot: number = SLOT.free

  constructor(env: Environment, runtime: Runtime, line: Line) {
    this.env = env
    this.runtime = runtime
    this.sel4 = env.libsel4
    this.line = line
    runtime.sessions.deviceOpened = ({ session }) => void this.sessionsIn.push(session)
  }
  slot(): number {
    return this.nextSlot++
  }
  message(kind: number, session: number, body: readonly number[], sequence = 1, label: number = LABEL.loot): Buffer {
    const message = Buffer.alloc(HEADER + body.length)
    message[0] = kind
    message.writeUInt32LE(label, 4)
    message.writeUInt32LE(session, 8)
    message.writeUInt32LE(sequence, 12)
    message.set(body, HEADER)
    return message
  }
  gate(message: Buffer): void {
    this.runtime.transport.gate(message)
  }
  async route(slot: CPtr): Promise<Route> {
    const route = await this.runtime.routes.openRoute(slot)
    if (!route.link || !route.info) throw new Error('the route is not open')
    return route
  }
  /** A socket of its own, under any identity. */
  socket(address: string, identity: string): { send(message: Buffer): void; heard: Buffer[]; close(): void } {
    const heard: Buffer[] = []
    return { ...this.runtime.transport.connect(address, identity, (message) => heard.push(message)), heard }
  }
  /** In place of the runtime's own: waits when the receiver takes nothing, so that a flood costs it no memory. */
  async floodgate(slot: CPtr): Promise<{ socket: Dealer; session: number }> {
    const { link, info, session } = await this.route(slot)
    link?.peer.close()
    await pause(SOON_MS)
    const socket = new Dealer({ routingId: info?.identity, linger: 0 })
    socket.connect(info?.address ?? '')
    return { socket, session }
  }
  ask(...what: readonly string[]): Promise<unknown> {
    return this.env.sel4.call(this.env.caps.executive, 0, what)
  }
  /** Serves as it was asked to, and keeps the identity under which the first message came. */
  async serveOnce(): Promise<void> {
    const { reply, body } = await this.env.sel4.recv(SLOT.hostile)
    if (reply) this.env.sel4.reply(reply, 0, body)
  }
  async tables(): Promise<void> {
    const make = async (type: keyof typeof OBJECT_TYPE): Promise<number> => {
      const slot = this.slot()
      await this.sel4.Untyped_Retype(SLOT.memory, OBJECT_TYPE[type], 0, OWN, 0, 0, slot, 1)
      return slot
    }
    const space = seL4_CapInitThreadVSpace
    await this.sel4.X86_PDPT_Map(await make('seL4_X86_PDPTObject'), space, VADDR, 0)
    await this.sel4.X86_PageDirectory_Map(await make('seL4_X86_PageDirectoryObject'), space, VADDR, 0)
    await this.sel4.X86_PageTable_Map(await make('seL4_X86_PageTableObject'), space, VADDR, 0)
  }
  async mapFrame(): Promise<void> {
    await this.tables()
    await this.sel4.X86_Page_Map(SLOT.frame, seL4_CapInitThreadVSpace, VADDR, RIGHTS.all, 0)
  }
  pidOf(name: string): number {
    const living = JSON.parse(readFileSync(`${this.run}/pids.json`, 'utf8')) as { name: string; pid: number }[]
    return living.find((each) => each.name === name)?.pid ?? 0
  }
  /** What only a process of the same user, outside a container, can read. */
  tokenOf(name: string): string {
    const environment = readFileSync(`/proc/${this.pidOf(name)}/environ`, 'utf8').split('\0')
    const boot = environment.find((line) => line.startsWith('NEPTUNE_BOOT='))?.slice('NEPTUNE_BOOT='.length)
    return (JSON.parse(boot ?? '{}') as { token: string }).token
  }
  get gateAddress(): string {
    return `ipc://${this.run}/s/gate`
  }
}

// ------------------------------------------------------------ messages that are none

const GIB = [0x40, 0, 0, 0]
const BODIES: Readonly<Record<string, readonly number[]>> = {
  garbage: [0xc1, 0x99, 0xff, 0x17],
  'a truncated array': [0x93, 1],
  'two hundred arrays in each other': [...Array<number>(200).fill(0x91), 0xc0],
  'a GiB of bytes, claimed': [0xc6, ...GIB, 1, 2, 3],
  'a billion items, claimed': [0xdd, ...GIB, 1, 2, 3],
}
const malformed: Attack[] = Object.entries(BODIES).flatMap(([what, body]) => [
  {
    name: `${what}, at the gate`,
    run: async (hostile) => hostile.gate(hostile.message(KIND.INVOKE, 0, body)),
    expected: { death: { cause: 'fault', detail: /^malformed message to the kernel$/ } },
  },
  {
    name: `${what}, to a server`,
    async run(hostile) {
      // The first is the server's word against ours; the second meets the kernel.
      for (let i = 0; i < 2; i++) {
        await hostile.env.sel4.call(SLOT.server, LABEL.echo, 'a word').catch(() => {})
        const { link, session } = await hostile.route(SLOT.server)
        link?.peer.send(hostile.message(KIND.CALL, session, body))
        await pause(SOON_MS)
      }
    },
    expected: { death: { cause: 'fault', detail: /^malformed message to the kernel$/ } },
  },
])
const toTheRoot: Attack = {
  name: 'garbage, to the root task',
  async run(hostile) {
    const { link, session } = await hostile.route(hostile.env.caps.executive)
    link?.peer.send(hostile.message(KIND.CALL, session, BODIES.garbage))
  },
  expected: { death: { cause: 'fault', detail: /^malformed message to warden$/ } },
  onSlowpath: { death: { cause: 'fault', detail: /^malformed message to the kernel$/ } },
}
const SHORT = [0, 1, 3, 9, 12, 15, 39]
const shortAtTheGate: Attack[] = (['CALL', 'SEND', 'REPLY', 'CREDIT', 'PORT_IN', 'DOORBELL', 'INVOKE'] as const).map(
  (kind) => ({
    name: `less than a header, as a ${kind}, at the gate`,
    async run(hostile) {
      for (const length of SHORT.slice(1)) hostile.gate(Buffer.alloc(length, KIND[kind]))
    },
    expected: { death: { cause: 'fault', detail: /^malformed message to the kernel$/ } },
  }),
)
const shortAnswers: Attack = {
  name: 'answers shorter than a header, to who calls it',
  async run(hostile) {
    let sent = 0
    const { transport } = hostile.runtime
    const answer = transport.answer.bind(transport)
    transport.answer = (identity, message) => {
      for (const kind of [KIND.REPLY, KIND.CREDIT, KIND.CALL])
        for (const length of SHORT) {
          answer(identity, Buffer.alloc(length, kind))
          sent++
        }
      answer(identity, message)
    }
    await hostile.serveOnce()
    await pause(SOON_MS)
    return { sent }
  },
  expected: { limited: { sent: 21 } },
  onSlowpath: 'none',
}

// ------------------------------------------------------------ authority it has not

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

// ------------------------------------------------------------ memory and ports

const unknownFrames: Attack = {
  name: 'frames it was not given',
  async run(hostile) {
    await hostile.tables()
    const map = (slot: number) =>
      errorOf(hostile.sel4.X86_Page_Map(slot, seL4_CapInitThreadVSpace, VADDR, RIGHTS.all, 0))
    const outcomes = new Set<string>()
    for (let slot = SLOT.free + 0x100; slot < SLOT.free + 0x140; slot++) outcomes.add(await map(slot))
    outcomes.add(await map(SLOT.server))
    await hostile.ask('revoke', 'frame')
    outcomes.add(await map(SLOT.frame))
    return { outcomes: [...outcomes].sort() }
  },
  expected: { limited: { outcomes: ['seL4_FailedLookup', 'seL4_InvalidCapability'] } },
}
const NO_HANDLER = /^fault \d without a handler$/
const afterRevocation: Attack = {
  name: 'a page after its revocation',
  async run(hostile) {
    await hostile.mapFrame()
    await hostile.sel4.load(VADDR, 16)
    await hostile.ask('revoke', 'frame')
    await hostile.sel4.load(VADDR, 16)
  },
  expected: { death: { cause: 'fault', detail: NO_HANDLER } },
}
const refusesToUnmap: Attack = {
  name: 'refusing to unmap',
  async run(hostile) {
    await hostile.mapFrame()
    hostile.runtime.whenAsked(ASK.unmap, () => new Promise(() => {}))
    await hostile.ask('revoke', 'frame')
  },
  expected: { death: { cause: 'lease', detail: /^it did not confirm/ } },
  patienceMs: 15_000,
}
const refusesToClose: Attack = {
  name: 'refusing to close a session',
  async run(hostile) {
    await hostile.serveOnce()
    hostile.runtime.whenAsked(ASK.sessionClose, () => new Promise(() => {}))
    await hostile.ask('revoke', 'served')
  },
  expected: { death: { cause: 'lease', detail: /^it did not confirm/ } },
  patienceMs: 15_000,
}
const writesReadOnly: Attack = {
  name: 'writing a read-only frame',
  async run(hostile) {
    await hostile.mapFrame()
    await hostile.sel4.store(VADDR, Uint8Array.of(1))
  },
  expected: { death: { cause: 'fault', detail: NO_HANDLER } },
}
const writesReadOnlyView: Attack = {
  name: 'writing a read-only frame, past the accessor',
  async run(hostile) {
    const { transport } = hostile.runtime
    const map = transport.map.bind(transport)
    let view: Uint8Array = new Uint8Array(1)
    transport.map = (extent) => (view = map(extent))
    await hostile.mapFrame()
    view[0] = 1
  },
  expected: { death: { cause: 'signal', detail: /^SIGSEGV$/ } },
}
const portByInstruction: Attack = {
  name: 'a port it does not hold',
  run: async ({ sel4 }) => void (await sel4.inb(0x60)),
  expected: { death: { cause: 'fault', detail: NO_HANDLER } },
}
const portAlongSession: Attack = {
  name: 'a port it does not hold, along a session',
  async run(hostile) {
    for (let i = 0; i < 2; i++) {
      await hostile.env.sel4.call(SLOT.server, LABEL.echo, 'a word').catch(() => {})
      const { link, session } = await hostile.route(SLOT.server)
      link?.peer.send(hostile.message(KIND.PORT_IN, session, [0xc0], 1, 0x60 | (1 << 16)))
      await pause(SOON_MS)
    }
  },
  expected: { death: { cause: 'fault', detail: /^not what the session is for$/ } },
}

// ------------------------------------------------------------ too much

/** As fast as it can, and as the issue counts them; a turn of the loop between, so that it hears of nothing too late. */
export const FLOOD = 1_000_000
const TURN = 500
const AGAIN = encode(KIND.INVOKE, 0, OP.yield, 0, 1, null)
const deafFlood: Attack = {
  name: 'a million messages at the gate, without a look at the answers',
  async run(hostile) {
    for (let sent = 0; sent < FLOOD; sent++) hostile.gate(Buffer.from(AGAIN))
  },
  expected: { death: { cause: 'limit', detail: /^requests: more than \d+ without listening to an answer$/ } },
}
const floodAtTheGate: Attack = {
  name: 'a million messages at the gate',
  async run(hostile) {
    const { sel4 } = hostile
    const count = Number(hostile.env.config.flood)
    for (let sent = 0; sent < count; sent += TURN) await Promise.all(Array.from({ length: TURN }, () => sel4.Yield()))
    return { all: true }
  },
  expected: { limited: { all: true } },
  patienceMs: 120_000,
}
const floodAtTheRoot: Attack = {
  name: 'a million messages to the root task',
  async run(hostile) {
    const { link, session } = await hostile.route(hostile.env.caps.executive)
    const message = encode(KIND.SEND, 0, 0, session, 0, 'again')
    for (let sent = 0; sent < FLOOD; sent++) {
      link?.peer.send(Buffer.from(message))
      if (sent % TURN === 0) await new Promise(setImmediate)
    }
  },
  expected: { death: { cause: 'fault', detail: /^more messages than credits to warden$/ } },
  onSlowpath: { death: { cause: 'fault', detail: /^more messages than credits$/ } },
}
const floodAtServer = (name: string, kind: number, session: (own: number) => number): Attack => ({
  name,
  async run(hostile) {
    const { socket, session: own } = await hostile.floodgate(SLOT.server)
    const message = encode(kind, 0, LABEL.echo, session(own), 1, 'again')
    const count = Number(hostile.env.config.flood)
    void socket.receive().catch(() => {})
    for (let sent = 0; sent < count; sent++) await socket.send(message)
    await pause(SOON_MS)
    socket.close()
    return { all: true }
  },
  expected: { limited: { all: true } },
  onSlowpath: 'none',
  patienceMs: 120_000,
})
const neverReplies: Attack = {
  name: 'never replying',
  async run({ env }) {
    let taken = 0
    void (async () => {
      for (;;) {
        await env.sel4.recv(SLOT.hostile)
        taken++
      }
    })()
    await pause(1500)
    return { taken }
  },
  expected: { limited: { taken: 64 } },
}
/** Until it is refused: why, and whether that was soon enough. */
async function until(most: number, act: (count: number) => Promise<unknown>): Promise<object> {
  for (let count = 0; count < most; count++) {
    const error = await errorOf(act(count))
    if (error !== 'worked') return { error, soon: true }
  }
  return { error: 'none', soon: false }
}
const leaksCaps: Attack = {
  name: 'capabilities until its CSpace is full',
  run: (hostile) =>
    until(70_000, () => hostile.sel4.CNode_Copy(OWN, hostile.slot(), DEPTH, OWN, SLOT.server, DEPTH, RIGHTS.write)),
  expected: { limited: { error: 'seL4_NotEnoughMemory', soon: true } },
}
const exhaustsUntyped: Attack = {
  name: 'objects until its untyped is used up',
  run: (hostile) =>
    until(200, () =>
      hostile.sel4.Untyped_Retype(SLOT.memory, OBJECT_TYPE.seL4_X86_4K, 0, OWN, 0, 0, hostile.slot(), 1),
    ),
  expected: { limited: { error: 'seL4_NotEnoughMemory', soon: true } },
}
const opensEndpoints: Attack = {
  name: 'endpoints until there are no more',
  run: (hostile) =>
    until(70_000, () =>
      hostile.sel4.Untyped_Retype(SLOT.memory, OBJECT_TYPE.seL4_EndpointObject, 0, OWN, 0, 0, hostile.slot(), 1),
    ),
  expected: { limited: { error: 'seL4_NotEnoughMemory', soon: true } },
}
const makesNotifications: Attack = {
  name: 'notifications until there are no more',
  run: ({ env }) => until(70_000, () => env.sel4.makeNotification()),
  expected: { limited: { error: 'seL4_NotEnoughMemory', soon: true } },
}
const waitsWithoutEnd: Attack = {
  name: 'waiting for one notification again and again',
  async run({ env, runtime }) {
    const notification = await env.sel4.makeNotification()
    const refused = new Set<number>()
    const onGate = runtime.onGate.bind(runtime)
    runtime.onGate = (message) => {
      if (message[0] === KIND.NOTIFY && flagsOf(message) & FLAG.ERROR) refused.add(sequenceOf(message))
      else onGate(message)
    }
    for (let sequence = 1; sequence <= 3000; sequence++) {
      runtime.transport.gate(encode(KIND.WAIT, 0, 0, notification, 0x1000_0000 + sequence, null))
      if (sequence % 100 === 0) await pause(1)
    }
    await pause(SILENCE_MS)
    return { refused: refused.size }
  },
  expected: { limited: { refused: 3000 - 1024 } },
}
const reopensSession: Attack = {
  name: 'the same session, opened again and again',
  run: ({ runtime }) => until(1000, () => runtime.invoke(OP.openSession, [SLOT.server])),
  expected: { limited: { error: 'seL4_NotEnoughMemory', soon: true } },
}
const spins: Attack = {
  name: 'spinning',
  async run() {
    for (;;);
  },
  expected: { death: { cause: 'lease', detail: /^it hung$/ } },
  patienceMs: 30_000,
}

// ------------------------------------------------------------ lies

const accuses = (name: string, offence: number, bytes: Buffer): Attack => ({
  name,
  async run(hostile) {
    const { env, runtime, sessionsIn } = hostile
    void (async () => {
      for (;;) {
        const { reply, body } = await env.sel4.recv(SLOT.hostile)
        if (reply) env.sel4.reply(reply, 0, body)
      }
    })()
    let accused = 0
    for (let turn = 0; turn < 50; turn++) {
      for (const session of sessionsIn.splice(0)) {
        runtime.sessions.fault(session, bytes, offence)
        accused++
      }
      await pause(20)
    }
    return { often: accused > 1 }
  },
  expected: { limited: { often: true } },
})
const falseCredits: Attack = {
  name: 'credits nobody has used',
  async run(hostile) {
    const { env, runtime, sessionsIn } = hostile
    const { transport } = runtime
    const answer = transport.answer.bind(transport)
    transport.answer = (identity, message) => {
      for (const session of sessionsIn) answer(identity, encode(KIND.CREDIT, 0, 1000, session, 0, null))
      answer(identity, message)
    }
    for (let i = 0; i < 100; i++) await hostile.serveOnce()
    for (const session of sessionsIn) runtime.tell(KIND.CREDIT, 1000, session, null)
    return { still: await errorOf(env.sel4.call(SLOT.server, LABEL.echo, 'a word')) }
  },
  expected: { limited: { still: 'worked' } },
}
const answersOthersCalls: Attack = {
  name: "answers to its caller's calls of others",
  async run(hostile) {
    const { transport } = hostile.runtime
    const answer = transport.answer.bind(transport)
    transport.answer = (identity, message) => {
      const last = sequenceOf(message)
      for (let sequence = last; sequence < last + 300; sequence++)
        answer(identity, encode(KIND.REPLY, 0, 0, 1, sequence, 'a lie'))
      for (let session = 0; session < 20; session++) answer(identity, encode(KIND.CREDIT, 0, 1000, session, 0, null))
    }
    for (let i = 0; i < 20; i++) await hostile.serveOnce()
    return {}
  },
  expected: { limited: {} },
}
const answersForOthers: Attack = {
  name: "answers to others' calls, at the gate",
  async run(hostile) {
    for (let session = 0; session < 100; session++)
      for (let sequence = 0; sequence < 20; sequence++) {
        hostile.gate(encode(KIND.REPLY, 0, 0, session, sequence, 'a lie'))
        hostile.gate(encode(KIND.RESULT, 0, 0, session, sequence, 'a lie'))
      }
    await pause(SILENCE_MS)
    return {}
  },
  expected: { limited: {} },
}
const liesToTheKernel: Attack = {
  name: "garbage in answer to the kernel's questions",
  async run({ runtime }) {
    let asked = 0
    for (const ask of Object.values(ASK))
      runtime.whenAsked(ask, () => {
        asked++
        return [['a lie'], { waits: 'a lie' }]
      })
    await pause(SILENCE_MS)
    return { silent: asked === 0 }
  },
  expected: { limited: { silent: true } },
  traced: true,
}
const secondBirth: Attack = {
  name: 'a second birth',
  run: async ({ runtime }) => runtime.tell(KIND.HELLO, 0, 0, ['ipc:///nowhere']),
  expected: { death: { cause: 'fault', detail: /^a second birth$/ } },
}
const unknownCall: Attack = {
  name: 'a system call that does not exist',
  run: async ({ sel4 }) => void (await sel4.unknownSyscall(7)),
  expected: { death: { cause: 'fault', detail: NO_HANDLER } },
}

export const ATTACKS: readonly Attack[] = [
  ...malformed,
  toTheRoot,
  ...shortAtTheGate,
  shortAnswers,
  forgedBadge,
  guessedSessions,
  replayed,
  noCapability,
  gateIdentity("another's gate identity, guessed", () => ['0'.repeat(32), 'f'.repeat(32), 'panel', 'warden']),
  gateIdentity("another's very gate identity", (hostile) =>
    ['warden', 'server', 'caller'].map((name) => hostile.tokenOf(name)),
  ),
  rootsWork,
  unknownFrames,
  afterRevocation,
  refusesToUnmap,
  refusesToClose,
  writesReadOnly,
  writesReadOnlyView,
  portByInstruction,
  portAlongSession,
  deafFlood,
  floodAtTheGate,
  floodAtTheRoot,
  floodAtServer('a million messages to a server', KIND.CALL, (own) => own),
  floodAtServer('a million messages along no session', KIND.CALL, () => 0x7777_7777),
  neverReplies,
  leaksCaps,
  exhaustsUntyped,
  opensEndpoints,
  makesNotifications,
  waitsWithoutEnd,
  reopensSession,
  spins,
  accuses(
    'accusing its callers with bytes of its own making',
    OFFENCE.message,
    Buffer.concat([Buffer.alloc(HEADER), Buffer.from(BODIES.garbage)]),
  ),
  accuses('accusing its callers of overdrawing', OFFENCE.credits, encode(KIND.CALL, 0, 0, 0, 0, null)),
  falseCredits,
  answersOthersCalls,
  answersForOthers,
  liesToTheKernel,
  secondBirth,
  unknownCall,
]
