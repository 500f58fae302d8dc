/**
 * Small manifests for tests: base.json with a merge patch (RFC 7396) over it. The keys of both are file names; a patch's
 * value may also be the file's text, to write what no JSON value can say.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { filesUnder, type ManifestFiles } from '../../kernel/manifest/files.ts'
import { type CheckedManifest, parseManifest } from '../../kernel/manifest/index.ts'

type Files = Record<string, unknown>
export const textOf = (name: string): string => readFileSync(join(__dirname, name), 'utf8')

export function merged(base: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch
  const result: Files = typeof base === 'object' && base !== null && !Array.isArray(base) ? { ...base } : {}
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key]
    else result[key] = merged(result[key], value)
  }
  return result
}

export function load(patch: unknown): CheckedManifest {
  const files = merged(JSON.parse(textOf('base.json')), patch) as Files
  const text = (file: string): string =>
    typeof files[file] === 'string' ? (files[file] as string) : JSON.stringify(files[file])
  return parseManifest('launch.json', text('launch.json'), described(files, text))
}
const described = (files: Files, text: (file: string) => string): ManifestFiles => ({
  description(kind, image) {
    const names =
      kind === 'device'
        ? [`devices/${image}/device.json`]
        : [`drivers/${image}/driver.json`, `services/${image}/service.json`]
    const file = names.find((name) => name in files)
    return file === undefined ? undefined : { file, text: text(file) }
  },
  exists: (image) => ['task', 'panel', 'keyboard', 'disk0'].includes(image),
})

/** The cases of a folder, by name: the patch, and the text beside it. */
export const casesOf = (folder: string): { name: string; patch: unknown; expected: string }[] =>
  readdirSync(join(__dirname, folder))
    .filter((file) => file.endsWith('.json'))
    .map((file) => {
      const name = file.slice(0, -'.json'.length)
      return { name, patch: JSON.parse(textOf(`${folder}/${file}`)), expected: textOf(`${folder}/${name}.txt`) }
    })

/** The system's own manifest, whether or not its images have been built. */
export function loadReal(): CheckedManifest {
  const root = join(__dirname, '../..')
  const text = readFileSync(join(root, 'launch.json'), 'utf8')
  return parseManifest('launch.json', text, { ...filesUnder(root), exists: () => true })
}
