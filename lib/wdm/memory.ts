/** Common buffers: memory of the driver's arena, named to a device by its physical address. */
import type { COMMON_BUFFER, DRIVER_OBJECT } from './api.ts'
import type { ArenaBuffer } from './arena.ts'
import { hostOf } from './objects.ts'

export function AllocateCommonBuffer(DriverObject: DRIVER_OBJECT, Length: number, Alignment?: number): COMMON_BUFFER {
  return hostOf(DriverObject).arena.allocate(Length, Alignment)
}
export function FreeCommonBuffer(Buffer: COMMON_BUFFER): void {
  const buffer = Buffer as ArenaBuffer
  buffer.arena.free(buffer)
}
