/**
 * What is generated from the contracts and the manifest: file name → text.
 *
 *   generate(root)   everything; tools/docs.mjs writes it, or compares it in `npm run check`
 */
import fs from 'node:fs'
import path from 'node:path'
import type { Interface } from '#contracts/interface'
import { composeFile } from '../compose/compose.ts'
import { readManifest } from '../launcher/options.ts'
import { deviationsPage } from './deviations.ts'
import { withKernelLines } from './kernel-lines.ts'
import { interfacePage, servicesIndex } from './services.ts'

export function generate(root: string): Record<string, string> {
  const interfaces = findInterfaces(root)
  const pages = interfaces.map((iface) => [`docs/services/${iface.name}.md`, interfacePage(iface)])
  const files: Record<string, string> = {
    ...Object.fromEntries(pages),
    'docs/services/README.md': servicesIndex(interfaces),
    'docs/differs-from-nt.md': deviationsPage(root),
    'README.md': withKernelLines(root, fs.readFileSync(path.join(root, 'README.md'), 'utf8')),
  }
  const manifest = path.join(root, 'launch.json')
  if (fs.existsSync(manifest)) files['docker-compose.yml'] = composeFile(readManifest(manifest))
  return files
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
