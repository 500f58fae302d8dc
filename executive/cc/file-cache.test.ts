import { expect } from 'chai'
import fc from 'fast-check'
import { NT_STATUS, StatusError } from '#rtl'
import type { Extent, FileCache } from './index.ts'
import { type FakeCache, fakeCache, until } from './cc-support.ts'
import { PAGE, VIEW_SIZE } from './views.ts'

/** A file of two stretches on the disk: its second half lies before its first. */
class FakeFile {
  size: number
  readonly cache: FileCache
  readonly allocation: number
  failExtents = false
  private readonly fake: FakeCache
  private readonly base: number

  constructor(fake: FakeCache, size: number, allocation: number, base = 0) {
    this.fake = fake
    this.size = size
    this.allocation = allocation
    this.base = base
    this.cache = fake.cc.fileCache({
      storageDevice: fake.device,
      size: () => this.size,
      extents: async (offset, length) => {
        await fake.env.clock.sleep(fake.env.random.next() % 3)
        if (this.failExtents) throw new StatusError('STATUS_IO_DEVICE_ERROR')
        return this.where(offset, length)
      },
    })
  }
  where(offset: number, length: number): Extent[] {
    const half = this.allocation / 2
    const end = Math.min(offset + length, this.allocation)
    const found: Extent[] = []
    if (offset < half)
      found.push({ FileOffset: offset, VolumeOffset: this.base + half + offset, Length: Math.min(end, half) - offset })
    const second = Math.max(offset, half)
    if (end > second) found.push({ FileOffset: second, VolumeOffset: this.base + second - half, Length: end - second })
    return found
  }
  async read(offset: number, length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(length)
    await this.cache.read(offset, length, (piece, at) => bytes.set(piece, at))
    return bytes
  }
  onDisk(length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    for (const e of this.where(0, length))
      bytes.set(this.fake.disk.bytes.subarray(e.VolumeOffset, e.VolumeOffset + e.Length), e.FileOffset)
    return bytes
  }
  fill(bytes: Uint8Array): void {
    for (const e of this.where(0, bytes.length))
      this.fake.disk.bytes.set(bytes.subarray(e.FileOffset, e.FileOffset + e.Length), e.VolumeOffset)
  }
}
const pattern = (length: number, seed: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (i * 7 + (i >> 8) * 13 + seed) & 0xff)
const statusOf = (promise: Promise<unknown>): Promise<number> =>
  promise.then(
    () => 0,
    (error: StatusError) => error.status,
  )
const MIB = 1024 * 1024

describe('file cache', () => {
  it('reads what the disk holds, zeroes behind the end within the last page', async () => {
    const fake = fakeCache()
    const file = new FakeFile(fake, 10_000, MIB)
    file.fill(pattern(MIB, 1))
    expect(await until(fake.env, file.read(100, 9_900))).to.deep.equal(pattern(MIB, 1).subarray(100, 10_000))
    file.size = 3 * PAGE
    expect((await until(fake.env, file.read(10_000, 3 * PAGE - 10_000))).every((byte) => byte === 0)).to.equal(true)
  })
  it('reads a cold view once for many readers', async () => {
    const fake = fakeCache()
    const file = new FakeFile(fake, VIEW_SIZE, 2 * VIEW_SIZE)
    await until(fake.env, Promise.all(Array.from({ length: 10 }, () => file.read(0, PAGE))))
    expect(fake.disk.log).to.have.length(1)
  })
  it('reads ahead of a sequential reader and not of a random one', async () => {
    const fake = fakeCache({ views: 4 })
    const file = new FakeFile(fake, 3 * VIEW_SIZE, 4 * VIEW_SIZE)
    await until(fake.env, file.read(8 * PAGE, PAGE))
    expect(fake.disk.log.map((access) => access.length)).to.deep.equal([PAGE])
    await until(fake.env, file.read(9 * PAGE, PAGE))
    await fake.env.advance(100)
    const read = fake.disk.log.reduce((sum, access) => sum + access.length, 0)
    expect(read).to.equal(2 * VIEW_SIZE - 8 * PAGE)
  })
  it('writes whole pages without reading them', async () => {
    const fake = fakeCache()
    const file = new FakeFile(fake, 4 * PAGE, MIB)
    await until(fake.env, file.cache.write(PAGE, pattern(2 * PAGE, 5), file.size))
    expect(fake.disk.log).to.deep.equal([])
    expect(await until(fake.env, file.cache.flush())).to.equal(0)
    expect(file.onDisk(3 * PAGE).subarray(PAGE)).to.deep.equal(pattern(2 * PAGE, 5))
  })
  it('keeps a write of whole pages that meets their load', async () => {
    const fake = fakeCache()
    const file = new FakeFile(fake, VIEW_SIZE, MIB)
    file.fill(pattern(VIEW_SIZE, 1))
    const reading = file.read(0, PAGE)
    await fake.env.advance(1)
    const writing = file.cache.write(0, pattern(2 * PAGE, 99), file.size)
    await until(fake.env, Promise.all([reading, writing]))
    expect(await until(fake.env, file.read(0, 2 * PAGE))).to.deep.equal(pattern(2 * PAGE, 99))
  })
  it('does not take a page loaded before a discard for what is there after it', async () => {
    const fake = fakeCache()
    const file = new FakeFile(fake, VIEW_SIZE, MIB)
    fake.disk.slow = 20
    const reading = file.read(0, PAGE)
    while (fake.disk.moved === 0) await fake.env.advance(1)
    file.cache.discard(0)
    file.fill(pattern(VIEW_SIZE, 42))
    await until(fake.env, reading)
    expect(await until(fake.env, file.read(0, PAGE))).to.deep.equal(pattern(PAGE, 42))
  })
  it('keeps pages dirty that the disk refused', async () => {
    const fake = fakeCache()
    const file = new FakeFile(fake, PAGE, MIB)
    await until(fake.env, file.cache.write(0, pattern(PAGE, 3), file.size))
    fake.disk.fails = (access) => access.direction === 'write'
    expect(await until(fake.env, file.cache.flush())).to.equal(NT_STATUS.STATUS_IO_DEVICE_ERROR)
    expect(file.cache.dirty).to.equal(true)
    fake.disk.fails = () => false
    expect(await until(fake.env, file.cache.flush())).to.equal(0)
    expect(file.onDisk(PAGE)).to.deep.equal(pattern(PAGE, 3))
  })
  it('keeps pages dirty when the file system does not tell where they belong', async () => {
    const fake = fakeCache()
    const file = new FakeFile(fake, PAGE, MIB)
    await until(fake.env, file.cache.write(0, pattern(PAGE, 3), file.size))
    file.failExtents = true
    expect(await until(fake.env, file.cache.flush())).to.equal(NT_STATUS.STATUS_IO_DEVICE_ERROR)
    expect(file.cache.dirty).to.equal(true)
    file.failExtents = false
    expect(await until(fake.env, file.cache.flush())).to.equal(0)
    expect(file.onDisk(PAGE)).to.deep.equal(pattern(PAGE, 3))
  })
  it('is dirty as long as a flush is under way', async () => {
    const fake = fakeCache()
    const file = new FakeFile(fake, PAGE, MIB)
    await until(fake.env, file.cache.write(0, pattern(PAGE, 3), file.size))
    const flushing = file.cache.flush()
    await fake.env.advance(0)
    expect(file.cache.dirty).to.equal(true)
    await until(fake.env, flushing)
    expect(file.cache.dirty).to.equal(false)
  })
  it('does not resurrect pages discarded while their write was failing', async () => {
    const fake = fakeCache()
    const file = new FakeFile(fake, PAGE, MIB)
    await until(fake.env, file.cache.write(0, pattern(PAGE, 3), file.size))
    fake.disk.fails = () => true
    const flushing = file.cache.flush()
    await fake.env.advance(0)
    file.cache.discard(0)
    await until(fake.env, flushing)
    expect(file.cache.dirty).to.equal(false)
  })
  it('fails a write-back that the allocation does not cover', async () => {
    const fake = fakeCache()
    const file = new FakeFile(fake, MIB + PAGE, MIB)
    await until(fake.env, file.cache.write(MIB, pattern(PAGE, 3), MIB))
    expect(await until(fake.env, file.cache.flush())).to.not.equal(0)
    expect(file.cache.dirty).to.equal(true)
  })
  it('does not fail a reader because the page ahead of it is bad', async () => {
    const fake = fakeCache({ views: 4 })
    const file = new FakeFile(fake, 2 * VIEW_SIZE, MIB)
    file.fill(pattern(2 * VIEW_SIZE, 9))
    const [bad] = file.where(20 * PAGE, PAGE)
    fake.disk.fails = ({ offset, length }) => offset <= bad.VolumeOffset && bad.VolumeOffset < offset + length
    expect(await until(fake.env, file.read(0, PAGE))).to.deep.equal(pattern(PAGE, 9))
    expect(await until(fake.env, file.read(PAGE, PAGE))).to.deep.equal(pattern(2 * PAGE, 9).subarray(PAGE))
    expect(await until(fake.env, statusOf(file.read(19 * PAGE, 2 * PAGE)))).to.equal(NT_STATUS.STATUS_IO_DEVICE_ERROR)
  })
  it('never lets two files have one view', async () => {
    const fake = fakeCache({ views: 1 })
    const files = [0, 1, 2].map((i) => new FakeFile(fake, VIEW_SIZE, MIB, i * 2 * MIB))
    files.forEach((file, i) => file.fill(pattern(VIEW_SIZE, 50 * i)))
    const reads = files.flatMap((file, i) =>
      [0, 1, 2].map(async (n) => {
        expect(await file.read((5 * n + i) * PAGE, PAGE)).to.deep.equal(
          pattern(VIEW_SIZE, 50 * i).subarray((5 * n + i) * PAGE, (5 * n + i + 1) * PAGE),
        )
      }),
    )
    await until(fake.env, Promise.all(reads))
  })
  it('gives a writer an error, not an endless wait, when all memory is dirty and the disk refuses it', async () => {
    const fake = fakeCache({ views: 2 })
    const file = new FakeFile(fake, 4 * MIB, 4 * MIB)
    fake.disk.fails = (access) => access.direction === 'write'
    const write = async () => {
      for (let at = 0; at < 4 * MIB; at += VIEW_SIZE) {
        await fake.cc.throttle()
        await file.cache.write(at, pattern(VIEW_SIZE, 1), file.size)
      }
    }
    expect(await until(fake.env, statusOf(write()))).to.equal(NT_STATUS.STATUS_IO_DEVICE_ERROR)
  })
  it('writes lazily, and tries again after a failure', async () => {
    const fake = fakeCache()
    const file = new FakeFile(fake, PAGE, MIB)
    await until(fake.env, file.cache.write(0, pattern(PAGE, 3), file.size))
    file.failExtents = true
    await fake.env.advance(3_000)
    file.failExtents = false
    await fake.env.advance(5_000)
    expect(file.onDisk(PAGE)).to.deep.equal(pattern(PAGE, 3))
    expect(fake.env.clock.pending()).to.equal(0)
  })

  // Rounds of concurrent reads, writes and flushes by two files in a pool too small for them; the disk sometimes refuses.
  const action = fc.record({
    kind: fc.constantFrom('read', 'write', 'write', 'wholePages', 'flush'),
    file: fc.nat(1),
    at: fc.nat(11 * PAGE),
    length: fc.integer({ min: 1, max: 3 * PAGE }),
    far: fc.nat(2),
    delay: fc.nat(8),
  })
  const round = fc.record({
    actions: fc.array(action, { minLength: 1, maxLength: 6 }),
    failing: fc.nat(5),
    cut: fc.option(fc.nat(3 * VIEW_SIZE)),
  })
  it('is a byte array', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(round, { minLength: 1, maxLength: 4 }), fc.nat(), async (rounds, seed) => {
        const fake = fakeCache({ views: 2, seed, diskBytes: 6 * VIEW_SIZE })
        const files = [0, 1].map((i) => new FakeFile(fake, 3 * VIEW_SIZE, 3 * VIEW_SIZE, i * 3 * VIEW_SIZE))
        const models = files.map((file, i) => {
          file.fill(pattern(file.size, i * 100))
          return pattern(file.size, i * 100)
        })
        let value = 1
        for (const { actions, failing, cut } of rounds) {
          const before = models.map((model) => model.slice())
          const taken = files.map(() => new Set<number>())
          fake.disk.fails = (access) =>
            failing === 0 && access.direction === 'write' && access.offset % (4 * PAGE) === 0
          const unsure: { f: number; offset: number; length: number }[] = []
          // No room can be made while the disk refuses what would have to leave: then a request fails, and says so.
          const refused = (error: unknown) => {
            if (failing !== 0 || !(error instanceof StatusError) || error.status !== NT_STATUS.STATUS_IO_DEVICE_ERROR)
              throw error
          }
          const work = actions.map(async ({ kind, file: f, at, length, far, delay }) => {
            const file = files[f]
            let offset = far * VIEW_SIZE + at
            if (kind === 'wholePages') {
              offset -= offset % PAGE
              length = Math.ceil(length / PAGE) * PAGE
            }
            length = Math.min(length, file.size - offset)
            if (length <= 0) return
            if (kind === 'write' || kind === 'wholePages') {
              for (let i = offset; i < offset + length; i++) if (taken[f].has(i)) return
              for (let i = offset; i < offset + length; i++) taken[f].add(i)
              const bytes = pattern(length, value++ * 31)
              models[f].set(bytes, offset)
              await fake.env.clock.sleep(delay)
              await file.cache.write(offset, bytes, file.size).catch((error) => {
                refused(error)
                unsure.push({ f, offset, length })
              })
            } else if (kind === 'read') {
              await fake.env.clock.sleep(delay)
              const bytes = await file.read(offset, length).catch(refused)
              if (!bytes) return
              for (let i = 0; i < length; i++) {
                if (bytes[i] !== before[f][offset + i] && bytes[i] !== models[f][offset + i])
                  throw new Error(`byte ${offset + i} of file ${f}: ${bytes[i]}`)
              }
            } else {
              await fake.env.clock.sleep(delay)
              await file.cache.flush()
            }
          })
          await until(fake.env, Promise.all(work))
          fake.disk.fails = () => false
          // A write that failed has written some of its bytes, and no others.
          for (const { f, offset, length } of unsure) {
            const bytes = await until(fake.env, files[f].read(offset, length))
            for (let i = 0; i < length; i++)
              if (bytes[i] !== before[f][offset + i] && bytes[i] !== models[f][offset + i])
                throw new Error(`byte ${offset + i} of file ${f} after a refused write: ${bytes[i]}`)
            models[f].set(bytes, offset)
          }
          if (cut !== null && cut < files[0].size) {
            const [file] = files
            await until(fake.env, file.cache.flush())
            file.size = cut
            file.cache.discard(cut)
            file.cache.zeroTail(cut)
            models[0] = models[0].slice(0, cut)
          }
          for (const [i, file] of files.entries()) {
            if (file.size === 0) continue
            const read = await until(fake.env, file.read(0, file.size))
            if (Buffer.compare(read, models[i])) throw new Error(`file ${i} differs from its model`)
          }
        }
        for (const [i, file] of files.entries()) {
          expect(await until(fake.env, file.cache.flush())).to.equal(0)
          if (Buffer.compare(file.onDisk(file.size), models[i])) throw new Error(`file ${i} differs on disk`)
        }
      }),
      { numRuns: 8, endOnFailure: true },
    )
  }).timeout(20_000)
})
