/** The size of what must be trusted: the kernel's lines of code, printed in the README. */
import fs from 'node:fs'
import path from 'node:path'

const MARKS = /(<!-- kernel-lines -->).*?(<!-- \/kernel-lines -->)/

export const withKernelLines = (root: string, readme: string): string =>
  readme.replace(MARKS, (_, open, close) => `${open}${rounded(kernelLines(path.join(root, 'kernel')))}${close}`)
/** To hundreds: a line more is no news. */
const rounded = (lines: number) => (Math.round(lines / 100) * 100).toLocaleString('en')

function kernelLines(folder: string): number {
  const counts = fs.readdirSync(folder, { withFileTypes: true }).map((entry) => {
    const file = path.join(folder, entry.name)
    if (entry.isDirectory()) return kernelLines(file)
    return isCode(entry.name) ? linesOfCode(fs.readFileSync(file, 'utf8')) : 0
  })
  return counts.reduce((sum, count) => sum + count, 0)
}
const isCode = (name: string) => /(?<![.]test|-support)[.]ts$/.test(name)
/** Neither blank nor comment; in this house a comment begins its line. */
const linesOfCode = (text: string) =>
  text.split('\n').filter((line) => !/^\s*($|\/\/|\/\*|\*(\s|\/|$))/.test(line)).length
