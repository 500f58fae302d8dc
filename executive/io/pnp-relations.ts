/**
 * What is on a bus: relations asked for and applied to the tree as a difference.
 *
 * A device whose node is known stays as it is; a new one gets a node from its ids; one that is reported no more is removed with
 * everything on it. After a restart of the bus driver ids are asked again: a device bound to the handle of another one counts as
 * that other one removed and a new one found.
 */
import { IRP_MN, type Response } from '#contracts/wdm'
import { NT_STATUS, NT_SUCCESS, type NTSTATUS } from '#rtl'
import type { Executive } from '../executive.ts'
import type { DeviceObject } from './device.ts'
import type { DriverObject } from './driver.ts'
import { DeviceNode } from './pnp-node.ts'
import type { PnpSteps } from './pnp-steps.ts'
import { stackOf } from './stack.ts'

const BUS_RELATIONS = 0
const ID = { device: 0, hardware: 1, compatible: 2, instance: 3 } as const

interface Identity {
  readonly device: DeviceObject
  readonly deviceId: string
  readonly instanceId: string
  readonly hardwareIds: readonly string[]
  readonly compatibleIds: readonly string[]
}
/** A recovery asks one driver only, about the devices that are its own. */
export interface Replay {
  readonly driver: DriverObject
  readonly device: DeviceObject
  /** False when the driver died again: its silence says nothing about what is on the bus. */
  alive(): boolean
}
export interface Enumerated {
  readonly status: NTSTATUS
  /** The nodes that are new. */
  readonly fresh: DeviceNode[]
}

export class Relations {
  private readonly ex: Executive
  private readonly steps: PnpSteps
  constructor(ex: Executive, steps: PnpSteps) {
    this.ex = ex
    this.steps = steps
  }

  async enumerate(node: DeviceNode, replay?: Replay): Promise<Enumerated> {
    node.enter('DeviceNodeEnumeratePending')
    const target = replay?.device ?? node.physicalDevice
    const options = replay ? { recovery: true } : { top: true }
    const result = await this.steps.pnp(
      target,
      IRP_MN.IRP_MN_QUERY_DEVICE_RELATIONS,
      { kind: 'QueryDeviceRelations', Type: BUS_RELATIONS },
      options,
    )
    if (result.Status === NT_STATUS.STATUS_NOT_SUPPORTED || result.Status === NT_STATUS.STATUS_INVALID_DEVICE_REQUEST) {
      node.enter('DeviceNodeEnumerateCompletion')
      return { status: NT_STATUS.STATUS_SUCCESS, fresh: [] }
    }
    if (!NT_SUCCESS(result.Status)) {
      this.steps.failed(node, 'relations', result.Status)
      return { status: result.Status, fresh: [] }
    }
    const found = await this.identify(node, this.devicesOf(node, result.response), replay)
    if (replay && !replay.alive()) return { status: NT_STATUS.STATUS_DRIVER_PROCESS_TERMINATED, fresh: [] }
    const fresh = await this.apply(node, found, replay)
    node.enter('DeviceNodeEnumerateCompletion')
    return { status: NT_STATUS.STATUS_SUCCESS, fresh }
  }
  private devicesOf(node: DeviceNode, response: Response | undefined): DeviceObject[] {
    if (response?.kind !== 'Devices') return []
    const drivers = new Set(stackOf(node.physicalDevice).map((device) => device.driver))
    const devices = new Set<DeviceObject>()
    for (const handle of response.Devices) {
      const device = this.ex.io.deviceByHandle(handle)
      const elsewhere = device?.physicalNode && device.physicalNode.parent !== node
      if (device && drivers.has(device.driver) && !device.attachedTo && !elsewhere) devices.add(device)
      else this.ex.env.log.warn('a bus reported a device that is not on it', { node: node.instancePath, handle })
    }
    return [...devices]
  }

  // ---------------------------------------------------------------- ids
  private async identify(
    node: DeviceNode,
    devices: readonly DeviceObject[],
    replay: Replay | undefined,
  ): Promise<Identity[]> {
    const identities = await Promise.all(
      devices.map(async (device) => {
        const known = device.physicalNode
        return known && !replay ? identityOf(known) : this.ask(device, replay !== undefined)
      }),
    )
    for (const [i, identity] of identities.entries())
      if (!identity)
        this.ex.env.log.warn('a device without ids', { node: node.instancePath, handle: devices[i].handle })
    return identities.filter((identity) => identity !== undefined)
  }
  private async ask(device: DeviceObject, recovery: boolean): Promise<Identity | undefined> {
    const [deviceIds, hardwareIds, compatibleIds, instanceIds] = await Promise.all(
      [ID.device, ID.hardware, ID.compatible, ID.instance].map((type) => this.queryId(device, type, recovery)),
    )
    if (!isId(deviceIds[0]) || !isId(instanceIds[0])) return undefined
    return { device, deviceId: deviceIds[0], instanceId: instanceIds[0], hardwareIds, compatibleIds }
  }
  private async queryId(device: DeviceObject, IdType: number, recovery: boolean): Promise<readonly string[]> {
    const result = await this.steps.pnp(device, IRP_MN.IRP_MN_QUERY_ID, { kind: 'QueryId', IdType }, { recovery })
    return NT_SUCCESS(result.Status) && result.response?.kind === 'Ids' ? result.response.Ids : []
  }

  // ---------------------------------------------------------------- difference
  private async apply(node: DeviceNode, found: readonly Identity[], replay: Replay | undefined): Promise<DeviceNode[]> {
    const present = new Map(found.map((identity) => [identity.device, identity]))
    for (const child of [...node.children]) {
      if (replay && child.physicalDevice.driver !== replay.driver) continue
      const identity = present.get(child.physicalDevice)
      if (!identity) await this.steps.remove(child, replay !== undefined)
      else if (pathOf(identity) !== child.instancePath) {
        // Another device took this one's handle: what was stacked on it belongs to the old one.
        await this.steps.tearDown(child, replay !== undefined)
        this.forget(child)
      }
    }
    return found.flatMap((identity) =>
      identity.device.physicalNode || identity.device.removed ? [] : this.add(node, identity),
    )
  }
  private forget(child: DeviceNode): void {
    child.enter('DeviceNodeRemoved')
    child.physicalDevice.physicalNode = undefined
    const siblings = child.parent?.children ?? []
    siblings.splice(siblings.indexOf(child), 1)
  }
  private add(parent: DeviceNode, identity: Identity): DeviceNode[] {
    if (this.ex.io.pnp.find(pathOf(identity))) {
      this.ex.env.log.warn('two devices with one instance path', { path: pathOf(identity) })
      return []
    }
    const node = new DeviceNode(identity.device, identity.deviceId, identity.instanceId, parent)
    node.hardwareIds = identity.hardwareIds
    node.compatibleIds = identity.compatibleIds
    identity.device.physicalNode = node
    parent.children.push(node)
    return [node]
  }
}

const pathOf = ({ deviceId, instanceId }: Identity): string => `${deviceId}\\${instanceId}`
/** [NT] IoReportDetectedDevice: ids are printable, without blanks and commas. */
const isId = (id: string | undefined): id is string => id !== undefined && /^[!-+\-.-~]+$/.test(id)
function identityOf(node: DeviceNode): Identity {
  const { physicalDevice: device, deviceId, hardwareIds, compatibleIds, instancePath } = node
  return { device, deviceId, instanceId: instancePath.slice(deviceId.length + 1), hardwareIds, compatibleIds }
}
