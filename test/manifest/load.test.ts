/** From texts to values: units, keys given twice, files beside sources and beside bundles. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import fc from 'fast-check'
import { load } from './support.ts'
import { duplicateKeys } from '../../kernel/manifest/duplicate-keys.ts'
import { filesUnder } from '../../kernel/manifest/files.ts'
import { FIRST_BANK, loadManifest } from '../../kernel/manifest/load.ts'
import { EXTENT } from '../../kernel/manifest/manifest.ts'
import { parseAddress, parseSize, sizeText } from '../../kernel/manifest/units.ts'

describe('parseSize, parseAddress, sizeText', () => {
  it('read what the schemas let through', () => {
    expect([parseSize('64 MiB'), parseSize('3 B'), parseSize('1 GiB'), parseSize('4 KiB'), parseSize(7)]).to.deep.equal(
      [67108864, 3, 1073741824, 4096, 7],
    )
    expect([parseAddress('0xfebf1000'), parseAddress('0xCF8'), parseAddress(96)]).to.deep.equal([0xfebf1000, 0xcf8, 96])
  })
  it('write a size that reads the same', () => {
    fc.assert(
      fc.property(fc.nat(2 ** 31 - 1), fc.constantFrom(1, 1024, 2 ** 20), (n, unit) => {
        expect(parseSize(sizeText(n * unit))).to.equal(n * unit)
      }),
    )
    expect([sizeText(0), sizeText(2097152), sizeText(1025)]).to.deep.equal(['0 B', '2 MiB', '1025 B'])
  })
})

describe('duplicateKeys', () => {
  it('finds them at any depth and nowhere else', () => {
    expect(duplicateKeys('{"a":{"b":1,"b":2},"c":[{"d":0},{"d":1,"\\u0064":2}],"a":3}')).to.deep.equal([
      'a.b',
      'c.1.d',
      'a',
    ])
    expect(duplicateKeys('{"a":"{\\"a\\":1,\\"a\\":2}","b":["a","a",{"a":1}],"c":{"a":1}}')).to.deep.equal([])
  })
  it('finds none in what JSON.stringify writes', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(duplicateKeys(JSON.stringify(value, null, 1))).to.deep.equal([])
      }),
    )
  })
})

describe('parseManifest', () => {
  it('lays the banks out from 16 MiB up', () => {
    const { banks } = load({})
    expect(banks).to.deep.equal([
      { name: 'metadata', bytes: 16 * 2 ** 20, physicalAddress: FIRST_BANK },
      { name: 'clients', bytes: 8 * 2 ** 20, physicalAddress: 2 * FIRST_BANK },
    ])
    expect(FIRST_BANK % EXTENT).to.equal(0)
  })
  it('moves a second controller to the bases launch.json gives', () => {
    const device = { ports: ['0x1f0', '0x3f6'], irqs: [14] }
    const { devices } = load({ 'launch.json': { devices: { second: { image: 'keyboard', device } } } })
    expect(devices[3].ports).to.deep.equal([
      { first: 0x1f0, last: 0x1f0 },
      { first: 0x3f6, last: 0x3f6 },
    ])
    expect(devices[3].irqs).to.deep.equal([{ irq: 14, trigger: 'edge', shared: false }])
  })
  it('fills in limits and keeps those given', () => {
    const { images, root, slowpath } = load({
      'launch.json': { slowpath: true, images: { shell: { limits: { heap: '128 MiB', leaseMs: 500 } } } },
    })
    expect(images[2].limits).to.deep.equal({ ...root.limits, heap: 128 * 2 ** 20, leaseMs: 500 })
    expect(root.limits.leaseMs).to.equal(2000)
    expect(slowpath).to.equal(true)
  })
  it('takes no key of Object for a name', () => {
    const text =
      '{"machine":"pc","banks":{},"devices":{},"cables":{},"root":{"image":"task","banks":[]},"images":{"__proto__":{"image":"kbd"}}}'
    expect(() => load({ 'launch.json': text })).to.throw('images.__proto__ is no name')
  })
})

describe('filesUnder and loadManifest', () => {
  let root = ''
  const put = (file: string, value: unknown): void => {
    mkdirSync(join(root, file, '..'), { recursive: true })
    writeFileSync(join(root, file), JSON.stringify(value))
  }
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'manifest-test-'))
  })
  afterEach(() => rmSync(root, { recursive: true }))

  it('find a description beside its source before the one beside its bundle', () => {
    put('drivers/storage/miniport/storahci/driver.json', {})
    put('dist/images/storahci.json', {})
    put('dist/images/fatfs.json', {})
    put('devices/pci/device.json', {})
    put('drivers/bus/pci/driver.json', {})
    const files = filesUnder(root)
    expect(files.description('needs', 'storahci')?.file).to.equal('drivers/storage/miniport/storahci/driver.json')
    expect(files.description('needs', 'fatfs')?.file).to.equal('dist/images/fatfs.json')
    expect(files.description('device', 'pci-host')?.file).to.equal('devices/pci/device.json')
    expect(files.description('needs', 'pci')?.file).to.equal('drivers/bus/pci/driver.json')
    expect(files.description('device', 'pci')).to.equal(undefined)
    expect(files.exists('executive')).to.equal(false)
  })

  it('read a whole system from its bundles alone', () => {
    put('dist/images/task.js', 0)
    put('dist/images/kbd.json', { needs: { interfaces: ['ExecutiveServices'] } })
    put('run/launch.json', {
      machine: 'pc',
      banks: {},
      devices: {},
      cables: {},
      root: { image: 'task', banks: [] },
      images: { kbd: { image: 'kbd' } },
    })
    expect(loadManifest(join(root, 'run/launch.json'), root).images[0].file).to.equal('dist/images/kbd.json')
    expect(() => loadManifest(join(root, 'none.json'), root)).to.throw(
      'none.json cannot be read (ENOENT); give the path of a launch.json',
    )
  })
})
