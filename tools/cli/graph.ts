/** `neptune graph`: the manifest is read and checked as the kernel does it. */
import { loadManifest, ManifestError } from '../../kernel/manifest/index.ts'
import { graphOf } from '../graph/graph.ts'
import { UserError } from '../user-error.ts'
import { paths } from './boot.ts'

export function graph(manifest = paths.manifest): string {
  try {
    return graphOf(loadManifest(manifest, paths.root))
  } catch (error) {
    if (error instanceof ManifestError) throw new UserError(error.message)
    throw error
  }
}
