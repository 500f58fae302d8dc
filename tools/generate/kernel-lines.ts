/** The size of what must be trusted: the kernel's lines of code, all and by part, printed in the README. */
import fs from 'node:fs'
import path from 'node:path'

const MARKS = /(<!-- kernel-lines -->).*?(<!-- \/kernel-lines -->)/s
/** What is not the objects and their methods. */
const PARTS = [
  { what: 'read and judge the manifest', belongs: (file: string) => file.startsWith('manifest/') },
  { what: 'judge its own invariants', belongs: (file: string) => file.startsWith('invariants/') },
  {
    what: 'are its world: the host, containers, the control socket',
    belongs: (file: string) => /^(os-host|host|main|agent-|peer|control)/.test(file),
  },
]

export function withKernelLines(root: string, readme: string): string {
  const counts = kernelFiles(path.join(root, 'kernel'))
  const sum = (which: (file: string) => boolean) =>
    rounded(counts.filter(({ file }) => which(file)).reduce((total, { lines }) => total + lines, 0))
  const parts = PARTS.map(({ what, belongs }) => `${sum(belongs)} ${what}`)
  return readme.replace(
    MARKS,
    (_, open, close) => `${open}${sum(() => true)} lines of code; of them ${parts.join(', ')}${close}`,
  )
}
/** To hundreds: a line more is no news. */
const rounded = (lines: number) => (Math.round(lines / 100) * 100).toLocaleString('en')

function kernelFiles(folder: string): { file: string; lines: number }[] {
  return fs
    .readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => isCode(path.basename(file)))
    .map((file) => ({ file, lines: linesOfCode(fs.readFileSync(path.join(folder, file), 'utf8')) }))
}
const isCode = (name: string) => /(?<![.]test|-support)[.]ts$/.test(name)
/** Neither blank nor comment; in this house a comment begins its line. */
const linesOfCode = (text: string) =>
  text.split('\n').filter((line) => !/^\s*($|\/\/|\/\*|\*(\s|\/|$))/.test(line)).length
