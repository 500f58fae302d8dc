/** Memory-mapped registers of an assigned window. Writes are posted in order, a read pushes them. */
import type { Registers } from '#sel4/api'
import type { CM_PARTIAL_RESOURCE_DESCRIPTOR, DEVICE_OBJECT, REGISTER_WINDOW } from './api.ts'
import { hostOfDevice } from './objects.ts'

class Window implements REGISTER_WINDOW {
  readonly PhysicalAddress: number
  readonly Length: number
  readonly registers: Registers
  /** Where the window starts in what was mapped. */
  private readonly base: number

  constructor(registers: Registers, { Start, Length }: { Start: number; Length: number }) {
    this.registers = registers
    this.PhysicalAddress = Start
    this.Length = Length
    this.base = Start - registers.physicalAddress
  }
  at(offset: number): number {
    if (offset < 0 || offset + 4 > this.Length || offset % 4 !== 0)
      throw new Error(`register 0x${offset.toString(16)} of a window of 0x${this.Length.toString(16)} bytes`)
    return this.base + offset
  }
}

/** The windows of one device: what an interrupt's end has to wait for. */
export class MappedWindows {
  private readonly windows = new Map<number, Registers[]>()

  add(device: DEVICE_OBJECT, registers: Registers): void {
    this.windows.set(device.handle, [...(this.windows.get(device.handle) ?? []), registers])
  }
  async flush(device: DEVICE_OBJECT): Promise<void> {
    for (const registers of this.windows.get(device.handle) ?? []) await registers.flush()
  }
}

export async function MmMapIoSpace(
  DeviceObject: DEVICE_OBJECT,
  resource: CM_PARTIAL_RESOURCE_DESCRIPTOR & { kind: 'Memory' },
): Promise<REGISTER_WINDOW> {
  const host = hostOfDevice(DeviceObject)
  const { Start: PhysicalAddress, Length } = resource
  const { DeviceFrame } = await host.services.WdmMapIoMemory({ Device: DeviceObject.handle, PhysicalAddress, Length })
  const registers = await host.env.sel4.mapDevice(DeviceFrame)
  host.windows.add(DeviceObject, registers)
  return new Window(registers, resource)
}
export function READ_REGISTER_ULONG(Window: REGISTER_WINDOW, Offset: number): Promise<number> {
  const window = Window as Window
  return window.registers.read32(window.at(Offset))
}
export function WRITE_REGISTER_ULONG(Window: REGISTER_WINDOW, Offset: number, Value: number): void {
  const window = Window as Window
  window.registers.write32(window.at(Offset), Value >>> 0)
}
