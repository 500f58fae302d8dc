import { expect } from 'chai'
import fc from 'fast-check'
import { putLe64, view } from '#drivers/lib/bytes'
import { StatusError } from '#rtl'
import { crc32 } from './crc32.ts'
import { DRIVE_LAYOUT_INFORMATION_EX, PARTITION_INFORMATION_EX, uniqueId, volumeIds } from './layout.ts'
import { type DiskReader, isBootSector, readTable } from './table.ts'

const SECTORS = 4096
class Disk implements DiskReader {
  readonly sectorSize: number
  readonly sectors: number
  readonly bytes: Uint8Array
  reads = 0
  constructor(sectorSize = 512, sectors = SECTORS) {
    this.sectorSize = sectorSize
    this.sectors = sectors
    this.bytes = new Uint8Array(sectors * sectorSize)
  }
  async read(lba: number, count: number): Promise<Uint8Array> {
    this.reads++
    if (lba < 0 || lba + count > this.sectors) throw new StatusError('STATUS_NONEXISTENT_SECTOR')
    return this.bytes.slice(lba * this.sectorSize, (lba + count) * this.sectorSize)
  }
  entry(lba: number, index: number, type: number, start: number, count: number, status = 0): this {
    const at = lba * this.sectorSize + 0x1be + index * 16
    const v = view(this.bytes)
    this.bytes[at] = status
    this.bytes[at + 4] = type
    v.setUint32(at + 8, start, true)
    v.setUint32(at + 12, count, true)
    v.setUint16(lba * this.sectorSize + 510, 0xaa55, true)
    return this
  }
  gpt(lba: number, arrayLba: number, alternate: number, parts: [number, number][]): this {
    const at = lba * this.sectorSize
    const v = view(this.bytes)
    const array = this.bytes.subarray(arrayLba * this.sectorSize, arrayLba * this.sectorSize + 128 * 128)
    array.fill(0)
    parts.forEach(([first, last], i) => {
      array.fill(0xa0 + i, i * 128, i * 128 + 16)
      array.fill(0xb0 + i, i * 128 + 16, i * 128 + 32)
      putLe64(view(array), i * 128 + 32, first)
      putLe64(view(array), i * 128 + 40, last)
    })
    this.bytes.set(new TextEncoder().encode('EFI PART'), at)
    v.setUint32(at + 8, 0x10000, true)
    v.setUint32(at + 12, 92, true)
    putLe64(v, at + 24, lba)
    putLe64(v, at + 32, alternate)
    putLe64(v, at + 40, 34)
    putLe64(v, at + 48, this.sectors - 34)
    this.bytes.fill(0x77, at + 56, at + 72)
    putLe64(v, at + 72, arrayLba)
    v.setUint32(at + 80, 128, true)
    v.setUint32(at + 84, 128, true)
    v.setUint32(at + 88, crc32(array), true)
    v.setUint32(at + 16, 0, true)
    v.setUint32(at + 16, crc32(this.bytes.slice(at, at + 92)), true)
    return this
  }
}
const gptDisk = () =>
  new Disk()
    .entry(0, 0, 0xee, 1, SECTORS - 1)
    .gpt(1, 2, SECTORS - 1, [
      [64, 127],
      [0, 0],
      [128, 255],
    ])
    .gpt(SECTORS - 1, SECTORS - 33, 1, [
      [64, 127],
      [0, 0],
      [128, 255],
    ])
const spans = async (disk: Disk) => (await readTable(disk)).partitions.map(({ lba, sectors }) => [lba, sectors])

describe('partmgr: partition tables', () => {
  it('computes the CRC everyone does', () => {
    expect(crc32(new TextEncoder().encode('123456789'))).to.equal(0xcbf43926)
  })
  it('reads primary partitions, and drops what overlaps or leaves the disk', async () => {
    const disk = new Disk()
      .entry(0, 0, 6, 63, 100, 0x80)
      .entry(0, 1, 0x0c, 200, 50)
      .entry(0, 2, 6, 210, 10)
      .entry(0, 3, 6, 4000, 97)
    const table = await readTable(disk)
    expect(table.style).to.equal('MBR')
    expect(table.partitions).to.deep.equal([
      { number: 1, lba: 63, sectors: 100, type: 6, bootable: true },
      { number: 2, lba: 200, sectors: 50, type: 0x0c, bootable: false },
    ])
  })
  it('follows logical drives', async () => {
    const disk = new Disk().entry(0, 0, 6, 64, 64).entry(0, 1, 0x0f, 1000, 3000)
    disk.entry(1000, 0, 6, 8, 92).entry(1000, 1, 5, 100, 200)
    disk.entry(1100, 0, 6, 8, 92).entry(1100, 1, 5, 200, 200)
    disk.entry(1200, 0, 6, 8, 92)
    expect(await spans(disk)).to.deep.equal([
      [64, 64],
      [1008, 92],
      [1108, 92],
      [1208, 92],
    ])
  })
  it('ends in a chain that bites its tail', async () => {
    const disk = new Disk().entry(0, 0, 0x05, 1000, 3000)
    disk.entry(1000, 0, 6, 8, 92).entry(1000, 1, 5, 100, 200)
    disk.entry(1100, 0, 6, 8, 92).entry(1100, 1, 5, 100, 200)
    expect(await spans(disk)).to.deep.equal([
      [1008, 92],
      [1108, 92],
    ])
    expect(disk.reads).to.be.lessThan(10)
  })
  it('reads GPT with holes, and its backup when the primary is bad', async () => {
    const disk = gptDisk()
    expect(await spans(disk)).to.deep.equal([
      [64, 64],
      [128, 128],
    ])
    disk.bytes[512 + 60] ^= 1
    expect(await spans(disk)).to.deep.equal([
      [64, 64],
      [128, 128],
    ])
    disk.bytes[(SECTORS - 33) * 512] ^= 1
    expect((await readTable(disk)).style).to.equal('RAW')
  })
  it('takes the backup when only the array is bad, where the header says it is', async () => {
    const disk = gptDisk()
    disk.bytes[2 * 512 + 3] ^= 1
    const table = await readTable(disk)
    expect([table.style, table.partitions.length]).to.deep.equal(['GPT', 2])
  })
  it('reads 4 KiB sectors', async () => {
    expect(await spans(new Disk(4096, 512).entry(0, 0, 6, 16, 400))).to.deep.equal([[16, 400]])
  })
  it('takes a disk without a table as one volume', async () => {
    expect(await readTable(new Disk())).to.deep.equal({
      style: 'RAW',
      signature: 0,
      partitions: [{ number: 1, lba: 0, sectors: SECTORS, bootable: false, type: 0 }],
    })
    const floppy = new Disk()
    floppy.bytes.set([0xeb, 0x3c, 0x90])
    floppy.bytes.set([0, 2, 1, 1, 0, 2], 11)
    floppy.bytes[21] = 0xf8
    view(floppy.bytes).setUint16(510, 0xaa55, true)
    expect(isBootSector(floppy.bytes.subarray(0, 512))).to.equal(true)
    floppy.bytes.fill(0x41, 0x1be, 0x1fe)
    expect(await spans(floppy)).to.deep.equal([[0, SECTORS]])
  })
  it('of mutated tables: partitions inside the disk, without overlap, in few reads', async () => {
    const makers = [
      gptDisk,
      () =>
        new Disk()
          .entry(0, 0, 6, 64, 64)
          .entry(0, 1, 0x0f, 1000, 3000)
          .entry(1000, 0, 6, 8, 92)
          .entry(1000, 1, 5, 100, 200),
    ]
    const edit = fc.tuple(
      fc.constantFrom(0, 512, 1024, 1000 * 512, (SECTORS - 33) * 512, (SECTORS - 1) * 512),
      fc.nat(511),
      fc.nat(255),
    )
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...makers), fc.array(edit, { maxLength: 12 }), async (make, edits) => {
        const disk = make()
        for (const [base, offset, value] of edits) disk.bytes[base + offset] = value
        const { partitions } = await readTable(disk)
        expect(partitions.length).to.be.within(1, 64)
        expect(disk.reads).to.be.lessThan(80)
        const sorted = [...partitions].sort((a, b) => a.lba - b.lba)
        sorted.forEach(({ lba, sectors }, i) => {
          expect(lba).to.be.at.least(i === 0 ? 0 : sorted[i - 1].lba + sorted[i - 1].sectors)
          expect(lba + sectors).to.be.at.most(SECTORS)
        })
      }),
      { numRuns: 150 },
    )
  })
  it('names volumes so that they are told apart', async () => {
    const table = await readTable(gptDisk())
    const places = table.partitions.map((partition) => ({ table, partition, sectorSize: 512, diskNumber: 0 }))
    expect(new Set(places.map((place) => volumeIds(place).instanceId)).size).to.equal(2)
    expect(String.fromCharCode(...uniqueId(places[0]).subarray(0, 8))).to.equal('DMIO:ID:')
    expect(uniqueId(places[0]).byteLength).to.equal(24)
    const info = view(PARTITION_INFORMATION_EX(places[1]))
    expect([
      info.getUint32(0, true),
      info.getUint32(8, true),
      info.getUint32(16, true),
      info.getUint32(24, true),
    ]).to.deep.equal([1, 65536, 65536, 2])
    expect(DRIVE_LAYOUT_INFORMATION_EX(table, 512, 0).byteLength).to.equal(48 + 2 * 144)
  })
})
