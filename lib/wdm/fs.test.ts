/** Metadata: a bounded private copy, commits that leave with their IRP, and memory that comes back. */
import { IRP_MJ } from '#contracts/wdm'
import { NT_STATUS, StatusError } from '#rtl'
import { expect } from 'chai'
import { fakeExecutive } from './fake-executive.ts'
import {
  completeIrp,
  type DEVICE_OBJECT,
  type FS_COMMIT,
  type FS_VOLUME,
  FsOpenVolume,
  IoCreateDevice,
  type IRP,
} from './index.ts'

const VOLUME_BYTES = 40 * 4096 + 512
type Script = (commit: FS_COMMIT, irp: IRP) => Promise<number>

/** A file system whose every write IRP runs the script a test gives. */
async function fileSystem(arenaBytes = 1 << 20) {
  const disk = Uint8Array.from({ length: VOLUME_BYTES }, (_, i) => i >> 9)
  const reads: string[] = []
  let script: Script
  let volume: FS_VOLUME
  const executive = fakeExecutive(
    async (DriverObject) => {
      const device: DEVICE_OBJECT = await IoCreateDevice(DriverObject, '\\Device\\fs', 8, 0, false)
      volume = FsOpenVolume(DriverObject, device, 512)
      DriverObject.MajorFunction[IRP_MJ.IRP_MJ_WRITE] = async (_device, irp) =>
        completeIrp(irp, await script(volume.begin(irp, device), irp), 0)
      return NT_STATUS.STATUS_SUCCESS
    },
    { arenaBytes },
    {
      WdmReadVolume: ({ Offset, Address, Length }: { Offset: number; Address: number; Length: number }) => {
        if (Offset + Length > VOLUME_BYTES) throw new StatusError('STATUS_NONEXISTENT_SECTOR')
        reads.push(`${Offset}+${Length}`)
        arena().set(disk.subarray(Offset, Offset + Length), Address - 0x10000000)
        return {}
      },
    },
  )
  const arena = () => executive.env.arena!.bytes
  await executive.settle()
  const Device = executive.named('\\Device\\fs').handle
  const run = (next: Script) => {
    script = next
    return executive.perform({ Device, MajorFunction: IRP_MJ.IRP_MJ_WRITE })
  }
  return { executive, volume: volume!, disk, reads, run, arena }
}

describe('wdm: file system support', () => {
  it('reads each page once, long reads in large pieces, and the odd end of a volume', async () => {
    const { volume, reads, disk } = await fileSystem()
    expect(await volume.read(512, 512)).to.deep.equal(disk.subarray(512, 1024))
    expect(await volume.read(1024, 512)).to.deep.equal(disk.subarray(1024, 1536))
    expect(reads).to.deep.equal(['0+4096'])
    expect(await volume.read(3584, 100 * 512)).to.deep.equal(disk.subarray(3584, 3584 + 100 * 512))
    expect(reads.length).to.equal(3)
    expect(await volume.read(40 * 4096, 512)).to.deep.equal(disk.subarray(40 * 4096))
    const failure = await volume.read(41 * 4096, 512).catch((error) => error)
    expect(failure).to.be.instanceOf(StatusError)
  })
  it('sends exact ranges with the completion, by a call, and remembers them', async () => {
    const { executive, volume, run, arena } = await fileSystem()
    let first: Uint8Array
    const done = await run(async (commit) => {
      first = await volume.read(4096, 512)
      await commit.write(4096 + 10, Uint8Array.of(1, 2))
      await commit.write(4096 + 12, Uint8Array.of(3), 0)
      await commit.write(8190, Uint8Array.of(4, 5, 6, 7), 1)
      expect([...(await commit.read(4096, 512)).subarray(9, 14)]).to.deep.equal([8, 1, 2, 3, 8])
      expect((await volume.read(4096, 512))[10]).to.equal(8)
      commit.free(20 * 4096, 4096)
      return NT_STATUS.STATUS_SUCCESS
    })
    const { Writes, Freed } = done.Commit!
    expect(Writes.map(({ Phase, VolumeOffset, Length }) => [Phase, VolumeOffset, Length])).to.deep.equal([
      [0, 4106, 3],
      [1, 8190, 4],
    ])
    expect([
      ...arena()
        .subarray(Writes[0].Address - 0x10000000)
        .subarray(0, 3),
    ]).to.deep.equal([1, 2, 3])
    expect(Freed).to.deep.equal([{ VolumeOffset: 20 * 4096, Length: 4096 }])
    expect(executive.exchanges).to.deep.equal([{ kind: 'call', count: 1 }])
    expect([...(await volume.read(4096, 512)).subarray(9, 14)]).to.deep.equal([8, 1, 2, 3, 8])
    expect(first![10]).to.equal(8)
  })
  it('keeps the later phase of a byte and does not free what is written again', async () => {
    const { run } = await fileSystem()
    const done = await run(async (commit) => {
      await commit.write(0, new Uint8Array(100).fill(1), 1)
      await commit.write(50, new Uint8Array(100).fill(2), 0)
      commit.free(3 * 4096, 8192)
      await commit.write(4 * 4096, new Uint8Array(4096))
      return NT_STATUS.STATUS_SUCCESS
    })
    expect(done.Commit!.Writes.map(({ Phase, VolumeOffset, Length }) => [Phase, VolumeOffset, Length])).to.deep.equal([
      [1, 0, 100],
      [0, 100, 50],
      [0, 4 * 4096, 4096],
    ])
    expect(done.Commit!.Freed).to.deep.equal([{ VolumeOffset: 3 * 4096, Length: 4096 }])
  })
  it('drops a commit with its IRP, and gives memory back either way', async () => {
    const { volume, run, executive } = await fileSystem(32 << 10)
    for (let round = 0; round < 20; round++) {
      const status = round % 2 ? NT_STATUS.STATUS_SUCCESS : NT_STATUS.STATUS_DISK_FULL
      const done = await run(async (commit) => {
        await commit.write(4096, new Uint8Array(4096 * 3).fill(round))
        return status
      })
      expect(done.Commit === undefined).to.equal(round % 2 === 0)
      expect((await volume.read(4096, 512))[0]).to.equal(round % 2 ? round : round === 0 ? 8 : round - 1)
      await executive.settle()
    }
    const big = await run(async (commit) => {
      await commit.write(0, new Uint8Array(64 << 10))
      return NT_STATUS.STATUS_SUCCESS
    })
    expect(big.Status).to.equal(NT_STATUS.STATUS_INSUFFICIENT_RESOURCES)
    expect(executive.env.ended).to.equal(undefined)
  })
  it('reads again when a commit completed meanwhile', async () => {
    const { run, volume, disk } = await fileSystem()
    const read = volume.read(9 * 4096, 512)
    await run(async (commit) => {
      await commit.write(9 * 4096, new Uint8Array(512).fill(0xaa))
      disk.fill(0xaa, 9 * 4096, 9 * 4096 + 512)
      return NT_STATUS.STATUS_SUCCESS
    })
    await read
    expect((await volume.read(9 * 4096, 512))[0]).to.equal(0xaa)
  })
})
