import { expect } from 'chai'
import fc from 'fast-check'
import {
  DELETE,
  FILE_DELETE_ON_CLOSE,
  FILE_NO_INTERMEDIATE_BUFFERING,
  FILE_OPEN,
  FILE_OPEN_IF,
  FILE_OVERWRITE_IF,
  FileDispositionInformation,
  FileEndOfFileInformation,
  FileRenameInformation,
} from '#contracts/information'
import { IRP_MJ } from '#contracts/wdm'
import { NT_STATUS, type StatusError, statusName } from '#rtl'
import { until } from '../cc/cc-support.ts'
import { ARENA_ADDRESS, CLUSTER, fakeFiles } from './files-support.ts'

const CALLER = { badge: 4 }
const RW = 0x3
type Fake = ReturnType<typeof fakeFiles>
interface OpenOptions {
  readonly access?: number
  readonly share?: number
  readonly disposition?: number
  readonly options?: number
  readonly allocation?: number
  readonly badge?: number
}

function shell(fake: Fake) {
  const { services, env, arena } = fake
  const open = (
    name: string,
    { access = RW, share = 7, disposition = FILE_OPEN_IF, options = 0, allocation = 0, badge = 4 }: OpenOptions = {},
  ): Promise<number> =>
    Promise.resolve(
      services.NtCreateFile(
        {
          DesiredAccess: access,
          ObjectAttributes: { RootDirectory: 0, ObjectName: `\\??\\C:${name}`, Attributes: 0 },
          AllocationSize: allocation,
          FileAttributes: 0,
          ShareAccess: share,
          CreateDisposition: disposition,
          CreateOptions: options,
        },
        { badge },
      ),
    ).then(({ FileHandle }) => FileHandle)
  let at = 0
  const place = (length: number): number => {
    const here = at
    at = (at + length + 4095) & ~4095
    if (at > arena.length / 2) at = 0
    return here
  }
  const write = async (handle: number, offset: number | undefined, bytes: Uint8Array) => {
    const here = place(bytes.length)
    arena.bytes.set(bytes, here)
    const { IoStatusBlock } = await services.NtWriteFile(
      {
        FileHandle: handle,
        Buffer: { Address: ARENA_ADDRESS + here, Length: bytes.length },
        ...(offset !== undefined && { ByteOffset: offset }),
      },
      CALLER,
    )
    return IoStatusBlock.Information
  }
  const read = async (handle: number, offset: number, length: number): Promise<Uint8Array> => {
    const here = place(length)
    const { IoStatusBlock } = await services.NtReadFile(
      { FileHandle: handle, Buffer: { Address: ARENA_ADDRESS + here, Length: length }, ByteOffset: offset },
      CALLER,
    )
    return arena.bytes.slice(here, here + IoStatusBlock.Information)
  }
  const set = (handle: number, FileInformationClass: number, FileInformation: Uint8Array) =>
    Promise.resolve(
      services.NtSetInformationFile({ FileHandle: handle, FileInformation, FileInformationClass }, CALLER),
    )
  const resize = (handle: number, EndOfFile: number) =>
    set(handle, FileEndOfFileInformation.number, FileEndOfFileInformation.encode({ EndOfFile }).bytes)
  const rename = (handle: number, FileName: string, ReplaceIfExists = false) =>
    set(
      handle,
      FileRenameInformation.number,
      FileRenameInformation.encode({ ReplaceIfExists, RootDirectory: 0, FileName }).bytes,
    )
  const remove = (handle: number) =>
    set(handle, FileDispositionInformation.number, FileDispositionInformation.encode({ DeleteFile: true }).bytes)
  const close = (handle: number, badge = 4) => fake.ob.close(fake.processOf(badge), handle)
  const run = <T>(promise: Promise<T>): Promise<T> => until(env, promise)
  const status = (promise: Promise<unknown>): Promise<string> =>
    run(
      promise.then(
        () => 'STATUS_SUCCESS',
        (error: StatusError) => (error.status === undefined ? String(error) : statusName(error.status)),
      ),
    )
  return { open, write, read, resize, rename, remove, close, run, status }
}
const bytes = (length: number, seed: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (i * 11 + (i >> 9) + seed) & 0xff)

describe('files', () => {
  it('write, read, end, gap and close reach the disk', async () => {
    const fake = fakeFiles()
    const { open, write, read, close, run, status } = shell(fake)
    const file = await run(open('\\A'))
    await run(write(file, 0, bytes(100, 1)))
    await run(write(file, 10_000, bytes(50, 2)))
    expect(await run(read(file, 0, 20_000))).to.deep.equal(
      Uint8Array.from([...bytes(100, 1), ...new Uint8Array(9_900), ...bytes(50, 2)]),
    )
    expect(await status(read(file, 10_050, 1))).to.equal('STATUS_END_OF_FILE')
    await run(close(file))
    const again = await run(open('\\a', { disposition: FILE_OPEN }))
    expect(await run(read(again, 10_000, 50))).to.deep.equal(bytes(50, 2))
    expect([...(fake.storage.volume?.fcbs.values() ?? [])]).to.have.length(1)
  })
  it('appends of two writers do not overwrite each other', async () => {
    const { open, write, read, run } = shell(fakeFiles())
    const [a, b] = await run(Promise.all([open('\\A', { access: RW }), open('\\A', { access: 0x4 })]))
    await run(
      Promise.all([write(a, -1, bytes(100, 1)), write(b, undefined, bytes(100, 2)), write(a, -1, bytes(100, 3))]),
    )
    const all = await run(read(a, 0, 1000))
    expect(all).to.have.length(300)
    expect([all[0], all[100], all[200]].sort()).to.deep.equal([1, 2, 3])
  })
  it('a write that meets a truncation extends the file again', async () => {
    const { open, write, read, resize, run } = shell(fakeFiles())
    const file = await run(open('\\A'))
    await run(write(file, 0, bytes(3 * CLUSTER, 1)))
    await run(Promise.all([resize(file, 10), write(file, 2 * CLUSTER, bytes(100, 9))]))
    const all = await run(read(file, 0, 4 * CLUSTER))
    expect(all).to.have.length(2 * CLUSTER + 100)
    expect(all.subarray(10, 2 * CLUSTER).every((byte) => byte === 0)).to.equal(true)
    expect(all.subarray(2 * CLUSTER)).to.deep.equal(bytes(100, 9))
  })
  it('an overwritten file forgets where its bytes were', async () => {
    const fake = fakeFiles()
    const { open, write, read, close, run } = shell(fake)
    const keep = await run(open('\\A', { share: 7 }))
    await run(write(keep, 0, bytes(4 * CLUSTER, 1)))
    await run(read(keep, 0, 4 * CLUSTER))
    const again = await run(open('\\A', { disposition: FILE_OVERWRITE_IF, allocation: 4 * CLUSTER }))
    const other = await run(open('\\B'))
    await run(write(other, 0, bytes(4 * CLUSTER, 7)))
    await run(write(again, 0, bytes(4 * CLUSTER, 3)))
    for (const handle of [keep, again, other]) await run(close(handle))
    const [a, b] = await run(Promise.all([open('\\A'), open('\\B')]))
    expect(await run(read(a, 0, 4 * CLUSTER))).to.deep.equal(bytes(4 * CLUSTER, 3))
    expect(await run(read(b, 0, 4 * CLUSTER))).to.deep.equal(bytes(4 * CLUSTER, 7))
  })
  it('asks on when a file system cannot tell all extents at once', async () => {
    const fake = fakeFiles()
    fake.fs.extentsMax = 2
    const { open, write, read, close, run } = shell(fake)
    const file = await run(open('\\A'))
    await run(write(file, 0, bytes(20 * CLUSTER, 5)))
    await run(close(file))
    const again = await run(open('\\A'))
    expect(await run(read(again, 0, 20 * CLUSTER))).to.deep.equal(bytes(20 * CLUSTER, 5))
    expect(fake.written).to.deep.equal([])
  })
  it("uncached and cached opens see each other's bytes", async () => {
    const fake = fakeFiles()
    const { open, write, read, run } = shell(fake)
    const cached = await run(open('\\A'))
    const uncached = await run(open('\\A', { options: FILE_NO_INTERMEDIATE_BUFFERING }))
    await run(write(cached, 0, bytes(CLUSTER, 1)))
    fake.fs.failing.set(IRP_MJ.IRP_MJ_QUERY_EXTENTS, 'STATUS_IO_DEVICE_ERROR')
    expect(await shell(fake).status(read(uncached, 0, CLUSTER))).to.equal('STATUS_IO_DEVICE_ERROR')
    fake.fs.failing.clear()
    await run(write(uncached, 0, bytes(CLUSTER, 2)))
    await run(read(uncached, 0, CLUSTER))
    expect(fake.storage.volume?.fcbByPath('\\A')?.cache.dirty).to.equal(false)
  })
  it('a handle closed under a write leaves nothing dirty behind, and nothing falls over', async () => {
    const fake = fakeFiles()
    const { open, write, resize, close, run, status } = shell(fake)
    for (let i = 0; i < 10; i++) {
      const file = await run(open(`\\F${i}`))
      const outcomes = Promise.all([
        status(write(file, i * 100, bytes(5_000, i))),
        status(resize(file, 100 * i)),
        status(write(file, 0, bytes(100, i))),
      ])
      const closing = close(file)
      for (const outcome of await outcomes) expect(outcome).to.be.oneOf(['STATUS_SUCCESS', 'STATUS_FILE_FORCED_CLOSED'])
      await run(closing)
    }
    await fake.env.advance(10_000)
    expect(fake.env.clock.pending()).to.equal(0)
    expect(fake.storage.volume?.fcbs.size).to.equal(0)
    expect(fake.storage.volume?.files.size).to.equal(0)
  })
  it('a file that goes is not written first', async () => {
    const fake = fakeFiles()
    const { open, write, remove, close, run } = shell(fake)
    const file = await run(open('\\A', { access: RW | DELETE }))
    await run(write(file, 0, bytes(5 * CLUSTER, 1)))
    await run(remove(file))
    await run(close(file))
    expect(fake.disk.log.filter((access) => access.direction === 'write')).to.deep.equal([])
    expect(fake.fs.nodes.has('\\A')).to.equal(false)
  })

  describe('sharing', () => {
    it('refuses what the other does not share, both ways', async () => {
      const { open, status, run } = shell(fakeFiles())
      await run(open('\\A', { access: 1, share: 1 }))
      expect(await status(open('\\A', { access: 2, share: 7 }))).to.equal('STATUS_SHARING_VIOLATION')
      expect(await status(open('\\A', { access: 1, share: 2 }))).to.equal('STATUS_SHARING_VIOLATION')
      expect(await status(open('\\A', { access: 1, share: 1, disposition: FILE_OVERWRITE_IF }))).to.equal(
        'STATUS_SHARING_VIOLATION',
      )
      expect(await status(open('\\A', { access: 0x80, share: 1 }))).to.equal('STATUS_SUCCESS')
    })
    it('lets one of two simultaneous exclusive opens in', async () => {
      const { open, status } = shell(fakeFiles())
      const outcomes = await Promise.all([status(open('\\A', { share: 0 })), status(open('\\a', { share: 0 }))])
      expect(outcomes.sort()).to.deep.equal(['STATUS_SHARING_VIOLATION', 'STATUS_SUCCESS'])
    })
    it('holds for another name of the same file, before anything is destroyed', async () => {
      const fake = fakeFiles()
      const { open, write, read, close, status, run } = shell(fake)
      const file = await run(open('\\NAME', { share: 1 }))
      await run(write(file, 0, bytes(CLUSTER, 1)))
      const hows = [
        { disposition: FILE_OPEN },
        { disposition: FILE_OVERWRITE_IF },
        { options: FILE_DELETE_ON_CLOSE, access: DELETE },
      ]
      for (const how of hows) expect(await status(open('\\NAM~E', how))).to.equal('STATUS_SHARING_VIOLATION')
      expect(await run(read(file, 0, CLUSTER))).to.deep.equal(bytes(CLUSTER, 1))
      expect([...(fake.storage.volume?.fcbs.values() ?? [])][0].opens.size).to.equal(1)
      await run(close(file))
      expect(fake.fs.nodes.get('\\NAME')?.size).to.equal(CLUSTER)
    })
    it('no open comes to a file that is to be deleted, and the last close deletes it', async () => {
      const fake = fakeFiles()
      const { open, remove, close, status, run } = shell(fake)
      const [a, b] = await run(
        Promise.all([open('\\A', { access: DELETE }), open('\\A', { access: DELETE, options: FILE_DELETE_ON_CLOSE })]),
      )
      await run(remove(a))
      expect(await status(open('\\A', { share: 0 }))).to.equal('STATUS_DELETE_PENDING')
      await run(Promise.all([close(a), close(b)]))
      expect(fake.fs.nodes.has('\\A')).to.equal(false)
    })
    it('an open whose process has ended is closed again', async () => {
      const fake = fakeFiles()
      const { open, status, run } = shell(fake)
      await run(open('\\X'))
      const opening = status(open('\\A', { share: 0, badge: 8 }))
      fake.processOf(8).handles.closed = true
      expect(await opening).to.not.equal('STATUS_SUCCESS')
      expect(await status(open('\\A', { share: 0 }))).to.equal('STATUS_SUCCESS')
    })
  })

  describe('rename', () => {
    it('moves the name of every open, and replaces only if asked', async () => {
      const fake = fakeFiles()
      const { open, rename, close, status, run } = shell(fake)
      await run(open('\\D', { options: 1 }).then(close))
      await run(open('\\D\\B').then(close))
      const a = await run(open('\\A', { access: DELETE }))
      expect(await status(rename(a, '\\??\\C:\\D\\B'))).to.equal('STATUS_OBJECT_NAME_COLLISION')
      expect(await status(rename(a, '\\??\\C:\\D\\B', true))).to.equal('STATUS_SUCCESS')
      expect(fake.storage.volume?.fcbByPath('\\D\\B')?.opens.size).to.equal(1)
      expect(fake.fs.nodes.has('\\A')).to.equal(false)
    })
    it('does not replace an open file, but may change the case of its own name', async () => {
      const { open, rename, status, run } = shell(fakeFiles())
      const a = await run(open('\\A', { access: DELETE }))
      await run(open('\\B'))
      expect(await status(rename(a, '\\??\\C:\\B', true))).to.equal('STATUS_ACCESS_DENIED')
      expect(await status(rename(a, 'a', true))).to.equal('STATUS_SUCCESS')
    })
  })

  describe('volumes', () => {
    it('mount once for many, and not again what nobody knows until a file system comes', async () => {
      const fake = fakeFiles()
      const { open, status, run } = shell(fake)
      fake.fs.mounts = ['STATUS_UNRECOGNIZED_VOLUME']
      expect(await Promise.all([status(open('\\A')), status(open('\\B'))])).to.deep.equal([
        'STATUS_UNRECOGNIZED_VOLUME',
        'STATUS_UNRECOGNIZED_VOLUME',
      ])
      expect(fake.fs.mounts).to.deep.equal([])
      expect(await status(open('\\A'))).to.equal('STATUS_UNRECOGNIZED_VOLUME')
      fake.volumes.unregisterFileSystem(fake.control)
      fake.volumes.registerFileSystem(fake.control)
      await run(Promise.all([open('\\A'), open('\\B')]))
      expect(fake.volumes.all()).to.have.length(1)
    })
    it('are asked for again after the disk could not be read', async () => {
      const fake = fakeFiles()
      const { open, status } = shell(fake)
      fake.fs.mounts = ['STATUS_IO_DEVICE_ERROR']
      expect(await status(open('\\A'))).to.equal('STATUS_IO_DEVICE_ERROR')
      expect(await status(open('\\A'))).to.equal('STATUS_SUCCESS')
    })
    it('are offered to a file system that came during the mount', async () => {
      const fake = fakeFiles()
      const { open, status } = shell(fake)
      fake.fs.mounts = ['STATUS_UNRECOGNIZED_VOLUME']
      const opening = status(open('\\A'))
      fake.volumes.registerFileSystem(fake.volume)
      expect(await opening).to.equal('STATUS_SUCCESS')
    })
    it('leave no page behind when they are dismounted, even if it could not be written', async () => {
      const fake = fakeFiles()
      const { open, write, close, status, run } = shell(fake)
      const file = await run(open('\\A'))
      await run(write(file, 0, bytes(CLUSTER, 1)))
      fake.fs.failing.set(IRP_MJ.IRP_MJ_QUERY_EXTENTS, 'STATUS_IO_DEVICE_ERROR')
      const [vcb] = fake.volumes.all()
      expect(await run(fake.volumes.dismounted(vcb))).to.equal(NT_STATUS.STATUS_IO_DEVICE_ERROR)
      fake.fs.failing.clear()
      expect(await status(write(file, 0, bytes(CLUSTER, 1)))).to.equal('STATUS_FILE_FORCED_CLOSED')
      await run(close(file))
      await fake.env.advance(10_000)
      expect(fake.disk.log.some((access) => access.direction === 'write')).to.equal(false)
      expect(fake.env.clock.pending()).to.equal(0)
      expect(await status(open('\\A'))).to.equal('STATUS_SUCCESS')
      expect(fake.volumes.all()[0]).to.not.equal(vcb)
    })
    it('open again what was open when their file system returns; what cannot be is closed by force', async () => {
      const fake = fakeFiles()
      const { open, write, read, close, status, run } = shell(fake)
      const [a, b] = await run(Promise.all([open('\\A'), open('\\B')]))
      await run(write(a, 0, bytes(10, 1)))
      fake.fs.nodes.delete('\\B')
      await run(fake.volumes.rebind(fake.driver))
      expect(await run(read(a, 0, 10))).to.deep.equal(bytes(10, 1))
      expect(await status(write(b, 0, bytes(10, 1)))).to.equal('STATUS_FILE_FORCED_CLOSED')
      await run(close(b))
      expect(fake.storage.volume?.fcbs.size).to.equal(1)
    })
  })

  const action = fc.record({
    kind: fc.constantFrom('write', 'append', 'resize', 'read', 'reopen', 'overwrite', 'uncached'),
    file: fc.nat(1),
    at: fc.nat(6 * CLUSTER),
    length: fc.integer({ min: 1, max: 2 * CLUSTER }),
  })
  it('are byte arrays, whatever the order of writes, sizes, overwriting and closing', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(action, { minLength: 1, maxLength: 30 }), fc.nat(), async (actions, seed) => {
        const fake = fakeFiles({ seed, clusters: 64, views: 1 })
        fake.fs.extentsMax = 3
        const { open, write, read, resize, close, run } = shell(fake)
        const names = ['\\A', '\\B']
        const handles = await run(Promise.all(names.map((name) => open(name))))
        const models = [new Uint8Array(0), new Uint8Array(0)]
        const grown = (model: Uint8Array, size: number) => {
          const next = new Uint8Array(Math.max(size, model.length))
          next.set(model)
          return next
        }
        let value = 1
        for (const { kind, file: f, at, length } of actions) {
          if (kind === 'write' || kind === 'append') {
            const data = bytes(length, value++ * 17)
            const offset = kind === 'append' ? models[f].length : at
            if (offset + length > 12 * CLUSTER) continue
            models[f] = grown(models[f], offset + length)
            models[f].set(data, offset)
            await run(write(handles[f], kind === 'append' ? -1 : offset, data))
          } else if (kind === 'resize') {
            models[f] = grown(models[f].slice(0, at), at)
            await run(resize(handles[f], at))
          } else if (kind === 'overwrite') {
            await run(close(handles[f]))
            handles[f] = await run(open(names[f], { disposition: FILE_OVERWRITE_IF, allocation: length }))
            models[f] = new Uint8Array(0)
          } else if (kind === 'reopen') {
            const next = open(names[f])
            await run(Promise.all([close(handles[f]), next]))
            handles[f] = await next
          } else if (models[f].length > 0) {
            const offset = Math.min(at, models[f].length - 1)
            expect(await run(read(handles[f], offset, length))).to.deep.equal(models[f].slice(offset, offset + length))
          }
        }
        for (const [f, handle] of handles.entries()) {
          if (models[f].length > 0) expect(await run(read(handle, 0, 16 * CLUSTER))).to.deep.equal(models[f])
          await run(close(handle))
        }
        expect(fake.written).to.deep.equal([])
      }),
      { numRuns: 25 },
    )
  }).timeout(20_000)
})
