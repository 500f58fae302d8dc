import { expect } from 'chai'
import fc from 'fast-check'
import { type StatusError, statusName } from '#rtl'
import { Event } from '../ke/event.ts'
import { Process } from '../ps/process.ts'
import { Directory, NtObject, ObjectManager } from './index.ts'

class Device extends NtObject {
  readonly typeName = 'Device'
  gone = 0
  closed = 0
  override deleted(): void {
    this.gone++
  }
  override async lastHandleClosed(): Promise<void> {
    this.closed++
  }
}
function statusOf(section: () => unknown): string {
  try {
    section()
    return 'STATUS_SUCCESS'
  } catch (error) {
    return (error as StatusError).status === undefined ? String(error) : statusName((error as StatusError).status)
  }
}
function setup() {
  const ob = new ObjectManager()
  const disk = new Device()
  ob.insert('\\Device\\Disk', disk)
  ob.createSymbolicLink('\\??\\C:', '\\Device\\Disk')
  return { ob, disk, process: new Process(4, 'test') }
}

describe('object manager', () => {
  it('follows directories and links without regard to case, and stops at what is neither', () => {
    const { ob, disk } = setup()
    for (const [path, remaining] of [
      ['\\??\\C:', ''],
      ['\\dosdevices\\c:', ''],
      ['\\??\\C:\\', '\\'],
      ['\\??\\C:\\A\\b.txt', '\\A\\b.txt'],
      ['\\Global??\\c:\\A\\', '\\A\\'],
      ['\\Device\\Disk\\A\\B\\', '\\A\\B\\'],
      ['\\DEVICE\\disk', ''],
      ['\\Device\\Disk\\', '\\'],
    ]) {
      expect(ob.lookup(path), path).to.deep.equal({ object: disk, remaining })
    }
    expect(ob.lookup('\\').object).to.equal(ob.root)
    expect(ob.lookup('\\Device\\').object).to.be.instanceOf(Directory)
  })
  it('says what is missing and what is no path', () => {
    const { ob } = setup()
    expect(statusOf(() => ob.lookup('\\Device\\Nothing'))).to.equal('STATUS_OBJECT_NAME_NOT_FOUND')
    expect(statusOf(() => ob.lookup('\\Nothing\\Disk'))).to.equal('STATUS_OBJECT_PATH_NOT_FOUND')
    expect(statusOf(() => ob.lookup('Device'))).to.equal('STATUS_OBJECT_PATH_SYNTAX_BAD')
    expect(statusOf(() => ob.lookup(''))).to.equal('STATUS_OBJECT_PATH_SYNTAX_BAD')
    expect(statusOf(() => ob.lookup('\\Device\\\\Disk'))).to.equal('STATUS_OBJECT_NAME_INVALID')
  })
  it('begins a relative name at its root', () => {
    const { ob, disk } = setup()
    const root = ob.lookup('\\Device').object
    expect(ob.lookup('Disk\\X', { root })).to.deep.equal({ object: disk, remaining: '\\X' })
    expect(ob.lookup('', { root }).object).to.equal(root)
    expect(ob.lookup('a\\b', { root: disk })).to.deep.equal({ object: disk, remaining: 'a\\b' })
  })
  it('follows links to links, keeps a tail, and gives up on a ring', () => {
    const { ob, disk } = setup()
    ob.createSymbolicLink('\\A', '\\??\\C:\\WINDOWS')
    ob.createSymbolicLink('\\B', '\\A\\')
    ob.createSymbolicLink('\\Ring', '\\Ring2')
    ob.createSymbolicLink('\\Ring2', '\\Ring')
    expect(ob.lookup('\\B\\system32')).to.deep.equal({ object: disk, remaining: '\\WINDOWS\\system32' })
    expect(statusOf(() => ob.lookup('\\Ring\\x'))).to.equal('STATUS_OBJECT_NAME_INVALID')
    expect(ob.lookup('\\Ring', { noFinalLink: true }).object.typeName).to.equal('SymbolicLink')
  })
  it('inserts under absolute or relative names only where there is a directory', () => {
    const { ob, disk } = setup()
    expect(statusOf(() => ob.insert('\\Device\\disk', new Device()))).to.equal('STATUS_OBJECT_NAME_COLLISION')
    expect(statusOf(() => ob.insert('\\Device\\Disk\\x', new Device()))).to.equal('STATUS_OBJECT_TYPE_MISMATCH')
    expect(statusOf(() => ob.insert('\\No\\x', new Device()))).to.equal('STATUS_OBJECT_PATH_NOT_FOUND')
    expect(statusOf(() => ob.insert('\\Device\\', new Device()))).to.equal('STATUS_OBJECT_NAME_INVALID')
    expect(statusOf(() => ob.insert(`\\${'x'.repeat(256)}`, new Device()))).to.equal('STATUS_OBJECT_NAME_INVALID')
    expect(statusOf(() => ob.insert('floating', new Device()))).to.equal('STATUS_OBJECT_PATH_SYNTAX_BAD')
    const root = ob.lookup('\\BaseNamedObjects').object
    ob.insert('e', new Event(false, false), { root })
    expect(ob.lookup('\\BaseNamedObjects\\E').object.typeName).to.equal('Event')
    expect(disk.name).to.equal('Disk')
  })
  it('keeps a temporary object as long as it is used, a permanent one until removed', async () => {
    const { ob, process } = setup()
    const [temporary, permanent] = [new Device(), new Device()]
    ob.insert('\\T', temporary)
    ob.insert('\\P', permanent, { permanent: true })
    for (const object of [temporary, permanent]) {
      const [a, b] = [ob.createHandle(process, object, 0), ob.createHandle(process, object, 0)]
      await ob.close(process, a)
      expect(object.closed).to.equal(0)
      await ob.close(process, b)
      expect(object.closed).to.equal(1)
    }
    expect([temporary.gone, permanent.gone]).to.deep.equal([1, 0])
    expect(statusOf(() => ob.lookup('\\T'))).to.equal('STATUS_OBJECT_NAME_NOT_FOUND')
    ob.remove(permanent)
    expect(permanent.gone).to.equal(1)
    expect(statusOf(() => ob.lookup('\\P'))).to.equal('STATUS_OBJECT_NAME_NOT_FOUND')
  })
  it('checks class and access of a handle at each use', () => {
    const { ob, process } = setup()
    const handle = ob.createHandle(process, new Event(false, false), 0x1)
    expect(statusOf(() => ob.fromHandle(process, handle, Event, 0x2))).to.equal('STATUS_ACCESS_DENIED')
    expect(statusOf(() => ob.fromHandle(process, handle, Device))).to.equal('STATUS_OBJECT_TYPE_MISMATCH')
    expect(statusOf(() => ob.fromHandle(process, handle + 4, Event))).to.equal('STATUS_INVALID_HANDLE')
    const full = ob.createHandle(process, new Event(false, false), 0x80000000)
    expect(statusOf(() => ob.fromHandle(process, full, Event, 0x1))).to.equal('STATUS_SUCCESS')
  })
  it('gives handles that are numbers, multiples of 4 and different, up to a bound', () => {
    const { process } = setup()
    const seen = new Set<number>()
    for (let i = 0; i < 16_384; i++) seen.add(process.handles.add(new Event(false, false), 0))
    expect(seen.size).to.equal(16_384)
    expect([...seen].every((handle) => Number.isInteger(handle) && handle > 0 && handle % 4 === 0)).to.equal(true)
    expect(statusOf(() => process.handles.add(new Event(false, false), 0))).to.equal('STATUS_INSUFFICIENT_RESOURCES')
    process.handles.remove(400)
    expect(process.handles.add(new Event(false, false), 0)).to.equal(400)
    process.handles.closed = true
    process.handles.remove(400)
    expect(statusOf(() => process.handles.add(new Event(false, false), 0))).to.equal('STATUS_INSUFFICIENT_RESOURCES')
  })
  it('answers any path with an object or a status', () => {
    const { ob } = setup()
    const part = fc.constantFrom('', '\\', '??', 'C:', 'Device', 'Disk', 'x', 'DosDevices', '\\\\')
    fc.assert(
      fc.property(fc.array(part, { maxLength: 8 }), fc.constantFrom('', '\\'), (parts, join) => {
        expect(statusOf(() => ob.lookup(parts.join(join)))).to.match(/^STATUS_/)
      }),
    )
  })
})
