/** Pages and ports that it does not hold, or no longer, or not for writing. */
import { RIGHTS, seL4_CapInitThreadVSpace } from '#contracts/sel4'
import { ASK, KIND } from '../../../lib/sel4/wire.ts'
import { type Attack, VADDR, SOON_MS, NO_HANDLER, errorOf, pause } from '../attack.ts'
import { LABEL, SLOT } from '../line.ts'

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

export const MEMORY: readonly Attack[] = [
  unknownFrames,
  afterRevocation,
  refusesToUnmap,
  refusesToClose,
  writesReadOnly,
  writesReadOnlyView,
  portByInstruction,
  portAlongSession,
]
