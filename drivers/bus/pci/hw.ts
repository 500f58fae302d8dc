/**
 * Configuration mechanism #1 and the header of a function: offsets and bits only.
 *
 * [PCI] PCI Local Bus Specification 3.0: 3.2.2.3.2 (mechanism #1), 6.1 (header), 6.2.5 (base addresses), 6.8 (MSI)
 */
export const CONFIG_ADDRESS_ENABLE = 0x80000000
export const DEVICES = 32
export const FUNCTIONS = 8
export const CONFIG_BYTES = 256

/** Offsets in the type 0 header. [PCI] 6.1 */
export const VENDOR_ID = 0x00
export const COMMAND = 0x04
/** Revision id, then the three bytes of the class code. */
export const REVISION_CLASS = 0x08
/** Cache line, latency, header type, BIST. */
export const HEADER_TYPE = 0x0c
export const BAR0 = 0x10
export const SUBSYSTEM = 0x2c
export const CAPABILITIES_POINTER = 0x34
export const INTERRUPT_LINE = 0x3c

export const NO_DEVICE = 0xffff
export const MULTI_FUNCTION = 0x80
export const HEADER_TYPE_MASK = 0x7f
/** Base address registers by header type: endpoint, PCI-PCI bridge, CardBus bridge. */
export const BARS_OF: Readonly<Record<number, number>> = { 0: 6, 1: 2, 2: 1 }

/** [PCI] 6.2.2 */
export const IO_SPACE = 0x0001
export const MEMORY_SPACE = 0x0002
export const BUS_MASTER = 0x0004
export const INTERRUPT_DISABLE = 0x0400
/** Status is the upper half of the dword at COMMAND; writing ones would clear its error bits. [PCI] 6.2.3 */
export const STATUS_CAPABILITIES_LIST = 0x0010

/** [PCI] 6.2.5.1 */
export const BAR_IO = 0x1
export const BAR_IO_MASK = 0xfffffffc
export const BAR_MEMORY_MASK = 0xfffffff0
export const BAR_TYPE_MASK = 0x6
export const BAR_TYPE_64 = 0x4

/** MSI capability. [PCI] 6.8.1 */
export const CAPABILITY_MSI = 0x05
export const MSI_ENABLE = 0x0001
export const MSI_MULTIPLE_ENABLE = 0x0070
export const MSI_ADDRESS_64 = 0x0080
/** Where a write is an interrupt message, to processor 0; the data's low byte is the vector. [IA-32 SDM] 3A, 11.11 */
export const MESSAGE_ADDRESS = 0xfee00000
/** Not connected. [PCI] 6.2.4 */
export const NO_LINE = 0xff
