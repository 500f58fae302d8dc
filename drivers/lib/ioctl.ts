/**
 * Control codes of disks, volumes and the mount manager, and the byte layouts they answer with. Pure.
 *
 * References: ntdddisk.h, ntddstor.h, ntddvol.h, mountdev.h, mountmgr.h; every layout is the same in both data models.
 */
import { putLe64, utf16, view } from './bytes.ts'

const METHOD_BUFFERED = 0
const FILE_ANY_ACCESS = 0
const FILE_READ_ACCESS = 1
const FILE_WRITE_ACCESS = 2
export const CTL_CODE = (deviceType: number, code: number, method: number, access: number): number =>
  ((deviceType << 16) | (access << 14) | (code << 2) | method) >>> 0

const DISK = 0x07
const STORAGE = 0x2d
const VOLUME = 0x56
const MOUNTDEV = 0x4d
const MOUNTMGR = 0x6d
const any = (type: number, code: number) => CTL_CODE(type, code, METHOD_BUFFERED, FILE_ANY_ACCESS)
const read = (type: number, code: number) => CTL_CODE(type, code, METHOD_BUFFERED, FILE_READ_ACCESS)
const write = (type: number, code: number) =>
  CTL_CODE(type, code, METHOD_BUFFERED, FILE_READ_ACCESS | FILE_WRITE_ACCESS)

export const IOCTL_DISK_GET_DRIVE_GEOMETRY = any(DISK, 0x00)
export const IOCTL_DISK_GET_PARTITION_INFO = read(DISK, 0x01)
export const IOCTL_DISK_IS_WRITABLE = any(DISK, 0x09)
export const IOCTL_DISK_GET_PARTITION_INFO_EX = any(DISK, 0x12)
export const IOCTL_DISK_GET_DRIVE_LAYOUT_EX = any(DISK, 0x14)
export const IOCTL_DISK_GET_LENGTH_INFO = read(DISK, 0x17)
export const IOCTL_DISK_GET_DRIVE_GEOMETRY_EX = any(DISK, 0x28)
export const IOCTL_DISK_CHECK_VERIFY = read(DISK, 0x200)
export const IOCTL_STORAGE_CHECK_VERIFY = read(STORAGE, 0x200)
export const IOCTL_STORAGE_CHECK_VERIFY2 = any(STORAGE, 0x200)
export const IOCTL_STORAGE_GET_DEVICE_NUMBER = any(STORAGE, 0x420)
export const IOCTL_STORAGE_QUERY_PROPERTY = any(STORAGE, 0x500)
export const IOCTL_VOLUME_GET_VOLUME_DISK_EXTENTS = any(VOLUME, 0x00)
export const IOCTL_VOLUME_ONLINE = write(VOLUME, 0x02)
export const IOCTL_MOUNTDEV_QUERY_UNIQUE_ID = any(MOUNTDEV, 0)
export const IOCTL_MOUNTDEV_QUERY_DEVICE_NAME = any(MOUNTDEV, 2)
export const IOCTL_MOUNTMGR_CREATE_POINT = write(MOUNTMGR, 0)
export const IOCTL_MOUNTMGR_DELETE_POINTS = write(MOUNTMGR, 1)
export const IOCTL_MOUNTMGR_QUERY_POINTS = any(MOUNTMGR, 2)
export const IOCTL_MOUNTMGR_DELETE_POINTS_DBONLY = write(MOUNTMGR, 3)
export const IOCTL_MOUNTMGR_NEXT_DRIVE_LETTER = write(MOUNTMGR, 4)
export const IOCTL_MOUNTMGR_AUTO_DL_ASSIGNMENTS = write(MOUNTMGR, 5)

/** MEDIA_TYPE */
export const FixedMedia = 12
/** STORAGE_BUS_TYPE */
export const BusTypeSata = 0x0b

const filled = (length: number, fill: (v: DataView, bytes: Uint8Array) => void): Uint8Array => {
  const bytes = new Uint8Array(length)
  fill(view(bytes), bytes)
  return bytes
}

export interface Geometry {
  readonly sectorSize: number
  /** In sectors. */
  readonly sectors: number
}
/** Heads and sectors per track nothing real has had for long; what BIOSes translate to and NT reports. */
const TRACKS_PER_CYLINDER = 255
const SECTORS_PER_TRACK = 63
function putGeometry(v: DataView, { sectorSize, sectors }: Geometry): void {
  putLe64(v, 0, Math.floor(sectors / (TRACKS_PER_CYLINDER * SECTORS_PER_TRACK)))
  v.setUint32(8, FixedMedia, true)
  v.setUint32(12, TRACKS_PER_CYLINDER, true)
  v.setUint32(16, SECTORS_PER_TRACK, true)
  v.setUint32(20, sectorSize, true)
}
export const DISK_GEOMETRY = (geometry: Geometry): Uint8Array => filled(24, (v) => putGeometry(v, geometry))
/** Without the optional partition and detection data. */
export const DISK_GEOMETRY_EX = (geometry: Geometry): Uint8Array =>
  filled(32, (v) => {
    putGeometry(v, geometry)
    putLe64(v, 24, geometry.sectors * geometry.sectorSize)
  })
export const GET_LENGTH_INFORMATION = (length: number): Uint8Array => filled(8, (v) => putLe64(v, 0, length))
export const STORAGE_DEVICE_NUMBER = (deviceType: number, deviceNumber: number, partitionNumber: number): Uint8Array =>
  filled(12, (v) => {
    v.setUint32(0, deviceType, true)
    v.setUint32(4, deviceNumber, true)
    v.setUint32(8, partitionNumber, true)
  })
export const VOLUME_DISK_EXTENTS = (diskNumber: number, start: number, length: number): Uint8Array =>
  filled(32, (v) => {
    v.setUint32(0, 1, true)
    v.setUint32(8, diskNumber, true)
    putLe64(v, 16, start)
    putLe64(v, 24, length)
  })

export interface DeviceDescriptor {
  readonly vendor: string
  readonly product: string
  readonly revision: string
  readonly serial: string
  readonly removable: boolean
  readonly commandQueueing: boolean
}
/** Fixed part, then NUL-terminated strings by offset; an absent one has offset 0. ntddstor.h */
export function STORAGE_DEVICE_DESCRIPTOR(device: DeviceDescriptor): Uint8Array {
  const HEADER = 36
  const texts = [device.vendor, device.product, device.revision, device.serial]
  const size = HEADER + texts.reduce((sum, text) => sum + (text ? text.length + 1 : 0), 0)
  return filled(Math.max(size, 40), (v, bytes) => {
    v.setUint32(0, 40, true)
    v.setUint32(4, Math.max(size, 40), true)
    bytes[10] = device.removable ? 1 : 0
    bytes[11] = device.commandQueueing ? 1 : 0
    let at = HEADER
    texts.forEach((text, i) => {
      if (!text) return
      v.setUint32(12 + i * 4, at, true)
      for (let k = 0; k < text.length; k++) bytes[at + k] = text.charCodeAt(k) & 0x7f
      at += text.length + 1
    })
    v.setUint32(28, BusTypeSata, true)
  })
}
/** MOUNTDEV_NAME and MOUNTDEV_UNIQUE_ID: a USHORT length, then the bytes. */
export const countedBytes = (payload: Uint8Array): Uint8Array =>
  filled(2 + payload.byteLength, (v, bytes) => {
    v.setUint16(0, payload.byteLength, true)
    bytes.set(payload, 2)
  })
export const MOUNTDEV_NAME = (name: string): Uint8Array => countedBytes(utf16(name))
