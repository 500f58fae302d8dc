/** IRPs through the host: local stacks, forwards with and without notice, order of completion, cancel, defects. */
import { IRP_MJ } from '#contracts/wdm'
import { NT_STATUS, StatusError } from '#rtl'
import { expect } from 'chai'
import { fakeExecutive } from './fake-executive.ts'
import {
  completeIrp,
  type DEVICE_OBJECT,
  type DRIVER_DISPATCH,
  type DRIVER_OBJECT,
  IoAllocateIrp,
  IoAttachDeviceToDeviceStack,
  IoCallDriver,
  IoCallDriverSynchronous,
  IoCompleteRequest,
  IoCopyCurrentIrpStackLocationToNext,
  IoCreateDevice,
  IoGetCurrentIrpStackLocation,
  IoGetDeviceObjectPointer,
  IoMarkIrpPending,
  type IRP,
  type KEVENT,
  IoSetBufferWindow,
  IoSetCancelRoutine,
  IoSetCompletionRoutine,
  IoSetOutput,
  IoSkipCurrentIrpStackLocation,
  KeInitializeEvent,
  KeSetEvent,
  KeWaitForSingleObject,
} from './index.ts'

const { STATUS_SUCCESS, STATUS_PENDING, STATUS_CANCELLED, STATUS_MORE_PROCESSING_REQUIRED } = NT_STATUS
const { IRP_MJ_READ, IRP_MJ_CREATE, IRP_MJ_DEVICE_CONTROL, IRP_MJ_PNP, IRP_MJ_CLOSE } = IRP_MJ
const READ = { kind: 'Read' as const, Length: 8192, Key: 0, ByteOffset: 4096 }
const MDL = { ByteOffset: 512, ByteCount: 8192, Runs: [0x100, 2, 0x200, 1] }

const wake = (event: KEVENT) => () => {
  KeSetEvent(event)
  return STATUS_MORE_PROCESSING_REQUIRED
}
/** A driver of one device `\Device\a`, with the routines a test gives; `lower` is a device of someone else. */
async function driver(major: Record<number, DRIVER_DISPATCH>, more?: (driver: DRIVER_OBJECT) => Promise<void>) {
  let lower: DEVICE_OBJECT
  const executive = fakeExecutive(
    async (DriverObject) => {
      Object.assign(DriverObject.MajorFunction, major)
      await IoCreateDevice(DriverObject, '\\Device\\a', 0x22, 0, false)
      lower = await IoGetDeviceObjectPointer(DriverObject, '\\Device\\lower')
      await more?.(DriverObject)
      return STATUS_SUCCESS
    },
    { arenaBytes: 1 << 20 },
  )
  executive.foreign(7, '\\Device\\lower')
  await executive.settle()
  return { executive, Device: executive.named('\\Device\\a').handle, lower: lower! }
}

/** Keeps what comes, for the test to complete. */
const pendTo =
  (pended: IRP[]): DRIVER_DISPATCH =>
  (_device, irp) => {
    IoMarkIrpPending(irp)
    pended.push(irp)
    return STATUS_PENDING
  }

describe('wdm: IRPs', () => {
  it('publishes devices when DriverEntry is done, and answers empty slots', async () => {
    const { executive, Device } = await driver({})
    expect(executive.named('\\Device\\a').flags & 0x80).to.equal(0)
    expect((await executive.perform({ Device, MajorFunction: IRP_MJ_CREATE })).Status).to.equal(STATUS_SUCCESS)
    const control = await executive.perform({ Device, MajorFunction: IRP_MJ_DEVICE_CONTROL })
    expect(control.Status).to.equal(NT_STATUS.STATUS_INVALID_DEVICE_REQUEST)
    const unknown = await executive.perform({ Device: 0x999, MajorFunction: IRP_MJ_READ })
    expect(unknown.Status).to.equal(NT_STATUS.STATUS_NO_SUCH_DEVICE)
  })
  it('completes with output, in order, one send for what one turn produced', async () => {
    const pended: IRP[] = []
    const { executive, Device } = await driver({
      [IRP_MJ_READ]: pendTo(pended),
      [IRP_MJ_DEVICE_CONTROL]: (_device, irp) => {
        for (const read of pended.splice(0)) {
          IoSetOutput(read, Uint8Array.of(1, 2, 3))
          completeIrp(read, STATUS_SUCCESS)
        }
        return completeIrp(irp, STATUS_SUCCESS, 0)
      },
    })
    const ids = [1, 2].map(() => executive.request({ Device, MajorFunction: IRP_MJ_READ, OutputLength: 12 }))
    await executive.settle()
    ids.push(executive.request({ Device, MajorFunction: IRP_MJ_DEVICE_CONTROL }))
    await executive.settle()
    expect(executive.sent('Complete').map(({ Id }) => Id)).to.deep.equal(ids)
    expect(executive.completed(ids[0])?.Information).to.equal(3)
    expect(executive.exchanges).to.deep.equal([{ kind: 'pull', count: 3 }])
  })
  it('needs one message for a request it answers later: the answer parks the next pull', async () => {
    const pended: IRP[] = []
    const { executive, Device } = await driver({
      [IRP_MJ_READ]: pendTo(pended),
    })
    const finish = async () => {
      completeIrp(pended.shift()!, STATUS_SUCCESS, 0)
      await executive.settle()
    }
    const parked: number[] = []
    for (let i = 0; i < 2; i++) {
      executive.request({ Device, MajorFunction: IRP_MJ_READ })
      await executive.settle()
      parked.push(executive.pullsParked)
      await finish()
      parked.push(executive.pullsParked)
    }
    expect(parked).to.deep.equal([1, 2, 1, 2])
    for (let i = 0; i < 2; i++) executive.request({ Device, MajorFunction: IRP_MJ_READ })
    await executive.settle()
    await finish()
    await finish()
    expect(executive.exchanges.map(({ kind }) => kind)).to.deep.equal(['pull', 'pull', 'pull', 'send'])
  })
  it('forwards without notice and forgets the IRP', async () => {
    const { executive, Device, lower } = await driver({
      [IRP_MJ_READ]: (_device, irp) => {
        IoSkipCurrentIrpStackLocation(irp)
        return IoCallDriver(lower, irp)
      },
    })
    const Id = executive.request({ Device, MajorFunction: IRP_MJ_READ, Parameters: READ, Mdl: MDL })
    await executive.settle()
    const [packet] = executive.sent('Forward')
    expect(packet).to.include({ Id, Device: lower.handle, Notify: 0, BufferOffset: 0, BufferLength: 8192 })
    executive.deliver({ kind: 'Cancel', Id })
    await executive.settle()
    expect(executive.sent('Complete')).to.deep.equal([])
  })
  it('forwards with notice, a narrowed buffer and other parameters; completion resumes', async () => {
    const seen: string[] = []
    const { executive, Device, lower } = await driver({
      [IRP_MJ_READ]: (_device, irp) => {
        IoCopyCurrentIrpStackLocationToNext(irp)
        IoSetBufferWindow(irp, 512, 1024)
        IoSetCompletionRoutine(
          irp,
          (_d, done) => (seen.push(`done ${done.IoStatus.Information}`) ? STATUS_SUCCESS : STATUS_PENDING),
          undefined,
          true,
          true,
          true,
        )
        return IoCallDriver(lower, irp)
      },
    })
    executive.onForward = () => ({ Status: STATUS_SUCCESS, Information: 1024 })
    const done = await executive.perform({
      Device,
      MajorFunction: IRP_MJ_READ,
      Parameters: READ,
      Mdl: MDL,
      Flags: 0x100,
    })
    expect(executive.sent('Forward')[0]).to.include({ Notify: 7, BufferOffset: 512, BufferLength: 1024, Flags: 0x100 })
    expect(seen).to.deep.equal(['done 1024'])
    expect(done).to.include({ Status: STATUS_SUCCESS, Information: 1024 })
  })
  it('waits below and then goes on (MORE_PROCESSING_REQUIRED), and a StatusError is the result', async () => {
    let object: DRIVER_OBJECT
    const { executive, Device, lower } = await driver(
      {
        [IRP_MJ_PNP]: async (_device, irp) => {
          const event = KeInitializeEvent(object, 'NotificationEvent', false)
          IoCopyCurrentIrpStackLocationToNext(irp)
          IoSetCompletionRoutine(irp, wake(event), undefined, true, true, true)
          if ((await IoCallDriver(lower, irp)) === STATUS_PENDING) await KeWaitForSingleObject(event)
          throw new StatusError('STATUS_IO_DEVICE_ERROR')
        },
      },
      async (DriverObject) => void (object = DriverObject),
    )
    executive.onForward = () => ({ Status: STATUS_SUCCESS })
    const done = await executive.perform({ Device, MajorFunction: IRP_MJ_PNP })
    expect(done.Status).to.equal(NT_STATUS.STATUS_IO_DEVICE_ERROR)
  })
  it('dispatches to its own lower device by a call, narrowed, with completion routines upwards', async () => {
    const order: string[] = []
    let upper: DEVICE_OBJECT
    let lowest: DEVICE_OBJECT
    const { executive } = await driver(
      {
        [IRP_MJ_READ]: (device, irp) => {
          if (device === upper) {
            IoCopyCurrentIrpStackLocationToNext(irp)
            IoSetBufferWindow(irp, 4096, 512)
            IoSetCompletionRoutine(
              irp,
              (d) => (order.push(d === upper ? 'upper' : 'other') ? STATUS_SUCCESS : STATUS_PENDING),
              undefined,
              true,
              true,
              true,
            )
            return IoCallDriver(lowest, irp)
          }
          order.push(`lower ${irp.MdlAddress?.ByteCount} ${irp.MdlAddress?.Runs}`)
          return completeIrp(irp, STATUS_SUCCESS, 512)
        },
      },
      async (DriverObject) => {
        upper = await IoCreateDevice(DriverObject, '\\Device\\upper', 0x22, 0, false)
        lowest = await IoCreateDevice(DriverObject, '\\Device\\lowest', 0x22, 0, false)
        await IoAttachDeviceToDeviceStack(upper, lowest)
        expect(upper.StackSize).to.equal(2)
      },
    )
    const id = executive.named('\\Device\\upper').handle
    const done = await executive.perform({ Device: id, MajorFunction: IRP_MJ_READ, Parameters: READ, Mdl: MDL })
    expect(order).to.deep.equal(['lower 512 257,1', 'upper'])
    expect(done.Information).to.equal(512)
    expect(executive.sent('Forward')).to.deep.equal([])
  })
  it('cancels what is pended, and what it asked of others', async () => {
    const { executive, Device } = await driver({
      [IRP_MJ_READ]: (_device, irp) => {
        IoSetCancelRoutine(irp, (_d, cancelled) => void completeIrp(cancelled, STATUS_CANCELLED, 0))
        return STATUS_PENDING
      },
    })
    const Id = executive.request({ Device, MajorFunction: IRP_MJ_READ })
    await executive.settle()
    executive.deliver({ kind: 'Cancel', Id })
    expect((await executive.complete(Id)).Status).to.equal(STATUS_CANCELLED)
    executive.deliver({ kind: 'Cancel', Id })
    await executive.settle()
    expect(executive.env.ended).to.equal(undefined)
  })
  it('originates IRPs, of its arena and of a part of an IRP it holds', async () => {
    const { executive, Device, lower } = await driver({
      [IRP_MJ_READ]: async (device, irp) => {
        const stack = { MajorFunction: IRP_MJ_READ, Parameters: READ }
        const child = IoAllocateIrp(device.DriverObject, stack, { partial: { Irp: irp, offset: 1024, length: 512 } })
        const result = await IoCallDriverSynchronous(lower, child)
        return completeIrp(irp, result.Status, result.Information)
      },
    })
    executive.onNewRequest = () => ({ Status: NT_STATUS.STATUS_DEVICE_DATA_ERROR, Information: 7 })
    const done = await executive.perform({ Device, MajorFunction: IRP_MJ_READ, Mdl: MDL })
    expect(executive.sent('NewRequest')[0].Buffer).to.deep.equal({
      kind: 'Partial',
      Id: done.Id,
      Offset: 1024,
      Length: 512,
    })
    expect(done).to.include({ Status: NT_STATUS.STATUS_DEVICE_DATA_ERROR, Information: 7 })
  })
  it('knows a file from create to close', async () => {
    const seen: unknown[] = []
    const note: DRIVER_DISPATCH = (_device, irp) => {
      const { FileObject, MajorFunction } = IoGetCurrentIrpStackLocation(irp)
      if (FileObject) FileObject.FsContext ??= 'context'
      seen.push([MajorFunction, FileObject?.FileName, FileObject?.FsContext])
      return completeIrp(irp, STATUS_SUCCESS)
    }
    const { executive, Device } = await driver({ [IRP_MJ_CREATE]: note, [IRP_MJ_READ]: note, [IRP_MJ_CLOSE]: note })
    const Create = {
      kind: 'Create' as const,
      FileName: '\\x',
      DesiredAccess: 0,
      CreateDisposition: 1,
      CreateOptions: 0,
      FileAttributes: 0,
      ShareAccess: 0,
      AllocationSize: 0,
      OpenTargetDirectory: false,
      Rebind: false,
    }
    await executive.perform({ Device, File: 9, MajorFunction: IRP_MJ_CREATE, Parameters: Create })
    await executive.perform({ Device, File: 9, MajorFunction: IRP_MJ_READ })
    executive.deliver({ kind: 'CloseFile', File: 9 })
    await executive.settle()
    await executive.perform({ Device, File: 9, MajorFunction: IRP_MJ_READ })
    expect(seen).to.deep.equal([
      [0, '\\x', 'context'],
      [3, '\\x', 'context'],
      [2, '\\x', 'context'],
      [3, undefined, undefined],
    ])
  })
  it('ends with an epitaph for an IRP that was neither completed nor passed on, or completed twice', async () => {
    const lost = await driver({ [IRP_MJ_READ]: () => STATUS_SUCCESS })
    lost.executive.request({ Device: lost.Device, MajorFunction: IRP_MJ_READ })
    expect((await lost.executive.ended).message).to.match(/STATUS_SUCCESS but neither completed nor passed on/)
    const twice = await driver({
      [IRP_MJ_READ]: (_device, irp) => {
        completeIrp(irp, STATUS_SUCCESS)
        IoCompleteRequest(irp)
        return STATUS_SUCCESS
      },
    })
    twice.executive.request({ Device: twice.Device, MajorFunction: IRP_MJ_READ })
    expect((await twice.executive.ended).message).to.match(/IoCompleteRequest: .* is done/)
    expect(twice.executive.sent('Complete')).to.deep.equal([])
  })
  it('tells why DriverEntry failed', async () => {
    const executive = fakeExecutive(() => {
      throw new StatusError('STATUS_NO_SUCH_DEVICE')
    })
    expect((await executive.ended).message).to.match(/DriverEntry: STATUS_NO_SUCH_DEVICE/)
    expect(executive.failedEntry).to.equal(NT_STATUS.STATUS_NO_SUCH_DEVICE)
  })
})
