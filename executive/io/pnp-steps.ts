/**
 * The steps of one node's life, each a few requests to its stack:
 *
 *   load + add       lower filters, function driver, upper filters: AddDevice in that order
 *   assign           QUERY_RESOURCE_REQUIREMENTS, then arbitration; a conflict is the node's problem
 *   start            memory opened for DMA, START_DEVICE
 *   remove           SURPRISE_REMOVAL, REMOVE_DEVICE, then whatever is left is taken away
 *
 * A step that fails leaves its status in the node. A step whose driver dies is done again when the driver is back.
 */
import { IRP_MJ, IRP_MN, type Parameters } from '#contracts/wdm'
import { NT_STATUS, NT_SUCCESS, type NTSTATUS, StatusError, statusName } from '#rtl'
import type { Executive } from '../executive.ts'
import type { DeviceObject } from './device.ts'
import type { DriverObject } from './driver.ts'
import type { IrpResult } from './irp.ts'
import type { DeviceNode, Resource } from './pnp-node.ts'
import { stackOf } from './stack.ts'

/** Deaths of a driver in one step before the step has failed. */
const ATTEMPTS_MAX = 3
/** A driver told that its device is gone has nothing to wait for. */
const REMOVE_PATIENCE_MS = 5_000

export class PnpSteps {
  private readonly ex: Executive
  constructor(ex: Executive) {
    this.ex = ex
  }

  pnp(
    device: DeviceObject,
    minor: number,
    parameters: Parameters,
    options: { top?: boolean; recovery?: boolean; deadlineMs?: number } = {},
  ): Promise<IrpResult> {
    return this.ex.io.irps.submit({
      device,
      major: IRP_MJ.IRP_MJ_PNP,
      minor,
      parameters,
      requestor: 'system',
      ...options,
    })
  }

  // ---------------------------------------------------------------- load, AddDevice
  /** False: no driver, or the step failed. */
  async add(node: DeviceNode): Promise<boolean> {
    const { service, lower, upper } = this.ex.io.services.servicesOf(node)
    node.service = service
    if (service === undefined) return this.addRaw(node)
    const drivers: DriverObject[] = []
    for (const name of [...lower, service, ...upper]) {
      const driver = await this.load(node, name)
      if (!driver) return false
      drivers.push(driver)
    }
    for (const driver of drivers) {
      if (node.added.includes(driver)) continue
      const status = await this.addDevice(node, driver)
      if (!NT_SUCCESS(status)) return this.failed(node, 'AddDevice', status)
      node.added.push(driver)
    }
    node.functionDriver = drivers[lower.length]
    node.enter('DeviceNodeDriversAdded')
    return true
  }
  /** A storage device without a driver above it is used as it is (RawDeviceOK). */
  private addRaw(node: DeviceNode): boolean {
    node.raw = node.physicalDevice.isStorage
    if (node.raw) node.enter('DeviceNodeDriversAdded')
    return node.raw
  }
  private async load(node: DeviceNode, name: string): Promise<DriverObject | undefined> {
    try {
      return await this.ex.io.loadDriver(name)
    } catch (error) {
      if (!(error instanceof StatusError)) throw error
      this.failed(node, `load ${name}`, error.status)
      return undefined
    }
  }
  private async addDevice(node: DeviceNode, driver: DriverObject): Promise<NTSTATUS> {
    return this.patiently(node, driver, () => this.replayAddDevice(node, driver, false))
  }
  /** AddDevice is a request to the driver, not to a device; it travels as one to the physical device, addressed by its parameters. */
  async replayAddDevice(node: DeviceNode, driver: DriverObject, Restart: boolean): Promise<NTSTATUS> {
    const result = await this.ex.io.irps.submitToDriver(driver, {
      device: node.physicalDevice,
      major: IRP_MJ.IRP_MJ_ADD_DEVICE,
      requestor: 'system',
      recovery: Restart,
      parameters: {
        kind: 'AddDevice',
        PhysicalDevice: node.physicalDevice.handle,
        InstancePath: node.instancePath,
        Restart,
      },
    })
    return result.Status
  }

  // ---------------------------------------------------------------- resources
  async assign(node: DeviceNode): Promise<boolean> {
    const result = await this.pnp(
      node.physicalDevice,
      IRP_MN.IRP_MN_QUERY_RESOURCE_REQUIREMENTS,
      { kind: 'None' },
      { top: true },
    )
    const alternatives =
      NT_SUCCESS(result.Status) && result.response?.kind === 'Requirements' ? result.response.Alternatives : []
    const resources = alternatives.length
      ? this.ex.io.arbiter.assign(node, alternatives, (memory) => this.linesOf(memory))
      : []
    if (!resources) return this.failed(node, 'resources', NT_STATUS.STATUS_CONFLICTING_ADDRESSES)
    node.resources = resources
    node.machineDevice = this.dmaDeviceOf(resources)
    node.enter('DeviceNodeResourcesAssigned')
    return true
  }
  /** The machine's device whose registers are in one of these windows. */
  private machineDeviceOf(resources: readonly Resource[]): string | undefined {
    const inside = (base: number) =>
      resources.some((one) => one.kind === 'Memory' && base >= one.Start && base < one.Start + one.Length)
    return Object.keys(this.ex.root.manifest.devices).find((name) =>
      this.ex.root.manifest.devices[name].mmio.some(({ base }) => inside(base)),
    )
  }
  private dmaDeviceOf(resources: readonly Resource[]): string | undefined {
    // A window that others' windows are cut from (a bus) is no device's own.
    const fixed = resources.filter((one) => one.kind === 'Memory' && this.isExactWindow(one))
    const name = this.machineDeviceOf(fixed)
    return name !== undefined && this.ex.root.manifest.devices[name].dma !== false ? name : undefined
  }
  private isExactWindow(resource: Resource & { kind: 'Memory' }): boolean {
    const windows = Object.values(this.ex.root.manifest.devices).flatMap(({ mmio }) => mmio)
    return windows.some(({ base }) => base === resource.Start)
  }
  private linesOf(memory: readonly Resource[]): readonly number[] {
    const name = this.machineDeviceOf(memory)
    return name === undefined ? [] : this.ex.root.manifest.devices[name].irqs
  }

  // ---------------------------------------------------------------- start
  async start(node: DeviceNode): Promise<boolean> {
    node.enter('DeviceNodeStartPending')
    const status = await this.patiently(node, node.functionDriver ?? node.physicalDevice.driver, async () => {
      await this.openHardware(node)
      const result = await this.pnp(node.physicalDevice, IRP_MN.IRP_MN_START_DEVICE, startParameters(node), {
        top: true,
      })
      return result.Status
    })
    if (!NT_SUCCESS(status)) {
      await this.release(node)
      node.enter('DeviceNodeDriversAdded')
      return this.failed(node, 'start', status)
    }
    node.enter('DeviceNodeStarted')
    return true
  }
  async openHardware(node: DeviceNode): Promise<void> {
    if (node.machineDevice !== undefined) await this.ex.io.dma.start(node.machineDevice)
  }
  async release(node: DeviceNode): Promise<void> {
    if (node.machineDevice !== undefined) await this.ex.io.dma.stop(node.machineDevice)
    await this.ex.io.hardware.withdraw(node)
    this.ex.io.arbiter.release(node)
    node.resources = []
    node.machineDevice = undefined
  }

  // ---------------------------------------------------------------- remove
  /** Takes a node and everything below it away; children first. `recovery`: its bus driver is just coming back. */
  async remove(node: DeviceNode, recovery = false): Promise<void> {
    const { physicalDevice } = node
    await this.tearDown(node, recovery)
    this.ex.io.devices.remove(physicalDevice)
    node.enter('DeviceNodeRemoved')
    physicalDevice.physicalNode = undefined
    const siblings = node.parent?.children
    const at = siblings?.indexOf(node) ?? -1
    if (at >= 0) siblings?.splice(at, 1)
  }

  /** Takes the drivers off a node, so that only the physical device is left and it may be tried anew. */
  async tearDown(node: DeviceNode, recovery = false): Promise<void> {
    for (const child of [...node.children]) await this.remove(child, recovery)
    const { physicalDevice } = node
    const stack = stackOf(physicalDevice).slice(1)
    if (node.added.length > 0 && !physicalDevice.removed) {
      const options = { top: true, recovery, deadlineMs: REMOVE_PATIENCE_MS }
      await this.pnp(physicalDevice, IRP_MN.IRP_MN_SURPRISE_REMOVAL, { kind: 'None' }, options)
      await this.pnp(physicalDevice, IRP_MN.IRP_MN_REMOVE_DEVICE, { kind: 'None' }, options)
    }
    await this.release(node)
    for (const device of stack.reverse()) this.ex.io.devices.remove(device)
    node.added.length = 0
    node.functionDriver = undefined
    node.raw = false
    node.enter('DeviceNodeInitialized')
  }

  /** Again after the drivers' return, when it was a death that ended the step. */
  private async patiently(node: DeviceNode, driver: DriverObject, step: () => Promise<NTSTATUS>): Promise<NTSTATUS> {
    let status = await step()
    for (let i = 1; i < ATTEMPTS_MAX && status === NT_STATUS.STATUS_DRIVER_PROCESS_TERMINATED; i++) {
      const stack = new Set([driver, ...stackOf(node.physicalDevice).map((device) => device.driver)])
      const back = await Promise.all([...stack].map(async (one) => one.recovered?.promise ?? one.accepting))
      if (back.includes(false)) return status
      status = await step()
    }
    return status
  }
  failed(node: DeviceNode, step: string, status: NTSTATUS): false {
    node.fail(status)
    this.ex.env.log.warn('device has a problem', { node: node.instancePath, step, status: statusName(status) })
    return false
  }
}

export const startParameters = ({ resources }: DeviceNode): Parameters => ({
  kind: 'StartDevice',
  AllocatedResources: resources,
  AllocatedResourcesTranslated: resources,
})
