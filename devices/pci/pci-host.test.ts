import { expect } from 'chai'
import { PciFunction } from '#contracts/machine'
import { fakeEnvironment, settle } from '#sel4/fake'
import { parseFunctions } from './functions.ts'
import { main } from './index.ts'
import { PciHost } from './pci-host.ts'

const HOST_BRIDGE = { address: '00:00.0', vendor: '0x8086', device: '0x29c0', class: '0x060000' }
const AHCI = {
  address: '00:1f.2',
  vendor: '0x8086',
  device: '0x2922',
  class: '0x010601',
  revision: 2,
  subsystemVendor: '0x1af4',
  subsystem: '0x1100',
  bars: [
    { index: 4, kind: 'io', base: '0xc040', length: 32 },
    { index: 5, base: '0xfebf1000', length: 4096 },
  ],
  interruptPin: 1,
  interruptLine: 11,
  msi: true,
  cable: 'pci-ahci0',
}

function bench() {
  const told: [string, number][] = []
  const functions = parseFunctions({ functions: [HOST_BRIDGE, AHCI, { ...HOST_BRIDGE, address: '00:1f.0' }] })
  const chip = new PciHost({ functions, command: (cable, command) => void told.push([cable, command]) })
  const select = (bus: number, device: number, number: number, register: number) =>
    chip.portOut(0xcf8, 4, (0x80000000 | (bus << 16) | (device << 11) | (number << 8) | (register & 0xfc)) >>> 0)
  const get = (register: number, width: 1 | 2 | 4 = 4, device = 0x1f, number = 2, bus = 0) => {
    select(bus, device, number, register)
    return chip.portIn(0xcfc + (register & 3), width)
  }
  const set = (register: number, width: 1 | 2 | 4, value: number) => {
    select(0, 0x1f, 2, register)
    chip.portOut(0xcfc + (register & 3), width, value)
  }
  return { chip, told, get, set }
}

describe('pci host', () => {
  it('shows each function where it sits, and all ones elsewhere', () => {
    const { get } = bench()
    expect(get(0)).to.equal(0x29228086)
    expect(get(0, 4, 0, 0)).to.equal(0x29c08086)
    for (const [device, number, bus] of [
      [1, 0, 0],
      [0x1f, 3, 0],
      [0, 0, 1],
    ]) {
      expect(get(0, 4, device, number, bus)).to.equal(0xffffffff)
      expect(get(0, 2, device, number, bus)).to.equal(0xffff)
      expect(get(0xe, 1, device, number, bus)).to.equal(0xff)
    }
  })

  it('answers nothing while the mechanism is disabled, and keeps no reserved address bits', () => {
    const { chip } = bench()
    chip.portOut(0xcf8, 4, 0x7f00fa03)
    expect(chip.portIn(0xcf8, 4)).to.equal(0x0000fa00)
    expect(chip.portIn(0xcfc, 4)).to.equal(0xffffffff)
    chip.portOut(0xcf8, 1, 0x10)
    expect(chip.portIn(0xcf8, 4)).to.equal(0x0000fa00)
    expect(chip.portIn(0xcf8, 1)).to.equal(0xff)
  })

  it('reads bytes, words and dwords of the header', () => {
    const { get } = bench()
    expect(get(0x08)).to.equal(0x01060102)
    expect(get(0x0b, 1)).to.equal(0x01)
    expect(get(0x0a, 2)).to.equal(0x0106)
    expect(get(0x2c)).to.equal(0x11001af4)
    expect(get(0x3c, 2)).to.equal(0x010b)
    expect(get(0x0e, 1)).to.equal(0x80)
    expect(get(0x0e, 1, 0, 0)).to.equal(0x00)
  })

  it('leaves bases as the firmware set them and answers a size probe', () => {
    const { get, set } = bench()
    expect(get(0x24)).to.equal(0xfebf1000)
    expect(get(0x20)).to.equal(0xc041)
    set(0x24, 4, 0xffffffff)
    set(0x20, 4, 0xffffffff)
    set(0x10, 4, 0xffffffff)
    expect(get(0x24)).to.equal(0xfffff000)
    expect(get(0x20)).to.equal(0xffffffe1)
    expect(get(0x10)).to.equal(0)
    set(0x24, 4, 0xfebf1000)
    expect(get(0x24)).to.equal(0xfebf1000)
  })

  it('keeps identity read-only and stores the interrupt line', () => {
    const { get, set } = bench()
    set(0x00, 4, 0)
    set(0x08, 4, 0)
    set(0x2c, 4, 0)
    set(0x3c, 4, 0xffffff05)
    expect([get(0), get(8), get(0x2c), get(0x3c)]).to.deep.equal([0x29228086, 0x01060102, 0x11001af4, 0x00000105])
  })

  it('tells the function its command register, however wide the write', () => {
    const { get, set, told } = bench()
    set(0x04, 2, 0xffff)
    set(0x05, 1, 0x00)
    set(0x04, 4, 0x00000006)
    set(0x06, 2, 0xffff)
    set(0x08, 4, 0)
    expect(told).to.deep.equal([
      ['pci-ahci0', 0x0547],
      ['pci-ahci0', 0x0047],
      ['pci-ahci0', 0x0006],
    ])
    expect(get(0x04)).to.equal(0x00100006)
  })

  it('lists an MSI capability that software can program', () => {
    const { get, set } = bench()
    const at = get(0x34, 1)
    expect(get(at)).to.equal(0x00800005)
    set(at + 4, 4, 0xfee00003)
    set(at + 8, 4, 1)
    set(at + 12, 2, 0x4031)
    set(at + 2, 2, 0x0001)
    expect([get(at), get(at + 4), get(at + 8), get(at + 12)]).to.deep.equal([0x00810005, 0xfee00000, 1, 0x4031])
    expect(get(0x06, 2, 0, 0)).to.equal(0)
  })

  it('keeps the functions as they are when the bridge is reset', () => {
    const { chip, get, set, told } = bench()
    set(0x04, 2, 6)
    chip.reset()
    expect(chip.portIn(0xcf8, 4)).to.equal(0)
    expect(get(0x04, 2)).to.equal(6)
    expect(told).to.have.length(1)
  })

  it('says what is wrong with its config', () => {
    const refused = (functions: unknown) => () => parseFunctions({ functions })
    expect(refused(3)).to.throw('must be a list')
    expect(refused([{ ...AHCI, address: '40.1' }])).to.throw('address must look like')
    expect(refused([{ ...AHCI, colour: 1 }])).to.throw('unknown key "colour"')
    expect(refused([{ ...AHCI, vendor: '0xffff' }])).to.throw('vendor: must be a number')
    expect(refused([{ ...AHCI, bars: [{ index: 5, base: 0, length: 100 }] }])).to.throw('power of two')
    expect(refused([AHCI, AHCI])).to.throw('two functions have this address')
  })

  it('calls over the cable, and ends with a sentence when there is none', async () => {
    const commands: number[] = []
    const config = { functions: [AHCI] }
    const env = fakeEnvironment({ name: 'pci-host', caps: { 'pci-ahci0': 4 }, config, machine: {} })
    env.provide(4, PciFunction, {
      command: ({ command }) => {
        commands.push(command)
        return {}
      },
    })
    void main(env)
    env.machine?.chip?.portOut?.(0xcf8, 4, 0x8000fa04)
    env.machine?.chip?.portOut?.(0xcfc, 2, 6)
    await settle()
    expect(commands).to.deep.equal([6])
    const lonely = fakeEnvironment({ name: 'pci-host', config, machine: {} })
    await main(lonely).catch(() => {})
    expect(lonely.ended?.code).to.equal(78)
    expect(lonely.ended?.message).to.contain('No cable "pci-ahci0"')
  })
})
