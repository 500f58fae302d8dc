/** The whole driver, DriverEntry and dispatch, against the fake Executive: packets in, packets and commits out. */
import * as nt from '#contracts/information'
import { type DriverPacket, IRP_MJ, IRP_MN, type Response, type ServerPacket } from '#contracts/wdm'
import { NT_STATUS, StatusError, statusName } from '#rtl'
import { expect } from 'chai'
import { DriverEntry } from '../../drivers/filesystems/fatfs/index.ts'
import { type FakeExecutive, fakeExecutive } from '../../lib/wdm/fake-executive.ts'
import { ImageFolder, toolPath } from './oracles.ts'
import { bareVolume } from './volume-maker.ts'

type Complete = Extract<DriverPacket, { kind: 'Complete' }>
type Request = Partial<Extract<ServerPacket, { kind: 'Request' }>>
const ARENA = 0x10000000
const EIGHT_BYTES = 8

class Machine {
  readonly executive: FakeExecutive
  readonly disk: Buffer
  volume = 0
  storage = 0
  /** A fixed disk: it says so only when it is written to. */
  writeProtected = false
  private files = 0

  constructor(disk: Buffer) {
    this.disk = disk
    this.executive = fakeExecutive(
      DriverEntry,
      { arenaBytes: 4 << 20 },
      {
        WdmReadVolume: ({ Offset, Address, Length }: { Offset: number; Address: number; Length: number }) => {
          if (Offset + Length > disk.length) throw new StatusError('STATUS_NONEXISTENT_SECTOR')
          this.arena.set(disk.subarray(Offset, Offset + Length), Address - ARENA)
          return {}
        },
      },
    )
    this.executive.onNewRequest = ({ MajorFunction, Parameters, Buffer: buffer }) => {
      if (MajorFunction === IRP_MJ.IRP_MJ_WRITE && this.writeProtected)
        return { Status: NT_STATUS.STATUS_MEDIA_WRITE_PROTECTED }
      if (Parameters.kind === 'Write' && buffer.kind === 'Arena')
        disk.set(this.arenaAt(buffer.Address, buffer.Length), Parameters.ByteOffset)
      if (MajorFunction !== IRP_MJ.IRP_MJ_DEVICE_CONTROL) return { Status: 0, Information: 0 }
      if (Parameters.kind !== 'DeviceIoControl' || Parameters.OutputBufferLength !== EIGHT_BYTES) return { Status: 0 }
      const Bytes = new Uint8Array(EIGHT_BYTES)
      new DataView(Bytes.buffer).setBigUint64(0, BigInt(disk.length), true)
      return { Status: 0, Information: EIGHT_BYTES, Response: { kind: 'Data', Bytes } }
    }
  }
  get arena(): Uint8Array {
    return this.executive.env.arena?.bytes as Uint8Array
  }

  private arenaAt(Address: number, Length: number): Uint8Array {
    return this.arena.subarray(Address - ARENA, Address - ARENA + Length)
  }

  async perform(facts: Request & { Device: number; MajorFunction: number }): Promise<Complete> {
    const done = await this.executive.perform(facts)
    const writes = [...(done.Commit?.Writes ?? [])].sort((a, b) => a.Phase - b.Phase)
    for (const { VolumeOffset, Address, Length } of writes) this.disk.set(this.arenaAt(Address, Length), VolumeOffset)
    return done
  }
  async mount(): Promise<Complete> {
    await this.executive.settle()
    const storage = this.executive.foreign(nt.FILE_DEVICE_DISK)
    storage.alignment = 512
    this.storage = storage.handle
    return this.mountAgain(false)
  }
  /** `Rebind`: as after a death of the driver. */
  async mountAgain(Rebind: boolean): Promise<Complete> {
    const done = await this.perform({
      Device: this.executive.named('\\FatX').handle,
      MajorFunction: IRP_MJ.IRP_MJ_FILE_SYSTEM_CONTROL,
      MinorFunction: IRP_MN.IRP_MN_MOUNT_VOLUME,
      Parameters: { kind: 'MountVolume', StorageDevice: this.storage, Rebind },
    })
    this.volume = (done.Response as Extract<Response, { kind: 'VolumeMounted' }> | undefined)?.VolumeDevice ?? 0
    return done
  }
  send(File: number, MajorFunction: number, facts: Request = {}): Promise<Complete> {
    return this.perform({ Device: this.volume, File, MajorFunction, ...facts })
  }
  async create(FileName: string, more: object = {}): Promise<{ File: number; done: Complete }> {
    const File = ++this.files
    const Parameters = {
      kind: 'Create',
      FileName,
      DesiredAccess: nt.FILE_GENERIC_READ,
      CreateDisposition: nt.FILE_OPEN_IF,
      CreateOptions: 0,
      FileAttributes: 0,
      ShareAccess: 7,
      AllocationSize: 0,
      OpenTargetDirectory: false,
      Rebind: false,
      ...more,
    } as const
    return { File, done: await this.send(File, IRP_MJ.IRP_MJ_CREATE, { Parameters }) }
  }
  async end(File: number): Promise<void> {
    expect((await this.send(File, IRP_MJ.IRP_MJ_CLEANUP)).Status).to.equal(0)
    this.executive.deliver({ kind: 'CloseFile', File })
    await this.executive.settle()
  }
  setEndOfFile(File: number, EndOfFile: number): Promise<Complete> {
    const Input = nt.FileEndOfFileInformation.encode({ EndOfFile }).bytes
    const Parameters = { kind: 'SetFile', Length: 8, FileInformationClass: 20, ReplaceIfExists: false } as const
    return this.send(File, IRP_MJ.IRP_MJ_SET_INFORMATION, { Parameters, Input })
  }
  control(File: number, FsControlCode: number): Promise<Complete> {
    const Parameters = {
      kind: 'FileSystemControl',
      OutputBufferLength: 0,
      InputBufferLength: 0,
      FsControlCode,
    } as const
    return this.send(File, IRP_MJ.IRP_MJ_FILE_SYSTEM_CONTROL, {
      MinorFunction: IRP_MN.IRP_MN_USER_FS_REQUEST,
      Parameters,
    })
  }
  transfer(
    kind: 'Read' | 'Write',
    File: number,
    ByteOffset: number,
    Length: number,
  ): Request & { Device: number; MajorFunction: number } {
    const pages = Math.ceil(Length / 4096)
    return {
      Device: this.volume,
      File,
      MajorFunction: kind === 'Read' ? IRP_MJ.IRP_MJ_READ : IRP_MJ.IRP_MJ_WRITE,
      Parameters: { kind, Length, Key: 0, ByteOffset },
      Mdl: { ByteOffset: 0, ByteCount: Length, Runs: [1000, pages] },
    }
  }
}
const status = ({ Status }: Complete) => statusName(Status)

describe('fatfs, the driver', () => {
  it('mounts, creates, extends, lists, and leaves a clean volume', async () => {
    const machine = new Machine(bareVolume(16))
    const { Response: mounted, Commit } = await machine.mount()
    expect(mounted).to.include({
      kind: 'VolumeMounted',
      AllocationUnit: 512,
      SectorSize: 512,
      ReadOnly: false,
      SerialNumber: 0x12345678,
    })
    expect(Commit?.Writes.length).to.be.greaterThan(0)
    const { File, done } = await machine.create('\\New file.txt')
    expect(done).to.include({ Status: 0, Information: nt.FILE_CREATED })
    expect((await machine.setEndOfFile(File, 5000)).Response).to.deep.include({
      kind: 'Sizes',
      Sizes: { AllocationSize: 5120, FileSize: 5000, ValidDataLength: 0, IsDirectory: false },
    })
    const Parameters = { kind: 'QueryExtents', ByteOffset: 1000, Length: 100_000 } as const
    const { Response: where } = await machine.send(File, IRP_MJ.IRP_MJ_QUERY_EXTENTS, { Parameters })
    const extents = (where as Extract<Response, { kind: 'Extents' }>).Extents
    expect(extents.map(({ FileOffset, Length }) => [FileOffset, Length])).to.deep.equal([[1000, 4120]])
    await machine.end(File)
    const root = await machine.create('\\')
    const query = {
      kind: 'QueryDirectory',
      Length: 4096,
      FileInformationClass: 3,
      SingleEntry: false,
      RestartScan: false,
    } as const
    const list = await machine.send(root.File, IRP_MJ.IRP_MJ_DIRECTORY_CONTROL, {
      MinorFunction: IRP_MN.IRP_MN_QUERY_DIRECTORY,
      Parameters: query,
      OutputLength: 4096,
    })
    const { Bytes } = list.Response as Extract<Response, { kind: 'Data' }>
    expect([...nt.decodeDirectory(Bytes)].map(({ FileName, EndOfFile }) => [FileName, EndOfFile])).to.deep.equal([
      ['New file.txt', 5000],
    ])
    await machine.end(root.File)
    const volume = await machine.create('')
    expect(status(await machine.control(volume.File, nt.FSCTL_LOCK_VOLUME))).to.equal('STATUS_SUCCESS')
    expect(status((await machine.create('\\New file.txt')).done)).to.equal('STATUS_ACCESS_DENIED')
    expect(status(await machine.control(volume.File, nt.FSCTL_DISMOUNT_VOLUME))).to.equal('STATUS_SUCCESS')
    expect(status((await machine.create('\\New file.txt')).done)).to.equal('STATUS_VOLUME_DISMOUNTED')
    await machine.end(volume.File)
    expect(machine.executive.devices.has(machine.volume)).to.equal(false)
    if (!toolPath('fsck.fat')) return
    const folder = new ImageFolder()
    expect(folder.complaints(machine.disk)).to.deep.equal({ lines: [], status: 0 })
    folder.remove()
  })

  it('dismounts under open files, which can then only be closed', async () => {
    const machine = new Machine(bareVolume(16))
    await machine.mount()
    const { File } = await machine.create('\\open')
    const volume = await machine.create('')
    expect(status(await machine.control(volume.File, nt.FSCTL_LOCK_VOLUME))).to.equal('STATUS_ACCESS_DENIED')
    expect(status(await machine.control(volume.File, nt.FSCTL_DISMOUNT_VOLUME))).to.equal('STATUS_SUCCESS')
    expect(machine.disk[0x25]).to.equal(0)
    expect(status(await machine.setEndOfFile(File, 100))).to.equal('STATUS_VOLUME_DISMOUNTED')
    await machine.end(File)
    await machine.end(volume.File)
    expect(machine.executive.devices.has(machine.volume)).to.equal(false)
  })

  it('refuses what is no FAT volume', async () => {
    const machine = new Machine(Buffer.alloc(1 << 20))
    expect(status(await machine.mount())).to.equal('STATUS_UNRECOGNIZED_VOLUME')
  })

  it('asks the medium by a write that changes nothing, before the volume is marked dirty', async () => {
    const machine = new Machine(bareVolume(32))
    const before = Buffer.from(machine.disk)
    const whole = machine.executive.onNewRequest
    machine.executive.onNewRequest = (packet) => {
      const answer = whole?.(packet)
      if (packet.MajorFunction === IRP_MJ.IRP_MJ_WRITE) expect(machine.disk.equals(before)).to.equal(true)
      return answer
    }
    const done = await machine.mount()
    const [write] = machine.executive
      .sent('NewRequest')
      .filter(({ MajorFunction }) => MajorFunction === IRP_MJ.IRP_MJ_WRITE)
    expect(write).to.deep.include({
      Device: machine.storage,
      Parameters: { kind: 'Write', Length: 512, Key: 0, ByteOffset: 0 },
    })
    expect(done.Response).to.include({ ReadOnly: false })
    expect(machine.disk[0x41]).to.equal(1)
    await machine.mountAgain(true)
    expect(machine.executive.sent('NewRequest').at(-1)?.MajorFunction).to.equal(IRP_MJ.IRP_MJ_DEVICE_CONTROL)
  })
  it('mounts read-only what refuses that write, also in its next life, and then changes nothing', async () => {
    const machine = new Machine(bareVolume(16))
    machine.writeProtected = true
    const before = Buffer.from(machine.disk)
    for (const done of [await machine.mount(), await machine.mountAgain(true)]) {
      expect(done.Response).to.include({ ReadOnly: true })
      expect(done.Commit).to.equal(undefined)
    }
    const created = await machine.create('\\new')
    expect(status(created.done)).to.equal('STATUS_MEDIA_WRITE_PROTECTED')
    const root = await machine.create('\\')
    expect(status(root.done)).to.equal('STATUS_SUCCESS')
    await machine.end(root.File)
    expect(machine.disk.equals(before)).to.equal(true)
  })
  it('does not mount what fails otherwise to take it', async () => {
    const machine = new Machine(bareVolume(16))
    await machine.executive.settle()
    const answer = machine.executive.onNewRequest
    machine.executive.onNewRequest = (packet) =>
      packet.MajorFunction === IRP_MJ.IRP_MJ_WRITE ? { Status: NT_STATUS.STATUS_IO_DEVICE_ERROR } : answer?.(packet)
    expect(status(await machine.mount())).to.equal('STATUS_IO_DEVICE_ERROR')
  })

  it('sends no commit with a failure, and works on after it', async () => {
    const machine = new Machine(bareVolume(12))
    await machine.mount()
    const { File } = await machine.create('\\file')
    const before = Buffer.from(machine.disk)
    const done = await machine.setEndOfFile(File, 100 << 20)
    expect([status(done), done.Commit]).to.deep.equal(['STATUS_DISK_FULL', undefined])
    expect(machine.disk.equals(before)).to.equal(true)
    expect(status(await machine.setEndOfFile(File, 1000))).to.equal('STATUS_SUCCESS')
  })

  it('passes an uncached read of one run on, clips at the end, refuses what is not in sectors', async () => {
    const machine = new Machine(bareVolume(16))
    await machine.mount()
    const { File } = await machine.create('\\file')
    await machine.setEndOfFile(File, 5000)
    machine.executive.request(machine.transfer('Read', File, 512, 1024))
    for (let i = 0; i < 5; i++) await machine.executive.settle()
    const [forward] = machine.executive.sent('Forward')
    expect(forward).to.include({ Device: machine.storage, BufferOffset: 0, BufferLength: 1024, Notify: 0 })
    const tail = await machine.perform(machine.transfer('Read', File, 4608, 4096))
    expect(tail).to.include({ Status: 0, Information: 392 })
    expect(machine.executive.sent('NewRequest').at(-1)?.Buffer).to.include({ kind: 'Partial', Offset: 0, Length: 512 })
    expect(status(await machine.perform(machine.transfer('Read', File, 5120, 512)))).to.equal('STATUS_END_OF_FILE')
    expect(status(await machine.perform(machine.transfer('Read', File, 100, 512)))).to.equal('STATUS_INVALID_PARAMETER')
  })

  it('commits the size of an uncached write behind the end after its data, gap zeroed', async () => {
    const machine = new Machine(bareVolume(16))
    await machine.mount()
    const { File } = await machine.create('\\file')
    const done = await machine.perform(machine.transfer('Write', File, 1024, 4096))
    expect([status(done), done.Information]).to.deep.equal(['STATUS_SUCCESS', 4096])
    const kinds = machine.executive.sent('NewRequest').map(({ Buffer: { kind } }) => kind)
    expect(kinds.slice(-2)).to.deep.equal(['Arena', 'Partial'])
    expect(done.Commit?.Writes.length).to.be.greaterThan(0)
    const Parameters = { kind: 'QueryFile', Length: 24, FileInformationClass: 5 } as const
    const { Response: answer } = await machine.send(File, IRP_MJ.IRP_MJ_QUERY_INFORMATION, {
      Parameters,
      OutputLength: 24,
    })
    const { Bytes } = answer as Extract<Response, { kind: 'Data' }>
    expect(nt.FileStandardInformation.decode(Bytes)).to.include({ EndOfFile: 5120, AllocationSize: 5120 })
  })

  it('drops a commit when the device fails the data', async () => {
    const machine = new Machine(bareVolume(16))
    await machine.mount()
    const { File } = await machine.create('\\file')
    machine.executive.onNewRequest = () => ({ Status: NT_STATUS.STATUS_IO_DEVICE_ERROR })
    const done = await machine.perform(machine.transfer('Write', File, 0, 4096))
    expect([status(done), done.Commit]).to.deep.equal(['STATUS_IO_DEVICE_ERROR', undefined])
    expect((await machine.setEndOfFile(File, 100)).Response).to.have.nested.property('Sizes.ValidDataLength', 0)
  })

  it('shuts a volume down clean', async () => {
    const machine = new Machine(bareVolume(32))
    await machine.mount()
    expect(machine.disk[0x41]).to.equal(1)
    expect(status(await machine.send(0, IRP_MJ.IRP_MJ_SHUTDOWN))).to.equal('STATUS_SUCCESS')
    expect(machine.disk[0x41]).to.equal(0)
    await machine.create('\\again')
    expect(machine.disk[0x41]).to.equal(1)
  })
})
