/**
 * A process as NT sees it: handles, memory others may be pointed at, an end that can be waited for.
 *
 * Its badge on the Executive's endpoint is its id, so a message's sender is known without asking.
 */
import type { Child } from '#sel4/api'
import { NT_STATUS, type NTSTATUS, StatusError } from '#rtl'
import { WaitList } from '../ke/event.ts'
import { HandleTable } from '../ob/handles.ts'
import { NtObject, type Waitable } from '../ob/object.ts'
import type { DriverObject } from '../io/driver.ts'

export interface UserBuffer {
  /** The memory itself, shared with the process. */
  readonly bytes: Uint8Array
  readonly physicalAddress: number
  /**
   * Throws when the process is dead: its memory has been taken away and reads as zeros. To be called behind every await,
   * before `bytes` are read.
   */
  check(): void
}

export class Process extends NtObject implements Waitable {
  readonly typeName = 'Process'
  readonly pid: number
  readonly image: string
  readonly commandLine: string
  readonly currentDirectory: string
  readonly handles = new HandleTable()
  /** Set once the kernel has started it. */
  child: Child | undefined
  driver: DriverObject | undefined
  exitStatus: NTSTATUS = NT_STATUS.STATUS_PENDING
  signalled = false
  private readonly list = new WaitList()
  private readonly leaving = new WaitList()

  constructor(pid: number, image: string, commandLine = '', currentDirectory = '') {
    super()
    this.pid = pid
    this.image = image
    this.name = image
    this.commandLine = commandLine
    this.currentDirectory = currentDirectory
  }

  /** Translates a pointer of this process; the whole range must lie in its arena. */
  buffer(address: number, length: number): UserBuffer {
    const arena = this.child?.arena
    const offset = arena ? address - arena.virtualAddress : -1
    if (!arena || offset < 0 || length < 0 || offset + length > arena.length)
      throw new StatusError('STATUS_ACCESS_VIOLATION')
    const bytes = arena.bytes.subarray(offset, offset + length)
    return { bytes, physicalAddress: arena.physicalAddress + offset, check: () => this.checkAlive() }
  }
  private checkAlive(): void {
    if (this.handles.closed) throw new StatusError('STATUS_PROCESS_IS_TERMINATING', this.name)
  }
  /** It runs no more: no handle is made for it, none of its waits goes on. */
  leave(): void {
    this.handles.closed = true
    this.leaving.wake(() => true)
  }
  onLeave(wake: () => void): { cancel(): void } {
    return this.leaving.add(wake)
  }
  ended(status: NTSTATUS): void {
    if (this.signalled) return
    this.leave()
    this.exitStatus = status
    this.signalled = true
    this.list.wake(() => true)
  }
  consume(): void {}
  onSignal(wake: () => void): { cancel(): void } {
    return this.list.add(wake)
  }
  override waitable(): Waitable {
    return this
  }
}
