/**
 * PCI configuration mechanism #1 and the type 0 header: offsets and bits.
 *
 * [PCI] PCI Local Bus Specification 3.0, 3.2.2.3.2 (mechanism #1), 6.1–6.8 (configuration space)
 */
export const CONFIG_ADDRESS = 0xcf8
export const CONFIG_DATA = 0xcfc

export const ADDRESS_ENABLE = 0x80000000
/** Enable, bus, device, function, dword; bits 30–24 and 1–0 read as zero. */
export const ADDRESS_MASK = 0x80fffffc

/** Type 0 header. [PCI] 6.1 */
export const HEADER = {
  VENDOR_ID: 0x00,
  DEVICE_ID: 0x02,
  COMMAND: 0x04,
  STATUS: 0x06,
  REVISION_ID: 0x08,
  CLASS_CODE: 0x09,
  CACHE_LINE_SIZE: 0x0c,
  HEADER_TYPE: 0x0e,
  BAR0: 0x10,
  SUBSYSTEM_VENDOR_ID: 0x2c,
  SUBSYSTEM_ID: 0x2e,
  CAPABILITIES_POINTER: 0x34,
  INTERRUPT_LINE: 0x3c,
  INTERRUPT_PIN: 0x3d,
} as const
export const CONFIG_BYTES = 256
export const BARS = 6
/** In HEADER_TYPE of function 0: other functions exist. */
export const MULTI_FUNCTION = 0x80

/** [PCI] 6.2.2 */
export const COMMAND = {
  IO_SPACE: 0x0001,
  MEMORY_SPACE: 0x0002,
  BUS_MASTER: 0x0004,
  PARITY_ERROR_RESPONSE: 0x0040,
  SERR_ENABLE: 0x0100,
  INTERRUPT_DISABLE: 0x0400,
} as const
/** [PCI] 6.2.3 */
export const STATUS_CAPABILITIES_LIST = 0x0010
/** Parity errors, aborts, system error: write 1 to clear. */
export const STATUS_WRITE_1_TO_CLEAR = 0xf900

/** Base address register, low bits. [PCI] 6.2.5.1 */
export const BAR_IO = 0x1
export const BAR_IO_FLAGS = 0x3
export const BAR_MEMORY_FLAGS = 0xf

/** MSI capability with 64-bit address, one message. [PCI] 6.8.1 */
export const MSI = {
  ID: 0x05,
  OFFSET: 0x50,
  CONTROL: 0x02,
  ADDRESS: 0x04,
  ADDRESS_HIGH: 0x08,
  DATA: 0x0c,
  ENABLE: 0x0001,
  MULTIPLE_MESSAGE_ENABLE: 0x0070,
  ADDRESS_64: 0x0080,
} as const
/** What reads where no function answers. [PCI] 6.1 */
export const MASTER_ABORT = 0xffffffff
