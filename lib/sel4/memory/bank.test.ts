/** Banks between processes: what one writes the other reads; what is taken away ends whoever touches it. */
import { spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdtempSync,
  readSync,
  rmSync,
  statSync,
  openSync,
  closeSync,
  writeFileSync,
  symlinkSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { checkSpace, createBank, openBank, protectNone } from './bank.ts'
import { checkPlatform } from './libc.ts'

const MIB = 1024 * 1024
const onLinux = process.platform === 'linux' ? describe : describe.skip

onLinux('banks', () => {
  let directory = ''
  beforeEach(() => {
    directory = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'bank-test-'))
  })
  afterEach(() => rmSync(directory, { recursive: true }))
  const make = (bytes = 2 * MIB): string => {
    const path = join(directory, 'bank')
    createBank(path, bytes)
    return path
  }

  it('are private sparse files of zeros, made once', () => {
    const path = make()
    const { size, blocks, mode } = statSync(path)
    expect([size, blocks, mode & 0o777]).to.deep.equal([2 * MIB, 0, 0o600])
    expect(() => createBank(path, 4096)).to.throw('EEXIST')
  })

  it('show each mapping what another writes', () => {
    const path = make()
    const one = openBank(path, 2 * MIB, { writable: true })
    const two = openBank(path, 2 * MIB, { writable: false })
    const extent = openBank(path, 4096, { writable: true, offset: MIB })
    one.bytes[5] = 7
    extent.bytes[0] = 9
    expect([two.bytes[5], two.bytes[MIB]]).to.deep.equal([7, 9])
    Atomics.add(new Int32Array(one.bytes.buffer, 64, 1), 0, 3)
    expect(new Int32Array(two.bytes.buffer, 64, 1)[0]).to.equal(3)
    for (const bank of [one, two, extent]) bank.close()
    one.close()
  })

  it('refuse a file that is too short, an odd length, and a link', () => {
    const path = make(4096)
    expect(() => openBank(path, 8192, { writable: true })).to.throw('has 4096 bytes, but 8192 are to be mapped')
    expect(() => openBank(path, 4096, { writable: true, offset: 4096 })).to.throw('8192 are to be mapped')
    expect(() => openBank(path, 100, { writable: true })).to.throw('positive multiple of 4096')
    expect(() => openBank(path, 4096, { writable: true, offset: 7 })).to.throw('not 7')
    symlinkSync(path, join(directory, 'link'))
    expect(() => openBank(join(directory, 'link'), 4096, { writable: true })).to.throw('ELOOP')
  })

  it('say what is needed, what is there and what to do when space is short', () => {
    expect(() => checkSpace(directory, 2 ** 50)).to.throw(
      /^Memory banks need 1073741824 MiB in .*, but only [\d.]+ MiB are free: make the banks in launch\.json smaller/,
    )
    expect(() => createBank(join(directory, 'huge'), 2 ** 50)).to.throw('are free')
    expect(existsSync(join(directory, 'huge'))).to.equal(false)
  })

  it('give EFAULT to a system call that reaches a page taken away, and leave its neighbours', () => {
    const bank = openBank(make(), 8192, { writable: true })
    bank.bytes[0] = 1
    protectNone(bank.bytes.subarray(4096))
    expect(bank.bytes[0]).to.equal(1)
    const source = join(directory, 'source')
    writeFileSync(source, 'x')
    const file = openSync(source, 'r')
    try {
      expect(() => readSync(file, bank.bytes, 4096, 1, 0)).to.throw('EFAULT')
    } finally {
      closeSync(file)
    }
  })

  it('never take away memory that is no bank, or part of a page', () => {
    const bank = openBank(make(), 8192, { writable: true })
    expect(() => protectNone(new Uint8Array(4096))).to.throw('takes a view of an opened bank')
    expect(() => protectNone(bank.bytes.subarray(1, 4097))).to.throw('takes whole pages')
    expect(() => protectNone(bank.bytes.subarray(0, 0))).to.throw('takes whole pages')
    bank.close()
  })

  it('end a process that touches a closed bank', () => {
    const script = `require('ts-node/register/transpile-only'); const { openBank } = require(${JSON.stringify(join(__dirname, 'bank.ts'))})
      const bank = openBank(${JSON.stringify(make())}, 4096, { writable: true }); bank.close(); bank.bytes[0]`
    const { signal, stderr } = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' })
    expect(signal, stderr).to.equal('SIGSEGV')
  }).timeout(10_000)
})

describe('checkPlatform', () => {
  it('names what is needed and what is there', () => {
    expect(() => checkPlatform('darwin', 'arm64')).to.throw(
      'needs 64-bit Linux and its C library, but this is darwin on arm64',
    )
    expect(() => checkPlatform('linux', 'ia32')).to.throw('this is linux on ia32')
  })
})
