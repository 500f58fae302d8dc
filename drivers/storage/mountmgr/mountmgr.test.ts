import { expect } from 'chai'
import {
  countedBytes,
  IOCTL_MOUNTMGR_AUTO_DL_ASSIGNMENTS,
  IOCTL_MOUNTMGR_CREATE_POINT,
  IOCTL_MOUNTMGR_DELETE_POINTS,
  IOCTL_MOUNTMGR_QUERY_POINTS,
} from '#drivers/lib/ioctl'
import { fromUtf16, utf16, view } from '#drivers/lib/bytes'
import { IRP_MJ } from '#contracts/wdm'
import { NT_STATUS, StatusError } from '#rtl'
import { expectSenseOfAnyBytes } from '../../../test/support/any-bytes.ts'
// The Executive's side, for tests.
import { fakeExecutive } from '../../../lib/wdm/fake-executive.ts'
import { DriverEntry } from './index.ts'
import { parseCreatePoint, parsePoint, parseTarget, parseUniqueId, PointDatabase, volumeGuid } from './points.ts'

const volume = (n: number) => ({ deviceName: `\\Device\\HarddiskVolume${n}`, uniqueId: Uint8Array.from([n, 2, 3]) })

async function manager(links = new Map<string, string>(), parked?: Map<string, Uint8Array>) {
  const executive = fakeExecutive(
    DriverEntry,
    { name: 'mountmgr', arenaBytes: 1 << 20, birth: parked ? 'restart' : 'fresh' },
    {
      NtCreateSymbolicLinkObject: ({ ObjectAttributes, LinkTarget }: any) => {
        if (links.has(ObjectAttributes.ObjectName)) throw new StatusError('STATUS_OBJECT_NAME_COLLISION')
        links.set(ObjectAttributes.ObjectName, LinkTarget)
        return { LinkHandle: 8 }
      },
      NtOpenSymbolicLinkObject: ({ ObjectAttributes }: any) => {
        executive.deleting = ObjectAttributes.ObjectName
        return { LinkHandle: 9 }
      },
      NtQuerySymbolicLinkObject: () => ({ LinkTarget: links.get(executive.deleting ?? '') ?? '' }),
      NtMakeTemporaryObject: () => {
        links.delete(executive.deleting ?? '')
        return {}
      },
      NtClose: () => ({}),
      ...(parked && { WdmQueryParkedState: ({ Key }: any) => ({ State: parked.get(Key) ?? new Uint8Array(0) }) }),
    },
  ) as ReturnType<typeof fakeExecutive> & { deleting?: string }
  const byHandle = new Map([1, 2].map((n) => [executive.foreign(7, volume(n).deviceName).handle, n]))
  executive.foreign(7, '\\Device\\Harddisk0\\DR0')
  executive.onNewRequest = ({ Device }) => ({
    Status: 0,
    Response: { kind: 'Data', Bytes: countedBytes(volume(byHandle.get(Device)!).uniqueId) },
  })
  await executive.settle()
  const Device = executive.named('\\Device\\MountPointManager').handle
  const control = async (IoControlCode: number, OutputLength: number, Input?: Uint8Array) => {
    const { Status, Response } = await executive.perform({
      Device,
      MajorFunction: IRP_MJ.IRP_MJ_DEVICE_CONTROL,
      OutputLength,
      Input,
      Parameters: {
        kind: 'DeviceIoControl',
        IoControlCode,
        OutputBufferLength: OutputLength,
        InputBufferLength: Input?.byteLength ?? 0,
      },
    })
    return { Status, bytes: Response?.kind === 'Data' ? Response.Bytes : undefined }
  }
  return { executive, links, control }
}
function pointsOf(bytes: Uint8Array): string[] {
  const v = view(bytes)
  expect(v.getUint32(0, true)).to.equal(bytes.byteLength)
  return Array.from({ length: v.getUint32(4, true) }, (_, i) => {
    const text = (k: number) => {
      const at = 8 + i * 24 + k * 8
      return fromUtf16(bytes.subarray(v.getUint32(at, true), v.getUint32(at, true) + v.getUint16(at + 4, true)))
    }
    return `${text(0)} → ${text(2)}`
  })
}
function createPoint(link: string, device: string): Uint8Array {
  const names = [utf16(link), utf16(device)]
  const bytes = new Uint8Array(8 + names[0].byteLength + names[1].byteLength)
  new Uint16Array(bytes.buffer, 0, 4).set([8, names[0].byteLength, 8 + names[0].byteLength, names[1].byteLength])
  bytes.set(names[0], 8)
  bytes.set(names[1], 8 + names[0].byteLength)
  return bytes
}
const letters = (links: Map<string, string>) => [...links].filter(([link]) => /:$/.test(link))

describe('mountmgr: the database', () => {
  it('derives a GUID from what a volume is', () => {
    expect(volumeGuid(volume(1).uniqueId)).to.match(
      /^\{[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\}$/,
    )
    expect(volumeGuid(volume(1).uniqueId)).to.equal(volumeGuid(Uint8Array.from([1, 2, 3])))
    expect(volumeGuid(volume(1).uniqueId)).not.to.equal(volumeGuid(volume(2).uniqueId))
  })
  it('keeps a letter for a volume that is away', () => {
    const database = new PointDatabase()
    database.assign([volume(1), volume(2)], true)
    const next = PointDatabase.decode(database.encode(4096))
    expect(
      next
        .assign([volume(3)], true)
        .map(({ link }) => link)
        .at(-1),
    ).to.equal('\\DosDevices\\E:')
    expect(next.points([volume(2)]).map(({ link }) => link)).to.include('\\DosDevices\\D:')
  })
  it('throws nothing but a StatusError at any input', () => {
    for (const parse of [parseCreatePoint, parsePoint, parseTarget, parseUniqueId]) expectSenseOfAnyBytes(parse, 80)
  })
})

describe('mountmgr: the driver', () => {
  it('gives letters in order of the volumes, once', async () => {
    const { links, control } = await manager()
    for (let i = 0; i < 2; i++) expect((await control(IOCTL_MOUNTMGR_AUTO_DL_ASSIGNMENTS, 0)).Status).to.equal(0)
    expect(letters(links)).to.deep.equal([
      ['\\DosDevices\\C:', volume(1).deviceName],
      ['\\DosDevices\\D:', volume(2).deviceName],
    ])
    expect(links.get(`\\??\\Volume${volumeGuid(volume(1).uniqueId)}`)).to.equal(volume(1).deviceName)
  })
  it('tells its points, and how much room they take', async () => {
    const { control } = await manager()
    await control(IOCTL_MOUNTMGR_AUTO_DL_ASSIGNMENTS, 0)
    const small = await control(IOCTL_MOUNTMGR_QUERY_POINTS, 8, new Uint8Array(24))
    expect(small.Status).to.equal(NT_STATUS.STATUS_BUFFER_OVERFLOW)
    const room = view(small.bytes!).getUint32(0, true)
    const { bytes } = await control(IOCTL_MOUNTMGR_QUERY_POINTS, room, new Uint8Array(24))
    expect(pointsOf(bytes!)).to.include('\\DosDevices\\D: → \\Device\\HarddiskVolume2')
    expect((await control(IOCTL_MOUNTMGR_QUERY_POINTS, room)).Status).to.equal(NT_STATUS.STATUS_INVALID_PARAMETER)
  })
  it('makes and deletes points', async () => {
    const { links, control } = await manager()
    expect(
      (await control(IOCTL_MOUNTMGR_CREATE_POINT, 0, createPoint('\\DosDevices\\X:', volume(2).deviceName))).Status,
    ).to.equal(0)
    expect(links.get('\\DosDevices\\X:')).to.equal(volume(2).deviceName)
    const taken = await control(IOCTL_MOUNTMGR_CREATE_POINT, 0, createPoint('\\DosDevices\\X:', volume(1).deviceName))
    expect(taken.Status).to.equal(NT_STATUS.STATUS_OBJECT_NAME_COLLISION)
    const pattern = new Uint8Array(24 + 28)
    view(pattern).setUint32(0, 24, true)
    view(pattern).setUint16(4, 28, true)
    pattern.set(utf16('\\DosDevices\\X:'), 24)
    const deleted = await control(IOCTL_MOUNTMGR_DELETE_POINTS, 512, pattern)
    expect([deleted.Status, pointsOf(deleted.bytes!).length, links.has('\\DosDevices\\X:')]).to.deep.equal([
      0,
      1,
      false,
    ])
  })
  it('changes nothing by being born again', async () => {
    const first = await manager()
    await first.control(IOCTL_MOUNTMGR_CREATE_POINT, 0, createPoint('\\DosDevices\\X:', volume(1).deviceName))
    await first.control(IOCTL_MOUNTMGR_AUTO_DL_ASSIGNMENTS, 0)
    const before = new Map(first.links)
    const second = await manager(first.links, first.executive.parked)
    await second.control(IOCTL_MOUNTMGR_AUTO_DL_ASSIGNMENTS, 0)
    expect([...second.links].toSorted()).to.deep.equal([...before].toSorted())
  })
})
