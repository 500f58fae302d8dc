/**
 * A logical unit's PDO: IRP_MJ_SCSI in, requests on the unit's queue out; identity for PnP.
 *
 * Never looks at data: a read's or write's MDL names foreign pages, which only the controller touches.
 */
import { SRB_FUNCTION_EXECUTE_SCSI, SRB_STATUS } from '#drivers/lib/scsi'
import { pdoPnp, type PdoIds } from '#drivers/lib/pnp'
import { IRP_MJ, IRP_MN } from '#contracts/wdm'
import {
  completeIrp,
  IoGetCurrentIrpStackLocation,
  IoMarkIrpPending,
  IoSetCancelRoutine,
  type DEVICE_OBJECT,
  type IRP,
} from '#wdm'
import { NT_STATUS, type NTSTATUS } from '#rtl'
import type { FdoExtension } from './fdo.ts'
import type { Inquiry, LogicalUnit, StorRequest } from './miniport.ts'
import { StorPortCompleteRequest } from './srb.ts'

export interface PdoExtension {
  readonly kind: 'pdo'
  readonly adapter: FdoExtension
  readonly ids: PdoIds
  /** Undefined once the unit is gone. */
  unit: LogicalUnit | undefined
}

/** Characters an instance path cannot hold, and padding. */
const idText = (text: string): string => text.trim().replace(/[^!-~]|[\\/,&]/g, '_')
const padded = (text: string, width: number): string =>
  text
    .padEnd(width)
    .slice(0, width)
    .replace(/[^!-~]|[\\/,]/g, '_')

export function unitIds(adapterNumber: number, { address, inquiry }: LogicalUnit): PdoIds {
  const [path, target, lun] = address
  const { vendor, product, revision } = inquiry
  const name = `${idText(vendor)}&Prod_${idText(product)}&Rev_${idText(revision)}`
  return {
    deviceId: `SCSI\\Disk&Ven_${name}`,
    hardwareIds: [`SCSI\\Disk&Ven_${name}`, `SCSI\\Disk${oldStyle(inquiry)}`, 'GenDisk'],
    compatibleIds: ['SCSI\\Disk', 'SCSI\\RAW'],
    instanceId:
      (adapterNumber === 0 ? '' : adapterNumber.toString(16)) + [path, target, lun].map((n) => n.toString(16)).join(''),
  }
}
const oldStyle = ({ vendor, product, revision }: Inquiry): string =>
  padded(vendor, 8) + padded(product, 16) + padded(revision, 4)

/** [SPC-4] leaves deadlines to the initiator; one who states none waits as long as the disk class does. */
const DEFAULT_TIMEOUT_S = 10

export function pdoDispatch(DeviceObject: DEVICE_OBJECT, Irp: IRP): NTSTATUS {
  const extension: PdoExtension = DeviceObject.DeviceExtension
  const { MajorFunction, MinorFunction } = IoGetCurrentIrpStackLocation(Irp)
  switch (MajorFunction) {
    case IRP_MJ.IRP_MJ_INTERNAL_DEVICE_CONTROL:
      return scsi(extension, Irp)
    case IRP_MJ.IRP_MJ_PNP:
      if (MinorFunction === IRP_MN.IRP_MN_REMOVE_DEVICE && !extension.unit) extension.adapter.forget(DeviceObject)
      return pdoPnp(DeviceObject, Irp, extension.ids)
    case IRP_MJ.IRP_MJ_POWER:
    case IRP_MJ.IRP_MJ_FLUSH_BUFFERS:
    case IRP_MJ.IRP_MJ_SHUTDOWN:
      return completeIrp(Irp, NT_STATUS.STATUS_SUCCESS)
    case IRP_MJ.IRP_MJ_SYSTEM_CONTROL:
      return completeIrp(Irp, NT_STATUS.STATUS_NOT_SUPPORTED)
    default:
      return completeIrp(Irp, NT_STATUS.STATUS_INVALID_DEVICE_REQUEST)
  }
}

function scsi({ unit, adapter }: PdoExtension, Irp: IRP): NTSTATUS {
  const { Parameters } = IoGetCurrentIrpStackLocation(Irp)
  if (Parameters.kind !== 'Scsi') return completeIrp(Irp, NT_STATUS.STATUS_INVALID_DEVICE_REQUEST)
  if (!unit) return completeIrp(Irp, NT_STATUS.STATUS_DEVICE_DOES_NOT_EXIST)
  const { Srb } = Parameters
  const request: StorRequest = {
    Irp,
    Srb,
    Mdl: Irp.MdlAddress,
    OutputLength: Irp.OutputLength,
    unit,
    tag: -1,
    exclusive: false,
    deadline: 0,
    attempts: 0,
    MiniportContext: undefined,
  }
  IoMarkIrpPending(Irp)
  const outcome =
    Srb.Function === SRB_FUNCTION_EXECUTE_SCSI ? unit.HwBuildIo(request) : { SrbStatus: SRB_STATUS.INVALID_REQUEST }
  if (outcome) StorPortCompleteRequest(request, outcome)
  else if (Irp.Cancel) completeIrp(Irp, NT_STATUS.STATUS_CANCELLED)
  else {
    unit.queue.submit(request)
    adapter.watch()
  }
  return NT_STATUS.STATUS_PENDING
}

/** For LunQueue: a request can be cancelled while it waits, not while the device has it. */
export function cancellableWhileWaiting(request: StorRequest, waits: boolean): void {
  IoSetCancelRoutine(request.Irp, waits ? () => cancelWaiting(request) : undefined)
}
function cancelWaiting(request: StorRequest): void {
  if (request.unit.queue.remove(request)) completeIrp(request.Irp, NT_STATUS.STATUS_CANCELLED)
}
export const deadlineOf = (now: number, { Srb }: StorRequest): number =>
  now + (Srb.TimeOutValue || DEFAULT_TIMEOUT_S) * 1000
