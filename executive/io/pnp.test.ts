import { expect } from 'chai'
import { IRP_MJ, IRP_MN, type Response } from '#contracts/wdm'
import { NT_STATUS } from '#rtl'
import { answerBus, type Behaviour, type FakeDriver, type Request, World } from './io-support.ts'

const { IRP_MN_QUERY_DEVICE_RELATIONS, IRP_MN_QUERY_RESOURCE_REQUIREMENTS, IRP_MN_START_DEVICE } = IRP_MN
const port = (first: number, Option = 0) => ({
  Option,
  Type: 'Port',
  Minimum: first,
  Maximum: first + 3,
  Length: 4,
  Alignment: 1,
  Shared: false,
  Trigger: '',
})
const memory = (base: number) => ({
  Option: 0,
  Type: 'Memory',
  Minimum: base,
  Maximum: base + 4095,
  Length: 4096,
  Alignment: 4096,
  Shared: false,
  Trigger: '',
})
const message = {
  Option: 0,
  Type: 'Interrupt',
  Minimum: 0,
  Maximum: 4095,
  Length: 1,
  Alignment: 1,
  Shared: false,
  Trigger: 'message',
}

interface Bus {
  /** Instance paths on the bus now. */
  present: string[]
  requirements: Record<string, ReturnType<typeof port>[][]>
}
/** A bus driver: an FDO, and a PDO for every instance path present. */
function busDriver(bus: Bus): Behaviour {
  const lives = new WeakMap<FakeDriver, { fdo: number; handles: Map<string, number> }>()
  return {
    request(driver, packet) {
      let life = lives.get(driver)
      if (packet.Parameters.kind === 'AddDevice') {
        life = { fdo: driver.create(undefined, 0x2a), handles: new Map() }
        lives.set(driver, life)
        driver.attach(life.fdo, packet.Parameters.PhysicalDevice)
        return driver.complete(packet.Id)
      }
      const { fdo, handles } = life!
      const ids = Object.fromEntries([...handles].map(([path, handle]) => [handle, path]))
      if (!answerBus(driver, packet, ids, (request) => answer(driver, request, fdo, handles, ids)))
        driver.complete(packet.Id)
    },
  }
  function answer(
    driver: FakeDriver,
    packet: Request,
    fdo: number,
    handles: Map<string, number>,
    ids: Record<number, string>,
  ): Response | undefined {
    if (packet.Device === fdo && packet.MinorFunction === IRP_MN_QUERY_DEVICE_RELATIONS) {
      for (const path of bus.present) if (!handles.has(path)) handles.set(path, driver.create(undefined, 0x22))
      return { kind: 'Devices', Devices: bus.present.map((path) => handles.get(path)!) }
    }
    const needs = bus.requirements[ids[packet.Device]]
    return needs && packet.MinorFunction === IRP_MN_QUERY_RESOURCE_REQUIREMENTS
      ? { kind: 'Requirements', Alternatives: needs }
      : undefined
  }
}
/** A function or filter driver that passes PnP down. */
function passing(atStart?: (driver: FakeDriver, forward: () => void) => boolean): Behaviour {
  const lower = new WeakMap<FakeDriver, Map<number, number>>()
  return {
    request(driver, packet) {
      const map = lower.get(driver) ?? new Map<number, number>()
      lower.set(driver, map)
      if (packet.Parameters.kind === 'AddDevice') {
        const own = driver.create(undefined, 0x22)
        map.set(own, driver.attach(own, packet.Parameters.PhysicalDevice))
        return driver.complete(packet.Id)
      }
      const isStart = packet.MajorFunction === IRP_MJ.IRP_MJ_PNP && packet.MinorFunction === IRP_MN_START_DEVICE
      const forward = () => driver.forward(packet, map.get(packet.Device)!)
      if (!isStart || !atStart || atStart(driver, forward)) forward()
    },
  }
}
const image = (nt: object) => ({ nt: { kind: 'driver', ...nt } })
function machine(bus: Bus, more: Record<string, Behaviour> = {}): World {
  return new World(
    { pnp: busDriver(bus), storahci: passing(), keyboard: passing(), filter: passing(), ...more },
    {
      images: {
        pnp: image({ hardwareIds: ['HTREE\\ROOT\\0'] }),
        storahci: image({ hardwareIds: ['PCI\\AHCI'], class: 'HDC' }),
        keyboard: image({ hardwareIds: ['Root\\PNP0303'], class: 'Keyboard' }),
        filter: image({ upperFilterOf: 'Keyboard' }),
      },
      devices: { ahci0: { device: 'ahci', ports: [], irqs: [24], mmio: [{ base: 0xfebf1000, length: 4096 }] } },
    },
  )
}
const disk: Bus = { present: ['PCI\\AHCI\\3'], requirements: { 'PCI\\AHCI\\3': [[memory(0xfebf1000), message]] } }
const status = async (world: World, DeviceInstance: string) =>
  world.io.pnp.control({ kind: 'DeviceStatus', DeviceInstance })
const started = (driver: FakeDriver) =>
  driver.requests(IRP_MJ.IRP_MJ_PNP).filter(({ MinorFunction }) => MinorFunction === IRP_MN_START_DEVICE)

describe('plug and play', () => {
  it('walks from the root: load, add, assign, start, enumerate', async () => {
    const world = machine({ present: ['Root\\PNP0303\\0'], requirements: { 'Root\\PNP0303\\0': [[port(0x60)]] } })
    await world.io.pnp.enumerate('')
    expect(await status(world, 'Root\\PNP0303\\0')).to.deep.equal({
      State: 'DeviceNodeEnumerateCompletion',
      Service: 'keyboard',
      Problem: undefined,
    })
    expect(
      await world.io.pnp.control({ kind: 'GetRelatedDevice', TargetDeviceInstance: 'HTREE\\ROOT\\0', Relation: 2 }),
    ).to.deep.equal({
      RelatedDeviceInstance: 'Root\\PNP0303\\0',
    })
    const [start] = started(world.driver('filter'))
    expect(start.Parameters)
      .to.have.property('AllocatedResources')
      .deep.equal([{ kind: 'Port', Start: 0x60, Length: 4 }])
    expect(started(world.driver('keyboard'))).to.have.length(1)
  })
  it('starts siblings beside each other: one that takes long holds no other up', async () => {
    let finish = () => {}
    const world = machine({ present: ['Root\\PNP0303\\0', 'PCI\\AHCI\\3'], requirements: {} })
    Object.assign(
      world.behaviours.keyboard,
      passing((_driver, forward) => {
        finish = forward
        return false
      }),
    )
    const walk = world.io.pnp.enumerate('')
    await world.settle(50)
    expect(await status(world, 'Root\\PNP0303\\0')).to.include({ State: 'DeviceNodeStartPending' })
    expect(await status(world, 'PCI\\AHCI\\3')).to.include({ State: 'DeviceNodeEnumerateCompletion' })
    finish()
    await walk
    expect(await status(world, 'Root\\PNP0303\\0')).to.include({ State: 'DeviceNodeEnumerateCompletion' })
  })
  it('leaves a node in conflict with a problem and goes on with its siblings', async () => {
    const bus = {
      present: ['Root\\PNP0303\\0', 'Root\\PNP0303\\1', 'Root\\PNP0303\\2'],
      requirements: {
        'Root\\PNP0303\\0': [[port(0x60)]],
        'Root\\PNP0303\\1': [[port(0x62)]],
        'Root\\PNP0303\\2': [[port(0x62)], [port(0x60), port(0x70, 8)]],
      },
    }
    const world = machine(bus)
    await world.io.pnp.enumerate('')
    expect(await status(world, 'Root\\PNP0303\\1')).to.include({
      State: 'DeviceNodeDriversAdded',
      Problem: NT_STATUS.STATUS_CONFLICTING_ADDRESSES,
    })
    expect(await status(world, 'Root\\PNP0303\\2')).to.include({ State: 'DeviceNodeEnumerateCompletion' })
    bus.present = ['Root\\PNP0303\\1', 'Root\\PNP0303\\2']
    await world.io.pnp.enumerate('')
    expect(await status(world, 'Root\\PNP0303\\1')).to.include({ State: 'DeviceNodeEnumerateCompletion' })
    expect(world.io.pnp.find('Root\\PNP0303\\0')).to.equal(undefined)
  })
  it('applies a new enumeration as a difference', async () => {
    const bus: Bus = { present: ['Root\\PNP0303\\0', 'Root\\PNP0303\\1'], requirements: {} }
    const world = machine(bus)
    await world.io.pnp.enumerate('')
    const kept = world.io.pnp.find('Root\\PNP0303\\1')
    bus.present = ['Root\\PNP0303\\1', 'Root\\PNP0303\\7']
    await world.io.pnp.enumerate('')
    expect(world.io.pnp.nodes().map((node) => node.instancePath)).to.deep.equal([
      'HTREE\\ROOT\\0',
      'Root\\PNP0303\\1',
      'Root\\PNP0303\\7',
    ])
    expect(world.io.pnp.find('Root\\PNP0303\\1')).to.equal(kept)
    expect(started(world.driver('keyboard'))).to.have.length(3)
  })
  it('opens memory to a DMA device before START, gives capabilities for what was assigned, and nothing else', async () => {
    const world = machine(disk)
    const arena = { physicalAddress: 0x2000000, length: 4096 }
    await world.io.dma.addMemory(arena)
    let atStart = 0
    Object.assign(
      world.behaviours.storahci,
      passing(() => {
        atStart = world.env.root!.dma.get('ahci0')?.length ?? 0
        return true
      }),
    )
    await world.io.pnp.enumerate('')
    expect(atStart).to.equal(1)
    const driver = world.driver('storahci')
    const [start] = started(driver)
    expect(start.Parameters)
      .to.have.property('AllocatedResources')
      .deep.equal([
        { kind: 'Memory', Start: 0xfebf1000, Length: 4096 },
        { kind: 'Interrupt', Level: 24, Vector: 72, Latched: true, Shared: false, Message: true },
      ])
    const map = (PhysicalAddress: number) =>
      driver.services.WdmMapIoMemory({ Device: start.Device, PhysicalAddress, Length: 4096 }, driver.caller)
    expect(await map(0xfebf1000)).to.have.property('DeviceFrame')
    expect(await Promise.resolve(map(0xfebf0000)).catch((error) => error.status)).to.equal(
      NT_STATUS.STATUS_ACCESS_DENIED,
    )
    expect(
      await driver.services.WdmConnectInterrupt({ Device: start.Device, Vector: 72 }, driver.caller),
    ).to.have.property('IrqHandler')
    await world.io.dma.addMemory({ physicalAddress: 0x4000000, length: 4096 })
    expect(world.env.root!.dma.get('ahci0')).to.have.length(2)
  })
  it('quiets the hardware of a dead driver, then replays its place in the stack', async () => {
    const world = machine(disk)
    await world.io.dma.addMemory({ physicalAddress: 0x2000000, length: 4096 })
    await world.io.pnp.enumerate('')
    const before = started(world.driver('storahci'))[0]
    await world.kill('storahci')
    expect(world.env.root!.resets).to.deep.equal(['ahci0'])
    await world.settle(20)
    const driver = world.driver('storahci')
    expect(driver.requests(IRP_MJ.IRP_MJ_ADD_DEVICE)[0].Parameters).to.include({
      Restart: true,
      InstancePath: 'PCI\\AHCI\\3',
    })
    expect(started(driver).map(({ Device, Parameters }) => ({ Device, Parameters }))).to.deep.equal([
      { Device: before.Device, Parameters: before.Parameters },
    ])
    expect(world.env.root!.dma.get('ahci0')).to.have.length(1)
    expect((await status(world, 'PCI\\AHCI\\3')).Problem).to.equal(undefined)
  })
  it('delivers once what arrived while the hardware of a dead driver was being quieted', async () => {
    const world = machine(disk)
    await world.io.pnp.enumerate('')
    const device = world.io.pnp.find('PCI\\AHCI\\3')!.physicalDevice.top()
    const died = world.kill('storahci')
    const flush = world.io.irps.submit({
      device,
      major: IRP_MJ.IRP_MJ_FLUSH_BUFFERS,
      parameters: { kind: 'None' },
      requestor: 'system',
    })
    await died
    await world.settle(20)
    expect(world.driver('storahci').requests(IRP_MJ.IRP_MJ_FLUSH_BUFFERS)).to.have.length(1)
    await flush
  })
  it('replays a filter without a START, and leaves the others of the stack alone', async () => {
    const world = machine({ present: ['Root\\PNP0303\\0'], requirements: {} })
    await world.io.pnp.enumerate('')
    const stack = world.io.pnp.find('Root\\PNP0303\\0')!.physicalDevice.top()
    await world.kill('filter')
    await world.settle(20)
    expect(world.driver('filter').requests(IRP_MJ.IRP_MJ_ADD_DEVICE)).to.have.length(1)
    expect(started(world.driver('filter'))).to.have.length(0)
    expect(world.driver('keyboard').birth).to.equal('fresh')
    expect(world.io.pnp.find('Root\\PNP0303\\0')!.physicalDevice.top()).to.equal(stack)
  })
  it('asks a restarted bus again and applies the difference', async () => {
    const bus: Bus = { present: ['Root\\PNP0303\\0', 'Root\\PNP0303\\1'], requirements: {} }
    const world = machine(bus)
    await world.io.pnp.enumerate('')
    const kept = world.io.pnp.find('Root\\PNP0303\\0')
    bus.present = ['Root\\PNP0303\\0', 'Root\\PNP0303\\5']
    await world.kill('pnp')
    await world.env.advance(100)
    await world.settle(30)
    expect(world.io.pnp.find('Root\\PNP0303\\0')).to.equal(kept)
    expect(world.io.pnp.nodes().map((node) => node.instancePath)).to.deep.equal([
      'HTREE\\ROOT\\0',
      'Root\\PNP0303\\0',
      'Root\\PNP0303\\5',
    ])
    expect(await status(world, 'Root\\PNP0303\\5')).to.include({ State: 'DeviceNodeEnumerateCompletion' })
  })
  it('finishes a walk whose driver dies in START', async () => {
    let deaths = 0
    const world: World = machine(disk)
    Object.assign(
      world.behaviours.storahci,
      passing(() => {
        if (deaths++ > 0) return true
        void world.kill('storahci')
        return false
      }),
    )
    await world.io.pnp.enumerate('')
    expect(await status(world, 'PCI\\AHCI\\3')).to.include({
      State: 'DeviceNodeEnumerateCompletion',
      Problem: undefined,
    })
    expect(world.lives.filter(({ process }) => process.image === 'storahci')).to.have.length(2)
  })
})
