/** IO ports of a granted range; offsets are from its start. */
import type { CM_PARTIAL_RESOURCE_DESCRIPTOR, DEVICE_OBJECT, PORT_RANGE } from './api.ts'
import { hostOfDevice } from './objects.ts'
import type { CPtr, Sel4 } from '#sel4/api'

class Ports implements PORT_RANGE {
  readonly Start: number
  readonly Length: number
  readonly ioPort: CPtr
  readonly sel4: Sel4

  constructor(sel4: Sel4, ioPort: CPtr, range: { Start: number; Length: number }) {
    this.sel4 = sel4
    this.ioPort = ioPort
    this.Start = range.Start
    this.Length = range.Length
  }
  address(offset: number, width: number): number {
    if (offset < 0 || offset + width > this.Length)
      throw new Error(`port 0x${this.Start.toString(16)}+${offset}, ${width} wide, is outside of ${this.Length}`)
    return this.Start + offset
  }
}

export async function IoEnablePorts(
  DeviceObject: DEVICE_OBJECT,
  resource: CM_PARTIAL_RESOURCE_DESCRIPTOR & { kind: 'Port' },
): Promise<PORT_RANGE> {
  const host = hostOfDevice(DeviceObject)
  const { Start, Length } = resource
  const { IoPort } = await host.services.WdmEnablePort({ Device: DeviceObject.handle, Start, Length })
  return new Ports(host.env.sel4, IoPort, resource)
}

function read(range: PORT_RANGE, offset: number, width: 1 | 2 | 4): Promise<number> {
  const ports = range as Ports
  return ports.sel4.portIn(ports.ioPort, ports.address(offset, width), width)
}
function write(range: PORT_RANGE, offset: number, width: 1 | 2 | 4, value: number): Promise<void> {
  const ports = range as Ports
  return ports.sel4.portOut(ports.ioPort, ports.address(offset, width), width, value)
}
export const READ_PORT_UCHAR = (Ports: PORT_RANGE, Offset: number): Promise<number> => read(Ports, Offset, 1)
export const READ_PORT_USHORT = (Ports: PORT_RANGE, Offset: number): Promise<number> => read(Ports, Offset, 2)
export const READ_PORT_ULONG = (Ports: PORT_RANGE, Offset: number): Promise<number> => read(Ports, Offset, 4)
export const WRITE_PORT_UCHAR = (Ports: PORT_RANGE, Offset: number, Value: number): Promise<void> =>
  write(Ports, Offset, 1, Value)
export const WRITE_PORT_USHORT = (Ports: PORT_RANGE, Offset: number, Value: number): Promise<void> =>
  write(Ports, Offset, 2, Value)
export const WRITE_PORT_ULONG = (Ports: PORT_RANGE, Offset: number, Value: number): Promise<void> =>
  write(Ports, Offset, 4, Value)
