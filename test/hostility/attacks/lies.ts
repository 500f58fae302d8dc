/** Words that are not true: to callers, to servers, to the kernel. */
import { ASK, encode, KIND, OFFENCE, sequenceOf } from '../../../lib/sel4/wire.ts'
import { type Attack, HEADER, SILENCE_MS, NO_HANDLER, errorOf, pause } from '../attack.ts'
import { LABEL, SLOT } from '../line.ts'
import { BODIES } from './malformed.ts'

/** The caller has called as often as it will wait for. */
const UNANSWERED_MS = 1500

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
    const { faults } = runtime.counters
    // Its caller goes on calling, more often than it has credits, and is answered nothing.
    await pause(UNANSWERED_MS)
    const still = await errorOf(env.sel4.call(SLOT.server, LABEL.echo, 'a word'))
    return { still, beyondTheWindow: runtime.counters.faults - faults }
  },
  expected: { limited: { still: 'worked', beyondTheWindow: 0 } },
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
  run: async ({ runtime }) => runtime.tell(KIND.HELLO, 0, 0, null),
  expected: { death: { cause: 'fault', detail: /^a second birth$/ } },
}
const unknownCall: Attack = {
  name: 'a system call that does not exist',
  run: async ({ sel4 }) => void (await sel4.unknownSyscall(7)),
  expected: { death: { cause: 'fault', detail: NO_HANDLER } },
}

export const LIES: readonly Attack[] = [
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
