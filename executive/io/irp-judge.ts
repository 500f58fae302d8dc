/**
 * What a driver says, judged: each function answers with the reason why a packet is a lie, or undefined.
 *
 * A driver may name its own devices and those it was told of, IRPs it holds, memory of its own arena, and parts of buffers it was
 * shown; it may not ask for what only the Executive asks for, nor answer what was not asked.
 */
import { type DriverPacket, IRP_MJ, NOTIFY, type Response } from '#contracts/wdm'
import type { Executive } from '../executive.ts'
import type { DriverObject } from './driver.ts'
import type { Irp, Level } from './irp.ts'
import {
  inputLengthOf,
  lengthOf,
  type Mdl,
  mayOriginate,
  mdlOf,
  parametersSuit,
  sliceMdl,
  unfit,
} from './irp-checks.ts'

export type Packet<K extends DriverPacket['kind']> = Extract<DriverPacket, { kind: K }>

/** What the contract's MDL can describe whatever the alignment. */
const MDL_MAX = 1 << 20
/** Requests one driver may have outstanding of its own. */
const OWN_REQUESTS_MAX = 4096
const ALL_OUTCOMES = NOTIFY.OnSuccess | NOTIFY.OnError | NOTIFY.OnCancel
export const wantsAny = (notify: number): boolean => (notify & ALL_OUTCOMES) !== 0

export class PacketJudge {
  private readonly ex: Executive
  constructor(ex: Executive) {
    this.ex = ex
  }

  ofRequest(driver: DriverObject, packet: Packet<'NewRequest'>): string | undefined {
    const { LocalId, MajorFunction, MinorFunction, Parameters, Buffer } = packet
    if (driver.requests.has(LocalId)) return `request ${LocalId} is outstanding already`
    if (driver.requests.size >= OWN_REQUESTS_MAX) return `more than ${OWN_REQUESTS_MAX} requests outstanding`
    if (!this.mayName(driver, packet.Device)) return `request to device ${packet.Device}, which it was never told of`
    if (!mayOriginate(MajorFunction, MinorFunction)) return `request with major ${MajorFunction}/${MinorFunction}`
    if (!parametersSuit(MajorFunction, MinorFunction, Parameters))
      return `${Parameters.kind} parameters for major ${MajorFunction}`
    const room = Buffer.kind === 'None' ? 0 : Buffer.Length
    if (lengthOf(Parameters) > Math.max(room, packet.OutputLength, packet.Input?.byteLength ?? 0))
      return 'longer than its buffer'
    if (inputLengthOf(Parameters) > (packet.Input?.byteLength ?? 0)) return 'input longer than given'
    return this.lieOfBuffer(driver, Buffer)
  }
  private lieOfBuffer(driver: DriverObject, buffer: Packet<'NewRequest'>['Buffer']): string | undefined {
    if (buffer.kind === 'Arena') {
      const arena = driver.process.child?.arena
      const offset = arena ? buffer.Address - arena.virtualAddress : -1
      if (buffer.Length > MDL_MAX) return 'buffer longer than an MDL may be'
      return arena && offset >= 0 && offset + buffer.Length <= arena.length ? undefined : 'buffer outside of its arena'
    }
    if (buffer.kind === 'None') return undefined
    const level = this.levelOf(driver, buffer.Id)
    if (!level) return `buffer of IRP ${buffer.Id}, which it does not hold`
    return buffer.Offset + buffer.Length <= level.length ? undefined : `outside of the buffer of IRP ${buffer.Id}`
  }
  /** The pages a checked request names. */
  bufferOf(driver: DriverObject, packet: Packet<'NewRequest'>): Mdl | undefined {
    const { Buffer } = packet
    if (Buffer.kind === 'None') return undefined
    if (Buffer.kind === 'Arena')
      return mdlOf(driver.process.buffer(Buffer.Address, Buffer.Length).physicalAddress, Buffer.Length)
    const level = this.levelOf(driver, Buffer.Id) as Level
    const { mdl } = (driver.irps.get(Buffer.Id) as Irp).request
    return mdl && sliceMdl(mdl, level.offset + Buffer.Offset, Buffer.Length)
  }
  private levelOf(driver: DriverObject, id: number): Level | undefined {
    return driver.irps.get(id)?.levels.find((level) => level.driver === driver)
  }
  /** Its own device, or one it was told of, even when that is gone by now. */
  private mayName(driver: DriverObject, handle: number): boolean {
    return driver.known.has(handle) || this.ex.io.deviceByHandle(handle)?.driver === driver
  }
  ofForward(driver: DriverObject, packet: Packet<'Forward'>, irp?: Irp, level?: Level): string | undefined {
    if (!irp || !level || level.driver !== driver || !level.sent)
      return `forwards IRP ${packet.Id}, which it does not hold`
    if (!this.mayName(driver, packet.Device)) return `forwards to device ${packet.Device}, which it was never told of`
    if (this.ex.io.deviceByHandle(packet.Device)?.driver === driver) return 'forwards to a device of its own'
    if (packet.MajorFunction === IRP_MJ.IRP_MJ_ADD_DEVICE) return 'forwards AddDevice'
    if (!parametersSuit(packet.MajorFunction, packet.MinorFunction, packet.Parameters))
      return `${packet.Parameters.kind} parameters for major ${packet.MajorFunction}`
    const changed = packet.MajorFunction !== level.major || packet.MinorFunction !== level.minor
    if (changed && !wantsAny(packet.Notify)) return 'makes another request of an IRP and wants no notice'
    if (inputLengthOf(packet.Parameters) > (irp.request.input?.byteLength ?? 0)) return 'input longer than given'
    if (!irp.request.mdl) return undefined
    if (packet.BufferOffset + packet.BufferLength > level.length) return `outside of the buffer of IRP ${packet.Id}`
    return lengthOf(packet.Parameters) > packet.BufferLength ? 'longer than its buffer' : undefined
  }

  private lieOfDevices(driver: DriverObject, response: Response | undefined): string | undefined {
    if (response?.kind === 'Devices') {
      const stranger = response.Devices.find(
        (handle) => this.ex.io.deviceByHandle(handle) && !this.mayName(driver, handle),
      )
      return stranger === undefined ? undefined : `names device ${stranger}, which it was never told of`
    }
    if (response?.kind !== 'VolumeMounted') return undefined
    const volume = this.ex.io.deviceByHandle(response.VolumeDevice)
    return volume?.driver === driver
      ? undefined
      : `mounted a volume on device ${response.VolumeDevice}, which is not its own`
  }
  ofCompletion(
    driver: DriverObject,
    { Status, Information, Response }: Packet<'Complete'>,
    irp: Irp,
    level: Level,
  ): string | undefined {
    const { major, minor, parameters } = level
    const bufferLength = irp.request.mdl ? level.length : -1
    const asked = { major, minor, parameters, bufferLength, outputLength: irp.request.outputLength ?? 0 }
    return unfit(asked, Status, Information, Response) ?? this.lieOfDevices(driver, Response)
  }
}
