import { expect } from 'chai'
import { type StatusError, statusName } from '#rtl'
import { Sel4Error } from '#sel4/api'
import { fakeEnvironment } from '#sel4/fake'
import type { Executive } from '../executive.ts'
import { cmServices } from '../cm/services.ts'
import { Registry } from '../cm/index.ts'
import { exServices } from '../ex/services.ts'
import { NtObject, ObjectManager } from '../ob/index.ts'
import { obServices } from '../ob/services.ts'
import { ProcessManager } from './index.ts'
import { imageOf, psServices } from './services.ts'

const MANIFEST = {
  images: { ntcmd: { nt: { kind: 'program' }, arena: 1 << 21 }, disk: { nt: { kind: 'driver' }, arena: 1 << 21 } },
  devices: {},
}
async function setup() {
  const env = fakeEnvironment({ root: true, manifest: MANIFEST })
  const root = env.root as NonNullable<typeof env.root>
  const memory: string[] = []
  const io = {
    dma: { addMemory: async () => void memory.push('add'), removeMemory: async () => void memory.push('remove') },
    irps: { cancellation: { ofRequestor: async () => undefined } },
    driverDied: async () => undefined,
  }
  const ex = { env, root, io } as unknown as { -readonly [K in keyof Executive]: Executive[K] }
  ex.ob = new ObjectManager()
  ex.cm = new Registry(ex.ob)
  ex.ps = new ProcessManager(ex, 1)
  root.onDeath((report) => void ex.ps.died(report))
  const process = await ex.ps.create({ image: 'ntcmd', kind: 'program', birth: 'fresh', name: 'first' })
  const services = { ...psServices(ex), ...obServices(ex), ...exServices(ex), ...cmServices(ex) }
  return { env, root, ex, memory, process, services, caller: { badge: process.pid } }
}
const statusOf = (section: () => unknown): Promise<string> =>
  Promise.resolve()
    .then(section)
    .then(
      () => 'STATUS_SUCCESS',
      (error: StatusError) => (error.status === undefined ? String(error) : statusName(error.status)),
    )
const named = (ObjectName: string, RootDirectory = 0) => ({ RootDirectory, ObjectName, Attributes: 0 })

describe('processes', () => {
  it("are made of the manifest's images of their kind, one of a name", async () => {
    const { ex, process } = await setup()
    expect(process.pid % 4).to.equal(0)
    expect(await statusOf(() => ex.ps.create({ image: 'disk', kind: 'program', birth: 'fresh' }))).to.equal(
      'STATUS_OBJECT_NAME_NOT_FOUND',
    )
    expect(await statusOf(() => ex.ps.create({ image: 'none', kind: 'program', birth: 'fresh' }))).to.equal(
      'STATUS_OBJECT_NAME_NOT_FOUND',
    )
    expect(
      await statusOf(() => ex.ps.create({ image: 'ntcmd', kind: 'program', birth: 'fresh', name: 'first' })),
    ).to.equal('STATUS_IMAGE_ALREADY_LOADED')
    expect(['\\SystemRoot\\ntcmd.exe', 'NTCMD.EXE', 'ntcmd'].map(imageOf)).to.deep.equal(['ntcmd', 'ntcmd', 'ntcmd'])
  })
  it('point only into their own memory', async () => {
    const { process } = await setup()
    const arena = process.child?.arena as NonNullable<NonNullable<typeof process.child>['arena']>
    expect(process.buffer(arena.virtualAddress + 10, 20).bytes.byteLength).to.equal(20)
    expect(process.buffer(arena.virtualAddress + arena.length, 0).bytes.byteLength).to.equal(0)
    for (const [address, length] of [
      [arena.virtualAddress - 1, 2],
      [arena.virtualAddress, arena.length + 1],
      [arena.virtualAddress + arena.length, 1],
      [0, 0],
      [Number.MAX_SAFE_INTEGER, 1],
    ]) {
      expect(await statusOf(() => process.buffer(address, length))).to.equal('STATUS_ACCESS_VIOLATION')
    }
  })
  it('end: handles closed, memory taken back, waiters woken with their status', async () => {
    const { ex, root, services, caller, env, memory } = await setup()
    const { ProcessHandle, ClientId } = await services.NtCreateUserProcess(
      { ProcessDesiredAccess: 0x1fffff, ImagePathName: 'ntcmd', CommandLine: 'x', CurrentDirectory: 'C:\\' },
      caller,
    )
    const child = ex.ps.byBadge(ClientId.UniqueProcess)
    let closed = 0
    class Thing extends NtObject {
      readonly typeName = 'Thing'
      override lastHandleClosed(): void {
        closed++
      }
    }
    ex.ob.createHandle(child, new Thing(), 0)
    const waiting = services.NtWaitForSingleObject({ Handle: ProcessHandle, Alertable: false }, caller)
    root.die('ntcmd', 'exit', '0')
    expect((await waiting).Status).to.equal(0)
    expect([closed, child.exitStatus, child.handles.size]).to.deep.equal([1, 0, 0])
    expect(memory).to.deep.equal(['add', 'add', 'remove'])
    expect(await statusOf(() => ex.ps.byBadge(child.pid))).to.equal('STATUS_INVALID_CID')
    await env.advance(0)
  })
  it('made suspended begin when they are resumed, by who may', async () => {
    const { root, services, caller } = await setup()
    const create = { ImagePathName: 'ntcmd', CommandLine: '', CurrentDirectory: '' }
    const made = (ProcessDesiredAccess: number, ThreadFlags: number) =>
      services.NtCreateUserProcess({ ...create, ProcessDesiredAccess, ThreadFlags }, caller)
    expect(await statusOf(() => made(0x800, 2))).to.equal('STATUS_INVALID_PARAMETER')
    const { ProcessHandle } = await made(0x800, 1)
    expect(root.spawned.at(-1)?.suspended).to.equal(true)
    await services.NtResumeProcess({ ProcessHandle }, caller)
    expect(root.resumed).to.deep.equal(['ntcmd'])
    root.die('ntcmd')
    expect(await statusOf(() => services.NtResumeProcess({ ProcessHandle }, caller))).to.equal(
      'STATUS_PROCESS_IS_TERMINATING',
    )
    const other = await made(0x1, 0)
    expect(root.spawned.at(-1)?.suspended).to.equal(false)
    expect(await statusOf(() => services.NtResumeProcess({ ProcessHandle: other.ProcessHandle }, caller))).to.equal(
      'STATUS_ACCESS_DENIED',
    )
  })
  it('that the kernel has no room for are refused with their status', async () => {
    const { ex, root } = await setup()
    root.spawn = async () => {
      throw new Sel4Error('seL4_NotEnoughMemory', 'no container is free for another')
    }
    const another = () => ex.ps.create({ image: 'ntcmd', name: 'another', kind: 'program', birth: 'fresh' })
    expect(await statusOf(another)).to.equal('STATUS_INSUFFICIENT_RESOURCES')
  })
  it('that are ending can be ended once more without harm', async () => {
    const { ex, root, process } = await setup()
    root.kill = async () => {
      throw new Sel4Error('seL4_InvalidArgument')
    }
    expect(await statusOf(() => ex.ps.terminate(process, 5))).to.equal('STATUS_SUCCESS')
    root.die('first')
    await new Promise((resolve) => setImmediate(resolve))
    expect(process.exitStatus).to.equal(5)
    expect(await statusOf(() => ex.ps.terminate(process, 6))).to.equal('STATUS_SUCCESS')
  })
  it('that die while they are made give their memory to nobody', async () => {
    const { ex, root, memory } = await setup()
    const spawn = root.spawn.bind(root)
    root.spawn = async (request) => {
      const child = await spawn(request)
      root.die(child.name)
      await new Promise((resolve) => setImmediate(resolve))
      return child
    }
    await ex.ps.create({ image: 'ntcmd', kind: 'program', birth: 'fresh' })
    expect(memory).to.deep.equal(['add'])
  })
  it('that nobody gets a handle on are ended: their image can be started again', async () => {
    const { ex, services, caller, process } = await setup()
    const request = { ProcessDesiredAccess: 1, ImagePathName: 'ntcmd', CommandLine: '', CurrentDirectory: '' }
    const made = () => statusOf(() => services.NtCreateUserProcess({ ...request, ThreadFlags: 1 }, caller))
    const handles: number[] = []
    class Thing extends NtObject {
      readonly typeName = 'Thing'
    }
    const fill = () => void handles.push(ex.ob.createHandle(process, new Thing(), 0))
    while ((await statusOf(fill)) === 'STATUS_SUCCESS');
    expect(await made()).to.equal('STATUS_INSUFFICIENT_RESOURCES')
    expect(ex.ps.all()).to.deep.equal([process])
    await ex.ob.close(process, handles[0])
    expect(await made()).to.equal('STATUS_SUCCESS')
  })
  it('get no name without a handle', async () => {
    const { services, caller, process } = await setup()
    const event = (ObjectName: string) =>
      statusOf(() =>
        services.NtCreateEvent(
          { DesiredAccess: 3, ObjectAttributes: named(ObjectName), EventType: 0, InitialState: false },
          caller,
        ),
      )
    expect(await event('\\BaseNamedObjects\\e')).to.equal('STATUS_SUCCESS')
    expect(await event('\\BaseNamedObjects\\E')).to.equal('STATUS_OBJECT_NAME_COLLISION')
    expect(process.handles.size).to.equal(1)
    process.leave()
    expect(await event('\\BaseNamedObjects\\f')).to.equal('STATUS_INSUFFICIENT_RESOURCES')
    expect(
      await statusOf(() =>
        services.NtCreateSymbolicLinkObject(
          { DesiredAccess: 1, ObjectAttributes: named('\\??\\D:'), LinkTarget: '\\Device' },
          caller,
        ),
      ),
    ).to.equal('STATUS_INSUFFICIENT_RESOURCES')
    expect(
      await statusOf(() =>
        services.NtOpenEvent({ DesiredAccess: 3, ObjectAttributes: named('\\BaseNamedObjects\\f') }, caller),
      ),
    ).to.equal('STATUS_OBJECT_NAME_NOT_FOUND')
    expect(
      await statusOf(() =>
        services.NtOpenSymbolicLinkObject({ DesiredAccess: 1, ObjectAttributes: named('\\??\\D:') }, caller),
      ),
    ).to.equal('STATUS_OBJECT_NAME_NOT_FOUND')
  })
})

describe('object services', () => {
  it('make a permanent link temporary, so that it goes with its last handle', async () => {
    const { services, caller } = await setup()
    const { LinkHandle } = await services.NtCreateSymbolicLinkObject(
      { DesiredAccess: 1, ObjectAttributes: named('\\??\\D:'), LinkTarget: '\\Device' },
      caller,
    )
    expect((await services.NtQuerySymbolicLinkObject({ LinkHandle }, caller)).LinkTarget).to.equal('\\Device')
    await services.NtMakeTemporaryObject({ Handle: LinkHandle }, caller)
    await services.NtMakeTemporaryObject({ Handle: LinkHandle }, caller)
    const open = () =>
      statusOf(() =>
        services.NtOpenSymbolicLinkObject({ DesiredAccess: 1, ObjectAttributes: named('\\??\\D:') }, caller),
      )
    await services.NtClose({ Handle: LinkHandle }, caller)
    expect(await open()).to.equal('STATUS_OBJECT_NAME_NOT_FOUND')
  })
  it('list a directory in order, from any index, to its end', async () => {
    const { services, caller } = await setup()
    const { DirectoryHandle } = await services.NtOpenDirectoryObject(
      { DesiredAccess: 1, ObjectAttributes: named('\\') },
      caller,
    )
    const names: string[] = []
    for (let Context = 0; ; ) {
      const answer = await Promise.resolve()
        .then(() =>
          services.NtQueryDirectoryObject(
            { DirectoryHandle, ReturnSingleEntry: true, RestartScan: false, Context },
            caller,
          ),
        )
        .catch((error: StatusError) => statusName(error.status))
      if (typeof answer === 'string') {
        expect(answer).to.equal('STATUS_NO_MORE_ENTRIES')
        break
      }
      names.push(answer.Entries[0].Name)
      Context = answer.Context
    }
    expect(names).to.include.members(['??', 'Device', 'Registry'])
    expect(names).to.deep.equal([...names].sort((a, b) => (a.toUpperCase() < b.toUpperCase() ? -1 : 1)))
  })
})

describe('registry', () => {
  it('creates, opens, keeps values, enumerates; names without case', async () => {
    const { services, caller } = await setup()
    const path = '\\Registry\\Machine\\Registry\\RegistryX'
    const first = await services.NtCreateKey(
      { DesiredAccess: 0x3f, ObjectAttributes: named(path), CreateOptions: 0 },
      caller,
    )
    const second = await services.NtCreateKey(
      {
        DesiredAccess: 0x3f,
        ObjectAttributes: named(path.toLowerCase().replace('\\registry', '\\Registry')),
        CreateOptions: 0,
      },
      caller,
    )
    expect([first.Disposition, second.Disposition]).to.deep.equal([1, 2])
    const Data = Uint8Array.of(1, 0, 0, 0)
    await services.NtSetValueKey({ KeyHandle: first.KeyHandle, ValueName: 'Start', Type: 4, Data }, caller)
    Data[0] = 9
    expect(await services.NtQueryValueKey({ KeyHandle: second.KeyHandle, ValueName: 'START' }, caller)).to.deep.equal({
      Type: 4,
      Data: Uint8Array.of(1, 0, 0, 0),
    })
    expect(
      await statusOf(() => services.NtEnumerateValueKey({ KeyHandle: first.KeyHandle, Index: 1 }, caller)),
    ).to.equal('STATUS_NO_MORE_ENTRIES')
    const { KeyHandle } = await services.NtOpenKey(
      { DesiredAccess: 0x80000000, ObjectAttributes: named('\\Registry\\Machine\\Registry') },
      caller,
    )
    expect(await services.NtEnumerateKey({ KeyHandle, Index: 0 }, caller)).to.deep.equal({ Name: 'RegistryX' })
    expect(await statusOf(() => services.NtSetValueKey({ KeyHandle, ValueName: '', Type: 1, Data }, caller))).to.equal(
      'STATUS_ACCESS_DENIED',
    )
    const relative = await services.NtOpenKey(
      { DesiredAccess: 1, ObjectAttributes: named('RegistryX', KeyHandle) },
      caller,
    )
    expect(relative.KeyHandle).to.be.greaterThan(0)
    expect(
      await statusOf(() =>
        services.NtOpenKey({ DesiredAccess: 1, ObjectAttributes: named('\\Registry\\None') }, caller),
      ),
    ).to.equal('STATUS_OBJECT_NAME_NOT_FOUND')
    expect(
      await statusOf(() =>
        services.NtCreateKey(
          { DesiredAccess: 1, ObjectAttributes: named(`\\Registry${'\\a'.repeat(70)}`), CreateOptions: 0 },
          caller,
        ),
      ),
    ).to.equal('STATUS_OBJECT_NAME_INVALID')
  })
})
