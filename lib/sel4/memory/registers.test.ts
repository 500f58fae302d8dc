/** The shared region of a device frame: order, pushing of writes, and both sides' lies. */
import { once } from 'node:events'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { expect } from 'chai'
import fc from 'fast-check'
import { DeviceRegisters, DriverRegisters, RING_ENTRIES, registersBytes } from './registers.ts'

const FRAME = 4096
const PAGE_WORDS = 1024
const setUp = (frame = FRAME) => {
  const region = new Uint8Array(new SharedArrayBuffer(registersBytes(frame)))
  const words = new Uint32Array(region.buffer)
  return { region, words, device: new DeviceRegisters(region, frame), driver: new DriverRegisters(region, frame) }
}
const register = fc.nat(FRAME / 4 - 1).map((n) => n * 4)
const word = fc.nat(0xffffffff)

/** Writes and reads as fast as it can; returns how many reads were answered from the region. */
function race(driver: DriverRegisters): number {
  let answered = 0
  let turn = 0
  for (let value = 1; value <= 6_400; value++) {
    for (let tries = 0; !driver.post(0, value); ) if (++tries > 1e9) throw new Error('the device stands still')
    // Now and then it waits for the device, so that some reads are answered even where the two share one processor.
    for (let spins = value % 32 === 0 ? 1e9 : 200; spins > 0 && !driver.consumedAll(); spins--);
    const shown = driver.readPublished(0)
    if (shown !== undefined) answered++
    if (shown !== undefined && shown !== value) throw new Error(`wrote ${value}, read ${shown}`)
    const next = driver.readPublished(4) ?? turn
    if (next < turn) throw new Error(`the count went back from ${turn} to ${next}`)
    turn = next
  }
  return answered
}

describe('DeviceRegisters and DriverRegisters', () => {
  it('deliver writes in order and count them when the handler has returned', () => {
    const { device, driver } = setUp()
    driver.post(0x10, 1)
    driver.post(0x10, 0xffffffff)
    const seen: [number, number, boolean][] = []
    expect(device.drain((offset, value) => seen.push([offset, value, driver.consumedAll()]))).to.equal(2)
    expect(seen).to.deep.equal([
      [0x10, 1, false],
      [0x10, 0xffffffff, false],
    ])
    expect(driver.consumedAll()).to.equal(true)
  })

  it('serve a published register only when every write has been consumed', () => {
    const { device, driver } = setUp()
    expect(driver.readPublished(0x38)).to.equal(undefined)
    device.publish(0x38, 0)
    expect(driver.readPublished(0x38)).to.equal(0)
    driver.post(0x38, 1)
    expect(driver.readPublished(0x38)).to.equal(undefined)
    device.drain((offset, value) => device.publish(offset, value))
    expect(driver.readPublished(0x38)).to.equal(1)
    device.unpublish(0x38)
    expect(driver.readPublished(0x38)).to.equal(undefined)
  })

  it('know a quiet register from its neighbours, until a reset', () => {
    const { device, driver } = setUp()
    device.quiet(0x80)
    device.publish(0x84, 5)
    expect([0x7c, 0x80, 0x84, 0x80 + FRAME, -4].map((offset) => driver.isQuiet(offset))).to.deep.equal([
      false,
      true,
      false,
      false,
      false,
    ])
    expect(driver.readPublished(0x80)).to.equal(undefined)
    device.reset()
    expect(driver.isQuiet(0x80)).to.equal(false)
  })
  it('keep neighbouring registers apart at the ends of a frame', () => {
    for (const frame of [4, 128, 132, 4096, 65536]) {
      const { device, driver } = setUp(frame)
      device.publish(0, 0xaaaaaaaa)
      device.publish(frame - 4, 0xbbbbbbbb)
      expect(driver.readPublished(frame - 4)).to.equal(0xbbbbbbbb)
      if (frame > 8) expect(driver.readPublished(4)).to.equal(undefined)
      expect(driver.readPublished(frame)).to.equal(undefined)
    }
  })

  it('refuse a write when the ring is full and take it after a drain', () => {
    const { device, driver } = setUp()
    for (let i = 0; i < RING_ENTRIES; i++) expect(driver.post(0, i)).to.equal(true)
    expect(driver.post(0, 0)).to.equal(false)
    let next = 0
    expect(device.drain((_, value) => expect(value).to.equal(next++))).to.equal(RING_ENTRIES)
    expect(driver.post(0, 0)).to.equal(true)
  })

  it('agree with a model under any order of operations, across the wrap of the counters', () => {
    const operation = fc.oneof(
      fc.record({ op: fc.constant('post' as const), offset: register, value: word }),
      fc.record({ op: fc.constant('publish' as const), offset: register, value: word }),
      fc.record({ op: fc.constant('unpublish' as const), offset: register }),
      fc.record({ op: fc.constant('drain' as const) }),
      fc.record({ op: fc.constant('read' as const), offset: register }),
    )
    const start = fc.constantFrom(0, 7, 0xffffff00, 0xfffffffe)
    fc.assert(
      fc.property(start, fc.array(operation, { maxLength: 400 }), (counter, operations) => {
        const region = new Uint8Array(new SharedArrayBuffer(registersBytes(FRAME)))
        const words = new Uint32Array(region.buffer)
        words[0] = words[PAGE_WORDS] = counter
        const device = new DeviceRegisters(region, FRAME)
        const driver = new DriverRegisters(region, FRAME)
        const chip = new Map<number, number>()
        const posted: [number, number][] = []
        for (const step of operations) {
          if (step.op === 'post') {
            const taken = driver.post(step.offset, step.value)
            expect(taken).to.equal(posted.length < RING_ENTRIES)
            if (taken) posted.push([step.offset, step.value])
          } else if (step.op === 'publish') {
            device.publish(step.offset, step.value)
            chip.set(step.offset, step.value)
          } else if (step.op === 'unpublish') {
            device.unpublish(step.offset)
            chip.delete(step.offset)
          } else if (step.op === 'drain') {
            const got: [number, number][] = []
            device.drain((offset, value) => {
              got.push([offset, value])
              device.publish(offset, value)
              chip.set(offset, value)
            })
            expect(got).to.deep.equal(posted.splice(0))
          } else
            expect(driver.readPublished(step.offset)).to.equal(posted.length === 0 ? chip.get(step.offset) : undefined)
        }
      }),
      { numRuns: 60 },
    )
  })

  it('never touch memory outside the frame, whatever the other side writes', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(2047), word), { maxLength: 60 }),
        fc.array(register, { maxLength: 5 }),
        (wild, offsets) => {
          const bytes = registersBytes(FRAME)
          const around = new Uint8Array(new SharedArrayBuffer(bytes + 8192)).fill(0xee)
          const region = around.subarray(4096, 4096 + bytes).fill(0)
          const device = new DeviceRegisters(region, FRAME)
          const driver = new DriverRegisters(region, FRAME)
          const words = new Uint32Array(region.buffer, region.byteOffset, bytes / 4)
          for (const offset of offsets) driver.post(offset, 1)
          for (const [index, value] of wild) words[index % words.length] = value
          let delivered = 0
          device.drain((offset) => {
            expect(offset % 4).to.equal(0)
            expect(offset).to.be.within(0, FRAME - 4)
            device.publish(offset, ++delivered)
          })
          expect(delivered).to.be.at.most(RING_ENTRIES)
          for (const offset of offsets) driver.readPublished(offset)
          driver.post(0, 1)
          expect(around.subarray(0, 4096).every((byte) => byte === 0xee)).to.equal(true)
          expect(around.subarray(4096 + bytes).every((byte) => byte === 0xee)).to.equal(true)
        },
      ),
      { numRuns: 40 },
    )
  })

  it('count a wild tail and a wild offset, and go on', () => {
    const { words, device, driver } = setUp()
    words[0] = 5000
    expect(device.drain(() => expect.fail('nothing was written'))).to.equal(0)
    expect(device.refused).to.equal(1)
    words[0] = 5001
    words[16 + 2 * (5000 % RING_ENTRIES)] = 0x1002
    expect(device.drain(() => expect.fail('no such register'))).to.equal(0)
    expect(device.refused).to.equal(2)
    expect(driver.consumedAll()).to.equal(false)
  })

  it('treat a wild head as full and not consumed', () => {
    const { words, device, driver } = setUp()
    device.publish(0, 7)
    words[PAGE_WORDS] = 99
    expect(driver.consumedAll()).to.equal(false)
    expect(driver.post(0, 1)).to.equal(false)
    expect(driver.readPublished(0)).to.equal(undefined)
  })

  it('start a new driver with an empty ring after a discard', () => {
    const { region, device, driver } = setUp()
    driver.post(0, 1)
    device.publish(4, 9)
    device.reset()
    const next = new DriverRegisters(region, FRAME)
    expect(next.consumedAll()).to.equal(true)
    expect(next.readPublished(4)).to.equal(undefined)
    next.post(8, 2)
    const seen: number[] = []
    device.drain((offset) => seen.push(offset))
    expect(seen).to.deep.equal([8])
  })

  it('deliver nothing after a reset from inside a write, and nothing twice', () => {
    const { device, driver } = setUp()
    for (const value of [1, 2, 3]) driver.post(0, value)
    const seen: number[] = []
    device.drain((_, value) => {
      seen.push(value)
      if (value === 2) device.reset()
      expect(device.drain(() => expect.fail('nested'))).to.equal(0)
    })
    expect(seen).to.deep.equal([1, 2])
    expect(driver.consumedAll()).to.equal(true)
    driver.post(0, 4)
    device.drain((_, value) => seen.push(value))
    expect(seen).to.deep.equal([1, 2, 4])
  })

  it('never show a driver less than its own writes, with the device on another processor', async () => {
    const region = new Uint8Array(new SharedArrayBuffer(registersBytes(FRAME)))
    const stop = new Int32Array(new SharedArrayBuffer(4))
    // Register 0 holds what was written last; register 4 counts, and is withdrawn and shown again at every turn.
    const device = `require('ts-node/register/transpile-only')
      const { parentPort, workerData: { region, stop } } = require('node:worker_threads')
      const { DeviceRegisters } = require(${JSON.stringify(join(__dirname, 'registers.ts'))})
      const device = new DeviceRegisters(region, ${FRAME})
      parentPort.postMessage('ready')
      for (let turn = 1; !Atomics.load(stop, 0); turn++) {
        device.unpublish(4)
        device.drain((offset, value) => device.publish(offset, value))
        device.publish(4, turn)
      }`
    const worker = new Worker(device, { eval: true, workerData: { region, stop } })
    try {
      await once(worker, 'message')
      expect(race(new DriverRegisters(region, FRAME))).to.be.at.least(200)
    } finally {
      Atomics.store(stop, 0, 1)
      await worker.terminate()
    }
  }).timeout(10_000)

  it('keep the two sides on pages of their own', () => {
    expect(registersBytes(FRAME) % 4096).to.equal(0)
    expect(() => registersBytes(0)).to.throw('A device frame is 4 to 1048576 bytes')
    expect(() => registersBytes(6)).to.throw('not 6')
    expect(() => new DriverRegisters(new Uint8Array(16), FRAME)).to.throw('The region of this frame')
    const { device, driver } = setUp()
    expect(() => driver.post(2, 0)).to.throw('No register at offset 2')
    expect(() => device.publish(4096, 0)).to.throw('No register at offset 4096')
  })
})
