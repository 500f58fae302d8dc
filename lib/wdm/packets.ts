/**
 * What the Executive sent becomes work: one job per packet, in order.
 *
 * Request starts an IRP, Cancel and IoCompleted touch one this process still knows (a packet that crossed with our own is old news),
 * CloseFile and ForceDismount become IRPs that never leave this process.
 */
import { IRP_MJ, IRP_MN, type ServerPacket } from '#contracts/wdm'
import { NT_STATUS, type NTSTATUS, StatusError } from '#rtl'
import { cancel, completeIrp, IoCallDriver, unwind } from './call.ts'
import { FSCTL_DISMOUNT_VOLUME, SL_MASK } from './constants.ts'
import type { DriverHost } from './host.ts'
import { Irp } from './irp.ts'
import { type Device, File } from './objects.ts'
import { answered, left, received } from './watching.ts'

type PacketOf<K extends ServerPacket['kind']> = Extract<ServerPacket, { kind: K }>
type Request = PacketOf<'Request'>

export function receivePackets(host: DriverHost, packets: readonly ServerPacket[]): void {
  for (const packet of packets) host.scheduler.dispatch(() => receive(host, packet))
  host.scheduler.pump()
}

function receive(host: DriverHost, packet: ServerPacket): void | Promise<unknown> {
  switch (packet.kind) {
    case 'Request':
      return request(host, packet)
    case 'Cancel':
      return cancelHeld(host, packet)
    case 'IoCompleted':
      return completed(host, packet)
    case 'IrpOver':
      return over(host, packet)
    case 'CloseFile':
      return closeFile(host, packet)
    case 'CloseDevice':
      if (!host.devices.get(packet.Device)?.own) host.devices.delete(packet.Device)
      return undefined
    case 'ForceDismount':
      return dismount(host, packet)
  }
}

// ---------------------------------------------------------------- requests

function request(host: DriverHost, packet: Request): void | Promise<unknown> {
  const irp = new Irp(host, {
    origin: 'executive',
    id: packet.Id,
    input: packet.Input,
    mdl: packet.Mdl,
    outputLength: packet.OutputLength,
    flags: packet.Flags,
  })
  host.held.set(packet.Id, irp)
  return received(irp, packet, () => begin(host, irp, packet))
}
function begin(host: DriverHost, irp: Irp, packet: Request): void | Promise<unknown> {
  if (packet.MajorFunction === IRP_MJ.IRP_MJ_ADD_DEVICE) return addDevice(host, irp, packet)
  const device = host.devices.get(packet.Device)
  Object.assign(irp.next(), {
    MajorFunction: packet.MajorFunction,
    MinorFunction: packet.MinorFunction,
    Flags: packet.Flags & SL_MASK,
    Parameters: packet.Parameters,
    FileObject: fileOf(host, packet, device),
  })
  return device?.own ? start(device, irp) : void refuse(irp)
}
/** The last thing that may go wrong in a task is a defect; the scheduler ends the process for it. */
function start(device: Device, irp: Irp): void | Promise<unknown> {
  const result = IoCallDriver(device, irp)
  return result instanceof Promise ? result : undefined
}
function refuse(irp: Irp): NTSTATUS {
  return completeIrp(irp, NT_STATUS.STATUS_NO_SUCH_DEVICE, 0)
}

function fileOf(host: DriverHost, packet: Request, device: Device | undefined): File | undefined {
  const known = host.files.get(packet.File)
  if (known || !packet.File || !device || packet.Parameters.kind !== 'Create') return known
  const file = new File(packet.File, device, packet.Parameters.FileName)
  host.files.set(packet.File, file)
  return file
}

async function addDevice(host: DriverHost, irp: Irp, packet: Request): Promise<void> {
  const status = await callAddDevice(host, packet)
  await host.publishDevices()
  completeIrp(irp, status, 0)
}
async function callAddDevice(host: DriverHost, { Parameters }: Request): Promise<NTSTATUS> {
  const { AddDevice } = host.driver.DriverExtension
  if (!AddDevice || Parameters.kind !== 'AddDevice') return NT_STATUS.STATUS_INVALID_DEVICE_REQUEST
  try {
    return await AddDevice(host.driver, await host.foreign(Parameters.PhysicalDevice))
  } catch (error) {
    if (error instanceof StatusError) return error.status
    throw error
  }
}

// ---------------------------------------------------------------- about IRPs known

function cancelHeld(host: DriverHost, { Id }: PacketOf<'Cancel'>): void {
  const irp = host.held.get(Id)
  if (irp) cancel(irp)
}

function completed(host: DriverHost, packet: PacketOf<'IoCompleted'>): void {
  const irp = (packet.Local ? host.requests : host.held).get(packet.Id)
  if (irp?.state !== 'forwarded') return
  if (packet.Local) host.requests.delete(packet.Id)
  irp.IoStatus.Status = packet.Status
  irp.IoStatus.Information = packet.Information
  irp.response = packet.Response
  answered(irp, packet, () => unwind(irp))
}

/** It ended as no routine here wanted to know. */
function over(host: DriverHost, { Id }: PacketOf<'IrpOver'>): void {
  const irp = host.held.get(Id)
  if (irp?.state !== 'forwarded') return
  irp.state = 'done'
  host.held.delete(Id)
  left(irp, true)
  irp.ended?.()
}

// ---------------------------------------------------------------- IRPs of this process only

function local(device: Device, stack: Partial<ReturnType<Irp['next']>>, ended?: () => void): void | Promise<unknown> {
  const irp = new Irp(device.DriverObject.host, { origin: 'local' })
  irp.ended = ended
  Object.assign(irp.next(), stack)
  return start(device, irp)
}

function closeFile(host: DriverHost, packet: PacketOf<'CloseFile'>): void | Promise<unknown> {
  const file = host.files.get(packet.File)
  if (!file) return undefined
  const forget = () => void host.files.delete(packet.File)
  return local(file.DeviceObject as Device, { MajorFunction: IRP_MJ.IRP_MJ_CLOSE, FileObject: file }, forget)
}

function dismount(host: DriverHost, { Volume }: PacketOf<'ForceDismount'>): void | Promise<unknown> {
  const device = host.devices.get(Volume)
  if (!device?.own) return undefined
  return local(device, {
    MajorFunction: IRP_MJ.IRP_MJ_FILE_SYSTEM_CONTROL,
    MinorFunction: IRP_MN.IRP_MN_USER_FS_REQUEST,
    Parameters: {
      kind: 'FileSystemControl',
      OutputBufferLength: 0,
      InputBufferLength: 0,
      FsControlCode: FSCTL_DISMOUNT_VOLUME,
    },
  })
}
