/** The class driver: its name, opens that end here, reads that go on without it. */
import { IRP_MJ, IRP_MN } from '#contracts/wdm'
import { expect } from 'chai'
import { fakeExecutive } from '../../../lib/wdm/fake-executive.ts'
import { DriverEntry } from './index.ts'

describe('kbdclass', () => {
  it('filters the port and passes reads down for good', async () => {
    const executive = fakeExecutive(DriverEntry)
    const port = executive.foreign(0x27)
    await executive.addDevice(port.handle)
    const device = executive.named('\\Device\\KeyboardClass0')
    expect(executive.attached).to.deep.equal([{ source: device.handle, target: port.handle }])
    expect(device).to.include({ stackSize: 2, flags: 4 })
    const opened = await executive.perform({ Device: device.handle, File: 3, MajorFunction: IRP_MJ.IRP_MJ_CREATE })
    expect(opened).to.include({ Status: 0, Information: 1 })
    const Parameters = { kind: 'Read' as const, Length: 24, Key: 0, ByteOffset: 0 }
    for (let i = 0; i < 2; i++)
      executive.request({
        Device: device.handle,
        File: 3,
        MajorFunction: IRP_MJ.IRP_MJ_READ,
        Parameters,
        OutputLength: 24,
      })
    await executive.settle()
    expect(executive.sent('Forward').map(({ Device, Notify }) => [Device, Notify])).to.deep.equal([
      [port.handle, 0],
      [port.handle, 0],
    ])
    await executive.perform({ Device: device.handle, File: 3, MajorFunction: IRP_MJ.IRP_MJ_CLEANUP })
  })
  it('goes with its keyboard', async () => {
    const executive = fakeExecutive(DriverEntry)
    const port = executive.foreign(0x27)
    await executive.addDevice(port.handle)
    executive.onForward = () => ({ Status: 0 })
    const Device = executive.named('\\Device\\KeyboardClass0').handle
    await executive.perform({ Device, MajorFunction: IRP_MJ.IRP_MJ_PNP, MinorFunction: IRP_MN.IRP_MN_REMOVE_DEVICE })
    expect([...executive.devices.keys()]).to.deep.equal([port.handle])
  })
})
