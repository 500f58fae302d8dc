import { expect } from 'chai'
import { PAGE, ProgramMemory } from './program-memory.ts'

const VADDR = 0x4000_0000
/** A large page of four, then a small one right behind it, which may only be read. */
function memory() {
  const large = new Uint8Array(4 * PAGE).map((_, i) => i % 251)
  const small = new Uint8Array(PAGE).fill(9)
  const program = new ProgramMemory()
  program.map(VADDR, large, true)
  program.map(VADDR + 4 * PAGE, small, false)
  return { program, large, small }
}
const read = (program: ProgramMemory, vaddr: number, length: number) => {
  const into = new Uint8Array(length)
  return { done: program.read(vaddr, into, 0), into }
}

describe('program-visible memory', () => {
  it('is read across pages and extents, from anywhere', () => {
    const { program, large, small } = memory()
    const whole = Uint8Array.of(...large, ...small)
    for (const [from, length] of [
      [0, 5 * PAGE],
      [1, 3],
      [PAGE - 1, 2],
      [3 * PAGE + 7, 2 * PAGE - 7],
      [4 * PAGE, PAGE],
    ])
      expect(read(program, VADDR + from, length)).to.deep.equal({
        done: length,
        into: whole.slice(from, from + length),
      })
  })
  it('stops where nothing is, and goes on from there when something is', () => {
    const { program } = memory()
    const into = new Uint8Array(2 * PAGE)
    expect(program.read(VADDR + 4 * PAGE, into, 0)).to.equal(PAGE)
    program.map(VADDR + 5 * PAGE, new Uint8Array(PAGE).fill(7), true)
    expect(program.read(VADDR + 4 * PAGE, into, PAGE)).to.equal(2 * PAGE)
    expect([into[PAGE - 1], into[PAGE]]).to.deep.equal([9, 7])
  })
  it('is written up to what may not be', () => {
    const { program, large, small } = memory()
    expect(program.write(VADDR + 3 * PAGE + 1, new Uint8Array(2 * PAGE).fill(3), 0)).to.equal(PAGE - 1)
    expect([large[3 * PAGE], large[3 * PAGE + 1], large[4 * PAGE - 1], small[0]]).to.deep.equal([
      (3 * PAGE) % 251,
      3,
      3,
      9,
    ])
  })
  it('remembers which pages were touched, until it is asked', () => {
    const { program } = memory()
    read(program, VADDR + PAGE, PAGE + 1)
    program.write(VADDR + 2 * PAGE - 1, Uint8Array.of(1), 0)
    const bits = () => [0, 1, 2, 3].map((page) => program.statusBits(VADDR + page * PAGE + 5))
    expect(bits()).to.deep.equal([0, 3, 1, 0])
    expect(bits()).to.deep.equal([0, 0, 0, 0])
    expect(program.statusBits(VADDR - 1)).to.equal(null)
  })
  it('is gone as it came: an extent at a time', () => {
    const { program } = memory()
    program.unmap(VADDR)
    program.unmap(VADDR - PAGE)
    expect(read(program, VADDR + 3 * PAGE, 1).done).to.equal(0)
    expect(read(program, VADDR + 4 * PAGE, 1).done).to.equal(1)
  })
})
