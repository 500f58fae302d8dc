/**
 * Where an image's description is found: beside its source, or beside its bundle when there is no source.
 *
 *   filesUnder(root)   ManifestFiles of a directory
 *
 * Only names come from a manifest, and their pattern allows neither a dot nor a slash; nothing outside root is read.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export interface FoundFile {
  /** Relative to the root: what a message says. */
  readonly file: string
  readonly text: string
}
export type ImageKind = 'device' | 'needs'
export interface ManifestFiles {
  /** device.json, or driver.json or service.json or image.json, of an image. */
  description(kind: ImageKind, image: string): FoundFile | undefined
  /** Whether an image that needs no description exists: the root task, the panel. */
  exists(image: string): boolean
}

/** Folders whose images have another name, and images whose folders lie outside the usual rooms. */
const RENAMED: Readonly<Record<string, string>> = {
  'devices/pci': 'pci-host',
  'lab/echo': 'lab-echo',
  'lab/caller': 'lab-caller',
}
const ROOMS = { device: ['devices'], needs: ['drivers', 'services', 'lab'] } as const
const DESCRIPTIONS = { device: ['device.json'], needs: ['driver.json', 'service.json', 'image.json'] } as const
const SINGLE = ['executive', 'tools/panel', 'lab/echo', 'lab/caller']
/** drivers/storage/miniport/storahci is the deepest. */
const DEPTH = 4

export function filesUnder(root: string): ManifestFiles {
  const sources = { device: describedIn(root, 'device'), needs: describedIn(root, 'needs') }
  return {
    description(kind, image) {
      const file = sources[kind].get(image) ?? `dist/images/${image}.json`
      const path = join(root, file)
      return existsSync(path) ? { file, text: readFileSync(path, 'utf8') } : undefined
    },
    exists: (image) =>
      existsSync(join(root, `dist/images/${image}.js`)) ||
      SINGLE.some((folder) => nameOf(folder) === image && existsSync(join(root, folder, 'index.ts'))),
  }
}

const nameOf = (folder: string): string => RENAMED[folder] ?? folder.slice(folder.lastIndexOf('/') + 1)

/** Image → file of every description of a kind that lies beside a source. */
function describedIn(root: string, kind: ImageKind): Map<string, string> {
  const found = new Map<string, string>()
  for (const room of ROOMS[kind])
    for (const folder of foldersIn(root, room, DEPTH))
      for (const name of DESCRIPTIONS[kind])
        if (!found.has(nameOf(folder)) && existsSync(join(root, folder, name)))
          found.set(nameOf(folder), `${folder}/${name}`)
  return found
}

function foldersIn(root: string, folder: string, depth: number): string[] {
  if (depth === 0 || !existsSync(join(root, folder))) return []
  const inside = readdirSync(join(root, folder), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => `${folder}/${entry.name}`)
    .sort()
  return [...inside, ...inside.flatMap((each) => foldersIn(root, each, depth - 1))]
}
