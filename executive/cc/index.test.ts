import { expect } from 'chai'
import { NT_STATUS, StatusError } from '#rtl'
import type { Process } from '../ps/index.ts'
import { type FakeCache, fakeCache, memoryAt, until } from './cc-support.ts'
import type { FileCache } from './index.ts'
import { PAGE } from './views.ts'

const arena = memoryAt(0x4000000, PAGE)
const driver = {
  buffer(address: number, length: number) {
    if (address + length > PAGE) throw new StatusError('STATUS_ACCESS_VIOLATION')
    return { bytes: arena.bytes.subarray(address, address + length), physicalAddress: 0 }
  },
} as unknown as Process
const commitOf = (VolumeOffset: number, Length = 4) => ({
  Volume: 1,
  Writes: [{ Phase: 0, VolumeOffset, Address: 0, Length }],
  Freed: [],
})

async function mounted(): Promise<FakeCache & { file: FileCache; files: FileCache[] }> {
  const fake = fakeCache()
  await until(fake.env, fake.cc.readVolume(fake.device, 0, new Uint8Array(512)))
  const file = fake.cc.fileCache({
    storageDevice: fake.device,
    size: () => 4 * PAGE,
    extents: async (FileOffset, Length) => [{ FileOffset, VolumeOffset: 0x100000 + FileOffset, Length }],
  })
  const files = [file]
  Object.assign(fake.ex.io.volumes, { cachesOf: () => files })
  arena.bytes.set([1, 2, 3, 4])
  return { ...fake, file, files }
}

describe('cache manager', () => {
  it('flushes data, then metadata, then the disk', async () => {
    const { cc, disk, env, device, file } = await mounted()
    cc.commit(device, commitOf(PAGE), driver)
    await until(env, file.write(0, new Uint8Array(PAGE).fill(7), PAGE))
    expect(await until(env, cc.flushVolume(device, 0))).to.equal(0)
    const writes = disk.log.filter((access) => access.direction === 'write').map((access) => access.offset)
    expect(writes).to.deep.equal([0x100000, PAGE])
    expect(disk.flushes).to.equal(1)
    expect([...disk.bytes.subarray(PAGE, PAGE + 4)]).to.deep.equal([1, 2, 3, 4])
  })
  it("does not lose a volume's metadata to one file that cannot be written", async () => {
    const { cc, disk, env, device, file } = await mounted()
    cc.commit(device, commitOf(PAGE), driver)
    await until(env, file.write(0, new Uint8Array(PAGE).fill(7), PAGE))
    disk.fails = ({ offset }) => offset === 0x100000
    expect(await until(env, cc.flushVolume(device, 0))).to.equal(NT_STATUS.STATUS_IO_DEVICE_ERROR)
    expect([...disk.bytes.subarray(PAGE, PAGE + 4)]).to.deep.equal([1, 2, 3, 4])
  })
  it('writes metadata where it stood before data goes there', async () => {
    const { cc, disk, env, device, file } = await mounted()
    cc.commit(
      device,
      {
        Volume: 1,
        Writes: [{ Phase: 0, VolumeOffset: 0, Address: 0, Length: 1 }],
        Freed: [{ VolumeOffset: 0x100000, Length: 512 }],
      },
      driver,
    )
    await until(env, file.write(0, new Uint8Array(PAGE).fill(7), PAGE))
    await until(env, file.flush())
    expect(disk.log.filter((access) => access.direction === 'write').map((access) => access.offset)).to.deep.equal([
      0, 0x100000,
    ])
  })
  it('tries metadata again that the disk refused, without another commit', async () => {
    const { cc, disk, env, device } = await mounted()
    disk.fails = ({ direction }) => direction === 'write'
    cc.commit(device, commitOf(PAGE), driver)
    await env.advance(2_500)
    disk.fails = () => false
    await env.advance(2_500)
    expect([...disk.bytes.subarray(PAGE, PAGE + 4)]).to.deep.equal([1, 2, 3, 4])
    expect(env.clock.pending()).to.equal(0)
  })
  it('refuses a commit out of the arena, beyond the volume, or to no volume, and changes nothing', async () => {
    const { cc, disk, device, env } = await mounted()
    expect(() => cc.commit(device, commitOf(0, PAGE + 1), driver)).to.throw(StatusError)
    expect(() => cc.commit(device, commitOf(disk.bytes.length), driver)).to.throw(StatusError)
    cc.forget(device)
    expect(() => cc.commit(device, commitOf(0), driver)).to.throw(StatusError)
    await env.advance(5_000)
    expect(disk.log.every((access) => access.direction === 'read')).to.equal(true)
  })
  it('remembers no failed opening', async () => {
    const { cc, env, device, disk } = fakeCache()
    const read = () =>
      until(
        env,
        cc.readVolume(device, 0, new Uint8Array(512)).then(
          () => 0,
          (error: StatusError) => error.status,
        ),
      )
    disk.fails = () => true
    expect(await read()).to.equal(NT_STATUS.STATUS_IO_DEVICE_ERROR)
    disk.fails = () => false
    expect(await read()).to.equal(0)
  })
  it('forgets the dirty pages of a closed file', async () => {
    const { cc, env, file, disk } = await mounted()
    await until(env, file.write(0, new Uint8Array(PAGE), PAGE))
    cc.closeFile(file)
    await env.advance(5_000)
    expect(disk.log.some((access) => access.direction === 'write')).to.equal(false)
    expect(env.clock.pending()).to.equal(0)
  })
})
