/** Capabilities: guarded lookup with its errors, derivation, deletion and revocation. */
import { expect } from 'chai'
import {
  type Capability,
  CNode,
  derive,
  isGone,
  leafOf,
  lookup,
  makeCapability,
  move,
  RIGHT,
  remove,
  slotAt,
} from './cspace.ts'
import { Endpoint } from './endpoint.ts'

const origin = 'test'
const endpoint = (): Capability => makeCapability(new Endpoint(1))

/** A root of 8 bits whose slot 5 has a CNode of 4 bits behind the guard 1010, at the top of a 16-bit address. */
function twoLevels(): { root: Capability; inner: CNode; top: CNode } {
  const inner = new CNode(2, 4)
  const top = new CNode(1, 8)
  top.put(5, makeCapability(inner, { guard: 0b1010, guardBits: 4 }))
  return { root: makeCapability(top, { guardBits: 16 }), inner, top }
}
describe('CSpace', () => {
  it('finds what was put, through guards and levels', () => {
    const { root, inner, top } = twoLevels()
    const cap = endpoint()
    inner.put(3, cap)
    expect(lookup(root, (5 << 8) | (0b1010 << 4) | 3)).to.equal(cap)
    expect(slotAt(root, 5, 24)).to.deep.equal({ node: top, index: 5 })
  })
  it('says why a lookup fails', () => {
    const { root, top } = twoLevels()
    top.put(6, endpoint())
    const failure = (act: () => unknown) => {
      try {
        act()
      } catch (error) {
        return (error as { failure?: number[] }).failure ?? (error as Error).message
      }
      return 'none'
    }
    expect(failure(() => lookup(root, (5 << 8) | (0b1011 << 4) | 3))).to.deep.equal([4, 8, 0b1010, 4])
    expect(failure(() => lookup(root, 7 << 8))).to.deep.equal([2, 8])
    expect(failure(() => slotAt(root, 6 << 8, 32))).to.deep.equal([3, 8, 24])
    expect(failure(() => slotAt(root, (5 << 4) | 0b1010, 28))).to.deep.equal([3, 4, 8])
    expect(failure(() => slotAt(endpoint(), 1, 8))).to.deep.equal([1])
    expect(failure(() => slotAt(root, 1, 33))).to.match(/seL4_RangeError/)
  })
  it('refuses a full slot, a slot outside, a full CSpace', () => {
    const node = new CNode(1, 2)
    node.put(2, endpoint())
    expect(() => node.put(2, endpoint())).to.throw(/seL4_DeleteFirst/)
    expect(() => node.put(4, endpoint())).to.throw(/seL4_RangeError/)
    node.insert(endpoint())
    node.insert(endpoint())
    expect(() => node.insert(endpoint())).to.throw(/seL4_NotEnoughMemory/)
  })
  it('leaves nothing of a new capability it refuses', () => {
    const node = new CNode(1, 2, { quota: 1 })
    const original = endpoint()
    node.put(1, original)
    for (const refused of [
      () => node.put(1, derive(original, { origin })),
      () => node.put(9, derive(original, { origin })),
      () => node.put(2, derive(original, { origin })),
      () => node.insert(derive(original, { origin })),
    ])
      expect(refused).to.throw(/^seL4_(DeleteFirst|RangeError|NotEnoughMemory)/)
    expect([original.object.references, original.children.size]).to.deep.equal([1, 0])
  })
  it('a moved capability keeps its place in the tree and closes what was opened at its address', () => {
    const node = new CNode(1, 2)
    const original = endpoint()
    const copy = derive(original, { origin })
    node.put(1, original)
    let closed = 0
    original.onDelete = new Set([() => closed++])
    move(original, { node, index: 3 })
    expect([node.at(1), node.at(3), copy.parent, closed]).to.deep.equal([undefined, original, original, 1])
  })
})

describe('derivation', () => {
  it('never adds rights, badges once', () => {
    const original = endpoint()
    const sender = derive(original, { badge: 7, rights: RIGHT.write, origin })
    expect([sender.badge, sender.rights]).to.deep.equal([7, RIGHT.write])
    expect(derive(sender, { origin }).rights).to.equal(RIGHT.write)
    expect(() => derive(sender, { badge: 8, origin })).to.throw(/seL4_IllegalOperation/)
  })
  it('revokes every descendant, of a badge only its own', () => {
    const original = endpoint()
    const seven = derive(original, { badge: 7, origin })
    const copy = derive(seven, { origin })
    const eight = derive(original, { badge: 8, origin })
    expect(leafOf(seven)).to.equal(copy)
    for (let leaf = leafOf(original); leaf; leaf = leafOf(original)) remove(leaf)
    expect([seven, copy, eight].every(isGone)).to.equal(true)
    expect(original.children.size).to.equal(0)
  })
  it('a copy of a copy is its sibling', () => {
    const original = endpoint()
    const copy = derive(original, { origin })
    derive(copy, { origin })
    expect(leafOf(copy)).to.equal(undefined)
    expect(original.children.size).to.equal(2)
  })
  it('a deleted capability leaves its children to its parent, and closes what it opened', () => {
    const original = endpoint()
    const seven = derive(original, { badge: 7, origin })
    const copy = derive(seven, { origin })
    let closed = 0
    seven.onDelete = new Set([() => closed++])
    remove(seven)
    remove(seven)
    expect([copy.parent, closed, original.object.references]).to.deep.equal([original, 1, 2])
  })
})
