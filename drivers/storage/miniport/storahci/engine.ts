/**
 * The registers of one port: its link, its two DMA engines, its interrupts. [AHCI] 5.5, 6.2.2, 10.1.2, 10.3, 10.4.2
 *
 *   bringUp(memory)    after the HBA's reset: where lists and frames lie, then the link
 *   restart(hard)      after an error: stop, reset the interface where a stop is not enough, start
 *   stop()             no DMA afterwards
 *
 * Knows no request. A false answer means that the device or the port did not do in time what it has to.
 */
import { highHalf, lowHalf } from '#drivers/lib/bytes'
import {
  det,
  DET_PRESENT,
  IS,
  portBase,
  PxCLB,
  PxCLBU,
  PxCMD,
  PxCMD_CLO,
  PxCMD_CR,
  PxCMD_FR,
  PxCMD_FRE,
  PxCMD_POD,
  PxCMD_ST,
  PxCMD_SUD,
  PxFB,
  PxFBU,
  PxIE,
  PxIS,
  PxSCTL,
  PxSERR,
  PxSSTS,
  PxTFD,
  type Registers,
  SCTL_COMRESET,
  SCTL_IDLE,
  SERR_ALL,
  STS_BSY,
  STS_DRQ,
  waitUntil,
} from './hw.ts'

/** [AHCI] 10.1.2: the engines stop within 500 ms or the port is stuck. */
const ENGINE_STOP_MS = 500
/** [AHCI] 10.4.2: COMRESET is held for at least 1 ms. */
const COMRESET_MS = 1
/** [AHCI] 10.1: a device answers COMRESET with COMINIT within 10 ms; three times that, the host schedules. */
const DETECT_MS = 30
const PHY_READY_MS = 1000
/** A disk has to spin up; [ATA8-ACS] gives it 31 s after power-on, but START_DEVICE itself must end within 30 s. */
const READY_MS = 20_000

export class PortEngine {
  readonly hw: Registers
  readonly number: number
  private readonly base: number
  private readonly canClearBusy: boolean

  /** canClearBusy: CAP.SCLO. */
  constructor(hw: Registers, number: number, canClearBusy: boolean) {
    this.hw = hw
    this.number = number
    this.base = portBase(number)
    this.canClearBusy = canClearBusy
  }
  read(register: number): Promise<number> {
    return this.hw.read(this.base + register)
  }
  write(register: number, value: number): void {
    this.hw.write(this.base + register, value >>> 0)
  }
  private until(register: number, done: (value: number) => boolean, milliseconds: number): Promise<boolean> {
    return waitUntil(this.hw, this.base + register, done, milliseconds)
  }

  // ---------------------------------------------------------------- interrupts
  quiet(): void {
    this.write(PxIE, 0)
  }
  /** Forgets the causes there are, and interrupts for these from now on. */
  listen(causes: number): void {
    this.write(PxSERR, SERR_ALL)
    this.write(PxIS, 0xffffffff)
    this.acknowledge()
    this.write(PxIE, causes)
  }
  /** The port's bit of the HBA's summary. */
  acknowledge(): void {
    this.hw.write(IS, 2 ** this.number)
  }

  // ---------------------------------------------------------------- engines and link
  async bringUp(memory: { readonly listAddress: number; readonly fisAddress: number }): Promise<boolean> {
    this.quiet()
    if (!(await this.stop())) return false
    this.write(PxCLB, lowHalf(memory.listAddress))
    this.write(PxCLBU, highHalf(memory.listAddress))
    this.write(PxFB, lowHalf(memory.fisAddress))
    this.write(PxFBU, highHalf(memory.fisAddress))
    this.write(PxCMD, (await this.read(PxCMD)) | PxCMD_FRE | PxCMD_SUD | PxCMD_POD)
    return this.reset()
  }
  /** ST off, then FRE: PxCLB and PxFB may change only then. [AHCI] 10.1.2 */
  async stop(): Promise<boolean> {
    if (!(await this.stopCommands())) return false
    this.write(PxCMD, (await this.read(PxCMD)) & ~PxCMD_FRE)
    return this.until(PxCMD, (cmd) => (cmd & PxCMD_FR) === 0, ENGINE_STOP_MS)
  }
  async stopCommands(): Promise<boolean> {
    this.write(PxCMD, (await this.read(PxCMD)) & ~PxCMD_ST)
    return this.until(PxCMD, (cmd) => (cmd & PxCMD_CR) === 0, ENGINE_STOP_MS)
  }
  /** [AHCI] 6.2.2.1, 6.2.2.2 */
  async restart(hard: boolean): Promise<boolean> {
    const stopped = await this.stopCommands()
    if (!hard && stopped) return this.start()
    if (!stopped && this.canClearBusy) this.write(PxCMD, (await this.read(PxCMD)) | PxCMD_CLO)
    return this.reset()
  }
  /** COMRESET, and the engine on again when the device is ready. [AHCI] 10.4.2, 10.3.1 */
  private async reset(): Promise<boolean> {
    this.write(PxSCTL, SCTL_COMRESET)
    /** Read once, so that the delay begins after the write took effect. */
    await this.read(PxSCTL)
    await this.hw.delay(COMRESET_MS)
    this.write(PxSCTL, SCTL_IDLE)
    if (!(await this.until(PxSSTS, (ssts) => det(ssts) !== 0, DETECT_MS))) return false
    if (!(await this.until(PxSSTS, (ssts) => det(ssts) === DET_PRESENT, PHY_READY_MS))) return false
    this.write(PxSERR, SERR_ALL)
    if (!(await this.until(PxTFD, (tfd) => (tfd & (STS_BSY | STS_DRQ)) === 0, READY_MS))) return false
    return this.start()
  }
  private async start(): Promise<true> {
    this.write(PxSERR, SERR_ALL)
    this.write(PxIS, 0xffffffff)
    const cmd = (await this.read(PxCMD)) | PxCMD_FRE
    this.write(PxCMD, cmd)
    this.write(PxCMD, cmd | PxCMD_ST)
    return true
  }
}
