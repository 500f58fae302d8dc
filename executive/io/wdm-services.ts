/**
 * What drivers may call. Each handler finds the caller's driver by its badge, checks that what it names is its own or was told to
 * it, and does one thing; the work is next door.
 *
 * A refusal the contract declares is answered; a packet that lies ends the driver (irp.ts).
 */
import type { Handlers } from '#contracts/interface'
import { type DriverPacket, majorName, PULLS_MAX, type WdmServices } from '#contracts/wdm'
import { NT_STATUS, StatusError, statusName } from '#rtl'
import type { Caller, TraceContext } from '#sel4/api'
import type { Executive } from '../executive.ts'
import { DeviceObject } from './device.ts'
import type { DriverObject } from './driver.ts'
import { attach, detach } from './stack.ts'

type WdmHandlers = Handlers<typeof WdmServices, Caller>
type Part<K extends keyof WdmHandlers> = Pick<WdmHandlers, K>

const QUERY_DEVICES_MAX = 64
/** WdmReadVolume: whole sectors of the smallest kind, this many bytes at most. */
const SECTOR = 512
const READ_VOLUME_MAX = 64 * 1024

export function wdmHandlers(ex: Executive): WdmHandlers {
  return {
    ...packetHandlers(ex),
    ...deviceHandlers(ex),
    ...stackHandlers(ex),
    ...nameHandlers(ex),
    ...hardwareHandlers(ex),
    ...volumeHandlers(ex),
    ...stateHandlers(ex),
  }
}
const driverOf = (ex: Executive, { badge }: Caller): DriverObject => ex.io.driverTable.adopt(ex.ps.byBadge(badge))

// -------------------------------------------------------------------- packets
function packetHandlers(ex: Executive): Part<'WdmRequestIoPackets' | 'WdmSubmitIoPackets' | 'WdmDriverEntryFailed'> {
  return {
    WdmRequestIoPackets({ Packets, Wait }, caller) {
      const driver = driverOf(ex, caller)
      take(ex, driver, Packets)
      if (Wait) driver.ready.resolve(true)
      if (Wait && driver.queue.parked >= PULLS_MAX) ex.io.faultDriver(driver, `more than ${PULLS_MAX} pulls at once`)
      if (driver.faulted) return { Packets: [] }
      const batch = driver.queue.pull(Wait)
      return batch instanceof Promise ? batch.then((later) => ({ Packets: later })) : { Packets: batch }
    },
    WdmSubmitIoPackets({ Packets }, caller) {
      take(ex, driverOf(ex, caller), Packets)
      return {}
    },
    WdmDriverEntryFailed({ Status }, caller) {
      const driver = driverOf(ex, caller)
      driver.loadStatus = NT_STATUS.STATUS_FAILED_DRIVER_ENTRY
      ex.env.log.error('DriverEntry failed', { driver: driver.name, status: Status })
      return {}
    },
  }
}
function take(ex: Executive, driver: DriverObject, packets: readonly DriverPacket[]): void {
  const { trace } = ex.env.sel4
  for (const packet of packets) {
    if (driver.faulted) return
    const handle = () => takeOne(ex, driver, packet)
    if (trace?.enabled) trace.span(titleOf(driver, packet), traceOf(packet), detailOf(driver, packet), handle)
    else handle()
  }
}
function takeOne(ex: Executive, driver: DriverObject, packet: DriverPacket): void {
  const { irps } = ex.io
  switch (packet.kind) {
    case 'Complete':
      return irps.complete(driver, packet)
    case 'Forward':
      return irps.forward(driver, packet)
    case 'NewRequest':
      return irps.newRequest(driver, packet)
    case 'CancelRequest':
      return irps.cancelRequest(driver, packet.LocalId)
  }
}

// ---------------------------------------- packets as a trace shows them
const traceOf = (packet: DriverPacket): TraceContext | undefined =>
  packet.kind === 'CancelRequest' ? undefined : packet.Trace
function titleOf(driver: DriverObject, packet: DriverPacket): string {
  const major = 'MajorFunction' in packet ? packet.MajorFunction : majorHeld(driver, packet)
  return major === undefined ? packet.kind : `${packet.kind} ${majorName(major)}`
}
const majorHeld = (driver: DriverObject, packet: DriverPacket): number | undefined =>
  packet.kind === 'Complete' ? driver.irps.get(packet.Id)?.holder?.major : undefined
function detailOf({ name }: DriverObject, packet: DriverPacket): object {
  if (packet.kind === 'Complete') return { from: name, Id: packet.Id, Status: statusName(packet.Status) }
  if (packet.kind === 'CancelRequest') return { from: name, LocalId: packet.LocalId }
  return { from: name, Device: packet.Device, Parameters: packet.Parameters }
}

// -------------------------------------------------------------------- devices
function deviceHandlers(
  ex: Executive,
): Part<'WdmCreateDevice' | 'WdmSetDeviceFlags' | 'WdmDeleteDevice' | 'WdmGetDevice'> {
  const { devices } = ex.io
  return {
    WdmCreateDevice(request, caller) {
      const { device, rebound } = devices.create(driverOf(ex, caller), request)
      return { Device: device.handle, Rebound: rebound }
    },
    WdmSetDeviceFlags({ Device, Flags, StackSize, AlignmentRequirement }, caller) {
      const device = devices.own(driverOf(ex, caller), Device)
      device.Flags = Flags
      device.StackSize = StackSize
      device.alignment = AlignmentRequirement
      return {}
    },
    WdmDeleteDevice({ Device }, caller) {
      const device = devices.own(driverOf(ex, caller), Device)
      if (device.fileSystem) ex.io.volumes.unregisterFileSystem(device)
      ex.io.pnp.deviceDeleted(device)
      devices.remove(device)
      return {}
    },
    WdmGetDevice({ Device }, caller) {
      return { Info: devices.known(driverOf(ex, caller), Device).info }
    },
  }
}
function stackHandlers(ex: Executive): Part<'WdmAttachDeviceToDeviceStack' | 'WdmDetachDevice'> {
  const { devices } = ex.io
  return {
    WdmAttachDeviceToDeviceStack({ SourceDevice, TargetDevice }, caller) {
      const driver = driverOf(ex, caller)
      const lower = attach(devices.own(driver, SourceDevice), devices.known(driver, TargetDevice))
      devices.grant(driver, lower)
      return { LowerDevice: lower.info }
    },
    WdmDetachDevice({ TargetDevice }, caller) {
      const driver = driverOf(ex, caller)
      const target = devices.known(driver, TargetDevice)
      if (target.attached && target.attached.driver !== driver) throw new StatusError('STATUS_ACCESS_DENIED')
      detach(target)
      return {}
    },
  }
}

// -------------------------------------------------------------------- names and properties
function nameHandlers(ex: Executive): Part<'WdmGetDeviceObjectPointer' | 'WdmQueryDevices' | 'WdmGetDeviceProperty'> {
  const { devices } = ex.io
  return {
    WdmGetDeviceObjectPointer({ ObjectName }, caller) {
      const { object, remaining } = ex.ob.lookup(ObjectName)
      if (!(object instanceof DeviceObject)) throw new StatusError('STATUS_OBJECT_TYPE_MISMATCH')
      if (remaining !== '') throw new StatusError('STATUS_OBJECT_NAME_NOT_FOUND')
      const top = object.top()
      devices.grant(driverOf(ex, caller), top)
      return { Info: top.info }
    },
    WdmQueryDevices({ DeviceType }) {
      const named = devices
        .all()
        .filter((device) => device.directory && (DeviceType === 0 || device.DeviceType === DeviceType))
      return { Names: named.slice(0, QUERY_DEVICES_MAX).map((device) => devices.pathOf(device)) }
    },
    WdmGetDeviceProperty({ Device, Property }, caller) {
      const node = devices.known(driverOf(ex, caller), Device).deviceNode
      if (!node) throw new StatusError('STATUS_NOT_FOUND')
      if (Property === 'InstancePath') return { Value: node.instancePath }
      if (Property === 'DeviceID') return { Value: node.deviceId }
      const path = Property === 'PhysicalDeviceObjectName' ? devices.pathOf(node.physicalDevice) : ''
      if (path === '') throw new StatusError('STATUS_NOT_FOUND')
      return { Value: path }
    },
  }
}

// -------------------------------------------------------------------- hardware
function hardwareHandlers(
  ex: Executive,
): Part<'WdmConnectInterrupt' | 'WdmEnablePort' | 'WdmMapIoMemory' | 'WdmInvalidateDeviceRelations'> {
  const { devices, hardware, pnp } = ex.io
  return {
    async WdmConnectInterrupt({ Device, Vector }, caller) {
      const driver = driverOf(ex, caller)
      return { IrqHandler: await hardware.interrupt(driver, devices.own(driver, Device), Vector) }
    },
    async WdmEnablePort({ Device, Start, Length }, caller) {
      const driver = driverOf(ex, caller)
      return { IoPort: await hardware.port(driver, devices.own(driver, Device), Start, Length) }
    },
    async WdmMapIoMemory({ Device, PhysicalAddress, Length }, caller) {
      const driver = driverOf(ex, caller)
      return { DeviceFrame: await hardware.memory(driver, devices.own(driver, Device), PhysicalAddress, Length) }
    },
    WdmInvalidateDeviceRelations({ Device }, caller) {
      pnp.invalidate(devices.known(driverOf(ex, caller), Device))
      return {}
    },
  }
}

// -------------------------------------------------------------------- file systems
function volumeHandlers(
  ex: Executive,
): Part<'WdmRegisterFileSystem' | 'WdmRegisterShutdownNotification' | 'WdmReadVolume' | 'WdmFlushVolume'> {
  const { devices } = ex.io
  return {
    WdmRegisterFileSystem({ Device }, caller) {
      const driver = driverOf(ex, caller)
      const device = devices.own(driver, Device)
      if (!device.isFileSystem) throw new StatusError('STATUS_INVALID_DEVICE_REQUEST')
      // A restarted file system offers the device it had: the volumes know it already.
      if (device.fileSystem && !driver.recovering) throw new StatusError('STATUS_ALREADY_REGISTERED')
      if (!device.fileSystem) ex.io.volumes.registerFileSystem(device)
      device.fileSystem = driver.isFileSystem = true
      return {}
    },
    WdmRegisterShutdownNotification({ Device }, caller) {
      const driver = driverOf(ex, caller)
      const device = devices.own(driver, Device)
      if (device.shutdownNotification && !driver.recovering) throw new StatusError('STATUS_ALREADY_REGISTERED')
      device.shutdownNotification = true
      return {}
    },
    async WdmReadVolume({ StorageDevice, Offset, Address, Length }, caller) {
      const driver = driverOf(ex, caller)
      const storage = mountedBy(ex, driver, StorageDevice)
      if (Offset < 0 || Offset % SECTOR !== 0 || Length % SECTOR !== 0 || Length > READ_VOLUME_MAX)
        throw new StatusError('STATUS_INVALID_PARAMETER')
      const bytes = arenaBytes(driver, Address, Length)
      await whileWaiting(driver, () => ex.cc.readVolume(storage, Offset, bytes))
      return {}
    },
    async WdmFlushVolume({ StorageDevice, File }, caller) {
      const driver = driverOf(ex, caller)
      const storage = mountedBy(ex, driver, StorageDevice)
      return { Status: await whileWaiting(driver, () => ex.cc.flushVolume(storage, File)) }
    },
  }
}
/** The storage device, if the caller is the file system that mounted it or is asked to mount it now. */
function mountedBy(ex: Executive, driver: DriverObject, handle: number): DeviceObject {
  const device = ex.io.devices.known(driver, handle)
  if (device.volume?.volumeDevice.driver === driver) return device
  for (const irp of driver.irps.values()) {
    const { parameters } = irp.request
    if (parameters.kind === 'MountVolume' && parameters.StorageDevice === handle) return device
  }
  throw new StatusError('STATUS_ACCESS_DENIED')
}
function arenaBytes(driver: DriverObject, address: number, length: number): Uint8Array {
  try {
    return driver.process.buffer(address, length).bytes
  } catch (error) {
    if (error instanceof StatusError) throw new StatusError('STATUS_INVALID_PARAMETER')
    throw error
  }
}
async function whileWaiting<T>(driver: DriverObject, work: () => Promise<T>): Promise<T> {
  driver.calls++
  try {
    return await work()
  } finally {
    driver.calls--
  }
}

// -------------------------------------------------------------------- parked state
function stateHandlers(ex: Executive): Part<'WdmParkState' | 'WdmQueryParkedState'> {
  return {
    WdmParkState({ Key, State }, caller) {
      if (!driverOf(ex, caller).park(Key, State)) throw new StatusError('STATUS_INSUFFICIENT_RESOURCES')
      return {}
    },
    WdmQueryParkedState({ Key }, caller) {
      return { State: driverOf(ex, caller).parkedState(Key) }
    },
  }
}
