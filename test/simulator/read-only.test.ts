/**
 * A write-protected disk: whatever would change it is refused at once with the one sentence, whoever dies meanwhile; what only
 * reads works; and not a byte of it differs afterwards.
 */
import { expect } from 'chai'
import { attributes, nativeMain } from '#ntdll'
import {
  FILE_NO_INTERMEDIATE_BUFFERING,
  FILE_READ_DATA,
  FILE_SYNCHRONOUS_IO_NONALERT,
  FILE_WRITE_DATA,
  SYNCHRONIZE,
} from '#contracts/information'
import { StatusError, statusName } from '#rtl'
import { makeDisk, patternOf } from './volume.ts'
import { World } from './world.ts'

const REFUSED = 'The disk is write-protected.'
const LENGTH = 8192
const FILE = 'DATA.BIN'

/** Writes into the middle of a file that is there, cached or not, and says what came of it. */
const writer = nativeMain(async (process) => {
  const direct = process.commandLine.endsWith('direct')
  const { FileHandle } = await process.nt.NtOpenFile({
    DesiredAccess: FILE_READ_DATA | FILE_WRITE_DATA | SYNCHRONIZE,
    ObjectAttributes: attributes(`\\??\\C:\\${FILE}`),
    ShareAccess: 3,
    OpenOptions: FILE_SYNCHRONOUS_IO_NONALERT | (direct ? FILE_NO_INTERMEDIATE_BUFFERING : 0),
  })
  const { Address } = process.allocate(4096)
  try {
    await process.nt.NtWriteFile({ FileHandle, Buffer: { Address, Length: 512 }, ByteOffset: 1024 })
    await process.print('written\n')
  } catch (error) {
    if (!(error instanceof StatusError)) throw error
    await process.print(`${statusName(error.status)}\n`)
  }
  await process.nt.NtClose({ Handle: FileHandle })
  return 0
})

describe('a write-protected disk', function () {
  this.timeout(60_000)

  for (const fat of [12, 16, 32] as const)
    it(`of FAT${fat} is only read`, async () => {
      const disk = makeDisk({ fat, partitioned: fat !== 12, files: { [FILE]: patternOf(LENGTH, 3) } })
      const before = Buffer.from(disk.bytes)
      const world = new World({ seed: fat, disk, readOnly: true, program: writer })
      await world.boot()
      const refuses = async (...lines: string[]) => {
        for (const line of lines) expect(await world.enter(line), line).equal(REFUSED)
      }
      expect(await world.enter('dir')).match(/DATA\.BIN\n +1 File\(s\)/)
      await refuses(`copy ${FILE} COPY.BIN`, `copy ${FILE} ${FILE.replace('DATA', 'OTHER')}`, 'md NEW')
      await refuses(`del ${FILE}`, `ren ${FILE} RENAMED.BIN`)
      expect(await world.enter('diskbench cached')).equal('STATUS_MEDIA_WRITE_PROTECTED')
      expect(await world.enter('diskbench direct')).equal('STATUS_MEDIA_WRITE_PROTECTED')
      for (const driver of ['fatfs', 'storahci']) {
        world.kill(driver)
        await refuses(`copy ${FILE} COPY.BIN`, 'md NEW')
      }
      expect(await world.enter('sync')).equal('')
      expect(await world.enter('umount C')).equal('')
      await refuses('md NEW')
      expect((await world.shutdown()).code).not.equal(0)
      expect(disk.bytes.equals(before)).equal(true)
    })
})
