/**
 * The Executive's side of a driver, for unit tests: answers driver services, hands out packets, collects what comes back.
 *
 *   const executive = fakeExecutive(DriverEntry, { name: 'disk', arenaBytes: 1 << 20 })
 *   await executive.settle()                          DriverEntry has run, the pull is parked
 *   executive.request({ Device, MajorFunction, … })   a Request; answers its Id
 *   await executive.complete(id)                      its Complete packet
 *   executive.packets                                 every packet the driver produced, in order
 *   executive.onNewRequest = (packet) => …            plays the lower drivers: what it returns completes the request
 *
 * Tests only. It checks little: the real Executive does.
 */
import type { Client, Handlers, Interface } from '#contracts/interface'
import { SystemServices } from '#contracts/nt'
import { type DriverPacket, IRP_MJ, type Response, type ServerPacket, WdmServices } from '#contracts/wdm'
import { NT_STATUS, StatusError } from '#rtl'
import type { Caller } from '#sel4/api'
import { type FakeEnvironment, type FakeOptions, fakeEnvironment, settle } from '#sel4/fake'
import type { DRIVER_INITIALIZE } from './api.ts'
import { driverMain } from './index.ts'

type PacketOf<K extends DriverPacket['kind']> = Extract<DriverPacket, { kind: K }>
type Request = Extract<ServerPacket, { kind: 'Request' }>
type In<M extends keyof Client<typeof WdmServices>> = Parameters<Client<typeof WdmServices>[M]>[0]
export interface FakeDevice {
  readonly handle: number
  readonly name?: string
  readonly type: number
  flags: number
  stackSize: number
  alignment: number
}
export interface Completed {
  readonly Status: number
  readonly Information?: number
  readonly Response?: Response
}
const EXECUTIVE = 1
type Overrides = Partial<Record<string, (args: any) => unknown>>

export class FakeExecutive {
  readonly env: FakeEnvironment
  readonly packets: DriverPacket[] = []
  /** How many packets came with each exchange. */
  readonly exchanges: { kind: 'pull' | 'call' | 'send'; count: number }[] = []
  readonly devices = new Map<number, FakeDevice>()
  readonly attached: { source: number; target: number }[] = []
  readonly parked = new Map<string, Uint8Array>()
  readonly interrupts: number[] = []
  failedEntry?: number
  onNewRequest?: (packet: PacketOf<'NewRequest'>) => Completed | undefined
  onForward?: (packet: PacketOf<'Forward'>) => Completed | undefined
  /** Resolves with the error that ended the driver. */
  readonly ended: Promise<Error>
  private readonly queue: ServerPacket[] = []
  private readonly pulls: (() => void)[] = []
  private lastId = 0
  private lastHandle = 0x100

  constructor(DriverEntry: DRIVER_INITIALIZE, options: FakeOptions, overrides: Overrides) {
    this.env = fakeEnvironment({ caps: { executive: EXECUTIVE }, ...options })
    const both: Interface<any> = {
      name: 'Executive',
      methods: { ...WdmServices.methods, ...SystemServices.methods },
      byLabel: new Map([...WdmServices.byLabel, ...SystemServices.byLabel]),
    }
    this.env.provide(EXECUTIVE, both, this.handlers(overrides) as never)
    this.ended = driverMain(DriverEntry)(this.env).then(
      () => new Error('main returned'),
      (error) => error,
    )
  }

  settle = settle
  get pullsParked(): number {
    return this.pulls.length
  }

  /** A device of some other driver. */
  foreign(type = 0x22, name?: string): FakeDevice {
    const handle = this.lastHandle++
    const device = { handle, name, type, flags: 0, stackSize: 1, alignment: 0 }
    this.devices.set(handle, device)
    return device
  }
  named(name: string): FakeDevice {
    const found = [...this.devices.values()].find((device) => device.name === name)
    if (!found) throw new Error(`no device ${name}`)
    return found
  }

  deliver(...packets: ServerPacket[]): void {
    this.queue.push(...packets)
    for (const wake of this.pulls.splice(0)) wake()
  }
  request(facts: Partial<Request> & { Device: number; MajorFunction: number }): number {
    const Id = ++this.lastId
    const rest = {
      File: 0,
      MinorFunction: 0,
      Flags: 0,
      Parameters: { kind: 'None' as const },
      OutputLength: 0,
      RequestorMode: 0,
    }
    this.deliver({ kind: 'Request', Id, ...rest, ...facts })
    return Id
  }
  /** Delivers, settles, and answers the Complete. */
  async perform(facts: Partial<Request> & { Device: number; MajorFunction: number }): Promise<PacketOf<'Complete'>> {
    return this.complete(this.request(facts))
  }
  async addDevice(PhysicalDevice: number, InstancePath = 'TEST\\DEVICE\\0'): Promise<PacketOf<'Complete'>> {
    const Restart = this.env.birth === 'restart'
    return this.perform({
      Device: PhysicalDevice,
      MajorFunction: IRP_MJ.IRP_MJ_ADD_DEVICE,
      Parameters: { kind: 'AddDevice', PhysicalDevice, InstancePath, Restart },
    })
  }
  completed(Id: number): PacketOf<'Complete'> | undefined {
    return this.packets.find((packet) => packet.kind === 'Complete' && packet.Id === Id) as PacketOf<'Complete'>
  }
  async complete(Id: number): Promise<PacketOf<'Complete'>> {
    for (let turn = 0; turn < 100; turn++) {
      const found = this.completed(Id)
      if (found) return found
      if (this.env.ended) throw this.env.ended
      await settle()
    }
    throw new Error(`IRP ${Id} is not complete`)
  }
  sent<K extends DriverPacket['kind']>(kind: K): PacketOf<K>[] {
    return this.packets.filter((packet) => packet.kind === kind) as PacketOf<K>[]
  }

  private take(kind: 'pull' | 'call' | 'send', packets: readonly DriverPacket[]): void {
    if (packets.length) this.exchanges.push({ kind, count: packets.length })
    for (const packet of packets) {
      this.packets.push(packet)
      if (packet.kind === 'Complete' && packet.Park) this.parked.set(packet.Park.Key, packet.Park.State)
      if (packet.kind === 'NewRequest') this.answer(packet.LocalId, true, this.onNewRequest?.(packet))
      if (packet.kind === 'Forward') this.answer(packet.Id, false, packet.Notify ? this.onForward?.(packet) : undefined)
    }
  }
  private answer(Id: number, Local: boolean, result: Completed | undefined): void {
    if (result) this.deliver({ kind: 'IoCompleted', Id, Local, Information: 0, ...result })
  }
  private async exchange({ Packets, Wait }: In<'WdmRequestIoPackets'>): Promise<{ Packets: ServerPacket[] }> {
    this.take(Wait ? 'pull' : 'call', Packets)
    while (Wait && this.queue.length === 0) await new Promise<void>((resolve) => this.pulls.push(resolve))
    return { Packets: this.queue.splice(0, 128) }
  }
  private info(handle: number) {
    const device = this.devices.get(handle)
    if (!device) throw new StatusError('STATUS_INVALID_HANDLE')
    const { type: DeviceType, flags: Flags, stackSize: StackSize, alignment: AlignmentRequirement } = device
    return { Device: handle, DeviceType, Characteristics: 0, Flags, StackSize, AlignmentRequirement }
  }

  private handlers(overrides: Overrides) {
    const mine: Handlers<typeof WdmServices, Caller> = {
      WdmRequestIoPackets: (args) => this.exchange(args),
      WdmSubmitIoPackets: ({ Packets }) => {
        this.take('send', Packets)
        return {}
      },
      WdmDriverEntryFailed: ({ Status }) => {
        this.failedEntry = Status
        return {}
      },
      ...this.deviceHandlers(),
      WdmConnectInterrupt: ({ Vector }) => {
        this.interrupts.push(Vector)
        return { IrqHandler: 0x400 + Vector }
      },
      WdmEnablePort: ({ Start }) => ({ IoPort: Start }),
      WdmMapIoMemory: ({ PhysicalAddress }) => ({ DeviceFrame: Math.floor(PhysicalAddress / 4096) }),
      WdmRegisterFileSystem: () => ({}),
      WdmRegisterShutdownNotification: () => ({}),
      WdmInvalidateDeviceRelations: () => ({}),
      WdmReadVolume: () => {
        throw new StatusError('STATUS_DEVICE_NOT_READY')
      },
      WdmFlushVolume: () => ({ Status: NT_STATUS.STATUS_SUCCESS }),
      WdmParkState: ({ Key, State }) => {
        this.parked.set(Key, State)
        return {}
      },
      WdmQueryParkedState: ({ Key }) => ({ State: this.parked.get(Key) ?? new Uint8Array(0) }),
    }
    const unknown = () => {
      throw new StatusError('STATUS_NOT_IMPLEMENTED')
    }
    return new Proxy({ ...mine, ...overrides } as Record<string, unknown>, {
      get: (table, name) => table[name as string] ?? unknown,
    })
  }

  private deviceHandlers() {
    return {
      WdmCreateDevice: ({ DeviceName, DeviceType, Flags }: In<'WdmCreateDevice'>) => {
        const old = [...this.devices.values()].find(({ name }) => name !== undefined && name === DeviceName)
        const device = old ?? this.foreign(DeviceType, DeviceName)
        device.flags = Flags
        return { Device: device.handle, Rebound: old !== undefined }
      },
      WdmSetDeviceFlags: ({ Device, Flags, StackSize, AlignmentRequirement }: In<'WdmSetDeviceFlags'>) => {
        Object.assign(this.devices.get(Device)!, {
          flags: Flags,
          stackSize: StackSize,
          alignment: AlignmentRequirement,
        })
        return {}
      },
      WdmDeleteDevice: ({ Device }: In<'WdmDeleteDevice'>) => {
        this.devices.delete(Device)
        return {}
      },
      WdmAttachDeviceToDeviceStack: ({ SourceDevice, TargetDevice }: In<'WdmAttachDeviceToDeviceStack'>) => {
        this.attached.push({ source: SourceDevice, target: TargetDevice })
        return { LowerDevice: this.info(TargetDevice) }
      },
      WdmDetachDevice: () => ({}),
      WdmGetDevice: ({ Device }: In<'WdmGetDevice'>) => ({ Info: this.info(Device) }),
      WdmGetDeviceObjectPointer: ({ ObjectName }: In<'WdmGetDeviceObjectPointer'>) => ({
        Info: this.info(this.named(ObjectName).handle),
      }),
      WdmQueryDevices: ({ DeviceType }: In<'WdmQueryDevices'>) => ({
        Names: [...this.devices.values()].flatMap(({ name, type }) =>
          name && (!DeviceType || type === DeviceType) ? [name] : [],
        ),
      }),
      WdmGetDeviceProperty: () => ({ Value: 'TEST\\DEVICE\\0' }),
    }
  }
}

export const fakeExecutive = (
  DriverEntry: DRIVER_INITIALIZE,
  options: FakeOptions = {},
  overrides: Overrides = {},
): FakeExecutive => new FakeExecutive(DriverEntry, options, overrides)
