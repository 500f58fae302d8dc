import { expect } from 'chai'
import fc from 'fast-check'
import { StatusError } from '#rtl'
import { expectSenseOfAnyBytes } from '../../test/support/any-bytes.ts'
import * as information from './information.ts'
import {
  type DirectoryRecord,
  decodeDirectory,
  encodeDirectory,
  FileBasicInformation,
  FileNameInformation,
  FileRenameInformation,
  FileFsVolumeInformation,
} from './information.ts'

const record = (FileName: string, ShortName = ''): DirectoryRecord => ({
  FileIndex: 7,
  CreationTime: 1,
  LastAccessTime: 2,
  LastWriteTime: 3,
  ChangeTime: 4,
  EndOfFile: 5,
  AllocationSize: 512,
  FileAttributes: 0x20,
  ShortName,
  FileName,
})
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const view = (bytes: Uint8Array) => Buffer.from(bytes)

describe('Information classes', () => {
  it('have the sizes of [MS-FSCC]', () => {
    const fixed = (name: keyof typeof information, model: 32 | 64 = 64) =>
      (information[name] as information.InformationClass<unknown>).fixedLength(model)
    expect(fixed('FileBasicInformation')).to.equal(40)
    expect(fixed('FileStandardInformation')).to.equal(24)
    expect(fixed('FileInternalInformation')).to.equal(8)
    expect(fixed('FileNameInformation')).to.equal(4)
    expect(fixed('FileRenameInformation')).to.equal(20)
    expect(fixed('FileRenameInformation', 32)).to.equal(12)
    expect(fixed('FileDispositionInformation')).to.equal(1)
    expect(fixed('FilePositionInformation')).to.equal(8)
    expect(fixed('FileNetworkOpenInformation')).to.equal(56)
    expect(fixed('FileFsVolumeInformation')).to.equal(18)
    expect(fixed('FileFsSizeInformation')).to.equal(24)
    expect(fixed('FileFsDeviceInformation')).to.equal(8)
    expect(fixed('FileFsAttributeInformation')).to.equal(12)
  })

  it('lay out a rename as NT does', () => {
    const { bytes } = FileRenameInformation.encode({ ReplaceIfExists: true, RootDirectory: 0x1234, FileName: 'ab' })
    expect(hex(bytes)).to.equal('01000000000000003412000000000000' + '04000000' + '61006200')
    expect(FileRenameInformation.decode(bytes)).to.deep.equal({
      ReplaceIfExists: true,
      RootDirectory: 0x1234,
      FileName: 'ab',
    })
  })

  it('cut text that does not fit, and say so', () => {
    const { bytes, whole } = FileNameInformation.encode({ FileName: '\\dir\\file' }, 11)
    expect(whole).to.equal(false)
    expect(hex(bytes)).to.equal('12000000' + '5c0064006900')
    expect(() => FileNameInformation.decode(bytes)).to.throw(StatusError, 'STATUS_INFO_LENGTH_MISMATCH')
    expect(() => FileNameInformation.encode({ FileName: '' }, 3)).to.throw(StatusError, 'STATUS_INFO_LENGTH_MISMATCH')
  })

  it('put the volume label at 18', () => {
    const value = { VolumeCreationTime: 1, VolumeSerialNumber: 0xdeadbeef, SupportsObjects: false, VolumeLabel: 'DATA' }
    const { bytes } = FileFsVolumeInformation.encode(value)
    expect(view(bytes).toString('utf16le', 18)).to.equal('DATA')
    expect(FileFsVolumeInformation.decode(bytes)).to.deep.equal(value)
  })

  it('refuse too few bytes and sizes out of range', () => {
    expect(() => FileBasicInformation.decode(new Uint8Array(39))).to.throw(StatusError, 'STATUS_INFO_LENGTH_MISMATCH')
    expect(() => information.FileEndOfFileInformation.decode(new Uint8Array(8).fill(0x7f))).to.throw(
      StatusError,
      'STATUS_INVALID_PARAMETER',
    )
    const today = 133_536_000_000_000_000
    const times = { CreationTime: today, LastAccessTime: 0, LastWriteTime: -1, ChangeTime: today, FileAttributes: 0 }
    expect(FileBasicInformation.decode(FileBasicInformation.encode(times).bytes)).to.deep.equal(times)
    expect(FileBasicInformation.decode(new Uint8Array(40).fill(0xff)).CreationTime).to.equal(-1)
  })

  it('know the control codes', () => {
    expect(information.FSCTL_LOCK_VOLUME).to.equal(0x90018)
    expect(information.FSCTL_UNLOCK_VOLUME).to.equal(0x9001c)
    expect(information.FSCTL_DISMOUNT_VOLUME).to.equal(0x90020)
    expect(information.FSCTL_IS_VOLUME_MOUNTED).to.equal(0x90028)
    expect(information.FSCTL_GET_RETRIEVAL_POINTERS).to.equal(0x90073)
    expect(information.FSCTL_IS_VOLUME_DIRTY).to.equal(0x90078)
  })
})

describe('Directory records', () => {
  it('are linked at multiples of 8, name at 94', () => {
    const { bytes, taken } = encodeDirectory([record('a', 'A'), record('bcd')], 4096)
    expect(taken).to.equal(2)
    expect(view(bytes).readUInt32LE(0)).to.equal(96)
    expect(view(bytes).toString('utf16le', 94, 96)).to.equal('a')
    expect(view(bytes).readUInt8(68)).to.equal(2)
    expect(view(bytes).readUInt32LE(96)).to.equal(0)
    expect(bytes.byteLength).to.equal(96 + 94 + 6)
  })

  it('come back whole, however small the room', () => {
    const names = fc.array(fc.string({ unit: fc.constantFrom('a', 'B', 'ü', ' '), minLength: 1, maxLength: 40 }), {
      minLength: 1,
      maxLength: 20,
    })
    fc.assert(
      fc.property(names, fc.integer({ min: 94 + 80, max: 1200 }), (list, room) => {
        const records = list.map((name) => record(name, 'SHORT~1.TXT'))
        const { bytes, taken, whole } = encodeDirectory(records, room)
        expect(whole).to.equal(true)
        expect(bytes.byteLength).to.be.at.most(room)
        expect([...decodeDirectory(bytes)]).to.deep.equal(records.slice(0, taken))
      }),
    )
  })

  it('refuse a room without the fixed part; cut only the first name', () => {
    expect(() => encodeDirectory([record('a')], 93)).to.throw(StatusError, 'STATUS_INFO_LENGTH_MISMATCH')
    expect(encodeDirectory([record('abc')], 96)).to.include({ whole: false, taken: 1 })
    expect(encodeDirectory([record('abc'), record('d')], 150)).to.include({ whole: true, taken: 1 })
  })

  it('never hang on or read beyond wild bytes', () => {
    expectSenseOfAnyBytes((bytes) => [...decodeDirectory(bytes)], 400)
  })
})
