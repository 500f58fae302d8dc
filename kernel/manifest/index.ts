/** What may be where: launch.json and the descriptions beside the images, checked, and the ceilings that follow. */
export {
  type Capability,
  type Ceiling,
  type Ceilings,
  capabilityTable,
  deriveCeilings,
  type EndpointRight,
  mayHold,
  ROOT_ENDPOINT,
} from './derive.ts'
export { loadManifest, parseManifest, viewOf } from './load.ts'
export {
  type Bank,
  type CheckedManifest,
  type Limits,
  type ManifestDevice,
  ManifestError,
  type ManifestImage,
  PANEL,
} from './manifest.ts'
