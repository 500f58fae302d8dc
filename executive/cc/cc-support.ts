/** For tests: a cache manager over one disk in memory, whose transfers take random virtual time and can be made to fail. */
import { NT_STATUS } from '#rtl'
import type { Memory } from '#sel4/api'
import { type FakeEnvironment, fakeEnvironment } from '#sel4/fake'
import { IRP_MJ } from '#contracts/wdm'
import type { Executive } from '../executive.ts'
import type { DeviceObject } from '../io/device.ts'
import type { IrpRequest, IrpResult } from '../io/irp.ts'
import { CacheManager } from './index.ts'
import { VIEW_SIZE } from './views.ts'

const SLOT = 64 * 1024
export const memoryAt = (physicalAddress: number, length: number): Memory => ({
  virtualAddress: physicalAddress,
  physicalAddress,
  length,
  bytes: new Uint8Array(length),
})
export interface DiskAccess {
  readonly direction: 'read' | 'write'
  readonly offset: number
  readonly length: number
}

export class FakeDisk {
  readonly bytes: Uint8Array
  readonly log: DiskAccess[] = []
  readonly memories: Memory[] = []
  /** Says whether an access fails; asked when it ends. */
  fails: (access: DiskAccess) => boolean = () => false
  /** Longest time of a transfer in milliseconds. */
  slow = 5
  flushes = 0
  /** Halves of transfers that have happened. */
  moved = 0
  private readonly env: FakeEnvironment

  constructor(env: FakeEnvironment, length: number) {
    this.env = env
    this.bytes = new Uint8Array(length)
  }
  private memory(physicalAddress: number, length: number): Uint8Array {
    const memory = this.memories.find(
      (m) => physicalAddress >= m.physicalAddress && physicalAddress + length <= m.physicalAddress + m.length,
    )
    if (!memory) throw new Error(`DMA to nowhere: ${physicalAddress} +${length}`)
    const at = physicalAddress - memory.physicalAddress
    return memory.bytes.subarray(at, at + length)
  }
  private delay(): Promise<void> {
    return this.env.clock.sleep(this.env.random.next() % (this.slow + 1))
  }
  async submit(request: IrpRequest): Promise<IrpResult> {
    const { parameters } = request
    if (parameters.kind === 'DeviceIoControl') return this.length()
    if (request.major === IRP_MJ.IRP_MJ_FLUSH_BUFFERS) this.flushes++
    if ((parameters.kind !== 'Read' && parameters.kind !== 'Write') || !request.mdl)
      return { Status: 0, Information: 0 }
    const direction = parameters.kind === 'Read' ? 'read' : 'write'
    const access: DiskAccess = { direction, offset: parameters.ByteOffset, length: parameters.Length }
    this.log.push(access)
    const memory = this.memory(request.mdl.Runs[0] * 4096 + request.mdl.ByteOffset, parameters.Length)
    const half = Math.floor(parameters.Length / 2)
    await this.delay()
    if (this.fails(access)) return { Status: NT_STATUS.STATUS_IO_DEVICE_ERROR, Information: 0 }
    this.move(direction, parameters.ByteOffset, memory.subarray(0, half))
    await this.delay()
    this.move(direction, parameters.ByteOffset + half, memory.subarray(half))
    await this.delay()
    return { Status: NT_STATUS.STATUS_SUCCESS, Information: parameters.Length }
  }
  private move(direction: 'read' | 'write', offset: number, memory: Uint8Array): void {
    this.moved++
    if (direction === 'read') memory.set(this.bytes.subarray(offset, offset + memory.length))
    else this.bytes.set(memory, offset)
  }
  private length(): IrpResult {
    const Bytes = new Uint8Array(new BigInt64Array([BigInt(this.bytes.length)]).buffer)
    return { Status: 0, Information: 8, response: { kind: 'Data', Bytes } }
  }
}

export interface FakeCache {
  readonly env: FakeEnvironment
  readonly ex: Executive
  readonly cc: CacheManager
  readonly disk: FakeDisk
  readonly device: DeviceObject
}
export function fakeCache(options: { views?: number; diskBytes?: number; seed?: number } = {}): FakeCache {
  const env = fakeEnvironment({ seed: options.seed ?? 1 })
  const disk = new FakeDisk(env, options.diskBytes ?? 16 * 1024 * 1024)
  const device = { alignment: 512, name: 'disk' } as unknown as DeviceObject
  const volumes = { storageOf: () => device, cachesOf: () => [] }
  const ex = { env, io: { irps: disk, volumes } } as unknown as Executive
  const views = memoryAt(0x1000000, (options.views ?? 2) * VIEW_SIZE)
  const staging = memoryAt(0x8000000, 4 * SLOT)
  disk.memories.push(views, staging)
  const cc = new CacheManager(ex, views, staging)
  return { env, ex, cc, disk, device }
}
/** Lets virtual time pass until the promise is settled. */
export async function until<T>(env: FakeEnvironment, promise: Promise<T>, limitMs = 100_000): Promise<T> {
  let done = false
  const settled = promise.finally(() => {
    done = true
  })
  settled.catch(() => undefined)
  for (let time = 0; !done; time += 5) {
    if (time > limitMs) throw new Error(`still waiting after ${limitMs} virtual ms`)
    await env.advance(5)
  }
  return settled
}
