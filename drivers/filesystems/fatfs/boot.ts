/**
 * The boot sector of a FAT volume: recognition, geometry, dirty marks. Field names are the specification's.
 *
 *   parseBootSector(bytes, deviceLength)   → Geometry; STATUS_UNRECOGNIZED_VOLUME unless every bound holds
 *   clusterOffset(geometry, cluster)       byte offset of a cluster in the volume
 *
 * Offsets and lengths are bytes in the volume unless a name says sectors. Nothing here reads or writes a device.
 * [fatgen103] Microsoft Extensible Firmware Initiative FAT32 File System Specification, version 1.03
 */
import { StatusError } from '#rtl'

export type FatType = 12 | 16 | 32
export interface Geometry {
  readonly FatType: FatType
  readonly BytsPerSec: number
  readonly SecPerClus: number
  readonly NumFATs: number
  readonly RootEntCnt: number
  readonly TotSec: number
  readonly Media: number
  readonly VolID: number
  readonly VolLab: string
  readonly RootClus: number
  /** Sector of the FSInfo structure; 0: none. */
  readonly FSInfo: number
  readonly BytsPerClus: number
  readonly CountOfClusters: number
  /** The first FAT, the bytes of one FAT, and which of them are kept. */
  readonly fatOffset: number
  readonly fatBytes: number
  readonly activeFat: number
  readonly mirrored: boolean
  /** The fixed root directory of FAT12 and FAT16; empty on FAT32. */
  readonly rootOffset: number
  readonly rootBytes: number
  readonly dataOffset: number
  readonly volumeSize: number
  /** Where the "not cleanly unmounted" flag byte is (NTFlags, "current head"); 0: this boot sector has none. */
  readonly dirtyOffset: number
  /** The same byte of the backup boot sector, which fsck.fat wants equal; 0: there is no backup. */
  readonly backupDirtyOffset: number
}

/** Clusters up to here are FAT12, FAT16. [fatgen103] FAT Type Determination */
const FAT12_LIMIT = 4085
const FAT16_LIMIT = 65525
/** 28 bits less the reserved, bad and end-of-chain values. */
const FAT32_LIMIT = 0x0ffffff5
const SIGNATURE_OFFSET = 510
/** More than what Windows accepts would need bigger cache pages for nothing. */
const CLUSTER_MAX = 64 * 1024
export const BOOT_BYTES = 512

const refuse = (why: string): never => {
  throw new StatusError('STATUS_UNRECOGNIZED_VOLUME', why)
}
const powerOfTwo = (n: number) => n > 0 && (n & (n - 1)) === 0

interface Bpb {
  BytsPerSec: number
  SecPerClus: number
  RsvdSecCnt: number
  NumFATs: number
  RootEntCnt: number
  TotSec: number
  Media: number
  FATSz16: number
  FATSz: number
}

/** BPB up to offset 36, and BPB_FATSz32. */
function readBpb(view: DataView): Bpb {
  const FATSz16 = view.getUint16(22, true)
  return {
    BytsPerSec: view.getUint16(11, true),
    SecPerClus: view.getUint8(13),
    RsvdSecCnt: view.getUint16(14, true),
    NumFATs: view.getUint8(16),
    RootEntCnt: view.getUint16(17, true),
    TotSec: view.getUint16(19, true) || view.getUint32(32, true),
    Media: view.getUint8(21),
    FATSz16,
    FATSz: FATSz16 || view.getUint32(36, true),
  }
}

function checkBpb(bpb: Bpb, deviceLength: number): void {
  const { BytsPerSec, SecPerClus, RsvdSecCnt, NumFATs, RootEntCnt, Media } = bpb
  if (![512, 1024, 2048, 4096].includes(BytsPerSec)) refuse('BytsPerSec')
  if (!powerOfTwo(SecPerClus) || SecPerClus * BytsPerSec > CLUSTER_MAX) refuse('SecPerClus')
  if (!RsvdSecCnt) refuse('RsvdSecCnt')
  if (NumFATs < 1 || NumFATs > 2) refuse('NumFATs')
  if (Media !== 0xf0 && Media < 0xf8) refuse('Media')
  if (!bpb.FATSz) refuse('FATSz')
  if (RootEntCnt % (BytsPerSec / 32) && bpb.FATSz16) refuse('RootEntCnt')
  if (!bpb.TotSec || bpb.TotSec * BytsPerSec > deviceLength) refuse('TotSec')
}

const cleanLabel = (view: DataView, at: number) => {
  let text = ''
  for (let i = 0; i < 11; i++) text += String.fromCharCode(view.getUint8(at + i))
  return text.trimEnd()
}

/**
 * FAT32 is what has no FATSz16, as NT and fsck.fat take it; FAT12 and FAT16 differ by their count of clusters.
 * Differs from [fatgen103]: a small FAT32 volume (mkfs.fat -F 32) has fewer clusters than the specification grants one.
 */
function fatTypeOf(bpb: Bpb, CountOfClusters: number): FatType {
  if (!bpb.FATSz16) return bpb.RootEntCnt || CountOfClusters >= FAT32_LIMIT ? refuse('FAT32') : 32
  if (CountOfClusters >= FAT16_LIMIT || !bpb.RootEntCnt) return refuse('FAT16')
  return CountOfClusters < FAT12_LIMIT ? 12 : 16
}

/** Where the structures are; the device holds at least `deviceLength` bytes. */
export function parseBootSector(bytes: Uint8Array, deviceLength: number): Geometry {
  if (bytes.byteLength < BOOT_BYTES) refuse('length')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getUint16(SIGNATURE_OFFSET, true) !== 0xaa55) refuse('signature')
  const bpb = readBpb(view)
  checkBpb(bpb, deviceLength)
  const rootSectors = Math.ceil((bpb.RootEntCnt * 32) / bpb.BytsPerSec)
  const metadataSectors = bpb.RsvdSecCnt + bpb.NumFATs * bpb.FATSz + rootSectors
  const CountOfClusters = Math.floor((bpb.TotSec - metadataSectors) / bpb.SecPerClus)
  if (CountOfClusters < 1) refuse('CountOfClusters')
  const FatType = fatTypeOf(bpb, CountOfClusters)
  const fatBytes = bpb.FATSz * bpb.BytsPerSec
  if (Math.ceil(((CountOfClusters + 2) * FatType) / 8) > fatBytes) refuse('FATSz')
  const fatOffset = bpb.RsvdSecCnt * bpb.BytsPerSec
  return {
    FatType,
    BytsPerSec: bpb.BytsPerSec,
    SecPerClus: bpb.SecPerClus,
    NumFATs: bpb.NumFATs,
    RootEntCnt: bpb.RootEntCnt,
    TotSec: bpb.TotSec,
    Media: bpb.Media,
    BytsPerClus: bpb.SecPerClus * bpb.BytsPerSec,
    CountOfClusters,
    fatOffset,
    fatBytes,
    rootOffset: fatOffset + bpb.NumFATs * fatBytes,
    rootBytes: bpb.RootEntCnt * 32,
    dataOffset: metadataSectors * bpb.BytsPerSec,
    volumeSize: bpb.TotSec * bpb.BytsPerSec,
    ...(FatType === 32 ? readFat32(view, bpb, CountOfClusters) : readFat16(view)),
  }
}

/** BS_ fields behind the BPB of FAT12 and FAT16: present when BS_BootSig says so. */
function readFat16(view: DataView) {
  const signed = view.getUint8(38) === 0x29 || view.getUint8(38) === 0x28
  return {
    VolID: signed ? view.getUint32(39, true) : 0,
    VolLab: view.getUint8(38) === 0x29 ? cleanLabel(view, 43) : '',
    RootClus: 0,
    FSInfo: 0,
    activeFat: 0,
    mirrored: true,
    dirtyOffset: signed ? 0x25 : 0,
    backupDirtyOffset: 0,
  }
}

function readFat32(view: DataView, bpb: Bpb, CountOfClusters: number) {
  const ExtFlags = view.getUint16(40, true)
  const RootClus = view.getUint32(44, true)
  const FSInfo = view.getUint16(48, true)
  const BkBootSec = view.getUint16(50, true)
  const mirrored = !(ExtFlags & 0x80)
  const activeFat = mirrored ? 0 : ExtFlags & 0xf
  if (view.getUint16(42, true) !== 0) refuse('FSVer')
  if (RootClus < 2 || RootClus >= CountOfClusters + 2) refuse('RootClus')
  if (activeFat >= bpb.NumFATs) refuse('ExtFlags')
  const signed = view.getUint8(66) === 0x29 || view.getUint8(66) === 0x28
  return {
    VolID: signed ? view.getUint32(67, true) : 0,
    VolLab: view.getUint8(66) === 0x29 ? cleanLabel(view, 71) : '',
    RootClus,
    FSInfo: FSInfo >= 1 && FSInfo < bpb.RsvdSecCnt ? FSInfo : 0,
    activeFat,
    mirrored,
    dirtyOffset: 0x41,
    backupDirtyOffset: BkBootSec >= 1 && BkBootSec < bpb.RsvdSecCnt ? BkBootSec * bpb.BytsPerSec + 0x41 : 0,
  }
}

export const clusterOffset = (geometry: Geometry, cluster: number): number =>
  geometry.dataOffset + (cluster - 2) * geometry.BytsPerClus
export const isCluster = (geometry: Geometry, cluster: number): boolean =>
  cluster >= 2 && cluster < geometry.CountOfClusters + 2
