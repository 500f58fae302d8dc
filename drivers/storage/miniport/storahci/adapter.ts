/**
 * The HBA: found, taken from firmware, reset and brought up port by port. [AHCI] 10.1.2, 10.4.3, 10.6.3
 *
 * Both births do the same: after a reset nothing of an earlier life is left in the controller.
 */
import { StatusError } from '#rtl'
import {
  AllocateCommonBuffer,
  FreeCommonBuffer,
  KeDelayExecutionThread,
  MmMapIoSpace,
  READ_REGISTER_ULONG,
  WRITE_REGISTER_ULONG,
  type COMMON_BUFFER,
} from '#wdm'
import type { AdapterContext, StorAdapter } from '../../port/storport/index.ts'
import {
  BOHC,
  BOHC_BOS,
  BOHC_OOS,
  CAP,
  CAP2,
  CAP2_BOH,
  CAP_S64A,
  CAP_SCLO,
  CAP_SNCQ,
  capNCS,
  GHC,
  GHC_AE,
  GHC_HR,
  GHC_IE,
  IS,
  PI,
  portBase,
  type Registers,
  VS,
  waitUntil,
} from './hw.ts'
import { Port, type PortHost } from './port.ts'

/** [AHCI] 10.4.3: HR clears within a second, or the HBA is hung. */
const HBA_RESET_MS = 1000
/** [AHCI] 10.6.3: firmware gives up its claim within 25 ms, or 2 s when it is busy. */
const FIRMWARE_MS = 2000

export class AhciAdapter implements StorAdapter {
  private readonly hw: Registers
  private readonly ports: readonly Port[]
  private readonly buffers: readonly COMMON_BUFFER[]
  private readonly free: (buffer: COMMON_BUFFER) => void
  constructor(
    hw: Registers,
    ports: readonly Port[],
    buffers: readonly COMMON_BUFFER[],
    free: (buffer: COMMON_BUFFER) => void,
  ) {
    this.hw = hw
    this.ports = ports
    this.buffers = buffers
    this.free = free
  }
  get units(): readonly Port[] {
    return this.ports.filter((port) => port.present)
  }
  async HwInitialize(): Promise<void> {
    for (const port of this.ports) port.enableInterrupts()
    this.hw.write(GHC, ((await this.hw.read(GHC)) | GHC_AE | GHC_IE) >>> 0)
  }
  /** With one port, whose interrupt it was needs no asking. */
  async HwInterrupt(): Promise<boolean> {
    if (this.ports.length === 1) return this.ports[0].HwInterrupt()
    const pending = await this.hw.read(IS)
    let ours = false
    for (const port of this.ports) {
      if (Math.floor(pending / 2 ** port.number) % 2 === 1) ours = (await port.HwInterrupt()) || ours
    }
    return ours
  }
  async HwDpc(): Promise<void> {
    for (const port of this.ports) await port.HwDpc()
  }
  async HwStop(): Promise<void> {
    this.hw.write(GHC, GHC_AE)
    await Promise.all(this.ports.map((port) => port.stop()))
    for (const buffer of this.buffers) this.free(buffer)
  }
}

export async function HwFindAdapter(context: AdapterContext): Promise<AhciAdapter> {
  const { DriverObject } = context
  return findAdapter(await mapRegisters(context), context, {
    allocate: (length, alignment) => AllocateCommonBuffer(DriverObject, length, alignment),
    free: FreeCommonBuffer,
    log: (what, facts) => DriverObject.log.warn(what, facts),
  })
}
export interface AdapterHost {
  allocate(length: number, alignment: number): COMMON_BUFFER
  free(buffer: COMMON_BUFFER): void
  log(what: string, facts: object): void
}
type Calls = Pick<AdapterContext, 'requestDpc' | 'queueWork' | 'busChanged' | 'complete' | 'waits'>
export async function findAdapter(hw: Registers, calls: Calls, host: AdapterHost): Promise<AhciAdapter> {
  const version = await hw.read(VS)
  if (version === 0xffffffff || version === 0) throw new StatusError('STATUS_NO_SUCH_DEVICE', 'no AHCI registers')
  await takeFromFirmware(hw)
  const cap = await hw.read(CAP)
  const implemented = await hw.read(PI)
  await resetHba(hw)
  const buffers: COMMON_BUFFER[] = []
  const allocate = (length: number, alignment: number) => {
    const buffer = host.allocate(length, alignment)
    buffers.push(buffer)
    return buffer
  }
  const ports = portsOf(implemented).map((number) => new Port(portHost(hw, calls, host.log, cap, allocate), number))
  await Promise.all(ports.map((port) => port.bringUp()))
  hw.write(IS, 0xffffffff)
  return new AhciAdapter(hw, ports, buffers, host.free)
}
const portsOf = (implemented: number): number[] =>
  Array.from({ length: 32 }, (_, n) => n).filter((n) => Math.floor(implemented / 2 ** n) % 2 === 1)
const portHost = (
  hw: Registers,
  calls: Calls,
  log: PortHost['log'],
  cap: number,
  allocate: PortHost['allocate'],
): PortHost => ({
  hw,
  allocate,
  slots: capNCS(cap),
  ncq: (cap & CAP_SNCQ) !== 0,
  wide: (cap & CAP_S64A) !== 0,
  clearBusy: (cap & CAP_SCLO) !== 0,
  requestDpc: () => calls.requestDpc(),
  queueWork: (routine) => calls.queueWork(routine),
  busChanged: () => calls.busChanged(),
  complete: (request, outcome) => calls.complete(request, outcome),
  waits: (request, waiting) => calls.waits(request, waiting),
  log,
})

/** ABAR is the last memory BAR (5); no HBA has registers shorter than one port's. */
async function mapRegisters({ DriverObject, DeviceObject, resources }: AdapterContext): Promise<Registers> {
  const abar = resources
    .filter((resource) => resource.kind === 'Memory')
    .findLast(({ Length }) => Length >= portBase(1))
  if (!abar) throw new StatusError('STATUS_INSUFFICIENT_RESOURCES', 'no ABAR was assigned')
  const window = await MmMapIoSpace(DeviceObject, abar)
  return {
    read: (offset) => READ_REGISTER_ULONG(window, offset),
    write: (offset, value) => WRITE_REGISTER_ULONG(window, offset, value),
    delay: (milliseconds) => KeDelayExecutionThread(DriverObject, milliseconds),
    now: () => DriverObject.now(),
  }
}
async function takeFromFirmware(hw: Registers): Promise<void> {
  if (((await hw.read(CAP2)) & CAP2_BOH) === 0) return
  hw.write(BOHC, ((await hw.read(BOHC)) | BOHC_OOS) >>> 0)
  await waitUntil(hw, BOHC, (bohc) => (bohc & BOHC_BOS) === 0, FIRMWARE_MS)
}
async function resetHba(hw: Registers): Promise<void> {
  hw.write(GHC, GHC_AE)
  hw.write(GHC, (GHC_AE | GHC_HR) >>> 0)
  if (!(await waitUntil(hw, GHC, (ghc) => (ghc & GHC_HR) === 0, HBA_RESET_MS))) {
    throw new StatusError('STATUS_IO_TIMEOUT', 'the HBA does not come out of reset')
  }
  hw.write(GHC, GHC_AE)
}
