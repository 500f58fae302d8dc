import { expect } from 'chai'
import fc from 'fast-check'
import { LunQueue, type Queued } from './queue.ts'

interface Item extends Queued {
  readonly name: number
}
const item = (name: number, exclusive = false): Item => ({ name, exclusive, tag: -1, deadline: 0 })

function queueOf(depth: number) {
  const started: Item[] = []
  const waiting = new Set<Item>()
  const queue = new LunQueue<Item>(
    depth,
    (request) => void started.push(request),
    (request, waits) => {
      if (waits) waiting.add(request)
      else waiting.delete(request)
    },
  )
  return { queue, started, waiting }
}

describe('storport: the queue of a unit', () => {
  it('hands out 32 tags, all different', () => {
    const { queue, started, waiting } = queueOf(32)
    for (let i = 0; i < 34; i++) queue.submit(item(i))
    expect(new Set(started.map(({ tag }) => tag)).size).to.equal(32)
    expect(waiting.size).to.equal(2)
  })
  it('lets an exclusive request wait for all before it, and all after it wait for it', () => {
    const { queue, started } = queueOf(4)
    const [a, b, flush, c] = [item(1), item(2), item(3, true), item(4)]
    for (const request of [a, b, flush, c]) queue.submit(request)
    queue.finish(a)
    queue.drain()
    expect(started).to.deep.equal([a, b])
    queue.finish(b)
    queue.drain()
    expect(started).to.deep.equal([a, b, flush])
    queue.finish(flush)
    queue.drain()
    expect(started).to.deep.equal([a, b, flush, c])
  })
  it('runs nothing while it is paused, and removes only what waits', () => {
    const { queue, started, waiting } = queueOf(4)
    const [a, b] = [item(1), item(2)]
    queue.submit(a)
    queue.pause()
    queue.submit(b)
    expect([queue.remove(a), queue.remove(b), waiting.size]).to.deep.equal([false, true, 0])
    queue.resume()
    expect(started).to.deep.equal([a])
  })
  it('never gives one tag twice, never mixes, never loses, in any order of events', () => {
    const event = fc.oneof(
      fc.constant('tagged'),
      fc.constant('exclusive'),
      fc.constant('pause'),
      fc.constant('resume'),
      fc.nat(31),
      fc.constant('cancel'),
    )
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 32 }), fc.array(event, { maxLength: 120 }), (depth, events) => {
        const { queue, started, waiting } = queueOf(depth)
        const ended: Item[] = []
        let made = 0
        for (const what of events) {
          if (what === 'tagged' || what === 'exclusive') queue.submit(item(made++, what === 'exclusive'))
          else if (what === 'pause') queue.pause()
          else if (what === 'resume') queue.resume()
          else if (what === 'cancel') {
            const [first] = waiting
            if (first) {
              queue.remove(first)
              ended.push(first)
            }
          } else {
            const running = queue.byTag(what as number)
            if (running) {
              queue.finish(running)
              ended.push(running)
              queue.drain()
            }
          }
          const running = queue.all()
          expect(running.length).to.equal(queue.outstanding)
          expect(new Set(running.map(({ tag }) => tag)).size).to.equal(running.length)
          if (running.some(({ exclusive }) => exclusive)) expect(running.length).to.equal(1)
          expect(running.length + waiting.size + ended.length).to.equal(made)
        }
        expect(started.map(({ name }) => name)).to.deep.equal(started.map(({ name }) => name).toSorted((a, b) => a - b))
        expect(queue.empty().length + ended.length).to.equal(made)
      }),
    )
  })
})
