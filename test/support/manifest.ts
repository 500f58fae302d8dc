/** Manifests from values, for small systems in the simulator: no file is read. */
import type { ImageKind } from '../../kernel/manifest/files.ts'
import { parseManifest, viewOf } from '../../kernel/manifest/index.ts'
import type { SimulatorOptions } from '../../lib/sel4/sim.ts'

/** `describe`: what would be in device.json, or in driver.json, service.json or image.json, of an image. */
export function manifestFrom(
  launch: object,
  describe: (kind: ImageKind, image: string) => object,
): Pick<SimulatorOptions, 'manifest' | 'view'> {
  const manifest = parseManifest('launch.json', JSON.stringify(launch), {
    description: (kind, image) => ({ file: `${image}.json`, text: JSON.stringify(describe(kind, image)) }),
    exists: () => true,
  })
  return { manifest, view: viewOf(manifest) }
}
