/**
 * The end of Io, after volumes were dismounted: every device that asked for it hears IRP_MJ_SHUTDOWN, those registered last
 * first; then the drivers are stopped, those loaded last first.
 */
import { IRP_MJ } from '#contracts/wdm'
import { NT_SUCCESS, statusName } from '#rtl'
import type { Executive } from '../executive.ts'

/** A disk may empty its cache; longer is not waited for. */
const SHUTDOWN_PATIENCE_MS = 10_000

export async function shutdownIo(ex: Executive): Promise<void> {
  const devices = ex.io.devices.all().filter((device) => device.shutdownNotification)
  for (const device of devices.reverse()) {
    const result = await ex.io.irps.submit({
      device,
      major: IRP_MJ.IRP_MJ_SHUTDOWN,
      parameters: { kind: 'None' },
      requestor: 'system',
      deadlineMs: SHUTDOWN_PATIENCE_MS,
    })
    if (!NT_SUCCESS(result.Status))
      ex.env.log.warn('shutdown notification failed', { device: device.handle, status: statusName(result.Status) })
  }
  await ex.io.recovery.stopAll()
}
