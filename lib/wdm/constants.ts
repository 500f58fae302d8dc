/** Numbers of wdm.h and ntddk.h that drivers and this library both speak. */

/** DEVICE_OBJECT.Flags */
export const DO_BUFFERED_IO = 0x00000004
export const DO_EXCLUSIVE = 0x00000008
export const DO_DIRECT_IO = 0x00000010
export const DO_DEVICE_INITIALIZING = 0x00000080
export const DO_BUS_ENUMERATED_DEVICE = 0x00001000
export const DO_POWER_PAGABLE = 0x00002000

/** DEVICE_OBJECT.DeviceType */
export const FILE_DEVICE_CONTROLLER = 0x00000004
export const FILE_DEVICE_DISK = 0x00000007
export const FILE_DEVICE_DISK_FILE_SYSTEM = 0x00000008
export const FILE_DEVICE_KEYBOARD = 0x0000000b
export const FILE_DEVICE_MASS_STORAGE = 0x0000002d
export const FILE_DEVICE_8042_PORT = 0x00000027
export const FILE_DEVICE_BUS_EXTENDER = 0x0000002a
export const FILE_DEVICE_UNKNOWN = 0x00000022

/** SL_* of a stack location are the low byte of IRP flags on the wire; the rest are IRP_*. */
export const SL_MASK = 0xff
export const PAGE_SIZE = 4096

/** Interrupt request levels: what a routine may do follows from the one it runs at. */
export const PASSIVE_LEVEL = 0
export const DISPATCH_LEVEL = 2
/** Of every service routine; one runs at a time. */
export const DEVICE_LEVEL = 3

/** What a forced dismount looks like to a file system. [NTIFS] FSCTL_DISMOUNT_VOLUME */
export const FSCTL_DISMOUNT_VOLUME = 0x00090020
