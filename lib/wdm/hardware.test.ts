/** Order of ISR, DPC, timers and work items; interrupts and their acknowledgement; registers, ports, arena, MDLs. */
import { IRP_MJ } from '#contracts/wdm'
import { NT_STATUS } from '#rtl'
import { expect } from 'chai'
import { fakeExecutive } from './fake-executive.ts'
import {
  AllocateCommonBuffer,
  completeIrp,
  type DEVICE_OBJECT,
  type DRIVER_OBJECT,
  ExAcquireResourceExclusive,
  ExAcquireResourceShared,
  ExInitializeResource,
  ExReleaseResource,
  FreeCommonBuffer,
  GetScatterGatherList,
  IoAllocateWorkItem,
  IoConnectInterrupt,
  IoCreateDevice,
  IoDisconnectInterrupt,
  IoEnablePorts,
  IoQueueWorkItem,
  type IRP,
  KeCancelTimer,
  KeInitializeDpc,
  KeInitializeEvent,
  KeInitializeTimer,
  KeInsertQueueDpc,
  KeSetEvent,
  KeSetTimer,
  KeWaitForSingleObject,
  MmMapIoSpace,
  READ_PORT_UCHAR,
  READ_REGISTER_ULONG,
  WRITE_REGISTER_ULONG,
} from './index.ts'

const INTERRUPT = { kind: 'Interrupt' as const, Level: 5, Vector: 5, Latched: true, Shared: false, Message: false }

async function bench() {
  let object: DRIVER_OBJECT
  let device: DEVICE_OBJECT
  const written: string[] = []
  const executive = fakeExecutive(
    async (DriverObject) => {
      object = DriverObject
      device = await IoCreateDevice(DriverObject, '\\Device\\a', 0x22, 0, false)
      return NT_STATUS.STATUS_SUCCESS
    },
    {
      arenaBytes: 64 << 10,
      onPortIn: (port) => port & 0xff,
      onMapDevice: () => ({
        physicalAddress: 0xfebf1000,
        length: 4096,
        read32: async (offset) => offset,
        write32: (offset, value) => void written.push(`${offset}=${value}`),
        flush: async () => void written.push('flush'),
      }),
    },
  )
  await executive.settle()
  return { executive, object: object!, device: device!, written }
}

describe('wdm: hardware and deferred work', () => {
  it('runs the service routine, then DPCs, then work items; acknowledges after a flush', async () => {
    const { executive, object, device, written } = await bench()
    const order: string[] = []
    const item = IoAllocateWorkItem(device)
    const window = await MmMapIoSpace(device, { kind: 'Memory', Start: 0xfebf1100, Length: 0x80 })
    const dpc = KeInitializeDpc(
      object,
      () => {
        order.push('dpc')
        IoQueueWorkItem(item, () => void order.push('work'), undefined)
      },
      undefined,
    )
    const second = KeInitializeDpc(object, () => void order.push('dpc 2'), undefined)
    const interrupt = await IoConnectInterrupt(
      device,
      INTERRUPT,
      async () => {
        expect(KeInsertQueueDpc(dpc)).to.equal(true)
        expect(KeInsertQueueDpc(dpc)).to.equal(false)
        KeInsertQueueDpc(second)
        await READ_REGISTER_ULONG(window, 4)
        WRITE_REGISTER_ULONG(window, 8, 1)
        order.push('isr')
        return true
      },
      undefined,
    )
    const handler = 0x405
    executive.env.interrupt(executive.env.sel4.bound.get(handler)!)
    await executive.settle()
    expect(order).to.deep.equal(['isr', 'dpc', 'dpc 2', 'work'])
    expect(written).to.deep.equal([`${0x108}=1`, 'flush'])
    expect(executive.env.sel4.acks).to.deep.equal([handler, handler])
    await IoDisconnectInterrupt(interrupt)
    executive.env.interrupt(executive.env.sel4.bound.get(handler)!)
    await executive.settle()
    expect(order.length).to.equal(4)
  })
  it('refuses to wait in a service routine', async () => {
    const { executive, object, device } = await bench()
    const event = KeInitializeEvent(object, 'NotificationEvent', false)
    await IoConnectInterrupt(device, INTERRUPT, async () => (await KeWaitForSingleObject(event)) === 0, undefined)
    executive.env.interrupt(executive.env.sel4.bound.get(0x405)!)
    expect((await executive.ended).message).to.match(/KeWaitForSingleObject at IRQL 3/)
  })
  it('keeps time: one-shot, periodic without drift, cancelled, and waits with a timeout', async () => {
    const { executive, object } = await bench()
    const { env } = executive
    const fired: number[] = []
    const dpc = KeInitializeDpc(object, () => void fired.push(env.clock.now()), undefined)
    const timer = KeInitializeTimer(object)
    KeSetTimer(timer, 5, dpc, 10)
    await env.advance(26)
    expect(KeCancelTimer(timer)).to.equal(true)
    expect(KeCancelTimer(timer)).to.equal(false)
    await env.advance(50)
    expect(fired).to.deep.equal([5, 15, 25])
    const event = KeInitializeEvent(object, 'SynchronizationEvent', false)
    const waits = [KeWaitForSingleObject(event, 5), KeWaitForSingleObject(event), KeWaitForSingleObject(event, 100)]
    await env.advance(10)
    KeSetEvent(event)
    await env.advance(100)
    expect(await Promise.all([waits[0], waits[1], waits[2]])).to.deep.equal([0x102, 0, 0x102])
    expect(KeSetEvent(event)).to.equal(false)
    expect(await KeWaitForSingleObject(event, 0)).to.equal(0)
    expect(await KeWaitForSingleObject(event, 0)).to.equal(NT_STATUS.STATUS_TIMEOUT)
  })
  it('locks: many readers or one writer, in order', async () => {
    const { object } = await bench()
    const lock = ExInitializeResource(object)
    const order: string[] = []
    await ExAcquireResourceShared(lock)
    await ExAcquireResourceShared(lock)
    const writer = ExAcquireResourceExclusive(lock).then(() => order.push('writer'))
    const reader = ExAcquireResourceShared(lock).then(() => order.push('reader'))
    ExReleaseResource(lock)
    ExReleaseResource(lock)
    await writer
    expect(order).to.deep.equal(['writer'])
    ExReleaseResource(lock)
    await reader
    ExReleaseResource(lock)
    expect(() => ExReleaseResource(lock)).to.throw(/nobody owns/)
  })
  it('bounds ports and registers', async () => {
    const { device } = await bench()
    const ports = await IoEnablePorts(device, { kind: 'Port', Start: 0x60, Length: 2 })
    expect(await READ_PORT_UCHAR(ports, 1)).to.equal(0x61)
    expect(() => READ_PORT_UCHAR(ports, 2)).to.throw(/outside/)
    const window = await MmMapIoSpace(device, { kind: 'Memory', Start: 0xfebf1000, Length: 8 })
    expect(() => READ_REGISTER_ULONG(window, 8)).to.throw(/register 0x8/)
  })
  it('gives out and takes back aligned arena memory', async () => {
    const { object } = await bench()
    const one = AllocateCommonBuffer(object, 100)
    const two = AllocateCommonBuffer(object, 32 << 10, 4096)
    expect(two.LogicalAddress % 4096).to.equal(0)
    two.bytes.fill(7)
    expect(() => AllocateCommonBuffer(object, 40 << 10)).to.throw(/INSUFFICIENT_RESOURCES/)
    FreeCommonBuffer(one)
    FreeCommonBuffer(two)
    expect(() => FreeCommonBuffer(two)).to.throw(/not allocated/)
    const whole = AllocateCommonBuffer(object, 64 << 10)
    expect(whole.bytes.every((byte) => byte === 0)).to.equal(true)
  })
  it('turns page lists into physical runs', () => {
    const mdl = { ByteOffset: 256, ByteCount: 3 * 4096, Runs: [10, 1, 11, 1, 20, 2] }
    expect(GetScatterGatherList(mdl, 0, mdl.ByteCount)).to.deep.equal([
      { Address: 10 * 4096 + 256, Length: 8192 - 256 },
      { Address: 20 * 4096, Length: 4096 + 256 },
    ])
    expect(GetScatterGatherList(mdl, 4096, 4096, 2048)).to.deep.equal([
      { Address: 11 * 4096 + 256, Length: 2048 },
      { Address: 11 * 4096 + 2304, Length: 4096 - 2304 },
      { Address: 20 * 4096, Length: 256 },
    ])
    expect(() => GetScatterGatherList(mdl, 4096, mdl.ByteCount)).to.throw(/outside/)
  })
})

describe('wdm: IRQL of IRPs', () => {
  it('has DPCs complete IRPs in one exchange, without waiting for the acknowledgement', async () => {
    const pended: IRP[] = []
    let device: DEVICE_OBJECT
    const executive = fakeExecutive(async (DriverObject) => {
      DriverObject.MajorFunction[IRP_MJ.IRP_MJ_READ] = (_device, irp) => {
        pended.push(irp)
        return NT_STATUS.STATUS_PENDING
      }
      device = await IoCreateDevice(DriverObject, '\\Device\\a', 7, 0, false)
      const dpc = KeInitializeDpc(DriverObject, finishAll, undefined)
      await IoConnectInterrupt(device, INTERRUPT, async () => KeInsertQueueDpc(dpc), undefined)
      return NT_STATUS.STATUS_SUCCESS
    })
    const finishAll = () => {
      for (const irp of pended.splice(0)) completeIrp(irp, NT_STATUS.STATUS_SUCCESS, 0)
    }
    await executive.settle()
    for (let i = 0; i < 3; i++) executive.request({ Device: device!.handle, MajorFunction: IRP_MJ.IRP_MJ_READ })
    await executive.settle()
    executive.env.sel4.irqAck = () => new Promise(() => {})
    executive.env.interrupt(executive.env.sel4.bound.get(0x405)!)
    await executive.settle()
    expect(executive.exchanges).to.deep.equal([{ kind: 'pull', count: 3 }])
  })
})
