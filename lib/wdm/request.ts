/**
 * IRPs of this driver's own: made here, sent to any device, waited for.
 *
 *   IoAllocateIrp             its data is nothing, memory of the arena, or a part of the pages of an IRP the driver holds
 *   IoCallDriverSynchronous   sends it and answers with its result, whatever that is
 */
import type { COMMON_BUFFER, DEVICE_OBJECT, DRIVER_OBJECT, IO_STACK_LOCATION, IRP, MDL } from './api.ts'
import { IoCallDriver } from './call.ts'
import { type Buffer, describe, Irp, irpOf, sliceBuffer } from './irp.ts'
import { mdlOfRun, sliceMdl } from './mdl.ts'
import { hostOf } from './objects.ts'

export interface AllocateOptions {
  input?: Uint8Array
  outputLength?: number
  buffer?: COMMON_BUFFER | { bytes: Uint8Array; VirtualAddress: number }
  partial?: { Irp: IRP; offset: number; length: number }
}
export function IoAllocateIrp(
  DriverObject: DRIVER_OBJECT,
  stack: Partial<IO_STACK_LOCATION> & Pick<IO_STACK_LOCATION, 'MajorFunction' | 'Parameters'>,
  options: AllocateOptions = {},
): IRP {
  const host = hostOf(DriverObject)
  const irp = new Irp(host, {
    origin: 'driver',
    input: options.input,
    outputLength: options.outputLength,
    ...bufferOf(host.arena.physical.bind(host.arena), options),
  })
  Object.assign(irp.next(), stack)
  return irp
}

function bufferOf(
  physical: (address: number, length: number) => number,
  { buffer, partial }: AllocateOptions,
): { buffer?: Buffer; mdl?: MDL } {
  if (buffer) {
    const { VirtualAddress: Address, bytes } = buffer
    const mdl = mdlOfRun(physical(Address, bytes.length), bytes.length)
    return { buffer: { kind: 'Arena', Address, Length: bytes.length }, mdl }
  }
  return partial ? partOf(irpOf(partial.Irp), partial) : {}
}
function partOf(master: Irp, part: { offset: number; length: number }): { buffer: Buffer; mdl: MDL } {
  if (!master.MdlAddress) throw new Error(`a part of the ${describe(master)}, which has no pages`)
  const window = { offset: master.window.offset + part.offset, length: part.length }
  const mdl = sliceMdl(master.MdlAddress, part.offset, part.length)
  if (master.origin === 'driver') return { buffer: sliceBuffer(master.buffer, window), mdl }
  return { buffer: { kind: 'Partial', Id: master.id, Offset: window.offset, Length: window.length }, mdl }
}

export async function IoCallDriverSynchronous(DeviceObject: DEVICE_OBJECT, Irp: IRP) {
  const irp = irpOf(Irp)
  irp.host.scheduler.requirePassive('IoCallDriverSynchronous')
  if (irp.origin !== 'driver') throw new Error("IoCallDriverSynchronous of an IRP that is not the driver's own")
  const ended = new Promise<void>((resolve) => (irp.ended = resolve))
  await IoCallDriver(DeviceObject, irp)
  await ended
  const { Status, Information } = irp.IoStatus
  const output = irp.response?.kind === 'Data' ? irp.response.Bytes : undefined
  return { Status, Information, output, response: irp.response }
}
