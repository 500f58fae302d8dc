/**
 * Device stacks: who is attached above whom.
 *
 * A driver that returns attaches again with the device it had; the device still is where it was, so the answer is the device
 * below it, and nobody else's place changes.
 */
import { StatusError } from '#rtl'
import type { DeviceObject } from './device.ts'

/** No real stack is deeper; a wild driver must not build one that is. */
const STACK_MAX = 32

/** Attaches `source` above the top of `target`'s stack; answers with the device below it. */
export function attach(source: DeviceObject, target: DeviceObject): DeviceObject {
  if (target.removed || source.removed) throw new StatusError('STATUS_NO_SUCH_DEVICE')
  if (source.attachedTo) {
    if (source.bottom() !== target.bottom()) throw new StatusError('STATUS_NO_SUCH_DEVICE', 'attached elsewhere')
    return source.attachedTo
  }
  const lower = target.top()
  if (lower === source || source.attached || depthOf(lower) >= STACK_MAX) throw new StatusError('STATUS_NO_SUCH_DEVICE')
  lower.attached = source
  source.attachedTo = lower
  source.StackSize = Math.min(255, lower.StackSize + 1)
  if (source.alignment === 0) source.alignment = lower.alignment
  return lower
}

/** Takes whatever is attached directly above `target` off it. */
export function detach(target: DeviceObject): void {
  const upper = target.attached
  if (!upper) return
  target.attached = undefined
  upper.attachedTo = undefined
}

/** The stack a device is in, lowest first. */
export function stackOf(device: DeviceObject): DeviceObject[] {
  const stack: DeviceObject[] = []
  for (let at: DeviceObject | undefined = device.bottom(); at; at = at.attached) stack.push(at)
  return stack
}
function depthOf(device: DeviceObject): number {
  let depth = 0
  for (let at: DeviceObject | undefined = device; at; at = at.attachedTo) depth++
  return depth
}
