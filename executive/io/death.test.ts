import { expect } from 'chai'
import { IRP_MJ, NOTIFY } from '#contracts/wdm'
import { NT_STATUS } from '#rtl'
import { type Behaviour, type FakeDriver, type Request, World } from './io-support.ts'

const ANY = NOTIFY.OnSuccess | NOTIFY.OnError | NOTIFY.OnCancel

async function pair(over: { lower?: Behaviour; upper?: Behaviour; notify?: number } = {}) {
  let below = 0
  const world: World = new World({
    lower: {
      entry: (driver) => void driver.create('\\Device\\Low'),
      request: (driver, packet) => driver.complete(packet.Id, 0, 4096),
      ...over.lower,
    },
    upper: {
      entry: (driver) => {
        const own = driver.create('\\Device\\Up')
        below = driver.attach(own, driver.top('\\Device\\Low'))
      },
      request: (driver, packet) => driver.forward(packet, below, over.notify ?? ANY),
      completed: (driver, packet) => driver.complete(packet.Id, packet.Status, packet.Information),
      ...over.upper,
    },
  })
  await world.io.loadDriver('lower')
  await world.io.loadDriver('upper')
  return { world, below: () => below }
}
/** The lower driver answers nothing by itself; `seen` is what it was given. */
async function readUnderWay(notify = ANY) {
  const seen: number[] = []
  const { world } = await pair({ notify, lower: { request: (_, packet) => void seen.push(packet.Id) } })
  const read = world.read('\\Device\\Low')
  await world.settle()
  return { world, seen, read }
}
const onlyAfterRestart =
  (act: (driver: FakeDriver, packet: Request) => void) => (driver: FakeDriver, packet: Request) => {
    if (driver.birth === 'restart') act(driver, packet)
  }
const control = (world: World, IoControlCode: number) =>
  world.io.irps.submit({
    device: world.device('\\Device\\Low'),
    major: IRP_MJ.IRP_MJ_DEVICE_CONTROL,
    requestor: 'system',
    parameters: { kind: 'DeviceIoControl', IoControlCode, InputBufferLength: 0, OutputBufferLength: 0 },
  })

describe('death of a driver', () => {
  it('issues again what it held', async () => {
    const { world } = await pair({
      lower: { request: onlyAfterRestart((driver, packet) => driver.complete(packet.Id, 0, 4096)) },
    })
    const read = world.read('\\Device\\Low')
    await world.settle()
    await world.kill('lower')
    expect(await read).to.include({ Status: 0, Information: 4096 })
    expect(world.driver('lower').requests()).to.have.length(1)
    expect(world.driver('upper').birth).to.equal('fresh')
  })
  it('delivers what was queued, without counting it as issued again', async () => {
    const { world } = await pair()
    const read = world.read('\\Device\\Low')
    await world.kill('upper')
    expect(await read).to.include({ Status: 0 })
    expect(world.driver('upper').requests()).to.have.length(1)
  })
  it('queues new requests until it is back', async () => {
    const { world } = await pair()
    await world.kill('lower')
    expect((await world.read('\\Device\\Low')).Status).to.equal(0)
    expect(world.driver('lower').birth).to.equal('restart')
  })
  it('lets an end pass that the dead one did not want to hear of', async () => {
    const { world, seen, read } = await readUnderWay(NOTIFY.OnError)
    await world.kill('upper')
    world.driver('lower').complete(seen[0], 0, 4096)
    expect(await read).to.include({ Status: 0, Information: 4096 })
    await world.settle()
    expect(world.driver('upper').requests()).to.have.length(0)
  })
  it('begins again above when the end is one the dead one wanted to hear of', async () => {
    const { world, seen, read } = await readUnderWay(NOTIFY.OnError)
    await world.kill('upper')
    await world.settle()
    world.driver('lower').complete(seen[0], NT_STATUS.STATUS_IO_DEVICE_ERROR)
    await world.settle()
    expect(world.driver('upper').requests()).to.have.length(1)
    world.driver('lower').complete(seen[1], 0, 4096)
    expect(await read).to.include({ Status: 0, Information: 4096 })
  })
  it('lets what it forwarded end below, then begins again from its level', async () => {
    const { world, seen, read } = await readUnderWay()
    await world.kill('upper')
    await world.settle()
    expect(world.driver('upper').requests()).to.have.length(0)
    world.driver('lower').complete(seen[0], 0, 4096)
    await world.settle()
    expect(world.driver('upper').requests()).to.have.length(1)
    world.driver('lower').complete(seen[1], 0, 4096)
    expect(await read).to.include({ Status: 0 })
    expect(seen[0]).to.equal(seen[1])
  })
  it('ends what must not be done twice', async () => {
    const { world } = await pair({ upper: { request: () => {} } })
    const change = control({ ...world, device: () => world.device('\\Device\\Up') } as unknown as World, 0x8000)
    await world.settle()
    await world.kill('upper')
    expect((await change).Status).to.equal(NT_STATUS.STATUS_DRIVER_PROCESS_TERMINATED)
  })
  it('cancels the requests it had made itself and forgets their end', async () => {
    let id = 0
    const { world, below } = await pair({ lower: { request: (_, packet) => void (id = packet.Id), cancel: () => {} } })
    const ask = () =>
      world.driver('upper').submit({
        kind: 'NewRequest',
        LocalId: 1,
        Device: below(),
        MajorFunction: IRP_MJ.IRP_MJ_FLUSH_BUFFERS,
        MinorFunction: 0,
        Flags: 0,
        Parameters: { kind: 'None' },
        Buffer: { kind: 'None' },
        OutputLength: 0,
      })
    ask()
    await world.settle()
    await world.kill('upper')
    await world.settle()
    expect(world.driver('lower').seen.at(-1)).to.deep.equal({ kind: 'Cancel', Id: id })
    expect(world.driver('upper').birth).to.equal('fresh')
    world.driver('lower').complete(id, NT_STATUS.STATUS_CANCELLED)
    await world.settle()
    expect(world.driver('upper').birth).to.equal('restart')
    expect(world.driver('upper').seen).to.deep.equal([])
    expect(world.io.irps.size).to.equal(0)
  })
  it('gives a poisonous request up after three deaths', async () => {
    const { world } = await pair({ lower: { request: (driver) => void driver.world.kill('lower') } })
    const read = world.read('\\Device\\Low')
    await world.env.advance(2000)
    expect((await read).Status).to.equal(NT_STATUS.STATUS_DRIVER_PROCESS_TERMINATED)
    expect(world.lives.filter(({ process }) => process.image === 'lower')).to.have.length(5)
  })
  it('removes the devices of a driver that dies too often', async () => {
    const { world } = await pair({ lower: { request: () => {} } })
    const read = world.read('\\Device\\Low')
    const gone = world.device('\\Device\\Low')
    for (let i = 0; i < 12 && !gone.removed; i++) {
      await world.kill('lower')
      await world.env.advance(600)
    }
    expect((await read).Status).to.equal(NT_STATUS.STATUS_DRIVER_PROCESS_TERMINATED)
    expect(gone.removed).to.equal(true)
    expect(world.driver('upper').seen.at(-1)).to.deep.equal({ kind: 'CloseDevice', Device: gone.handle })
    expect(
      (
        await world.io.irps.submit({
          device: gone,
          major: IRP_MJ.IRP_MJ_FLUSH_BUFFERS,
          parameters: { kind: 'None' },
          requestor: 'system',
        })
      ).Status,
    ).to.equal(NT_STATUS.STATUS_DRIVER_PROCESS_TERMINATED)
    expect(await world.io.loadDriver('lower')).to.have.property('state', 'loaded')
  })
  it('survives two drivers of one stack dying at once, and one dying while it comes back', async () => {
    const { world } = await pair({
      lower: { request: onlyAfterRestart((driver, packet) => driver.complete(packet.Id, 0, 4096)) },
    })
    const read = world.read('\\Device\\Low')
    await world.settle()
    await Promise.all([world.kill('lower'), world.kill('upper')])
    await world.kill('lower')
    await world.env.advance(1000)
    expect((await read).Status).to.equal(0)
    expect(world.io.irps.size).to.equal(0)
  })
  it('binds devices again by name, and unnamed ones by occasion', async () => {
    const handles: number[][] = []
    const world: World = new World({
      bus: { entry: (driver) => void handles.push([driver.create(), driver.create('\\Device\\B'), driver.create()]) },
    })
    await world.io.loadDriver('bus')
    await world.kill('bus')
    await world.settle()
    expect(handles[1]).to.deep.equal(handles[0])
    expect(world.io.drivers()[0].devices.size).to.equal(3)
  })
  it('tells why a driver that fails at once could not be loaded, and shares that among those who wait', async () => {
    const world: World = new World({
      bad: {
        entry: async (driver) => {
          void driver.services.WdmDriverEntryFailed({ Status: NT_STATUS.STATUS_NO_SUCH_DEVICE }, driver.caller)
          await driver.world.kill('bad')
        },
      },
    })
    const loads = await Promise.allSettled([
      world.io.loadDriver('bad'),
      world.io.loadDriver('\\Registry\\Services\\BAD'.toLowerCase()),
    ])
    expect(loads.map((load) => (load.status === 'rejected' ? load.reason.status : 0))).to.deep.equal(
      Array(2).fill(NT_STATUS.STATUS_FAILED_DRIVER_ENTRY),
    )
    expect(world.lives).to.have.length(1)
  })
  it('stops at shutdown: notifications, last registered first, then the drivers, for good', async () => {
    const order: string[] = []
    const noting = (name: string): Behaviour => ({
      entry: (driver) => {
        const Device = driver.create(`\\Device\\${name}`)
        void driver.services.WdmRegisterShutdownNotification({ Device }, driver.caller)
      },
      request: (driver, packet) => {
        if (packet.MajorFunction === IRP_MJ.IRP_MJ_SHUTDOWN) order.push(name)
        driver.complete(packet.Id)
      },
    })
    const { world } = await pair({ lower: noting('Low'), upper: noting('Up') })
    await world.io.shutdown()
    await world.env.advance(1000)
    expect(order).to.deep.equal(['Up', 'Low'])
    expect(world.lives.map(({ alive }) => alive)).to.deep.equal([false, false])
    expect((await world.read('\\Device\\Low')).Status).to.equal(NT_STATUS.STATUS_DRIVER_PROCESS_TERMINATED)
  })
  it('parks state in the moment of a completion, and not with a completion that is a lie', async () => {
    const { world } = await pair()
    const parked = () => world.io.driverTable.find('lower')?.parkedState('keys')
    const park = (Id: number, ...State: number[]) =>
      world.driver('lower').submit({
        kind: 'Complete',
        Id,
        Status: 0,
        Information: 0,
        Park: { Key: 'keys', State: Uint8Array.from(State) },
      })
    world.behaviours.lower.request = (_driver, { Id }) => park(Id, 1, 2)
    await world.read('\\Device\\Low')
    expect(parked()).to.deep.equal(Uint8Array.of(1, 2))
    park(0x7777, 3)
    await world.settle()
    expect(parked()).to.deep.equal(Uint8Array.of(1, 2))
  })
  it('keeps what a driver parked for its next life', async () => {
    const { world } = await pair()
    const caller = () => world.driver('lower').caller
    await world.handlers.WdmParkState({ Key: 'where', State: Uint8Array.of(1, 2) }, caller())
    await world.kill('lower')
    await world.settle()
    expect(await world.handlers.WdmQueryParkedState({ Key: 'where' }, caller())).to.deep.equal({
      State: Uint8Array.of(1, 2),
    })
  })
})
