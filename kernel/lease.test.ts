/** Leases: who is asked, who is ended and when, by what the host sees. */
import { expect } from 'chai'
import { KIND, kindOf } from '../lib/sel4/wire.ts'
import type { Usage } from './host.ts'
import type { Kernel } from './kernel.ts'
import { Lease } from './lease.ts'
import type { Process } from './process.ts'

const TICK_MS = 500
/** A kernel of one process, of which the test says what the host sees and whether it answers. */
function bench(leaseMs = 2000) {
  const seen: Usage = { cpuMs: 30, rssKb: 0, state: 'S' }
  const state = { usage: seen as Usage | undefined, answers: true, pings: 0, ended: '', owes: false, owed: 0 }
  const process = {
    alive: true,
    state: 'running',
    silent: 0,
    pid: 7,
    init: { limits: { leaseMs } },
    owing: () => (state.owes ? ++state.owed : 0),
    tell(message: Buffer) {
      expect(kindOf(message)).equal(KIND.PING)
      state.pings++
      if (state.answers) process.silent = 0
    },
  }
  let tick = () => {}
  const kernel = {
    processes: new Map([['one', process as unknown as Process]]),
    host: {
      alarm: (_ms: number, expired: () => void) => ((tick = expired), { cancel() {} }),
      usage: () => state.usage,
    },
    end: (_process: Process, cause: string, detail: string) => {
      expect(cause).equal('lease')
      state.ended ||= detail
      process.alive = false
    },
  }
  new Lease(kernel as unknown as Kernel).start()
  const pass = (milliseconds: number, each: () => void = () => {}) => {
    for (let at = 0; at < milliseconds; at += TICK_MS) {
      each()
      tick()
    }
  }
  const use =
    (cpuMs: number, as = 'R') =>
    () =>
      void (state.usage = { rssKb: 0, state: as, cpuMs: (state.usage?.cpuMs ?? 0) + cpuMs })
  return { state, process, pass, use }
}

describe('kernel: lease', () => {
  it('leaves a sleeper alone for seconds, then asks, and takes any word for an answer', () => {
    const { state, pass } = bench()
    pass(9000)
    expect(state.pings).equal(0)
    pass(51_000)
    expect(state.pings).within(4, 6)
    expect(state.ended).equal('')
  })
  it('asks who works in silence, and ends one that burns its lease without an answer', () => {
    const { state, pass, use } = bench()
    pass(2000, use(450))
    expect([state.pings > 0, state.ended]).deep.equal([true, ''])
    pass(8000, use(450))
    expect(state.ended).equal('')
    state.answers = false
    pass(2000, use(450))
    expect(state.ended).equal('')
    pass(2000, use(450))
    expect(state.ended).equal('it hung')
  })
  it('does not blame who was asked and got no processor time, until ten leases are over', () => {
    const { state, pass, use } = bench()
    state.answers = false
    pass(2000, use(10))
    pass(16_000)
    expect([state.pings, state.ended]).deep.equal([1, ''])
    pass(4000)
    expect(state.ended).equal('it hung')
  })
  it('ends a stopped one when its lease is over, and forgives a shorter stop', () => {
    const { state, pass, use } = bench()
    pass(1500)
    for (const letter of ['T', 't']) {
      pass(1500, use(0, letter))
      pass(500, use(0, 'S'))
    }
    expect(state.ended).equal('')
    pass(2000, use(0, 'T'))
    expect(state.ended).equal('it was stopped')
  })
  it('so before its first word, for which it is given longer', () => {
    const { state, process, pass, use } = bench()
    process.state = 'starting'
    pass(27_000, use(450))
    expect([state.pings, state.ended]).deep.equal([0, ''])
    pass(2000, use(0, 'T'))
    expect(state.ended).equal('it was stopped')
  })
  it('ends who speaks and sleeps, but does not confirm a change', () => {
    const { state, process, pass } = bench()
    state.owes = true
    pass(2000, () => (process.silent = 0))
    expect(state.ended).equal('')
    pass(500)
    expect(state.ended).equal('it did not confirm a change of its capabilities')
  })
  it('gives time to confirm to who gets no processor time, but not for ever', () => {
    const { state, pass, use } = bench()
    Object.assign(state, { owes: true, answers: false })
    pass(16_000, use(1))
    expect(state.ended).equal('')
    pass(4500, use(1))
    expect(state.ended).not.equal('')
  })
  it('counts a lease of its own', () => {
    const { state, pass, use } = bench(8000)
    pass(500)
    pass(7500, use(0, 'T'))
    expect(state.ended).equal('')
    pass(500, use(0, 'T'))
    expect(state.ended).equal('it was stopped')
  })
  it('asks even while the host tells nothing', () => {
    const { state, pass } = bench()
    Object.assign(state, { usage: undefined, answers: false })
    pass(12_000)
    expect([state.pings, state.ended]).deep.equal([1, ''])
    pass(10_000)
    expect(state.ended).equal('it hung')
  })
})
