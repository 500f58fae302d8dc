/**
 * One AHCI port with a SATA disk, or nothing, at its end.
 *
 * Owns the port's registers, the link, and the order in which command slots run. Work is done when the doorbell (PxCI)
 * is written; after a bound of bytes the rest waits for the event loop, so that other registers stay answered.
 *
 *   PxCI ──▶ CommandSlot (DMA) ──▶ AtaDisk.execute ──▶ FIS to PxFB, PxTFD, PxCI/PxSACT ──▶ PxIS ──▶ changed()
 *
 * States: stopped (ST 0) · running (CR 1) · failed (a fatal error; until software clears ST).
 *
 * [AHCI] 3.3 port registers, 5.3 port state machine, 6 error reporting, 10.3–10.4 software's view
 */
import { DmaFault } from '#sel4/api'
import type { AtaDisk, Outcome } from './ata-disk.ts'
import { CommandSlot, type Dma, TransferError } from './command-table.ts'
import { parseRegisterH2D, pioSetup, registerD2H, setDeviceBits, type TaskFile } from './fis.ts'
import {
  CLB_MASK,
  CMD,
  CMD_WRITABLE,
  CONTROL_SRST,
  DET,
  FB_MASK,
  GEN3,
  IE_WRITABLE,
  IS,
  IS_WRITE_1_TO_CLEAR,
  PORT_BYTES,
  PX,
  RECEIVED,
  SCTL_DET,
  SCTL_SPD_SHIFT,
  SCTL_WRITABLE,
  SERR,
  SERR_WRITE_1_TO_CLEAR,
  SIG_ATA,
  SIG_RESET,
  SLOTS,
  SSTS_DET,
  SSTS_IPM_ACTIVE,
  STATUS,
  TFD_RESET,
} from './registers.ts'

export interface PortSeams {
  readonly disk?: AtaDisk
  readonly dma: Dma
  /** Something a driver can see changed: publish and interrupt. */
  readonly changed: () => void
  /** Runs `work` when the event loop had a turn. */
  readonly later: (work: () => void) => void
}
/** Bytes moved before other work gets a turn: about a millisecond of memory traffic. */
const BYTES_A_TURN = 4 << 20

export class AhciPort {
  /** By offset / 4. */
  readonly registers = new Uint32Array(PORT_BYTES / 4)
  /** The function's bus-master bit: while it is clear the HBA waits, it does not fail. [PCI] 6.2.2 */
  private busMaster = false
  private readonly seams: PortSeams
  private failed = false
  /** The disk's first FIS after a reset, held until FRE is set and PxSERR.DIAG.X is cleared. [AHCI] 10.1.2 */
  private signature?: TaskFile
  /** SRST was set and not yet cleared. */
  private softReset = false
  private turnPending = false

  constructor(seams: PortSeams) {
    this.seams = seams
  }

  private get(offset: number): number {
    return this.registers[offset >> 2]
  }
  private set(offset: number, value: number): void {
    this.registers[offset >> 2] = value
  }

  // ------------------------------------------------------------ resets

  /** HBA reset: all but the two structure addresses. [AHCI] 10.4.3 */
  reset(): void {
    const kept = [PX.CLB, PX.CLBU, PX.FB, PX.FBU].map((offset) => [offset, this.get(offset)])
    this.registers.fill(0)
    for (const [offset, value] of kept) this.set(offset, value)
    this.set(PX.CMD, CMD.SUD | CMD.POD)
    this.failed = false
    this.softReset = false
    this.linkDown(SSTS_DET.NONE)
    this.linkUp()
  }
  powerOn(): void {
    this.registers.fill(0)
    this.reset()
  }
  setBusMaster(enabled: boolean): void {
    this.busMaster = enabled
    this.deliverSignature()
    this.run()
  }

  private linkDown(det: number): void {
    this.set(PX.SSTS, det)
    this.set(PX.TFD, TFD_RESET)
    this.set(PX.SIG, SIG_RESET)
    this.set(PX.SACT, 0)
    this.set(PX.CI, 0)
    this.signature = undefined
    if (det === SSTS_DET.NONE && this.seams.disk) this.raiseDiagnostic(SERR.N)
  }
  /** COMINIT: the disk is there, busy until its signature arrives. [AHCI] 10.4.2 */
  private linkUp(): void {
    const { disk } = this.seams
    if (!disk) return
    disk.hardReset()
    const limit = (this.get(PX.SCTL) >> SCTL_SPD_SHIFT) & 0x0f
    const speed = limit > 0 && limit < GEN3 ? limit : GEN3
    this.set(PX.SSTS, SSTS_DET.PRESENT | (speed << SCTL_SPD_SHIFT) | SSTS_IPM_ACTIVE)
    this.set(PX.TFD, STATUS.BSY)
    this.signature = disk.signature()
    this.raiseDiagnostic(SERR.X | SERR.N)
  }
  private raiseDiagnostic(bits: number): void {
    this.set(PX.SERR, this.get(PX.SERR) | bits)
    this.mirrorDiagnostics()
  }
  /** PCS and PRCS are PxSERR.DIAG.X and N seen through PxIS. [AHCI] 3.3.5 */
  private mirrorDiagnostics(): void {
    const serr = this.get(PX.SERR)
    const mirrored = (serr & SERR.X ? IS.PCS : 0) | (serr & SERR.N ? IS.PRCS : 0)
    this.set(PX.IS, (this.get(PX.IS) & IS_WRITE_1_TO_CLEAR) | mirrored)
  }

  // ------------------------------------------------------------ register writes

  write(offset: number, value: number): void {
    switch (offset) {
      case PX.CLB:
        this.set(PX.CLB, value & CLB_MASK)
        break
      case PX.FB:
        this.set(PX.FB, value & FB_MASK)
        break
      case PX.CLBU:
      case PX.FBU:
        this.set(offset, value)
        break
      case PX.IS:
        this.set(PX.IS, this.get(PX.IS) & ~(value & IS_WRITE_1_TO_CLEAR))
        break
      case PX.IE:
        this.set(PX.IE, value & IE_WRITABLE)
        break
      case PX.CMD:
        this.writeCmd(value)
        break
      case PX.SCTL:
        this.writeSctl(value & SCTL_WRITABLE)
        break
      case PX.SERR:
        this.set(PX.SERR, this.get(PX.SERR) & ~(value & SERR_WRITE_1_TO_CLEAR))
        this.mirrorDiagnostics()
        this.deliverSignature()
        break
      case PX.SACT:
        if (this.get(PX.CMD) & CMD.ST) this.set(PX.SACT, this.get(PX.SACT) | value)
        break
      case PX.CI:
        if (this.get(PX.CMD) & CMD.ST) this.set(PX.CI, this.get(PX.CI) | value)
        this.run()
        break
      default:
      // Read-only registers keep their values; reserved ones, and those of what CAP and CAP2 do not claim, stay 0.
    }
  }
  private writeCmd(value: number): void {
    const before = this.get(PX.CMD)
    const after = (before & ~CMD_WRITABLE) | (value & CMD_WRITABLE)
    this.set(PX.CMD, after)
    if (value & CMD.CLO) this.set(PX.TFD, this.get(PX.TFD) & ~(STATUS.BSY | STATUS.DRQ))
    if (after & CMD.FRE) this.set(PX.CMD, this.get(PX.CMD) | CMD.FR)
    else this.set(PX.CMD, this.get(PX.CMD) & ~CMD.FR)
    if (after & ~before & CMD.ST) this.start()
    if (before & ~after & CMD.ST) this.stop()
    this.deliverSignature()
    this.run()
  }
  private start(): void {
    this.set(PX.CMD, (this.get(PX.CMD) & ~CMD.CCS) | CMD.CR)
  }
  /** Clearing ST forgets outstanding commands and the failure. [AHCI] 3.3.7, 6.2.2 */
  private stop(): void {
    this.set(PX.CMD, this.get(PX.CMD) & ~(CMD.CR | CMD.CCS))
    this.set(PX.CI, 0)
    this.set(PX.SACT, 0)
    this.failed = false
  }
  /** DET 1 holds COMRESET, 0 after it lets the link come up; 4 switches the interface off. [AHCI] 3.3.11 */
  private writeSctl(value: number): void {
    const before = this.get(PX.SCTL) & SCTL_DET
    const after = value & SCTL_DET
    this.set(PX.SCTL, value)
    if (after === before) return
    if (after === DET.COMRESET) this.linkDown(SSTS_DET.NONE)
    else if (after === DET.DISABLE) this.linkDown(SSTS_DET.OFFLINE)
    else if (after === DET.NO_ACTION) {
      if (before === DET.DISABLE) this.set(PX.SSTS, SSTS_DET.NONE)
      this.linkUp()
      this.deliverSignature()
    }
  }

  // ------------------------------------------------------------ command slots

  private ready(): boolean {
    const running = (this.get(PX.CMD) & CMD.CR) !== 0 && this.busMaster && !this.failed
    const idle = (this.get(PX.TFD) & (STATUS.BSY | STATUS.DRQ)) === 0 || this.softReset
    return running && idle && (this.get(PX.SSTS) & 0x0f) === SSTS_DET.PRESENT
  }
  /** Runs what the doorbell asked for, in slot order from the last one on. [AHCI] 5.3.2 */
  private run(): void {
    let left = BYTES_A_TURN
    while (this.get(PX.CI) !== 0 && this.ready() && !this.turnPending) {
      if (left <= 0) {
        this.yieldTurn()
        return
      }
      left -= this.execute(this.nextSlot())
      this.seams.changed()
    }
  }
  private yieldTurn(): void {
    this.turnPending = true
    this.seams.later(() => {
      this.turnPending = false
      this.run()
    })
  }
  private nextSlot(): number {
    const pending = this.get(PX.CI)
    let slot = (this.get(PX.CMD) & CMD.CCS) >>> CMD.CCS_SHIFT
    while (!(pending & (1 << slot))) slot = (slot + 1) % SLOTS
    return slot
  }
  /** Returns the bytes moved. */
  private execute(slot: number): number {
    this.set(PX.CMD, (this.get(PX.CMD) & ~CMD.CCS) | (slot << CMD.CCS_SHIFT))
    try {
      const listAddress = this.get(PX.CLB) + this.get(PX.CLBU) * 0x100000000
      const command = new CommandSlot(this.seams.dma, listAddress, slot)
      this.dispatch(slot, command)
      return command.transferred
    } catch (error) {
      if (error instanceof DmaFault) this.fail(IS.HBFS)
      else if (error instanceof TransferError) this.fail(error.interrupt)
      else throw error
      return 0
    }
  }
  private dispatch(slot: number, command: CommandSlot): void {
    const fis = parseRegisterH2D(command.fis())
    if (!fis.isCommand) {
      this.control(slot, fis.control)
      return
    }
    const outcome = (this.seams.disk as AtaDisk).execute(fis, command)
    if (outcome.protocol === 'queued') this.endQueued(slot, outcome)
    else if (outcome.protocol === 'pio-in') this.endPio(slot, command, outcome)
    else this.endRegister(slot, command, outcome)
    if (command.descriptorInterrupt) this.interrupt(IS.DPS)
  }

  // ------------------------------------------------------------ how commands end

  /** A register FIS with the interrupt bit. An error stops the port, its slot still set. [AHCI] 6.2.2.1 */
  private endRegister(slot: number, command: CommandSlot, { task }: Outcome): void {
    const failed = task.status & STATUS.ERR
    if (!failed && command.transferred) command.storeByteCount()
    this.receive(RECEIVED.RFIS, registerD2H(task, true))
    this.setTaskFile(task)
    if (failed) this.fail(IS.TFES | IS.DHRS)
    else this.finish(slot, IS.DHRS)
  }
  /** PIO to the host: the setup FIS announces the block and carries the ending status; no register FIS follows. */
  private endPio(slot: number, command: CommandSlot, { task, bytes = 0 }: Outcome): void {
    command.storeByteCount()
    this.receive(RECEIVED.PSFIS, pioSetup(task, task.status | STATUS.DRQ, bytes))
    this.setTaskFile(task)
    this.finish(slot, IS.PSS)
  }
  /** Accepted by a silent register FIS, which frees the slot; finished by set device bits, which frees the tag. */
  private endQueued(slot: number, { task, tag = slot }: Outcome): void {
    const failed = (task.status & STATUS.ERR) !== 0
    this.receive(RECEIVED.RFIS, registerD2H({ ...task, status: task.status & ~STATUS.ERR, error: 0 }, false))
    this.set(PX.CI, this.get(PX.CI) & ~(1 << slot))
    const finished = failed ? 0 : 1 << tag
    this.receive(RECEIVED.SDBFIS, setDeviceBits(task.status, task.error, finished))
    this.set(PX.SACT, this.get(PX.SACT) & ~finished)
    this.setTaskFile(task)
    if (failed) this.fail(IS.TFES | IS.SDBS)
    else this.interrupt(IS.SDBS)
  }
  private finish(slot: number, interrupt: number): void {
    this.set(PX.CI, this.get(PX.CI) & ~(1 << slot))
    this.interrupt(interrupt)
  }
  /** Fatal: nothing more runs until software clears ST. [AHCI] 6.1.9, 6.2.2 */
  private fail(interrupt: number): void {
    this.failed = true
    this.interrupt(interrupt)
  }
  private interrupt(bits: number): void {
    this.set(PX.IS, this.get(PX.IS) | bits)
  }
  private setTaskFile({ status, error }: TaskFile): void {
    this.set(PX.TFD, status | (error << 8))
  }

  // ------------------------------------------------------------ control and received frames

  /** Software reset: SRST set by one FIS, cleared by the next, then the signature. [AHCI] 10.4.1 */
  private control(slot: number, control: number): void {
    this.set(PX.CI, this.get(PX.CI) & ~(1 << slot))
    if (control & CONTROL_SRST) {
      this.softReset = true
      this.set(PX.TFD, this.get(PX.TFD) | STATUS.BSY)
      return
    }
    if (!this.softReset) return
    this.softReset = false
    const disk = this.seams.disk as AtaDisk
    disk.softReset()
    this.signature = disk.signature()
    this.deliverSignature()
  }
  private deliverSignature(): void {
    const { signature } = this
    const open = this.get(PX.CMD) & CMD.FRE && !(this.get(PX.SERR) & SERR.X) && this.busMaster
    if (!signature || !open) return
    this.signature = undefined
    this.setTaskFile(signature)
    this.set(PX.SIG, SIG_ATA)
    try {
      this.receive(RECEIVED.RFIS, registerD2H(signature, false))
    } catch (error) {
      if (!(error instanceof DmaFault)) throw error
      this.fail(IS.HBFS)
    }
  }
  /** Puts a frame where PxFB points; without FRE it has nowhere to go. */
  private receive(offset: number, fis: Uint8Array): void {
    if (!(this.get(PX.CMD) & CMD.FRE)) return
    const address = this.get(PX.FB) + this.get(PX.FBU) * 0x100000000 + offset
    let at = 0
    for (const view of this.seams.dma(address, fis.length, 'write')) {
      view.set(fis.subarray(at, at + view.length))
      at += view.length
    }
  }
}
