/** The check of a manifest file's shape, as typebox's compiler writes it, so that the kernel starts without typebox. */
import { Build } from 'typebox/schema'
import { SHAPES } from '../../kernel/manifest/schema.ts'

export function fitsModule(): string {
  const checks = Object.entries(SHAPES).map(([shape, schema]) => {
    const built = Build(schema)
    const [external, functions, entry] = [built.External(), built.Functions(), built.Entry()]
    const code = functions.join('\n')
    if (/\b(Guard|Hashing)\./.test(code + entry))
      throw new Error(`the check of ${shape} needs more of typebox than itself`)
    return `  ${shape}: (() => {
const ${external.identifier} = [${external.variables.map(literal).join(', ')}]
${code}
return (value: unknown): boolean => ${entry}
  })(),`
  })
  return `/**
 * Whether a value has the shape of a manifest file: schema.ts, compiled by typebox. Written by \`npm run docs\`; do not edit.
 */
// @ts-nocheck
export const fits: Readonly<Record<'${Object.keys(SHAPES).join("' | '")}', (value: unknown) => boolean>> = {
${checks.join('\n')}
}
`
}
function literal(value: unknown): string {
  if (value instanceof RegExp) return value.toString()
  throw new Error(`no literal for ${String(value)} in a compiled shape`)
}
