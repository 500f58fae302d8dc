/** Collects the lines of the sources that begin `Differs from NT:` and `Differs from seL4:`: where we knowingly part. */
import fs from 'node:fs'
import path from 'node:path'

const ROOMS = ['lib', 'kernel', 'executive', 'devices', 'drivers', 'services']
const MARK = /Differs from (NT|seL4):\s*(.*?)\s*(?:\*\/.*|['"`],?)?$/

export function deviationsPage(root: string): string {
  const found = ROOMS.flatMap((room) => sources(path.join(root, room))).flatMap((file) => deviationsOf(root, file))
  const rows = found.map(
    ({ from, file, text }) => `| ${from} | ${text.replaceAll('|', '\\|')} | [${file}](../${file}) |`,
  )
  return `${['<!-- Written by `npm run docs` from the sources; do not edit. -->', '# Where we differ', '', '| from | how | where |', '|---|---|---|', ...rows].join('\n')}\n`
}
function sources(folder: string): string[] {
  if (!fs.existsSync(folder)) return []
  return fs
    .readdirSync(folder, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const file = path.join(folder, entry.name)
      if (entry.isDirectory()) return sources(file)
      return /(?<!\.test)\.ts$/.test(entry.name) ? [file] : []
    })
}
function deviationsOf(root: string, file: string) {
  return fs
    .readFileSync(file, 'utf8')
    .split('\n')
    .map((line) => MARK.exec(line))
    .filter((match) => match !== null)
    .map((match) => ({ from: match[1], text: match[2], file: path.relative(root, file) }))
}
