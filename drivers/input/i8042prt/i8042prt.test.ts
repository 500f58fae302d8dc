/** The keyboard port against a small 8042: initialisation, keys, pended reads, cancel, and its next life. */
import { IRP_MJ, IRP_MN, type Parameters } from '#contracts/wdm'
import { NT_STATUS } from '#rtl'
import { expect } from 'chai'
import { fakeExecutive } from '../../../lib/wdm/fake-executive.ts'
import { DriverEntry } from './index.ts'
import { KeyQueue, QUEUE_MAX } from './keys.ts'

const RESOURCES = [
  { kind: 'Port' as const, Start: 0x60, Length: 1 },
  { kind: 'Port' as const, Start: 0x64, Length: 1 },
  { kind: 'Interrupt' as const, Level: 1, Vector: 0x31, Latched: true, Shared: false, Message: false },
]
const START: Parameters = {
  kind: 'StartDevice',
  AllocatedResources: RESOURCES,
  AllocatedResourcesTranslated: RESOURCES,
}

/** Answers as the chip does; `log` is what was written. */
class Chip {
  output: number[] = []
  /** What the data port shows while nothing waits. */
  shown = 0
  log: string[] = []
  ccb = 0x45
  silent = false
  private awaitsCcb = false
  readPort(port: number): number {
    if (port === 0x64) return this.output.length ? 0x1d : 0x1c
    this.shown = this.output.shift() ?? this.shown
    return this.shown
  }
  writePort(port: number, value: number): void {
    this.log.push(`${port === 0x64 ? 'c' : 'd'}${value.toString(16)}`)
    if (this.silent) return
    if (port === 0x64) this.command(value)
    else if (this.awaitsCcb) {
      this.ccb = value
      this.awaitsCcb = false
    } else this.output.push(0xfa)
  }
  private command(value: number): void {
    this.awaitsCcb = value === 0x60
    if (value === 0xaa) this.output.push(0x55)
    if (value === 0xab) this.output.push(0x00)
  }
}

async function keyboard(options: { chip?: Chip; birth?: 'fresh' | 'restart'; parked?: Map<string, Uint8Array> } = {}) {
  const chip = options.chip ?? new Chip()
  const executive = fakeExecutive(DriverEntry, {
    birth: options.birth,
    onPortIn: (port) => chip.readPort(port),
    onPortOut: (port, _width, value) => chip.writePort(port, value),
  })
  for (const [key, state] of options.parked ?? []) executive.parked.set(key, state)
  executive.onForward = () => ({ Status: 0 })
  const pdo = executive.foreign()
  await executive.addDevice(pdo.handle)
  const Device = executive.attached[0].source
  const start = executive.request({
    Device,
    MajorFunction: IRP_MJ.IRP_MJ_PNP,
    MinorFunction: IRP_MN.IRP_MN_START_DEVICE,
    Parameters: START,
  })
  await executive.settle()
  if (chip.silent) await executive.env.advance(1000)
  const status = (await executive.complete(start)).Status
  const press = async (...bytes: number[]) => {
    for (const byte of bytes) {
      chip.output.push(byte)
      executive.env.interrupt(executive.env.sel4.bound.get(0x431)!)
      await executive.settle()
    }
  }
  const read = (records: number) => {
    const Length = records * 12
    const Parameters = { kind: 'Read' as const, Length, Key: 0, ByteOffset: 0 }
    return executive.request({ Device, MajorFunction: IRP_MJ.IRP_MJ_READ, Parameters, OutputLength: Length })
  }
  const keys = async (Id: number) => {
    const { Response } = await executive.complete(Id)
    const bytes = Response?.kind === 'Data' ? Response.Bytes : new Uint8Array(0)
    return Array.from({ length: bytes.length / 12 }, (_, i) => [bytes[i * 12 + 2], bytes[i * 12 + 4]])
  }
  return { executive, chip, Device, status, press, read, keys }
}

describe('i8042prt', () => {
  it('tests the controller and sets translation, set 2, scanning and the interrupt', async () => {
    const { chip, status } = await keyboard()
    expect(status).to.equal(0)
    expect(chip.log.join(' ')).to.equal('cad ca7 caa c60 d74 cab c60 d64 df5 df0 d2 ded d0 df4 c60 d65')
    expect(chip.ccb).to.equal(0x65)
  })
  it('fails to start without an answer', async () => {
    const chip = new Chip()
    chip.silent = true
    expect((await keyboard({ chip })).status).to.equal(NT_STATUS.STATUS_IO_TIMEOUT)
  })
  it('completes pended reads in order, with as many records as fit', async () => {
    const { press, read, keys, executive } = await keyboard()
    const first = read(1)
    const second = read(4)
    await executive.settle()
    await press(0x1e)
    expect(await keys(first)).to.deep.equal([[0x1e, 0]])
    expect(executive.completed(second)).to.equal(undefined)
    await press(0x9e)
    expect(await keys(second)).to.deep.equal([[0x1e, 1]])
    await press(0xe0, 0x48, 0xe1, 0x1d, 0x45, 0xfa)
    expect(await keys(read(2))).to.deep.equal([
      [0x48, 2],
      [0x1d, 4],
    ])
    expect(await keys(read(2))).to.deep.equal([[0x45, 0]])
  })
  it('cancels a pended read and refuses one too small', async () => {
    const { executive, read, Device } = await keyboard()
    const Id = read(1)
    await executive.settle()
    executive.deliver({ kind: 'Cancel', Id })
    expect((await executive.complete(Id)).Status).to.equal(NT_STATUS.STATUS_CANCELLED)
    const Parameters = { kind: 'Read' as const, Length: 11, Key: 0, ByteOffset: 0 }
    const small = await executive.perform({ Device, MajorFunction: IRP_MJ.IRP_MJ_READ, Parameters, OutputLength: 11 })
    expect(small.Status).to.equal(NT_STATUS.STATUS_BUFFER_TOO_SMALL)
  })
  it('loses no key over a restart: neither the queue, nor a prefix, nor what waits in the controller', async () => {
    const first = await keyboard()
    await first.press(0x1e, 0x9e, 0xe0)
    const chip = new Chip()
    chip.output.push(0x48)
    const next = await keyboard({ chip, birth: 'restart', parked: first.executive.parked })
    expect(chip.log.slice(0, 2)).to.deep.equal(['c60', 'd65'])
    expect(await next.keys(next.read(9))).to.deep.equal([
      [0x1e, 0],
      [0x1e, 1],
      [0x48, 2],
    ])
    await next.executive.settle()
    expect(next.executive.parked.get('keys')).to.deep.equal(Uint8Array.of(0, 0x48))
  })
  it('reads again the byte that an earlier life had read and not parked, and only that', async () => {
    const first = await keyboard()
    await first.press(0x1e)
    const { parked } = first.executive
    for (const [shown, keys] of [
      [0x1e, [[0x1e, 0]]],
      [
        0x9e,
        [
          [0x1e, 0],
          [0x1e, 1],
        ],
      ],
    ] as const) {
      const chip = new Chip()
      chip.shown = shown
      const next = await keyboard({ chip, birth: 'restart', parked })
      expect(await next.keys(next.read(9))).to.deep.equal(keys)
    }
  })
  it('parks what is left with the completion that hands a key out', async () => {
    const { press, read, executive } = await keyboard()
    await press(0x1e, 0x9e)
    const { Park } = await executive.complete(read(1))
    expect([Park?.Key, ...(Park?.State ?? [])]).to.deep.equal(['keys', 0, 0x9e, 0x1e, 1])
  })
  it('holds the keyboard until what it sent is parked, and while the queue is full', async () => {
    const { chip, press, read, keys, executive } = await keyboard()
    chip.log = []
    await press(0x1e)
    expect(chip.log).to.deep.equal(['cad', 'cae'])
    for (let i = 1; i < QUEUE_MAX; i++) await press(0x1e)
    expect(chip.log.filter((entry) => entry === 'cae')).to.have.lengthOf(QUEUE_MAX - 1)
    expect(await keys(read(QUEUE_MAX))).to.have.lengthOf(QUEUE_MAX)
    await executive.settle()
    expect(chip.log.at(-1)).to.equal('cae')
  })
  it('answers what keyboard it is', async () => {
    const { executive, Device } = await keyboard()
    const IoControlCode = 0x000b0000
    const Parameters = { kind: 'DeviceIoControl' as const, OutputBufferLength: 28, InputBufferLength: 0, IoControlCode }
    const done = await executive.perform({
      Device,
      MajorFunction: IRP_MJ.IRP_MJ_DEVICE_CONTROL,
      Parameters,
      OutputLength: 28,
    })
    expect(done.Information).to.equal(28)
  })
  it('drops the newest keys when nobody reads', () => {
    const queue = new KeyQueue()
    for (let i = 0; i < QUEUE_MAX + 5; i++) queue.take(0x10)
    expect([queue.length, queue.lost]).to.deep.equal([QUEUE_MAX, 5])
  })
})
