/** Interrupts: edges latch, levels stay masked until acknowledged, shared lines are one. */
import { expect } from 'chai'
import { makeCapability } from './cspace.ts'
import { Irq, type Trigger } from './irq.ts'
import { Notification, type Waiter } from './notification.ts'
import type { Process } from './process.ts'

const waiter = (words: number[]): Waiter => ({
  process: {} as Process,
  deliver: (word) => words.push(word),
  withdraw: () => words.push(-1),
})

function wired(trigger: Trigger): { irq: Irq; words: number[]; listen: () => void } {
  const irq = new Irq(1, 5, trigger)
  const notification = new Notification(2)
  const words: number[] = []
  irq.bind(makeCapability(notification, { badge: 4 }))
  return { irq, words, listen: () => notification.wait(waiter(words)) }
}
describe('Notification', () => {
  it('tells who waits for it that it is gone', () => {
    const words: number[] = []
    const notification = new Notification(1)
    notification.wait(waiter(words))
    notification.destroy()
    expect(words).to.deep.equal([-1])
  })
})
describe('Irq', () => {
  it('an edge nobody waits for latches in the word', () => {
    const { irq, words, listen } = wired('edge')
    irq.raise('a')
    irq.raise('a')
    listen()
    listen()
    expect(words).to.deep.equal([4])
    irq.raise('a')
    expect(words).to.deep.equal([4, 4])
  })
  it('a level is masked until it is acknowledged, and comes again while asserted', () => {
    const { irq, words, listen } = wired('level')
    irq.raise('a')
    irq.raise('b')
    listen()
    listen()
    expect(words).to.deep.equal([4])
    irq.lower('a')
    irq.acknowledge()
    expect(words).to.deep.equal([4, 4])
    irq.lower('b')
    irq.acknowledge()
    listen()
    expect(words).to.deep.equal([4, 4])
  })
  it('masked or unbound, it waits', () => {
    const { irq, words, listen } = wired('edge')
    listen()
    irq.setMask(true)
    irq.raise('a')
    expect(words).to.deep.equal([])
    irq.setMask(false)
    expect(words).to.deep.equal([4])
    irq.unbind()
    irq.raise('a')
    const later = new Notification(3)
    irq.bind(makeCapability(later))
    later.wait(waiter(words))
    expect(words).to.deep.equal([4, 1])
  })
})
