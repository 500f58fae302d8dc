/**
 * House rules that no linter has: sentences about names that a grep can judge.
 * Prints each breach as file:line: sentence; returns how many there were.
 */
import fs from 'node:fs'
import path from 'node:path'

const RULES = [
  {
    // seL4 has an IOPageTable, too.
    where: /^kernel\/(?!.*[.]test[.]ts$)/,
    breach: /\b(STATUS_[A-Z]|Nt[A-Z][a-z]+[A-Z]|IRP_|Io(?!PageTable)[A-Z][a-z]+[A-Z]|NTSTATUS)/,
    says: 'the kernel knows no NT word',
  },
  {
    where: /[.]ts$/,
    breach: /^\s*(import|export)\b.*\bfrom '[.]{1,2}\/[^']*(?<![.]ts|[.]json)'/,
    says: 'a relative import ends in .ts',
  },
  {
    where: /[.]ts$/,
    breach: /^\s*(export\s+)?(enum|namespace)\s+\w/,
    says: 'only erasable TypeScript: no enum, no namespace',
  },
  { where: /[.]ts$/, breach: /\b(describe|it|context)[.]only\(/, says: 'a test left alone hides the others' },
]
const FOLDERS = ['lib', 'kernel', 'executive', 'devices', 'drivers', 'services', 'tools', 'lab', 'test']

export function sources(root, dir) {
  if (!fs.existsSync(path.join(root, dir))) return []
  return fs.readdirSync(path.join(root, dir), { withFileTypes: true }).flatMap((entry) => {
    const name = `${dir}/${entry.name}`
    if (entry.isDirectory()) return sources(root, name)
    return /[.](ts|mjs|cjs)$/.test(name) ? [name] : []
  })
}
export function checkNames(root) {
  return FOLDERS.flatMap((dir) => sources(root, dir)).flatMap((file) => checkFile(root, file))
}
function checkFile(root, file) {
  const rules = RULES.filter((rule) => rule.where.test(file))
  const lines = fs.readFileSync(path.join(root, file), 'utf8').split('\n')
  const found = lines.flatMap((line, index) =>
    rules.filter((rule) => rule.breach.test(line)).map((rule) => `${file}:${index + 1}: ${rule.says}`),
  )
  if (file.endsWith('.ts') && !/^(#!.*\n)?\/\*\*/.test(lines.join('\n')) && !file.endsWith('.test.ts'))
    found.push(`${file}:1: a file begins with a header comment: what it owns, what it must never do`)
  return found
}
