/** Capabilities: guarded lookup with its errors, derivation, deletion and revocation. */
import { expect } from 'chai'
import { type Capability, CNode, derive, descendants, isGone, lookup, makeCapability, RIGHT, remove } from './cspace.ts'
import { Endpoint } from './endpoint.ts'

const origin = 'test'
const endpoint = (): Capability => makeCapability(new Endpoint(1))

describe('CSpace', () => {
  it('finds what was put, through guards and levels', () => {
    const inner = new CNode(2, 4, 4, 0b1010)
    const root = new CNode(1, 8)
    const cap = endpoint()
    inner.put(3, cap)
    root.put(5, makeCapability(inner))
    expect(lookup(root, (5 << 8) | (0b1010 << 4) | 3, 16)).to.equal(cap)
    expect(lookup(root, 5).object).to.equal(inner)
  })
  it('says why a lookup fails', () => {
    const inner = new CNode(2, 4, 4, 0b1010)
    const root = new CNode(1, 8)
    root.put(5, makeCapability(inner))
    root.put(6, endpoint())
    expect(() => lookup(root, (5 << 8) | (0b1011 << 4) | 3, 16)).to.throw(/guard mismatch/)
    expect(() => lookup(root, 7)).to.throw(/no capability at 7/)
    expect(() => lookup(root, 6 << 8, 16)).to.throw(/8 bits left/)
    expect(() => lookup(root, 5 << 4, 12)).to.throw(/depth mismatch/)
    expect(() => lookup(root, -1)).to.throw(/seL4_FailedLookup/)
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
    expect(descendants(seven)).to.deep.equal([copy])
    expect(descendants(original)).to.have.members([seven, copy, eight])
    for (const cap of descendants(original)) remove(cap)
    expect([seven, copy, eight].every(isGone)).to.equal(true)
    expect(original.children.size).to.equal(0)
  })
  it('a copy of a copy is its sibling', () => {
    const original = endpoint()
    const copy = derive(original, { origin })
    derive(copy, { origin })
    expect(descendants(copy)).to.deep.equal([])
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
