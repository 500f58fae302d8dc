/**
 * The plug and play manager: the device tree, walked from a root that the Executive itself provides.
 *
 *   control(…)          NtPlugPlayControl
 *   enumerate(path)     loads, starts and enumerates a node and everything below; a node that fails stops only itself
 *   invalidate(device)  a bus changed
 *   replay(driver, …)   a restarted driver takes its place in each node again
 *   fail(driver)        a driver will not come back
 *
 * Walks go one after the other, siblings within one beside each other: of two that ask for the same resource, the one that
 * asks first has it. A replay runs beside them, on nodes that are added already.
 */
import type { Of } from '#contracts/field'
import type { PLUGPLAY_CONTROL, PLUGPLAY_RESULT } from '#contracts/nt'
import { IRP_MJ, IRP_MN } from '#contracts/wdm'
import { NT_STATUS, NT_SUCCESS, type NTSTATUS, StatusError } from '#rtl'
import type { Executive } from '../executive.ts'
import type { DeviceObject } from './device.ts'
import { DriverObject } from './driver.ts'
import type { Irp } from './irp.ts'
import { isOf } from './pnp-hardware.ts'
import { DeviceNode } from './pnp-node.ts'
import { Relations } from './pnp-relations.ts'
import { PnpSteps, startParameters } from './pnp-steps.ts'
import { stackOf } from './stack.ts'

export type PlugPlayControl = Of<typeof PLUGPLAY_CONTROL>
export type PlugPlayResult = Of<typeof PLUGPLAY_RESULT>

const ROOT_ID = 'HTREE\\ROOT'
const ROOT_PATH = `${ROOT_ID}\\0`
const FILE_DEVICE_UNKNOWN = 0x22
const RELATION = { parent: 1, child: 2, sibling: 3 } as const
/** A lower driver that is not back by then keeps nobody waiting: the upper one's start fails. */
const LOWER_PATIENCE_MS = 60_000
/** Deaths of drivers below in one step of a return before the step has failed. */
const LOWER_DEATHS_MAX = 5

export class PlugAndPlay {
  readonly steps: PnpSteps
  readonly relations: Relations
  root: DeviceNode | undefined
  private readonly ex: Executive
  private last: Promise<unknown> = Promise.resolve()

  constructor(ex: Executive) {
    this.ex = ex
    this.steps = new PnpSteps(ex)
    this.relations = new Relations(ex, this.steps)
  }

  // ---------------------------------------------------------------- tree
  nodes(): DeviceNode[] {
    return [...this.theRoot().walk()]
  }
  find(path: string): DeviceNode | undefined {
    const key = path.toUpperCase()
    return this.nodes().find((node) => node.instancePath.toUpperCase() === key)
  }
  nodesOf(driver: DriverObject): DeviceNode[] {
    return this.root ? this.nodes().filter((node) => node.added.includes(driver)) : []
  }
  /** Who drives a device of the machine. */
  driversOf(machineDevice: string): DriverObject[] {
    const device = this.ex.root.manifest.devices[machineDevice]
    if (!device || !this.root) return []
    const nodes = this.nodes().filter((node) => isOf(node, device))
    return [...new Set(nodes.flatMap(({ functionDriver }) => functionDriver ?? []))]
  }
  private theRoot(): DeviceNode {
    this.root ??= this.makeRoot()
    return this.root
  }
  /** The root's physical device is the Executive's own, as \Driver\PnpManager's in NT. */
  private makeRoot(): DeviceNode {
    const driver = new DriverObject('PnpManager', '')
    driver.state = 'loaded'
    driver.internal = (irp) => this.ex.io.irps.completeInternal(irp, rootStatus(irp))
    this.ex.io.driverTable.add(driver)
    const { device } = this.ex.io.devices.create(driver, {
      DeviceType: FILE_DEVICE_UNKNOWN,
      Characteristics: 0,
      Flags: 0,
      Exclusive: false,
    })
    const root = new DeviceNode(device, ROOT_ID, '0', undefined)
    root.hardwareIds = [ROOT_PATH]
    device.physicalNode = root
    return root
  }

  // ---------------------------------------------------------------- control
  async control(control: PlugPlayControl): Promise<PlugPlayResult> {
    switch (control.kind) {
      case 'EnumerateDevice':
        await this.enumerate(control.DeviceInstance)
        return {}
      case 'GetRelatedDevice':
        return { RelatedDeviceInstance: related(this.get(control.TargetDeviceInstance), control.Relation).instancePath }
      case 'DeviceStatus': {
        const node = this.get(control.DeviceInstance)
        return { State: node.state, Service: node.service, Problem: node.problem }
      }
      case 'QueryHardwareIDs':
        return { Ids: [...this.get(control.DeviceInstance).hardwareIds] }
    }
  }
  private get(path: string): DeviceNode {
    const node = path === '' ? this.theRoot() : this.find(path)
    if (!node) throw new StatusError('STATUS_NO_SUCH_DEVICE', path)
    return node
  }

  // ---------------------------------------------------------------- walk
  async enumerate(path: string): Promise<void> {
    const node = this.get(path)
    await this.inTurn(() => this.walk(node))
  }
  invalidate(device: DeviceObject): void {
    const node = device.deviceNode
    if (node) void this.inTurn(() => this.walk(node))
  }
  walkLater(nodes: readonly DeviceNode[]): void {
    for (const node of nodes) void this.inTurn(() => this.walk(node))
  }
  /** The bus driver deleted its physical device: what is on it goes as well. */
  deviceDeleted(device: DeviceObject): void {
    const node = device.physicalNode
    if (node) void this.inTurn(() => this.steps.remove(node))
  }
  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.last.then(work)
    this.last = turn.catch(() => {})
    return turn
  }
  private async walk(node: DeviceNode): Promise<void> {
    if (node.physicalDevice.removed || node.state === 'DeviceNodeRemoved') return
    const { steps } = this
    if (node.state === 'DeviceNodeInitialized' && !(await steps.add(node))) return
    if (node.state === 'DeviceNodeDriversAdded' && !(await steps.assign(node))) return
    if (node.state === 'DeviceNodeResourcesAssigned' && !(await steps.start(node))) return
    if (!node.started) return
    await this.relations.enumerate(node)
    await Promise.all(node.children.map((child) => this.walk(child)))
  }

  // ---------------------------------------------------------------- death
  /** Devices that this driver made do DMA: off, confirmed. */
  async quiet(driver: DriverObject): Promise<void> {
    for (const node of this.nodesOf(driver)) {
      const { machineDevice } = node
      if (node.functionDriver === driver && machineDevice !== undefined) await this.ex.io.dma.stop(machineDevice)
    }
  }
  /** AddDevice, START, relations, for each of its nodes, parents first. Answers with new nodes to walk later. */
  async replay(driver: DriverObject, alive: () => boolean): Promise<DeviceNode[]> {
    const fresh: DeviceNode[] = []
    for (const node of this.nodesOf(driver)) {
      if (node.state === 'DeviceNodeRemoved') continue
      await this.lowerBack(node, driver)
      if (!alive()) return fresh
      const status = await this.replayNode(node, driver, alive)
      if (!alive()) return fresh
      if (!NT_SUCCESS(status)) this.steps.failed(node, 'replay', status)
      else if (node.started) fresh.push(...(await this.replayRelations(node, driver, alive)))
      if (!alive()) return fresh
    }
    return fresh
  }
  private async replayNode(node: DeviceNode, driver: DriverObject, alive: () => boolean): Promise<NTSTATUS> {
    const status = await this.steps.replayAddDevice(node, driver, true)
    if (!NT_SUCCESS(status) || !node.started || node.functionDriver !== driver) return status
    return this.whileLowerDie(node, driver, alive, async () => {
      await this.steps.openHardware(node)
      return this.replayStart(node, deviceIn(node, driver))
    })
  }
  /** A step that a death below ended is done again when the drivers there are back. */
  private async whileLowerDie(
    node: DeviceNode,
    driver: DriverObject,
    alive: () => boolean,
    step: () => Promise<NTSTATUS>,
  ): Promise<NTSTATUS> {
    let status = await step()
    for (let i = 1; i < LOWER_DEATHS_MAX && status === NT_STATUS.STATUS_DRIVER_PROCESS_TERMINATED && alive(); i++) {
      await this.lowerBack(node, driver)
      if (alive()) status = await step()
    }
    return status
  }
  private async replayStart(node: DeviceNode, device: DeviceObject | undefined): Promise<NTSTATUS> {
    if (!device) return NT_STATUS.STATUS_NO_SUCH_DEVICE
    const result = await this.steps.pnp(device, IRP_MN.IRP_MN_START_DEVICE, startParameters(node), { recovery: true })
    return result.Status
  }
  private async replayRelations(node: DeviceNode, driver: DriverObject, alive: () => boolean): Promise<DeviceNode[]> {
    const device = deviceIn(node, driver)
    const bus = node.functionDriver === driver || node.children.some((child) => child.physicalDevice.driver === driver)
    if (!bus || !device) return []
    let fresh: DeviceNode[] = []
    await this.whileLowerDie(node, driver, alive, async () => {
      const found = await this.relations.enumerate(node, { driver, device, alive })
      fresh = found.fresh
      return found.status
    })
    for (const child of node.children) {
      if (!alive()) return fresh
      if (!child.raw || !child.started || child.physicalDevice.driver !== driver) continue
      const status = await this.replayStart(child, child.physicalDevice)
      if (!NT_SUCCESS(status)) this.steps.failed(child, 'replay', status)
    }
    return fresh
  }
  /** Waits for the drivers below it in the node's stack. */
  private async lowerBack(node: DeviceNode, driver: DriverObject): Promise<void> {
    const stack = stackOf(node.physicalDevice)
    const own = stack.findIndex((device) => device.driver === driver && device.attachedTo)
    const lower = stack
      .slice(0, own < 0 ? 1 : own)
      .map((device) => device.driver)
      .filter((one) => one !== driver)
    const back = Promise.all(lower.map(async (one) => one.recovered?.promise))
    const { clock } = this.ex.env
    let alarm: { cancel(): void } | undefined
    const late = new Promise<void>((resolve) => {
      alarm = clock.alarm(LOWER_PATIENCE_MS, resolve)
    })
    await Promise.race([back, late])
    alarm?.cancel()
  }
  /** Its nodes lose their drivers and may be tried anew; what hung on its devices is removed. */
  async fail(driver: DriverObject): Promise<void> {
    if (this.root) await this.inTurn(() => this.failNodes(driver))
  }
  private async failNodes(driver: DriverObject): Promise<void> {
    for (const node of this.nodesOf(driver)) {
      if (!node.added.includes(driver)) continue
      await this.steps.tearDown(node)
      this.steps.failed(node, 'driver', NT_STATUS.STATUS_DRIVER_PROCESS_TERMINATED)
    }
    for (const node of this.nodes()) if (node.physicalDevice.driver === driver) await this.steps.remove(node)
  }
}

/** A driver's device in a node's stack: the one it attached, else the physical device it made. */
export function deviceIn(node: DeviceNode, driver: DriverObject): DeviceObject | undefined {
  const own = stackOf(node.physicalDevice).filter((device) => device.driver === driver)
  return own.find((device) => device !== node.physicalDevice) ?? own[0]
}
function related(node: DeviceNode, relation: number): DeviceNode {
  const siblings = node.parent?.children ?? []
  const found =
    relation === RELATION.parent
      ? node.parent
      : relation === RELATION.child
        ? node.children[0]
        : relation === RELATION.sibling
          ? siblings[siblings.indexOf(node) + 1]
          : undefined
  if (relation < RELATION.parent || relation > RELATION.sibling) throw new StatusError('STATUS_INVALID_PARAMETER')
  if (!found) throw new StatusError('STATUS_NO_MORE_ENTRIES')
  return found
}
/** The root bus has nothing to start and nothing to say. */
function rootStatus(irp: Irp): NTSTATUS {
  const level = irp.holder
  const quiet = [
    IRP_MN.IRP_MN_START_DEVICE,
    IRP_MN.IRP_MN_REMOVE_DEVICE,
    IRP_MN.IRP_MN_SURPRISE_REMOVAL,
  ] as readonly number[]
  if (level?.major === IRP_MJ.IRP_MJ_POWER) return NT_STATUS.STATUS_SUCCESS
  return level?.major === IRP_MJ.IRP_MJ_PNP && quiet.includes(level.minor)
    ? NT_STATUS.STATUS_SUCCESS
    : NT_STATUS.STATUS_NOT_SUPPORTED
}
