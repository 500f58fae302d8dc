/**
 * AHCI registers, memory structures and their bits; ATA status bits and command codes. Names and numbers only.
 *
 * [AHCI] Serial ATA AHCI 1.3.1 Specification
 * [SATA] Serial ATA Revision 3.1
 * [ACS]  ATA/ATAPI Command Set 3 (ACS-3)
 */
// ---------------------------------------------------------------- generic host control, [AHCI] 3.1
export const HBA = {
  CAP: 0x00,
  GHC: 0x04,
  IS: 0x08,
  PI: 0x0c,
  VS: 0x10,
  CAP2: 0x24,
  BOHC: 0x28,
  PORTS: 0x100,
} as const
export const PORT_BYTES = 0x80

export const CAP = {
  /** 64-bit addressing, NCQ, SNotification, command list override, AHCI only, FIS-based switching, PIO multiple DRQ blocks. */
  S64A: 0x80000000,
  SNCQ: 0x40000000,
  SSNTF: 0x20000000,
  SCLO: 0x01000000,
  ISS_GEN3: 0x00300000,
  SAM: 0x00040000,
  FBSS: 0x00010000,
  PMD: 0x00008000,
  /** Number of command slots less one, bits 12–8. */
  NCS_SHIFT: 8,
} as const
/** Device sleep. */
export const CAP2 = { SDS: 0x00000008 } as const
export const SLOTS = 32
export const GHC = { HR: 0x00000001, IE: 0x00000002, AE: 0x80000000 } as const
export const VS_1_3_1 = 0x00010301

// ---------------------------------------------------------------- port registers, [AHCI] 3.3
export const PX = {
  CLB: 0x00,
  CLBU: 0x04,
  FB: 0x08,
  FBU: 0x0c,
  IS: 0x10,
  IE: 0x14,
  CMD: 0x18,
  TFD: 0x20,
  SIG: 0x24,
  SSTS: 0x28,
  SCTL: 0x2c,
  SERR: 0x30,
  SACT: 0x34,
  CI: 0x38,
} as const
/**
 * Registers of what neither CAP (SSNTF, FBSS) nor CAP2 (SDS) claims. They are reserved here: they read 0, and a write changes
 * nothing. [AHCI] 1.5, 3.3.15–3.3.17
 */
export const PX_ABSENT = { SNTF: 0x3c, FBS: 0x40, DEVSLP: 0x44 } as const
export const CLB_MASK = 0xfffffc00
export const FB_MASK = 0xffffff00

/** PxIS and PxIE. */
export const IS = {
  DHRS: 0x00000001,
  PSS: 0x00000002,
  DSS: 0x00000004,
  SDBS: 0x00000008,
  UFS: 0x00000010,
  DPS: 0x00000020,
  PCS: 0x00000040,
  PRCS: 0x00400000,
  OFS: 0x01000000,
  INFS: 0x04000000,
  IFS: 0x08000000,
  HBDS: 0x10000000,
  HBFS: 0x20000000,
  TFES: 0x40000000,
} as const
/** UFS, PCS and PRCS show bits of PxSERR and are cleared there. */
export const IS_WRITE_1_TO_CLEAR = 0x7d8000af
export const IE_WRITABLE = 0x7dc0007f

export const CMD = {
  ST: 0x00000001,
  SUD: 0x00000002,
  POD: 0x00000004,
  CLO: 0x00000008,
  FRE: 0x00000010,
  CCS: 0x00001f00,
  CCS_SHIFT: 8,
  FR: 0x00004000,
  CR: 0x00008000,
  ATAPI: 0x01000000,
  DLAE: 0x02000000,
} as const
/** SUD and POD are fixed: no staggered spin-up, no cold presence detection. ICC has nothing to manage and reads idle. */
export const CMD_WRITABLE = CMD.ST | CMD.FRE | CMD.ATAPI | CMD.DLAE

/** PxSSTS: device detection, Gen3 speed, interface active. */
export const SSTS_DET = { NONE: 0, PRESENT: 3, OFFLINE: 4 } as const
export const SSTS_IPM_ACTIVE = 0x100
/** PxSCTL. */
export const SCTL_DET = 0x0f
export const SCTL_SPD_SHIFT = 4
export const SCTL_WRITABLE = 0x00000fff
export const DET = { NO_ACTION: 0, COMRESET: 1, DISABLE: 4 } as const
export const GEN3 = 3

/** PxSERR diagnostics. */
export const SERR = { N: 0x00010000, X: 0x04000000 } as const
export const SERR_WRITE_1_TO_CLEAR = 0x07ff0f03
/** Before any FIS arrived. [AHCI] 3.3.8, 3.3.9 */
export const TFD_RESET = 0x7f
export const SIG_RESET = 0xffffffff
export const SIG_ATA = 0x00000101

// ---------------------------------------------------------------- memory structures, [AHCI] 4.2
export const COMMAND_HEADER_BYTES = 32
export const HEADER = { CFL: 0x1f, A: 0x20, W: 0x40, P: 0x80, R: 0x100, B: 0x200, C: 0x400, PRDTL_SHIFT: 16 } as const
export const PRDBC_OFFSET = 4
export const CTBA_MASK = 0xffffff80
export const PRDT_OFFSET = 0x80
export const PRD_BYTES = 16
/** Byte count less one, bits 21–0; bit 0 is always 1. */
export const PRD_DBC = 0x3fffff
/** Interrupt when the descriptor is used up. */
export const PRD_I_SHIFT = 31
/** Received FIS structure. */
export const RECEIVED = { PSFIS: 0x20, RFIS: 0x40, SDBFIS: 0x58 } as const

// ---------------------------------------------------------------- frame information structures, [SATA] 10.3
export const FIS = { H2D: 0x27, D2H: 0x34, SDB: 0xa1, PIO_SETUP: 0x5f } as const
/** H2D: the command register was written. D2H and SDB: interrupt. PIO setup: data goes to the host. */
export const FIS_C = 0x80
export const FIS_I = 0x40
export const FIS_D = 0x20

// ---------------------------------------------------------------- ATA, [ACS] 6 and 7
export const STATUS = { BSY: 0x80, DRDY: 0x40, DF: 0x20, DSC: 0x10, DRQ: 0x08, ERR: 0x01 } as const
export const ERROR = { UNC: 0x40, IDNF: 0x10, ABRT: 0x04 } as const
export const DEVICE_LBA = 0x40
export const DEVICE_FUA = 0x80
export const CONTROL_SRST = 0x04

export const ATA = {
  READ_DMA_EXT: 0x25,
  READ_LOG_EXT: 0x2f,
  WRITE_DMA_EXT: 0x35,
  READ_VERIFY: 0x40,
  READ_VERIFY_EXT: 0x42,
  READ_FPDMA_QUEUED: 0x60,
  WRITE_FPDMA_QUEUED: 0x61,
  EXECUTE_DEVICE_DIAGNOSTIC: 0x90,
  SMART: 0xb0,
  READ_DMA: 0xc8,
  WRITE_DMA: 0xca,
  STANDBY_IMMEDIATE: 0xe0,
  IDLE_IMMEDIATE: 0xe1,
  STANDBY: 0xe2,
  IDLE: 0xe3,
  CHECK_POWER_MODE: 0xe5,
  FLUSH_CACHE: 0xe7,
  FLUSH_CACHE_EXT: 0xea,
  IDENTIFY_DEVICE: 0xec,
  SET_FEATURES: 0xef,
} as const
export const FEATURE = {
  ENABLE_WRITE_CACHE: 0x02,
  SET_TRANSFER_MODE: 0x03,
  DISABLE_LOOK_AHEAD: 0x55,
  DISABLE_WRITE_CACHE: 0x82,
  ENABLE_LOOK_AHEAD: 0xaa,
} as const
export const LOG = { DIRECTORY: 0x00, NCQ_ERROR: 0x10 } as const
