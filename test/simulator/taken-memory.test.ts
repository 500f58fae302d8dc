/**
 * Memory that is taken from the dead: the Executive uses none of it from then on (docs/adr/0014-taken-memory.md). Its next
 * owner is played here: the moment the Executive has confirmed that it looks there no more, the memory is full of another's
 * bytes, in this one process, where a stale view would see them.
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
import type { MemoryExtent } from '#sel4/transport'
import { namesAny } from '../../executive/io/irp-checks.ts'
import { expectInvariants } from '../support/invariants.ts'
import { scaled } from '../support/scale.ts'
import { type Disk, FatReader, makeDisk, patternOf } from './volume.ts'
import { World } from './world.ts'

const FILE = 'DATA.BIN'
const PROGRAM = 'diskbench'
const LENGTH = 1_200_000
const SIZE = 1 << 20
/** More than one IRP may name. */
const TWO_PIECES = SIZE + 32 * 4096
/** Neither at the beginning of a page nor of a sector. */
const AT = 100
const OLD = patternOf(LENGTH + 1000, 3)
const NEW = 0xb5
const ANOTHERS = 0xee
/** What the disk holds where a file may grow. */
const DELETED = 0x77
/** Events from the call on, in which a transfer is certainly over. */
const TRANSFER_EVENTS = 60

/** Moves the file's bytes between it and the program's own memory: `diskbench write 100`, `diskbench read 0 direct`. */
const mover = (begins: () => void) =>
  nativeMain(async (process) => {
    const [, how, at, direct] = process.commandLine.split(' ')
    const { FileHandle } = await process.nt.NtOpenFile({
      DesiredAccess: FILE_READ_DATA | FILE_WRITE_DATA | SYNCHRONIZE,
      ObjectAttributes: attributes(`\\??\\C:\\${FILE}`),
      ShareAccess: 3,
      OpenOptions: FILE_SYNCHRONOUS_IO_NONALERT | (direct ? FILE_NO_INTERMEDIATE_BUFFERING : 0),
    })
    const { Address, Length, bytes } = process.allocate(how === 'write' ? SIZE : TWO_PIECES)
    bytes.fill(NEW)
    const transfer = { FileHandle, Buffer: { Address, Length }, ByteOffset: Number(at) }
    begins()
    if (how === 'write') await process.nt.NtWriteFile(transfer)
    else await process.nt.NtReadFile(transfer)
    return 0
  })

interface Scene {
  readonly world: World
  /** IRPs that named the memory when it was another's. */
  readonly late: readonly number[]
  taken(): number
  begun(): boolean
}
async function bootWithMover(disk: Disk, seed: number): Promise<Scene> {
  let begun = false
  const program = mover(() => (begun = true))
  const world = new World({ seed, disk, program, cacheBytes: 512 << 10 })
  await world.boot()
  const late: number[] = []
  let taken = 0
  const executive = [...world.sim.processes.values()].find(({ request }) => request.name === 'executive')
  let memory: MemoryExtent | undefined
  const unmap = (extent: MemoryExtent) => {
    taken++
    memory = extent
    world.sim.map(extent).fill(ANOTHERS)
  }
  world.stopped = () => {
    for (const { id, request } of world.ex?.io.irps.all() ?? [])
      if (memory && request.mdl && namesAny(request.mdl, memory)) late.push(id)
    return false
  }
  Object.assign(executive ?? {}, { unmap })
  return { world, late, taken: () => taken, begun: () => begun }
}
/** Kills the program so many events after its call. False: it had ended. */
async function killAfter({ world, begun }: Scene, line: string, events: number): Promise<boolean> {
  let killed: boolean | undefined
  world.type(line)
  await world.until(begun, 'the transfer')
  world.atEvent(events, () => {
    killed = world.kill(PROGRAM)
    return true
  })
  await world.until(() => killed !== undefined, 'the death')
  await world.quiet(3000)
  return killed === true
}
/** The program's bytes come from AT on, so many as were written; then the old ones, or zeros where there were none. */
function stopped(disk: Disk, old: Buffer): boolean {
  const reader = new FatReader(disk)
  const found = reader.read(`/${FILE}`)
  if (!found) throw new Error(`there is no ${FILE}`)
  let count = 0
  while (found[AT + count] === NEW) count++
  const expected = Buffer.concat([old, Buffer.alloc(Math.max(0, found.length - old.length))])
  expected.fill(NEW, AT, AT + count)
  const at = found.findIndex((byte, i) => byte !== expected[i])
  if (at >= 0) throw new Error(`byte ${at} of ${found.length} is 0x${found[at].toString(16)}, ${count} were written`)
  // Whether it was stopped: that much has room, and is not there.
  return found.length >= AT + SIZE && count < SIZE
}

describe('memory of a program that died', function () {
  this.timeout(240_000)
  const SEEDS = Array.from({ length: scaled(60, 8) }, (_, i) => i + 1)

  for (const [what, old] of [
    ['into what is there', OLD],
    ['at the end', OLD.subarray(0, AT)],
  ] as const)
    it(`is not written to a file by the write it was in, ${what}`, async () => {
      let halves = 0
      for (const seed of SEEDS) {
        const files = { [FILE]: old, 'GONE.BIN': Buffer.alloc(SIZE, DELETED) }
        const disk = makeDisk({ fat: 16, partitioned: true, files })
        const scene = await bootWithMover(disk, seed)
        const { world, taken } = scene
        expect(await world.enter('del GONE.BIN')).equal('')
        const killed = await killAfter(scene, `${PROGRAM} write ${AT}`, (seed * 37) % TRANSFER_EVENTS)
        expect(taken()).equal(1)
        await expectInvariants(world.sim)
        expect((await world.shutdown()).reason).match(/NtShutdownSystem|was shut down/)
        if (stopped(disk, old) && killed) halves++
      }
      expect(halves, 'writes that stopped in their middle').greaterThan(0)
    })
  it('is named by no IRP any more when it is another’s', async () => {
    let under = 0
    for (const seed of SEEDS) {
      const disk = makeDisk({ fat: 16, partitioned: true, files: { [FILE]: OLD } })
      const scene = await bootWithMover(disk, seed)
      const { world, late, taken } = scene
      if (await killAfter(scene, `${PROGRAM} read 0 direct`, (seed * 37) % TRANSFER_EVENTS)) under++
      expect(taken()).equal(1)
      expect(late, `seed ${seed}`).deep.equal([])
      await expectInvariants(world.sim)
    }
    expect(under).greaterThan(0)
  })
})
