/**
 * A function's identities and the resources it asks for. Pure.
 *
 * Ids are NT's ("Identifiers for PCI Devices"): numbers in upper-case hexadecimal; SUBSYS is subsystem id, then subsystem vendor.
 */
import { hex } from '#drivers/lib/bytes'
import type { PdoIds } from '#drivers/lib/pnp'
import type { IO_RESOURCE_DESCRIPTOR } from '#wdm'
import type { Bar, PciFunction } from './probe.ts'

export function idsOf(pci: PciFunction): PdoIds {
  const device = `PCI\\VEN_${hex(pci.vendorId, 4)}&DEV_${hex(pci.deviceId, 4)}`
  const subsystem = `${device}&SUBSYS_${hex(pci.subsystemId, 4)}${hex(pci.subsystemVendorId, 4)}`
  const revision = `REV_${hex(pci.revision, 2)}`
  const classCode = hex(pci.classCode, 6)
  const baseClass = classCode.slice(0, 4)
  return {
    deviceId: `${subsystem}&${revision}`,
    hardwareIds: [`${subsystem}&${revision}`, subsystem, `${device}&CC_${classCode}`, `${device}&CC_${baseClass}`],
    compatibleIds: [
      `${device}&${revision}`,
      device,
      `PCI\\VEN_${hex(pci.vendorId, 4)}&CC_${classCode}`,
      `PCI\\VEN_${hex(pci.vendorId, 4)}&CC_${baseClass}`,
      `PCI\\VEN_${hex(pci.vendorId, 4)}`,
      `PCI\\CC_${classCode}`,
      `PCI\\CC_${baseClass}`,
    ],
    instanceId: `${hex(pci.at.bus, 2)}${hex((pci.at.device << 3) | pci.at.function, 2)}`,
  }
}

const IO_RESOURCE_ALTERNATIVE = 8
/** Any the arbiter has: which lines carry messages is the machine's business. */
const LAST_LINE = 4095

/** Ranges in the order of their registers, then the interrupt: a message if the function can, else its line. */
export function requirementsOf(pci: PciFunction, bars: readonly Bar[]): readonly IO_RESOURCE_DESCRIPTOR[] {
  return [...bars.map(rangeOf), ...interruptOf(pci)]
}
/** Where the firmware put it, and nowhere else: its frames were issued for that place. An unset one may be anywhere below 4 GiB. */
function rangeOf({ io, base, length }: Bar): IO_RESOURCE_DESCRIPTOR {
  const Maximum = base === 0 ? (io ? 0xffff : 0xffffffff) : base + length - 1
  return {
    Option: 0,
    Type: io ? 'Port' : 'Memory',
    Minimum: base === 0 ? length : base,
    Maximum,
    Length: length,
    Alignment: length,
    Shared: false,
    Trigger: '',
  }
}
function interruptOf({ msi, interruptLine }: PciFunction): IO_RESOURCE_DESCRIPTOR[] {
  const interrupt = { Type: 'Interrupt', Length: 1, Alignment: 1 }
  const message = { ...interrupt, Option: 0, Minimum: 0, Maximum: LAST_LINE, Shared: false, Trigger: 'message' }
  if (interruptLine === undefined) return msi === undefined ? [] : [message]
  const Option = msi === undefined ? 0 : IO_RESOURCE_ALTERNATIVE
  const line = { ...interrupt, Option, Minimum: interruptLine, Maximum: interruptLine, Shared: true, Trigger: 'level' }
  return msi === undefined ? [line] : [message, line]
}
