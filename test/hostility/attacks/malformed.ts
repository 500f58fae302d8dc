/** Bytes that are no message. */
import { KIND } from '../../../lib/sel4/wire.ts'
import { type Attack, SOON_MS, pause } from '../attack.ts'
import { LABEL, SLOT } from '../line.ts'

const GIB = [0x40, 0, 0, 0]
export const BODIES: Readonly<Record<string, readonly number[]>> = {
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

export const MALFORMED: readonly Attack[] = [...malformed, toTheRoot, ...shortAtTheGate, shortAnswers]
