import { expect } from 'chai'
import fc from 'fast-check'
import { NT_STATUS, StatusError } from '#rtl'
import { type FakeEnvironment, fakeEnvironment } from '#sel4/fake'
import { until } from './cc-support.ts'
import { type Disk, MetadataCache, type MetadataWrite } from './metadata.ts'
import { PAGE } from './views.ts'

const SECTOR = 512
interface DiskWrite {
  readonly offset: number
  readonly bytes: Uint8Array
}
class SlowDisk implements Disk {
  readonly sectorSize = SECTOR
  readonly length: number
  readonly bytes: Uint8Array
  readonly history: DiskWrite[] = []
  reads = 0
  fails: (direction: 'read' | 'write', offset: number) => boolean = () => false
  private readonly env: FakeEnvironment
  constructor(env: FakeEnvironment, length: number) {
    this.env = env
    this.length = length
    this.bytes = new Uint8Array(length)
  }
  private pause(): Promise<void> {
    return this.env.clock.sleep(this.env.random.next() % 4)
  }
  async read(offset: number, bytes: Uint8Array): Promise<number> {
    this.reads++
    await this.pause()
    if (this.fails('read', offset)) return NT_STATUS.STATUS_DEVICE_DATA_ERROR
    bytes.set(this.bytes.subarray(offset, offset + bytes.length))
    await this.pause()
    return 0
  }
  async write(offset: number, bytes: Uint8Array): Promise<number> {
    expect(offset % SECTOR).to.equal(0)
    expect(bytes.length % SECTOR).to.equal(0)
    const taken = bytes.slice()
    await this.pause()
    if (this.fails('write', offset)) return NT_STATUS.STATUS_IO_DEVICE_ERROR
    this.bytes.set(taken, offset)
    this.history.push({ offset, bytes: taken })
    await this.pause()
    return 0
  }
}
const write = (phase: number, offset: number, ...bytes: number[]): MetadataWrite => ({
  phase,
  offset,
  bytes: Uint8Array.from(bytes),
})
function setup(length = 8 * PAGE, seed = 1) {
  const env = fakeEnvironment({ seed })
  const disk = new SlowDisk(env, length)
  return { env, disk, cache: new MetadataCache(disk) }
}
async function readAll(
  env: FakeEnvironment,
  cache: MetadataCache,
  offset: number,
  length: number,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(length)
  await until(env, cache.read(offset, bytes))
  return bytes
}
const statusOf = (promise: Promise<unknown>): Promise<number> =>
  promise.then(
    () => 0,
    (error: StatusError) => error.status,
  )

describe('metadata cache', () => {
  it('shows a commit at once, resident or not, and writes nothing yet', async () => {
    const { env, disk, cache } = setup()
    await readAll(env, cache, 0, SECTOR)
    cache.apply([write(0, 10, 1, 2), write(0, PAGE - 1, 3, 4)], [])
    expect([...(await readAll(env, cache, 10, 2))]).to.deep.equal([1, 2])
    expect([...(await readAll(env, cache, PAGE - 1, 2))]).to.deep.equal([3, 4])
    expect(disk.history).to.deep.equal([])
    expect(cache.dirty).to.equal(true)
  })
  it('writes phase after phase, only the sectors that were touched', async () => {
    const { env, disk, cache } = setup()
    cache.apply([write(1, 3 * SECTOR, 9), write(0, 5 * SECTOR, 7), write(0, 6 * SECTOR, 8)], [])
    expect(await until(env, cache.flush())).to.equal(0)
    expect(disk.history.map(({ offset, bytes }) => [offset, bytes.length])).to.deep.equal([
      [5 * SECTOR, 2 * SECTOR],
      [3 * SECTOR, SECTOR],
    ])
    expect(cache.dirty).to.equal(false)
  })
  it('joins commits, but not one that would put an early phase before a late one of the same bytes', async () => {
    const { env, disk, cache } = setup()
    cache.apply([write(0, 0, 1), write(1, SECTOR, 1)], [])
    cache.apply([write(0, 2 * SECTOR, 2), write(1, SECTOR, 2)], [])
    cache.apply([write(0, SECTOR, 3), write(1, 0, 3)], [])
    await until(env, cache.flush())
    const order = disk.history.map(({ offset, bytes }) => `${offset / SECTOR}=${bytes[0]}`)
    expect([...order.slice(0, 2).sort(), ...order.slice(2)]).to.deep.equal(['0=1', '2=2', '1=2', '1=3', '0=3'])
  })
  it('takes commits while a flush is under way, for the next one', async () => {
    const { env, disk, cache } = setup()
    cache.apply([write(0, 0, 1), write(1, SECTOR, 1)], [])
    const flushing = cache.flush()
    await env.advance(0)
    cache.apply([write(0, 0, 2)], [])
    expect((await readAll(env, cache, 0, 1))[0]).to.equal(2)
    await until(env, flushing)
    expect(disk.bytes[0]).to.equal(1)
    expect(cache.dirty).to.equal(true)
    await until(env, cache.flush())
    expect(disk.bytes[0]).to.equal(2)
  })
  it('settles only what waits for the range', async () => {
    const { env, disk, cache } = setup()
    cache.apply([write(0, 0, 1)], [{ offset: 4 * PAGE, length: PAGE }])
    expect(await until(env, cache.settle(5 * PAGE, PAGE))).to.equal(0)
    expect(disk.history).to.deep.equal([])
    expect(await until(env, cache.settle(4 * PAGE + 100, 1))).to.equal(0)
    expect(disk.history).to.have.length(1)
    cache.apply([write(0, 2 * PAGE, 1)], [])
    expect(await until(env, cache.settle(2 * PAGE, PAGE))).to.equal(0)
    expect(disk.history).to.have.length(2)
  })
  it('keeps the log when the disk refuses, and writes it later', async () => {
    const { env, disk, cache } = setup()
    cache.apply([write(0, 0, 1), write(1, SECTOR, 1)], [])
    disk.fails = (direction, offset) => direction === 'write' && offset === SECTOR
    expect(await until(env, cache.flush())).to.equal(NT_STATUS.STATUS_IO_DEVICE_ERROR)
    expect(cache.dirty).to.equal(true)
    cache.apply([write(0, 2, 5)], [])
    disk.fails = () => false
    expect(await until(env, cache.flush())).to.equal(0)
    expect([...disk.bytes.subarray(0, 3), disk.bytes[SECTOR]]).to.deep.equal([1, 0, 5, 1])
  })
  it('goes on after a page could not be read', async () => {
    const { env, disk, cache } = setup()
    disk.fails = (direction) => direction === 'read'
    cache.apply([write(0, 0, 1)], [])
    expect(await until(env, cache.flush())).to.equal(NT_STATUS.STATUS_DEVICE_DATA_ERROR)
    expect(await until(env, statusOf(cache.read(0, new Uint8Array(1))))).to.equal(NT_STATUS.STATUS_DEVICE_DATA_ERROR)
    disk.fails = () => false
    expect(await until(env, cache.flush())).to.equal(0)
    expect(disk.bytes[0]).to.equal(1)
  })
  it('refuses what lies beyond the volume', async () => {
    const { env, cache } = setup()
    for (const offset of [-1, 8 * PAGE - 1, 2 ** 50]) {
      expect(() => cache.apply([write(0, offset, 1, 2)], [])).to.throw(StatusError)
      expect(await until(env, statusOf(cache.read(offset, new Uint8Array(2))))).to.equal(
        NT_STATUS.STATUS_NONEXISTENT_SECTOR,
      )
    }
    expect(cache.dirty).to.equal(false)
  })
  it('reads a page once for all who want it, and the pages of a range at the same time', async () => {
    const { env, disk, cache } = setup()
    await until(env, Promise.all([cache.read(0, new Uint8Array(4 * PAGE)), cache.read(PAGE, new Uint8Array(PAGE))]))
    expect(disk.reads).to.equal(4)
    const { env: env2, cache: cache2 } = setup(64 * PAGE)
    const start = env2.clock.now()
    await until(env2, cache2.read(0, new Uint8Array(16 * PAGE)))
    expect(env2.clock.now() - start).to.be.lessThan(15)
  })
  it('keeps 16 MiB of clean pages at most, and never drops what is not written', async () => {
    const { env, disk, cache } = setup(4200 * PAGE)
    cache.apply([write(0, 0, 1)], [])
    disk.fails = (direction) => direction === 'write'
    for (let at = 0; at < 4200; at += 16)
      await until(env, cache.read(at * PAGE, new Uint8Array(Math.min(16, 4200 - at) * PAGE)))
    const { reads } = disk
    expect((await readAll(env, cache, 0, 1))[0]).to.equal(1)
    expect(disk.reads).to.equal(reads)
    await readAll(env, cache, PAGE, 1)
    expect(disk.reads).to.equal(reads + 1)
  })

  // Every byte a commit writes is its number, so that the disk tells what has arrived.
  const commit = fc.array(
    fc.record({ phase: fc.nat(2), sector: fc.nat(11), at: fc.nat(6), length: fc.integer({ min: 1, max: 4 }) }),
    { minLength: 1, maxLength: 5 },
  )
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.record({ kind: fc.constant('commit' as const), commit }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('flush' as const), failing: fc.nat(20) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('wait' as const), time: fc.nat(6) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('read' as const), sector: fc.nat(11) }) },
  )
  it('keeps phases and commits in order on the disk, wherever it stops', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }), fc.nat(), async (steps, seed) => {
        const length = 3 * PAGE
        const { env, disk, cache } = setup(length, seed)
        const model = new Uint8Array(length)
        const commits: MetadataWrite[][] = []
        const work: Promise<unknown>[] = []
        for (const s of steps) {
          if (s.kind === 'commit') {
            const number = commits.length + 1
            const writes = s.commit.map((w) => ({
              phase: w.phase,
              offset: w.sector * 2 * SECTOR + w.at,
              bytes: new Uint8Array(w.length).fill(number),
            }))
            const separate = writes.filter(
              (w, i) =>
                !writes.some(
                  (other, j) =>
                    j < i && other.offset < w.offset + w.bytes.length && w.offset < other.offset + other.bytes.length,
                ),
            )
            commits.push(separate)
            cache.apply(separate, [])
            for (const w of separate) model.set(w.bytes, w.offset)
          } else if (s.kind === 'flush') {
            disk.fails = (direction, offset) => direction === 'write' && offset / SECTOR === s.failing
            work.push(cache.flush())
          } else if (s.kind === 'wait') await env.advance(s.time)
          else {
            const now = model.slice(s.sector * 2 * SECTOR, s.sector * 2 * SECTOR + 16)
            const bytes = new Uint8Array(16)
            const reading = cache.read(s.sector * 2 * SECTOR, bytes)
            await until(env, reading)
            expect(bytes).to.deep.equal(now)
          }
        }
        await until(env, Promise.all(work))
        disk.fails = () => false
        expect(await until(env, cache.flush())).to.equal(0)
        expect(disk.bytes).to.deep.equal(model)
        checkOrder(disk.history, commits, length)
      }),
      { numRuns: 150 },
    )
  }).timeout(20_000)

  /** After each write to the disk: whoever has a byte of a later phase there has all its earlier phases there, or overwritten by later commits. */
  function checkOrder(history: readonly DiskWrite[], commits: readonly MetadataWrite[][], length: number): void {
    const bytes = new Uint8Array(length)
    const highest = commits.map(() => -1)
    for (const { offset, bytes: written } of history) {
      bytes.set(written, offset)
      commits.forEach((writes, i) => {
        for (const w of writes)
          if (bytes.subarray(w.offset, w.offset + w.bytes.length).includes(i + 1))
            highest[i] = Math.max(highest[i], w.phase)
      })
      commits.forEach((writes, i) => {
        for (const w of writes) {
          if (w.phase >= highest[i]) continue
          for (let at = w.offset; at < w.offset + w.bytes.length; at++) {
            if (bytes[at] < i + 1)
              throw new Error(`commit ${i + 1} shows phase ${highest[i]} without byte ${at} of phase ${w.phase}`)
          }
        }
      })
      checkNoOvertaking(bytes, commits)
    }
  }
  /** A byte written in a phase that is no later than an earlier commit's write of the same bytes never goes back. */
  const seen = new WeakMap<readonly MetadataWrite[][], Uint8Array>()
  function checkNoOvertaking(bytes: Uint8Array, commits: readonly MetadataWrite[][]): void {
    const before = seen.get(commits)
    if (before) {
      for (let at = 0; at < bytes.length; at++)
        if (bytes[at] < before[at]) throw new Error(`byte ${at} went back from ${before[at]} to ${bytes[at]}`)
    }
    seen.set(commits, bytes.slice())
  }
})
