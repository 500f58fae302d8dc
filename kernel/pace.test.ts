import { expect } from 'chai'
import { Pace, Rush } from './pace.ts'

const LIMIT = 256

describe('a process and the kernel it asks', () => {
  /** Asks on, `underWay` at a time: an answer for the oldest before the next; all in order, as on one socket. */
  async function run(underWay: number, messages: number): Promise<number> {
    const answers: (() => void)[] = []
    const pace = new Pace(LIMIT, () => new Promise<void>((resolve) => void answers.push(resolve)))
    const toKernel: (() => void)[] = []
    const toProcess: (() => void)[] = []
    let refused = 0
    let left = messages
    const send = (): void => {
      if (left-- <= 0) return
      toKernel.push(() => {
        if (!pace.sent()) refused++
        toProcess.push(send)
        const answered = answers.pop()
        if (answered) toProcess.push(() => toKernel.push(answered))
      })
    }
    for (let i = 0; i < underWay; i++) send()
    while (toKernel.length || toProcess.length) {
      toKernel.shift()?.()
      toProcess.shift()?.()
      // An answer counts before the next message.
      if (answers.length === 0) await Promise.resolve()
    }
    return refused
  }
  it('may have half its limit under way, for ever', async () => {
    for (const underWay of [1, 10, LIMIT / 2]) expect(await run(underWay, 100_000)).equal(0)
  })
  it('and not more than its limit', async () => {
    for (const underWay of [2 * LIMIT, 10_000]) expect(await run(underWay, 10_000)).above(0)
  })
  it('does not get far when it never listens', () => {
    const pace = new Pace(LIMIT, () => new Promise(() => {}))
    let sent = 0
    while (pace.sent()) sent++
    expect(sent).within(LIMIT, 2 * LIMIT)
  })
})

describe('a process that asks without a pause', () => {
  /** So many requests in each millisecond; how often it was found. */
  function ask(perMs: number, milliseconds: number): number {
    const rush = new Rush()
    let now = 1000
    let found = 0
    for (; milliseconds > 0; milliseconds--, now++) for (let i = 0; i < perMs; i++) if (rush.counts(() => now)) found++
    return found
  }
  it('is found once', () => expect(ask(70, 5000)).to.equal(1))
  it('is not one that is merely busy', () => expect(ask(8, 60_000)).to.equal(0))
})
