/**
 * What is generated from the contracts and the manifest: file name → text.
 *
 *   generate(root)   everything; tools/docs.mjs writes it, or compares it in `npm run check`
 */
import fs from 'node:fs'
import path from 'node:path'
import type { Interface } from '#contracts/interface'
import { filesUnder } from '../../kernel/manifest/files.ts'
import { parseManifest } from '../../kernel/manifest/index.ts'
import { composeFile } from '../compose/compose.ts'
import { graphOf } from '../graph/graph.ts'
import { readManifest } from '../launcher/options.ts'
import { deviationsPage } from './deviations.ts'
import { fitsModule } from './fits.ts'
import { withKernelLines } from './kernel-lines.ts'
import { interfacePage, servicesIndex } from './services.ts'

export function generate(root: string): Record<string, string> {
  const interfaces = findInterfaces(root)
  const pages = interfaces.map((iface) => [`docs/services/${iface.name}.md`, interfacePage(iface)])
  const files: Record<string, string> = {
    ...Object.fromEntries(pages),
    'docs/services/README.md': servicesIndex(interfaces),
    'docs/differs-from-nt.md': deviationsPage(root),
    'kernel/manifest/fits.generated.ts': fitsModule(),
    'README.md': withKernelLines(root, fs.readFileSync(path.join(root, 'README.md'), 'utf8')),
  }
  const manifest = path.join(root, 'launch.json')
  if (fs.existsSync(manifest)) {
    files['docker-compose.yml'] = composeFile(readManifest(manifest))
    files['docs/system.md'] = systemPage(root, manifest)
  }
  return files
}
/** Its images need not be built for that. */
function systemPage(root: string, launch: string): string {
  const sources = { ...filesUnder(root), exists: () => true }
  const manifest = parseManifest('launch.json', fs.readFileSync(launch, 'utf8'), sources)
  return `# The standard system

<!-- Written by \`npm run docs\` from launch.json and the images' descriptions; do not edit. -->

What each process may hold at most: the kernel refuses whatever is not here. An arrow is a call; a thick one reaches a
device's registers; a dotted one carries interrupts, or lets the root task change what a device's DMA reaches. A driver
whose resources Plug and Play assigns may be given those of any device nobody has a claim on. \`npx neptune graph
--manifest FILE\` draws another manifest's.

\`\`\`mermaid
${graphOf(manifest)}\`\`\`
`
}
/** Every exported value of lib/contracts that is an interface. */
function findInterfaces(root: string): Interface[] {
  const folder = path.join(root, 'lib', 'contracts')
  const modules = fs.readdirSync(folder).filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
  const values = modules.flatMap((name) => Object.values(require(path.join(folder, name)) as object))
  const found = new Map(values.filter(isInterface).map((iface) => [iface.name, iface]))
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
}
const isInterface = (value: unknown): value is Interface =>
  typeof value === 'object' && value !== null && 'byLabel' in value && 'methods' in value
