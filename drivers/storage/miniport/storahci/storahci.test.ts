import { expect } from 'chai'
import fc from 'fast-check'
import { cdb, parseSense, readWriteCdb, SCSIOP, SRB_FLAGS_DATA_IN, SRB_STATUS } from '#drivers/lib/scsi'
import { view } from '#drivers/lib/bytes'
import { expectSenseOfAnyBytes } from '../../../../test/support/any-bytes.ts'
import type { SrbOutcome, StorRequest } from '../../port/storport/index.ts'
import { type AhciAdapter, findAdapter } from './adapter.ts'
import { FakeHba, identifyData } from './fake-hba.ts'
import { writePrdt, writeRegisterFis } from './fis.ts'
import { ATA } from './hw.ts'
import { parseIdentify } from './identify.ts'
import type { Port } from './port.ts'
import { translate, type Unit } from './sat.ts'
import { outcomeOfError, parseNcqErrorLog } from './sense.ts'

const srb = (Cdb: Uint8Array, DataTransferLength = 0) => ({
  Function: 0,
  Cdb,
  SrbFlags: SRB_FLAGS_DATA_IN,
  DataTransferLength,
  TimeOutValue: 10,
})
const unit = (change?: (v: DataView) => void, ncq = true): Unit => ({
  identity: parseIdentify(identifyData('S1', ncq, change)),
  ncq,
  writeProtected: false,
})

describe('storahci: bytes', () => {
  it('builds a queued FIS with the tag in COUNT and the count in FEATURES', () => {
    const table = new DataView(new ArrayBuffer(64))
    const ata = {
      command: ATA.READ_FPDMA_QUEUED,
      ncq: true,
      write: false,
      ext: true,
      lba: 0x123456789a,
      count: 0x1234,
      fua: true,
      bytes: 0,
    }
    writeRegisterFis(table, 0, ata, 5)
    const bytes = [...new Uint8Array(table.buffer, 0, 20)]
    expect(bytes).to.deep.equal([
      0x27,
      0x80,
      0x60,
      0x34,
      0x9a,
      0x78,
      0x56,
      0xc0,
      0x34,
      0x12,
      0,
      0x12,
      5 << 3,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
    ])
  })
  it('builds a 28-bit FIS with the top nibble in DEVICE', () => {
    const table = new DataView(new ArrayBuffer(64))
    writeRegisterFis(
      table,
      0,
      { command: ATA.READ_DMA, ncq: false, write: false, ext: false, lba: 0x0abcdef1, count: 0, fua: false, bytes: 0 },
      0,
    )
    expect([...new Uint8Array(table.buffer, 4, 8)]).to.deep.equal([0xf1, 0xde, 0xbc, 0x4a, 0, 0, 0, 0])
  })
  it('refuses odd addresses, and high ones without S64A', () => {
    const table = new DataView(new ArrayBuffer(512))
    expect(writePrdt(table, 0, [{ Address: 0x1001, Length: 512 }], true)).to.equal(-1)
    expect(writePrdt(table, 0, [{ Address: 0x1_0000_0000, Length: 512 }], false)).to.equal(-1)
    expect(writePrdt(table, 0, [{ Address: 0x1_0000_0000, Length: 512 }], true)).to.equal(1)
    expect([table.getUint32(0x80, true), table.getUint32(0x84, true), table.getUint32(0x8c, true)]).to.deep.equal([
      0, 1, 511,
    ])
  })
  it('reads IDENTIFY, and of any bytes throws nothing but a StatusError', () => {
    expect(unit().identity).to.include({
      model: 'NEPTUNE DISK',
      serial: 'S1',
      revision: '1.0',
      sectors: 0x10000,
      queueDepth: 32,
      ext: true,
    })
    expectSenseOfAnyBytes(parseIdentify, 512)
  })
  it('finds the failed tag in log 10h', () => {
    const page = new Uint8Array(512)
    page.set([7, 0, 0x41, 0x40, 0x34, 0x12])
    expect(parseNcqErrorLog(page)).to.equal(undefined)
    page[511] = -page.reduce((a, b) => a + b, 0) & 0xff
    expect(parseNcqErrorLog(page)).to.include({ tag: 7, status: 0x41, error: 0x40, lba: 0x1234 })
  })
  it('maps ATA errors to sense', () => {
    const sense = (error: number, write = false, status = 0x51) => {
      const { key, asc } = parseSense(outcomeOfError({ status, error, lba: 5 }, write).sense!)!
      return [key, asc]
    }
    expect(sense(0x40)).to.deep.equal([3, 0x1100])
    expect(sense(0x40, true)).to.deep.equal([7, 0x2700])
    expect(sense(0x10)).to.deep.equal([5, 0x2100])
    expect(sense(0x84)).to.deep.equal([11, 0x4703])
    expect(sense(0x04)).to.deep.equal([11, 0])
    expect(sense(0x04, true)).to.deep.equal([7, 0x2700])
    expect(sense(0, false, 0x71)).to.deep.equal([4, 0x4400])
  })
})

describe('storahci: SCSI to ATA', () => {
  const outcome = (Cdb: Uint8Array, u = unit()) => (translate(u, srb(Cdb)) as { outcome: SrbOutcome }).outcome
  it('translates reads and writes', () => {
    expect(translate(unit(), srb(readWriteCdb(false, 100, 8, false), 4096))).to.deep.equal({
      ata: {
        command: ATA.READ_FPDMA_QUEUED,
        ncq: true,
        write: false,
        ext: true,
        lba: 100,
        count: 8,
        fua: false,
        bytes: 4096,
      },
    })
    expect(translate(unit(undefined, false), srb(readWriteCdb(true, 0, 8, true), 4096))).to.have.nested.property(
      'ata.command',
      ATA.WRITE_DMA_FUA_EXT,
    )
  })
  it('refuses blocks beyond the medium and lengths that do not fit', () => {
    for (const request of [
      srb(readWriteCdb(false, 0xffff, 2, false), 1024),
      srb(readWriteCdb(false, 2 ** 50, 1, false), 512),
    ]) {
      const answer = translate(unit(), request) as { outcome: SrbOutcome }
      expect(parseSense(answer.outcome.sense!)).to.include({ key: 5, asc: 0x2100 })
    }
    const answer = translate(unit(), srb(readWriteCdb(false, 0, 2, false), 512)) as { outcome: SrbOutcome }
    expect(parseSense(answer.outcome.sense!)).to.include({ key: 5, asc: 0x2400 })
  })
  it('answers INQUIRY, READ CAPACITY, MODE SENSE', () => {
    const inquiry = outcome(cdb(SCSIOP.INQUIRY, 0, 0, 0, 36)).output!
    expect(String.fromCharCode(...inquiry.subarray(8, 36))).to.equal('NEPTUNE DISK            1.0 ')
    const capacity = view(outcome(cdb(SCSIOP.READ_CAPACITY)).output!)
    expect([capacity.getUint32(0), capacity.getUint32(4)]).to.deep.equal([0xffff, 512])
    const mode = outcome(cdb(SCSIOP.MODE_SENSE, 0, 8, 0, 192), { ...unit(), writeProtected: true }).output!
    expect([mode[2], mode[4], mode[6]]).to.deep.equal([0x90, 8, 4])
    expect(outcome(cdb(0xff)).SrbStatus).to.equal(SRB_STATUS.ERROR)
  })
  it('never throws, whatever the CDB', () => {
    const u = unit()
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 16, maxLength: 16 }),
        fc.nat(),
        (bytes, length) => void translate(u, srb(bytes, length)),
      ),
    )
  })
})

class Bench {
  readonly hba = new FakeHba()
  readonly done: [number, SrbOutcome][] = []
  changes = 0
  dpc = false
  readonly work: (() => Promise<void>)[] = []
  adapter!: AhciAdapter
  async start(): Promise<this> {
    const calls = {
      requestDpc: () => void (this.dpc = true),
      queueWork: (routine: () => Promise<void>) => void this.work.push(routine),
      busChanged: () => void this.changes++,
      complete: (request: StorRequest, result: SrbOutcome) => void this.done.push([(request as any).name, result]),
      waits: () => undefined,
    }
    const host = {
      allocate: (n: number, a: number) => this.hba.allocate(n, a),
      free: () => undefined,
      log: () => undefined,
    }
    this.adapter = await findAdapter(this.hba, calls, host)
    await this.adapter.HwInitialize()
    return this
  }
  get port(): Port {
    return this.adapter.units[0]
  }
  read(name: number, lba: number, blocks = 8): StorRequest {
    return this.submit(name, readWriteCdb(false, lba, blocks, false), blocks * 512)
  }
  submit(name: number, Cdb: Uint8Array, length: number): StorRequest {
    const Mdl = { ByteOffset: 0, ByteCount: length, Runs: [0x100 + name * 16, 16] }
    const request: any = {
      name,
      Irp: { Cancel: false },
      Srb: srb(Cdb, length),
      Mdl,
      OutputLength: 0,
      unit: this.port,
      tag: -1,
      exclusive: false,
      deadline: 0,
      attempts: 0,
    }
    const { queue } = this.port
    const outcome = this.port.HwBuildIo(request)
    if (outcome) this.done.push([name, outcome])
    else queue.submit(request)
    return request
  }
  async settle(): Promise<void> {
    while (this.hba.irq || this.dpc || this.work.length > 0) {
      if (this.hba.irq) {
        this.hba.irq = false
        await this.adapter.HwInterrupt()
      } else if (this.dpc) {
        this.dpc = false
        await this.adapter.HwDpc()
      } else await this.work.shift()!()
    }
  }
  get names(): number[] {
    return this.done.map(([name]) => name)
  }
}

describe('storahci: a port', () => {
  it('comes up, and reads with one look at the hardware', async () => {
    const bench = await new Bench().start()
    expect(bench.port.inquiry).to.deep.equal({ vendor: 'NEPTUNE', product: 'DISK', revision: '1.0' })
    const before = { reads: bench.hba.reads, writes: bench.hba.writes }
    bench.read(1, 64)
    bench.hba.finish(0)
    await bench.settle()
    expect(bench.done).to.deep.equal([[1, { SrbStatus: 1, ScsiStatus: 0, transferred: 4096 }]])
    expect([bench.hba.reads - before.reads, bench.hba.writes - before.writes]).to.deep.equal([2, 4])
    expect(bench.hba.seen.at(-1)).to.deep.include({ lba: 64, prdt: [{ address: 0x110 * 4096, length: 4096 }] })
  })
  it('keeps 32 commands in flight, and runs what cannot be queued alone', async () => {
    const bench = await new Bench().start()
    for (let i = 0; i < 40; i++) bench.read(i, i * 8)
    bench.submit(100, cdb(SCSIOP.SYNCHRONIZE_CACHE), 0)
    bench.read(101, 0)
    const queued = () => bench.hba.seen.filter(({ ncq }) => ncq).length
    expect(queued()).to.equal(32)
    bench.hba.finish(3, 7, 31)
    await bench.settle()
    expect(bench.names).to.deep.equal([3, 7, 31])
    expect(queued()).to.equal(35)
    const everything = Array.from({ length: 32 }, (_, n) => n)
    const finished: number[] = []
    for (let i = 0; i < 4; i++) {
      bench.hba.finish(...everything)
      await bench.settle()
      finished.push(bench.names.length)
      if (i === 1) expect(bench.hba.seen.at(-1)?.command).to.equal(ATA.FLUSH_CACHE_EXT)
    }
    expect(finished).to.deep.equal([35, 40, 41, 42])
    expect(bench.names.slice(-2)).to.deep.equal([100, 101])
  })
  it('finds what ended between the look and the clearing', async () => {
    const bench = await new Bench().start()
    bench.read(1, 0)
    bench.read(2, 8)
    bench.hba.finish(0)
    const { write } = bench.hba
    bench.hba.write = (offset, value) => {
      bench.hba.write = write
      bench.hba.finish(1)
      bench.hba.irq = false
      bench.hba.write(offset, value)
    }
    await bench.settle()
    expect(bench.names).to.deep.equal([1, 2])
  })
  it('blames the right one of many for a queued error, and sends the others again', async () => {
    const bench = await new Bench().start()
    for (let i = 0; i < 4; i++) bench.read(i, i * 8)
    const page = new Uint8Array(512)
    page.set([2, 0, 0x41, 0x40, 17])
    page[511] = -page.reduce((a, b) => a + b, 0) & 0xff
    bench.hba.errorLog = page
    bench.hba.fail(2, 0x41, 0x40)
    await bench.settle()
    expect(bench.names).to.deep.equal([2])
    expect(parseSense(bench.done[0][1].sense!)).to.deep.equal({ key: 3, asc: 0x1100, information: 17 })
    bench.hba.finish(0, 1, 3)
    await bench.settle()
    expect(bench.names).to.deep.equal([2, 0, 1, 3])
  })
  it('gives up on innocents when nobody says who failed, but not at once', async () => {
    const bench = await new Bench().start()
    bench.read(1, 0)
    bench.read(2, 8)
    for (let i = 0; i < 4; i++) {
      expect(bench.names).to.deep.equal([])
      bench.hba.fail(0, 0x41, 0x04)
      await bench.settle()
    }
    expect(bench.done.map(([name, { SrbStatus }]) => [name, SrbStatus])).to.deep.equal([
      [1, SRB_STATUS.BUS_RESET],
      [2, SRB_STATUS.BUS_RESET],
    ])
    bench.read(3, 0)
    bench.hba.finish(0)
    await bench.settle()
    expect(bench.names.at(-1)).to.equal(3)
  })
  it('resets the port for a command past its deadline', async () => {
    const bench = await new Bench().start()
    const late = bench.read(1, 0)
    bench.hba.time += 11_000
    bench.read(2, 8)
    expect(bench.port.queue.expired(bench.hba.time)).to.deep.equal([late])
    bench.port.HwTimeout([late])
    await bench.settle()
    expect(bench.done).to.deep.equal([[1, { SrbStatus: SRB_STATUS.TIMEOUT }]])
    bench.hba.finish(1)
    await bench.settle()
    expect(bench.names).to.deep.equal([1, 2])
  })
  it('answers NO_DEVICE when the disk is gone, and welcomes another', async () => {
    const bench = await new Bench().start()
    const { port } = bench
    bench.read(1, 0)
    bench.hba.present = false
    bench.hba.interrupt(0x400000)
    await bench.settle()
    expect(bench.done[0][1].SrbStatus).to.equal(SRB_STATUS.NO_DEVICE)
    expect([bench.changes, bench.adapter.units.length]).to.deep.equal([1, 0])
    bench.hba.present = true
    bench.hba.serial = 'S2'
    bench.hba.interrupt(0x40)
    await bench.settle()
    expect([bench.changes, bench.adapter.units[0], port.identity.serial]).to.deep.equal([2, port, 'S2'])
  })
  it('remembers a write-protected medium', async () => {
    const bench = await new Bench().start()
    bench.hba.ncq = false
    const plain = await Object.assign(new Bench(), { hba: bench.hba }).start()
    plain.submit(1, readWriteCdb(true, 0, 8, false), 4096)
    plain.hba.fail(0, 0x51, 0x44)
    await plain.settle()
    expect(parseSense(plain.done[0][1].sense!)).to.include({ key: 7, asc: 0x2700 })
    expect(plain.port.writeProtected).to.equal(true)
  })
  it('stops without leaving a request behind', async () => {
    const bench = await new Bench().start()
    for (let i = 0; i < 40; i++) bench.read(i, 0)
    await bench.adapter.HwStop()
    expect(bench.names.length).to.equal(40)
    expect(bench.hba.reg(0x118) & 0xc000).to.equal(0)
  })
})
