/** Work items: what a DPC may not do itself, run at PASSIVE_LEVEL in order of queueing. */
import type { DEVICE_OBJECT, IO_WORKITEM } from './api.ts'
import { hostOfDevice } from './objects.ts'

type WorkRoutine = (DeviceObject: DEVICE_OBJECT, Context: unknown) => void | Promise<void>

class WorkItem implements IO_WORKITEM {
  readonly kind = 'workitem'
  readonly device: DEVICE_OBJECT
  queued = false

  constructor(device: DEVICE_OBJECT) {
    this.device = device
  }
}

export const IoAllocateWorkItem = (DeviceObject: DEVICE_OBJECT): IO_WORKITEM => new WorkItem(DeviceObject)

/** An item may be queued again once its routine has started. */
export function IoQueueWorkItem(WorkItem: IO_WORKITEM, Routine: WorkRoutine, Context: unknown): void {
  const item = WorkItem as WorkItem
  if (item.queued) throw new Error('IoQueueWorkItem of an item that is queued')
  item.queued = true
  hostOfDevice(item.device).scheduler.work(() => {
    item.queued = false
    return Routine(item.device, Context)
  })
}
