/** The PCI bus against a small host bridge: enumeration, ids, requirements, START, configuration access, next life. */
import { IRP_MJ, IRP_MN, type Parameters } from '#contracts/wdm'
import { NT_STATUS } from '#rtl'
import { expect } from 'chai'
import { type FakeExecutive, fakeExecutive } from '../../../lib/wdm/fake-executive.ts'
import { DriverEntry } from './index.ts'

/** A configuration space with masks of writable bits, by dword. */
class Space {
  readonly dwords = new Map<number, number>()
  readonly writable = new Map<number, number>()
  set(offset: number, value: number, writable = 0): this {
    this.dwords.set(offset, value >>> 0)
    this.writable.set(offset, writable >>> 0)
    return this
  }
  write(offset: number, value: number): void {
    const mask = this.writable.get(offset) ?? 0
    this.dwords.set(offset, (((this.dwords.get(offset) ?? 0) & ~mask) | (value & mask)) >>> 0)
  }
}
/** Host bridge at 0.0, an AHCI controller as the second function of a multi-function device, a card with a line and 64-bit memory. */
class Machine {
  address = 0
  readonly log: string[] = []
  readonly spaces = new Map<number, Space>()
  constructor() {
    this.spaces.set(0x0000, new Space().set(0, 0x29c08086).set(8, 0x06000000))
    this.spaces.set(0x00f8, new Space().set(0, 0x29188086).set(8, 0x06010002).set(12, 0x00800000))
    const ahci = new Space().set(0, 0x29228086).set(8, 0x01060102).set(12, 0x00800000).set(0x2c, 0x11001af4)
    ahci.set(4, 0x00100000, 0x0407).set(0x34, 0x50).set(0x24, 0xfebf1000, 0xfffff000)
    ahci.set(0x50, 0x00800005, 0x00710000).set(0x54, 0, 0xfffffffc).set(0x58, 0, 0xffffffff).set(0x5c, 0, 0xffff)
    this.spaces.set(0x00fa, ahci)
    const card = new Space().set(0, 0x00011234).set(8, 0x02000000).set(4, 0x0007, 0x0407)
    card
      .set(0x10, 0xc001, 0xffffffe0)
      .set(0x14, 0xfe000004, 0xfff00000)
      .set(0x18, 1, 0xffffffff)
      .set(0x3c, 0x010b, 0xff)
    this.spaces.set(0x0018, card)
  }
  readPort(port: number): number {
    const space = this.spaces.get((this.address >>> 8) & 0xffff)
    return port === 0xcf8 ? this.address : (space?.dwords.get(this.address & 0xfc) ?? (space ? 0 : 0xffffffff))
  }
  writePort(port: number, width: number, value: number): void {
    if (port === 0xcf8) this.address = value
    else this.writeData(port - 0xcfc, width, value)
  }
  private writeData(lane: number, width: number, value: number): void {
    const at = (this.address >>> 8) & 0xffff
    const offset = this.address & 0xfc
    this.log.push(`${at.toString(16)}:${(offset + lane).toString(16)}=${value.toString(16)}`)
    const space = this.spaces.get(at)
    const mask = width === 4 ? 0xffffffff : ((2 ** (8 * width) - 1) << (8 * lane)) >>> 0
    const old = space?.dwords.get(offset) ?? 0
    space?.write(offset, ((old & ~mask) | ((value << (8 * lane)) & mask)) >>> 0)
  }
}
const ROOT = [
  { kind: 'Port' as const, Start: 0xcf8, Length: 8 },
  { kind: 'BusNumber' as const, Start: 0, Length: 1 },
]
const startWith = (resources: readonly any[]): Parameters => ({
  kind: 'StartDevice',
  AllocatedResources: resources,
  AllocatedResourcesTranslated: resources,
})

async function bus(machine = new Machine(), parked?: Map<string, Uint8Array>) {
  const executive = fakeExecutive(DriverEntry, {
    birth: parked ? 'restart' : 'fresh',
    onPortIn: (port) => machine.readPort(port),
    onPortOut: (port, width, value) => machine.writePort(port, width, value),
  })
  for (const [key, state] of parked ?? []) executive.parked.set(key, state)
  executive.onForward = () => ({ Status: 0 })
  await executive.addDevice(executive.foreign().handle, 'Root\\PNP0A03\\0')
  const fdo = executive.attached[0].source
  const pnp = (Device: number, MinorFunction: number, Parameters?: Parameters, more: object = {}) =>
    executive.perform({
      Device,
      MajorFunction: IRP_MJ.IRP_MJ_PNP,
      MinorFunction,
      ...(Parameters && { Parameters }),
      ...more,
    })
  expect((await pnp(fdo, IRP_MN.IRP_MN_START_DEVICE, startWith(ROOT))).Status).to.equal(0)
  const relations = async () => {
    const { Response } = await pnp(fdo, IRP_MN.IRP_MN_QUERY_DEVICE_RELATIONS, { kind: 'QueryDeviceRelations', Type: 0 })
    return Response?.kind === 'Devices' ? Response.Devices : []
  }
  return { executive, machine, pnp, relations }
}
const names = (executive: FakeExecutive, handles: readonly number[]) =>
  handles.map((handle) => executive.devices.get(handle)?.name)
const NAMES = [0, 1, 2, 3].map((n) => `\\Device\\NTPNP_PCI000${n}`)

describe('pci', () => {
  it('finds the functions of the bus, each once', async () => {
    const { executive, relations } = await bus()
    const first = await relations()
    expect(names(executive, first)).to.deep.equal(NAMES)
    expect(await relations()).to.deep.equal(first)
  })
  it('names a function as NT does', async () => {
    const { relations, pnp } = await bus()
    const [, , , ahci] = await relations()
    const ids: (readonly string[])[] = []
    for (const IdType of [0, 1, 2, 3]) {
      const { Response } = await pnp(ahci, IRP_MN.IRP_MN_QUERY_ID, { kind: 'QueryId', IdType })
      ids.push(Response?.kind === 'Ids' ? Response.Ids : [])
    }
    expect(ids[0]).to.deep.equal(['PCI\\VEN_8086&DEV_2922&SUBSYS_11001AF4&REV_02'])
    expect(ids[1]).to.include('PCI\\VEN_8086&DEV_2922&CC_0106')
    expect(ids[2]).to.include.members(['PCI\\CC_010601', 'PCI\\CC_0106'])
    expect(ids[3]).to.deep.equal(['00FA'])
  })
  it('asks for what the registers say', async () => {
    const { relations, pnp, machine } = await bus()
    const [, card, , ahci] = await relations()
    const lists: unknown[] = []
    for (const Device of [ahci, card]) {
      const { Response } = await pnp(Device, IRP_MN.IRP_MN_QUERY_RESOURCE_REQUIREMENTS)
      const [list] = Response?.kind === 'Requirements' ? Response.Alternatives : []
      lists.push(list.map(({ Type, Option, Minimum, Maximum, Trigger }) => [Type, Option, Minimum, Maximum, Trigger]))
    }
    expect(lists[0]).to.deep.equal([
      ['Memory', 0, 0xfebf1000, 0xfebf1fff, ''],
      ['Interrupt', 0, 0, 4095, 'message'],
    ])
    expect(lists[1]).to.deep.equal([
      ['Port', 0, 0xc000, 0xc01f, ''],
      ['Memory', 0, 0x1fe000000, 0x1fe0fffff, ''],
      ['Interrupt', 0, 11, 11, 'level'],
    ])
    expect(machine.spaces.get(0x18)?.dwords.get(0x14)).to.equal(0xfe000004)
    expect(machine.spaces.get(0x18)?.dwords.get(4)).to.equal(7)
  })
  it('programs the message and, last, the command register; takes them off again', async () => {
    const { relations, pnp, machine } = await bus()
    const ahci = (await relations())[3]
    machine.log.length = 0
    const message = { kind: 'Interrupt', Level: 24, Vector: 0x48, Latched: true, Shared: false, Message: true }
    const resources = [{ kind: 'Memory', Start: 0xfebf1000, Length: 4096 }, message]
    expect((await pnp(ahci, IRP_MN.IRP_MN_START_DEVICE, startWith(resources))).Status).to.equal(0)
    expect(machine.log).to.deep.equal(['fa:54=fee00000', 'fa:58=0', 'fa:5c=48', 'fa:52=81', 'fa:4=406'])
    await pnp(ahci, IRP_MN.IRP_MN_STOP_DEVICE)
    expect(machine.log.at(-1)).to.equal('fa:4=400')
    const without = await pnp(ahci, IRP_MN.IRP_MN_START_DEVICE, startWith([message]))
    expect(without.Status).to.equal(NT_STATUS.STATUS_INVALID_PARAMETER)
  })
  it('reads and writes configuration space, within it', async () => {
    const { relations, pnp, machine } = await bus()
    const card = (await relations())[1]
    const config = (Offset: number, Length: number): Parameters => ({
      kind: 'ReadWriteConfig',
      WhichSpace: 0,
      Offset,
      Length,
    })
    const read = await pnp(card, IRP_MN.IRP_MN_READ_CONFIG, config(1, 6), { OutputLength: 6 })
    expect(read.Response?.kind === 'Data' && [...read.Response.Bytes]).to.deep.equal([0x12, 1, 0, 7, 0, 0])
    const written = await pnp(card, IRP_MN.IRP_MN_WRITE_CONFIG, config(0x3c, 1), { Input: Uint8Array.of(5) })
    expect(written.Status).to.equal(0)
    expect(machine.spaces.get(0x18)?.dwords.get(0x3c)).to.equal(0x0105)
    const outside = await pnp(card, IRP_MN.IRP_MN_READ_CONFIG, config(254, 4), { OutputLength: 4 })
    expect(outside.Status).to.equal(NT_STATUS.STATUS_INVALID_PARAMETER)
  })
  it('comes back to the same devices without touching functions at work', async () => {
    const first = await bus()
    await first.relations()
    const next = await bus(first.machine, first.executive.parked)
    first.machine.log.length = 0
    const again = await bus(first.machine, first.executive.parked)
    expect(names(again.executive, await again.relations())).to.deep.equal(NAMES)
    expect(first.machine.log).to.deep.equal([])
    expect(names(next.executive, await next.relations())).to.deep.equal(NAMES)
  })
})
