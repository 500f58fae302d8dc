/**
 * A direct read moves no byte but from the disk's image into the reader's page: no copy is counted outside the device, and
 * the bytes are in no message. Every message of the system is looked at.
 */
import { expect } from 'chai'
import { attributes, type NativeProcess, nativeMain } from '#ntdll'
import { FILE_NO_INTERMEDIATE_BUFFERING, FILE_SYNCHRONOUS_IO_NONALERT, SYNCHRONIZE } from '#contracts/information'
import { expectInvariants } from '../support/invariants.ts'
import { makeDisk, patternOf } from './volume.ts'
import { World } from './world.ts'

const CANARY = Buffer.from('neptune-canary-41c7:')
const READ_DATA = 1
const LENGTH = 64 * 1024
const FILE = 'CANARY.BIN'

/** A file of nothing but canaries, so that any piece of 64 bytes of it has one. */
function canaries(length: number): Buffer {
  const bytes = Buffer.alloc(length)
  for (let at = 0; at < length; at++) bytes[at] = CANARY[at % CANARY.length]
  return bytes
}
/** Reads the file by name, uncached and then cached, into its own memory, and says what it found there. */
const reader = nativeMain(async (process) => {
  const [, option] = process.commandLine.split(' ')
  const direct = option === 'direct'
  const { FileHandle } = await process.nt.NtOpenFile({
    DesiredAccess: READ_DATA | SYNCHRONIZE,
    ObjectAttributes: attributes(`\\??\\C:\\${FILE}`),
    ShareAccess: 3,
    OpenOptions: FILE_SYNCHRONOUS_IO_NONALERT | (direct ? FILE_NO_INTERMEDIATE_BUFFERING : 0),
  })
  const found = await read(process, FileHandle)
  await process.nt.NtClose({ Handle: FileHandle })
  await process.print(`${found} bytes as written\n`)
  return 0
})
async function read(process: NativeProcess, FileHandle: number): Promise<number> {
  const buffer = process.allocate(LENGTH)
  const { IoStatusBlock } = await process.nt.NtReadFile({
    FileHandle,
    Buffer: { Address: buffer.Address, Length: buffer.Length },
    ByteOffset: 0,
  })
  const same = Buffer.from(buffer.bytes).equals(canaries(LENGTH))
  return same ? IoStatusBlock.Information : 0
}

describe('a direct read', function () {
  this.timeout(60_000)

  async function bootWithReader() {
    const seen = { canaries: 0, messages: 0 }
    const disk = makeDisk({
      fat: 16,
      partitioned: true,
      files: { [FILE]: canaries(LENGTH), 'OTHER.BIN': patternOf(4096, 1) },
    })
    const tap = (message: Buffer) => {
      seen.messages++
      if (message.includes(CANARY)) seen.canaries++
    }
    const world = new World({ seed: 11, disk, program: reader, tap })
    await world.boot()
    return { world, seen }
  }

  it('copies nothing outside the device, and its bytes are in no message', async () => {
    const { world, seen } = await bootWithReader()
    await world.enter('dir')
    const before = { ...world.ex!.env.copied }
    const messages = seen.messages
    expect(await world.enter('diskbench direct')).equal(`${LENGTH} bytes as written`)
    expect(world.ex!.env.copied).deep.equal(before)
    expect(seen.messages).greaterThan(messages)
    expect(seen.canaries).equal(0)
    await expectInvariants(world.sim)
  })

  it('is told from a cached read, which copies once', async () => {
    const { world, seen } = await bootWithReader()
    const before = world.ex!.env.copied.bytes
    expect(await world.enter('diskbench cached')).equal(`${LENGTH} bytes as written`)
    expect(world.ex!.env.copied.bytes - before).at.least(LENGTH)
    expect(seen.canaries).equal(0)
  })

  it('would be seen if it were in a message', async () => {
    const { world, seen } = await bootWithReader()
    await world.enter(`type ${FILE}`)
    expect(seen.canaries).greaterThan(0)
  })
})
