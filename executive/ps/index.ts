/**
 * The process manager: makes processes of the manifest's images, ends them, and settles what a death leaves behind.
 *
 *   create(request)     spawns through the kernel; the child's only capability of ours is our endpoint, badged with its id
 *   resume(p)           one that was made suspended begins
 *   terminate(p, s)     asks the kernel to stop it; the end itself arrives as a death report
 *   died(report)        handles closed, waiters woken, and a driver's IRPs handed to Io
 */
import { type Birth, type CPtr, type DeathReport, SEL4_ERROR, Sel4Error } from '#sel4/api'
import { NT_STATUS, type NTSTATUS, StatusError } from '#rtl'
import type { Executive } from '../executive.ts'
import { Process } from './process.ts'

export { Process } from './process.ts'

export interface CreateProcess {
  readonly image: string
  readonly kind: 'driver' | 'program'
  readonly birth: Birth
  readonly config?: Readonly<Record<string, unknown>>
  /** Its name in the kernel when it differs from the image's. */
  readonly name?: string
  readonly commandLine?: string
  readonly currentDirectory?: string
  /** It waits for resume(). */
  readonly suspended?: boolean
}

export class ProcessManager {
  private readonly processes = new Map<number, Process>()
  private readonly byName = new Map<string, Process>()
  private readonly ex: Executive
  private readonly endpoint: CPtr
  private nextPid = 4

  constructor(ex: Executive, endpoint: CPtr) {
    this.ex = ex
    this.endpoint = endpoint
  }

  all(): readonly Process[] {
    return [...this.processes.values()]
  }
  byBadge(badge: number): Process {
    const process = this.processes.get(badge)
    if (!process) throw new StatusError('STATUS_INVALID_CID')
    return process
  }

  async create(request: CreateProcess): Promise<Process> {
    const { root } = this.ex
    const image = root.manifest.images[request.image]
    if (!image || image.nt?.kind !== request.kind) throw new StatusError('STATUS_OBJECT_NAME_NOT_FOUND', request.image)
    const name = request.name ?? request.image
    if (this.byName.has(name)) throw new StatusError('STATUS_IMAGE_ALREADY_LOADED', name)
    const process = new Process(this.nextPid, request.image, request.commandLine, request.currentDirectory)
    this.nextPid += 4
    this.processes.set(process.pid, process)
    this.byName.set(name, process)
    process.name = name
    try {
      process.child = await root.spawn({
        image: request.image,
        ...(request.name !== undefined && { instance: request.name }),
        birth: request.birth,
        caps: { executive: { from: this.endpoint, badge: process.pid, rights: ['write', 'grantReply'] } },
        arenaBytes: image.arena ?? 0,
        suspended: request.suspended ?? false,
        config: request.config ?? {},
      })
    } catch (error) {
      this.processes.delete(process.pid)
      this.byName.delete(name)
      // No memory for its arena, or in containers no free one.
      if (error instanceof Sel4Error && error.code === SEL4_ERROR.seL4_NotEnoughMemory)
        throw new StatusError('STATUS_INSUFFICIENT_RESOURCES', error.message)
      throw error
    }
    // It may have died while it was being made: then its memory is somebody else's.
    if (process.child.arena && !process.handles.closed) await this.ex.io.dma.addMemory(process.child.arena)
    return process
  }

  async resume(process: Process): Promise<void> {
    if (process.handles.closed) throw new StatusError('STATUS_PROCESS_IS_TERMINATING', process.name)
    await this.ofKernel(process, (name) => this.ex.root.resume(name))
  }
  async terminate(process: Process, status: NTSTATUS): Promise<void> {
    if (process.signalled) return
    process.exitStatus = status
    await this.ofKernel(process, (name) => this.ex.root.kill(name))
  }
  private async ofKernel({ name }: Process, ask: (name: string) => Promise<void>): Promise<void> {
    try {
      await ask(name)
    } catch (error) {
      // The kernel knows no such process any more: its death report is on the way, and says what there is to say.
      if (!(error instanceof Sel4Error)) throw error
    }
  }

  /** The kernel's report: by now nothing of the process runs, its sessions are closed and its DMA is off. */
  async died(report: DeathReport): Promise<void> {
    const process = this.byName.get(report.name)
    if (!process) return this.ex.io.machineDeviceDied(report.name)
    this.byName.delete(report.name)
    this.processes.delete(process.pid)
    process.leave()
    this.ex.env.log.warn('process ended', {
      process: report.name,
      cause: report.cause,
      detail: report.detail,
      epitaph: report.epitaph,
    })
    if (process.child?.arena) await this.ex.io.dma.removeMemory(process.child.arena)
    const status = process.exitStatus === NT_STATUS.STATUS_PENDING ? exitStatusOf(report) : process.exitStatus
    if (process.driver) await this.ex.io.driverDied(process.driver, report)
    await this.closeHandles(process)
    process.ended(status)
  }
  private async closeHandles(process: Process): Promise<void> {
    await this.ex.io.irps.cancellation.ofRequestor(process)
    for (const handle of process.handles.all()) {
      await this.ex.ob.close(process, handle).catch((error: unknown) => {
        if (!(error instanceof StatusError)) throw error
        this.ex.env.log.warn("closing a dead process's handle", { process: process.name, error: error.message })
      })
    }
  }
}

function exitStatusOf(report: DeathReport): NTSTATUS {
  const code = report.cause === 'exit' ? Number.parseInt(report.detail, 10) : Number.NaN
  return code === 0 ? NT_STATUS.STATUS_SUCCESS : NT_STATUS.STATUS_PROCESS_IS_TERMINATING
}
