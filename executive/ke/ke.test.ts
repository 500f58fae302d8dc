import { expect } from 'chai'
import fc from 'fast-check'
import { NT_STATUS } from '#rtl'
import { FakeClock } from '#sel4/fake'
import { Process } from '../ps/process.ts'
import { Event } from './event.ts'
import { SharedLock } from './lock.ts'
import { milliseconds, waitFor } from './wait.ts'

describe('waits', () => {
  it('end by signal or by time, and leave nothing behind', async () => {
    const clock = new FakeClock()
    const event = new Event(true, false)
    const results: number[] = []
    void waitFor(clock, event, -50 * 10_000).then((status) => results.push(status))
    void waitFor(clock, event, undefined).then((status) => results.push(status))
    await clock.advance(50)
    expect(results).to.deep.equal([NT_STATUS.STATUS_TIMEOUT])
    event.set()
    await clock.advance(0)
    expect(results).to.deep.equal([NT_STATUS.STATUS_TIMEOUT, NT_STATUS.STATUS_SUCCESS])
    expect(event.signalled).to.equal(false)
    expect(clock.pending()).to.equal(0)
  })
  it('a synchronization event wakes one in order of arrival, a notification event all', async () => {
    const clock = new FakeClock()
    for (const synchronization of [true, false]) {
      const event = new Event(synchronization, false)
      const woken: number[] = []
      for (const i of [1, 2, 3]) void waitFor(clock, event, undefined).then(() => woken.push(i))
      event.set()
      await clock.advance(0)
      expect(woken).to.deep.equal(synchronization ? [1] : [1, 2, 3])
    }
  })
  it('know absolute, relative, past and zero times', async () => {
    const clock = new FakeClock()
    await clock.advance(1000)
    expect(milliseconds(clock, -15_000)).to.equal(1.5)
    expect(milliseconds(clock, clock.systemTime() + 20_000)).to.be.closeTo(2, 0.01)
    expect(milliseconds(clock, 1)).to.equal(0)
    expect(await waitFor(clock, new Event(false, false), 0)).to.equal(NT_STATUS.STATUS_TIMEOUT)
    expect(await waitFor(clock, new Event(false, true), 0)).to.equal(NT_STATUS.STATUS_SUCCESS)
  })
  it('of a process that ended take no signal from those who live', async () => {
    const clock = new FakeClock()
    const event = new Event(true, false)
    const [dead, living] = [new Process(4, 'a'), new Process(8, 'b')]
    const results: string[] = []
    void waitFor(clock, event, -1_000_000, dead).then((status) => results.push(`dead ${status}`))
    void waitFor(clock, event, undefined, living).then((status) => results.push(`living ${status}`))
    dead.ended(1)
    event.set()
    await clock.advance(1)
    expect(results).to.deep.equal([`dead ${NT_STATUS.STATUS_THREAD_IS_TERMINATING}`, 'living 0'])
    expect(clock.pending()).to.equal(0)
  })
})

describe('shared lock', () => {
  it('never lets an exclusive section meet another, starves nobody and keeps the order', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ exclusive: fc.boolean(), time: fc.nat(5), fails: fc.boolean() }), { maxLength: 20 }),
        async (sections) => {
          const clock = new FakeClock()
          const lock = new SharedLock()
          let shared = 0
          let exclusive = 0
          const entered: number[] = []
          const all = sections.map(async ({ exclusive: alone, time, fails }, i) => {
            const section = async () => {
              entered.push(i)
              if (alone) exclusive++
              else shared++
              expect(exclusive).to.be.at.most(1)
              expect(exclusive === 0 || shared === 0).to.equal(true)
              await clock.sleep(time)
              if (alone) exclusive--
              else shared--
              if (fails) throw new Error('section')
            }
            await (alone ? lock.exclusive(section) : lock.shared(section)).catch((error: Error) =>
              expect(error.message).to.equal('section'),
            )
          })
          await clock.advance(200)
          await Promise.all(all)
          expect(entered).to.deep.equal(sections.map((_, i) => i))
        },
      ),
      { numRuns: 30 },
    )
  })
})
