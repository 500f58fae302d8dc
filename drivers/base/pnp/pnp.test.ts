/** The root enumerator: its children, their ids and resources, and the same devices after a restart. */
import { IRP_MJ, IRP_MN } from '#contracts/wdm'
import { expect } from 'chai'
import { type FakeExecutive, fakeExecutive } from '../../../lib/wdm/fake-executive.ts'
import { parseChildren } from './children.ts'
import { DriverEntry } from './index.ts'

const MajorFunction = IRP_MJ.IRP_MJ_PNP
async function relations(executive: FakeExecutive) {
  const Device = executive.named('\\Device\\pnp').handle
  const MinorFunction = IRP_MN.IRP_MN_QUERY_DEVICE_RELATIONS
  const Parameters = { kind: 'QueryDeviceRelations' as const, Type: 0 }
  const done = await executive.perform({ Device, MajorFunction, MinorFunction, Parameters })
  return done.Response?.kind === 'Devices' ? done.Response.Devices : []
}
async function ids(executive: FakeExecutive, Device: number) {
  const answers: unknown[] = []
  for (const IdType of [0, 1, 2, 3]) {
    const Parameters = { kind: 'QueryId' as const, IdType }
    const done = await executive.perform({ Device, MajorFunction, MinorFunction: IRP_MN.IRP_MN_QUERY_ID, Parameters })
    answers.push(done.Response?.kind === 'Ids' ? done.Response.Ids : done.Status)
  }
  return answers
}

describe('pnp', () => {
  it('has the devices of every PC', async () => {
    const executive = fakeExecutive(DriverEntry)
    await executive.settle()
    const [keyboard, pci, clock] = await relations(executive)
    expect(await ids(executive, keyboard)).to.deep.equal([['Root\\PNP0303'], ['Root\\PNP0303', '*PNP0303'], [], ['0']])
    expect((await ids(executive, pci))[0]).to.deep.equal(['Root\\PNP0A03'])
    expect((await ids(executive, clock))[0]).to.deep.equal(['Root\\PNP0B00'])
    const MinorFunction = IRP_MN.IRP_MN_QUERY_RESOURCE_REQUIREMENTS
    const done = await executive.perform({ Device: keyboard, MajorFunction, MinorFunction })
    const list = done.Response?.kind === 'Requirements' ? done.Response.Alternatives[0] : []
    expect(
      list.map(({ Type, Minimum, Maximum, Length, Trigger }) => [Type, Minimum, Maximum, Length, Trigger]),
    ).to.deep.equal([
      ['Port', 0x60, 0x60, 1, ''],
      ['Port', 0x64, 0x64, 1, ''],
      ['Interrupt', 1, 1, 1, 'edge'],
    ])
  })
  it('takes its children from the manifest and says what is wrong there', () => {
    const [child] = parseChildren({
      devices: [{ id: 'Root\\X', instance: '1', resources: [{ bus: 3 }, { irq: '0x9', trigger: 'level' }] }],
    })
    expect(child).to.deep.include({ deviceId: 'Root\\X', instanceId: '1', hardwareIds: ['Root\\X', '*X'] })
    expect(child.requirements[1]).to.deep.include({ Type: 'Interrupt', Minimum: 9, Shared: true })
    expect(() => parseChildren({ devices: [{ id: 'Root\\X', resources: [{ port: 1 }] }] })).to.throw(
      /entry 0: resources\[0\]: length/,
    )
    expect(() => parseChildren({ devices: [{ id: 'Root\\X' }, { id: 'root\\x' }] })).to.throw(/twice/)
    expect(() => parseChildren({ devices: {} })).to.throw(/must be a list/)
  })
  it('is bound to the same names in its next life', async () => {
    const names = async (birth: 'fresh' | 'restart') => {
      const executive = fakeExecutive(DriverEntry, { birth })
      await executive.settle()
      return [...executive.devices.values()].map(({ name }) => name)
    }
    expect(await names('restart')).to.deep.equal(await names('fresh'))
  })
})
