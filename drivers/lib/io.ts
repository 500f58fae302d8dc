/** NT's numbers every storage driver uses: device types, device flags, stack flags, open and power constants. ntddk.h, wdm.h */
export const FILE_DEVICE_CONTROLLER = 0x04
export const FILE_DEVICE_DISK = 0x07
export const FILE_DEVICE_MASS_STORAGE = 0x2d
export const FILE_DEVICE_NETWORK = 0x12
export const FILE_DEVICE_SECURE_OPEN = 0x100

export const DO_BUFFERED_IO = 0x04
export const DO_DIRECT_IO = 0x10

export const SL_OVERRIDE_VERIFY_VOLUME = 0x02
export const SL_WRITE_THROUGH = 0x04

/** QUERY_DEVICE_RELATIONS */
export const BusRelations = 0
export const TargetDeviceRelation = 4
/** QUERY_ID */
export const BusQueryDeviceID = 0
export const BusQueryHardwareIDs = 1
export const BusQueryCompatibleIDs = 2
export const BusQueryInstanceID = 3
