import { expect } from 'chai'
import type { DeviceNode } from './pnp-node.ts'
import { type Requirement, ResourceArbiter } from './resources.ts'

const need = (
  Type: string,
  Minimum: number,
  Maximum: number,
  Length: number,
  more: Partial<Requirement> = {},
): Requirement => ({
  Option: 0,
  Type,
  Minimum,
  Maximum,
  Length,
  Alignment: 1,
  Shared: false,
  Trigger: 'level',
  ...more,
})
const none = () => []
const lonely = () => ({ isAncestorOf: () => false }) as unknown as DeviceNode

describe('resource arbiter', () => {
  it('takes the first fit beyond what others have, aligned', () => {
    const arbiter = new ResourceArbiter()
    arbiter.assign(lonely(), [[need('Port', 0x100, 0x104, 5)]], none)
    const [port] = arbiter.assign(lonely(), [[need('Port', 0x100, 0x1ff, 8, { Alignment: 8 })]], none)!
    expect(port).to.deep.equal({ kind: 'Port', Start: 0x108, Length: 8 })
  })
  it('gives everything of a list back when one requirement cannot be met, and tries the next list', () => {
    const arbiter = new ResourceArbiter()
    arbiter.reserve('Interrupt', 3, 3)
    const lists = [
      [need('Port', 0x60, 0x60, 1), need('Interrupt', 3, 3, 1)],
      [need('Port', 0x60, 0x60, 1), need('Interrupt', 4, 4, 1)],
    ]
    expect(arbiter.assign(lonely(), lists, none)!.map((one) => one.kind)).to.deep.equal(['Port', 'Interrupt'])
    expect(arbiter.assign(lonely(), lists, none)).to.equal(undefined)
  })
  it('shares an interrupt only when both agree', () => {
    const arbiter = new ResourceArbiter()
    const shared = need('Interrupt', 11, 11, 1, { Shared: true })
    arbiter.assign(lonely(), [[shared]], none)
    expect(arbiter.assign(lonely(), [[shared]], none)).to.have.length(1)
    expect(arbiter.assign(lonely(), [[need('Interrupt', 11, 11, 1)]], none)).to.equal(undefined)
  })
  it('lets a child have a part of its bus, and no more', () => {
    const arbiter = new ResourceArbiter()
    const child = lonely()
    const bus = { isAncestorOf: (other: DeviceNode) => other === child } as unknown as DeviceNode
    arbiter.assign(bus, [[need('Memory', 0xe0000000, 0xe000ffff, 0x10000)]], none)
    expect(arbiter.assign(child, [[need('Memory', 0xe0001000, 0xe0001fff, 0x1000)]], none)).to.have.length(1)
    expect(arbiter.assign(lonely(), [[need('Memory', 0xe0002000, 0xe0002fff, 0x1000)]], none)).to.equal(undefined)
    expect(arbiter.assign(child, [[need('Memory', 0xe000f000, 0xe0010fff, 0x2000)]], none)).to.equal(undefined)
  })
  it('puts memory without a place into a machine window of its size', () => {
    const arbiter = new ResourceArbiter([{ base: 0xfebf1000, length: 0x1000 }])
    const anywhere = need('Memory', 0x1000, 0xffffffff, 0x1000, { Alignment: 0x1000 })
    const starts = [0, 1].map(() => arbiter.assign(lonely(), [[anywhere]], none)![0])
    expect(starts).to.deep.equal([
      { kind: 'Memory', Start: 0xfebf1000, Length: 0x1000 },
      { kind: 'Memory', Start: 0x80000000, Length: 0x1000 },
    ])
  })
  it('takes a message line of the device, else the alternative', () => {
    const arbiter = new ResourceArbiter()
    const list = [
      [need('Interrupt', 0, 4095, 1, { Trigger: 'message' }), need('Interrupt', 9, 9, 1, { Option: 8, Shared: true })],
    ]
    expect(arbiter.assign(lonely(), list, () => [24])![0]).to.include({ Level: 24, Message: true })
    expect(arbiter.assign(lonely(), list, () => [24])![0]).to.include({ Level: 9, Message: false })
    expect(arbiter.assign(lonely(), [[need('Dma', 0, 3, 1)]], none)).to.equal(undefined)
  })
})
