/**
 * Interrupts: notification ─► service routine ─► DPCs, and at the same time flush of the device's posted writes ─► IRQHandler_Ack.
 *
 * The acknowledgement waits until the device has consumed what the routine wrote, so that a level line has fallen before it is looked at
 * again. DPCs do not wait for it.
 *
 * Differs from seL4: a message-signalled interrupt has neither level nor mask here, so it is not acknowledged at all.
 */
import type { CPtr } from '#sel4/api'
import type { CM_PARTIAL_RESOURCE_DESCRIPTOR, DEVICE_OBJECT, KINTERRUPT } from './api.ts'
import type { DriverHost } from './host.ts'
import { hostOfDevice } from './objects.ts'
import { caused } from './watching.ts'

type ServiceRoutine = (Interrupt: KINTERRUPT, Context: unknown) => Promise<boolean>

class Interrupt implements KINTERRUPT {
  readonly Vector: number
  readonly host: DriverHost
  readonly device: DEVICE_OBJECT
  readonly handler: CPtr
  readonly notification: CPtr
  connected = true
  isMessage = false

  constructor(device: DEVICE_OBJECT, Vector: number, handler: CPtr, notification: CPtr) {
    this.Vector = Vector
    this.host = hostOfDevice(device)
    this.device = device
    this.handler = handler
    this.notification = notification
  }
}

export async function IoConnectInterrupt(
  DeviceObject: DEVICE_OBJECT,
  resource: CM_PARTIAL_RESOURCE_DESCRIPTOR & { kind: 'Interrupt' },
  ServiceRoutine: ServiceRoutine,
  ServiceContext: unknown,
): Promise<KINTERRUPT> {
  const host = hostOfDevice(DeviceObject)
  const { sel4 } = host.env
  const { Vector } = resource
  const { IrqHandler } = await host.services.WdmConnectInterrupt({ Device: DeviceObject.handle, Vector })
  const interrupt = new Interrupt(DeviceObject, Vector, IrqHandler, await sel4.makeNotification())
  await sel4.irqSetNotification(IrqHandler, interrupt.notification)
  // An earlier life may have died between an interrupt and its acknowledgement: the line would stay masked.
  await sel4.irqAck(IrqHandler)
  interrupt.isMessage = resource.Message
  serve(interrupt, () => ServiceRoutine(interrupt, ServiceContext)).catch(host.die)
  return interrupt
}

async function serve(interrupt: Interrupt, routine: () => Promise<boolean>): Promise<void> {
  const { host, device, handler, notification } = interrupt
  const { sel4 } = host.env
  for (;;) {
    await sel4.wait(notification)
    if (!interrupt.connected) return
    const by = sel4.trace?.enabled ? sel4.signalledBy?.(notification) : undefined
    await caused(host, `interrupt ${interrupt.Vector}`, by, () => host.scheduler.isr(routine))
    if (interrupt.isMessage) continue
    await host.windows.flush(device)
    // Not waited for: the next wait follows it on the same way, and one round trip less is a faster disk.
    sel4.irqAck(handler).catch(host.die)
  }
}

/** No service routine starts after it; a later interrupt stays unacknowledged. */
export async function IoDisconnectInterrupt(Interrupt: KINTERRUPT): Promise<void> {
  const interrupt = Interrupt as Interrupt
  interrupt.connected = false
  await interrupt.host.env.sel4.signal(interrupt.notification)
}
