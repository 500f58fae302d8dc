import * as nt from '#contracts/information'
import { expect } from 'chai'
import { type FakeFs, mountImage, statusOf } from './harness.ts'
import { ImageFolder, needTools } from './oracles.ts'

const KIB = 1024
const MIB = 1024 * KIB
const VOLUMES = [
  { name: 'FAT12', bytes: 1440 * KIB, args: [] },
  { name: 'FAT16', bytes: 9 * MIB, args: ['-F', '16', '-s', '4'] },
  { name: 'FAT16, sectors of 2 KiB', bytes: 12 * MIB, args: ['-F', '16', '-S', '2048', '-s', '1'] },
  { name: 'FAT32', bytes: 35 * MIB, args: ['-F', '32', '-s', '1'] },
]
const pattern = (length: number, seed: number) => {
  const bytes = Buffer.alloc(length)
  for (let i = 0, x = seed | 1; i < length; i++) bytes[i] = (x = (Math.imul(x, 1103515245) + 12345) >>> 0) >>> 16
  return bytes
}

describe('fatfs on volumes of mkfs.fat', () => {
  let folder: ImageFolder
  before(function () {
    needTools(this, 'mkfs.fat', 'fsck.fat', 'mcopy', 'mdir')
    folder = new ImageFolder()
  })
  after(() => folder?.remove())
  const expectClean = (fs: FakeFs) => {
    const { lines, status } = folder.complaints(fs.disk)
    expect(lines).to.deep.equal([])
    expect(status).to.equal(0)
  }

  for (const { name, bytes, args } of VOLUMES) {
    describe(name, () => {
      it('reads what mcopy wrote', async () => {
        const content = { 'HELLO.TXT': Buffer.from('hello'), big: pattern(100_000, 7), empty: Buffer.alloc(0) }
        const image = folder.fill(folder.mkfs(bytes, ...args), {
          'HELLO.TXT': content['HELLO.TXT'],
          'A Directory': 'directory',
          'A Directory/with a long name.data': content.big,
          'A Directory/lower.txt': content.empty,
        })
        const fs = await mountImage(image)
        expect(await fs.names('\\')).to.deep.equal(['HELLO.TXT', 'A Directory'])
        expect(await fs.names('\\a directory')).to.deep.equal(['with a long name.data', 'lower.txt'])
        expect(await fs.readFile('\\hello.txt')).to.deep.equal(content['HELLO.TXT'])
        expect(await fs.readFile('\\A DIRECTORY\\WITHAL~1.DAT')).to.deep.equal(content.big)
        await fs.dismount()
        expectClean(fs)
      })

      it('writes what mtools reads and fsck.fat finds clean', async () => {
        const fs = await mountImage(folder.mkfs(bytes, ...args))
        const big = pattern(300_001, 3)
        await fs.mkdir('\\Sub Directory')
        await fs.mkdir('\\Sub Directory\\deeper')
        await fs.writeFile('\\Sub Directory\\deeper\\A rather long name of a file.bin', big)
        await fs.writeFile('\\UPPER.TXT', Buffer.from('upper'))
        await fs.writeFile('\\lower.txt', Buffer.from('lower'))
        await fs.writeFile('\\Ünïcode – 名前.txt', Buffer.from('unicode'))
        await fs.writeFile('\\empty', Buffer.alloc(0))
        await fs.dismount()
        expectClean(fs)
        expect(folder.read(fs.disk, 'Sub Directory/deeper/A rather long name of a file.bin')).to.deep.equal(big)
        expect(folder.list(fs.disk)).to.deep.equal(
          [
            'Sub Directory/',
            'Sub Directory/deeper/',
            'Sub Directory/deeper/A rather long name of a file.bin',
            'UPPER.TXT',
            'lower.txt',
            'Ünïcode – 名前.txt',
            'empty',
          ].sort(),
        )
      })

      it('extends, cuts, overwrites and deletes; all space comes back', async () => {
        const fs = await mountImage(folder.mkfs(bytes, ...args))
        const free = await fs.freeBytes()
        const file = await fs.create('\\grow.bin')
        const expected = Buffer.alloc(200_000)
        for (let at = 0; at < 200_000; at += 7777) {
          const piece = pattern(Math.min(7777, 200_000 - at), at)
          piece.copy(expected, at)
          await file.write(at, piece)
        }
        expect(await file.read()).to.deep.equal(expected)
        expect((await file.extents(0, 200_000)).length).to.equal(1)
        expect((await file.setEndOfFile(1000)).FileSize).to.equal(1000)
        expect(await file.read()).to.deep.equal(expected.subarray(0, 1000))
        const { AllocationSize } = await file.setAllocation(50_000)
        expect(AllocationSize).to.be.at.least(50_000)
        expect(await file.setEndOfFile(2000)).to.deep.equal({
          AllocationSize,
          FileSize: 2000,
          ValidDataLength: 1000,
          IsDirectory: false,
        })
        await file.close()
        expectCleanAfter(await dismounted(fs))
        await fs.writeFile('\\grow.bin', Buffer.from('again'))
        expect(await fs.readFile('\\GROW.BIN')).to.deep.equal(Buffer.from('again'))
        await fs.remove('\\grow.bin')
        expect(await fs.freeBytes()).to.equal(free)
        await fs.dismount()
        expectClean(fs)
      })

      it('renames in place, across directories and over another file', async () => {
        const fs = await mountImage(folder.mkfs(bytes, ...args))
        for (const directory of ['\\one', '\\two', '\\one\\inner']) await fs.mkdir(directory)
        await fs.writeFile('\\one\\file.txt', Buffer.from('content'))
        await fs.writeFile('\\two\\other name of some length.txt', pattern(10_000, 1))
        await fs.rename('\\one\\file.txt', '\\one\\FILE.txt')
        await fs.rename('\\one\\FILE.txt', '\\one\\a considerably longer name.text')
        await fs.rename('\\one\\a considerably longer name.text', '\\two\\moved.txt')
        expect(await statusOf(fs.rename('\\two\\moved.txt', '\\two\\Other Name of Some Length.txt'))).to.equal(
          'STATUS_OBJECT_NAME_COLLISION',
        )
        await fs.rename('\\two\\moved.txt', '\\two\\Other Name of Some Length.txt', true)
        await fs.rename('\\one\\inner', '\\two\\inner')
        expect(await fs.names('\\one')).to.deep.equal([])
        expect(await fs.names('\\two')).to.have.members(['Other Name of Some Length.txt', 'inner'])
        expect(await fs.readFile('\\two\\other name of some length.txt')).to.deep.equal(Buffer.from('content'))
        expect(await statusOf(fs.rename('\\two', '\\two\\inner\\two'))).to.equal('STATUS_INVALID_PARAMETER')
        await fs.dismount()
        expectClean(fs)
        expect(folder.read(fs.disk, 'two/Other Name of Some Length.txt')).to.deep.equal(Buffer.from('content'))
      })

      it('grows directories and reuses their slots', async () => {
        const fs = await mountImage(folder.mkfs(bytes, ...args))
        await fs.mkdir('\\many')
        const names = Array.from({ length: 150 }, (_, i) => `a file that has a number ${i}.txt`)
        for (const name of names) await (await fs.create(`\\many\\${name}`)).close()
        expect(await fs.names('\\many')).to.deep.equal(names)
        expect(new Set((await fs.list('\\many')).map(({ ShortName }) => ShortName)).size).to.equal(151)
        const clusters = (await fs.volume.directoryOf(fs.volume.root.lookup('many'))).runs.clusters
        for (const name of names.slice(20, 120)) await fs.remove(`\\many\\${name}`)
        for (const name of names.slice(20, 120)) await (await fs.create(`\\many\\${name}`)).close()
        expect((await fs.volume.directoryOf(fs.volume.root.lookup('many'))).runs.clusters).to.equal(clusters)
        await fs.dismount()
        expectClean(fs)
        expect(folder.list(fs.disk).length).to.equal(151)
        const again = await mountImage(fs.disk)
        expect(await again.names('\\many', '*number 7?.txt')).to.have.length(10)
      })

      it('says the disk is full and has changed nothing', async () => {
        const fs = await mountImage(folder.mkfs(bytes, ...args))
        const file = await fs.create('\\full')
        const free = await fs.freeBytes()
        const before = Buffer.from(fs.disk)
        expect(await statusOf(file.setEndOfFile(free + 1))).to.equal('STATUS_DISK_FULL')
        expect(fs.disk.equals(before)).to.equal(true)
        expect((await file.setEndOfFile(free)).AllocationSize).to.equal(free)
        expect(await statusOf(fs.mkdir('\\none'))).to.equal('STATUS_DISK_FULL')
        await file.close()
        await fs.dismount()
        expectClean(fs)
      })
    })
  }
  const dismounted = async (fs: FakeFs) => {
    await fs.dismount()
    return fs
  }
  const expectCleanAfter = (fs: FakeFs) => expectClean(fs)

  it('fills the fixed root of FAT12 and no more', async () => {
    const fs = await mountImage(folder.mkfs(1440 * KIB))
    let made = 0
    while ((await statusOf(fs.create(`\\F${made}`).then((file) => file.close()))) === 'STATUS_SUCCESS') made++
    expect(made).to.equal(224)
    await fs.dismount()
    expectClean(fs)
  })

  it('keeps the mark of a volume that was dirty, and leaves a read-only one alone', async () => {
    const image = (await mountImage(folder.mkfs(4 * MIB))).disk
    expect(folder.complaints(image).lines.join()).to.match(/[Dd]irty bit is set/)
    const dirty = await mountImage(image)
    expect(dirty.volume.cleanAtMount).to.equal(false)
    await dirty.dismount()
    expect(folder.complaints(dirty.disk).lines.join()).to.match(/[Dd]irty bit is set/)
    const readOnly = await mountImage(folder.mkfs(4 * MIB), { readOnly: true })
    const before = Buffer.from(readOnly.disk)
    expect(await statusOf(readOnly.create('\\x'))).to.equal('STATUS_MEDIA_WRITE_PROTECTED')
    expect(await readOnly.names('\\')).to.deep.equal([])
    expect(readOnly.disk.equals(before)).to.equal(true)
  })

  it('binds files again after a restart, with their pending deletion', async () => {
    const parked = new Map<string, Uint8Array>()
    const fs = await mountImage(folder.mkfs(4 * MIB), { parked })
    await fs.writeFile('\\stay', pattern(5000, 1))
    await fs.writeFile('\\go', pattern(5000, 2))
    parked.set('mount:1', Uint8Array.of(1))
    const going = await fs.open('\\go')
    await going.dispose()
    const before = Buffer.from(fs.disk)
    const again = await mountImage(fs.disk, { parked, rebind: true })
    const stay = await again.open('\\stay', { rebind: true, disposition: nt.FILE_OVERWRITE_IF })
    const go = await again.open('\\go', { rebind: true })
    expect(stay.Sizes.FileSize).to.equal(5000)
    expect(go.FileId).to.equal(going.FileId)
    expect(again.disk.equals(before)).to.equal(true)
    await go.close()
    await stay.close()
    expect(await again.names('\\')).to.deep.equal(['stay'])
    await again.dismount()
    expectClean(again)
  })

  it("keeps a file's id over a rename, and gives no other file the same", async () => {
    const fs = await mountImage(folder.mkfs(4 * MIB))
    await fs.writeFile('\\first', Buffer.from('1'))
    const file = await fs.open('\\first')
    const target = await fs.open('\\a name that needs more slots', { target: true })
    await file.rename(target, 'a name that needs more slots')
    await target.close()
    const other = await fs.create('\\other')
    const same = await fs.open('\\A NAME THAT NEEDS MORE SLOTS')
    expect(same.FileId).to.equal(file.FileId)
    expect(other.FileId).to.not.equal(file.FileId)
    expect((await same.query(nt.FileNameInformation)).FileName).to.equal('\\a name that needs more slots')
    for (const open of [same, other, file]) await open.close()
    await fs.dismount()
    expectClean(fs)
  })

  it('answers information classes and refuses what NT refuses', async () => {
    const fs = await mountImage(folder.mkfs(4 * MIB, '-n', 'MYLABEL'))
    await fs.mkdir('\\d')
    await fs.writeFile('\\d\\f.txt', Buffer.from('12345'))
    const file = await fs.open('\\d\\f.txt')
    const basic = await file.query(nt.FileBasicInformation)
    expect(basic.FileAttributes).to.equal(nt.FILE_ATTRIBUTE_ARCHIVE)
    expect(basic.LastWriteTime).to.equal((Date.UTC(2024, 1, 29, 12, 34, 56) + 11_644_473_600_000) * 10_000)
    const time = (Date.UTC(1999, 11, 31, 23, 59, 58) + 11_644_473_600_000) * 10_000
    await file.setBasic({ CreationTime: time, LastWriteTime: -1, FileAttributes: nt.FILE_ATTRIBUTE_READONLY })
    expect(await file.query(nt.FileBasicInformation)).to.include({
      CreationTime: time,
      LastWriteTime: basic.LastWriteTime,
      FileAttributes: 1,
    })
    expect(await statusOf(file.dispose())).to.equal('STATUS_CANNOT_DELETE')
    expect(await statusOf(fs.open('\\d\\f.txt', { access: nt.FILE_WRITE_DATA }))).to.equal('STATUS_ACCESS_DENIED')
    await file.close()
    expect(await statusOf(fs.remove('\\d'))).to.equal('STATUS_DIRECTORY_NOT_EMPTY')
    for (const [path, options, status] of [
      ['\\nothing', {}, 'STATUS_OBJECT_NAME_NOT_FOUND'],
      ['\\nothing\\x', {}, 'STATUS_OBJECT_PATH_NOT_FOUND'],
      ['\\d\\\\f.txt', {}, 'STATUS_OBJECT_NAME_INVALID'],
      ['\\d\\f.txt\\', {}, 'STATUS_OBJECT_NAME_INVALID'],
      ['\\d\\f.txt\\x', {}, 'STATUS_OBJECT_PATH_NOT_FOUND'],
      ['\\d', { options: nt.FILE_NON_DIRECTORY_FILE }, 'STATUS_FILE_IS_A_DIRECTORY'],
      ['\\d\\f.txt', { options: nt.FILE_DIRECTORY_FILE }, 'STATUS_NOT_A_DIRECTORY'],
      ['\\d', { disposition: nt.FILE_CREATE }, 'STATUS_OBJECT_NAME_COLLISION'],
      ['\\', { options: nt.FILE_DELETE_ON_CLOSE }, 'STATUS_CANNOT_DELETE'],
      ['\\a*b', { disposition: nt.FILE_CREATE }, 'STATUS_OBJECT_NAME_INVALID'],
      ['\\..', {}, 'STATUS_OBJECT_NAME_INVALID'],
    ] as const)
      expect(await statusOf(fs.open(path, options)), path).to.equal(status)
    await fs.dismount()
    expectClean(fs)
  })

  it('makes large files contiguous and walks them fast', async () => {
    const fs = await mountImage(folder.mkfs(80 * MIB, '-F', '32', '-s', '1'))
    const file = await fs.create('\\large')
    for (let size = MIB; size <= 64 * MIB; size += MIB) await file.setEndOfFile(size)
    expect(await file.extents(0, 64 * MIB)).to.have.length(1)
    await file.close()
    await fs.dismount()
    expectClean(fs)
  })
})
