import { expect } from 'chai'
import { putLe64, view } from '#drivers/lib/bytes'
import {
  IOCTL_DISK_GET_DRIVE_GEOMETRY_EX,
  IOCTL_DISK_GET_LENGTH_INFO,
  IOCTL_DISK_IS_WRITABLE,
  IOCTL_MOUNTDEV_QUERY_UNIQUE_ID,
} from '#drivers/lib/ioctl'
import { IRP_MJ, IRP_MN, type Parameters } from '#contracts/wdm'
import { NT_STATUS } from '#rtl'
// The Executive's side, for tests.
import { fakeExecutive } from '../../../lib/wdm/fake-executive.ts'
import { DriverEntry } from './index.ts'

const SECTORS = 4096
function diskBytes(): Uint8Array {
  const bytes = new Uint8Array(1024)
  const v = view(bytes)
  v.setUint32(0x1b8, 0xcafe, true)
  ;[
    [63, 100],
    [200, 300],
  ].forEach(([lba, count], i) => {
    bytes[0x1be + i * 16 + 4] = 6
    v.setUint32(0x1be + i * 16 + 8, lba, true)
    v.setUint32(0x1be + i * 16 + 12, count, true)
  })
  v.setUint16(510, 0xaa55, true)
  return bytes
}
async function startedFilter(birth: 'fresh' | 'restart' = 'fresh') {
  const executive = fakeExecutive(
    DriverEntry,
    { name: 'partmgr', arenaBytes: 1 << 20, birth },
    {
      NtCreateDirectoryObject: () => ({ DirectoryHandle: 4 }),
      NtCreateSymbolicLinkObject: () => ({ LinkHandle: 8 }),
      NtClose: () => ({}),
    },
  )
  await executive.settle()
  const disk = executive.foreign(7, '\\Device\\Harddisk0\\DR0')
  executive.onForward = () => ({ Status: 0 })
  executive.onNewRequest = (packet) => {
    const { Parameters } = packet
    if (Parameters.kind === 'DeviceIoControl') {
      const geometry = Parameters.IoControlCode === IOCTL_DISK_GET_DRIVE_GEOMETRY_EX
      const Bytes = new Uint8Array(geometry ? 32 : 12)
      if (geometry) {
        view(Bytes).setUint32(20, 512, true)
        putLe64(view(Bytes), 24, SECTORS * 512)
      }
      return { Status: 0, Response: { kind: 'Data', Bytes } }
    }
    if (Parameters.kind !== 'Read' || packet.Buffer.kind !== 'Arena')
      return { Status: NT_STATUS.STATUS_INVALID_PARAMETER }
    const at = packet.Buffer.Address - executive.env.arena!.virtualAddress
    executive.env.arena!.bytes.set(
      diskBytes().subarray(Parameters.ByteOffset, Parameters.ByteOffset + Parameters.Length),
      at,
    )
    return { Status: 0 }
  }
  await executive.addDevice(disk.handle)
  const filter = executive.attached[0].source
  const pnp = (Device: number, MinorFunction: number, parameters: Parameters) =>
    executive.perform({ Device, MajorFunction: IRP_MJ.IRP_MJ_PNP, MinorFunction, Parameters: parameters })
  const start = await pnp(filter, IRP_MN.IRP_MN_START_DEVICE, {
    kind: 'StartDevice',
    AllocatedResources: [],
    AllocatedResourcesTranslated: [],
  })
  expect(start.Status).to.equal(0)
  executive.packets.length = 0
  return { executive, disk, filter, pnp, volume: executive.named('\\Device\\HarddiskVolume2').handle }
}

describe('partmgr: the driver', () => {
  it('is the bus of the partitions', async () => {
    const { executive, filter, pnp } = await startedFilter()
    const relations = await pnp(filter, IRP_MN.IRP_MN_QUERY_DEVICE_RELATIONS, { kind: 'QueryDeviceRelations', Type: 0 })
    const Devices = [1, 2].map((n) => executive.named(`\\Device\\HarddiskVolume${n}`).handle)
    expect(relations.Response).to.deep.equal({ kind: 'Devices', Devices })
    const id = await pnp(Devices[1], IRP_MN.IRP_MN_QUERY_ID, { kind: 'QueryId', IdType: 3 })
    expect(id.Response).to.deep.equal({ kind: 'Ids', Ids: ['0_S0000CAFE_O19000_L25800'] })
    expect((await executive.addDevice(Devices[1])).Status).to.equal(0)
    expect(executive.attached.length).to.equal(1)
  })
  it('moves a read to where the partition starts, and wants no notice', async () => {
    const { executive, disk, volume } = await startedFilter()
    const Mdl = { ByteOffset: 0, ByteCount: 4096, Runs: [1, 1] }
    const read = (ByteOffset: number, Length: number) =>
      executive.request({
        Device: volume,
        MajorFunction: IRP_MJ.IRP_MJ_READ,
        Mdl,
        Parameters: { kind: 'Read', Length, Key: 0, ByteOffset },
      })
    const Id = read(1024, 4096)
    await executive.settle()
    const [forward] = executive.sent('Forward')
    expect(forward).to.deep.include({
      Id,
      Device: disk.handle,
      MajorFunction: IRP_MJ.IRP_MJ_READ,
      Notify: 0,
      BufferOffset: 0,
      BufferLength: 4096,
    })
    expect(forward.Parameters).to.deep.include({ kind: 'Read', Length: 4096, ByteOffset: 200 * 512 + 1024 })
    expect((await executive.complete(read(300 * 512 - 512, 1024))).Status).to.equal(NT_STATUS.STATUS_NONEXISTENT_SECTOR)
    expect((await executive.complete(read(-512, 512))).Status).to.equal(NT_STATUS.STATUS_INVALID_PARAMETER)
  })
  it('answers control codes of volumes, and passes the others on', async () => {
    const { executive, volume } = await startedFilter()
    const control = (IoControlCode: number, OutputLength: number) =>
      executive.request({
        Device: volume,
        MajorFunction: IRP_MJ.IRP_MJ_DEVICE_CONTROL,
        OutputLength,
        Parameters: { kind: 'DeviceIoControl', IoControlCode, OutputBufferLength: OutputLength, InputBufferLength: 0 },
      })
    const length = await executive.complete(control(IOCTL_DISK_GET_LENGTH_INFO, 8))
    expect(length.Response?.kind === 'Data' && view(length.Response.Bytes).getUint32(0, true)).to.equal(300 * 512)
    const id = await executive.complete(control(IOCTL_MOUNTDEV_QUERY_UNIQUE_ID, 64))
    expect(id.Response?.kind === 'Data' && [...id.Response.Bytes]).to.deep.equal([
      12, 0, 0xfe, 0xca, 0, 0, 0, 0x90, 1, 0, 0, 0, 0, 0,
    ])
    control(IOCTL_DISK_IS_WRITABLE, 0)
    await executive.settle()
    expect(executive.sent('Forward').length).to.equal(1)
  })
})
