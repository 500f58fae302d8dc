/**
 * What drivers are told of IRPs, as packets; the handles a packet names become known to its receiver.
 *
 *   request(irp, level)           do this: to a level's driver, in its present or its next life
 *   notice(irp, driver, outcome)  what you forwarded is done: to a driver that waits
 *   answer(irp, driver, outcome)  what you asked for is done
 *
 * Who owns an IRP is not its affair; see irp-table.ts.
 */
import type { Parameters, Response } from '#contracts/wdm'
import { IRP_MJ, IRP_MN } from '#contracts/wdm'
import type { Trace } from '#sel4/api'
import type { Executive } from '../executive.ts'
import type { DriverObject } from './driver.ts'
import type { Irp, IrpResult, Level } from './irp.ts'
import { sliceMdl } from './irp-checks.ts'

export class IrpDelivery {
  private readonly ex: Executive
  constructor(ex: Executive) {
    this.ex = ex
  }
  private get trace(): Trace | undefined {
    return this.ex.env.sel4.trace
  }

  request(irp: Irp, level: Level): void {
    const { driver, device, parameters } = level
    level.sent = level.recalled = false
    level.life = driver.life
    this.grantNamed(driver, parameters)
    level.context?.leave()
    level.context = contextOf(level)
    if (driver.internal) {
      driver.internal(irp)
      return
    }
    const { request } = irp
    const { file, mdl, requestor } = request
    driver.send(
      {
        kind: 'Request',
        Id: irp.id,
        Device: device.handle,
        File: file?.device?.driver === driver ? file.number : 0,
        MajorFunction: level.major,
        MinorFunction: level.minor,
        Flags: level.flags,
        Parameters: parameters,
        Input: request.input,
        Mdl: mdl && sliceMdl(mdl, level.offset, level.length),
        OutputLength: request.outputLength ?? 0,
        RequestorMode: requestor === 'system' ? 0 : requestor.pid,
        Trace: level.trace,
      },
      level,
      request.recovery === true && isKnown(level),
    )
  }
  notice(irp: Irp, driver: DriverObject, outcome: IrpResult): void {
    this.completed(driver, { Id: irp.id, Local: false }, outcome, irp.request.recovery === true)
  }
  /** Urgent: a driver that is being started again waits for its own requests in DriverEntry, AddDevice and START. */
  answer(irp: Irp, driver: DriverObject, outcome: IrpResult): void {
    this.completed(driver, { Id: irp.localId, Local: true }, outcome, true)
  }
  private completed(
    driver: DriverObject,
    which: { Id: number; Local: boolean },
    { Status, Information, response }: IrpResult,
    urgent: boolean,
  ): void {
    this.grantAnswered(driver, response)
    const Trace = this.trace?.current()
    driver.send({ kind: 'IoCompleted', ...which, Status, Information, Response: response, Trace }, undefined, urgent)
  }

  private grantNamed(driver: DriverObject, parameters: Parameters): void {
    if (parameters.kind === 'AddDevice') this.grant(driver, parameters.PhysicalDevice)
    else if (parameters.kind === 'MountVolume') this.grant(driver, parameters.StorageDevice)
  }
  private grantAnswered(driver: DriverObject, response: Response | undefined): void {
    if (response?.kind === 'Devices') for (const handle of response.Devices) this.grant(driver, handle)
  }
  private grant(driver: DriverObject, handle: number): void {
    const device = this.ex.io.deviceByHandle(handle)
    if (device) this.ex.io.devices.grant(driver, device)
  }
}

/** A driver that is itself coming back hears of a device when it has made it again; of its removal in any case. */
function isKnown({ driver, device, major, minor }: Level): boolean {
  const removal = minor === IRP_MN.IRP_MN_REMOVE_DEVICE || minor === IRP_MN.IRP_MN_SURPRISE_REMOVAL
  return device.driver !== driver || device.bound || (major === IRP_MJ.IRP_MJ_PNP && removal)
}
/** Requests in which drivers make unnamed devices; the key names the same occasion in every life. */
function contextOf({ driver, device, major, minor, parameters }: Level): { leave(): void } | undefined {
  if (parameters.kind === 'AddDevice') return driver.enterContext(`add:${parameters.PhysicalDevice}`)
  if (parameters.kind === 'MountVolume') return driver.enterContext(`mount:${parameters.StorageDevice}`)
  if (major !== IRP_MJ.IRP_MJ_PNP) return undefined
  if (minor === IRP_MN.IRP_MN_START_DEVICE) return driver.enterContext(`start:${device.handle}`)
  if (minor === IRP_MN.IRP_MN_QUERY_DEVICE_RELATIONS) return driver.enterContext(`relations:${device.handle}`)
  return undefined
}
