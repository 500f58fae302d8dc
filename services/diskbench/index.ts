/**
 * Measures the raw disk from inside: uncached reads of \Device\Harddisk0\DR0, one at a time.
 *
 *   diskbench q1 N      N random 4 KiB reads → "q1 N 123.4 us"
 *   diskbench seq N     N sequential 1 MiB reads → "seq N 2345.6 us"
 *
 * Prints microseconds per read. Offsets come from a fixed generator, so that two runs read the same sectors. Some 4 KiB reads
 * go before and are not counted: a program just started runs each line for the first time.
 */
import { attributes, type Buffer, type NativeProcess, nativeMain } from '#ntdll'
import { FILE_NO_INTERMEDIATE_BUFFERING, FILE_SYNCHRONOUS_IO_NONALERT, SYNCHRONIZE } from '#contracts/information'

const DISK = '\\Device\\Harddisk0\\DR0'
const IOCTL_DISK_GET_LENGTH_INFO = 0x7405c
const KIB4 = 4096
const MIB = 1024 * 1024
const READ_DATA = 1
const SEED = 0xc0fefe
/** V8 has compiled what a read needs of this program after some hundred. */
const WARM_UP = 200

async function open({ nt }: NativeProcess): Promise<{ handle: number; length: number }> {
  const { FileHandle } = await nt.NtOpenFile({
    DesiredAccess: READ_DATA | SYNCHRONIZE,
    ObjectAttributes: attributes(DISK),
    ShareAccess: 3,
    OpenOptions: FILE_NO_INTERMEDIATE_BUFFERING | FILE_SYNCHRONOUS_IO_NONALERT,
  })
  const { OutputBuffer } = await nt.NtDeviceIoControlFile({
    FileHandle,
    IoControlCode: IOCTL_DISK_GET_LENGTH_INFO,
    OutputBufferLength: 8,
  })
  return {
    handle: FileHandle,
    length: Number(new DataView(OutputBuffer.buffer, OutputBuffer.byteOffset).getBigInt64(0, true)),
  }
}
function xorshift(state: number): number {
  let next = state
  next ^= next << 13
  next ^= next >>> 17
  next ^= next << 5
  return next >>> 0
}
async function measure(
  process: NativeProcess,
  handle: number,
  buffer: Buffer,
  offsets: Iterable<number>,
): Promise<number> {
  const Buffer = { Address: buffer.Address, Length: buffer.Length }
  let count = 0
  const start = process.now()
  for (const ByteOffset of offsets) {
    await process.nt.NtReadFile({ FileHandle: handle, Buffer, ByteOffset })
    count++
  }
  return ((process.now() - start) * 1000) / count
}
function* randomOffsets(count: number, length: number): Generator<number> {
  const pages = Math.floor(length / KIB4)
  for (let i = 0, state = SEED; i < count; i++) {
    state = xorshift(state)
    yield (state % pages) * KIB4
  }
}
function* sequentialOffsets(count: number, length: number): Generator<number> {
  const pieces = Math.floor(length / MIB)
  for (let i = 0; i < count; i++) yield (i % pieces) * MIB
}

export const main = nativeMain(async (process) => {
  const [, mode = 'q1', text = '200'] = process.commandLine.split(/\s+/)
  const count = Number(text)
  if (!['q1', 'seq'].includes(mode) || !Number.isInteger(count) || count < 1) {
    await process.print('Usage: diskbench q1|seq COUNT\n')
    return 1
  }
  const { handle, length } = await open(process)
  await measure(process, handle, process.allocate(KIB4), randomOffsets(WARM_UP, length))
  const buffer = process.allocate(mode === 'q1' ? KIB4 : MIB)
  const offsets = mode === 'q1' ? randomOffsets(count, length) : sequentialOffsets(count, length)
  const microseconds = await measure(process, handle, buffer, offsets)
  await process.print(`${mode} ${count} ${microseconds.toFixed(1)} us\n`)
  await process.nt.NtClose({ Handle: handle })
  return 0
})
