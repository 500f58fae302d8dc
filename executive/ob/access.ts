/** Access rights: generic bits are mapped to the type's own when a handle is made. [MS-DTYP] 2.4.3 */
const GENERIC_READ = 0x80000000
const GENERIC_WRITE = 0x40000000
const GENERIC_EXECUTE = 0x20000000
const GENERIC_ALL = 0x10000000
const MAXIMUM_ALLOWED = 0x02000000
const READ_CONTROL = 0x00020000
export const SYNCHRONIZE = 0x00100000
const STANDARD_RIGHTS_REQUIRED = 0x000f0000

export interface GenericMapping {
  readonly read: number
  readonly write: number
  readonly execute: number
  readonly all: number
}
const mapping = (read: number, write: number, execute: number, all: number): GenericMapping => ({
  read: read | READ_CONTROL,
  write: write | READ_CONTROL,
  execute: execute | READ_CONTROL,
  all: all | STANDARD_RIGHTS_REQUIRED | SYNCHRONIZE,
})
const MAPPINGS: Readonly<Record<string, GenericMapping>> = {
  Directory: mapping(0x3, 0xc, 0x3, 0xf),
  SymbolicLink: mapping(0x1, 0, 0x1, 0x1),
  Event: mapping(0x1, 0x2, SYNCHRONIZE, 0x3),
  Process: mapping(0x410, 0xbeb, SYNCHRONIZE, 0xfff),
  Key: mapping(0x19, 0x6, 0x19, 0x3f),
  File: mapping(0x89 | SYNCHRONIZE, 0x116 | SYNCHRONIZE, 0xa0 | SYNCHRONIZE, 0x1ff),
}
const fallback = mapping(0x1, 0x2, 0x1, 0xffff)

/** What a handle of this type gets for a desired access. */
export function grantedAccess(typeName: string, desired: number): number {
  const map = MAPPINGS[typeName] ?? fallback
  let access = desired & 0x01ffffff
  if (desired & GENERIC_READ) access |= map.read
  if (desired & GENERIC_WRITE) access |= map.write
  if (desired & GENERIC_EXECUTE) access |= map.execute
  if (desired & (GENERIC_ALL | MAXIMUM_ALLOWED)) access |= map.all
  return access >>> 0
}
export const allows = (granted: number, needed: number): boolean => (granted & needed) === needed
