/** Reference pages of the interfaces: one page each, from the same value that clients and servers are checked against. */
import type { Fields } from '#contracts/field'
import type { Interface, Method } from '#contracts/interface'

const GENERATED = '<!-- Written by `npm run docs` from lib/contracts; do not edit. -->'

export function servicesIndex(interfaces: readonly Interface[]): string {
  const rows = interfaces.map(({ name, methods }) => `| [${name}](${name}.md) | ${Object.keys(methods).length} |`)
  return `${[GENERATED, '# Interfaces', '', '| interface | calls |', '|---|---|', ...rows].join('\n')}\n`
}
export function interfacePage(iface: Interface): string {
  const methods = Object.values(iface.methods)
  return `${[GENERATED, `# ${iface.name}`, '', ...methods.flatMap(methodSection)].join('\n')}\n`
}
function methodSection({ name, spec }: Method): string[] {
  const errors = spec.errors.length === 0 ? 'none' : [...new Set(spec.errors)].map((error) => `\`${error}\``).join(', ')
  return [
    `## ${name}`,
    spec.doc,
    '',
    ...fieldTable('In', spec.in),
    ...fieldTable('Out', spec.out),
    `Errors: ${errors}. If the server dies: \`${spec.onServerDeath}\`.`,
    '',
  ]
}
function fieldTable(title: string, fields: Fields): string[] {
  const names = Object.keys(fields)
  if (names.length === 0) return []
  return [`| ${title} | type |`, '|---|---|', ...names.map((name) => `| ${name} | \`${fields[name].kind}\` |`), '']
}
