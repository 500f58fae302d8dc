/** A program opens handles until it gets no more: it hears so, loses nothing it has, and goes on; nobody else notices. */
import { expect } from 'chai'
import { attributes, type NativeProcess, nativeMain } from '#ntdll'
import { FILE_SYNCHRONOUS_IO_NONALERT, SYNCHRONIZE } from '#contracts/information'
import { StatusError, statusName } from '#rtl'
import { expectInvariants } from '../support/invariants.ts'
import { makeDisk, patternOf } from './volume.ts'
import { World } from './world.ts'

const READ_DATA = 1
/** More handles than any process may have. */
const TOO_MANY = 20_000
const AT_ONCE = 32

const makeEvent = async ({ nt }: NativeProcess, name?: string): Promise<number> => {
  const named = name === undefined ? {} : { ObjectAttributes: attributes(name) }
  const event = { DesiredAccess: 0x1f0003, EventType: 0, InitialState: false, ...named }
  return (await nt.NtCreateEvent(event)).EventHandle
}
const openFile = async ({ nt }: NativeProcess): Promise<number> => {
  const { FileHandle } = await nt.NtOpenFile({
    DesiredAccess: READ_DATA | SYNCHRONIZE,
    ObjectAttributes: attributes('\\??\\C:\\FILE.BIN'),
    ShareAccess: 3,
    OpenOptions: FILE_SYNCHRONOUS_IO_NONALERT,
  })
  return FileHandle
}
const outcome = (act: Promise<number>): Promise<string> =>
  act.then(
    () => 'done',
    (error: unknown) => (error instanceof StatusError ? statusName(error.status) : String(error)),
  )
/** Says how many it got, and what came of what it tried at the limit and after it. */
const hoarder = nativeMain(async (process) => {
  const handles: number[] = []
  let refusal = 'done'
  while (refusal === 'done' && handles.length < TOO_MANY) {
    const made = await Promise.all(
      Array.from({ length: AT_ONCE }, () => outcome(makeEvent(process).then((handle) => handles.push(handle)))),
    )
    refusal = made.find((one) => one !== 'done') ?? 'done'
  }
  const refused = [refusal]
  for (let turn = 0; turn < 3; turn++)
    refused.push(await outcome(makeEvent(process, '\\HOARD')), await outcome(openFile(process)))
  const Handle = handles[7]
  await process.nt.NtClose({ Handle })
  const event = await makeEvent(process, '\\HOARD')
  refused.push(await outcome(openFile(process)))
  await process.nt.NtClose({ Handle: event })
  const file = await outcome(openFile(process))
  const { PreviousState } = await process.nt.NtSetEvent({ EventHandle: handles[TOO_MANY / 2] })
  await process.print(`${handles.length} ${[...new Set(refused)].join()} ${file} ${PreviousState}\n`)
  return 0
})

describe('handles', function () {
  this.timeout(120_000)
  it('are refused at their limit; what is opened in vain is closed, and their process works on', async () => {
    const disk = makeDisk({ fat: 16, partitioned: true, files: { 'FILE.BIN': patternOf(4096, 1) } })
    const world = new World({ seed: 12, disk, program: hoarder })
    await world.boot()
    await world.enter('dir')
    expect(await world.enter('diskbench')).equal('16384 STATUS_INSUFFICIENT_RESOURCES done 0')
    expect(await world.enter('dir')).match(/FILE\s+BIN|FILE\.BIN/)
    // It shared no deletion, and has the file open no more: neither as it closed it nor as it never got it.
    expect(await world.enter('del FILE.BIN')).equal('')
    expect(await world.enter('umount C')).equal('')
    await expectInvariants(world.sim)
    expect((await world.shutdown()).code).equal(0)
  })
})
