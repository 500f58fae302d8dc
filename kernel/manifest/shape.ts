/**
 * One file's text against its shape.
 *
 *   readJson(file, text)              the value; throws ManifestError for broken JSON and for a key given twice
 *   shapeProblems(file, shape, v)     one sentence for each place that is not what the schema says
 */
import { duplicateKeys } from './duplicate-keys.ts'
import { fits } from './fits.generated.ts'
import { ManifestError } from './manifest.ts'
import type * as problemsModule from './problems.ts'
import type { Shape } from './schema.ts'

export function readJson(file: string, text: string): unknown {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new ManifestError([`${file} is not JSON${placeOf(error as Error, text)}; correct it there`])
  }
  const twice = duplicateKeys(text)
  if (twice.length === 0) return value
  throw new ManifestError(twice.map((key) => `${file}: ${key} is given twice; only one can hold, remove the other`))
}

/** Where JSON.parse stopped, when its message says so: the words themselves differ between versions of Node. */
function placeOf({ message }: Error, text: string): string {
  const position = /position (\d+)/.exec(message)?.[1]
  if (position === undefined) return message.includes('end of JSON') ? ': it ends too early' : ''
  const lines = text.slice(0, Number(position)).split('\n')
  return `: line ${lines.length}, column ${lines[lines.length - 1].length + 1}`
}

export function shapeProblems(file: string, shape: Shape, value: unknown): string[] {
  if (fits[shape](value)) return []
  const { problemsOf } = require('./problems.ts') as typeof problemsModule
  return problemsOf(file, shape, value)
}
