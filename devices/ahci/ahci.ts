/**
 * An AHCI host bus adapter with one port, 32 command slots and native command queueing.
 *
 * Owns the generic host control registers and the interrupt. Every register reads without side effect, so all that can
 * change are published: a driver that posted nothing reads them without a message. Port registers are published before
 * the interrupt summary, so that whoever sees a cause also sees what it stands for. PxIS and IS are quiet: to clear them
 * acknowledges, and a driver that has commands out reads PxSACT or PxCI after it.
 *
 * [AHCI] Serial ATA AHCI 1.3.1    [PCI] PCI Local Bus Specification 3.0
 * Memory: ABAR (BAR 5), 4 KiB. Interrupt: MSI, one message.
 */
import type { Chip, Clock, InterruptLine } from '#sel4/api'
import type { AtaDisk } from './ata-disk.ts'
import type { Dma } from './command-table.ts'
import { AhciPort } from './port.ts'
import { CAP, GHC, HBA, PORT_BYTES, PX, PX_ABSENT, SLOTS, VS_1_3_1 } from './registers.ts'

export interface AhciSeams {
  readonly clock: Clock
  readonly irq: InterruptLine
  readonly dma: Dma
  readonly publish: (region: number, offset: number, value: number) => void
  readonly quiet: (region: number, offset: number) => void
  /** Absent: nothing is connected to the port. */
  readonly disk?: AtaDisk
}
const CAPABILITIES =
  (CAP.S64A | CAP.SNCQ | CAP.SCLO | CAP.ISS_GEN3 | CAP.SAM | CAP.PMD | ((SLOTS - 1) << CAP.NCS_SHIFT)) >>> 0
/** What a driver polls; causes last. */
const PORT_PUBLISHED: readonly number[] = [
  PX.CLB,
  PX.CLBU,
  PX.FB,
  PX.FBU,
  PX.IE,
  PX.CMD,
  PX.TFD,
  PX.SIG,
  PX.SSTS,
  PX.SCTL,
  PX.SERR,
  PX.SACT,
  PX.CI,
  PX_ABSENT.SNTF,
  PX_ABSENT.FBS,
  PX_ABSENT.DEVSLP,
  PX.IS,
]
const HBA_CONSTANT: readonly number[] = [HBA.CAP, HBA.PI, HBA.VS, HBA.CAP2, HBA.BOHC]
const PORT_0 = 1
const REGION = 0
/** PCI command register bit 2. [PCI] 6.2.2 */
const BUS_MASTER = 0x4

export class Ahci implements Chip {
  private readonly seams: AhciSeams
  private readonly port: AhciPort
  private ghc: number = GHC.AE
  /** Whether the line was raised and not lowered since. */
  private raised = false
  private is = 0
  /** PxIS & PxIE as of the last look, 0 while GHC.IE is clear. */
  private causes = 0
  /** What the shared page holds: the port's registers by offset / 4, and GHC and IS. */
  private readonly published = new Uint32Array(PORT_BYTES / 4)
  private readonly publishedHba = new Map<number, number>()
  private turns = new Set<{ cancel(): void }>()

  constructor(seams: AhciSeams) {
    this.seams = seams
    this.port = new AhciPort({
      disk: seams.disk,
      dma: seams.dma,
      changed: () => this.update(),
      later: (work) => this.later(work),
    })
    this.reset()
  }
  private later(work: () => void): void {
    const turn = this.seams.clock.alarm(0, () => {
      this.turns.delete(turn)
      work()
    })
    this.turns.add(turn)
  }

  /** The function's bus-master bit is the PCI host's and survives. */
  reset(): void {
    this.port.powerOn()
    this.resetHba()
    this.publishEverything()
    this.update()
  }
  powerOff(): void {
    for (const turn of this.turns) turn.cancel()
    this.seams.disk?.powerOff()
  }
  /** PciFunction.command. */
  command(command: number): void {
    this.port.setBusMaster((command & BUS_MASTER) !== 0)
    this.update()
  }

  mmioRead(_region: number, offset: number): number {
    if (offset < HBA.PORTS) return this.readHba(offset)
    return offset < HBA.PORTS + PORT_BYTES ? this.port.registers[(offset - HBA.PORTS) >> 2] : 0
  }
  mmioWrite(_region: number, offset: number, value: number): void {
    if (offset === HBA.GHC) this.writeGhc(value)
    else if (offset === HBA.IS) this.writeIs(value)
    else if (offset >= HBA.PORTS && offset < HBA.PORTS + PORT_BYTES) this.port.write(offset - HBA.PORTS, value)
    this.update()
  }

  // ------------------------------------------------------------ generic host control

  private readHba(offset: number): number {
    switch (offset) {
      case HBA.CAP:
        return CAPABILITIES
      case HBA.GHC:
        return this.ghc >>> 0
      case HBA.IS:
        return this.is
      case HBA.PI:
        return PORT_0
      case HBA.VS:
        return VS_1_3_1
      default:
        return 0
    }
  }
  /** CAP.SAM: AE is fixed. HR is done when the write is. [AHCI] 3.1.2, 10.4.3 */
  private writeGhc(value: number): void {
    if (value & GHC.HR) {
      this.port.reset()
      this.resetHba()
    } else this.ghc = GHC.AE | (value & GHC.IE)
  }
  private resetHba(): void {
    this.ghc = GHC.AE
    this.is = 0
    this.causes = 0
  }
  /** A port that still has causes sets its bit again, which is a new message. [AHCI] 10.7.2 */
  private writeIs(value: number): void {
    this.is &= ~value
    if (value & PORT_0) this.causes = 0
  }

  // ------------------------------------------------------------ interrupt and shared page

  private update(): void {
    const { registers } = this.port
    const pending = registers[PX.IS >> 2] & registers[PX.IE >> 2]
    if (pending) this.is |= PORT_0
    this.publishChanges()
    const causes = this.ghc & GHC.IE ? pending : 0
    const news = causes & ~this.causes
    this.causes = causes
    if (news) this.seams.irq.raise()
    else if (this.raised && !(this.ghc & GHC.IE && this.is)) this.seams.irq.lower()
    this.raised = (this.ghc & GHC.IE) !== 0 && this.is !== 0
  }
  /** The shared page forgets all on a device reset. */
  private publishEverything(): void {
    for (const offset of HBA_CONSTANT) this.seams.publish(REGION, offset, this.readHba(offset))
    this.publishedHba.clear()
    for (const offset of [HBA.IS, HBA.PORTS + PX.IS]) this.seams.quiet(REGION, offset)
    for (const offset of PORT_PUBLISHED) {
      this.published[offset >> 2] = this.port.registers[offset >> 2]
      this.seams.publish(REGION, HBA.PORTS + offset, this.published[offset >> 2])
    }
  }
  private publishChanges(): void {
    const { registers } = this.port
    for (const offset of PORT_PUBLISHED) {
      const value = registers[offset >> 2]
      if (value === this.published[offset >> 2]) continue
      this.published[offset >> 2] = value
      this.seams.publish(REGION, HBA.PORTS + offset, value)
    }
    this.publishHba(HBA.GHC, this.ghc >>> 0)
    this.publishHba(HBA.IS, this.is)
  }
  private publishHba(offset: number, value: number): void {
    if (this.publishedHba.get(offset) === value) return
    this.publishedHba.set(offset, value)
    this.seams.publish(REGION, offset, value)
  }
}
