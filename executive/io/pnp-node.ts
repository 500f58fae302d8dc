/** Nodes of the device tree: one physical device each, with the drivers stacked on it and the resources it was given. */
import type { Of } from '#contracts/field'
import type { RESOURCE } from '#contracts/wdm'
import { NT_SUCCESS, type NTSTATUS } from '#rtl'
import type { DeviceObject } from './device.ts'
import type { DriverObject } from './driver.ts'

export type Resource = Of<typeof RESOURCE>

/** PNP_DEVNODE_STATE, of which these are entered. */
export type NodeState =
  | 'DeviceNodeUninitialized'
  | 'DeviceNodeInitialized'
  | 'DeviceNodeDriversAdded'
  | 'DeviceNodeResourcesAssigned'
  | 'DeviceNodeStartPending'
  | 'DeviceNodeStarted'
  | 'DeviceNodeEnumeratePending'
  | 'DeviceNodeEnumerateCompletion'
  | 'DeviceNodeRemoved'

const STARTED: ReadonlySet<NodeState> = new Set([
  'DeviceNodeStarted',
  'DeviceNodeEnumeratePending',
  'DeviceNodeEnumerateCompletion',
])

export class DeviceNode {
  readonly instancePath: string
  readonly deviceId: string
  hardwareIds: readonly string[] = []
  compatibleIds: readonly string[] = []
  readonly parent: DeviceNode | undefined
  readonly children: DeviceNode[] = []
  readonly physicalDevice: DeviceObject
  state: NodeState = 'DeviceNodeInitialized'
  /** Why the last step failed. */
  problem: NTSTATUS | undefined
  service: string | undefined
  /** Drivers whose AddDevice has succeeded, in that order; the function driver is one of them. */
  readonly added: DriverObject[] = []
  functionDriver: DriverObject | undefined
  /** Started by its bus driver alone, without a function driver. */
  raw = false
  resources: readonly Resource[] = []
  /** The machine's device behind its memory window, when that can do DMA. */
  machineDevice: string | undefined

  constructor(physicalDevice: DeviceObject, deviceId: string, instanceId: string, parent: DeviceNode | undefined) {
    this.physicalDevice = physicalDevice
    this.deviceId = deviceId
    this.instancePath = `${deviceId}\\${instanceId}`
    this.parent = parent
  }
  get started(): boolean {
    return STARTED.has(this.state)
  }
  enter(state: NodeState): void {
    this.state = state
    this.problem = undefined
  }
  /** The step failed; the state stays what it was before. */
  fail(status: NTSTATUS, state: NodeState = this.state): void {
    this.state = state
    this.problem = NT_SUCCESS(status) ? undefined : status
  }
  /** This node and all below, parents first. */
  *walk(): Generator<DeviceNode> {
    yield this
    for (const child of [...this.children]) yield* child.walk()
  }
  isAncestorOf(other: DeviceNode): boolean {
    for (let at = other.parent; at; at = at.parent) if (at === this) return true
    return false
  }
}
