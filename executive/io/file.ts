/**
 * File objects: one open each, of a device, a volume, or a file on a volume.
 *
 *   create(ex)        sends IRP_MJ_CREATE; on success the open is known to its driver by `number`
 *   rebind(ex)        the same, after the driver's restart, without side effects
 *   lastHandleClosed  IRP_MJ_CLEANUP, awaited by NtClose
 *   deleted           CloseFile to the driver
 */
import {
  FILE_DELETE_ON_CLOSE,
  FILE_DIRECTORY_FILE,
  FILE_OPEN,
  FILE_OVERWRITE,
  FILE_OVERWRITE_IF,
  FILE_OVERWRITTEN,
  FILE_READ_ATTRIBUTES,
  FILE_SHARE_ALL,
  FILE_SUPERSEDE,
  FILE_SUPERSEDED,
  FileDispositionInformation,
} from '#contracts/information'
import { IRP_MJ, IRP_MN, type Parameters } from '#contracts/wdm'
import { NT_STATUS, NT_SUCCESS, statusName } from '#rtl'
import type { Executive } from '../executive.ts'
import { NtObject } from '../ob/index.ts'
import type { Process } from '../ps/process.ts'
import type { DeviceObject } from './device.ts'
import type { Fcb } from './fcb.ts'
import type { IrpRequest, IrpResult } from './irp.ts'
import type { Vcb } from './volume.ts'

export interface OpenRequest {
  readonly path: string
  readonly access: number
  readonly share: number
  readonly disposition: number
  readonly options: number
  readonly attributes: number
  readonly allocationSize: number
  readonly openTargetDirectory?: boolean
}
/** How what exists is opened, as it is. */
export const EXISTING = { disposition: FILE_OPEN, options: 0, attributes: 0, allocationSize: 0 }
const INTERNAL_OPEN: OpenRequest = { ...EXISTING, path: '', access: FILE_READ_ATTRIBUTES, share: FILE_SHARE_ALL }

export class FileObject extends NtObject {
  readonly typeName = 'File'
  readonly number: number
  readonly open: OpenRequest
  readonly vcb: Vcb | undefined
  /** Path on the volume, or below the device; '' is the volume or device itself. */
  path: string
  fcb: Fcb | undefined
  position = 0
  deletePending = false
  /** Its volume or device is gone; only closing is left. */
  forcedClosed = false
  grantedAccess: number
  /** A directory scan: its expression, and the FileIndex of the last entry returned. */
  scan: { readonly expression: string | undefined; last: number | undefined } | undefined
  private readonly ex: Executive
  private readonly target: DeviceObject
  private created = false

  constructor(ex: Executive, target: DeviceObject, vcb: Vcb | undefined, open: OpenRequest, grantedAccess: number) {
    super()
    this.ex = ex
    this.number = ex.io.nextFileNumber()
    this.target = target
    this.vcb = vcb
    this.open = open
    this.path = open.path
    this.grantedAccess = grantedAccess
  }
  /** The Executive's own open of a volume. */
  static internal(ex: Executive, vcb: Vcb): FileObject {
    return new FileObject(ex, vcb.volumeDevice, vcb, INTERNAL_OPEN, INTERNAL_OPEN.access)
  }
  /** Where its IRPs go: a volume's device is another one after its file system's restart. */
  get device(): DeviceObject {
    return this.vcb?.volumeDevice ?? this.target
  }
  get shareAccess(): number {
    return this.open.share
  }
  /** Path of what is open: for a rename's target directory the parent of the path asked for. */
  get openPath(): string {
    return this.open.openTargetDirectory ? this.path.slice(0, Math.max(1, this.path.lastIndexOf('\\'))) : this.path
  }
  get isDirectory(): boolean {
    return this.fcb?.sizes.IsDirectory ?? false
  }

  async create(ex: Executive, requestor: Process | 'system' = 'system'): Promise<IrpResult> {
    const result = await this.sendCreate(ex, requestor, false)
    if (!NT_SUCCESS(result.Status)) return result
    this.created = true
    this.vcb?.files.add(this)
    if (this.vcb && result.response?.kind === 'Opened') {
      const replaced =
        replaces(this.open.disposition) &&
        (result.Information === FILE_OVERWRITTEN || result.Information === FILE_SUPERSEDED)
      this.fcb = ex.io.volumes.attach(this.vcb, this, result.response.FileId, result.response.Sizes, replaced)
    }
    return result
  }
  private sendCreate(ex: Executive, requestor: Process | 'system', rebind: boolean): Promise<IrpResult> {
    const { open } = this
    const parameters: Parameters = {
      kind: 'Create',
      FileName: this.path,
      DesiredAccess: open.access,
      CreateDisposition: rebind ? FILE_OPEN : open.disposition,
      CreateOptions: rebind && this.isDirectory ? open.options | FILE_DIRECTORY_FILE : open.options,
      FileAttributes: open.attributes,
      ShareAccess: open.share,
      AllocationSize: open.allocationSize,
      OpenTargetDirectory: open.openTargetDirectory ?? false,
      Rebind: rebind,
    }
    return ex.io.irps.submit({
      device: this.device,
      file: this,
      major: IRP_MJ.IRP_MJ_CREATE,
      parameters,
      requestor,
      idempotent: this.vcb !== undefined,
      ...(rebind && { recovery: true }),
    })
  }
  async rebind(ex: Executive, alive: () => boolean): Promise<void> {
    const result = await this.sendCreate(ex, 'system', true)
    if (!alive()) return
    if (!NT_SUCCESS(result.Status)) {
      ex.env.log.error('an open file could not be bound again', { path: this.path, status: statusName(result.Status) })
      this.forcedClosed = true
      return
    }
    if (this.fcb && result.response?.kind === 'Opened') ex.io.volumes.rekey(this.fcb, result.response.FileId)
    if (this.deletePending) await this.setDisposition(ex, true, true)
  }
  setDisposition(ex: Executive, DeleteFile: boolean, recovery = false): Promise<IrpResult> {
    const { bytes } = FileDispositionInformation.encode({ DeleteFile })
    const setting = settingOf(FileDispositionInformation.number, bytes)
    return this.request(ex, { ...setting, ...(recovery && { recovery: true }) })
  }
  fsControl(ex: Executive, FsControlCode: number): Promise<IrpResult> {
    return this.request(ex, {
      major: IRP_MJ.IRP_MJ_FILE_SYSTEM_CONTROL,
      minor: IRP_MN.IRP_MN_USER_FS_REQUEST,
      parameters: { kind: 'FileSystemControl', FsControlCode, InputBufferLength: 0, OutputBufferLength: 0 },
    })
  }
  /** An IRP on this file. On a volume every IRP may be executed again: what was not committed did not happen. */
  request(
    ex: Executive,
    request: Omit<IrpRequest, 'device' | 'file' | 'requestor'> & { requestor?: Process },
  ): Promise<IrpResult> {
    if (this.forcedClosed) return Promise.resolve({ Status: NT_STATUS.STATUS_FILE_FORCED_CLOSED, Information: 0 })
    return ex.io.irps.submit({
      requestor: 'system',
      ...(this.vcb && { idempotent: true }),
      ...request,
      device: this.device,
      file: this,
    })
  }

  override async lastHandleClosed(): Promise<void> {
    if (!this.created) return
    const { ex, fcb } = this
    if (this.forcedClosed || !fcb) {
      if (!this.forcedClosed) await this.cleanup()
      return ex.io.volumes.forget(this)
    }
    if (this.open.options & FILE_DELETE_ON_CLOSE) this.deletePending = true
    if (this.deletePending) fcb.deletePending = true
    const status = await fcb.closing(async () => {
      await this.cleanup()
      ex.io.volumes.forget(this)
    })
    if (NT_SUCCESS(status)) return
    ex.power.dataLost = true
    await ex.console.write(`Delayed write failed: ${this.path}\n`)
  }
  private async cleanup(): Promise<void> {
    const result = await this.request(this.ex, { major: IRP_MJ.IRP_MJ_CLEANUP, parameters: { kind: 'None' } })
    if (!NT_SUCCESS(result.Status))
      this.ex.env.log.warn('cleanup failed', { path: this.path, status: statusName(result.Status) })
  }
  override deleted(): void {
    if (this.created && !this.forcedClosed) this.device.driver.send({ kind: 'CloseFile', File: this.number })
  }
}
/** What an IRP_MJ_SET_INFORMATION says; `rename` is what only a rename does. */
export function settingOf(
  FileInformationClass: number,
  input: Uint8Array,
  rename?: { TargetDirectory: number; TargetName: string; ReplaceIfExists: boolean },
): Pick<IrpRequest, 'major' | 'input' | 'parameters'> {
  const parameters: Parameters = {
    kind: 'SetFile',
    Length: input.length,
    FileInformationClass,
    ReplaceIfExists: false,
    ...rename,
  }
  return { major: IRP_MJ.IRP_MJ_SET_INFORMATION, input, parameters }
}
export const replaces = (disposition: number): boolean =>
  disposition === FILE_OVERWRITE || disposition === FILE_OVERWRITE_IF || disposition === FILE_SUPERSEDE
