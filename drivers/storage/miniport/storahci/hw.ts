/**
 * AHCI registers and memory structures, and nothing that uses them. [AHCI] = Serial ATA AHCI 1.3.1; [ATA8-ACS] T13/1699-D.
 */

/** Generic host control. [AHCI] 3.1 */
export const CAP = 0x00
export const GHC = 0x04
export const IS = 0x08
export const PI = 0x0c
export const VS = 0x10
export const CAP2 = 0x24
export const BOHC = 0x28

export const CAP_S64A = 0x80000000
export const CAP_SNCQ = 0x40000000
export const CAP_SSS = 0x08000000
export const CAP_SCLO = 0x01000000
/** Number of command slots, 0's based. */
export const capNCS = (cap: number): number => ((cap >>> 8) & 0x1f) + 1

export const GHC_HR = 0x00000001
export const GHC_IE = 0x00000002
export const GHC_AE = 0x80000000
export const CAP2_BOH = 0x1
export const BOHC_BOS = 0x1
export const BOHC_OOS = 0x2

/** Port registers. [AHCI] 3.3 */
export const portBase = (port: number): number => 0x100 + port * 0x80
export const PxCLB = 0x00
export const PxCLBU = 0x04
export const PxFB = 0x08
export const PxFBU = 0x0c
export const PxIS = 0x10
export const PxIE = 0x14
export const PxCMD = 0x18
export const PxTFD = 0x20
export const PxSIG = 0x24
export const PxSSTS = 0x28
export const PxSCTL = 0x2c
export const PxSERR = 0x30
export const PxSACT = 0x34
export const PxCI = 0x38

/** PxIS and PxIE. [AHCI] 3.3.5 */
export const PxIS_DHRS = 0x00000001
export const PxIS_PSS = 0x00000002
export const PxIS_DSS = 0x00000004
export const PxIS_SDBS = 0x00000008
export const PxIS_UFS = 0x00000010
export const PxIS_PCS = 0x00000040
export const PxIS_PRCS = 0x00400000
export const PxIS_OFS = 0x01000000
export const PxIS_INFS = 0x04000000
export const PxIS_IFS = 0x08000000
export const PxIS_HBDS = 0x10000000
export const PxIS_HBFS = 0x20000000
export const PxIS_TFES = 0x40000000
/** The engine stops at these and wants 6.2.2's recovery. */
export const FATAL = (PxIS_IFS | PxIS_HBDS | PxIS_HBFS | PxIS_TFES | PxIS_OFS | PxIS_UFS) >>> 0
export const CONNECT = PxIS_PCS | PxIS_PRCS
export const INTERESTING = (PxIS_DHRS | PxIS_PSS | PxIS_DSS | PxIS_SDBS | CONNECT | FATAL) >>> 0

/** PxCMD. [AHCI] 3.3.7 */
export const PxCMD_ST = 0x0001
export const PxCMD_SUD = 0x0002
export const PxCMD_POD = 0x0004
export const PxCMD_CLO = 0x0008
export const PxCMD_FRE = 0x0010
export const PxCMD_FR = 0x4000
export const PxCMD_CR = 0x8000
export const ccs = (cmd: number): number => (cmd >>> 8) & 0x1f

/** PxTFD: the device's status in the low byte, its error above. [ATA8-ACS] 6.1, 6.3 */
export const STS_ERR = 0x01
export const STS_DRQ = 0x08
export const STS_DF = 0x20
export const STS_BSY = 0x80

/** PxSSTS.DET: a device is there and Phy communication is established. */
export const det = (ssts: number): number => ssts & 0xf
export const DET_PRESENT = 3
/** PxSCTL: DET = 1 resets the interface; IPM = 3 forbids partial and slumber. */
export const SCTL_IDLE = 0x300
export const SCTL_COMRESET = 0x301
export const SIG_ATA = 0x00000101
export const SERR_ALL = 0xffffffff

/** [AHCI] 4.2.1: 32 headers of 32 bytes, aligned to 1 KiB; 4.2.1 received FIS, 256 bytes. */
export const COMMAND_LIST_BYTES = 1024
export const COMMAND_HEADER_BYTES = 32
export const RECEIVED_FIS_BYTES = 256
/** [AHCI] 4.2.3: a PRDT follows 128 bytes of FIS, ATAPI command and reserved space. */
export const PRDT_OFFSET = 0x80
export const PRD_BYTES = 16
/** One entry describes 4 MiB at most. [AHCI] 4.2.3.3 */
export const PRD_MAX = 0x400000
/** 1 MiB in single pages, begun in the middle of one, is 257 entries; a multiple of eight keeps tables 128-aligned. */
export const PRDT_ENTRIES = 264
export const COMMAND_TABLE_BYTES = PRDT_OFFSET + PRDT_ENTRIES * PRD_BYTES

/** Commands. [ATA8-ACS] 7 */
export const ATA = {
  READ_DMA_EXT: 0x25,
  READ_LOG_EXT: 0x2f,
  WRITE_DMA_EXT: 0x35,
  WRITE_DMA_FUA_EXT: 0x3d,
  READ_VERIFY_SECTORS: 0x40,
  READ_VERIFY_SECTORS_EXT: 0x42,
  READ_FPDMA_QUEUED: 0x60,
  WRITE_FPDMA_QUEUED: 0x61,
  READ_DMA: 0xc8,
  WRITE_DMA: 0xca,
  STANDBY_IMMEDIATE: 0xe0,
  FLUSH_CACHE: 0xe7,
  FLUSH_CACHE_EXT: 0xea,
  IDENTIFY_DEVICE: 0xec,
} as const
/** [ATA8-ACS] A.14: which queued command failed, and how. */
export const LOG_NCQ_COMMAND_ERROR = 0x10

/** What the port needs of the machine: registers, and time. A read sees the effect of every earlier write. */
export interface Registers {
  read(offset: number): Promise<number>
  write(offset: number, value: number): void
  delay(milliseconds: number): Promise<void>
  now(): number
}
/** Polls a register until `done`; false when time is up. The last look is after the deadline: a late host is no fault. */
export async function waitUntil(
  hw: Registers,
  offset: number,
  done: (value: number) => boolean,
  milliseconds: number,
): Promise<boolean> {
  const end = hw.now() + milliseconds
  for (let step = 1; ; step = Math.min(step * 2, 10)) {
    const late = hw.now() >= end
    if (done(await hw.read(offset))) return true
    if (late) return false
    await hw.delay(step)
  }
}
