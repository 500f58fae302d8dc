/**
 * A world for tests of Io: the real object manager, a process manager and kernel that do what they are told, and drivers that
 * are objects which speak packets through the very handlers real ones call.
 */
import type { Handlers } from '#contracts/interface'
import type { DriverPacket, Parameters, Response, ServerPacket, WdmServices } from '#contracts/wdm'
import { IRP_MJ, IRP_MN } from '#contracts/wdm'
import { NT_STATUS, StatusError } from '#rtl'
import type { Caller, DeathReport, ManifestView } from '#sel4/api'
import { type FakeEnvironment, fakeEnvironment, settle } from '#sel4/fake'
import type { Executive } from '../executive.ts'
import { ObjectManager } from '../ob/index.ts'
import { Process } from '../ps/process.ts'
import { IoManager } from './index.ts'

export type Request = Extract<ServerPacket, { kind: 'Request' }>
export type Completed = Extract<ServerPacket, { kind: 'IoCompleted' }>
/** What a fake driver does; by default it completes everything well. */
export interface Behaviour {
  entry?(driver: FakeDriver): void | Promise<void>
  request?(driver: FakeDriver, packet: Request): void | Promise<void>
  completed?(driver: FakeDriver, packet: Completed): void
  cancel?(driver: FakeDriver, id: number): void
  /** Runs a real image instead. */
  main?(world: World, badge: number, birth: 'fresh' | 'restart', name: string): void
}

export class FakeDriver {
  readonly process: Process
  readonly world: World
  readonly birth: string
  readonly seen: ServerPacket[] = []
  readonly behaviour: Behaviour
  alive = true

  constructor(world: World, process: Process, birth: string, behaviour: Behaviour) {
    this.world = world
    this.process = process
    this.birth = birth
    this.behaviour = behaviour
  }
  get caller(): Caller {
    return { badge: this.process.pid }
  }
  get services(): Handlers<typeof WdmServices, Caller> {
    return this.world.handlers
  }
  async run(): Promise<void> {
    await this.behaviour.entry?.(this)
    while (this.alive) {
      const { Packets } = await this.services.WdmRequestIoPackets({ Packets: [], Wait: true }, this.caller)
      if (!this.alive) return
      for (const packet of Packets) await this.receive(packet)
    }
  }
  private async receive(packet: ServerPacket): Promise<void> {
    this.seen.push(packet)
    if (packet.kind === 'Request') {
      if (this.behaviour.request) await this.behaviour.request(this, packet)
      else this.complete(packet.Id)
    } else if (packet.kind === 'IoCompleted') this.behaviour.completed?.(this, packet)
    else if (packet.kind === 'Cancel') this.behaviour.cancel?.(this, packet.Id)
  }
  submit(...Packets: DriverPacket[]): void {
    if (this.alive) void this.services.WdmSubmitIoPackets({ Packets }, this.caller)
  }
  complete(Id: number, Status: number = NT_STATUS.STATUS_SUCCESS, Information = 0, Response?: Response): void {
    this.submit({ kind: 'Complete', Id, Status, Information, Response })
  }
  forward(
    packet: Request,
    Device: number,
    Notify = 0,
    change: Partial<Extract<DriverPacket, { kind: 'Forward' }>> = {},
  ): void {
    const { Id, MajorFunction, MinorFunction, Flags, Parameters: parameters, Mdl } = packet
    this.submit({
      kind: 'Forward',
      Id,
      Device,
      MajorFunction,
      MinorFunction,
      Flags,
      Parameters: parameters,
      BufferOffset: 0,
      BufferLength: Mdl?.ByteCount ?? 0,
      Notify,
      ...change,
    })
  }
  create(DeviceName?: string, DeviceType = 7): number {
    const request = { DeviceName, DeviceType, Characteristics: 0, Flags: 0, Exclusive: false }
    return (this.services.WdmCreateDevice(request, this.caller) as { Device: number }).Device
  }
  /** IoGetDeviceObjectPointer. */
  top(ObjectName: string): number {
    const answer = this.services.WdmGetDeviceObjectPointer({ ObjectName }, this.caller)
    return (answer as { Info: { Device: number } }).Info.Device
  }
  attach(SourceDevice: number, TargetDevice: number): number {
    const answer = this.services.WdmAttachDeviceToDeviceStack({ SourceDevice, TargetDevice }, this.caller)
    return (answer as { LowerDevice: { Device: number } }).LowerDevice.Device
  }
  requests(major?: number): Request[] {
    return this.seen.filter(
      (packet): packet is Request =>
        packet.kind === 'Request' && (major === undefined || packet.MajorFunction === major),
    )
  }
}

export class World {
  readonly env: FakeEnvironment
  readonly ex: Executive
  readonly io: IoManager
  readonly handlers: Handlers<typeof WdmServices, Caller>
  readonly behaviours: Record<string, Behaviour>
  /** The newest process of each image, and all there were. */
  readonly drivers = new Map<string, FakeDriver>()
  readonly lives: FakeDriver[] = []
  readonly commits: unknown[] = []
  private readonly processes: Process[] = []
  private nextPid = 4

  constructor(behaviours: Record<string, Behaviour>, manifest: Partial<ManifestView> = {}) {
    const images = Object.fromEntries(Object.keys(behaviours).map((name) => [name, { nt: { kind: 'driver' } }]))
    this.behaviours = behaviours
    this.env = fakeEnvironment({
      root: true,
      manifest: { images: { ...images, ...manifest.images }, devices: manifest.devices ?? {} },
    })
    const ex = { env: this.env, root: this.env.root, ob: new ObjectManager(), ps: this.fakePs() } as unknown as Record<
      string,
      unknown
    >
    ex.cc = { commit: (...args: unknown[]) => void this.commits.push(args), forget() {}, closeFile() {} }
    this.ex = ex as unknown as Executive
    this.io = new IoManager(this.ex)
    ex.io = this.io
    this.handlers = this.io.wdmHandlers()
  }
  private fakePs() {
    return {
      all: () => this.processes,
      byBadge: (pid: number) => {
        const found = this.processes.find((process) => process.pid === pid)
        if (!found) throw new StatusError('STATUS_INVALID_CID')
        return found
      },
      create: async ({ image, birth }: { image: string; birth: string }) => {
        const process = new Process(this.nextPid, image)
        this.nextPid += 4
        this.processes.push(process)
        const arena = await this.env.root!.allocate('drivers', 2 << 20)
        process.child = { name: image, pid: process.pid, generation: 1, arena }
        const driver = new FakeDriver(this, process, birth, this.behaviours[image])
        this.drivers.set(image, driver)
        this.lives.push(driver)
        const { main } = this.behaviours[image]
        if (main) main(this, process.pid, birth as 'fresh' | 'restart', image)
        else void driver.run()
        return process
      },
      terminate: async (process: Process) => {
        await this.kill(process.image)
      },
    }
  }
  driver(name: string): FakeDriver {
    const driver = this.drivers.get(name)
    if (!driver) throw new Error(`no driver ${name}`)
    return driver
  }
  /** The process is gone; resolves when its IRPs are accounted for. */
  async kill(name: string): Promise<void> {
    const { process } = this.driver(name)
    if (!this.driver(name).alive) return
    this.driver(name).alive = false
    this.processes.splice(this.processes.indexOf(process), 1)
    const report: DeathReport = { name, generation: 1, cause: 'signal', detail: 'SIGKILL' }
    if (process.driver) await this.io.driverDied(process.driver, report)
    process.ended(1)
  }
  device(name: string) {
    const { object } = this.ex.ob.lookup(name)
    return object as ReturnType<IoManager['devicesOf']>[number]
  }
  read(device: string, options: { length?: number; deadlineMs?: number; mdl?: boolean } = {}) {
    const Length = options.length ?? 4096
    return this.io.irps.submit({
      device: this.device(device).top(),
      major: IRP_MJ.IRP_MJ_READ,
      parameters: { kind: 'Read', Length, Key: 0, ByteOffset: 0 },
      requestor: 'system',
      mdl: { ByteOffset: 0, ByteCount: Length, Runs: [0x1000, Math.ceil(Length / 4096)] },
      deadlineMs: options.deadlineMs,
    })
  }
  /** Until nothing moves any more. */
  async settle(turns = 10): Promise<void> {
    for (let i = 0; i < turns; i++) await settle()
  }
}

/** A bus driver's relations and ids, for fake bus drivers. */
export function answerBus(
  driver: FakeDriver,
  packet: Request,
  ids: Readonly<Record<number, string>>,
  more?: (packet: Request) => Response | undefined,
): boolean {
  if (packet.MajorFunction !== IRP_MJ.IRP_MJ_PNP) return false
  const id = ids[packet.Device]
  const response = more?.(packet) ?? idResponse(packet.Parameters, id)
  driver.complete(
    packet.Id,
    response || packet.MinorFunction === IRP_MN.IRP_MN_START_DEVICE ? 0 : NT_STATUS.STATUS_NOT_SUPPORTED,
    0,
    response,
  )
  return true
}
function idResponse(parameters: Parameters, id: string | undefined): Response | undefined {
  if (parameters.kind !== 'QueryId' || id === undefined) return undefined
  const [device, instance] = [id.slice(0, id.lastIndexOf('\\')), id.slice(id.lastIndexOf('\\') + 1)]
  return { kind: 'Ids', Ids: parameters.IdType === 3 ? [instance] : parameters.IdType === 2 ? [] : [device] }
}
