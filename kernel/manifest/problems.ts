/**
 * What is wrong with a value that has not its file's shape. Loads typebox, which a start with sound files has no use for.
 *
 *   problemsOf(file, shape, value)   one sentence for each place that is not what the schema says
 */
import type { TSchema } from 'typebox'
import Value from 'typebox/value'
import { SHAPES, type Shape } from './schema.ts'

/** typebox's error, as far as it is used here. */
interface Finding {
  readonly keyword: string
  readonly schemaPath: string
  readonly instancePath: string
  readonly params: object
}

export function problemsOf(file: string, shape: Shape, value: unknown): string[] {
  const schema: TSchema = SHAPES[shape]
  const findings = Value.Errors(schema, value) as readonly Finding[]
  return [...new Set(findings.flatMap((finding) => sentencesOf(file, schema, value, finding)))]
}

function sentencesOf(file: string, schema: TSchema, value: unknown, finding: Finding): string[] {
  // A branch of a union: the union itself is reported too, with what it expects as a whole.
  if (finding.schemaPath.includes('/anyOf/')) return []
  const { keyword, params } = finding
  const path = partsOf(finding.instancePath)
  if (keyword === 'boolean') return []
  const node = at(schema, partsOf(finding.schemaPath.slice(1))) as Node
  if (keyword === 'additionalProperties')
    return (params as { additionalProperties: string[] }).additionalProperties.map((key) =>
      unknownKey(file, node, path, key),
    )
  if (keyword === 'required')
    return (params as { requiredProperties: string[] }).requiredProperties.map((key) =>
      missingKey(file, node, path, key),
    )
  const expects = node?.expects ?? (node?.type === 'object' ? 'an object' : 'something else')
  return [`${file}: ${where(path)} is ${shown(at(value, path))}, but must be ${expects}; correct it there`]
}

interface Node {
  readonly expects?: string
  readonly type?: string
  readonly properties?: Readonly<Record<string, { readonly expects?: string }>>
}

function unknownKey(file: string, node: Node, path: string[], key: string): string {
  const known = Object.keys(node.properties ?? {}).filter((name) => !name.startsWith('$'))
  const place = where([...path, key])
  if (known.length === 0)
    return `${file}: ${place} is no name: it must be lower-case letters, digits and "-", at most 32; rename it`
  return `${file}: ${place} is no key that exists here; remove it, or use one of ${known.join(', ')}`
}
function missingKey(file: string, node: Node, path: string[], key: string): string {
  const expects = node.properties?.[key]?.expects
  return `${file}: ${where([...path, key])} is missing; add it${expects ? `: ${expects}` : ''}`
}

const where = (path: readonly string[]): string => (path.length ? path.join('.') : 'the whole file')
/** A value in a message: short, on one line. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'absent'
  return text.length > 60 ? `${text.slice(0, 57)}…` : text
}
/** The parts of a JSON pointer. */
const partsOf = (pointer: string): string[] =>
  pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
const at = (value: unknown, path: readonly string[]): unknown =>
  path.reduce<unknown>((inner, key) => (inner as Record<string, unknown> | undefined)?.[key], value)
