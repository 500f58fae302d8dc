/** An empty FAT volume made here, for tests that must run where mkfs.fat is not. [fatgen103] */
const SECTOR = 512
/** The backup boot sector's customary place. */
const BACKUP = 6
const SHAPES = {
  12: { sectors: 720, SecPerClus: 1, RsvdSecCnt: 1, FATSz: 3, RootEntCnt: 112 },
  16: { sectors: 8192, SecPerClus: 1, RsvdSecCnt: 1, FATSz: 32, RootEntCnt: 512 },
  32: { sectors: 4096, SecPerClus: 1, RsvdSecCnt: 32, FATSz: 32, RootEntCnt: 0 },
} as const

export function bareVolume(type: 12 | 16 | 32): Buffer {
  const { sectors, SecPerClus, RsvdSecCnt, FATSz, RootEntCnt } = SHAPES[type]
  const image = Buffer.alloc(sectors * SECTOR)
  image.writeUInt16LE(SECTOR, 11)
  image[13] = SecPerClus
  image.writeUInt16LE(RsvdSecCnt, 14)
  image[16] = 2
  image.writeUInt16LE(RootEntCnt, 17)
  image.writeUInt16LE(sectors, 19)
  image[21] = 0xf8
  image.writeUInt16LE(type === 32 ? 0 : FATSz, 22)
  image.writeUInt16LE(0xaa55, 510)
  if (type === 32) writeFat32(image, FATSz)
  else writeExtendedBpb(image, 36)
  for (const copy of [0, 1]) writeFat(image, (RsvdSecCnt + copy * FATSz) * SECTOR, type)
  return image
}

function writeExtendedBpb(image: Buffer, at: number): void {
  image[at + 2] = 0x29
  image.writeUInt32LE(0x12345678, at + 3)
  image.write('NO NAME    ', at + 7, 'latin1')
}

function writeFat32(image: Buffer, FATSz: number): void {
  image.writeUInt32LE(FATSz, 36)
  image.writeUInt32LE(2, 44)
  image.writeUInt16LE(1, 48)
  image.writeUInt16LE(BACKUP, 50)
  writeExtendedBpb(image, 64)
  image.writeUInt32LE(0x41615252, SECTOR)
  image.writeUInt32LE(0x61417272, SECTOR + 484)
  image.writeUInt32LE(0xffffffff, SECTOR + 488)
  image.writeUInt32LE(0xffffffff, SECTOR + 492)
  image.writeUInt32LE(0xaa550000, SECTOR + 508)
  image.copy(image, BACKUP * SECTOR, 0, SECTOR)
}

/** Entries 0 and 1, and the root's cluster. */
function writeFat(image: Buffer, at: number, type: 12 | 16 | 32): void {
  const bytes = {
    12: [0xf8, 0xff, 0xff],
    16: [0xf8, 0xff, 0xff, 0xff],
    32: [0xf8, 0xff, 0xff, 0x0f, 0xff, 0xff, 0xff, 0x0f, 0xff, 0xff, 0xff, 0x0f],
  }
  image.set(bytes[type], at)
}
