import { expect } from 'chai'
import fc from 'fast-check'
import { type Buffer, Heap } from './heap.ts'
import { baseName, directoryOf, fullPath, ntPath } from './path.ts'

const LENGTH = 64 * 1024
const memory = () => ({ virtualAddress: 0x10000000, physicalAddress: 0, length: LENGTH, bytes: new Uint8Array(LENGTH) })

describe('heap', () => {
  it("hands out memory that is inside, aligned, and nobody else's", () => {
    const step = fc.oneof(
      fc.record({
        kind: fc.constant('allocate' as const),
        length: fc.integer({ min: 0, max: 20_000 }),
        alignment: fc.constantFrom(1, 16, 512, 4096),
      }),
      fc.record({ kind: fc.constant('free' as const), which: fc.nat() }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const heap = new Heap(memory())
        const held: Buffer[] = []
        for (const s of steps) {
          if (s.kind === 'free') {
            const [buffer] = held.splice(s.which % (held.length || 1), 1)
            if (buffer) heap.free(buffer)
            continue
          }
          let buffer: Buffer
          try {
            buffer = heap.allocate(s.length, s.alignment)
          } catch {
            continue
          }
          expect(buffer.Address % s.alignment).to.equal(0)
          expect(buffer.Address).to.be.at.least(0x10000000)
          expect(buffer.Address + s.length).to.be.at.most(0x10000000 + LENGTH)
          expect(buffer.bytes).to.have.length(s.length)
          for (const other of held)
            expect(
              buffer.Address + buffer.Length <= other.Address || other.Address + other.Length <= buffer.Address,
            ).to.equal(true)
          if (s.length > 0) held.push(buffer)
        }
        for (const buffer of held) heap.free(buffer)
        expect(heap.allocate(LENGTH).Length).to.equal(LENGTH)
      }),
    )
  })
  it('refuses what is no length, and memory that is free already', () => {
    const heap = new Heap(memory())
    for (const length of [-1, 1.5, Number.NaN, LENGTH + 1]) expect(() => heap.allocate(length)).to.throw()
    const buffer = heap.allocate(100)
    heap.free(buffer)
    expect(() => heap.free(buffer)).to.throw()
    expect(heap.allocate(LENGTH).Length).to.equal(LENGTH)
  })
})

describe('paths', () => {
  it('are what a shell means by them', () => {
    for (const [cwd, typed, path] of [
      ['C:\\', 'A.TXT', 'C:\\A.TXT'],
      ['C:\\A', '..', 'C:\\'],
      ['C:\\A', '..\\..\\..', 'C:\\'],
      ['C:\\A\\B', '.\\C\\', 'C:\\A\\B\\C'],
      ['C:\\A', '\\B', 'C:\\B'],
      ['C:\\A', '/b/c', 'C:\\b\\c'],
      ['C:\\A', 'd:', 'D:\\'],
      ['C:\\A', 'c:x', 'C:\\A\\x'],
      ['C:\\A', 'c:\\x', 'C:\\x'],
      ['C:\\A', 'D:x\\\\y', 'D:\\x\\y'],
      ['C:\\A', '', 'C:\\A'],
    ]) {
      expect(fullPath(cwd, typed), `${typed} in ${cwd}`).to.equal(path)
    }
    expect([
      baseName('C:\\A\\B'),
      baseName('C:\\'),
      directoryOf('C:\\A'),
      directoryOf('C:\\A\\B'),
      directoryOf('C:\\'),
    ]).to.deep.equal(['B', '', 'C:\\', 'C:\\A', 'C:\\'])
    expect(ntPath('C:\\A')).to.equal('\\??\\C:\\A')
  })
  it('are the same when completed twice', () => {
    const part = fc.constantFrom('..', '.', 'A', 'b c', '\\', '/', '\\\\', 'x.txt')
    fc.assert(
      fc.property(fc.constantFrom('', 'D:', 'c:'), fc.array(part, { maxLength: 8 }), (drive, parts) => {
        const once = fullPath('C:\\X\\Y', drive + parts.join(''))
        expect(fullPath('E:\\Z', once)).to.equal(once)
        expect(fullPath(directoryOf(once), baseName(once))).to.equal(once)
      }),
    )
  })
})
