/** More than there is: of messages, of capabilities and objects, of time. */
import { OBJECT_TYPE, RIGHTS } from '#contracts/sel4'
import { encode, FLAG, flagsOf, KIND, OP, sequenceOf } from '../../../lib/sel4/wire.ts'
import type { CPtr } from '../../../lib/sel4/api.ts'
import { type Attack, type Hostile, OWN, SOON_MS, SILENCE_MS, errorOf, pause } from '../attack.ts'
import { DEPTH, LABEL, SLOT } from '../line.ts'

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
const floodAtBusyRoot: Attack = {
  name: 'a million messages to the root task while it takes none',
  async run(hostile) {
    const { link, session } = await hostile.route(hostile.env.caps.executive)
    const message = encode(KIND.SEND, 0, 0, session, 0, 'again')
    await hostile.ask('rest')
    for (let sent = 0; sent < FLOOD; sent++) {
      link?.peer.send(Buffer.from(message))
      if (sent % TURN === 0) await new Promise(setImmediate)
    }
  },
  expected: { death: { cause: 'fault', detail: /^more messages than credits to warden$/ } },
  onSlowpath: { death: { cause: 'fault', detail: /^more messages than credits$/ } },
}
interface Flood {
  readonly name: string
  readonly kind: number
  readonly to: (hostile: Hostile) => CPtr
  readonly session?: (own: number) => number
}
/** Of a receiver that keeps up: what it takes gives credits, and nothing of the flood is ever waiting in it. */
const floodAt = ({ name, kind, to, session = (own) => own }: Flood): Attack => ({
  name,
  async run(hostile) {
    const { socket, session: own } = await hostile.floodgate(to(hostile))
    const message = encode(kind, 0, LABEL.echo, session(own), kind === KIND.SEND ? 0 : 1, 'again')
    const count = Number(hostile.env.config.flood)
    for (let sent = 0; sent < count; sent++) await socket.send(message)
    await pause(SOON_MS)
    socket.close()
    return { all: true }
  },
  expected: { limited: { all: true } },
  onSlowpath: 'none',
  patienceMs: 120_000,
})
const server = () => SLOT.server
const floodAtRoot = floodAt({
  name: 'a million messages to the root task',
  kind: KIND.SEND,
  to: ({ env }) => env.caps.executive,
})
const floodAtServer = floodAt({ name: 'a million messages to a server', kind: KIND.CALL, to: server })
const floodAlongNone = floodAt({
  name: 'a million messages along no session',
  kind: KIND.CALL,
  to: server,
  session: () => 0x7777_7777,
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
/** One thread waits for one thing: each of these would stay in the kernel, with all that it carries. */
const callsAtOnce: Attack = {
  name: 'system calls of one thread, all at once',
  async run(hostile) {
    const { runtime, sel4 } = hostile
    const endpoint = hostile.slot()
    await sel4.Untyped_Retype(SLOT.memory, OBJECT_TYPE.seL4_EndpointObject, 0, OWN, 0, 0, endpoint, 1)
    const outcomes = new Map<string, number>()
    const flood = Array.from({ length: 1000 }, async () => {
      const error = await errorOf(runtime.invoke(OP.send, [0, new Uint8Array(100_000), [], 1], 0, endpoint))
      outcomes.set(error, (outcomes.get(error) ?? 0) + 1)
    })
    await Promise.race([Promise.all(flood), pause(3000)])
    return Object.fromEntries(outcomes)
  },
  expected: { limited: { seL4_IllegalOperation: 999 } },
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

export const FLOODS: readonly Attack[] = [
  deafFlood,
  floodAtTheGate,
  floodAtBusyRoot,
  floodAtRoot,
  floodAtServer,
  floodAlongNone,
  neverReplies,
  leaksCaps,
  exhaustsUntyped,
  opensEndpoints,
  makesNotifications,
  callsAtOnce,
  waitsWithoutEnd,
  reopensSession,
  spins,
]
