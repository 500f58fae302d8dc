/** Memory that processes share: banks, IOMMU tables, device frames. Used by lib/sel4 and the kernel only. */
export {
  type DmaAccess,
  type DmaGrant,
  IOMMU_PAGE,
  IommuTable,
  iommuTableBytes,
  PHYSICAL_LIMIT,
  pagesOf,
} from './iommu.ts'
export {
  checkSpace,
  createBank,
  type OpenBank,
  type OpenOptions,
  openBank,
  PAGE,
  protectNone,
  takeAway,
} from './bank.ts'
export { type BankRange, type Located, PhysicalMap, type Piece } from './physical-map.ts'
export { dieWithParent, parentPid } from './process.ts'
export { DeviceRegisters, DriverRegisters, RING_ENTRIES, registersBytes } from './registers.ts'
