/** The fake environment keeps the runtime's promises: checks at both ends, virtual time, notifications that latch. */
import { MalformedError } from '#contracts/field'
import { KeyboardCable } from '#contracts/machine'
import { StatusError } from '#rtl'
import { expect } from 'chai'
import { fakeEnvironment } from './fake.ts'

describe('fakeEnvironment', () => {
  it('answers a typed client', async () => {
    const fake = fakeEnvironment({ caps: { cable: 5 } })
    fake.provide(5, KeyboardCable, { scancodes: ({ bytes }) => ({ accepted: bytes.length === 2 }) })
    const cable = fake.sel4.client(KeyboardCable, fake.caps.cable)
    expect(await cable.scancodes({ bytes: [1, 2] })).to.deep.equal({ accepted: true })
  })
  it('injects requests into what is served, and passes a StatusError', async () => {
    const fake = fakeEnvironment()
    void fake.sel4.serve(7, [
      {
        iface: KeyboardCable,
        handlers: {
          scancodes: ({ bytes }) => {
            if (!bytes.length) throw new StatusError('STATUS_INVALID_PARAMETER')
            return { accepted: true }
          },
        },
      },
    ])
    expect(await fake.deliver(7, KeyboardCable, 'scancodes', { bytes: [3] })).to.deep.equal({ accepted: true })
    const failure = await fake.deliver(7, KeyboardCable, 'scancodes', { bytes: [] }).catch((error) => error)
    expect(failure).to.be.instanceOf(StatusError)
    const malformed = await fake.deliver(7, KeyboardCable, 'scancodes', { bytes: [256] }).catch((error) => error)
    expect(malformed).to.be.instanceOf(MalformedError)
  })
  it('moves time and latches signals', async () => {
    const fake = fakeEnvironment()
    const seen: number[] = []
    void fake.clock.sleep(5).then(() => seen.push(fake.clock.now()))
    fake.clock.alarm(3, () => seen.push(-3)).cancel()
    await fake.advance(4)
    expect(seen).to.deep.equal([])
    await fake.advance(4)
    expect(seen).to.deep.equal([5])
    fake.interrupt(9)
    expect(await fake.sel4.wait(9)).to.equal(1)
  })
})
