import { expect } from 'chai'
import fc from 'fast-check'
import { IRP_MJ, NOTIFY, PULLS_MAX } from '#contracts/wdm'
import { NT_STATUS } from '#rtl'
import { type Behaviour, type FakeDriver, type Request, World } from './io-support.ts'

const ANY = NOTIFY.OnSuccess | NOTIFY.OnError | NOTIFY.OnCancel

/** storahci ← disk ← partmgr; `notify` of the two upper ones. */
function stack(notify: number, over: Partial<Record<string, Behaviour>> = {}) {
  const lower: Record<string, number> = {}
  const upper = (name: string, target: string): Behaviour => ({
    entry(driver) {
      const own = driver.create(`\\Device\\${name}`)
      lower[name] = driver.attach(own, driver.top(target))
    },
    request: (driver, packet) => driver.forward(packet, lower[name], notify),
    completed: (driver, packet) => driver.complete(packet.Id, packet.Status, packet.Information),
    ...over[name],
  })
  const world: World = new World({
    storahci: {
      entry: (driver) => void driver.create('\\Device\\Port'),
      request: (driver, packet) =>
        driver.complete(packet.Id, 0, packet.Parameters.kind === 'Read' ? packet.Parameters.Length : 0),
      ...over.storahci,
    },
    disk: upper('disk', '\\Device\\Port'),
    partmgr: upper('partmgr', '\\Device\\Port'),
  })
  return { world, lower }
}
async function started(notify: number, over: Partial<Record<string, Behaviour>> = {}) {
  const made = stack(notify, over)
  for (const name of ['storahci', 'disk', 'partmgr']) await made.world.io.loadDriver(name)
  return made
}
const hold: Behaviour = { request: () => {} }

describe('IRPs', () => {
  it('travels down a stack of three without notice and ends at the lowest', async () => {
    const { world } = await started(0)
    expect(await world.read('\\Device\\Port')).to.include({ Status: 0, Information: 4096 })
    expect(world.driver('partmgr').seen.map(({ kind }) => kind)).to.deep.equal(['Request'])
    expect(world.io.irps.size).to.equal(0)
  })
  it('reaches the next driver in the turn of the Forward: no timer, no round of the event loop between', async () => {
    const { world } = await started(0)
    await world.settle()
    let ended = false
    void world.read('\\Device\\Port').then(() => {
      ended = true
    })
    for (let microtasks = 0; microtasks < 60; microtasks++) await Promise.resolve()
    expect(ended).to.equal(true)
  })
  it('climbs back through those that wanted notice', async () => {
    const { world } = await started(ANY)
    expect(await world.read('\\Device\\Port')).to.include({ Status: 0, Information: 4096 })
    expect(world.driver('disk').seen.map(({ kind }) => kind)).to.deep.equal(['Request', 'IoCompleted'])
  })
  it('gives notice of an error only to whom asked for errors', async () => {
    const { world } = await started(NOTIFY.OnError, {
      storahci: { request: (driver, packet) => driver.complete(packet.Id, NT_STATUS.STATUS_IO_DEVICE_ERROR) },
      disk: { completed: (driver, packet) => driver.complete(packet.Id, NT_STATUS.STATUS_DEVICE_DATA_ERROR) },
    })
    expect((await world.read('\\Device\\Port')).Status).to.equal(NT_STATUS.STATUS_DEVICE_DATA_ERROR)
  })
  it('tells a driver lazily of an end it did not want to hear of, before it meets the IRP again', async () => {
    const { world } = await started(NOTIFY.OnError)
    const kinds = () => world.driver('disk').seen.map(({ kind }) => kind)
    await world.read('\\Device\\Port')
    await world.settle()
    expect(kinds()).to.deep.equal(['Request'])
    await world.read('\\Device\\Port')
    expect(kinds()).to.deep.equal(['Request', 'IrpOver', 'Request'])
  })
  it('does not let what is over pile up', async () => {
    const held: number[] = []
    const { world } = await started(NOTIFY.OnError, { storahci: { request: (_, { Id }) => void held.push(Id) } })
    const reads = Array.from({ length: 150 }, () => world.read('\\Device\\Port'))
    await world.settle()
    for (const Id of held) world.driver('storahci').complete(Id, 0, 4096)
    await Promise.all(reads)
    await world.settle()
    const over = world.driver('disk').seen.filter(({ kind }) => kind === 'IrpOver')
    expect(over.length).to.be.within(150 - 63, 150)
  })
  it('narrows the buffer at each level', async () => {
    const windows: number[][] = []
    const { world, lower } = await started(0, {
      storahci: {
        request: (driver, packet) => {
          windows.push([packet.Mdl!.ByteCount, ...packet.Mdl!.Runs])
          driver.complete(packet.Id, 0, 4096)
        },
      },
    })
    const parameters = { kind: 'Read' as const, Length: 4096, Key: 0, ByteOffset: 0 }
    world.behaviours.disk.request = (driver, packet) =>
      driver.forward(packet, lower.disk, 0, { BufferOffset: 4096, BufferLength: 4096, Parameters: parameters })
    await world.read('\\Device\\Port', { length: 12_288 })
    expect(windows).to.deep.equal([[4096, 0x1001, 1]])
  })
  it('takes an undelivered IRP back at once and asks for a delivered one', async () => {
    const { world } = await started(0, {
      storahci: { ...hold, cancel: (driver, id) => driver.complete(id, NT_STATUS.STATUS_CANCELLED) },
    })
    const read = world.read('\\Device\\Port')
    world.io.irps.cancellation.cancel(world.io.irps.all()[0])
    expect((await read).Status).to.equal(NT_STATUS.STATUS_CANCELLED)
    const second = world.read('\\Device\\Port')
    await world.settle()
    world.io.irps.cancellation.cancel(world.io.irps.all()[0])
    expect((await second).Status).to.equal(NT_STATUS.STATUS_CANCELLED)
    expect(world.driver('storahci').seen.filter(({ kind }) => kind === 'Cancel')).to.have.length(1)
  })
  it('turns a driver that ignores its deadline and the Cancel into a dead one, and issues the IRP again exactly once', async () => {
    const { world } = await started(0, {
      storahci: {
        request: (driver, packet) => {
          if (driver.birth === 'restart') driver.complete(packet.Id, 0, 4096)
        },
      },
    })
    const read = world.read('\\Device\\Port', { deadlineMs: 1000 })
    await world.env.advance(1500)
    expect(world.driver('storahci').birth).to.equal('fresh')
    await world.env.advance(6000)
    expect(await read).to.include({ Status: 0, Information: 4096 })
    expect(
      world.lives
        .filter(({ process }) => process.image === 'storahci')
        .map((life) => life.requests(IRP_MJ.IRP_MJ_READ).length),
    ).to.deep.equal([1, 1])
    expect(world.env.clock.pending()).to.be.lessThan(3)
  })
  it('answers a deadline with STATUS_IO_TIMEOUT when the driver gives the IRP up', async () => {
    const { world } = await started(0, {
      storahci: { ...hold, cancel: (driver, id) => driver.complete(id, NT_STATUS.STATUS_CANCELLED) },
    })
    const read = world.read('\\Device\\Port', { deadlineMs: 500 })
    await world.env.advance(1000)
    expect((await read).Status).to.equal(NT_STATUS.STATUS_IO_TIMEOUT)
  })
  it('keeps a parent until the requests into its buffer have ended', async () => {
    const order: string[] = []
    let child: Request | undefined
    const { world, lower } = await started(0, {
      storahci: {
        request: (_, packet) => {
          child = packet
        },
      },
    })
    world.behaviours.partmgr.request = (driver, { Id }) => {
      driver.submit(
        {
          kind: 'NewRequest',
          LocalId: 7,
          Device: lower.partmgr,
          MajorFunction: IRP_MJ.IRP_MJ_READ,
          MinorFunction: 0,
          Flags: 0,
          Parameters: { kind: 'Read', Length: 512, Key: 0, ByteOffset: 0 },
          Buffer: { kind: 'Partial', Id, Offset: 1024, Length: 512 },
          OutputLength: 0,
        },
        { kind: 'Complete', Id, Status: 0, Information: 4096 },
      )
    }
    void world.read('\\Device\\Port').then(() => order.push('parent'))
    await world.settle()
    expect(child?.Mdl).to.deep.equal({ ByteOffset: 1024, ByteCount: 512, Runs: [0x1000, 1] })
    expect(order).to.deep.equal([])
    world.driver('storahci').complete(child!.Id, 0, 512)
    await world.settle()
    expect(order).to.deep.equal(['parent'])
  })
})

describe('lies', () => {
  const lies: Record<string, (driver: FakeDriver, packet: Request, other: number) => void> = {
    'completes what it does not hold': (driver, packet) => driver.complete(packet.Id + 77),
    'completes twice': (driver, packet) => {
      driver.complete(packet.Id, 0, 1)
      driver.complete(packet.Id, 0, 1)
    },
    'claims more bytes than asked': (driver, packet) => driver.complete(packet.Id, 0, 5000),
    'answers with the wrong kind': (driver, packet) =>
      driver.complete(packet.Id, 0, 0, { kind: 'Extents', Extents: [] }),
    'forwards to a device it was never told of': (driver, packet, other) => driver.forward(packet, other),
    'forwards beyond its buffer': (driver, packet) =>
      driver.forward(packet, driver.world.device('\\Device\\Port').handle, 0, { BufferOffset: 1 }),
    'forwards other parameters': (driver, packet) =>
      driver.forward(packet, driver.world.device('\\Device\\Port').handle, 0, { MajorFunction: 4 }),
    'commits to a device that is not its own': (driver, { Id }) =>
      driver.submit({ kind: 'Complete', Id, Status: 0, Information: 0, Commit: { Volume: 1, Writes: [], Freed: [] } }),
    'names memory outside of its arena': (driver) =>
      driver.submit({
        kind: 'NewRequest',
        LocalId: 1,
        Device: driver.world.device('\\Device\\Port').handle,
        MajorFunction: 3,
        MinorFunction: 0,
        Flags: 0,
        Parameters: { kind: 'Read', Length: 512, Key: 0, ByteOffset: 0 },
        Buffer: { kind: 'Arena', Address: 16, Length: 512 },
        OutputLength: 0,
      }),
    'parks more keys than it may': (driver, { Id }) => {
      const State = Uint8Array.of(1)
      for (let i = 0; i < 64; i++) void driver.services.WdmParkState({ Key: `key ${i}`, State }, driver.caller)
      driver.submit({ kind: 'Complete', Id, Status: 0, Information: 0, Park: { Key: 'one more', State } })
    },
    'parks more pulls than it may': (driver) => {
      for (let i = 0; i <= PULLS_MAX; i++)
        void driver.services.WdmRequestIoPackets({ Packets: [], Wait: true }, driver.caller)
    },
  }
  for (const [what, lie] of Object.entries(lies)) {
    it(`ends a driver that ${what}`, async () => {
      const { world, lower } = await started(0)
      let other = 0
      world.behaviours.stranger = { entry: (driver) => void (other = driver.create('\\Device\\Stranger')) }
      ;(world.ex.root.manifest.images as Record<string, unknown>).stranger = { nt: { kind: 'driver' } }
      await world.io.loadDriver('stranger')
      world.behaviours.disk.request = (driver, packet) =>
        driver.birth === 'restart' ? driver.forward(packet, lower.disk) : lie(driver, packet, other)
      const read = world.read('\\Device\\Port')
      await world.env.advance(100)
      await world.settle()
      expect(world.env.lines.map(({ message }) => message)).to.include('driver faulted')
      expect(world.driver('disk').birth).to.equal('restart')
      if (what !== 'completes twice') expect((await read).Status).to.equal(0)
      expect(world.commits).to.deep.equal([])
    })
  }
})

describe('IRPs, whatever drivers do', () => {
  const step = fc.record({
    who: fc.constantFrom('storahci', 'disk', 'partmgr'),
    what: fc.constantFrom('act', 'act', 'act', 'die', 'read', 'cancel'),
  })
  it('are never lost and never end twice', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), fc.integer({ min: 0, max: 7 }), async (steps, notify) => {
        const pending = new Map<FakeDriver, (() => void)[]>()
        const later = (driver: FakeDriver, act: () => void) =>
          void pending.set(driver, [...(pending.get(driver) ?? []), act])
        const { world, lower } = await started(notify)
        const act = (name: string): Behaviour => ({
          request: (driver, packet) =>
            later(driver, () =>
              name === 'storahci' ? driver.complete(packet.Id, 0, 4096) : driver.forward(packet, lower[name], notify),
            ),
          completed: (driver, packet) =>
            later(driver, () => driver.complete(packet.Id, packet.Status, packet.Information)),
          cancel: () => {},
        })
        for (const name of ['storahci', 'disk', 'partmgr']) Object.assign(world.behaviours[name], act(name))
        let ends = 0
        let reads = 0
        for (const { who, what } of steps) {
          if (what === 'read') {
            reads++
            void world.read('\\Device\\Port').then(() => ends++)
          } else if (what === 'die') void world.kill(who)
          else if (what === 'cancel') {
            const [irp] = world.io.irps.all()
            if (irp) world.io.irps.cancellation.cancel(irp)
          } else pending.get(world.driver(who))?.shift()?.()
          await world.settle(2)
        }
        for (let i = 0; i < 400 && ends < reads; i++) {
          for (const driver of world.drivers.values()) for (const one of pending.get(driver)?.splice(0) ?? []) one()
          await world.env.advance(300)
        }
        expect(ends).to.equal(reads)
        expect(world.io.irps.size).to.equal(0)
        expect(world.env.lines.filter(({ message }) => message === 'driver faulted')).to.deep.equal([])
        for (const driver of world.io.drivers()) expect(driver.irps.size).to.equal(0)
      }),
      { numRuns: 60 },
    )
  })
})
