/**
 * A SATA disk over an image: ATA commands, one at a time, finished when `execute` returns.
 *
 *   execute(command, data)   runs it; `data` opens the host's buffer when the command has a data phase
 *   signature()              the task file after power on and resets
 *
 * Owns the write cache's setting and the NCQ error log. Knows nothing of ports, slots or interrupts: how the outcome
 * reaches the host is the port's business. DmaFault and TransferError of `data` pass through.
 *
 * [ACS] ATA/ATAPI Command Set 3    [SATA] Serial ATA Revision 3.1
 */
import { type DiskImage, ImageError } from '../lib/image.ts'
import { scatter, type Views } from '../lib/views.ts'
import type { RegisterH2D, TaskFile } from './fis.ts'
import { checksum, identifyDevice, QUEUE_DEPTH, TRANSFER_KIND, ULTRA_6 } from './identify.ts'
import { ATA, DEVICE_FUA, DEVICE_LBA, ERROR, FEATURE, LOG, STATUS } from './registers.ts'

export const SECTOR = 512

/** The command's buffer in host memory. Views of exactly `bytes`; throws when the host gave less. */
export interface DataPhase {
  toHost(bytes: number): Views
  fromHost(bytes: number): Views
}
/** How a command ends, in the protocol's terms. `queued`: the tag was accepted before, success or not. */
export interface Outcome {
  readonly protocol: 'register' | 'pio-in' | 'queued'
  readonly task: TaskFile
  /** Of a queued command. */
  readonly tag?: number
  /** Bytes of a pio-in data phase. */
  readonly bytes?: number
}
type Command = (disk: AtaDisk, command: RegisterH2D, data: DataPhase) => Outcome

/** [ACS] 7. What is absent is aborted: SMART, PIO data commands, security, trim. */
const COMMANDS: Readonly<Record<number, Command>> = {
  [ATA.READ_DMA]: (disk, command, data) => disk.read(range28(command), data),
  [ATA.READ_DMA_EXT]: (disk, command, data) => disk.read(range48(command), data),
  [ATA.WRITE_DMA]: (disk, command, data) => disk.write(range28(command), data),
  [ATA.WRITE_DMA_EXT]: (disk, command, data) => disk.write(range48(command), data),
  [ATA.READ_FPDMA_QUEUED]: (disk, command, data) => disk.queued(command, (range) => disk.read(range, data)),
  [ATA.WRITE_FPDMA_QUEUED]: (disk, command, data) => disk.queued(command, (range) => disk.write(range, data)),
  [ATA.READ_VERIFY]: (disk, command) => disk.verify(range28(command)),
  [ATA.READ_VERIFY_EXT]: (disk, command) => disk.verify(range48(command)),
  [ATA.READ_LOG_EXT]: (disk, command, data) => disk.readLog(command, data),
  [ATA.IDENTIFY_DEVICE]: (disk, _command, data) => disk.identify(data),
  [ATA.SET_FEATURES]: (disk, command) => disk.setFeatures(command),
  [ATA.EXECUTE_DEVICE_DIAGNOSTIC]: (disk) => ({ protocol: 'register', task: disk.signature() }),
  [ATA.FLUSH_CACHE]: (disk) => disk.flush(),
  [ATA.FLUSH_CACHE_EXT]: (disk) => disk.flush(),
  [ATA.STANDBY_IMMEDIATE]: (disk) => disk.flush(),
  [ATA.STANDBY]: (disk) => disk.flush(),
  [ATA.IDLE_IMMEDIATE]: (disk) => disk.done(),
  [ATA.IDLE]: (disk) => disk.done(),
  [ATA.CHECK_POWER_MODE]: (disk) => disk.done({ count: ACTIVE_OR_IDLE }),
}
const READY = STATUS.DRDY | STATUS.DSC
const ACTIVE_OR_IDLE = 0xff
const SIGNATURE: TaskFile = { status: READY, error: 0x01, lba: 1, device: 0, count: 1 }
/** READ VERIFY reads through this much memory at a time. */
const VERIFY_BYTES = 1 << 20

interface SectorRange {
  readonly lba: number
  readonly sectors: number
  readonly device: number
  /** Forced unit access: on the medium before the command ends. */
  readonly fua: boolean
}
const range28 = ({ lba, device, count }: RegisterH2D): SectorRange => ({
  lba: (lba % 0x1000000) + (device & 0x0f) * 0x1000000,
  sectors: count & 0xff || 256,
  device,
  fua: false,
})
const range48 = ({ lba, device, count }: RegisterH2D): SectorRange => ({
  lba,
  sectors: count || 65536,
  device,
  fua: false,
})
/** Queued commands have their count in the features, their tag in count bits 7–3. [ACS] 7.23 */
const rangeQueued = ({ lba, device, features }: RegisterH2D): SectorRange => ({
  lba,
  sectors: features || 65536,
  device,
  fua: !!(device & DEVICE_FUA),
})

export class AtaDisk {
  private readonly image: DiskImage
  private readonly serial: string
  private readonly sectors: number
  private writeCache = true
  private lookAhead = true
  private transferMode = ULTRA_6
  /** Page 10h; while it is unread the disk aborts everything else. */
  private ncqErrorLog = new Uint8Array(SECTOR)
  private halted = false

  constructor(image: DiskImage, serial: string) {
    this.image = image
    this.serial = serial
    this.sectors = image.bytes / SECTOR
  }

  /** COMRESET or power on: settings to their defaults. */
  hardReset(): void {
    this.softReset()
    this.writeCache = true
    this.lookAhead = true
    this.transferMode = ULTRA_6
  }
  /** SRST keeps settings; either reset ends the halt after a queued error. [SATA] 13.6.3 */
  softReset(): void {
    this.halted = false
  }
  signature(): TaskFile {
    return SIGNATURE
  }
  powerOff(): void {
    this.image.close()
  }

  execute(command: RegisterH2D, data: DataPhase): Outcome {
    const run = COMMANDS[command.command]
    const readsErrorLog = command.command === ATA.READ_LOG_EXT && (command.lba & 0xff) === LOG.NCQ_ERROR
    if (!run || (this.halted && !readsErrorLog)) return this.fail(ERROR.ABRT)
    return run(this, command, data)
  }

  // ------------------------------------------------------------ endings

  done(task: Partial<TaskFile> = {}): Outcome {
    return { protocol: 'register', task: { status: READY, error: 0, lba: 0, device: 0, count: 0, ...task } }
  }
  fail(error: number, lba = 0): Outcome {
    return this.done({ status: READY | STATUS.ERR, error, lba })
  }
  /** A page of data to the host by PIO. */
  private pioIn(bytes: Uint8Array, data: DataPhase): Outcome {
    scatter(bytes, data.toHost(bytes.length))
    return { ...this.done(), protocol: 'pio-in', bytes: bytes.length }
  }
  /** A host IO error is an uncorrectable sector; the task file names the first bad one. */
  private attempt(range: { lba: number }, io: () => void): Outcome {
    try {
      io()
      return this.done()
    } catch (error) {
      if (!(error instanceof ImageError)) throw error
      return this.fail(ERROR.UNC, Math.max(range.lba, Math.floor(error.offset / SECTOR)))
    }
  }

  // ------------------------------------------------------------ commands

  /** Undefined when the range may be accessed. CHS addressing is long obsolete. [ACS] 7.21.3 */
  private refuse({ lba, sectors, device }: SectorRange): Outcome | undefined {
    if (!(device & DEVICE_LBA)) return this.fail(ERROR.ABRT)
    if (lba + sectors > this.sectors) return this.fail(ERROR.IDNF, Math.max(lba, this.sectors))
    return undefined
  }
  read(range: SectorRange, data: DataPhase): Outcome {
    const refused = this.refuse(range)
    if (refused) return refused
    const views = data.toHost(range.sectors * SECTOR)
    return this.attempt(range, () => this.image.read(views, range.lba * SECTOR))
  }
  /** A read-only medium that is not removable has no WP bit to report: the command is aborted. [ACS] 6.2.1 */
  write(range: SectorRange, data: DataPhase): Outcome {
    const refused = this.refuse(range)
    if (refused) return refused
    if (this.image.readOnly) return this.fail(ERROR.ABRT)
    const views = data.fromHost(range.sectors * SECTOR)
    return this.attempt(range, () => {
      this.image.write(views, range.lba * SECTOR)
      if (range.fua || !this.writeCache) this.image.flush()
    })
  }
  /**
   * A range that cannot be is refused before the command is queued (a register FIS); an error of the medium comes
   * after (a set device bits FIS). Both are logged and halt the queue. [SATA] 13.6.3
   */
  queued(command: RegisterH2D, run: (range: SectorRange) => Outcome): Outcome {
    const range = rangeQueued(command)
    const tag = (command.count >> 3) & (QUEUE_DEPTH - 1)
    const outcome = run(range)
    const failed = outcome.task.status & STATUS.ERR
    if (failed) this.haltQueue(tag, outcome.task)
    const accepted = !failed || outcome.task.error === ERROR.UNC
    return { ...outcome, tag, protocol: accepted ? 'queued' : 'register' }
  }
  /** [ACS] Table A.12: NCQ Command Error log. */
  private haltQueue(tag: number, { status, error, lba, count }: TaskFile): void {
    const log = new Uint8Array(SECTOR)
    log[0] = tag
    log[2] = status
    log[3] = error
    for (let i = 0; i < 3; i++) {
      log[4 + i] = Math.floor(lba / 2 ** (8 * i)) & 0xff
      log[8 + i] = Math.floor(lba / 2 ** (24 + 8 * i)) & 0xff
    }
    log[7] = DEVICE_LBA
    log[12] = count & 0xff
    log[511] = checksum(log)
    this.ncqErrorLog = log
    this.halted = true
  }
  verify(range: SectorRange): Outcome {
    const refused = this.refuse(range)
    if (refused) return refused
    const scratch = new Uint8Array(Math.min(VERIFY_BYTES, range.sectors * SECTOR))
    const end = (range.lba + range.sectors) * SECTOR
    return this.attempt(range, () => {
      for (let at = range.lba * SECTOR; at < end; at += scratch.length)
        this.image.read([scratch.subarray(0, end - at)], at)
    })
  }
  flush(): Outcome {
    return this.attempt({ lba: 0 }, () => this.image.flush())
  }
  identify(data: DataPhase): Outcome {
    const { serial, sectors, writeCache, lookAhead, transferMode } = this
    return this.pioIn(identifyDevice({ serial, sectors, writeCache, lookAhead, transferMode }), data)
  }
  /** Log address in LBA 7–0, first page in LBA 15–8 and 39–32, pages in count. [ACS] 7.24 */
  readLog({ lba, count }: RegisterH2D, data: DataPhase): Outcome {
    const page = Math.floor(lba / 0x100) & 0xff
    const log = lba & 0xff
    if (page !== 0 || count !== 1) return this.fail(ERROR.ABRT)
    if (log === LOG.DIRECTORY) return this.pioIn(logDirectory(), data)
    if (log !== LOG.NCQ_ERROR) return this.fail(ERROR.ABRT)
    this.halted = false
    return this.pioIn(this.ncqErrorLog, data)
  }
  setFeatures({ features, count }: RegisterH2D): Outcome {
    switch (features & 0xff) {
      case FEATURE.ENABLE_WRITE_CACHE:
        this.writeCache = true
        return this.done()
      case FEATURE.DISABLE_WRITE_CACHE:
        this.writeCache = false
        return this.flush()
      case FEATURE.ENABLE_LOOK_AHEAD:
      case FEATURE.DISABLE_LOOK_AHEAD:
        this.lookAhead = (features & 0xff) === FEATURE.ENABLE_LOOK_AHEAD
        return this.done()
      case FEATURE.SET_TRANSFER_MODE:
        return this.setTransferMode(count & 0xff)
      default:
        return this.fail(ERROR.ABRT)
    }
  }
  private setTransferMode(mode: number): Outcome {
    const limit = MODE_LIMITS[mode >> 3]
    if (limit === undefined || (mode & 7) > limit) return this.fail(ERROR.ABRT)
    if (mode >> 3 === TRANSFER_KIND.MULTIWORD || mode >> 3 === TRANSFER_KIND.ULTRA) this.transferMode = mode
    return this.done()
  }
}
/** The highest number of each kind of transfer mode. */
const MODE_LIMITS: Readonly<Record<number, number>> = {
  [TRANSFER_KIND.PIO_DEFAULT]: 1,
  [TRANSFER_KIND.PIO]: 4,
  [TRANSFER_KIND.MULTIWORD]: 2,
  [TRANSFER_KIND.ULTRA]: 6,
}
/** Version 1, then the number of pages of each log. [ACS] Table A.2 */
function logDirectory(): Uint8Array {
  const words = new Uint16Array(SECTOR / 2)
  words[LOG.DIRECTORY] = 0x0001
  words[LOG.NCQ_ERROR] = 1
  return new Uint8Array(words.buffer)
}
