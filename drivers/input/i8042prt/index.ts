/**
 * i8042prt: the PS/2 keyboard port, function driver of PNP0303.
 *
 * START takes ports 0x60 (first) and 0x64 (second) and the interrupt from the resources. A next life does not initialise again:
 * the keyboard kept scanning, what waits in the controller is read as keys, and so is a byte that was read but not yet parked.
 */
import { forwardAndWait, passDown, removeFdo } from '#drivers/lib/pnp'
import { IRP_MJ, IRP_MN } from '#contracts/wdm'
import { NT_STATUS, NT_SUCCESS, type NTSTATUS, StatusError } from '#rtl'
import {
  type CM_PARTIAL_RESOURCE_DESCRIPTOR,
  completeIrp,
  type DEVICE_OBJECT,
  DO_BUFFERED_IO,
  type DRIVER_DISPATCH,
  type DRIVER_OBJECT,
  FILE_DEVICE_8042_PORT,
  IoAttachDeviceToDeviceStack,
  IoConnectInterrupt,
  IoCreateDevice,
  IoDisconnectInterrupt,
  IoEnablePorts,
  IoGetCurrentIrpStackLocation,
  type IRP,
  IoSetOutput,
  type KINTERRUPT,
  parkedState,
  parkState,
} from '#wdm'
import { Controller } from './controller.ts'
import { IOCTL_KEYBOARD_QUERY_ATTRIBUTES, IOCTL_KEYBOARD_QUERY_INDICATORS } from './hw.ts'
import { KeyQueue, QUEUE_MAX } from './keys.ts'
import { KeyboardPort, QUEUE_KEY } from './port.ts'

interface PortExtension {
  readonly LowerDevice: DEVICE_OBJECT
  port?: KeyboardPort
  interrupt?: KINTERRUPT
}
type Resource<K> = CM_PARTIAL_RESOURCE_DESCRIPTOR & { kind: K }
const extensionOf = (device: DEVICE_OBJECT): PortExtension => device.DeviceExtension as PortExtension
/** Parked when initialisation is complete. */
const RUNNING_KEY = 'running'
/** IO_STATUS_BLOCK.Information of an open. */
const FILE_OPENED = 1

export function DriverEntry(DriverObject: DRIVER_OBJECT): NTSTATUS {
  const { MajorFunction } = DriverObject
  DriverObject.DriverExtension.AddDevice = addDevice
  MajorFunction[IRP_MJ.IRP_MJ_CREATE] = (_device, irp) => completeIrp(irp, NT_STATUS.STATUS_SUCCESS, FILE_OPENED)
  MajorFunction[IRP_MJ.IRP_MJ_CLEANUP] = cleanup
  MajorFunction[IRP_MJ.IRP_MJ_READ] = read
  MajorFunction[IRP_MJ.IRP_MJ_FLUSH_BUFFERS] = (_device, irp) => completeIrp(irp, NT_STATUS.STATUS_SUCCESS, 0)
  MajorFunction[IRP_MJ.IRP_MJ_DEVICE_CONTROL] = control
  MajorFunction[IRP_MJ.IRP_MJ_INTERNAL_DEVICE_CONTROL] = control
  MajorFunction[IRP_MJ.IRP_MJ_PNP] = dispatchPnp
  MajorFunction[IRP_MJ.IRP_MJ_POWER] = (device, irp) => passDown(extensionOf(device).LowerDevice, irp)
  MajorFunction[IRP_MJ.IRP_MJ_SYSTEM_CONTROL] = (device, irp) => passDown(extensionOf(device).LowerDevice, irp)
  return NT_STATUS.STATUS_SUCCESS
}

async function addDevice(DriverObject: DRIVER_OBJECT, PhysicalDeviceObject: DEVICE_OBJECT): Promise<NTSTATUS> {
  const device = await IoCreateDevice(DriverObject, undefined, FILE_DEVICE_8042_PORT, 0, false, DO_BUFFERED_IO)
  const extension: PortExtension = { LowerDevice: await IoAttachDeviceToDeviceStack(device, PhysicalDeviceObject) }
  device.DeviceExtension = extension
  return NT_STATUS.STATUS_SUCCESS
}

// ---------------------------------------------------------------- PnP

const dispatchPnp: DRIVER_DISPATCH = (DeviceObject, Irp) => {
  switch (IoGetCurrentIrpStackLocation(Irp).MinorFunction) {
    case IRP_MN.IRP_MN_START_DEVICE:
      return start(DeviceObject, Irp)
    case IRP_MN.IRP_MN_STOP_DEVICE:
    case IRP_MN.IRP_MN_SURPRISE_REMOVAL:
      return stop(DeviceObject, Irp)
    case IRP_MN.IRP_MN_REMOVE_DEVICE:
      return remove(DeviceObject, Irp)
    default:
      return passDown(extensionOf(DeviceObject).LowerDevice, Irp)
  }
}

async function start(DeviceObject: DEVICE_OBJECT, Irp: IRP): Promise<NTSTATUS> {
  const { Parameters } = IoGetCurrentIrpStackLocation(Irp)
  const resources = Parameters.kind === 'StartDevice' ? Parameters.AllocatedResourcesTranslated : []
  const status = await forwardAndWait(DeviceObject.DriverObject, extensionOf(DeviceObject).LowerDevice, Irp)
  if (NT_SUCCESS(status) && !extensionOf(DeviceObject).port) await startKeyboard(DeviceObject, resources)
  return completeIrp(Irp, status)
}

async function startKeyboard(
  device: DEVICE_OBJECT,
  resources: readonly CM_PARTIAL_RESOURCE_DESCRIPTOR[],
): Promise<void> {
  const [data, command] = resources.filter((one): one is Resource<'Port'> => one.kind === 'Port')
  const irq = resources.find((one): one is Resource<'Interrupt'> => one.kind === 'Interrupt')
  if (!data || !command || !irq)
    throw new StatusError('STATUS_INVALID_PARAMETER', 'two ports and an interrupt are needed')
  const { DriverObject } = device
  const controller = new Controller(
    DriverObject,
    await IoEnablePorts(device, data),
    await IoEnablePorts(device, command),
  )
  const { queue, ran } = await begin(DriverObject, controller)
  const port = new KeyboardPort(device, controller, queue)
  await port.park()
  if (ran) await controller.resume()
  const extension = extensionOf(device)
  extension.port = port
  extension.interrupt = await IoConnectInterrupt(device, irq, () => port.service(), undefined)
  await port.service()
}

/** Answers the keys an earlier life had not handed out; the controller is set up, or as that life left it. */
async function begin(DriverObject: DRIVER_OBJECT, controller: Controller): Promise<{ queue: KeyQueue; ran: boolean }> {
  const ran = DriverObject.birth === 'restart' && (await parkedState(DriverObject, RUNNING_KEY)).length > 0
  if (ran) return { queue: await recover(DriverObject, controller), ran }
  await controller.initialize()
  await parkState(DriverObject, RUNNING_KEY, Uint8Array.of(1))
  return { queue: new KeyQueue(), ran }
}
/** A byte that was taken and is not parked is the one the controller still shows. */
async function recover(DriverObject: DRIVER_OBJECT, controller: Controller): Promise<KeyQueue> {
  const queue = KeyQueue.restored(await parkedState(DriverObject, QUEUE_KEY))
  const shown = await controller.shownByte()
  if (shown !== undefined && shown !== queue.last) queue.take(shown)
  return queue
}

async function halt(DeviceObject: DEVICE_OBJECT): Promise<void> {
  const extension = extensionOf(DeviceObject)
  const { interrupt, port } = extension
  extension.interrupt = undefined
  extension.port = undefined
  if (interrupt) await IoDisconnectInterrupt(interrupt)
  port?.endAll()
  await parkState(DeviceObject.DriverObject, RUNNING_KEY, new Uint8Array(0))
}
async function stop(DeviceObject: DEVICE_OBJECT, Irp: IRP): Promise<NTSTATUS> {
  await halt(DeviceObject)
  return passDown(extensionOf(DeviceObject).LowerDevice, Irp)
}
async function remove(DeviceObject: DEVICE_OBJECT, Irp: IRP): Promise<NTSTATUS> {
  await halt(DeviceObject)
  return removeFdo(DeviceObject, extensionOf(DeviceObject).LowerDevice, Irp)
}

// ---------------------------------------------------------------- requests

const read: DRIVER_DISPATCH = (DeviceObject, Irp) =>
  extensionOf(DeviceObject).port?.read(Irp) ?? completeIrp(Irp, NT_STATUS.STATUS_DEVICE_NOT_READY, 0)

const cleanup: DRIVER_DISPATCH = (DeviceObject, Irp) => {
  extensionOf(DeviceObject).port?.cleanup(IoGetCurrentIrpStackLocation(Irp).FileObject)
  return completeIrp(Irp, NT_STATUS.STATUS_SUCCESS, 0)
}

const control: DRIVER_DISPATCH = (_DeviceObject, Irp) => {
  const { Parameters } = IoGetCurrentIrpStackLocation(Irp)
  const answer = Parameters.kind === 'DeviceIoControl' ? ANSWERS[Parameters.IoControlCode] : undefined
  if (!answer) return completeIrp(Irp, NT_STATUS.STATUS_INVALID_DEVICE_REQUEST, 0)
  if (Irp.OutputLength < answer.length) return completeIrp(Irp, NT_STATUS.STATUS_BUFFER_TOO_SMALL, 0)
  IoSetOutput(Irp, Uint8Array.from(answer))
  return completeIrp(Irp, NT_STATUS.STATUS_SUCCESS)
}
const u16 = (value: number): number[] => [value & 0xff, value >> 8]
/**
 * KEYBOARD_ATTRIBUTES: type 4 (enhanced 101/102), subtype 0, scan code set 1, 12 function keys, 3 indicators, 101 keys, queue, then
 * typematic limits {unit, rate, delay} least and most; KEYBOARD_INDICATOR_PARAMETERS: unit, none lit. ntddkbd.h
 */
const ANSWERS: Readonly<Record<number, readonly number[]>> = {
  [IOCTL_KEYBOARD_QUERY_ATTRIBUTES]: [
    ...[4, 0, 1, 0],
    ...[12, 3, 101].flatMap(u16),
    ...[0, 0, QUEUE_MAX, 0, 0, 0],
    ...[0, 2, 250].flatMap(u16),
    ...[0, 30, 1000].flatMap(u16),
  ],
  [IOCTL_KEYBOARD_QUERY_INDICATORS]: [...u16(0), ...u16(0)],
}
