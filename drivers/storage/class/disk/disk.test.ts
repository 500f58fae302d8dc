import { expect } from 'chai'
import fc from 'fast-check'
import { be64, view } from '#drivers/lib/bytes'
import {
  IOCTL_DISK_GET_DRIVE_GEOMETRY_EX,
  IOCTL_DISK_GET_LENGTH_INFO,
  IOCTL_STORAGE_QUERY_PROPERTY,
} from '#drivers/lib/ioctl'
import { cdb, fixedSense, parseReadWrite, readWriteCdb, SCSIOP, SRB_STATUS } from '#drivers/lib/scsi'
import { type DriverPacket, IRP_MJ, IRP_MN } from '#contracts/wdm'
import { NT_STATUS } from '#rtl'
import { expectSenseOfAnyBytes } from '../../../../test/support/any-bytes.ts'
// The Executive's side, for tests.
import { fakeExecutive } from '../../../../lib/wdm/fake-executive.ts'
import { ClassInterpretSenseInfo } from '../classpnp/sense.ts'
import { checkTransfer, pieces } from '../classpnp/split.ts'
import { DriverEntry } from './index.ts'
import { parseCapacity, parseCapacity16, parseInquiry, parseMode, parseTransferMax } from './medium.ts'

const SECTORS = 0x10000
type Sent = Extract<DriverPacket, { kind: 'NewRequest' | 'Forward' }>
const cdbOf = (packet: Sent): Uint8Array =>
  packet.Parameters.kind === 'Scsi' ? packet.Parameters.Srb.Cdb : new Uint8Array(16)
const bytesOf: Record<number, (Cdb: Uint8Array) => Uint8Array | undefined> = {
  [SCSIOP.INQUIRY]: (Cdb) => {
    if (Cdb[1] & 1) return Cdb[2] === 0x80 ? Uint8Array.from([0, 0x80, 0, 2, 0x53, 0x31]) : undefined
    return new TextEncoder().encode('\0\0\0\0\0\0\0\x02NEPTUNE DISK            1.0 ')
  },
  [SCSIOP.READ_CAPACITY]: () => Uint8Array.from([0, 0, 0xff, 0xff, 0, 0, 2, 0]),
  [SCSIOP.MODE_SENSE]: () => Uint8Array.from([23, 0, 0x10, 0]),
}
const failure = (key: number, asc: number, SrbStatus: number = SRB_STATUS.ERROR) => ({
  Status: NT_STATUS.STATUS_IO_DEVICE_ERROR,
  Response: {
    kind: 'Srb' as const,
    Result: {
      SrbStatus: SrbStatus | SRB_STATUS.AUTOSENSE_VALID,
      ScsiStatus: 2,
      DataTransferLength: 0,
      SenseInfo: fixedSense({ key, asc }),
    },
  },
})
function answer(packet: Sent) {
  const Bytes = bytesOf[cdbOf(packet)[0]]?.(cdbOf(packet))
  return Bytes ? { Status: 0, Response: { kind: 'Data' as const, Bytes } } : failure(5, 0x2400)
}
async function startedDisk() {
  const links: string[] = []
  const executive = fakeExecutive(
    DriverEntry,
    { name: 'disk', arenaBytes: 1 << 20 },
    {
      NtCreateDirectoryObject: () => ({ DirectoryHandle: 4 }),
      NtCreateSymbolicLinkObject: ({ ObjectAttributes }: any) => {
        links.push(ObjectAttributes.ObjectName)
        return { LinkHandle: 8 }
      },
      NtClose: () => ({}),
    },
  )
  await executive.settle()
  const pdo = executive.foreign(0x2d)
  executive.onForward = () => ({ Status: 0 })
  executive.onNewRequest = answer
  expect((await executive.addDevice(pdo.handle)).Status).to.equal(0)
  const Device = executive.named('\\Device\\Harddisk0\\DR0').handle
  const Parameters = { kind: 'StartDevice' as const, AllocatedResources: [], AllocatedResourcesTranslated: [] }
  const start = await executive.perform({
    Device,
    MajorFunction: IRP_MJ.IRP_MJ_PNP,
    MinorFunction: IRP_MN.IRP_MN_START_DEVICE,
    Parameters,
  })
  expect(start.Status).to.equal(0)
  executive.packets.length = 0
  const Mdl = (ByteCount: number) => ({ ByteOffset: 0, ByteCount, Runs: [0x100, Math.ceil(ByteCount / 4096)] })
  const transfer = (MajorFunction: number, ByteOffset: number, Length: number, Flags = 0) =>
    executive.request({
      Device,
      MajorFunction,
      Flags,
      Mdl: Mdl(Length),
      Parameters: { kind: MajorFunction === IRP_MJ.IRP_MJ_READ ? 'Read' : 'Write', Length, Key: 0, ByteOffset },
    })
  const control = (IoControlCode: number, OutputLength: number, Input?: Uint8Array) =>
    executive.perform({
      Device,
      MajorFunction: IRP_MJ.IRP_MJ_DEVICE_CONTROL,
      OutputLength,
      Input,
      Parameters: {
        kind: 'DeviceIoControl',
        OutputBufferLength: OutputLength,
        InputBufferLength: Input?.byteLength ?? 0,
        IoControlCode,
      },
    })
  return { executive, Device, pdo, links, transfer, control }
}

describe('disk: pure parts', () => {
  it('says a transfer the same way in both directions', () => {
    fc.assert(
      fc.property(
        fc.boolean(),
        fc.nat({ max: 2 ** 48 }),
        fc.integer({ min: 1, max: 0x10000 }),
        fc.boolean(),
        (write, lba, blocks, fua) => {
          expect(parseReadWrite(readWriteCdb(write, lba, blocks, fua))).to.deep.equal({ write, lba, blocks, fua })
        },
      ),
    )
    expect(readWriteCdb(false, 0xffffffff, 1, false)[0]).to.equal(SCSIOP.READ)
    expect(readWriteCdb(true, 0x1_0000_0000, 1, false)[0]).to.equal(SCSIOP.WRITE16)
    expect(be64(view(readWriteCdb(true, 0x1_0000_0000, 1, false)), 2)).to.equal(0x1_0000_0000)
  })
  it('checks and splits', () => {
    const medium = { sectorSize: 512, sectors: 100 }
    expect(checkTransfer(medium, 512, 511)).to.equal(NT_STATUS.STATUS_INVALID_PARAMETER)
    expect(checkTransfer(medium, -512, 512)).to.equal(NT_STATUS.STATUS_INVALID_PARAMETER)
    expect(checkTransfer(medium, 99 * 512, 1024)).to.equal(NT_STATUS.STATUS_NONEXISTENT_SECTOR)
    expect(checkTransfer(medium, 99 * 512, 512)).to.equal(NT_STATUS.STATUS_SUCCESS)
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e6 }), fc.integer({ min: 0x10000, max: 1 << 20 }), (length, most) => {
        let at = 0
        for (const piece of pieces(length, most)) {
          expect(piece.offset).to.equal(at)
          expect(piece.length).to.be.within(1, most)
          at += piece.length
        }
        expect(at).to.equal(length)
      }),
    )
  })
  it('parses what a unit says, and throws nothing but a StatusError', () => {
    expect(parseCapacity(Uint8Array.from([255, 255, 255, 255, 0, 0, 2, 0]))).to.equal(undefined)
    for (const parse of [
      parseCapacity,
      parseCapacity16,
      parseMode,
      (b: Uint8Array) => parseInquiry(b, ''),
      (b: Uint8Array) => parseTransferMax(b, 512),
    ])
      expectSenseOfAnyBytes(parse, 64)
  })
  it('interprets sense as class.c does', () => {
    const verdict = (key: number, asc: number, write = false) =>
      ClassInterpretSenseInfo(failure(key, asc).Response.Result, write)
    expect(verdict(3, 0x1100)).to.deep.equal({ status: NT_STATUS.STATUS_DEVICE_DATA_ERROR, retry: false, seconds: 0 })
    expect(verdict(7, 0x2700, true).status).to.equal(NT_STATUS.STATUS_MEDIA_WRITE_PROTECTED)
    expect(verdict(2, 0x0402)).to.include({ retry: true, seconds: 0, startUnit: true })
    expect(verdict(11, 0)).to.include({ retry: true, seconds: 1 })
    expect(verdict(5, 0x2100).status).to.equal(NT_STATUS.STATUS_NONEXISTENT_SECTOR)
  })
})

describe('disk: a driver', () => {
  it('starts, links its names, and publishes what it learnt', async () => {
    const { executive, links, control } = await startedDisk()
    expect(links).to.deep.equal(['\\Device\\Harddisk0\\Partition0', '\\DosDevices\\PhysicalDrive0'])
    expect(executive.named('\\Device\\Harddisk0\\DR0').alignment).to.equal(512)
    const geometry = await control(IOCTL_DISK_GET_DRIVE_GEOMETRY_EX, 40)
    const data = geometry.Response?.kind === 'Data' ? view(geometry.Response.Bytes) : undefined
    expect([data?.byteLength, data?.getUint32(20, true), data?.getUint32(24, true)]).to.deep.equal([
      32,
      512,
      SECTORS * 512,
    ])
    expect((await control(IOCTL_DISK_GET_LENGTH_INFO, 4)).Status).to.equal(NT_STATUS.STATUS_BUFFER_TOO_SMALL)
    const property = await control(IOCTL_STORAGE_QUERY_PROPERTY, 256, new Uint8Array(12))
    const text = property.Response?.kind === 'Data' ? String.fromCharCode(...property.Response.Bytes.subarray(36)) : ''
    expect(text).to.equal('NEPTUNE\0DISK\x001.0\0S1\0')
  })
  it('sends a read down as a SCSI command of the same IRP', async () => {
    const { executive, pdo, transfer } = await startedDisk()
    executive.onForward = undefined
    const id = transfer(IRP_MJ.IRP_MJ_READ, 8192, 4096)
    await executive.settle()
    const [forward] = executive.sent('Forward')
    expect(forward).to.include({ Id: id, Device: pdo.handle, MajorFunction: IRP_MJ.IRP_MJ_INTERNAL_DEVICE_CONTROL })
    expect(parseReadWrite(cdbOf(forward))).to.deep.equal({ write: false, lba: 16, blocks: 8, fua: false })
    expect(forward.Notify & 6).to.equal(6)
  })
  it('forces unit access for a write-through, and flushes', async () => {
    const { executive, Device, transfer } = await startedDisk()
    transfer(IRP_MJ.IRP_MJ_WRITE, 0, 512, 0x04)
    await executive.settle()
    expect(parseReadWrite(cdbOf(executive.sent('Forward')[0]))).to.include({ write: true, fua: true })
    await executive.perform({ Device, MajorFunction: IRP_MJ.IRP_MJ_FLUSH_BUFFERS })
    expect(cdbOf(executive.sent('Forward')[1])).to.deep.equal(cdb(SCSIOP.SYNCHRONIZE_CACHE))
  })
  it('refuses what cannot be', async () => {
    const { executive, transfer } = await startedDisk()
    expect((await executive.complete(transfer(IRP_MJ.IRP_MJ_READ, 100, 512))).Status).to.equal(
      NT_STATUS.STATUS_INVALID_PARAMETER,
    )
    expect((await executive.complete(transfer(IRP_MJ.IRP_MJ_READ, SECTORS * 512, 512))).Status).to.equal(
      NT_STATUS.STATUS_NONEXISTENT_SECTOR,
    )
    expect(executive.sent('Forward').length).to.equal(0)
  })
  it('tries again a bounded number of times, then tells the status without the SRB', async () => {
    const { executive, transfer } = await startedDisk()
    executive.onForward = () => failure(6, 0x2900)
    const failed = await executive.complete(transfer(IRP_MJ.IRP_MJ_READ, 0, 512))
    expect([failed.Status, failed.Response]).to.deep.equal([NT_STATUS.STATUS_IO_DEVICE_ERROR, undefined])
    expect(executive.sent('Forward').length).to.equal(9)
  })
  it('succeeds when the second try does', async () => {
    const { executive, transfer } = await startedDisk()
    let tries = 0
    executive.onForward = () => (++tries === 1 ? failure(6, 0x2900) : { Status: 0, Information: 512 })
    const done = await executive.complete(transfer(IRP_MJ.IRP_MJ_READ, 0, 512))
    expect([done.Status, done.Information, tries]).to.deep.equal([0, 512, 2])
  })
  it('does not repeat what cannot help', async () => {
    const { executive, transfer } = await startedDisk()
    executive.onForward = () => failure(7, 0x2700)
    const done = await executive.complete(transfer(IRP_MJ.IRP_MJ_WRITE, 0, 512))
    expect([done.Status, executive.sent('Forward').length]).to.deep.equal([NT_STATUS.STATUS_MEDIA_WRITE_PROTECTED, 1])
  })
  it('splits what one command cannot carry', async () => {
    const { executive, transfer } = await startedDisk()
    executive.onNewRequest = () => ({ Status: 0 })
    const done = await executive.complete(transfer(IRP_MJ.IRP_MJ_READ, 0, (1 << 20) + 4096))
    expect([done.Status, done.Information]).to.deep.equal([0, (1 << 20) + 4096])
    const parts = executive
      .sent('NewRequest')
      .map(({ Buffer }) => (Buffer.kind === 'Partial' ? [Buffer.Offset, Buffer.Length] : []))
    expect(parts).to.deep.equal([
      [0, 1 << 20],
      [1 << 20, 4096],
    ])
  })
})
